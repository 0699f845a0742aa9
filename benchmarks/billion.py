"""How large may a packed table be? Builds one, saves it, opens it memory-mapped, looks ids up.

The table is what `tablefree.pack` makes of claimed rows: fingerprints that ids really claimed, and
a residual code of 4 bytes each, which is random here, as nobody trains so many rows on this
machine. Looked up are ids that own rows, uniform at random and by Zipf's law, in batches; at first
the file's pages are not in memory.

Run: python benchmarks/billion.py [--ids 1000000000 --folder FOLDER]
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from tablefree import ClaimedRows, Form, packed_bytes
from tablefree.encodings.row_claims import SLOTS
from tablefree.kernels import op
from tablefree.machine import describe_machine
from tablefree.packing.packed_sketch import PackedSketch

WIDTH, FORM = 32, Form("residual", bits=8, num_codes=4)
LOAD = 0.93  # ids a row: all but few find one
PART = 2**20  # ids that claim rows at once
BATCH, LOOKUPS = 65_536, 2**21


def packed_table(num_ids: int) -> ClaimedRows:
    """A packed table of which the ids 0..num_ids-1 own the rows."""
    capacity = -(-int(num_ids / LOAD) // SLOTS) * SLOTS
    with torch.device("meta"):
        table = ClaimedRows(capacity, WIDTH, num_rows=SLOTS, seed="billion")
        packed = PackedSketch(table.encoding, FORM)
    table.encoding = packed.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    packed.shared.zero_()
    packed.set_books([torch.randn(packed.book_0.shape, generator=generator)])
    (only,) = packed.parts()
    slots = torch.zeros(capacity // SLOTS, SLOTS, dtype=torch.int16)
    for first in range(0, num_ids, PART):
        ids = torch.arange(first, min(first + PART, num_ids))
        op.give_rows(ids, slots, only.hashes.signed_seed)
    for part in only.buckets.split(PART):
        part.random_(generator=generator)
    only.slots.copy_(slots)
    return table.eval()


def looked_up(num_ids: int, law: str) -> Iterator[Tensor]:
    """Batches of ids: uniform, or by Zipf's law with exponent 1, the frequent ones anywhere."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(LOOKUPS // BATCH):
        chances = torch.rand(BATCH, generator=generator, dtype=torch.float64)
        if law == "uniform":
            yield (chances * num_ids).long()
        else:
            ranks = (num_ids + 1.0) ** chances
            yield (ranks.long() * 2_654_435_761) % num_ids


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_and_look_up(folder: Path, num_ids: int) -> None:
    """What a process that serves does, and how long it takes."""
    ClaimedRows.from_pretrained(folder, mapped=True)(torch.arange(10))  # imports and kernels
    before, start = resident(), time.perf_counter()
    table = ClaimedRows.from_pretrained(folder, mapped=True)
    print(f"opened in {time.perf_counter() - start:.2f} s")
    for threads in (1, torch.get_num_threads()):
        torch.set_num_threads(threads)
        for law in ("uniform", "uniform", "zipf"):
            batches = list(looked_up(num_ids, law))
            start = time.perf_counter()
            for ids in batches:
                table(ids)
            del ids
            seconds = time.perf_counter() - start
            print(
                f"{law}, {threads} threads: {LOOKUPS / seconds / 1e6:.2f} million look-ups a second"
            )
    ids = next(looked_up(num_ids, "uniform"))
    print(f"{(table.encoding(ids) != 0).any(1).double().mean():.2%} of ids have a row")
    del batches, ids
    print(f"memory grew by {(resident() - before) / 1e9:.2f} GB")


def main() -> None:
    """Build, save, and look up in a process of its own."""
    parser = argparse.ArgumentParser(description="A packed table of very many ids.")
    parser.add_argument("--ids", type=int, default=10**9)
    parser.add_argument("--folder", type=Path, help="of the table; a temporary one by default")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open is not None:
        open_and_look_up(arguments.open, arguments.ids)
        return
    print(f"{describe_machine()}; torch {torch.__version__}; {arguments.ids:,} ids", flush=True)
    with TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary) / "table"
        start = time.perf_counter()
        table = packed_table(arguments.ids)
        print(f"built in {time.perf_counter() - start:.0f} s: {packed_bytes(table) / 1e9:.3f} GB")
        start = time.perf_counter()
        table.save_pretrained(folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(
            f"saved in {time.perf_counter() - start:.0f} s: {size / 1e9:.3f} GB, "
            f"{size / arguments.ids:.2f} bytes an id",
            flush=True,
        )
        del table
        options = ["--open", str(folder), "--ids", str(arguments.ids)]
        subprocess.run([sys.executable, __file__, *options], check=True)


if __name__ == "__main__":
    main()
