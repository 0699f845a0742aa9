"""Where an embedding starts that replaces a table: at the scale of its rows, or fitted to them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tablefree.conversion.distillation import distill
from tablefree.embeddings import Embedding, SketchEmbedding

# Distillation at its rates keeps the most of the variance of rows of about this deviation: a narrow
# table .80 of it, and .73 at .1 and .78 at 1; a sketch .76, .73 and .76.
FIT_STD = 0.3
# A step turns smaller rows round: DeepFM of torch-rechub, whose tables start at 1e-4, came to an
# AUC of .750 from there, and of .764 from .01 (under RMS norm with an epsilon of 1e-6).
SMALLEST_STD = 0.01

_LOOKED_AT = 100_000  # rows


@torch.no_grad()
def looks_trained(table: nn.Embedding | nn.EmbeddingBag) -> bool:
    """Whether rows vary more in one direction than independent numbers would, as learnt ones do.

    The largest eigenvalue of the covariance of n rows of d such numbers is at most about
    (1 + sqrt(d / n))^2 times their variance (Marchenko and Pastur, 1967).
    """
    if table.weight.is_meta:
        return False
    rows = table.weight[:: -(-table.num_embeddings // _LOOKED_AT)].float()
    (n, d), centred = rows.shape, rows - rows.mean(0)
    covariance = centred.T @ centred / n
    largest, mean = torch.linalg.eigvalsh(covariance).amax(), covariance.diagonal().mean()
    return bool(largest > 1.2 * (1 + (d / n) ** 0.5) ** 2 * mean)


def start_from_table(
    embedding: Embedding,
    table: nn.Embedding | nn.EmbeddingBag,
    distill_options: Mapping[str, Any] | None,
) -> float | None:
    """Give an embedding the scale of a table's rows, or fit it to them.

    The rows of a sketch take the scale too, unless it is very small, so that a recipe for the table
    moves them as far. It is fitted at one scale for all tables, and scaled then.

    Returns:
        The share of variance kept; None if it was not fitted.
    """
    if table.weight.is_meta:
        return None
    rows = table.weight.detach().float()
    weights = torch.ones(len(rows))
    if table.padding_idx is not None:
        weights[table.padding_idx] = 0
    std = float(rows[weights > 0].std(correction=0))
    if distill_options is None:
        embedding.rescale(std / embedding.std)
        if isinstance(embedding, SketchEmbedding):
            embedding.rescale_code(max(std, SMALLEST_STD) / embedding.encoding.std)
        return None
    scale = std / FIT_STD or 1.0  # rows that are all equal have none
    report = distill(rows / scale, embedding, **{"weights": weights, "seed": 0, **distill_options})
    embedding.rescale(scale)
    return report.weighted_variance_kept
