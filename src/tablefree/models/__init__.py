"""Recommenders over any two embeddings."""

from tablefree.models.gmf import GMF
from tablefree.models.mlp import MLP
from tablefree.models.recommender import Recommender

MODELS: dict[str, type[Recommender]] = {"gmf": GMF, "mlp": MLP}
"""Each model by its name on the command line and in checkpoints."""

__all__ = ["GMF", "MLP", "MODELS", "Recommender"]
