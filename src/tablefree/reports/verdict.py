"""What packed forms say in plain words: in how few bytes the full table's AUC is held."""

from collections.abc import Iterable, Sequence

from tablefree.reports.frontier import Frontier, budget, measured, share
from tablefree.reports.summary import (
    PRACTICAL_DIFFERENCE,
    Row,
    auc,
    cell_name,
    compared,
    megabytes,
    noise,
    signed,
    spread,
)


def advice_in_bytes(frontier: Frontier) -> list[str]:
    """Say in how few bytes the full table's AUC is held, with a vocabulary and without.

    A form holds it that loses at most `PRACTICAL_DIFFERENCE` in test AUC.

    Args:
        frontier: of one data set, split and model.

    Returns:
        The verdict, then the sentences that support it.
    """
    full = frontier.full
    free, bound = _best(frontier, vocabulary=False), _best(frontier, vocabulary=True)
    if full is None or not free:
        return _first_results(full, free)
    held_free, held_bound = (next(filter(_holds, rows), None) for rows in (free, bound))
    shown = _fewer_bytes(held_free, held_bound) or max(
        free, key=lambda row: float(row["validation_auc"])
    )
    sentences = [
        _verdict(held_free, held_bound, shown, full),
        f"{_named(shown)} is the best in validation within {budget(shown)} {_vocabulary(shown)}: "
        f"test AUC {_auc(shown)} in {megabytes(shown['deployed_bytes'])}, against {_auc(full)} in "
        f"{megabytes(full['deployed_bytes'])} of the full table in float32 "
        f"({_to_full(shown, full)}).",
        *_peers(shown, frontier),
        *_other_budgets([row for row in free if row is not shown]),
        f"In training it takes {megabytes(shown['training_bytes'])}, and the full table "
        f"{megabytes(full['training_bytes'])}.",
    ]
    if min(row["seeds"] for row in (full, *free, *bound)) < 2:
        sentences.append(
            "Where a method has one seed only, differences of up to "
            f"{auc(PRACTICAL_DIFFERENCE)} count as noise."
        )
    return sentences


def _best(frontier: Frontier, *, vocabulary: bool) -> list[Row]:
    """Of methods with one, or without, the best in validation for each budget, smallest first."""
    best: dict[int, Row] = {}
    for row in measured(frontier.chosen):
        if (row["vocabulary_bytes"] > 0) == vocabulary:
            best.setdefault(row["budget_bytes"], row)
    return [best[size] for size in sorted(best)]


def _holds(row: Row) -> bool:
    return row["difference"] is not None and row["difference"] >= -PRACTICAL_DIFFERENCE


def _fewer_bytes(free: Row | None, bound: Row | None) -> Row | None:
    """The one of the smaller budget; of one budget the one without a vocabulary."""
    rows = [row for row in (free, bound) if row is not None]
    return min(rows, key=lambda row: int(row["budget_bytes"]), default=None)


def _verdict(free: Row | None, bound: Row | None, shown: Row, full: Row) -> str:
    if free is not None and shown is free:
        is_beaten = free["difference"] > noise(free, full)
        start, how = ("Drop the table", "beaten") if is_beaten else ("The table can go", "held")
        return (
            f"{start}: its AUC is {how} in {share(free)} of its bytes, without a vocabulary, by "
            f"{_named(free)}."
        )
    if bound is not None and shown is bound:
        without = f"in {share(free)} by {_named(free)}" if free else "in none of these budgets"
        return (
            f"Keep the vocabulary, and pack: the full table's AUC is held in {share(bound)} of its "
            f"bytes by {_named(bound)}; without a vocabulary {without}."
        )
    if shown["difference"] is not None and -shown["difference"] <= noise(shown, full):
        return "Undecided: run more seeds, the noise is as large as the difference."
    return "Keep the full table where it fits: in none of these budgets is its AUC held."


def _first_results(full: Row | None, free: Sequence[Row]) -> list[str]:
    if free:
        return [
            "The full table is not measured yet: what leaving it costs is unknown.",
            *(
                f"Within {budget(row)} the best without a vocabulary is {_named(row)}: test AUC "
                f"{_auc(row)}."
                for row in free
            ),
        ]
    if full:
        return [
            "No method without a vocabulary is packed yet.",
            f"The full table in float32 reaches {_auc(full)} in "
            f"{megabytes(full['deployed_bytes'])}.",
        ]
    return ["Neither the full table nor a method without a vocabulary is packed yet."]


def _peers(shown: Row, frontier: Frontier) -> Iterable[str]:
    """What the full table, what needs no vocabulary and the nearest rival are in as many bytes."""
    peers = measured(frontier.by_budget[shown["budget_bytes"]])
    peers.remove(shown)
    if shown["method"] != "full_table":
        table = next((row for row in peers if row["method"] == "full_table"), None)
        yield _packed_table(shown, table, frontier)
    if shown["vocabulary_bytes"] > 0:
        free = next((row for row in peers if row["vocabulary_bytes"] == 0), None)
        yield (
            f"Without a vocabulary the best there is {_beside(free, shown)}."
            if free
            else "No method without a vocabulary fits there."
        )
        peers = [row for row in peers if row is not free]
    rival = next((row for row in peers if row["method"] != "full_table"), None)
    if rival:
        yield f"The nearest rival there is {_beside(rival, shown)}."


def _packed_table(shown: Row, table: Row | None, frontier: Frontier) -> str:
    if table is not None:
        gain = table["test_auc"] - shown["test_auc"]
        word = "as good" if abs(gain) <= noise(table, shown) else "better" if gain > 0 else "worse"
        return (
            f"The full table packed for as many, in {table['form']} with its vocabulary, is "
            f"{word}: {_auc(table)} ({_compared(table, shown)})."
        )
    packed = [row for row in frontier.points if row["method"] == "full_table"]
    smallest = min(packed, key=lambda row: float(row["deployed_bytes"]))
    return (
        f"The full table does not fit there: its smallest form measured, {smallest['form']}, takes "
        f"{megabytes(smallest['deployed_bytes'])} with its vocabulary."
    )


def _other_budgets(rows: Sequence[Row]) -> Iterable[str]:
    if rows:
        listed = "; ".join(
            f"within {budget(row)} {_named(row)} {_auc(row)} ({signed(row['difference'])})"
            for row in rows
        )
        yield f"Best without a vocabulary, and its difference to the full table: {listed}."


def _named(row: Row) -> str:
    return f"{cell_name(row)} in {row['form']}"


def _vocabulary(row: Row) -> str:
    return "with a vocabulary" if row["vocabulary_bytes"] > 0 else "without a vocabulary"


def _auc(row: Row) -> str:
    return spread(row["test_auc"], row["test_auc_sd"])


def _beside(row: Row, other: Row) -> str:
    return f"{_named(row)}: {_auc(row)} ({_compared(row, other)})"


def _compared(row: Row, other: Row) -> str:
    return compared(row["test_auc"] - other["test_auc"], noise(row, other))


def _to_full(row: Row, full: Row) -> str:
    if row["difference"] is None:
        return "of other seeds"
    return compared(row["difference"], noise(row, full))
