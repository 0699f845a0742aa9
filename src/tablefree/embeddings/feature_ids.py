"""The ids of a feature in every form that a collection takes, and embeddings in the same form.

A form is a tensor of any shape, a nested tensor of jagged layout, or `Bags`; all are flat ids
within, so that features of different forms are looked up, and pooled, at once.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from tablefree.embeddings.jagged import POOLINGS, Bags, pool
from tablefree.errors import InputError
from tablefree.ids import tensor_ids

FeatureIds = Tensor | Bags


def checked_ids(feature: str, ids: FeatureIds, pooling: str | None) -> FeatureIds:
    """The ids of a feature as int64; as `Bags` where they are jagged or there is a pooling.

    Raises:
        InputError: what are no ids, no bags for a pooling, or weights without a sum.
    """
    with naming(feature):
        is_jagged = isinstance(ids, Tensor) and ids.is_nested
        if not isinstance(ids, Bags) and (is_jagged or pooling is not None):
            no_bags = isinstance(ids, Tensor) and ids.shape == (0,)  # a column without rows
            ids = (
                Bags(ids, torch.zeros(1, dtype=torch.int64, device=ids.device))
                if no_bags
                else Bags.from_rows(ids)
            )
        if isinstance(ids, Bags):
            ids.check_mode(pooling)
            return ids
        return tensor_ids(ids)


def flat_ids(ids: FeatureIds) -> Int[Tensor, " n"]:
    """All ids, in their order."""
    return ids.ids if isinstance(ids, Bags) else ids.reshape(-1)


def look_up(
    rows: Float[Tensor, "distinct embedding_dim"],
    places: Int[Tensor, " total"],
    features: Mapping[str, FeatureIds],
    poolings: Mapping[str, str | None],
) -> dict[str, Tensor]:
    """The embeddings of features in the form of their ids, with a lookup for each pooling.

    Args:
        rows: embeddings of distinct ids.
        places: the row of each id, feature after feature.
        features: their ids.
        poolings: of each of these features, and perhaps others.
    """
    sizes = [flat_ids(ids).shape[0] for ids in features.values()]
    places_of = dict(zip(features, torch.split(places, sizes), strict=True))
    embeddings: dict[str, Tensor] = {}
    for pooling in (None, *POOLINGS):
        some = {name: ids for name, ids in features.items() if poolings[name] == pooling}
        if not some:
            continue
        joined = torch.cat([places_of[name] for name in some])
        if pooling is None:
            lengths = [places_of[name].shape[0] for name in some]
            parts = torch.split(F.embedding(joined, rows), lengths)
            for (name, ids), part in zip(some.items(), parts, strict=True):
                embeddings[name] = shaped_as(ids, part)
        else:
            bags = cast(list[Bags], list(some.values()))
            parts = torch.split(pool(rows, joined, bags, pooling), [one.num_bags for one in bags])
            embeddings |= zip(some, parts, strict=True)
    return embeddings


def shaped_as(ids: FeatureIds, rows: Float[Tensor, "n embedding_dim"]) -> Tensor:
    """The embeddings of flat ids in the form of these."""
    if isinstance(ids, Bags):
        return torch.nested.nested_tensor_from_jagged(rows, ids.offsets)
    return rows.view(*ids.shape, rows.shape[-1])


@contextmanager
def naming(feature: str) -> Iterator[None]:
    """Say which feature an InputError is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"feature {feature!r}: {error}") from None
