"""Embeddings of categorical features without embedding tables, for PyTorch.

A value flows one way: value → id → code → embedding → score.
"""

from typing import TYPE_CHECKING, Any

from tablefree import presets
from tablefree.conversion import (
    Conversion,
    Distillation,
    convert,
    distill,
    materialize,
)
from tablefree.embeddings import (
    Bags,
    CachedEmbedding,
    CafeEmbedding,
    ClaimedRows,
    DecodedEmbedding,
    DeepHashEmbedding,
    Embedding,
    EmbeddingBag,
    EmbeddingCollection,
    FullTable,
    HashEmbedding,
    HashingTrick,
    HybridHash,
    MultiHash,
    NarrowTable,
    QuotientRemainder,
    SketchEmbedding,
)
from tablefree.encodings import DenseHashEncoding, HashBuckets, SideFeatures, SketchEncoding
from tablefree.errors import CapacityWarning, CheckpointError, InputError, TablefreeError
from tablefree.ids import hash_strings, to_ids
from tablefree.models import DCN, DLRM, GMF, MLP, DeepFM
from tablefree.network import EmbeddingNetwork
from tablefree.packing import Form, pack, packed_bytes, unpack
from tablefree.rows import RowAdam, Rows, hold_rows
from tablefree.secret import Secret
from tablefree.training.optimizers import (
    Optimizers,
    optimizers,
    parameter_groups,
    training_bytes,
)
from tablefree.version import __version__

if TYPE_CHECKING:
    from tablefree.fields.encoder import Encoder
    from tablefree.fields.model import load
    from tablefree.fields.plan import plan
    from tablefree.fields.profile import profile

__all__ = [
    "DCN",
    "DLRM",
    "GMF",
    "MLP",
    "Bags",
    "CachedEmbedding",
    "CafeEmbedding",
    "CapacityWarning",
    "CheckpointError",
    "ClaimedRows",
    "Conversion",
    "DecodedEmbedding",
    "DeepFM",
    "DeepHashEmbedding",
    "DenseHashEncoding",
    "Distillation",
    "Embedding",
    "EmbeddingBag",
    "EmbeddingCollection",
    "EmbeddingNetwork",
    "Encoder",
    "Form",
    "FullTable",
    "HashBuckets",
    "HashEmbedding",
    "HashingTrick",
    "HybridHash",
    "InputError",
    "MultiHash",
    "NarrowTable",
    "Optimizers",
    "QuotientRemainder",
    "RowAdam",
    "Rows",
    "Secret",
    "SideFeatures",
    "SketchEmbedding",
    "SketchEncoding",
    "TablefreeError",
    "__version__",
    "convert",
    "distill",
    "hash_strings",
    "hold_rows",
    "load",
    "materialize",
    "optimizers",
    "pack",
    "packed_bytes",
    "parameter_groups",
    "plan",
    "presets",
    "profile",
    "to_ids",
    "training_bytes",
    "unpack",
]

# Tables of events need Polars and Arrow: they are imported when they are asked for.
_OF_EVENTS = {"Encoder": "encoder", "load": "model", "plan": "plan", "profile": "profile"}


def __getattr__(name: str) -> Any:
    if name not in _OF_EVENTS:
        raise AttributeError(f"module 'tablefree' has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(f"tablefree.fields.{_OF_EVENTS[name]}"), name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"tablefree.{name} needs the package {error.name}: "
            '`pip install "tablefree[experiments]"`'
        ) from error
