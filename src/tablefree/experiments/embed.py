"""Embeddings of many ids, from a checkpoint to a Parquet file, a chunk at a time."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from torch import Tensor

from tablefree.embeddings import Embedding
from tablefree.embeddings.history import HistoryUsers
from tablefree.errors import InputError
from tablefree.experiments.parquet import writing
from tablefree.ids import to_ids
from tablefree.training.checkpoint import Keys
from tablefree.training.metrics import embed_distinct


class Embedded(NamedTuple):
    """How many ids were embedded, and how many of them had no row of their own."""

    num_ids: int
    num_unknown: int


def write_embeddings(
    chunks: Iterator[pa.Array], embedding: Embedding, keys: Keys, path: Path
) -> Embedded:
    """Write the columns `id`, as given, and `embedding`, a list of float32 of fixed size.

    Args:
        chunks: at least one array of ids (see `read_ids`).
        embedding: in evaluation mode.
        keys: how ids become what it takes.
        path: the Parquet file, found whole or not at all.

    Raises:
        InputError: whatever is wrong with the ids, or the file cannot be written, or is a
            pipe; users that are histories.
    """
    if isinstance(embedding, HistoryUsers):
        raise InputError(
            "the users of this checkpoint are histories, which no id tells: embed the items, or "
            "use HistoryUsers.embed_bags"
        )
    first = next(chunks)
    width = embedding.embedding_dim
    schema = pa.schema([("id", first.type), ("embedding", pa.list_(pa.float32(), width))])
    num_ids = num_unknown = 0
    with writing(path, schema) as writer:
        for ids in chain([first], chunks):
            wanted = keys(to_ids(ids).numpy())
            rows, positions = embed_distinct(embedding, wanted)
            writer.write_batch(pa.record_batch([ids, _vectors(rows[positions])], schema=schema))
            num_ids += len(ids)
            num_unknown += keys.num_unknown(wanted)
    return Embedded(num_ids, num_unknown)


def _vectors(rows: Tensor) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.flatten().numpy()), rows.shape[1])
