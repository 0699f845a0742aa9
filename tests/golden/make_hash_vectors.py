"""Write hash_vectors.json from the reference alone: `python tests/golden/make_hash_vectors.py`.

64-bit numbers and float32 bit patterns are hexadecimal strings, as many JSON readers keep only
53 bits of a number.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tablefree.hashing import (
    CONTRACT_VERSION,
    FAMILIES,
    GOLDEN_GAMMA,
    coefficients,
    mix64,
    seed_from,
    splitmix64,
    xxh64,
)
from tablefree.kernels import reference

STRINGS = ["", "a", "item", "user_id", "B00006HAXW", "naïve", "日本語", "x" * 31, "y" * 100]
IDS = [0, 1, 2, -1, 1_000_003, 2**32, 2**61 - 1, 2**61, 2**63 - 1, -(2**63)]
SEEDS: list[int | str] = [0, 1, 2**64 - 1, "item"]
BUCKETS = [2, 1000, 2**20, 2**24]
NUM_HASHES = 4


def vectors() -> dict[str, Any]:
    ids = np.array(IDS, np.int64)
    return {
        "contract_version": CONTRACT_VERSION,
        "strings": [{"string": text, "xxh64": hex(xxh64(text.encode()))} for text in STRINGS],
        "seeds": [{"seed": seed, "value": hex(seed_from(seed))} for seed in SEEDS],
        "splitmix64": [
            {"seed": hex(seed_from(seed)), "outputs": _hex(splitmix64(seed_from(seed), 4))}
            for seed in SEEDS
        ],
        "ids": IDS,
        "finalised": _hex(mix64(ids.view(np.uint64) + np.uint64(GOLDEN_GAMMA))),
        "coefficients": [
            {
                "family": family,
                "seed": hex(seed_from(seed)),
                "rows": [_hex(row) for row in coefficients(seed_from(seed), NUM_HASHES, family)],
            }
            for family in FAMILIES
            for seed in SEEDS
        ],
        "codes": [
            _codes(ids, family, seed_from(seed), num_buckets)
            for family in FAMILIES
            for seed in SEEDS
            for num_buckets in BUCKETS
        ],
    }


def _codes(ids: np.ndarray, family: str, seed: int, num_buckets: int) -> dict[str, Any]:
    arguments = (ids, seed, family, NUM_HASHES, num_buckets)
    uniform, gaussian = (
        reference.dense_hash(*arguments, transform).view(np.uint32)
        for transform in ("uniform", "gaussian")
    )
    return {
        "family": family,
        "seed": hex(seed),
        "num_buckets": num_buckets,
        "buckets": reference.hash_buckets(*arguments).tolist(),
        "uniform": [_hex(row) for row in uniform],
        "gaussian": [_hex(row) for row in gaussian],
    }


def _hex(words: np.ndarray) -> list[str]:
    return [hex(word) for word in words.tolist()]


if __name__ == "__main__":
    path = Path(__file__).with_name("hash_vectors.json")
    path.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
