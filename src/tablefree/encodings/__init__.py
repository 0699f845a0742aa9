"""Encodings: 64-bit ids to codes, with nothing kept for an id."""

from tablefree.encodings.dense_hash import DenseHashEncoding
from tablefree.encodings.hash_buckets import HashBuckets

__all__ = ["DenseHashEncoding", "HashBuckets"]
