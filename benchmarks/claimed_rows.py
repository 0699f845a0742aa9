"""Is a row without a vocabulary as good as a table's? Test AUC of claimed rows and of full tables.

Both are embeddings of a GMF, trained as `tablefree compare` trains a full table by default. Claimed
rows have `--room` rows an id and shared ones besides, and fingerprints in the place of the
vocabulary.

Run: python benchmarks/claimed_rows.py --data DATA [--seeds 3 --room 1.1 --epochs 20]
"""

import argparse
from dataclasses import dataclass
from statistics import mean, stdev

import torch

from tablefree import ClaimedRows, Embedding
from tablefree.data.load import load_interactions
from tablefree.embeddings.quantize import deployed_bytes
from tablefree.encodings.row_claims import SLOTS
from tablefree.experiments.evaluation import evaluate, vocabulary_bytes
from tablefree.experiments.recipes import default_recipe, steps_per_epoch
from tablefree.experiments.run import train
from tablefree.experiments.spec import Run
from tablefree.experiments.task import Side, Task
from tablefree.machine import describe_machine

SHARED = 1 / 64  # rows of each of four shared tables, a row of one's own


@dataclass(frozen=True)
class ClaimedRun(Run):
    """A run whose ids claim rows."""

    room: float = 1.1

    def _without_features(self, side: Side, spent: int = 0) -> Embedding:  # noqa: ARG002
        capacity = -(-int(self.room * side.num_embeddings) // SLOTS) * SLOTS
        return ClaimedRows(
            capacity,
            self.embedding_dim,
            num_rows=max(1, int(SHARED * capacity)),
            seed=f"{side.name}:{self.seed}",
        )


def measured(run: Run, task: Task) -> tuple[float, int]:
    """Test AUC, and bytes in float32 with the vocabularies."""
    model, _ = train(run, task)
    keys = [
        side.keys(embedding)
        for side, embedding in ((task.users, model.users), (task.items, model.items))
    ]
    size = deployed_bytes(model, "float32", vocabulary_bytes(model, task))
    return float(evaluate(model, task, *keys)["test_auc"] or 0), size


def main() -> None:
    """Train both with each seed; print AUC, bytes and the difference."""
    parser = argparse.ArgumentParser(description="Test AUC of claimed rows and of full tables.")
    parser.add_argument("--data", required=True, help="as for `tablefree compare`")
    parser.add_argument("--item-column", default=None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--room", type=float, default=1.1, help="rows an id")
    parser.add_argument("--epochs", type=int, default=None)
    arguments = parser.parse_args()
    columns = {} if arguments.item_column is None else {"item_column": arguments.item_column}
    task = Task.from_interactions(load_interactions(arguments.data, **columns))
    recipe = default_recipe(
        "full_table",
        task.events_per_id,
        steps_per_epoch=steps_per_epoch(task),
        max_epochs=arguments.epochs,
    )
    print(f"{describe_machine()}; torch {torch.__version__}\n{task.interactions.name}", flush=True)
    differences = []
    for seed in range(arguments.seeds):
        table = Run("full_table", "gmf", 1.0, seed, 32, recipe)
        claimed = ClaimedRun("full_table", "gmf", 1.0, seed, 32, recipe, room=arguments.room)
        (auc, size), (other_auc, other_size) = (measured(run, task) for run in (table, claimed))
        differences.append(other_auc - auc)
        print(
            f"seed {seed}: full table {auc:.4f}, {size:,} bytes; claimed rows {other_auc:.4f}, "
            f"{other_size:,} bytes",
            flush=True,
        )
    spread = f" +- {stdev(differences):.4f}" if len(differences) > 1 else ""
    print(f"claimed rows - full table: {mean(differences):+.4f}{spread}")


if __name__ == "__main__":
    main()
