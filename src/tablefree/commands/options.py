"""What several commands ask for, each option described once."""

import re
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

import typer

from tablefree.commands.screen import say_notes
from tablefree.embeddings import METHODS
from tablefree.errors import InputError

if TYPE_CHECKING:
    from tablefree.data import Interactions
    from tablefree.experiments.task import Task

DATA, TRAINING = "Data", "Training"  # panels of --help
COLUMNS = "Columns of events, of which there may be any number"
METHOD_NAMES = ", ".join(METHODS)
LISTED = r"separated by commas; \, is a comma of a name"
SPLITS = "random, leave-last-out, time, cold-items or cold-users"


Data = Annotated[
    str,
    typer.Option(
        help="A file, a folder or pattern of files, an address such as s3://bucket/x.parquet, the "
        "name of a public data set such as ml-1m, or synthetic, synthetic-dense, synthetic-sparse, "
        "synthetic-clicks.",
        rich_help_panel=DATA,
    ),
]


PositiveRating = Annotated[
    float | None,
    typer.Option(
        help="Ratings of at least this are label 1, others 0; of events those of --label.",
        rich_help_panel=DATA,
    ),
]


@dataclass(frozen=True)
class DataOptions:
    """Where interactions come from, and which columns say what."""

    data: Data = "synthetic"
    user_column: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None
    item_column: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None
    label_column: Annotated[
        str | None, typer.Option(help="Column of 0 and 1.", rich_help_panel=DATA)
    ] = None
    rating_column: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None
    timestamp_column: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None
    positive_rating: PositiveRating = None
    id_type: Annotated[
        str | None,
        typer.Option(
            help="What ids are taken for: integer or string, or for users and items each, as "
            "integer,string; by default what the data says.",
            rich_help_panel=DATA,
        ),
    ] = None

    def load(self) -> "Interactions":
        """The interactions.

        Raises:
            InputError: see `load_interactions`.
        """
        from tablefree.data.load import load_interactions

        options = asdict(self)
        if self.id_type is not None:
            both = names(self.id_type)
            options["id_type"] = both if len(both) == 2 else self.id_type
        return load_interactions(**options)

    def task(self, split: str) -> "Task":
        """The interactions, split; what is to be known of them is printed.

        Raises:
            InputError: see `load_interactions` and `Task.from_interactions`.
        """
        from tablefree.experiments.task import Task

        task = Task.from_interactions(self.load(), split)
        say_notes(task.notes)
        return task


@dataclass(frozen=True)
class ColumnOptions:
    """What the columns of events are taken for, where it is not what is found."""

    label: Annotated[
        str | None,
        typer.Option(help="Column of 0 and 1 to be predicted.", rich_help_panel=COLUMNS),
    ] = None
    categorical: Annotated[
        str | None,
        typer.Option(
            help=f"Columns of ids, codes or lists of them, {LISTED}.", rich_help_panel=COLUMNS
        ),
    ] = None
    numeric: Annotated[
        str | None, typer.Option(help="Columns of numbers, likewise.", rich_help_panel=COLUMNS)
    ] = None
    date: Annotated[
        str | None,
        typer.Option(
            help="Columns of dates, for their hour and weekday; in UTC where they have no zone.",
            rich_help_panel=COLUMNS,
        ),
    ] = None
    time: Annotated[
        str | None,
        typer.Option(help="Column by which events are in order.", rich_help_panel=COLUMNS),
    ] = None
    group: Annotated[
        str | None,
        typer.Option(
            help="Column whose events of one value stay in one part.", rich_help_panel=COLUMNS
        ),
    ] = None
    drop: Annotated[
        str | None,
        typer.Option(help="Columns that are left out, likewise.", rich_help_panel=COLUMNS),
    ] = None

    def kinds(self) -> dict[str, Any]:
        """As `profile` takes them."""
        several = {name: names(getattr(self, name) or "") for name in SEVERAL}
        return {**asdict(self), **several}


@dataclass(frozen=True)
class TrainingOptions:
    """How wide embeddings are, and how long they are trained."""

    embedding_dim: Annotated[
        int | None,
        typer.Option(
            help="By default 32, and 16 for events of many columns.",
            min=1,
            rich_help_panel=TRAINING,
        ),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(
            help="At most; by default 20, and 6 for events of many columns.",
            min=1,
            rich_help_panel=TRAINING,
        ),
    ] = None

    @property
    def width(self) -> int:
        """Of the embeddings of users and items."""
        return self.embedding_dim or 32


@dataclass(frozen=True)
class ModelOptions:
    """What a model is made of beside its method, and what optimizes it."""

    decoder: Annotated[
        str,
        typer.Option(
            help="Hidden layers over the embeddings of any method, as 64 or 64,64.",
            rich_help_panel=TRAINING,
        ),
    ] = ""
    users: Annotated[
        str,
        typer.Option(
            help="What a user is: its id, the history of its items, or both.",
            rich_help_panel=TRAINING,
        ),
    ] = "id"
    side_features: Annotated[
        str,
        typer.Option(
            help="Where the features that the data has go: none, encoding (beside the code, under "
            "the decoder) or input (over the finished embedding).",
            rich_help_panel=TRAINING,
        ),
    ] = "none"
    optimizer: Annotated[
        str | None,
        typer.Option(
            help="adamw, or muon: Muon for hidden matrices, AdamW for all else. By default muon "
            "for deep_hash, adamw for the others.",
            rich_help_panel=TRAINING,
        ),
    ] = None


Split = Annotated[str, typer.Option(help=f"{SPLITS}.", rich_help_panel=DATA)]
Model = Annotated[str, typer.Option(help="gmf or mlp.")]
AnySplit = Annotated[
    str | None,
    typer.Option(
        help=f"{SPLITS}; by default random. Of events of many columns: time, group or random; by "
        "default the first that they have.",
        rich_help_panel=DATA,
    ),
]
MODELS = "gmf or mlp; of events of many columns dlrm, deepfm or dcn"
Size = Annotated[str, typer.Option(help="Parameters, as a ratio to the full table's.")]
Seeds = Annotated[int, typer.Option(min=1, help="How many runs each.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Runs at a time; by default one a core.")]
Precision = Annotated[
    str | None,
    typer.Option(
        help="float32 or bfloat16; by default whichever is faster here.",
        rich_help_panel=TRAINING,
    ),
]
ParquetFile = Annotated[
    Path,
    typer.Option(
        help="A Parquet file, NAME.parquet. One that is there is replaced once all is written; a "
        "folder that is not there is made."
    ),
]
CheckpointFolder = Annotated[Path, typer.Option(help="Folder that tablefree train wrote.")]


SEVERAL = ("categorical", "numeric", "date", "drop")  # column options that take several


def given(*options: object, **others: object) -> list[str]:
    """The names of options that are not as they are by default.

    Args:
        options: groups of them, dataclasses.
        others: which are None by default.
    """
    of_groups = [
        one.name
        for group in options
        for one in fields(group)  # type: ignore[arg-type]
        if getattr(group, one.name) != one.default
    ]
    return of_groups + [name for name, value in others.items() if value is not None]


def check_apart(output: Path, data: str) -> None:
    """Refuse to write a file in the place of the data that it is made of, or among them.

    Raises:
        InputError: it would be.
    """
    from tablefree.data.parts import exists, holds

    if exists(data) and holds(data, output):
        raise InputError(f"{output} is the data, or among them: choose another output")


def names(text: str) -> list[str]:
    r"""The names in a comma-separated list, without spaces around them.

    After a backslash a comma or a space is one of a name.

    Example:
        >>> names(r"a, b\,c")
        ['a', 'b,c']
    """
    parts = (re.sub(r"^ +|(?<!\\) +$", "", part) for part in re.split(r"(?<!\\),", text))
    return [re.sub(r"\\([, ])", r"\1", part) for part in parts if part]


def widths(text: str) -> tuple[int, ...]:
    """Widths of layers, as 64 or 64,64.

    Raises:
        InputError: something else.
    """
    try:
        layers = tuple(int(width) for width in names(text))
    except ValueError as error:
        raise InputError(f"a decoder must be widths such as 64 or 64,64, got {text!r}") from error
    if any(width < 1 for width in layers):
        raise InputError(f"the widths of a decoder must be at least 1, got {text}")
    return layers


UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class ByteSize(NamedTuple):
    """A number of bytes, or a share of those of full tables.

    Attributes:
        number: of bytes, or the share.
        is_share: whether it is one, as are numbers up to 1 without a unit.
    """

    number: float
    is_share: bool

    @classmethod
    def of(cls, text: str) -> Self:
        """A size as it is written: 1/16, or 500KB.

        Raises:
            InputError: something else.
        """
        number = text.strip().rstrip("BKMGTbkmgt")
        unit = text.strip().removeprefix(number).upper()
        try:
            size = ratio(number) * UNITS[unit]
        except (InputError, KeyError) as error:
            raise InputError(
                "a size in bytes must be a share of those of full tables, such as 1/16, or a "
                f"number of bytes, such as 500KB or 6GB; got {text!r}"
            ) from error
        return cls(size, is_share=not unit and size <= 1)

    def ratio(self, full: int) -> float:
        """To the bytes of full tables."""
        return self.number if self.is_share else self.number / full


def ratio(text: str) -> float:
    """A size: a positive number, as 0.25 or 1/4.

    Raises:
        InputError: something else.
    """
    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise InputError(f"a size must be a number such as 1/4 or 0.25, got {text!r}") from error
    if value <= 0:
        raise InputError(f"a size must be above 0, got {text}")
    return value
