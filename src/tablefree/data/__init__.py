"""Interactions: reading, splitting, negatives, synthetic data, and the vocabulary of tables."""
