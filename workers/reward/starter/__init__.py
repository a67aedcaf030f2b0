"""The starter: a linear Bradley-Terry model on hashed n-grams. No download, no torch at training time."""
