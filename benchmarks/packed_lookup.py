"""How fast are packed rows? Against `nn.Embedding` by row number, and with a vocabulary before it.

Packed rows are claimed rows in residual codes of 4 bytes, looked up by id: it hashes, finds, and
decodes. The others are float32 rows of the same width, looked up by row number; and the same after
a vocabulary has found the row number of each id, by `torch.searchsorted` or a pandas index. Ids are
random; all take turns, and medians are told.

Run: python benchmarks/packed_lookup.py [--threads 2]
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import pandas as pd
import torch
from billion import packed_table
from torch import Tensor, nn

from tablefree.machine import describe_machine

CASES = ((20_000_000, 65_536), (1_000_000, 4_096))  # ids of the table, ids of a batch
TIMINGS = 15


def timed(calls: dict[str, Callable[[Tensor], Tensor]], num_ids: int, batch: int) -> None:
    """Print the median time of each call, and its ratio to the first one's."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    generator = torch.Generator().manual_seed(0)
    for turn in range(TIMINGS + 1):
        for name, call in calls.items():
            ids = torch.randint(num_ids, (batch,), generator=generator)
            start = time.perf_counter()
            call(ids)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    print(f"{num_ids:,} ids, batches of {batch:,}:")
    first = median(seconds["nn.Embedding by row number"])
    for name, measured in seconds.items():
        print(f"  {name:38} {median(measured) * 1e3:8.2f} ms  {median(measured) / first:5.2f}")


@torch.no_grad()
def main() -> None:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(description="Look-ups of packed rows and of float32 rows.")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    torch.set_num_threads(parser.parse_args().threads)
    print(f"{describe_machine()}; torch {torch.__version__}; {torch.get_num_threads()} threads")
    for num_ids, batch in CASES:
        packed = packed_table(num_ids)
        rows = nn.Embedding(num_ids, packed.embedding_dim)
        sorted_ids = torch.arange(num_ids)
        index = pd.Index(sorted_ids.numpy()[::-1].copy())  # a hash table, as it is not sorted
        index.get_indexer(sorted_ids[:10].numpy())
        timed(
            {
                "nn.Embedding by row number": rows,
                "packed, 4 bytes of codes": packed,
                "torch.searchsorted, nn.Embedding": lambda ids, rows=rows, known=sorted_ids: rows(
                    torch.searchsorted(known, ids)
                ),
                "pandas index, nn.Embedding": lambda ids, rows=rows, index=index: rows(
                    torch.from_numpy(index.get_indexer(ids.numpy()))
                ),
            },
            num_ids,
            batch,
        )


if __name__ == "__main__":
    main()
