"""What the benchmarks of import and export share."""
