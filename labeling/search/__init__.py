"""Full text of items: what its words are, how they come into the index, how they are found there."""
