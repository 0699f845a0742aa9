"""Does a code need fine levels? Test AUC on ML-1M by the number of levels m of each hash.

A GMF over deep hash embeddings of 1/4 of the full tables' parameters, trained as `tablefree train`
does by default, and also measured frozen. A code is (2H - (m - 1)) / (m - 1), with H the bucket.
Int8 holds 127 times the code: exactly for m = 2^7 (and 2), rounded for others. Bfloat16 holds
2H - (m - 1) exactly for m up to 2^8: such codes are exact up to their scale, 1 / (m - 1), after
which they are rounded like all others, but no two levels become one.

For one seed all m share hash functions (H has fewer leading bits), initial weights and batches.

Run: python benchmarks/small_buckets.py [--seeds 1 --epochs 10]
(data: $TABLEFREE_DATA/ml-1m, or downloaded)
"""

import argparse
from dataclasses import dataclass
from statistics import mean, stdev

import torch
from frozen_error import area, freeze, ml_1m, recipe

from tablefree import DeepHashEmbedding
from tablefree.experiments.run import train
from tablefree.experiments.spec import Run
from tablefree.experiments.task import Task
from tablefree.machine import describe_machine
from tablefree.models import Recommender

LEVELS = (20, 16, 8, 7, 4, 1)  # log2 of m
FROZEN = (torch.bfloat16, torch.int8)


@dataclass(frozen=True)
class RunWithLevels(Run):
    """A run of deep hash whose codes have another number of levels."""

    num_buckets: int

    def build_model(self, task: Task) -> Recommender:
        model = super().build_model(task)
        for embedding in (model.users, model.items):
            assert isinstance(embedding, DeepHashEmbedding)
            embedding.encoding.num_buckets = self.num_buckets
        return model


def areas(run: Run, task: Task) -> list[float]:
    """Test AUC as trained, and frozen in each dtype of `FROZEN`."""
    model, _ = train(run, task)
    return [area(one, task) for one in (model, *(freeze(model, dtype) for dtype in FROZEN))]


def summary(values: tuple[float, ...], sign: str = "") -> str:
    """Mean, and standard deviation over seeds."""
    spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
    return f"{mean(values):{sign}.4f}{spread}"


def main() -> None:
    """Train for each number of levels and seed, print AUCs and the change against 2^20 levels."""
    parser = argparse.ArgumentParser(description="Test AUC by the number of levels of a code.")
    parser.add_argument("--seeds", type=int, default=1, help="how many runs each")
    parser.add_argument("--epochs", type=int, default=10, help="at most")
    arguments = parser.parse_args()
    task = ml_1m()
    print(
        f"{describe_machine()}; torch {torch.__version__}\n"
        f"{task.interactions.name}, GMF, deep hash 1/4, {arguments.seeds} seeds, at most "
        f"{arguments.epochs} epochs; test AUC, as trained and frozen\n"
        f"{'levels':<7}{'float32':<16}{'bfloat16':<16}{'int8':<16}float32, change from 2^20",
        flush=True,
    )
    finest: tuple[float, ...] | None = None
    for levels in LEVELS:
        found = [
            areas(
                RunWithLevels(
                    "deep_hash", "gmf", 1 / 4, seed, 32, recipe(arguments.epochs), 2**levels
                ),
                task,
            )
            for seed in range(arguments.seeds)
        ]
        columns = list(zip(*found, strict=True))
        finest = finest or columns[0]
        change = tuple(mine - theirs for mine, theirs in zip(columns[0], finest, strict=True))
        cells = [f"2^{levels}".ljust(7), *(summary(column).ljust(16) for column in columns)]
        print("".join(cells) + summary(change, "+"), flush=True)


if __name__ == "__main__":
    main()
