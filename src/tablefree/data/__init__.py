"""Interactions: reading, splitting, negatives, synthetic data, and the vocabulary of tables.

Reading needs Polars and Arrow, and is imported from `tablefree.data.read`.
"""

from tablefree.data.interactions import Features, Interactions
from tablefree.data.negatives import NegativeSampler
from tablefree.data.split import Split, split_interactions
from tablefree.data.synthetic import synthetic_interactions
from tablefree.data.vocabulary import Vocabulary

__all__ = [
    "Features",
    "Interactions",
    "NegativeSampler",
    "Split",
    "Vocabulary",
    "split_interactions",
    "synthetic_interactions",
]
