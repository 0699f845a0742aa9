"""How good a recommender's scores are: AUC, log loss, calibration, sampled ranking."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torchmetrics.functional.classification import binary_auroc, binary_calibration_error

from tablefree.embeddings import Embedding
from tablefree.models import Recommender

EMBED_BATCH = 8_192  # distinct ids at a time: bounds the memory of the hidden layers
SCORE_BATCH = 262_144
CALIBRATION_BINS = 15


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Within, a model is in evaluation mode and float32, without gradients; then as before."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device.type
    try:
        with torch.no_grad(), torch.autocast(device, enabled=False):
            yield
    finally:
        model.train(was_training)


@torch.no_grad()
def embed_distinct(
    embedding: Embedding, ids: Int[Tensor, " n"]
) -> tuple[Float[Tensor, "distinct embedding_dim"], Int[Tensor, " n"]]:
    """Embeddings of the distinct ids, and where among them each id is."""
    distinct, inverse = torch.unique(ids, return_inverse=True)
    return torch.cat([embedding(part) for part in torch.split(distinct, EMBED_BATCH)]), inverse


def score_pairs(
    model: Recommender, users: Int[Tensor, " n"], items: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Logits of pairs in evaluation mode and float32, each distinct id embedded once.

    Args:
        model: any recommender; its mode is restored.
        users: what its user embedding takes.
        items: what its item embedding takes.
    """
    with evaluation(model):
        user_rows, user_positions = embed_distinct(model.users, users)
        item_rows, item_positions = embed_distinct(model.items, items)
        return torch.cat(
            [
                model.score(user_rows[user_part], item_rows[item_part])
                for user_part, item_part in zip(
                    torch.split(user_positions, SCORE_BATCH),
                    torch.split(item_positions, SCORE_BATCH),
                    strict=True,
                )
            ]
        )


def auc(logits: Float[Tensor, " n"], labels: Float[Tensor, " n"]) -> float:
    """Area under the ROC curve; NaN where it is not defined.

    It is not defined for labels of one class, and for scores of a model that diverged.
    """
    positives = int(labels.sum())
    if positives in (0, len(labels)) or not logits.isfinite().all():
        return float("nan")
    # float64 and no sigmoid: torchmetrics would squash logits beyond [0, 1], and large ones tie.
    low, high = logits.double().aminmax()
    return float(binary_auroc((logits.double() - low) / (high - low + 1e-12), labels.long()))


def log_loss(logits: Float[Tensor, " n"], labels: Float[Tensor, " n"]) -> float:
    """Mean binary cross-entropy, in nats."""
    return float(F.binary_cross_entropy_with_logits(logits, labels))


def expected_calibration_error(logits: Float[Tensor, " n"], labels: Float[Tensor, " n"]) -> float:
    """How far probabilities are from frequencies, in 0..1; NaN where it is not defined.

    Pairs are put into 15 bins of equal width by their probability, the sigmoid of the logit. The
    error is the mean over the pairs of |mean probability - share of positives| in a pair's bin
    (Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning", 2015). It is not defined for no pairs, and for scores of a model that diverged.

    A model trained on another share of positives than that of the pairs, as with several sampled
    negatives for each positive, is out by that alone: first add the log of the ratio of their odds
    to the logits. With 4 negatives in training and 1 here, that is log(4).
    """
    if not len(logits) or not logits.isfinite().all():
        return float("nan")
    return float(binary_calibration_error(logits.sigmoid(), labels.long(), CALIBRATION_BINS))


def ranking(
    positives: Float[Tensor, " n"], negatives: Float[Tensor, "n m"], cutoff: int = 10
) -> tuple[float, float]:
    """Hit rate and NDCG at a cutoff of one positive among its negatives.

    Ties count against it, and so do scores that are not a number.

    With one relevant item, NDCG is 1 / log2(rank + 1) within the cutoff and 0 beyond (He et al.,
    "Neural Collaborative Filtering", 2017, section 4.1).
    """
    better = (~(negatives < positives[:, None])).sum(dim=1)
    hit: Bool[Tensor, " n"] = better < cutoff
    gain = torch.where(hit, 1 / torch.log2(better + 2.0), 0.0)
    return float(hit.float().mean()), float(gain.mean())
