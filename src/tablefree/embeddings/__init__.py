"""Ways to embed ids, with and without tables: one call, one file a method."""

from tablefree.embeddings.bag import EmbeddingBag
from tablefree.embeddings.base import Description, Embedding, from_config
from tablefree.embeddings.budget import METHODS, build
from tablefree.embeddings.cached import CachedEmbedding
from tablefree.embeddings.cafe import CafeEmbedding
from tablefree.embeddings.claimed_rows import ClaimedRows
from tablefree.embeddings.collection import EmbeddingCollection
from tablefree.embeddings.decoded import DecodedEmbedding
from tablefree.embeddings.deep_hash import DeepHashEmbedding
from tablefree.embeddings.full_table import FullTable
from tablefree.embeddings.hash_embedding import HashEmbedding
from tablefree.embeddings.hashing_trick import HashingTrick
from tablefree.embeddings.hybrid import HybridHash
from tablefree.embeddings.jagged import Bags
from tablefree.embeddings.multi_hash import MultiHash
from tablefree.embeddings.narrow_table import NarrowTable
from tablefree.embeddings.quotient_remainder import QuotientRemainder
from tablefree.embeddings.sketch import SketchEmbedding

__all__ = [
    "METHODS",
    "Bags",
    "CachedEmbedding",
    "CafeEmbedding",
    "ClaimedRows",
    "DecodedEmbedding",
    "DeepHashEmbedding",
    "Description",
    "Embedding",
    "EmbeddingBag",
    "EmbeddingCollection",
    "FullTable",
    "HashEmbedding",
    "HashingTrick",
    "HybridHash",
    "MultiHash",
    "NarrowTable",
    "QuotientRemainder",
    "SketchEmbedding",
    "build",
    "from_config",
]
