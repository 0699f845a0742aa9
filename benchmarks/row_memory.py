"""Rows in fewer bytes while they learn: test AUC, bytes of a training and seconds.

The embeddings of a GMF are claimed rows (see benchmarks/claimed_rows.py), with the recipe of a full
table: in float32 with a second moment for each number, and in bfloat16 with one for each row. Both
learn by `RowAdam`. Bytes are those of parameters, fingerprints and moments.

Run: python benchmarks/row_memory.py --data DATA [--seeds 1 --room 1.1 --epochs 20]
"""

import argparse
from dataclasses import dataclass

import torch
from claimed_rows import ClaimedRun

from tablefree.data.load import load_interactions
from tablefree.experiments.evaluation import evaluate
from tablefree.experiments.recipes import default_recipe, steps_per_epoch
from tablefree.experiments.run import train
from tablefree.experiments.task import Task
from tablefree.machine import describe_machine
from tablefree.models import Recommender
from tablefree.rows import hold_rows
from tablefree.training.fit import ROWS


@dataclass(frozen=True)
class SparseRun(ClaimedRun):
    """A run of which all rows learn by `RowAdam`, however few they are."""

    def build_model(self, task: Task) -> Recommender:
        """Build the untrained model."""
        model = super().build_model(task)
        hold_rows(model, torch.float32)
        return model


def main() -> None:
    """Train all with each seed, and print a line each."""
    parser = argparse.ArgumentParser(description="Test AUC of rows in fewer bytes.")
    parser.add_argument("--data", required=True, help="as for `tablefree compare`")
    parser.add_argument("--item-column", default=None)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--room", type=float, default=1.1, help="rows an id")
    parser.add_argument("--epochs", type=int, default=None)
    arguments = parser.parse_args()
    columns = {} if arguments.item_column is None else {"item_column": arguments.item_column}
    task = Task.from_interactions(load_interactions(arguments.data, **columns))
    recipes = {
        rows: default_recipe(
            "full_table",
            task.events_per_id,
            steps_per_epoch=steps_per_epoch(task),
            max_epochs=arguments.epochs,
            rows=rows,
        )
        for rows in ROWS
    }
    print(f"{describe_machine()}; torch {torch.__version__}\n{task.interactions.name}", flush=True)
    num_ids = task.users.num_embeddings + task.items.num_embeddings
    for seed in range(arguments.seeds):
        for rows, recipe in recipes.items():
            run = SparseRun("full_table", "gmf", 1.0, seed, 32, recipe, room=arguments.room)
            model, fitted = train(run, task)
            keys = (
                side.keys(embedding)
                for side, embedding in ((task.users, model.users), (task.items, model.items))
            )
            print(
                f"seed {seed}, {rows}: validation AUC {fitted.validation_auc:.4f}, test AUC "
                f"{evaluate(model, task, *keys)['test_auc']:.4f}, "
                f"{fitted.training_bytes / num_ids:.1f} bytes an id, {fitted.seconds:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
