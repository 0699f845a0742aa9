"""The commands: parse, call, print. What goes wrong is an exception, which `cli` turns into a line.

What is slow to import is imported by the command that needs it: --help should be quick.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from tablefree import __version__
from tablefree.embeddings import METHODS
from tablefree.errors import InputError

if TYPE_CHECKING:
    from tablefree.data import Interactions
    from tablefree.experiments.compare import Comparison
    from tablefree.experiments.task import Task

# The base of Typer's errors of usage has no public name: recent versions carry their own Click.
UsageError: Any = typer.BadParameter.__base__

MAX_JOBS = 8

METHOD_NAMES = ", ".join(METHODS)
MEASURES = {
    "validation_auc": "Validation AUC",
    "test_auc": "Test AUC",
    "test_log_loss": "Test log loss",
    "calibration_error": "Calibration error",
    "test_auc_head": "Test AUC, popular items",
    "test_auc_middle": "Test AUC, items between",
    "test_auc_tail": "Test AUC, rare items",
    "test_auc_unseen": "Test AUC, items unseen in training",
    "hit_rate_10": "HR@10",
    "ndcg_10": "NDCG@10",
    "recall_20": "Recall@20 of all items",
    "ndcg_20": "NDCG@20 of all items",
}

app = typer.Typer(
    name="tablefree",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
console = Console()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"tablefree {__version__}")
        raise typer.Exit


@app.callback()
def _commands(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Embeddings of categorical features without embedding tables."""


_DATA = "Data"
_TRAINING = "Training"

Data = Annotated[
    str,
    typer.Option(
        help="A file or folder, the name of a public data set such as ml-1m, or synthetic, "
        "synthetic-dense, synthetic-sparse.",
        rich_help_panel=_DATA,
    ),
]
UserColumn = Annotated[str | None, typer.Option(rich_help_panel=_DATA)]
ItemColumn = Annotated[str | None, typer.Option(rich_help_panel=_DATA)]
LabelColumn = Annotated[str | None, typer.Option(help="Column of 0 and 1.", rich_help_panel=_DATA)]
RatingColumn = Annotated[str | None, typer.Option(rich_help_panel=_DATA)]
TimestampColumn = Annotated[str | None, typer.Option(rich_help_panel=_DATA)]
PositiveRating = Annotated[
    float | None,
    typer.Option(help="Ratings of at least this are label 1, others 0.", rich_help_panel=_DATA),
]
SplitName = Annotated[
    str,
    typer.Option(
        "--split",
        help="random, leave-last-out, time, cold-items or cold-users.",
        rich_help_panel=_DATA,
    ),
]
CheckpointFolder = Annotated[Path, typer.Option(help="Folder that tablefree train wrote.")]
EmbeddingDim = Annotated[int, typer.Option(min=1, rich_help_panel=_TRAINING)]
OptimizerName = Annotated[
    str | None,
    typer.Option(
        "--optimizer",
        help="adamw, or muon: Muon for hidden matrices, AdamW for all else. By default muon for "
        "deep_hash, adamw for the others.",
        rich_help_panel=_TRAINING,
    ),
]
Decoder = Annotated[
    str,
    typer.Option(
        help="Hidden layers over the embeddings of any method, as 64 or 64,64.",
        rich_help_panel=_TRAINING,
    ),
]
Users = Annotated[
    str,
    typer.Option(
        help="What a user is: its id, the history of its items, or both.",
        rich_help_panel=_TRAINING,
    ),
]
SideFeatures = Annotated[
    str,
    typer.Option(
        help="Where the features that the data has go: none, encoding (beside the code, under the "
        "decoder) or input (over the finished embedding).",
        rich_help_panel=_TRAINING,
    ),
]
Epochs = Annotated[
    int | None, typer.Option(help="At most; by default 20.", min=1, rich_help_panel=_TRAINING)
]
Seeds = Annotated[int, typer.Option(min=1, help="How many runs each.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Runs at a time; by default one a core.")]
Precision = Annotated[
    str | None,
    typer.Option(
        help="float32 or bfloat16; by default whichever is faster here.",
        rich_help_panel=_TRAINING,
    ),
]


@app.command()
def compare(
    data: Data = "synthetic",
    user_column: UserColumn = None,
    item_column: ItemColumn = None,
    label_column: LabelColumn = None,
    rating_column: RatingColumn = None,
    timestamp_column: TimestampColumn = None,
    positive_rating: PositiveRating = None,
    split: SplitName = "random",
    model: Annotated[str, typer.Option(help="gmf, mlp or both: gmf,mlp.")] = "gmf",
    methods: Annotated[
        str | None,
        typer.Option(help=f"{METHOD_NAMES}; by default all, each at the sizes that it can have."),
    ] = None,
    sizes: Annotated[
        str, typer.Option(help="Parameters, as ratios to the full table's.")
    ] = "1/4,1/16",
    seeds: Seeds = 1,
    trials: Annotated[
        int,
        typer.Option(min=1, help="Configurations that each method is tried with; 1: the defaults."),
    ] = 12,
    decoder: Decoder = "",
    users: Users = "id",
    side_features: SideFeatures = "none",
    embedding_dim: EmbeddingDim = 32,
    optimizer: OptimizerName = None,
    epochs: Epochs = None,
    precision: Precision = None,
    jobs: Jobs = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of results; results/DATA-MODEL by default.")
    ] = None,
) -> None:
    """Compare embeddings with and without tables on your data.

    Trains each method at each size, its learning rates, weight decay and code width tuned on
    validation, and writes results.parquet, summary.md and report.html. Stopped, it resumes.

    Example: tablefree compare --data ml-1m --model gmf --sizes 1/4,1/16 --seeds 3
    """
    from tablefree.experiments import compare as comparing
    from tablefree.experiments.report import write_report
    from tablefree.experiments.run import Run, default_recipe
    from tablefree.experiments.task import Task
    from tablefree.files import check_writable

    models = _names(model)
    task = Task.from_interactions(
        _load(
            data,
            user_column=user_column,
            item_column=item_column,
            label_column=label_column,
            rating_column=rating_column,
            timestamp_column=timestamp_column,
            positive_rating=positive_rating,
        ),
        split,
    )
    template = Run(
        "sketch",
        models[0] if models else "",
        1.0,
        0,
        embedding_dim,
        default_recipe("sketch", task.events_per_id, max_epochs=epochs),
        _widths(decoder),
        users=users,
        side_features=side_features,
    )
    comparison = comparing.plan(
        task,
        template=template,
        models=models,
        methods=None if methods is None else _names(methods),
        sizes=[_ratio("size", size) for size in _names(sizes)],
        seeds=seeds,
        trials=trials,
        optimizer=optimizer,
        precision=precision,
    )
    folder = output or Path("results") / f"{task.interactions.name}-{'-'.join(models)}"
    check_writable(folder)
    _train_all(comparison, task, folder, jobs)
    report = write_report(folder)
    _print_table(folder)
    console.print(f"\nReport: {report}", soft_wrap=True, highlight=False)


@app.command()
def ablate(
    data: Data = "synthetic",
    user_column: UserColumn = None,
    item_column: ItemColumn = None,
    label_column: LabelColumn = None,
    rating_column: RatingColumn = None,
    timestamp_column: TimestampColumn = None,
    positive_rating: PositiveRating = None,
    split: SplitName = "random",
    model: Annotated[str, typer.Option(help="gmf or mlp.")] = "gmf",
    studies: Annotated[
        str | None,
        typer.Option(
            help="encoding, k, m, family, depth, activation, norm, skip, dropout, decay, "
            "optimizer, schedule, batch, epochs; and sketch-hashes, sketch-depth and so on, of the "
            "sketch instead of the paper's network; and load, load-shared and load-hashes, of its "
            "rows an id. By default all."
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="Parameters, as a ratio to the full table's.")] = "1/4",
    seeds: Seeds = 1,
    trials: Annotated[
        int,
        typer.Option(
            min=1, help="Configurations that each variant is tried with; 1: the defaults."
        ),
    ] = 12,
    embedding_dim: EmbeddingDim = 32,
    epochs: Epochs = None,
    precision: Precision = None,
    jobs: Jobs = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of results; results/ablate-DATA-MODEL by default.")
    ] = None,
) -> None:
    """Vary one factor at a time: encoding, depth, activation and so on.

    Each variant has the same number of parameters, but where rows an id are the factor, and its
    rates are tuned on validation. Writes results.parquet, summary.md, report.html and ablation.svg.
    Stopped, it resumes.

    Example: tablefree ablate --data ml-100k --studies encoding,depth --size 1/4
    """
    from tablefree.experiments.ablate import plan
    from tablefree.experiments.ablation_report import findings, panels_of, write_ablation
    from tablefree.experiments.results import read_results
    from tablefree.experiments.run import Run, default_recipe
    from tablefree.experiments.studies import STUDIES
    from tablefree.experiments.task import Task
    from tablefree.files import check_writable

    task = Task.from_interactions(
        _load(
            data,
            user_column=user_column,
            item_column=item_column,
            label_column=label_column,
            rating_column=rating_column,
            timestamp_column=timestamp_column,
            positive_rating=positive_rating,
        ),
        split,
    )
    recipe = default_recipe("deep_hash", task.events_per_id, max_epochs=epochs, precision=precision)
    template = Run("deep_hash", model, _ratio("size", size), 0, embedding_dim, recipe)
    chosen = list(STUDIES) if studies is None else _names(studies)
    comparison = plan(task, template=template, studies=chosen, seeds=seeds, trials=trials)
    folder = output or Path("results") / f"ablate-{task.interactions.name}-{model}"
    check_writable(folder)
    _train_all(comparison, task, folder, jobs)
    report = write_ablation(folder)
    for sentence in findings(panels_of(read_results(folder))):
        console.print(sentence, soft_wrap=True, highlight=False)
    console.print(f"\nReport: {report}", soft_wrap=True, highlight=False)


@app.command("cold-start")
def cold_start(
    data: Data = "synthetic",
    user_column: UserColumn = None,
    item_column: ItemColumn = None,
    label_column: LabelColumn = None,
    rating_column: RatingColumn = None,
    timestamp_column: TimestampColumn = None,
    positive_rating: PositiveRating = None,
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
    size: Annotated[str, typer.Option(help="Parameters, as a ratio to the full table's.")] = "1/4",
    seeds: Seeds = 1,
    embedding_dim: EmbeddingDim = 32,
    epochs: Epochs = None,
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
    from tablefree.experiments.growth_report import write_growth
    from tablefree.files import check_writable

    interactions = _load(
        data,
        user_column=user_column,
        item_column=item_column,
        label_column=label_column,
        rating_column=rating_column,
        timestamp_column=timestamp_column,
        positive_rating=positive_rating,
    )
    scenario = scenario_of(interactions, hold_out)
    cells, left_out = plan(
        scenario,
        methods=None if methods is None else _names(methods),
        size=_ratio("size", size),
        seeds=seeds,
        embedding_dim=embedding_dim,
        max_epochs=epochs,
    )
    folder = output or Path("results") / f"cold-start-{interactions.name}-{hold_out}"
    check_writable(folder)
    for reason in left_out:
        console.print(f"left out: {reason}", soft_wrap=True, highlight=False)
    try:
        for rows in carry_out(scenario, cells, folder):
            console.print(_steps_line(rows), soft_wrap=True, highlight=False)
    except KeyboardInterrupt:
        print("tablefree: stopped; the same command resumes", file=sys.stderr)
        raise typer.Exit(130) from None
    console.print(f"Report: {write_growth(folder)}", soft_wrap=True, highlight=False)


@app.command()
def train(
    data: Data = "synthetic",
    user_column: UserColumn = None,
    item_column: ItemColumn = None,
    label_column: LabelColumn = None,
    rating_column: RatingColumn = None,
    timestamp_column: TimestampColumn = None,
    positive_rating: PositiveRating = None,
    split: SplitName = "random",
    model: Annotated[str, typer.Option(help="gmf or mlp.")] = "gmf",
    method: Annotated[str, typer.Option(help=f"{METHOD_NAMES}.")] = "sketch",
    size: Annotated[str, typer.Option(help="Parameters, as a ratio to the full table's.")] = "1/4",
    seed: Annotated[int, typer.Option(min=0, help="Of all that is random.")] = 0,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Of rows; by default 0.03.", rich_help_panel=_TRAINING),
    ] = None,
    network_learning_rate: Annotated[
        float | None,
        typer.Option(help="Of all else; by default 0.01.", rich_help_panel=_TRAINING),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            help="Of rows; by default the more the fewer events an id has.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    decoder: Decoder = "",
    users: Users = "id",
    side_features: SideFeatures = "none",
    embedding_dim: EmbeddingDim = 32,
    optimizer: OptimizerName = None,
    epochs: Epochs = None,
    precision: Precision = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the checkpoint; checkpoints/DATA-MODEL-METHOD by default."),
    ] = None,
) -> None:
    """Train one configuration into a checkpoint.

    Writes model.safetensors, config.json and, in logs, a TensorBoard log.

    Example: tablefree train --data ml-1m --method sketch --size 1/4 --output ml-1m-sketch
    """
    from tablefree.experiments.run import Run, default_recipe
    from tablefree.experiments.single import train_checkpoint
    from tablefree.experiments.task import Task

    task = Task.from_interactions(
        _load(
            data,
            user_column=user_column,
            item_column=item_column,
            label_column=label_column,
            rating_column=rating_column,
            timestamp_column=timestamp_column,
            positive_rating=positive_rating,
        ),
        split,
    )
    recipe = default_recipe(
        method,
        task.events_per_id,
        learning_rate=learning_rate,
        network_learning_rate=network_learning_rate,
        weight_decay=weight_decay,
        optimizer=optimizer,
        max_epochs=epochs,
        precision=precision,
    )
    run = Run(
        method,
        model,
        _ratio("size", size),
        seed,
        embedding_dim,
        recipe,
        _widths(decoder),
        users=users,
        side_features=side_features,
    )
    folder = output or Path("checkpoints") / f"{task.interactions.name}-{model}-{method}"
    checkpoint = train_checkpoint(run, task, folder, show_progress=True)
    _print_measures(checkpoint.measures)
    console.print(f"Checkpoint: {folder}", soft_wrap=True, highlight=False)


@app.command()
def evaluate(
    checkpoint: CheckpointFolder,
    data: Data = "synthetic",
    user_column: UserColumn = None,
    item_column: ItemColumn = None,
    label_column: LabelColumn = None,
    rating_column: RatingColumn = None,
    timestamp_column: TimestampColumn = None,
    positive_rating: PositiveRating = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="random, leave-last-out, time, cold-items or cold-users; as in training by "
            "default.",
            rich_help_panel=_DATA,
        ),
    ] = None,
) -> None:
    """Measure a checkpoint on the test part of a data set.

    An id that a table has not seen in training has the row of unknown ids.

    Example: tablefree evaluate --checkpoint ml-1m-dhe --data ml-1m
    """
    from tablefree.experiments.single import evaluate_checkpoint
    from tablefree.training.checkpoint import load_checkpoint

    loaded = load_checkpoint(checkpoint)
    interactions = _load(
        data,
        user_column=user_column,
        item_column=item_column,
        label_column=label_column,
        rating_column=rating_column,
        timestamp_column=timestamp_column,
        positive_rating=positive_rating,
    )
    _print_measures(evaluate_checkpoint(loaded, interactions, split))


@app.command()
def embed(
    checkpoint: CheckpointFolder,
    feature: Annotated[str, typer.Option(help="user or item.")],
    output: Annotated[Path, typer.Option(help="A Parquet file.")],
    ids: Annotated[
        Path | None,
        typer.Option(
            help="One id a line, or a CSV, TSV or Parquet file; standard input if absent or -."
        ),
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(help="Column of ids; user_id or item_id by default.")
    ] = None,
) -> None:
    """Embed ids with a checkpoint, into a Parquet file.

    Its columns are id, as given, and embedding, a list of float32.

    Example: tablefree embed --checkpoint dhe --feature item --ids ids.txt --output items.parquet
    """
    from tablefree.data.id_stream import read_ids
    from tablefree.experiments.embed import write_embeddings
    from tablefree.network import check_choice
    from tablefree.training.checkpoint import load_checkpoint

    check_choice("feature", feature, ("user", "item"))
    loaded = load_checkpoint(checkpoint)
    keys = {"user": loaded.users, "item": loaded.items}[feature]
    embedding = {"user": loaded.model.users, "item": loaded.model.items}[feature]
    path = None if ids in (None, Path("-")) else ids
    chunks = read_ids(path, column=id_column, feature=feature, id_type=keys.id_type)
    embedded = write_embeddings(chunks, embedding, keys, output)
    if embedded.num_unknown:
        print(
            f"tablefree: {embedded.num_unknown} of {embedded.num_ids} ids are not in the "
            "checkpoint's vocabulary and have the embedding of unknown ids",
            file=sys.stderr,
        )
    console.print(f"{embedded.num_ids} embeddings: {output}", soft_wrap=True, highlight=False)


@app.command()
def bench(
    batch: Annotated[
        int | None, typer.Option(min=1, help="Ids a batch; by default 4096, or 65536 on a GPU.")
    ] = None,
    num_hashes: Annotated[
        int | None, typer.Option(min=1, help="Width of a code; by default 1024.")
    ] = None,
    hidden: Annotated[
        str, typer.Option(help="Hidden layers of each network, as 512-512,1800-1800.")
    ] = "512-512,1800-1800-1800-1800-1800",
    seconds: Annotated[
        float, typer.Option(min=0, max=3600, help="For each case; five repetitions at least.")
    ] = 4.0,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep", help="Networks only, by batch and width of the code: about half an hour."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    output: Annotated[Path, typer.Option(help="Folder of results.")] = Path("results/bench"),
) -> None:
    """Measure tablefree on this machine, against the floor of its arithmetic.

    Both sides of a ratio are timed by turns and their medians compared: about five minutes on two
    cores. Writes bench.parquet and bench.svg.

    Example: tablefree bench --output results/bench
    """
    from tablefree.benchmark.case import LeftOutError, measure, parse_hidden
    from tablefree.benchmark.cases import choose_device, default_cases, swept_cases
    from tablefree.benchmark.ceilings import measure_ceilings
    from tablefree.benchmark.chart import write_chart
    from tablefree.benchmark.results import result_row, write_results
    from tablefree.files import check_writable

    chosen = choose_device(device)
    plan = swept_cases if sweep else default_cases
    cases = plan(chosen, parse_hidden(hidden), batch=batch, num_hashes=num_hashes)
    check_writable(output)
    ceilings = measure_ceilings(chosen, seconds / 2)
    rows: list[Mapping[str, Any]] = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        for case in progress.track(cases, description="Measuring"):
            try:
                rows.append(result_row(case, measure(case, seconds), ceilings))
            except LeftOutError as reason:
                line = f"left out: {case.name}: {reason}"
                progress.console.print(line, soft_wrap=True, highlight=False)
    results = write_results(output, rows)
    _print_bench(rows)
    console.print(f"\nPicture: {write_chart(output, results)}", soft_wrap=True, highlight=False)


def _train_all(comparison: "Comparison", task: "Task", folder: Path, jobs: int | None) -> None:
    """Train what a folder does not hold yet, and say how it goes."""
    from tablefree.experiments import compare as comparing

    finished = comparing.finished_runs(comparison, task, folder)
    num_finished = sum(comparing.of_cell(finished, cell).height for cell in comparison.cells)
    for left_out in comparison.left_out:
        console.print(f"left out: {left_out}", soft_wrap=True, highlight=False)
    jobs = jobs or min(MAX_JOBS, os.cpu_count() or 1)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    try:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        ) as progress:
            bar = progress.add_task("Training", total=len(comparison), completed=num_finished)
            for row in comparing.compare(comparison, task, folder, jobs=jobs, threads=threads):
                progress.update(bar, advance=1)
                progress.console.print(_one_line(row), soft_wrap=True, highlight=False)
    except KeyboardInterrupt:
        print("tablefree: stopped; the same command resumes", file=sys.stderr)
        raise typer.Exit(130) from None


def _load(data: str, **options: str | float | None) -> "Interactions":
    from tablefree.data.load import load_interactions

    return load_interactions(data, **options)


def _names(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _widths(text: str) -> tuple[int, ...]:
    """Widths of layers, as 64 or 64,64."""
    try:
        widths = tuple(int(width) for width in _names(text))
    except ValueError as error:
        raise InputError(f"a decoder must be widths such as 64 or 64,64, got {text!r}") from error
    if any(width < 1 for width in widths):
        raise InputError(f"the widths of a decoder must be at least 1, got {text}")
    return widths


def _ratio(what: str, text: str) -> float:
    """A positive number, as 0.25 or 1/4."""
    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"a {what} must be a number such as 1/4 or 0.25, got {text!r}") from error
    if value <= 0:
        raise InputError(f"a {what} must be above 0, got {text}")
    return value


def _one_line(row: Mapping[str, Any]) -> str:
    tested = "pruned" if row["pruned"] else f"test AUC {row['test_auc']:.4f}"
    study = f"{row['study']}, {row['variant']}: " if row["study"] else ""
    return (
        f"{study}{row['method']} {row['model']} size {row['size']:g} seed {row['seed']} "
        f"trial {row['trial']}: validation AUC {row['validation_auc']:.4f}, {tested}, "
        f"{row['train_seconds']:.0f} s"
    )


def _steps_line(rows: Sequence[Mapping[str, Any]]) -> str:
    """The AUC of new ids at each step, or in a stream of old ones."""
    first = rows[0]
    measure = "auc_old" if first["hold_out"] == "time" else "auc_new"
    steps = ", ".join(
        f"{row['step']}: {row[measure]:.4f}" for row in rows if row[measure] is not None
    )
    return f"{first['method']} seed {first['seed']}: {measure} {steps}"


def _print_table(folder: Path) -> None:
    """Print the main columns of the results, and the verdict."""
    from tablefree.experiments.results import read_results
    from tablefree.experiments.summary import SECTION, TABLE, advice, summarise

    columns = ("Size", "Method", "Test AUC", "Bytes in all", "Multiply-adds an id")
    summary = summarise(read_results(folder))
    for _, section in summary.group_by(SECTION, maintain_order=True):
        table = Table(*columns)
        for row in section.to_dicts():
            table.add_row(*(TABLE[column](row) for column in columns))
        console.print(table)
        console.print(" ".join(advice(section)), highlight=False)


def _print_measures(measures: Mapping[str, float | None]) -> None:
    table = Table("Measure", "Value")
    for name, value in measures.items():
        table.add_row(MEASURES[name], "too few events" if value is None else f"{value:.4f}")
    console.print(table)


def _print_bench(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the ratios, then how near the networks come to the ceilings of the machine."""
    from tablefree.benchmark.results import heading

    ratios = Table("Numerator / denominator", box=None, pad_edge=False)
    for column in ("Ours, ms", "Against", "Ratio"):
        ratios.add_column(column, justify="right", no_wrap=True)
    ceilings = Table("Roofline of inference", box=None, pad_edge=False)
    for column in ("GFLOP", "MB", "GFLOP/s", "Ceiling", "Reached"):
        ceilings.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        ratio = "none" if row["ratio"] is None else f"{row['ratio']:.3f}"
        ratios.add_row(row["name"], _median(row, "ours"), _median(row, "against"), ratio)
        if row["gflops"] is not None:
            ceilings.add_row(
                row["name"].partition(", ")[2],
                f"{row['operations'] / 1e9:.3g}",
                f"{row['code_and_weight_bytes'] / 1e6:.3g}",
                f"{row['gflops']:.0f}",
                f"{row['ceiling_gflops']:.0f}",
                f"{row['ceiling_share']:.0%}",
            )
    console.print(*heading(rows[0]), sep="\n", soft_wrap=True, highlight=False)
    console.print(ratios)
    for note in dict.fromkeys(row["note"] for row in rows if row["note"]):
        console.print(note, soft_wrap=True, highlight=False)
    if ceilings.row_count:
        console.print()
        console.print(ceilings)


def _median(row: Mapping[str, Any], side: str) -> str:
    milliseconds = row[f"{side}_ms"]
    if milliseconds is None:
        return f"{row[f'{side}_mb']:.1f} MB"
    return f"{milliseconds:.3f}" if milliseconds < 100 else f"{milliseconds:.1f}"
