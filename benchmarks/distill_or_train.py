"""A sketch of a quarter of a table's size: distilled from the table, or trained from scratch?

GMF on ML-100K. A full table is trained; its rows are distilled into sketches, each id weighted by
its training events, under the score weights of the table's model; and the whole is trained on, at
rates that begin at a fraction of the recipe's and fall to zero. Against it stand sketches trained
from scratch: for as many epochs as the recipe has, for as many as cost the same as table,
distillation and fine-tuning together, and for as many as the last two cost, for those who have the
table anyway. Cost is in processor seconds, which other work on the machine does not count in. On
seed 0 the same is done with all ids weighted alike.

Run: TABLEFREE_DATA=FOLDER OMP_NUM_THREADS=1 python benchmarks/distill_or_train.py [--steps 2000]
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

import torch

from tablefree import Distillation, Embedding, distill
from tablefree.data.load import load_interactions
from tablefree.experiments.learner import Contender, Learner
from tablefree.experiments.task import Side, Task
from tablefree.machine import describe_machine

DIM, SIZE = 32, 1 / 4
TABLE, SKETCH = Contender("table", "full_table"), Contender("sketch", "sketch")
RATE = 0.3  # of fine-tuning, in place of 1


class Outcome(NamedTuple):
    """The test AUC of a model, and its cost in processor seconds, all before it included."""

    auc: float
    seconds: float
    epochs: int = 0
    kept: tuple[float, ...] = ()  # of the variance of users and items, by weight


def untrained(
    contender: Contender, task: Task, seed: int, max_epochs: int | None = None
) -> Learner:
    run = contender.run(
        task.events_per_id, size=SIZE, seed=seed, embedding_dim=DIM, max_epochs=max_epochs
    )
    return Learner(contender, run, task)


def train(learner: Learner, before: float = 0.0) -> Outcome:
    start = time.process_time()
    epochs = learner.learn().epochs
    seconds = time.process_time() - start
    return Outcome(learner.auc(learner.task.test), before + seconds, epochs)


def distil(table: Learner, sketch: Learner, before: float, steps: int, weighted: bool) -> Outcome:
    """Make a model over sketches of a model over tables, which keeps its score weights."""
    start = time.process_time()
    old, new = table.model, sketch.model
    new.load_state_dict(
        {name: value for name, value in old.state_dict().items() if name in ("weight", "bias")},
        strict=False,
    )
    reports = [
        distil_side(*sides, steps, weighted)
        for sides in (
            (table.task.users, old.users, new.users),
            (table.task.items, old.items, new.items),
        )
    ]
    seconds = time.process_time() - start
    kept = tuple(report.weighted_variance_kept for report in reports)
    return Outcome(sketch.auc(sketch.task.test), before + seconds, kept=kept)


def distil_side(
    side: Side, old: Embedding, new: Embedding, steps: int, weighted: bool
) -> Distillation:
    """Fit to the rows of the ids that have a training event."""
    counts = torch.from_numpy(side.train_counts)
    known = counts > 0
    with torch.no_grad():
        rows = old(side.keys(old)[known])
    return distill(
        rows,
        new,
        ids=side.keys(new)[known],
        weights=counts[known] if weighted else None,
        steps=steps,
        seed=0,
    )


def fine_tune(learner: Learner, epochs: int, before: float) -> Outcome:
    recipe = learner.run.recipe
    assert recipe.network_learning_rate is not None
    slow = replace(
        recipe,
        learning_rate=RATE * recipe.learning_rate,
        network_learning_rate=RATE * recipe.network_learning_rate,
        max_epochs=epochs,
    )
    learner.run = replace(learner.run, recipe=slow)
    return train(learner, before)


def outcomes(task: Task, seed: int, steps: int, epochs: int) -> Iterator[tuple[str, Outcome]]:
    teacher = untrained(TABLE, task, seed)
    table = train(teacher)
    yield "full table", table
    for weighted in (True,) if seed else (False, True):
        name = "" if weighted else ", ids alike"
        student = untrained(SKETCH, task, seed)
        distilled = distil(teacher, student, table.seconds, steps, weighted)
        yield f"distilled{name}", distilled
        tuned = fine_tune(student, epochs, distilled.seconds)
        yield f"distilled, fine-tuned{name}", tuned
    scratch = train(untrained(SKETCH, task, seed))
    yield "from scratch", scratch
    for name, seconds in (
        ("at the cost of all", tuned.seconds),
        ("at the cost without the table", tuned.seconds - table.seconds),
    ):
        max_epochs = round(seconds * scratch.epochs / scratch.seconds)
        yield f"from scratch, {name}", train(untrained(SKETCH, task, seed, max_epochs))


def line(name: str, some: list[Outcome]) -> str:
    aucs, seconds, epochs, kept = zip(*some, strict=True)
    spread = f" ± {stdev(aucs):.4f}" if len(some) > 1 else ""
    shares = ", ".join(f"{mean(side):.2f}" for side in zip(*kept, strict=True))
    return (
        f"{name:<46}{mean(aucs):.4f}{spread}, {mean(seconds):.1f} s"
        + (f", {mean(epochs):.0f} epochs" if any(epochs) else "")
        + (f", variance kept of users and items {shares}" if shares else "")
    )


def main() -> None:
    """Print the test AUC of each seed as it comes, then means and deviations."""
    parser = argparse.ArgumentParser(description="Distil a table into a sketch, or train it.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500, help="of each distillation")
    parser.add_argument("--epochs", type=int, default=5, help="of fine-tuning")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task = Task.from_interactions(
        load_interactions(str(Path(os.environ["TABLEFREE_DATA"]) / "ml-100k"))
    )
    print(f"{describe_machine()}; torch {torch.__version__}")
    all_seeds = defaultdict(list)
    for seed in range(arguments.seeds):
        for name, outcome in outcomes(task, seed, arguments.steps, arguments.epochs):
            all_seeds[name].append(outcome)
            print(f"seed {seed}: {line(name, [outcome])}", flush=True)
    print(f"\nMeans of {arguments.seeds} seeds, those of ids alike of seed 0 alone")
    for name, some in all_seeds.items():
        print(line(name, some))


if __name__ == "__main__":
    main()
