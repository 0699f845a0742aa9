"""What arguments must be, for any module to ask."""

from numbers import Integral

from tablefree.errors import InputError


def check_positive(**sizes: int) -> None:
    """An InputError when one of the named sizes is no integer of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, Integral) or size < 1:
            raise InputError(f"{name} must be an integer of at least 1, got {size!r}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """An InputError when the named option is none of the choices."""
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
