"""Options that commands share become options of each of them, and come back as one value."""

import inspect
from dataclasses import asdict, dataclass
from typing import Annotated

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from tablefree.commands import UsageError
from tablefree.commands.groups import spread


@dataclass(frozen=True)
class Size:
    width: int = 1
    height: Annotated[int, typer.Option(min=1, help="Of the page.")] = 2


@dataclass(frozen=True)
class Ink:
    colour: str = "black"


def app(command):
    """A program of one command, which Typer reads."""
    program = typer.Typer(add_completion=False)
    program.command()(spread(command))
    return program


def drawn(*arguments):
    """What a command with two groups is called with."""
    got = {}

    def draw(title: str, size: Size, ink: Ink, copies: int = 1) -> None:
        got.update(title=title, size=size, ink=ink, copies=copies)

    app(draw)(list(arguments), standalone_mode=False)
    return got


class TestSpread:
    def test_the_options_are_the_fields_in_their_place(self):
        def draw(size: Size, copies: int = 3) -> None:
            """Draw a page."""

        options = inspect.signature(spread(draw)).parameters
        assert list(options) == ["width", "height", "copies"]
        assert [option.default for option in options.values()] == [1, 2, 3]
        assert spread(draw).__doc__ == "Draw a page."

    def test_what_is_left_out_has_the_defaults_of_the_class(self):
        assert drawn("page") == {"title": "page", "size": Size(), "ink": Ink(), "copies": 1}

    @given(st.integers(), st.integers(min_value=1), st.text("abc", min_size=1))
    def test_what_is_given_arrives_in_the_class(self, width, height, colour):
        options = {"width": width, "height": height, "colour": colour}
        got = drawn("page", *(f"--{name}={value}" for name, value in options.items()))
        assert asdict(got["size"]) | asdict(got["ink"]) == options

    def test_what_a_field_says_of_its_option_holds(self):
        with pytest.raises(UsageError):
            drawn("page", "--height=0")

    def test_a_command_without_groups_stays_as_it_is(self):
        def draw(title: str, copies: int = 1) -> None: ...

        assert list(inspect.signature(spread(draw)).parameters) == ["title", "copies"]
