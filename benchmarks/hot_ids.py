"""What a cache of hot ids gains on Zipf traffic: medians over the same batches, ten by turns.

A frozen `DeepHashEmbedding` embeds each distinct id of a batch once, with or without a cache. So a
cache that held the most frequent ids from the start would leave (distinct ids that are not among
them) / (distinct ids) of the products: the bound that is printed. "Every row" embeds the ids of a
batch one by one as they come, repeated or not.

Run: python benchmarks/hot_ids.py [--batch 4096]
"""

import argparse
import time
from collections.abc import Callable
from statistics import mean, median

import numpy as np
import torch
from torch import Tensor

from tablefree import CachedEmbedding, DeepHashEmbedding

EXPONENT, NUM_IDS, NUM_ROWS = 1.1, 10_000_000, 500_000
WARM_UP = 16_000_000  # ids
MEASURED, BLOCK = 100, 10  # batches


def traffic(num_batches: int, batch: int) -> Tensor:
    """Ids [num_batches, batch] whose frequency falls as a power of their number, 1..NUM_IDS."""
    generator = np.random.default_rng(0)
    ids = np.empty(0, np.int64)
    while ids.size < num_batches * batch:
        drawn = generator.zipf(EXPONENT, num_batches * batch)
        ids = np.concatenate([ids, drawn[drawn <= NUM_IDS]])
    return torch.from_numpy(ids[: num_batches * batch]).view(num_batches, batch)


def seconds(call: Callable[[Tensor], Tensor], ids: Tensor) -> float:
    start = time.perf_counter()
    call(ids)
    return time.perf_counter() - start


@torch.inference_mode()
def main(batch: int) -> None:
    """Warm the cache up, time the embedding with and without it, print the ratios."""
    with torch.inference_mode(False):
        embedding = DeepHashEmbedding(
            32, num_hashes=1024, hidden=(512, 512), seed="item_id"
        ).freeze()
        cached = CachedEmbedding(embedding, NUM_ROWS)

    def every_row(ids: Tensor) -> Tensor:
        return embedding.network(embedding.encoding(ids))

    start = time.perf_counter()
    num_batches = WARM_UP // batch + MEASURED
    batches = traffic(num_batches, batch)
    warm_up = batches[:-MEASURED].reshape(-1)
    for ids in warm_up.split(4096):
        cached(ids)
    print(
        f"{torch.get_num_threads()} threads; k 1024, hidden 512-512, d 32, float32, batch {batch}; "
        f"Zipf {EXPONENT} over {NUM_IDS:,} ids, cache of {NUM_ROWS:,} rows\n"
        f"warm-up: {warm_up.numel() / 1e6:.1f} million ids, "
        f"{time.perf_counter() - start:.0f} s"
    )
    embedded: list[int] = []
    embedding.register_forward_pre_hook(lambda _, inputs: embedded.append(inputs[0].numel()))
    times: dict[Callable[[Tensor], Tensor], list[float]] = {
        cached: [],
        embedding: [],
        every_row: [],
    }
    for block in batches[-MEASURED:].split(BLOCK):
        for call, taken in times.items():
            taken += [seconds(call, ids) for ids in block]
    with_cache, without, rows = map(median, times.values())
    missed = mean(size for size in embedded if size < batch)  # the rest is without the cache
    distinct = mean(ids.unique().numel() for ids in batches[-MEASURED:])
    rare = mean(ids[ids > NUM_ROWS].unique().numel() for ids in batches[-MEASURED:])
    print(f"a batch: {distinct:.0f} distinct ids, {missed:.0f} of them miss")
    print(f"with cache {with_cache * 1e3:.2f} ms; without {without * 1e3:.2f} ms")
    print(f"every row {rows * 1e3:.2f} ms")
    print(
        f"without / with cache: {without / with_cache:.1f} "
        f"(bound {distinct / rare:.1f}); "
        f"every row / with cache: {rows / with_cache:.1f} (bound {batch / rare:.1f})"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What a cache of hot ids gains.")
    parser.add_argument("--batch", type=int, default=4096)
    main(parser.parse_args().batch)
