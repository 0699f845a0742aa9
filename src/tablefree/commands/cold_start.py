"""`tablefree cold-start`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tablefree.commands.options import DataOptions, Seeds, Size, TrainingOptions, names, ratio
from tablefree.commands.screen import resumable, say, say_notes
from tablefree.commands.training import tell_results


def cold_start(
    data: DataOptions,
    training: TrainingOptions,
    hold_out: Annotated[
        str, typer.Option(help="item, user, or time: the later half, as a stream in parts.")
    ] = "item",
    methods: Annotated[
        str | None,
        typer.Option(
            help="Some of full_table, narrow_table, hashing_trick, deep_hash, sketch, "
            "sketch_with_features, user_history, item_history; by default all."
        ),
    ] = None,
    size: Size = "1/4",
    seeds: Seeds = 1,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of results; results/cold-start-DATA-HOLD_OUT by default."),
    ] = None,
) -> None:
    """See what embeddings make of new items or users, by their number of events.

    Holds some out of the training, reveals 0, 1, 2, 5 and 10 of their events, and measures what is
    known of them and what is forgotten of the others. Writes results.parquet, summary.md and
    report.html. Stopped, it resumes.

    Example: tablefree cold-start --data ml-100k --hold-out item --size 1/4
    """
    from tablefree.experiments.growth import carry_out, plan, scenario_of
    from tablefree.experiments.task import rating_notes
    from tablefree.files import held

    share = ratio(size)
    interactions = data.load()
    say_notes(rating_notes(interactions))
    scenario = scenario_of(interactions, hold_out)
    cells, left_out = plan(
        scenario,
        methods=None if methods is None else names(methods),
        size=share,
        seeds=seeds,
        embedding_dim=training.width,
        max_epochs=training.epochs,
    )
    folder = output or Path("results") / f"cold-start-{interactions.name}-{hold_out}"
    with held(folder):
        for reason in left_out:
            say(f"left out: {reason}")
        with resumable():
            for rows in carry_out(scenario, cells, folder):
                say(_in_a_line(rows))
        tell_results(folder)


def _in_a_line(rows: Sequence[Mapping[str, Any]]) -> str:
    """The AUC of new ids at each step, or in a stream of old ones."""
    first = rows[0]
    measure = "auc_old" if first["hold_out"] == "time" else "auc_new"
    steps = ", ".join(
        f"{row['step']}: {row[measure]:.4f}" for row in rows if row[measure] is not None
    )
    return f"{first['method']} seed {first['seed']}: {measure} {steps}"
