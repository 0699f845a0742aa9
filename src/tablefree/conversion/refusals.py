"""Why a table cannot be replaced: what it does beside looking rows up, and who else holds it."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from tablefree.conversion.weight_reads import weight_reads

_MODULE_ATTRIBUTES = vars(nn.Module()).keys()


def refusals(
    model: nn.Module, tables: Mapping[str, nn.Module], *, are_fitted: bool
) -> dict[str, str]:
    """The reasons, by name, against replacing tables of a model; the others can be replaced.

    Args:
        model: the whole model.
        tables: those to replace.
        are_fitted: whether what replaces them will be fitted to their rows.
    """
    holders = _other_holders(model, tables.values())
    places = weight_reads(model, tables.values())
    reads = {
        table: f"its weight is read directly, in {place}: call the table with all its ids there"
        for table, place in places.items()
    }
    reasons = {
        name: _own_reason(table, are_fitted) or holders.get(table) or reads.get(table)
        for name, table in tables.items()
    }
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _own_reason(table: nn.Module, is_fitted: bool) -> str | None:
    """What a table does that no embedding in its place would do."""
    kind = type(table).__name__
    if not isinstance(table, nn.Embedding | nn.EmbeddingBag):
        return f"{kind} is no nn.Embedding or nn.EmbeddingBag: replace it by hand"
    if parametrize.is_parametrized(table):
        return "its weight is parametrized: remove the parametrizations first"
    original = nn.Embedding if isinstance(table, nn.Embedding) else nn.EmbeddingBag
    if type(table).forward is not original.forward or "forward" in vars(table):
        return f"{kind} has a forward of its own: replace it by hand"
    if type(table.weight.data) is not Tensor or not table.weight.is_floating_point():
        return "its weight is quantized: convert the model before it is quantized"
    if table.max_norm is not None:
        return "max_norm changes the rows that are looked up: set it to None first"
    if table.scale_grad_by_freq:
        return "scale_grad_by_freq scales the gradients of rows: set it to False first"
    if table.sparse:
        return "sparse=True asks for optimizers of rows alone: set it to False first"
    if table._forward_hooks or table._forward_pre_hooks or table._backward_hooks:
        return "it has hooks, which would be lost: remove them first"
    if not (is_fitted or table.weight.requires_grad):
        return "it is frozen, and what replaces it would stay random: use distill=True"
    return None


def _other_holders(model: nn.Module, tables: Collection[nn.Module]) -> dict[nn.Module, str]:
    """What holds a table, or its weight, beside its place in the tree of modules."""
    holders: dict[int, list[tuple[nn.Module, str]]] = {}
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        for attribute, parameter in module._parameters.items():
            reason = f"its weight is shared with {prefix}{attribute}: untie them first"
            holders.setdefault(_identity(parameter), []).append((module, reason))
        for attribute in vars(module).keys() - _MODULE_ATTRIBUTES:
            reason = (
                f"{prefix}{attribute} is a collection that holds it: take it out, and put what "
                "replaces it there after the conversion"
            )
            for part in _parts(vars(module)[attribute]):
                holders.setdefault(_identity(part), []).append((module, reason))
    return {
        table: reason
        for table in tables
        for part in (table, *table._parameters.values())
        for module, reason in holders.get(_identity(part), ())
        if module is not table
    }


def _parts(value: Any) -> Iterator[nn.Module | Tensor]:
    """The modules and tensors in lists, tuples, sets and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | set):
        for item in value:
            yield from _parts(item)
    elif isinstance(value, nn.Module | Tensor):
        yield value


def _identity(part: Any) -> int:
    """Equal for tensors that share their memory, and else for the same object only."""
    if isinstance(part, Tensor) and type(part.data) is Tensor and not part.is_meta:
        return part.untyped_storage().data_ptr()
    return id(part)
