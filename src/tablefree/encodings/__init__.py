"""Encodings: 64-bit ids to codes, with nothing learned that is kept for one id alone."""

from tablefree.encodings.ablation import BinaryDigits, OneHotHash, ScaledId
from tablefree.encodings.base import Encoding
from tablefree.encodings.dense_hash import DenseHashEncoding
from tablefree.encodings.hash_buckets import HashBuckets
from tablefree.encodings.side_features import (
    BagFeatures,
    SideFeatures,
    multi_hot,
    standardise,
)
from tablefree.encodings.sketch import SketchEncoding

__all__ = [
    "BagFeatures",
    "BinaryDigits",
    "DenseHashEncoding",
    "Encoding",
    "HashBuckets",
    "OneHotHash",
    "ScaledId",
    "SideFeatures",
    "SketchEncoding",
    "multi_hot",
    "standardise",
]
