"""Recommenders over any two embeddings, and DLRM over those of any number of features."""

from tablefree.models.dlrm import DLRM
from tablefree.models.gmf import GMF
from tablefree.models.mlp import MLP
from tablefree.models.recommender import MODELS, Recommender

__all__ = ["DLRM", "GMF", "MLP", "MODELS", "Recommender"]
