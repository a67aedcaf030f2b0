"""What the benchmark of labeling is made of."""
