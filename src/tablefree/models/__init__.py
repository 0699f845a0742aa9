"""Recommenders over any two embeddings."""

from tablefree.models.gmf import GMF
from tablefree.models.mlp import MLP
from tablefree.models.recommender import Recommender

__all__ = ["GMF", "MLP", "Recommender"]
