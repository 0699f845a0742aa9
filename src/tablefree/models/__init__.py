"""Recommenders over any two embeddings, and models over those of any number of features."""

from tablefree.models.dcn import DCN
from tablefree.models.deepfm import DeepFM
from tablefree.models.dlrm import DLRM
from tablefree.models.gmf import GMF
from tablefree.models.mlp import MLP
from tablefree.models.recommender import MODELS, Recommender

__all__ = ["DCN", "DLRM", "GMF", "MLP", "MODELS", "DeepFM", "Recommender"]
