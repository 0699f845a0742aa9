"""How fast do plans train? Steps of a DLRM with tables by row number, and with planned embeddings.

Thirty columns of categories, two of them of a million values, and ten of numbers; batches of 8,192,
d 16. The tables have row numbers already, which a pass over the data found; planned embeddings take
ids. The tables learn as `nn.Embedding` does, by gradients of all rows, and once more as tablefree
trains any rows that are many. All take turns, and medians are told; data in memory.

Run: python benchmarks/train_events.py [--threads 2] [--device cuda]
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device

from tablefree.fields.events import Events
from tablefree.fields.kinds import Column
from tablefree.fields.model import Predictor
from tablefree.fields.plan import plan
from tablefree.fields.profile import ColumnProfile, Profile
from tablefree.machine import describe_machine
from tablefree.rows.table import sparse_gradients
from tablefree.training.events import Batches, Encoded, event_loss, new_predictor
from tablefree.training.optimizers import Optimizers, optimizers

ROWS, BATCH, STEPS, FIRST = 1_000_000, 8_192, 40, 5
VALUES = [10] * 10 + [300] * 6 + [2_000] * 6 + [20_000] * 6 + [1_000_000] * 2
NUMBERS = 10
PLANNED_ROWS = 10_000_000  # in which each value occurs several times
TABLES = "tables by row number"
ID = 2_654_435_761  # makes of a number an id like any other


def events(rng: np.random.Generator) -> tuple[Events, Profile]:
    """Rows whose values are Zipf distributed, uniform in the largest columns; labels at random."""
    chances = rng.random((len(VALUES), ROWS))
    ids = [
        (chance * size if size == max(VALUES) else (size + 1.0) ** chance).astype(np.int64) * ID
        for size, chance in zip(VALUES, chances, strict=True)
    ]
    columns = [Column(f"c{number}", "categorical", "integer") for number in range(len(VALUES))]
    columns += [Column(f"n{number}", "numeric", "float") for number in range(NUMBERS)]
    sizes = [*VALUES, *[ROWS] * NUMBERS]
    profiles = {
        column.name: ColumnProfile(
            column, ROWS, 0, size, ROWS, (PLANNED_ROWS // size,), (), ((ROWS, size),), None
        )
        for column, size in zip(columns, sizes, strict=True)
    }
    found = Events(
        tuple(column.name for column in columns[: len(VALUES)]),
        torch.from_numpy(np.stack(ids, 1)),
        {},
        rng.standard_normal((ROWS, NUMBERS)),
        (rng.random(ROWS) < 0.2).astype(np.float32),
        None,
        None,
    )
    return found, Profile("generated rows", ROWS, profiles, {}, ())


def step(
    predictor: Predictor, batches: Iterator[Encoded], optimizer: Optimizers, device: str
) -> float:
    """The seconds of a step, the making of its batch included."""
    start = time.perf_counter()
    loss = event_loss(predictor, move_data_to_device(next(batches), torch.device(device)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Print the rows a second of each, and the ratio to tables."""
    parser = argparse.ArgumentParser(description="Training steps of plans, against tables.")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    device = arguments.device
    torch.set_num_threads(arguments.threads)
    machine = torch.cuda.get_device_name() if device == "cuda" else describe_machine()
    print(f"{machine}; torch {torch.__version__}; {torch.get_num_threads()} threads")
    found, profile = events(np.random.default_rng(0))
    full = plan(profile, method="full_table")
    plans = {TABLES: full, "tables as trained": full}
    plans |= {f"planned at 1/{part}": plan(profile, ratio=1 / part) for part in (4, 16, 64)}
    runs: dict[str, tuple[Predictor, Iterator[Encoded], Optimizers, list[float]]] = {}
    with ExitStack() as stack:
        for name, one in plans.items():
            predictor = new_predictor(one, found, model="dlrm", seed=0)
            batches = iter(Batches(predictor, found, BATCH, seed=0))
            predictor = predictor.train().to(device)
            if name != TABLES:
                stack.enter_context(sparse_gradients(predictor))
            runs[name] = (predictor, batches, optimizers(predictor), [])
        for _ in range(STEPS):
            for predictor, batches, optimizer, seconds in runs.values():
                seconds.append(step(predictor, batches, optimizer, device))
    tables = median(runs[TABLES][3][FIRST:])
    for name, (*_, seconds) in runs.items():
        one = median(seconds[FIRST:])
        print(
            f"{name:22} {one * 1e3:7.1f} ms a step  {BATCH / one:9,.0f} rows/s  {tables / one:.2f}"
        )


if __name__ == "__main__":
    main()
