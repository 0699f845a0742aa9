"""Encodings: 64-bit ids to codes, with nothing kept for an id."""

from tablefree.encodings.base import Encoding
from tablefree.encodings.dense_hash import DenseHashEncoding
from tablefree.encodings.hash_buckets import HashBuckets
from tablefree.encodings.sketch import SketchEncoding

__all__ = ["DenseHashEncoding", "Encoding", "HashBuckets", "SketchEncoding"]
