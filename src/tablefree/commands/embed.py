"""`tablefree embed`."""

import sys
from typing import TYPE_CHECKING, Annotated, cast

import typer

from tablefree.commands.options import CheckpointFolder, ParquetFile, check_apart
from tablefree.commands.screen import say
from tablefree.ids import ID_TYPES, IdType

if TYPE_CHECKING:
    from tablefree.fields.model import Predictor


def embed(
    checkpoint: CheckpointFolder,
    feature: Annotated[
        str,
        typer.Option(
            help="user or item; of events the name of a column, or the period of a date, as "
            "time:hour."
        ),
    ],
    output: ParquetFile,
    ids: Annotated[
        str | None,
        typer.Option(help="One id a line, or what --data takes; standard input if absent or -."),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(help="Column of ids; by default user_id or item_id, or that of the feature."),
    ] = None,
    id_type: Annotated[
        str | None,
        typer.Option(
            help="What ids are taken for, if not for what they are: integer or string, as in "
            "training."
        ),
    ] = None,
) -> None:
    """Embed ids, or values of a column, with a checkpoint, into a Parquet file.

    Its columns are id, as given, and embedding, a list of float32.

    Example: tablefree embed --checkpoint dhe --feature item --ids ids.txt --output items.parquet
    """
    from tablefree.checks import check_choice
    from tablefree.data.id_stream import read_ids
    from tablefree.experiments.embed import write_embeddings
    from tablefree.training.checkpoint import load_checkpoint

    if id_type is not None:
        check_choice("id_type", id_type, ID_TYPES)
    predictor = load_checkpoint(checkpoint).predictor
    name = _name(predictor, feature)
    check_choice("feature", name, tuple(predictor.features))
    is_string = any(one.name == name and one.type == "string" for one in predictor.columns)
    path = None if ids in (None, "-") else ids
    if path is not None:
        check_apart(output, path)
    chunks = read_ids(
        path,
        column=id_column,
        feature=feature if name in ("user_id", "item_id") else name,
        id_type="string" if is_string else "integer",
        taken_for=cast(IdType | None, id_type),
    )
    embedded = write_embeddings(chunks, predictor, name, output)
    if embedded.num_unknown:
        print(
            f"tablefree: {embedded.num_unknown} of {embedded.num_ids} ids are not in the "
            "checkpoint's vocabulary and have the embedding of unknown ids",
            file=sys.stderr,
        )
    say(f"{embedded.num_ids} embeddings: {output}")


def _name(predictor: "Predictor", feature: str) -> str:
    """The feature that is meant: of a recommender, the columns of users and items go by these."""
    from tablefree.models import Recommender

    if not isinstance(predictor.model, Recommender) or feature in predictor.features:
        return feature
    return dict(zip(("user", "item"), predictor.features, strict=True)).get(feature, feature)
