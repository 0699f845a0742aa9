"""Embeddings of many ids, from a checkpoint to a Parquet file, a chunk at a time."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from torch import Tensor

from tablefree.experiments.parquet import writing
from tablefree.fields.model import Predictor


class Embedded(NamedTuple):
    """How many ids were embedded, and how many of them had no row of their own."""

    num_ids: int
    num_unknown: int


def write_embeddings(
    chunks: Iterator[pa.Array], predictor: Predictor, feature: str, path: Path
) -> Embedded:
    """Write the columns `id`, as given, and `embedding`, a list of float32 of fixed size.

    Args:
        chunks: at least one array of ids (see `read_ids`).
        predictor: the model.
        feature: one of its features.
        path: the Parquet file, found whole or not at all.

    Raises:
        InputError: whatever is wrong with the ids (see `Predictor.embed`), or the file cannot be
            written, or is a pipe.
    """
    first = next(chunks)
    width = predictor.embed(feature, first[:1]).shape[1]
    schema = pa.schema([("id", first.type), ("embedding", pa.list_(pa.float32(), width))])
    num_ids = num_unknown = 0
    with writing(path, schema) as writer:
        for values in chain([first], chunks):
            ids = predictor.ids(feature, values)
            vectors = _vectors(predictor.embed(feature, ids))
            writer.write_batch(pa.record_batch([values, vectors], schema=schema))
            num_ids += len(ids)
            num_unknown += int((~predictor.is_known(feature, ids)).sum())
    return Embedded(num_ids, num_unknown)


def _vectors(rows: Tensor) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.flatten().numpy()), rows.shape[1])
