"""What of a module is packed, and how many bytes that takes: closed forms, nothing is built."""

from collections.abc import Collection

from torch import nn

from tablefree.encodings.row_claims import FINGERPRINT_BYTES
from tablefree.encodings.sketch import SketchEncoding
from tablefree.errors import InputError
from tablefree.packing.forms import Form
from tablefree.packing.mixture import Mixture
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


def rows_bytes(table: Table, form: Form) -> int:
    """Bytes of a packed table, its fingerprints and hash functions included."""
    rows = rows_in(table)
    width = rows.embedding_dim
    total = rows.num_embeddings * form.row_bytes(width)
    total += sum(book.num_bytes for book in form.book_shapes(width))
    if isinstance(table, SketchEncoding):
        total += FINGERPRINT_BYTES * table.capacity
    return total


def forms_of(tables: Collection[Table], form: Form | Mixture) -> list[Form]:
    """The form of each table."""
    return [*form.forms] if isinstance(form, Mixture) else [form_of(one, form) for one in tables]


def packed_size(module: nn.Module, form: Form | Mixture) -> int:
    """Bytes of the tensors of a module in a form, or in one for each of its tables."""
    tables = tables_in(module)
    gone = {one for table in tables.values() for one in table.parameters()}
    halved = {getattr(owner, name) for owner, name in halved_in(module)} - gone
    others = [one for one in module.parameters() if one not in gone | halved]
    of_state = float_size(module) - sum(one.nbytes for one in module.parameters())
    of_claims = sum(one.nbytes for table in tables.values() for one in table.buffers())
    total = of_state - of_claims
    total += sum(2 * one.numel() for one in halved) + sum(one.nbytes for one in others)
    forms = forms_of(tables.values(), form)
    return int(total) + sum(map(rows_bytes, tables.values(), forms))


def float_size(module: nn.Module) -> int:
    """Bytes of the tensors of a module as it is."""
    return sum({id(one): one.nbytes for one in module.state_dict(keep_vars=True).values()}.values())
