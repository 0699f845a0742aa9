"""What a comparison of plans trains: tables, and a plan for each method and number of bytes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from tablefree.errors import InputError
from tablefree.fields.plan import LARGE_METHODS, Plan, plan
from tablefree.fields.profile import Profile


@dataclass(frozen=True)
class Cell:
    """What is trained once: a model over a plan, and the budgets that it is packed into.

    Attributes:
        method: of large columns.
        model: of `fields.model.MODELS`.
        plan: of the collection.
        budgets: bytes of packed embeddings and vocabularies.
    """

    method: str
    model: str
    plan: Plan
    budgets: tuple[int, ...]

    @property
    def name(self) -> str:
        """What tells it from others of its model in the results."""
        return json.dumps(self.plan.config(), sort_keys=True)


def cells(
    found: Profile,
    ratios: Sequence[float],
    methods: Sequence[str] | None,
    models: Sequence[str],
    embedding_dim: int,
) -> tuple[tuple[Cell, ...], list[str]]:
    """Tables, and for each method plans at each ratio; those that train the same are one.

    Args:
        found: what is in the columns.
        ratios: to the bytes of float32 tables.
        methods: of large columns; None for all, each at the ratios that it can have.
        models: over the embeddings.
        embedding_dim: width of all embeddings.

    Returns:
        The cells, and why a method is left out, a line each.

    Raises:
        InputError: a ratio that a method named, or every method, cannot have.
    """
    tables = plan(found, method="full_table", embedding_dim=embedding_dim)
    by_name: dict[tuple[str, str], Cell] = {}
    left_out: dict[str, int] = {}  # why → the bytes
    chosen = dict.fromkeys(["full_table", *(LARGE_METHODS if methods is None else methods)])
    for method, ratio in product(chosen, ratios):
        budget = int(tables.table_bytes * ratio)
        try:
            one = (
                tables
                if method == "full_table"
                else plan(found, num_bytes=budget, method=method, embedding_dim=embedding_dim)
            )
            config = one.config()
        except InputError as error:
            reason = f"{method} within {budget:,} bytes: {error}"
            if methods is not None:
                raise InputError(reason) from error
            left_out[reason] = budget
            continue
        for model in models:
            name = json.dumps(config, sort_keys=True)
            known = by_name.get((model, name), Cell(method, model, one, ()))
            budgets = dict.fromkeys([*known.budgets, budget])  # methods may be one in few bytes
            by_name[model, name] = replace(known, budgets=tuple(budgets))
    plans = [cell for cell in by_name.values() if cell.method != "full_table"]
    for reason, budget in left_out.items():
        if not any(budget in cell.budgets for cell in plans):
            raise InputError(reason)
    return tuple(by_name.values()), list(left_out)
