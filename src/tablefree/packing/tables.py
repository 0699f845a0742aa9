"""What of a module is packed, and how many bytes that takes: closed forms, nothing is built."""

from collections.abc import Collection

from torch import nn

from tablefree.encodings.row_claims import FINGERPRINT_BYTES
from tablefree.encodings.sketch import SketchEncoding
from tablefree.errors import InputError
from tablefree.packing.choice import SMALLEST
from tablefree.packing.forms import Form
from tablefree.packing.mixture import Choice, Mixture
from tablefree.packing.pruning import FEWEST, STEPS, capacity_for
from tablefree.pretrained import Pretrained

Table = nn.Embedding | SketchEncoding
_FEW = Form("float16")


def check_module(module: object) -> None:
    """An InputError when something is no module."""
    if not isinstance(module, nn.Module):
        raise InputError(
            f"pass a module, such as an embedding or a model, got {type(module).__name__}"
        )


def tables_in(module: nn.Module) -> dict[str, Table]:
    """What is packed, by its path: each table of rows once, a sketch with all that it has."""
    found: dict[str, Table] = {}
    within: set[nn.Module] = set()
    for path, one in module.named_modules():
        if isinstance(one, SketchEncoding):
            within.update(one.modules())
            found[path] = one
        elif isinstance(one, nn.Embedding) and one not in within:
            found[path] = one
    return found


def rows_in(table: Table) -> nn.Embedding:
    """The rows of a table."""
    return table.rows if isinstance(table, SketchEncoding) else table


def halved_in(module: nn.Module) -> list[tuple[nn.Module, str]]:
    """The parameters that become float16, with their owner: those of layers in tablefree's modules.

    The few that a model itself has, as the weights of its score, stay as they are; so do those of
    other libraries' layers.
    """
    packed = {one for table in tables_in(module).values() for one in table.modules()}
    owners = dict.fromkeys(
        one
        for own in module.modules()
        if isinstance(own, Pretrained)
        for one in own.modules()
        if one not in packed and not isinstance(one, Pretrained)
    )
    return [(one, name) for one in owners for name, _ in one.named_parameters(recurse=False)]


def form_of(table: Table, form: Form) -> Form:
    """The form of a table's rows: float16 where codebooks would take more than that saves."""
    return form if rows_bytes(table, form) < rows_bytes(table, _FEW) else _FEW


def rows_bytes(table: Table, form: Form, kept: int | None = None) -> int:
    """Bytes of a packed table, its fingerprints and hash functions included.

    Args:
        table: of any kind.
        form: of its rows.
        kept: of a sketch, how many ids keep rows of their own; None for all that it has.
    """
    rows = rows_in(table)
    width, num_rows, capacity = rows.embedding_dim, rows.num_embeddings, 0
    if isinstance(table, SketchEncoding):
        capacity = table.capacity
        if kept is not None:
            capacity = capacity_for(kept)
            num_rows = 1 + capacity
    total = num_rows * form.row_bytes(width) + FINGERPRINT_BYTES * capacity
    return total + sum(book.num_bytes for book in form.book_shapes(width))


def choices_of(tables: Collection[Table], form: Form | Mixture) -> list[Choice]:
    """What becomes of each table."""
    if isinstance(form, Mixture):
        return [*form.choices]
    return [Choice(form_of(one, form)) for one in tables]


def packed_size(module: nn.Module, form: Form | Mixture) -> int:
    """Bytes of the tensors of a module in a form, or in one for each of its tables.

    Where rows are left out it is an upper bound, by some digits of a hash function's text.
    """
    tables = tables_in(module)
    gone = {one for table in tables.values() for one in table.parameters()}
    halved = {getattr(owner, name) for owner, name in halved_in(module)} - gone
    others = [one for one in module.parameters() if one not in gone | halved]
    of_state = float_size(module) - sum(one.nbytes for one in module.parameters())
    of_claims = sum(one.nbytes for table in tables.values() for one in table.buffers())
    total = of_state - of_claims
    total += sum(2 * one.numel() for one in halved) + sum(one.nbytes for one in others)
    choices = zip(tables.values(), choices_of(tables.values(), form), strict=True)
    return int(total) + sum(rows_bytes(table, *choice) for table, choice in choices)


def least_size(module: nn.Module) -> int:
    """Bytes of a module in the smallest form, of sketches with rows for the fewest ids."""
    tables = tables_in(module).values()
    sizes = [
        packed_size(module, Mixture(tuple(_least(table, form) for table in tables)))
        for form in (SMALLEST if tables else (_FEW,))
    ]
    return min(sizes)


def _least(table: Table, form: Form) -> Choice:
    kept = None
    if isinstance(table, SketchEncoding) and table.capacity >= FEWEST:
        kept = round(STEPS[-1] * table.capacity)
    return Choice(form_of(table, form), kept)


def float_size(module: nn.Module) -> int:
    """Bytes of the tensors of a module as it is."""
    return sum({id(one): one.nbytes for one in module.state_dict(keep_vars=True).values()}.values())
