"""Memory of a process through which ids stream that it never saw before, out of 10^9.

Every batch has new ids, evenly spread over all 10^9, so that anything kept for an id would add up.
The stream passes, a third of the time each, through training (AdamW, bfloat16 autocast, random
targets), a frozen bfloat16 embedding, and a cache of 100,000 rows over it. The resident set is read
after every batch; growth is its largest size in the stream less that in the warm-up, in which
batches pass through the same three, by turns: what one has freed, the allocator may return to the
system or keep for the next (tens of MB). Linux only.

Run: python benchmarks/stream_memory.py [--seconds 120]
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW

from tablefree import CachedEmbedding, DeepHashEmbedding, Embedding
from tablefree.machine import describe_machine

NUM_IDS = 10**9
STRIDE = 618_033_989  # near the golden section of NUM_IDS and coprime to it: no id comes twice
BATCH, CACHED_ROWS = 4096, 100_000
ROUNDS, WARM_UP = 3, 50  # batches of each phase in a round; they fill the cache
BOUND, PARTS = 50, 5


def stream() -> Iterator[Tensor]:
    """Batches of ids, all different, each spread over 0..NUM_IDS - 1."""
    for start in count(0, BATCH):
        yield torch.arange(start, start + BATCH) * STRIDE % NUM_IDS


def training(embedding: Embedding) -> Callable[[Tensor], None]:
    optimizer = AdamW(embedding.parameters(), lr=1e-3, fused=True)
    generator = torch.Generator().manual_seed(0)

    def step(ids: Tensor) -> None:
        targets = torch.randn(len(ids), embedding.embedding_dim, generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            embeddings = embedding(ids)
        loss = (embeddings.float() - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def resident_sizes(call: Callable[[Tensor], object], batches: Iterator[Tensor]) -> Iterator[float]:
    """Megabytes after each batch."""
    for ids in batches:
        call(ids)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        yield pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def take_for(seconds: float, sizes: Iterator[float]) -> list[float]:
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < PARTS or time.perf_counter() < end:
        taken.append(next(sizes))
    return taken


def main() -> None:
    """Warm up, let the stream pass, print how much the process grew."""
    parser = argparse.ArgumentParser(description="Memory of a process through which ids stream.")
    parser.add_argument("--seconds", type=float, default=120, help="without warm-up; at most 540")
    seconds = min(parser.parse_args().seconds, 540)

    embedding = DeepHashEmbedding(32, num_hashes=1024, hidden=(512, 512), seed="item_id")
    frozen = embedding.freeze(torch.bfloat16)
    batches = stream()
    phases = {
        "training": resident_sizes(training(embedding), batches),
        "inference": resident_sizes(frozen, batches),
        "inference, cached": resident_sizes(CachedEmbedding(frozen, CACHED_ROWS), batches),
    }
    print(
        f"{describe_machine()}; torch {torch.__version__}; k 1024, hidden 512-512, d 32, batch "
        f"{BATCH}, cache of {CACHED_ROWS:,} rows\n"
        f"largest resident set in MB, in the warm-up of {ROUNDS} x {WARM_UP} batches and in "
        "the parts of a phase:"
    )
    warm = dict.fromkeys(phases, 0.0)
    for name, sizes in ROUNDS * list(phases.items()):
        warm[name] = max(warm[name], *islice(sizes, WARM_UP))
    largest, num_ids = 0.0, 0
    for name, sizes in phases.items():
        taken = take_for(seconds / len(phases), sizes)
        parts = [part.max() for part in np.array_split(taken, PARTS)]
        largest, num_ids = max(largest, *parts), num_ids + BATCH * len(taken)
        print(
            f"{name:<18} {warm[name]:.1f};",
            *(f"{part:.1f}" for part in parts),
            f"growth {max(parts) - warm[name]:+.1f}; {BATCH * len(taken) / 1e6:.1f} million ids",
        )
    print(
        f"in all: growth {largest - max(warm.values()):+.1f} MB (bound {BOUND}); {num_ids:,} "
        f"different ids out of {NUM_IDS:,}"
    )


if __name__ == "__main__":
    main()
