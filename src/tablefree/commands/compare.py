"""`tablefree compare`."""

from pathlib import Path
from typing import Annotated

import typer

from tablefree.commands.events.compare import SIZES, compare_on_events
from tablefree.commands.events.tables import PAIR, are_events, others_given, refuse
from tablefree.commands.options import (
    METHOD_NAMES,
    MODELS,
    AnySplit,
    ByteSize,
    ColumnOptions,
    DataOptions,
    Jobs,
    ModelOptions,
    Precision,
    Seeds,
    TrainingOptions,
    given,
    names,
    ratio,
    widths,
)
from tablefree.commands.training import tell_results, train_pairs
from tablefree.errors import InputError

PAIR_SIZES = "1/8,1/16,1/32"


def compare(
    data: DataOptions,
    columns: ColumnOptions,
    of_model: ModelOptions,
    training: TrainingOptions,
    split: AnySplit = None,
    model: Annotated[
        str | None,
        typer.Option(help=f"{MODELS}; or several, as gmf,mlp. By default gmf, or dlrm."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help=f"{METHOD_NAMES}; by default all, each at the sizes that it can have. Of large "
            "columns of events: claimed_rows, multi_hash, hashing_trick, deep_hash; small ones "
            "keep tables."
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            help=f"As ratios to the full table's; by default {PAIR_SIZES}, and of events of many "
            f"columns {SIZES}."
        ),
    ] = None,
    num_bytes: Annotated[
        str | None,
        typer.Option("--bytes", help="Sizes as numbers of bytes, such as 500KB,6MB."),
    ] = None,
    sizes_in: Annotated[
        str | None,
        typer.Option(
            help="What sizes are of: bytes, packed, against the full table in float32 with its "
            "vocabulary, the default; or parameters."
        ),
    ] = None,
    seeds: Seeds = 1,
    trials: Annotated[
        int,
        typer.Option(min=1, help="Configurations that each method is tried with; 1: the defaults."),
    ] = 12,
    precision: Precision = None,
    jobs: Jobs = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of results; results/DATA-MODEL by default.")
    ] = None,
) -> None:
    """Compare embeddings with and without tables on your data.

    Trains each method, its learning rates, weight decay and code width tuned on validation, packs
    it into each size in bytes, and writes results.parquet, forms.parquet, summary.md and
    report.html. Stopped, it resumes.

    Data are users and items, or, with --label or another option of columns, events of any number
    of columns: then plans, which say for each column what it gets, are compared.

    Example: tablefree compare --data ml-1m --model gmf --sizes 1/8,1/16 --seeds 3

    Example: tablefree compare --data clicks.parquet --label clicked --sizes 1/4,1/16
    """
    if sizes is not None and num_bytes is not None:
        raise InputError("--sizes and --bytes say the same: pass one of them")
    if are_events(data, columns, model):
        chosen = sizes if num_bytes is None else num_bytes
        of_pairs = {"sizes_in": sizes_in, "precision": precision}
        refuse([*others_given(data, *PAIR), *given(of_model, **of_pairs)])
        compare_on_events(
            data,
            columns,
            training,
            split=split,
            models=names("dlrm" if model is None else model),
            methods=None if methods is None else names(methods),
            sizes=names(chosen if chosen is not None else SIZES),
            seeds=seeds,
            trials=trials,
            jobs=jobs,
            output=output,
        )
        return
    from tablefree.experiments.compare import plan
    from tablefree.experiments.recipes import default_recipe
    from tablefree.experiments.spec import Run
    from tablefree.files import held

    models = names("gmf" if model is None else model)
    ratios = [ratio(size) for size in names(PAIR_SIZES if sizes is None else sizes)]
    in_bytes = None if num_bytes is None else [ByteSize.of(size) for size in names(num_bytes)]
    decoder = widths(of_model.decoder)
    task = data.task(split or "random")
    template = Run(
        "sketch",
        models[0] if models else "",
        1.0,
        0,
        training.width,
        default_recipe("sketch", task.events_per_id, max_epochs=training.epochs),
        decoder,
        users=of_model.users,
        side_features=of_model.side_features,
    )
    comparison = plan(
        task,
        template=template,
        models=models,
        methods=None if methods is None else names(methods),
        sizes=ratios
        if in_bytes is None
        else [size.ratio(task.table_bytes(training.width)) for size in in_bytes],
        sizes_in=sizes_in or "bytes",
        seeds=seeds,
        trials=trials,
        optimizer=of_model.optimizer,
        precision=precision,
    )
    folder = output or Path("results") / f"{task.interactions.name}-{'-'.join(models)}"
    with held(folder):
        train_pairs(comparison, task, folder, jobs)
        tell_results(folder)
