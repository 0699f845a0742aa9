"""Rows that begin as their ids have it, in tables and in claimed rows alike, whoever comes first.

What rows start from is luck, of an AUC of .01 on some data. Where two embeddings of the same ids
start alike, they differ by what they are.
"""

from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tablefree.embeddings import EmbeddingCollection, FullTable
from tablefree.encodings.sketch import SketchEncoding
from tablefree.fields.encoder import Encoder
from tablefree.hashing import mix64, seed_from, splitmix64
from tablefree.scales import INITIAL_STD


def first_rows(ids: Int[Tensor, " n"], *, width: int, seed: int) -> Float[Tensor, "n width"]:
    """What the rows of ids begin with: normal numbers, a function of the seed and the id alone."""
    words = ids.cpu().numpy().view(np.uint64)[:, None]
    mixed = mix64(mix64(words) ^ splitmix64(seed, width))
    shares = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    normal: Tensor = torch.special.ndtri(torch.from_numpy(shares)).float()
    return INITIAL_STD * normal


@torch.no_grad()
def start_by_id(embeddings: EmbeddingCollection, encoder: Encoder, seed: int) -> None:
    """Have the rows of tables and claimed rows begin as their ids do.

    Args:
        embeddings: untrained.
        encoder: whose vocabularies say which id a row of a table is of.
        seed: of all rows.
    """
    vocabularies = encoder.vocabularies()
    for name in embeddings.names:
        one = embeddings.embedding(name)
        of_feature = partial(first_rows, seed=seed_from(f"{name}:{seed}"))
        if isinstance(one, FullTable):
            ids = vocabularies[name]
            one.rows.weight[: len(ids)] = of_feature(ids, width=one.embedding_dim)
        for part in one.modules():
            if isinstance(part, SketchEncoding) and part.claims is not None:
                part.first_rows = partial(of_feature, width=part.width)
