"""Time and memory of a training step on a sketch as its rows grow: dense AdamW against `RowAdam`.

Each step has 4,096 ids that no step had before: forward, backward, and an update of the rows and of
the decoder. The time is the median of the steps. "Held" is what stays between steps, weights and
moments; "added" what steps add to the resident set at their peak. `RowAdam` goes over all rows when
the scale that holds their decay gets small: "all rows" is the time of that, spread over the steps
between. Each case has a process of its own. "Claims" is the time in which as many new ids, looked
up in training for the first time, get rows of their own. Linux only.

Run: python benchmarks/row_updates.py [--rows 100000000] (10^8 rows: 2 GB)
"""

import argparse
import math
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

from tablefree import SketchEmbedding, optimizers
from tablefree.encodings.row_claims import SLOTS, RowClaims
from tablefree.machine import describe_machine
from tablefree.rows.table import SMALLEST_SCALE

NUM_HASHES, CODE_WIDTH, EMBEDDING_DIM, BATCH = 4, 2, 32, 4096
RATE, DECAY = 0.1, 0.1
STEPS = 30
SMALLEST, LARGEST_DENSE = 10**5, 10**7  # rows


def status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def measure(num_rows: int, sparse: bool) -> None:
    """Print the row of the table for one case."""
    embedding = SketchEmbedding(
        EMBEDDING_DIM,
        num_rows=num_rows // NUM_HASHES,
        code_width=CODE_WIDTH,
        num_hashes=NUM_HASHES,
        seed="item_id",
        sparse=sparse,
    )
    optimizer = optimizers(embedding, learning_rate=RATE, weight_decay=DECAY)

    def step(first: int, size: int) -> float:
        start = time.perf_counter()
        optimizer.zero_grad()
        embedding(torch.arange(first, first + size)).square().mean().backward()
        optimizer.step()
        return time.perf_counter() - start

    step(0, 2)
    states = [tensor for state in optimizer.state.values() for tensor in state.values()]
    moments = [tensor for tensor in states if isinstance(tensor, torch.Tensor) and tensor.ndim]
    for tensor in moments:
        tensor.add_(0)  # pages that were never written are not resident yet
    optimizer.zero_grad()
    held = sum(tensor.nbytes for tensor in (*embedding.parameters(), *moments))
    before = status_bytes("VmRSS")
    milliseconds = median(step(BATCH * number, BATCH) for number in range(1, STEPS + 1)) * 1e3
    added = max(0, status_bytes("VmHWM") - before)
    spread = f"{flush_milliseconds(embedding):.3f} ms" if sparse else "-"
    print(
        f"{'RowAdam' if sparse else 'AdamW':8}{num_rows:>13,}{milliseconds:>9.1f} ms"
        f"{spread:>12}{held / 1e6:>10.1f} MB{added / 1e6:>9.1f} MB",
        flush=True,
    )


def flush_milliseconds(embedding: SketchEmbedding) -> float:
    """The time of a pass over all rows, spread over the steps between two of them."""
    rows = embedding.encoding.rows
    rows.decay(0.5)
    start = time.perf_counter()
    rows.flush()
    steps_between = math.log(SMALLEST_SCALE) / math.log(1 - RATE * DECAY)
    return (time.perf_counter() - start) * 1e3 / steps_between


def claim_milliseconds(num_rows: int) -> float:
    """The median time of a batch of new ids to get rows."""
    claims = RowClaims(num_rows // SLOTS * SLOTS, seed="item_id")
    generator = torch.Generator().manual_seed(0)
    times = []
    for _ in range(STEPS):
        ids = torch.randint(-(2**63), 2**63 - 1, (BATCH,), generator=generator)
        start = time.perf_counter()
        claims.claim(ids)
        times.append(time.perf_counter() - start)
        claims.unlearnt.forget(lambda rows: rows[:, None])
    return median(times) * 1e3


def main() -> None:
    """Measure every case in a process of its own, or one case here."""
    parser = argparse.ArgumentParser(description="Training steps as the rows of a sketch grow.")
    parser.add_argument("--rows", type=int, default=10**7, help="most rows, all tables together")
    parser.add_argument("--case", choices=("dense", "sparse"), help="measure only this, here")
    arguments = parser.parse_args()
    if arguments.case:
        return measure(arguments.rows, arguments.case == "sparse")

    print(
        f"{describe_machine()}; batch {BATCH}, {NUM_HASHES} hashes, rows of {CODE_WIDTH}, one "
        f"hidden layer of 64, d {EMBEDDING_DIM}\n"
        f"{'':8}{'rows':>13}{'step':>12}{'all rows':>12}{'held':>13}{'added':>12}",
        flush=True,
    )
    exponents = range(round(math.log10(SMALLEST)), math.floor(math.log10(arguments.rows)) + 1)
    for case in ("dense", "sparse"):
        for num_rows in (10**exponent for exponent in exponents):
            if case == "sparse" or num_rows <= LARGEST_DENSE:
                command = [sys.executable, __file__, "--case", case, "--rows", str(num_rows)]
                subprocess.run(command, check=True)
    for num_rows in (10**exponent for exponent in exponents):
        print(f"{'Claims':8}{num_rows:>13,}{claim_milliseconds(num_rows):>9.1f} ms", flush=True)
    return None


if __name__ == "__main__":
    main()
