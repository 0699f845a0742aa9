"""Training of recommenders with Lightning, and their evaluation."""
