"""What a recommender learns: to score pairs of a user and an item."""

from tablefree.models import Recommender
from tablefree.training.batches import Batch, TrainingBatches
from tablefree.training.metrics import auc, score_pairs
from tablefree.training.step import Objective, pair_loss


def pair_auc(model: Recommender, batch: Batch) -> float:
    """The AUC of a model's scores of pairs."""
    return auc(score_pairs(model, batch.users, batch.items), batch.labels)


def pair_work(model: Recommender, batches: TrainingBatches) -> int:
    """Multiply-adds of a step."""
    per_positive = batches.negatives.per_positive if batches.negatives else 0
    pairs = batches.batch_size * (1 + per_positive)
    return pairs * (model.users.multiply_adds + model.items.multiply_adds)


PAIRS = Objective(pair_loss, pair_auc, pair_work)
