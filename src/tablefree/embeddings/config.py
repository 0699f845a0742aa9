"""From the configuration in a checkpoint back to the embedding: independent of any budget."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tablefree.embeddings.base import Embedding
from tablefree.embeddings.decoded import DecodedEmbedding
from tablefree.embeddings.deep_hash import DeepHashEmbedding
from tablefree.embeddings.full_table import FullTable
from tablefree.embeddings.hash_embedding import HashEmbedding
from tablefree.embeddings.hashing_trick import HashingTrick
from tablefree.embeddings.hybrid import HybridHash
from tablefree.embeddings.multi_hash import MultiHash
from tablefree.embeddings.narrow_table import NarrowTable
from tablefree.embeddings.quotient_remainder import QuotientRemainder
from tablefree.embeddings.sketch import SketchEmbedding
from tablefree.encodings import (
    BagFeatures,
    DenseHashEncoding,
    Encoding,
    SideFeatures,
    SketchEncoding,
)
from tablefree.encodings.ablation import BinaryDigits, OneHotHash, ScaledId
from tablefree.errors import CheckpointError, InputError


def from_config(config: Mapping[str, object]) -> Embedding:
    """Build an embedding from what `Embedding.config` returned.

    It has the shape and the hash functions of the original; its weights, the frequent ids of
    "hybrid_hash" and the features of ids come with the state dict.

    Raises:
        CheckpointError: an unknown method, or a field that is missing, unknown or out of range.

    Example:
        >>> from_config(HashingTrick(100, 8, seed="item_id").config()).num_parameters
        800
    """
    arguments: dict[str, Any] = dict(config)
    method = arguments.pop("method", None)
    if not isinstance(method, str) or method not in _BUILDERS:
        raise CheckpointError(
            f"the checkpoint has an embedding of the unknown method {method!r}: known are "
            f"{', '.join(_BUILDERS)}; a newer tablefree may have written it"
        )
    try:
        return _BUILDERS[method](**arguments)
    except (TypeError, InputError) as error:
        raise CheckpointError(
            f"the checkpoint's configuration of {method} cannot be used: {error}; it is damaged, "
            "or a newer tablefree wrote it"
        ) from error


def _decoded(*, encodings: Sequence[Mapping[str, Any]], **arguments: Any) -> DecodedEmbedding:
    return DecodedEmbedding(encodings=[_encoding(config) for config in encodings], **arguments)


def _encoding(config: Mapping[str, Any]) -> Encoding:
    if "method" in config:
        return from_config(config)
    arguments = dict(config)
    kind = arguments.pop("encoding", None)
    if kind not in _ENCODINGS:
        raise InputError(f"unknown encoding {kind!r}, known are {', '.join(_ENCODINGS)}")
    return _ENCODINGS[kind](**arguments)


# What the state dict replaces is made on a device that has values.


def _hybrid_hash(*, num_frequent_ids: int, **arguments: Any) -> HybridHash:
    return HybridHash(torch.arange(num_frequent_ids, device="cpu"), **arguments)


def _side_features(*, num_ids: int, width: int) -> SideFeatures:
    values = torch.zeros(num_ids, width - 1, device="cpu")
    return SideFeatures(torch.arange(num_ids, device="cpu"), values)


def _bag_features(
    *, tags: Mapping[str, Any], num_ids: int, num_tags: int, alpha: float
) -> BagFeatures:
    bags = torch.zeros(num_tags, dtype=torch.int64, device="cpu")
    offsets = torch.tensor([0] + num_ids * [num_tags], device="cpu")
    ids = torch.arange(num_ids, device="cpu")
    return BagFeatures(_encoding(tags), ids, bags, offsets, alpha=alpha)


_BUILDERS: dict[str, Callable[..., Embedding]] = {
    "full_table": FullTable,
    "narrow_table": NarrowTable,
    "hashing_trick": HashingTrick,
    "multi_hash": MultiHash,
    "hash_embedding": HashEmbedding,
    "quotient_remainder": QuotientRemainder,
    "hybrid_hash": _hybrid_hash,
    "deep_hash": DeepHashEmbedding,
    "sketch": SketchEmbedding,
    "decoded": _decoded,
}
_ENCODINGS: dict[str, Callable[..., Encoding]] = {
    "dense_hash": DenseHashEncoding,
    "sketch": SketchEncoding,
    "side_features": _side_features,
    "bag_features": _bag_features,
    "binary_digits": BinaryDigits,
    "scaled_id": ScaledId,
    "one_hot_hash": OneHotHash,
}
