"""Sizes in bytes: what is trained for them, and what that is packed into."""

from collections.abc import Sequence
from dataclasses import replace

from tablefree.embeddings.budget import CLAIMED_SIZE
from tablefree.experiments.spec import Run
from tablefree.experiments.task import Task

# Methods that are trained once and packed into every size, and their parameters.
ONE_SIZE = {"full_table": 1.0, "claimed_rows": CLAIMED_SIZE}
# Parameters that are worth one of the full table's in float32, packed: of 4 bits each. Those of a
# network alone are float16, and so is the decoder of a sketch, which small tables feel.
PACKED_PARAMETERS = 8.0
OTHER_PARAMETERS = {"deep_hash": 2.0, "sketch": 4.0}


def in_bytes(run: Run, sizes: Sequence[float], task: Task) -> Run:
    """A run that is packed into some sizes.

    Args:
        run: of any size.
        sizes: as ratios to the bytes of full tables in float32 with their vocabularies.
        task: the data.

    Returns:
        The run with the number of parameters that suits the sizes, and with budgets.
    """
    full = task.table_bytes(run.embedding_dim)
    worth = OTHER_PARAMETERS.get(run.method, PACKED_PARAMETERS)
    parameters = ONE_SIZE.get(run.method, min(1.0, worth * max(sizes)))
    budgets = tuple(round(size * full) for size in sorted(sizes, reverse=True))
    return replace(run, parameters=parameters, budgets=budgets)
