"""From tables to embeddings without them, in a model of any kind, and back."""

from tablefree.conversion.adapters import (
    ConvertedEmbedding,
    ConvertedEmbeddingBag,
    MissingTableError,
)
from tablefree.conversion.distillation import Distillation, distill
from tablefree.conversion.report import Conversion, ReplacedTable
from tablefree.conversion.to_embeddings import convert
from tablefree.conversion.to_tables import materialize

__all__ = [
    "Conversion",
    "ConvertedEmbedding",
    "ConvertedEmbeddingBag",
    "Distillation",
    "MissingTableError",
    "ReplacedTable",
    "convert",
    "distill",
    "materialize",
]
