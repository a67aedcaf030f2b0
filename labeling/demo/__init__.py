"""The demo's own sample: prompts and responses we wrote, what is wrong with each, and simulated labelers.

Pure Python and numpy: nothing here imports Django, so scripts and notebooks can read the sample as well.
"""
