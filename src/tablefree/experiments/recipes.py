"""Recipes where nothing is tuned: what was found on eight data sets (docs/lab-notes.md)."""

from typing import Any

from tablefree.experiments.task import Task
from tablefree.training.fit import Recipe, fast_precision

STEPS_PER_EPOCH = 128  # about so many, where the data allows
SMALLEST_BATCH, LARGEST_BATCH = 256, 4096
EPOCHS = 20
# Decay of rows under a decoder is this over the root of the events an id. Adam divides a row's
# gradient by the root of its mean square, which grows with its events: so the decay is that of one
# prior for all rows.
CODE_DECAY = 2.7
# Rows that are embeddings themselves want this much in an epoch, whatever their events, and each
# step its share. Both were found on eight data sets: docs/lab-notes.md, "Defaults again".
TABLE_DECAY = 110.0
LARGEST_DECAY = 2.0  # the largest that was the best on any data
RATE = 0.03
# With one moment for all numbers of a row, those of large gradients move faster than in Adam. Where
# ids have many events, that costs accuracy at the full rate: docs/lab-notes.md, "Rows in bfloat16".
FEW_EVENTS = 20.0


def default_recipe(
    method: str,
    events_per_id: float,
    *,
    steps_per_epoch: float = STEPS_PER_EPOCH,
    has_decoder: bool = False,
    **changes: Any,
) -> Recipe:
    """The recipe for a method where nothing is tuned, and the first trial where something is.

    Rows learn faster than networks, and decay: see `TABLE_DECAY` and `CODE_DECAY`. A network
    without rows under it, that of "deep_hash", has Muon and decay instead.

    Args:
        method: of the embeddings.
        events_per_id: see `Task.events_per_id`.
        steps_per_epoch: batches of an epoch, see `steps_per_epoch`.
        has_decoder: whether a method that has no decoder of its own is given one.
        changes: fields of `Recipe` that are to be other than the default, unless None.
    """
    has_rows = method != "deep_hash"
    is_code = has_decoder or method in ("sketch", "narrow_table")
    decay = (
        CODE_DECAY / max(1.0, events_per_id) ** 0.5
        if is_code
        else min(LARGEST_DECAY, TABLE_DECAY / steps_per_epoch)
    )
    rate = RATE
    if changes.get("rows") == "bfloat16" and not is_code:
        rate *= (FEW_EVENTS / max(FEW_EVENTS, events_per_id)) ** 0.5
    defaults: dict[str, Any] = {
        "learning_rate": float(f"{rate:.2g}"),
        "weight_decay": float(f"{decay:.2g}"),
        "network_learning_rate": 0.01,
        "network_weight_decay": 0.0 if has_rows else 0.1,
        "optimizer": "adamw" if has_rows else "muon",
        "max_epochs": EPOCHS,
        # Rates fall to zero, and what stood still for half of the epochs rises when they are low.
        "patience": changes.get("max_epochs") or EPOCHS,
        # With few numbers a row, products in bfloat16 are slower: each new number of distinct ids
        # has oneDNN compile a kernel.
        "precision": "float32" if has_rows else fast_precision(),
    }
    given = {name: value for name, value in changes.items() if value is not None}
    return Recipe(**defaults | given)


def batch_size(task: Task) -> int:
    """Events a batch: about `STEPS_PER_EPOCH` batches, a power of two within bounds."""
    wanted = max(1, len(task.split.train) // STEPS_PER_EPOCH)
    return min(LARGEST_BATCH, max(SMALLEST_BATCH, 1 << wanted.bit_length()))


def steps_per_epoch(task: Task) -> int:
    """Batches of an epoch, of the size that is the default."""
    return -(-len(task.split.train) // batch_size(task))
