"""Options that several commands share: a dataclass, each field of which is an option."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from inspect import Parameter, Signature
from typing import Any


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """A command as Typer takes it: with one parameter an option.

    A parameter whose annotation is a dataclass gives way to the fields of this class, with their
    annotations and defaults; when the command is called, they become the dataclass again.

    Args:
        command: no two of its options have the same name.

    Example:
        >>> @dataclass
        ... class Size:
        ...     width: int = 1
        ...     height: Annotated[int, typer.Option(min=1)] = 2
        >>> def draw(size: Size, colour: str = "red") -> None: ...
        >>> inspect.signature(spread(draw))  # doctest: +SKIP
        <Signature (*, width: int = 1, height: Annotated[…] = 2, colour: str = 'red')>
    """
    parameters = _parameters(command)
    fields = {name: _fields(parameter) for name, parameter in parameters.items()}
    options = [option for several in fields.values() for option in several]

    @functools.wraps(command)
    def called(**values: Any) -> None:
        for name, parameter in parameters.items():
            if _is_group(parameter):
                given = {field.name: values.pop(field.name) for field in fields[name]}
                values[name] = parameter.annotation(**given)
        command(**values)

    # Typer reads both.
    vars(called)["__signature__"] = Signature(
        [option.replace(kind=Parameter.KEYWORD_ONLY) for option in options]
    )
    called.__annotations__ = {option.name: option.annotation for option in options}
    return called


def _parameters(function: Callable[..., object]) -> dict[str, Parameter]:
    return dict(inspect.signature(function, eval_str=True).parameters)


def _is_group(parameter: Parameter) -> bool:
    return is_dataclass(parameter.annotation)


def _fields(parameter: Parameter) -> list[Parameter]:
    """The options that a parameter of a command stands for."""
    if _is_group(parameter):
        return list(_parameters(parameter.annotation).values())
    return [parameter]
