"""Put embeddings without tables in the place of the tables of any model.

What a table is for its users, ids in and rows out, stays; all that it may be besides is looked for
first, and a table that is more than that is left as it is, with the reason.
"""

import warnings
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from tablefree.checks import check_choice, check_positive
from tablefree.conversion.adapters import (
    Converted,
    ConvertedEmbedding,
    ConvertedEmbeddingBag,
    replace_modules,
)
from tablefree.conversion.refusals import refusals
from tablefree.conversion.report import Conversion, ReplacedTable
from tablefree.conversion.start import looks_trained, start_from_table
from tablefree.embeddings import METHODS, Embedding, build
from tablefree.errors import InputError
from tablefree.rows import Rows

# A full table replaces nothing, frequent ids are known to whoever counted them, and until it has
# learnt CAFE is a hashing trick that holds more bytes than it was given.
NOT_FOR_CONVERSION = ("full_table", "hybrid_hash", "cafe")
CONVERSION_METHODS = tuple(m for m in METHODS if m not in NOT_FOR_CONVERSION)


def convert(
    model: nn.Module,
    *,
    method: str = "sketch",
    size: float = 0.25,
    num_parameters: int | None = None,
    min_rows: int = 1000,
    pattern: str = "*",
    distill: bool | Mapping[str, Any] | None = None,
) -> tuple[nn.Module, Conversion]:
    """Replace the `nn.Embedding` and `nn.EmbeddingBag` tables of a model by embeddings without.

    The model is changed in place, which makes new parameters: build optimizers afterwards. A
    replacement has the call, `padding_idx`, device, dtype and mode of the table, and takes the name
    of the module as the seed of its hash functions, so that equal ids of two tables differ. It
    starts at the scale of the table's rows, as do the rows of a sketch (or at .01), so that the
    table's recipe of training fits. A state dict fits a model that was converted in the same way.

    A table stays, and the report says why, if it is tied to another parameter, held elsewhere, or
    its weight is read directly somewhere in the code of the model; with `max_norm`, `sparse`,
    `scale_grad_by_freq`, hooks, a forward of its own or a weight that is quantized or parametrized;
    frozen, without `distill`; or too small for the method.

    Args:
        model: any module; a table alone too.
        method: see `tablefree.embeddings.METHODS`; not "full_table", "hybrid_hash" and "cafe".
        size: parameters of an embedding as a share of its table's, above 0 and at most 1.
        num_parameters: of all embeddings together, instead of `size`; shared in proportion to the
            parameters of the tables, of which those that stay have no share.
        min_rows: tables of fewer rows stay.
        pattern: tables stay whose name in the model does not match it: "*.user_*", as in `fnmatch`.
        distill: whether to fit the embeddings to the rows of the tables, which are then trained
            ones; or options for `tablefree.distill`, such as `{"steps": 500}`. By default the rows
            are discarded, with a warning where they look trained; False discards them without.

    Returns:
        The model, or the embedding where the model itself is a table; and the report, to print.

    Raises:
        InputError: an option out of its range.

    Warns:
        UserWarning: rows are discarded that are no independent random numbers.

    Example:
        >>> model = nn.Sequential(nn.Embedding(10_000, 32), nn.Linear(32, 1))
        >>> model, report = convert(model, method="multi_hash")
        >>> print(report)
        replaced by multi_hash    rows  width  bytes before  bytes after
        0                       10,000     32     1,280,000      320,000
        all                                       1,280,000      320,000
    """
    check_choice("method", method, CONVERSION_METHODS)
    check_positive(min_rows=min_rows)
    if not 0 < size <= 1:
        raise InputError(f"size must be above 0 and at most 1, got {size}")
    tables = _tables(model, min_rows, pattern)
    refused = refusals(model, tables, are_fitted=distill not in (None, False))
    left = {name: table for name, table in tables.items() if name not in refused}
    learned = [name for name, table in left.items() if distill is None and looks_trained(table)]
    if learned:
        warnings.warn(
            f"the rows of {', '.join(learned)} look trained and are discarded: pass distill=True "
            "to fit the embeddings to them, or distill=False if nothing is lost",
            stacklevel=2,
        )
    if num_parameters is not None:
        check_positive(num_parameters=num_parameters)
        size = num_parameters / max(1, sum(table.weight.numel() for table in left.values()))
    replacements: dict[nn.Module, nn.Module] = {}
    replaced = []
    for name, table in left.items():
        budget = max(1, int(size * table.weight.numel()))
        try:
            adapter, variance_kept = _replacement(name, table, method, budget, distill)
        except InputError as error:
            refused[name] = str(error)
            continue
        replacements[table] = adapter
        replaced.append(
            ReplacedTable(
                name,
                table.num_embeddings,
                table.embedding_dim,
                table.weight.nbytes,
                adapter.embedding.describe().num_bytes,
                variance_kept,
            )
        )
    return replace_modules(model, replacements), Conversion(method, tuple(replaced), refused)


def _tables(model: nn.Module, min_rows: int, pattern: str) -> dict[str, Any]:
    """The modules that the rule chooses: all that have rows, but for those of this library."""
    return {
        name: module
        for name, module in model.named_modules()
        if hasattr(module, "num_embeddings")
        and hasattr(module, "embedding_dim")
        and not isinstance(module, Embedding | Converted | Rows)
        and module.num_embeddings >= min_rows
        and fnmatchcase(name, pattern)
    }


def _replacement(
    name: str,
    table: nn.Embedding | nn.EmbeddingBag,
    method: str,
    num_parameters: int,
    distill: bool | Mapping[str, Any] | None,
) -> tuple[Converted, float | None]:
    """What stands in the place of a table, and the share of variance kept if it was distilled.

    Raises:
        InputError: a table that is too small for the method, or cannot be distilled.
    """
    size, weight, padding_idx = table.num_embeddings, table.weight, table.padding_idx
    embedding = build(
        method,
        num_parameters=num_parameters,
        num_embeddings=size,
        embedding_dim=table.embedding_dim,
        seed=name,
    ).to(weight.device)
    options = distill if isinstance(distill, Mapping) else {} if distill else None
    variance_kept = start_from_table(embedding, table, options)
    embedding.to(weight.dtype).requires_grad_(weight.requires_grad)
    if isinstance(table, nn.Embedding):
        adapter: Converted = ConvertedEmbedding(embedding, size, padding_idx)
    else:
        adapter = ConvertedEmbeddingBag(
            embedding,
            size,
            mode=table.mode,
            padding_idx=padding_idx,
            include_last_offset=table.include_last_offset,
        )
    return adapter.train(table.training), variance_kept
