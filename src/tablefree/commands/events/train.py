"""`tablefree train`, on events of many columns."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from tablefree.commands.events.tables import WIDTH, plan_tables, read_task
from tablefree.commands.options import ByteSize, ColumnOptions, DataOptions, TrainingOptions
from tablefree.commands.screen import EVENT_MEASURES, console, say, show_measures

if TYPE_CHECKING:
    from tablefree.fields.plan import Plan

METHOD = "claimed_rows"


def train_on_events(
    data: DataOptions,
    columns: ColumnOptions,
    training: TrainingOptions,
    *,
    split: str | None,
    model: str,
    method: str,
    num_bytes: str | None,
    seed: int,
    rates: dict[str, float | None],
    output: Path | None,
) -> None:
    """Plan, train, pack and save; what each option is, `tablefree train` says.

    Args:
        data: what is read, as all that follow.
        columns: what they are taken for.
        training: width and epochs.
        split: of the events.
        model: over the embeddings.
        method: of large columns.
        num_bytes: of the packed embeddings; by default 1/16, and tables are not packed.
        seed: of all that is random.
        rates: fields of the recipe; None for the default.
        output: the folder.
    """
    from tablefree.checks import check_choice
    from tablefree.experiments.event_models import train_predictor
    from tablefree.experiments.plans import RECIPE
    from tablefree.fields.model import MODELS
    from tablefree.fields.plan import LARGE_METHODS, plan

    check_choice("model", model, tuple(MODELS))
    check_choice("method", method, LARGE_METHODS)
    size = ByteSize.of(num_bytes or "1/16")
    given: dict[str, Any] = {**rates, "max_epochs": training.epochs}
    recipe = replace(RECIPE, **{name: one for name, one in given.items() if one is not None})
    task = read_task(data, columns, split)
    width = training.embedding_dim or WIDTH
    chosen = plan_tables(task.profile, width)
    budget = None
    if method != "full_table" or num_bytes is not None:
        budget = round(size.ratio(chosen.table_bytes) * chosen.table_bytes)
    if method != "full_table":
        chosen = plan(task.profile, num_bytes=budget, method=method, embedding_dim=width)
    folder = output or Path("checkpoints") / f"{task.name}-{model}-{method}"
    checkpoint = train_predictor(
        task,
        chosen,
        recipe,
        folder,
        model=model,
        seed=seed,
        num_bytes=budget,
        show_progress=True,
        on_packing=lambda: say("Packing: the best form of the rows is found in validation"),
    )
    _show_features(checkpoint.run["features"], chosen)
    show_measures(checkpoint.measures, EVENT_MEASURES)
    say(_of_bytes(checkpoint.run))
    say(f"Checkpoint: {folder}")


def _show_features(features: Any, plan: "Plan") -> None:
    """Print what each feature got, and what a float32 table of it would take."""
    from tablefree.reports.summary import megabytes, method_name

    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for heading in ("Feature", "Method", "Form of a row"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Bytes", "A table"):
        table.add_column(heading, justify="right", no_wrap=True)
    for field in plan.fields:
        got = features[field.name]
        sizes = map(megabytes, (got["num_bytes"], field.table_bytes))
        table.add_row(field.name, method_name(got["method"]), got["form"], *sizes)
    console.print(table)


def _of_bytes(run: Mapping[str, Any]) -> str:
    """What a model takes, and what its packing cost."""
    from tablefree.reports.summary import auc, megabytes

    embeddings, vocabularies, network = (
        megabytes(run[f"{name}_bytes"]) for name in ("embedding", "vocabulary", "network")
    )
    text = f"{embeddings} of embeddings and {vocabularies} of vocabularies"
    if run["num_bytes"] is not None:
        text += f", of {megabytes(run['num_bytes'])} allowed"
    text += f"; {network} of network besides"
    if run["form"] != "float32":
        text += f"; validation AUC {auc(run['float32_validation_auc'])} before packing"
    return text
