"""`tablefree embed`."""

import sys
from typing import Annotated, cast

import typer

from tablefree.commands.options import CheckpointFolder, ParquetFile, check_apart
from tablefree.commands.screen import say
from tablefree.ids import ID_TYPES, IdType


def embed(
    checkpoint: CheckpointFolder,
    feature: Annotated[str, typer.Option(help="user or item.")],
    output: ParquetFile,
    ids: Annotated[
        str | None,
        typer.Option(help="One id a line, or what --data takes; standard input if absent or -."),
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(help="Column of ids; user_id or item_id by default.")
    ] = None,
    id_type: Annotated[
        str | None,
        typer.Option(
            help="What ids are taken for, if not for what they are: integer or string, as in "
            "training."
        ),
    ] = None,
) -> None:
    """Embed ids with a checkpoint, into a Parquet file.

    Its columns are id, as given, and embedding, a list of float32.

    Example: tablefree embed --checkpoint dhe --feature item --ids ids.txt --output items.parquet
    """
    from tablefree.checks import check_choice
    from tablefree.data.id_stream import read_ids
    from tablefree.experiments.embed import write_embeddings
    from tablefree.training.checkpoint import load_checkpoint

    check_choice("feature", feature, ("user", "item"))
    if id_type is not None:
        check_choice("id_type", id_type, ID_TYPES)
    loaded = load_checkpoint(checkpoint)
    keys = {"user": loaded.users, "item": loaded.items}[feature]
    embedding = {"user": loaded.model.users, "item": loaded.model.items}[feature]
    path = None if ids in (None, "-") else ids
    if path is not None:
        check_apart(output, path)
    chunks = read_ids(
        path,
        column=id_column,
        feature=feature,
        id_type=keys.id_type,
        taken_for=cast(IdType | None, id_type),
    )
    embedded = write_embeddings(chunks, embedding, keys, output)
    if embedded.num_unknown:
        print(
            f"tablefree: {embedded.num_unknown} of {embedded.num_ids} ids are not in the "
            "checkpoint's vocabulary and have the embedding of unknown ids",
            file=sys.stderr,
        )
    say(f"{embedded.num_ids} embeddings: {output}")
