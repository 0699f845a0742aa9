"""From the configuration in a checkpoint back to the embedding: independent of any budget."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tablefree.embeddings.base import Embedding, table
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
from tablefree.frozen_network import FROZEN_DTYPES
from tablefree.network import check_positive
from tablefree.saved import one_line


def from_config(config: Mapping[str, object]) -> Embedding:
    """Build an embedding from what `Embedding.config` returned.

    It has the shape and the hash functions of the original, and is frozen if that was; its weights,
    the frequent ids of "hybrid_hash" and the features of ids come with the state dict.

    Raises:
        CheckpointError: an unknown method, or a field that is missing, unknown or out of range.

    Example:
        >>> from_config(HashingTrick(100, 8, seed="item_id").config()).num_parameters
        800
    """
    arguments: dict[str, Any] = dict(config)
    method, frozen = arguments.pop("method", None), arguments.pop("frozen", None)
    if not isinstance(method, str) or method not in _BUILDERS:
        raise CheckpointError(
            f"the checkpoint has an embedding of the unknown method {method!r}: known are "
            f"{', '.join(_BUILDERS)}; a newer tablefree may have written it"
        )
    try:
        embedding = _BUILDERS[method](**arguments)
        return embedding if frozen is None else _frozen(embedding, frozen)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise CheckpointError(
            f"the checkpoint's configuration of {method} cannot be used: {one_line(error)}; it is "
            "damaged, or a newer tablefree wrote it"
        ) from error


def _frozen(embedding: Embedding, dtype: object) -> Embedding:
    names = {str(one).removeprefix("torch."): one for one in FROZEN_DTYPES}
    if str(dtype) not in names or not isinstance(embedding, DecodedEmbedding):
        raise InputError(f"a {type(embedding).__name__} cannot be frozen in {dtype!r:.50}")
    return embedding.freeze(names[str(dtype)])


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


# Ids and features come with the state dict: what is built has one of each, and then their sizes.


def _hybrid_hash(*, num_frequent_ids: int, **arguments: Any) -> HybridHash:
    check_positive(num_frequent_ids=num_frequent_ids)
    embedding = HybridHash(_first_id(), **arguments)
    embedding.frequent_ids = torch.zeros(num_frequent_ids, dtype=torch.int64)
    embedding.frequent_rows = table(num_frequent_ids, embedding.embedding_dim)
    return embedding


def _side_features(*, num_ids: int, width: int) -> SideFeatures:
    check_positive(num_ids=num_ids, width=width)
    features = SideFeatures(_first_id(), torch.zeros(1, 1, device="cpu"))
    features.ids = torch.zeros(num_ids, dtype=torch.int64)
    features.codes = torch.zeros(num_ids + 1, width)
    return features


def _bag_features(
    *, tags: Mapping[str, Any], num_ids: int, num_tags: int, alpha: float
) -> BagFeatures:
    check_positive(num_ids=num_ids, num_tags=num_tags)
    one = _first_id()
    features = BagFeatures(_encoding(tags), one, one, torch.arange(2, device="cpu"), alpha=alpha)
    features.ids = torch.zeros(num_ids, dtype=torch.int64)
    features.bags = torch.zeros(num_tags, dtype=torch.int64)
    features.offsets = torch.full((num_ids + 2,), num_tags)
    features.offsets[0] = 0
    return features


def _first_id() -> torch.Tensor:
    return torch.zeros(1, dtype=torch.int64, device="cpu")  # looked at, even in an outline


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
