"""Kinds of embeddings and encodings by their names in checkpoints: each registers where it is.

What a `config()` returns leads back to a module of the same shape and hash functions.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from tablefree.errors import CheckpointError, InputError
from tablefree.saved import one_line

Kind = TypeVar("Kind", bound=type[nn.Module])

_BUILDERS: dict[str, dict[str, Callable[..., nn.Module]]] = {"method": {}, "encoding": {}}


def registered(**kind: str) -> Callable[[Kind], Kind]:
    """A decorator of a class: `registered(method="sketch")` or `registered(encoding="sketch")`.

    Configurations with that name are built by the class, or by its own `outline` where it has one:
    that takes sizes in the place of ids and features, which come with the state dict.
    """
    ((field, name),) = kind.items()

    def register(cls: Kind) -> Kind:
        _BUILDERS[field][name] = cls.outline if "outline" in vars(cls) else cls  # type: ignore[attr-defined]
        return cls

    return register


def build(config: Mapping[str, Any]) -> nn.Module:
    """Build what a configuration describes, frozen if that was; the weights are fresh.

    Raises:
        CheckpointError: an unknown name, or a field that is missing, unknown or out of range.
    """
    arguments = dict(config)
    field = "method" if "method" in config else "encoding"
    name, frozen = arguments.pop(field, None), arguments.pop("frozen", None)
    builders = _BUILDERS[field]
    if not isinstance(name, str) or name not in builders:
        raise CheckpointError(
            f"the checkpoint has the unknown {field} {name!r}: known are {', '.join(builders)}; a "
            "newer tablefree may have written it"
        )
    try:
        module = builders[name](**arguments)
        return module if frozen is None else _frozen(module, frozen)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise CheckpointError(
            f"the checkpoint's configuration of {name} cannot be used: {one_line(error)}; it is "
            "damaged, or a newer tablefree wrote it"
        ) from error


def _frozen(module: nn.Module, name: object) -> nn.Module:
    dtype, freeze = getattr(torch, str(name), None), getattr(module, "freeze", None)
    if freeze is None or not isinstance(dtype, torch.dtype):
        raise InputError(f"a {type(module).__name__} cannot be frozen in {name!r:.50}")
    frozen: nn.Module = freeze(dtype)
    return frozen


def first_id() -> torch.Tensor:
    """The one id that an outline has before its sizes are known, of a value even on "meta"."""
    return torch.zeros(1, dtype=torch.int64, device="cpu")
