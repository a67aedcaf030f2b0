"""Training and scoring beside TRL and transformers: the cases, and one measurement in a process of its own."""
