"""A table in a form: its rows as bytes, and back."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tablefree.encodings.sketch import SketchEncoding
from tablefree.packing.books import Books
from tablefree.packing.encoding import Encoded, Statistics, encoded
from tablefree.packing.forms import Form
from tablefree.packing.packed_rows import PackedRows
from tablefree.packing.packed_sketch import PackedSketch, parts_of
from tablefree.packing.tables import Table, rows_in
from tablefree.rows import Rows


def empty(table: Table, form: Form, spans: Sequence[int]) -> PackedRows | PackedSketch:
    """A packed table of the size of one, without its rows."""
    if isinstance(table, SketchEncoding):
        return PackedSketch(table, form, spans)
    return PackedRows(table.num_embeddings, table.embedding_dim, form, spans)


def float_rows(table: Table) -> Tensor:
    """The rows of a table in float32, on the CPU."""
    return rows_in(table).weight.detach().float().cpu()


def used_rows(table: Table) -> Tensor:
    """Which rows anybody reads: all but the free ones of a sketch."""
    used = torch.ones(rows_in(table).num_embeddings, dtype=torch.bool)
    if isinstance(table, SketchEncoding) and table.claims is not None:
        slots = [part.slots.flatten() for part in parts_of(table.claims)]
        used[table.first_own :] = torch.cat(slots).cpu() != 0
    return used


def filled(table: Table, form: Form, statistics: Statistics) -> Books:
    """A packed table: free rows of a sketch, which nobody reads, are left out of its codes."""
    rows, used = float_rows(table), used_rows(table)
    counts = None if statistics.counts is None else statistics.counts[used]
    found = encoded(rows[used], form, Statistics(statistics.metric, counts))
    data = torch.zeros(len(rows), found.data.shape[1], dtype=torch.uint8)
    data[used] = found.data
    packed = empty(table, form, found.spans)
    packed.fill(Encoded(data, found.books, found.spans), table)
    return packed


def unpacked(packed: Books) -> nn.Module:
    """The table that a packed one was made of, with the rows that it gives."""
    if isinstance(packed, PackedRows):
        rows = Rows(packed.num_embeddings, packed.width)
        with torch.no_grad():
            rows.weight.copy_(packed.all_rows())
        return rows
    assert isinstance(packed, PackedSketch)
    arguments = {name: value for name, value in packed.config().items() if name != "encoding"}
    sketch = SketchEncoding(**arguments)  # type: ignore[arg-type]
    sketch.std = packed.std
    with torch.no_grad():
        sketch.rows.weight.copy_(packed.all_rows())
    for part, one in zip(parts_of(sketch.claims), packed.parts(), strict=True):
        part.slots.copy_(one.slots)
    return sketch
