"""Where a model reads the weight of a table itself, beside looking rows up.

The source of its methods is searched for `<module>.weight`, and `<module>` is resolved on the very
model: attributes, subscripts, names bound to them and loops over containers. What a parameter of a
method or the result of a call stands for is not followed.
"""

import ast
import inspect
import textwrap
from collections.abc import Collection, Iterator
from types import CodeType, FunctionType
from typing import Any

from torch import nn


def weight_reads(model: nn.Module, tables: Collection[nn.Module]) -> dict[nn.Module, str]:
    """For each table whose weight is read, one place that does: "models.py:12: self.item.weight".

    Methods whose names begin with `init` or `reset` are left out: they give a table its first
    values.
    """
    places: dict[nn.Module, str] = {}
    for module in model.modules():
        if module in tables:
            continue
        for function in _methods(module):
            for found, place in _reads(function, module):
                if isinstance(found, nn.Module) and found in tables:
                    places.setdefault(found, place)
    return places


def _methods(module: nn.Module) -> Iterator[FunctionType]:
    """The functions that run as methods of a module, other than torch's, and read some weight."""
    for name in dir(module):
        member = inspect.getattr_static(module, name, None)
        member = getattr(member, "fget", None) or getattr(member, "__func__", None) or member
        is_setup = name.lstrip("_").startswith(("init", "reset"))
        if isinstance(member, FunctionType) and not is_setup:
            function = inspect.unwrap(member)
            package = function.__globals__.get("__name__", "").partition(".")[0]
            has_self = function.__code__.co_argcount > 0
            if package != "torch" and has_self and _names_weight(function.__code__):
                yield function


def _names_weight(code: CodeType) -> bool:
    """Whether a function, or one inside it, has an attribute `weight`."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return "weight" in code.co_names or any(map(_names_weight, inner))


def _reads(function: FunctionType, module: nn.Module) -> Iterator[tuple[Any, str]]:
    """The objects whose weight is read, each with the place."""
    try:
        lines, start = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError):  # no source, or a part of a longer expression
        return
    names = _bindings(tree, {function.__code__.co_varnames[0]: [module]})
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "weight":
            line = start + node.lineno - 1
            place = f"{inspect.getsourcefile(function)}:{line}: {ast.unparse(node)}"
            yield from ((found, place) for found in _resolve(node.value, names))


def _bindings(tree: ast.AST, names: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """What each name may stand for, after the assignments and loops of a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            found = _resolve(node.value, names)
            targets: list[ast.expr] = node.targets
        elif isinstance(node, ast.For | ast.comprehension):
            parts = (_resolve(part, names) for part in ast.walk(node.iter))
            found = [element for owners in parts for owner in owners for element in _items(owner)]
            targets = [node.target]
        else:
            continue
        for part in (part for target in targets for part in ast.walk(target)):
            if isinstance(part, ast.Name) and found:
                names.setdefault(part.id, []).extend(found)
    return names


def _resolve(node: ast.AST, names: dict[str, list[Any]]) -> list[Any]:
    """The objects that an expression may stand for; none if that is not known."""
    match node:
        case ast.Name(id=name):
            return names.get(name, [])
        case ast.Attribute(value=value, attr=name):
            owners = _resolve(value, names)
            return [part for owner in owners for part in _attributes(owner, name)]
        case ast.Subscript(value=value, slice=key):
            owners = _resolve(value, names)
            index = key.value if isinstance(key, ast.Constant) else None
            return [part for owner in owners for part in _items(owner, index)]
    return []


def _attributes(owner: Any, name: str) -> list[Any]:
    """An attribute, without running a property."""
    held = {**getattr(owner, "__dict__", {}), **getattr(owner, "_modules", {})}
    return [held[name]] if name in held else []


def _items(owner: Any, index: Any = None) -> list[Any]:
    """What a container has at an index, or all of its elements."""
    if isinstance(owner, nn.ModuleList | nn.Sequential | list | tuple):
        held: dict[Any, Any] = dict(enumerate(owner))
    elif isinstance(owner, nn.ModuleDict | dict):
        held = dict(owner.items())
    else:
        return []
    return list(held.values()) if index is None else [held[index]] if index in held else []
