"""A question to hits: scores, strategies, the walk, and the passages that a hit stands for."""
