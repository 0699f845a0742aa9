"""How fast are packed rows? Against `nn.Embedding` by row number, and with a vocabulary before it.

Packed rows are claimed rows in residual codes of 4 bytes, looked up by id: it hashes, finds, and
decodes. The others are float32 rows of the same width, looked up by row number; and the same after
a vocabulary has found the row number of each id, by `torch.searchsorted` or a pandas index. Ids are
random; all take turns, and medians are told. A GPU has no pandas index.

Run: python benchmarks/packed_lookup.py [--threads 2 --device cuda]
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from billion import packed_table
from torch import Tensor, nn

from tablefree.machine import describe_machine

CASES = ((20_000_000, 65_536), (1_000_000, 4_096))  # ids of the table, ids of a batch
TIMINGS = 15


Call = Callable[[Tensor], Tensor]


def timed(calls: dict[str, Call], num_ids: int, batch: int, device: str) -> None:
    """Print the median time of each call, and its ratio to the first one's."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    generator = torch.Generator().manual_seed(0)
    for turn in range(TIMINGS + 1):
        for name, call in calls.items():
            ids = torch.randint(num_ids, (batch,), generator=generator).to(device)
            waited(device)
            start = time.perf_counter()
            call(ids)
            waited(device)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    print(f"{num_ids:,} ids, batches of {batch:,}:")
    first = median(seconds["nn.Embedding by row number"])
    for name, measured in seconds.items():
        print(f"  {name:38} {median(measured) * 1e3:8.2f} ms  {median(measured) / first:5.2f}")


def waited(device: str) -> None:
    """Return when the device has done what it was told to."""
    if device == "cuda":
        torch.cuda.synchronize()


def by_index(num_ids: int, rows: nn.Embedding) -> Call:
    """Rows by way of a pandas index, which is a hash table as its ids are not sorted."""
    import pandas as pd

    index = pd.Index(torch.arange(num_ids).flip(0).numpy())
    index.get_indexer(index[:10])
    return lambda ids: rows(torch.from_numpy(index.get_indexer(ids.numpy())))


@torch.no_grad()
def main() -> None:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(description="Look-ups of packed rows and of float32 rows.")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--small", action="store_true", help="a hundredth of the ids: a rehearsal")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    machine = torch.cuda.get_device_name() if options.device == "cuda" else describe_machine()
    print(f"{machine}; torch {torch.__version__}; {options.threads} threads")
    for num_ids, batch in CASES:
        num_ids = num_ids // 100 if options.small else num_ids
        packed = packed_table(num_ids).to(options.device)
        rows = nn.Embedding(num_ids, packed.embedding_dim, device=options.device)
        known = torch.arange(num_ids, device=options.device)
        calls: dict[str, Call] = {
            "nn.Embedding by row number": rows,
            "packed, 4 bytes of codes": packed,
            "torch.searchsorted, nn.Embedding": lambda ids, rows=rows, known=known: rows(
                torch.searchsorted(known, ids)
            ),
        }
        if options.device == "cpu":
            calls["pandas index, nn.Embedding"] = by_index(num_ids, rows)
        timed(calls, num_ids, batch, options.device)


if __name__ == "__main__":
    main()
