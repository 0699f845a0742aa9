"""What a user runs to decide: train, evaluate and compare embeddings on their own data."""
