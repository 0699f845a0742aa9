"""Names and contents of files are printed as they are, on every terminal."""

import io
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from tablefree import cli
from tablefree.commands.screen import PlainConsole
from tablefree.console import printable

TRICKS = ["[bold]", "[/]", "[red", ":smile:", "a\x1b[31mb", "\x9b2J", "\x07", "\u202eexe", "100%"]


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text):
    shown = printable(text)
    assert not any(character < " " and character not in "\n\t" for character in shown)
    assert "\x1b" not in shown
    if text.isascii() and text.isprintable():
        assert shown == text


@pytest.mark.parametrize("text", TRICKS)
def test_strings_and_cells_are_plain(text):
    console = PlainConsole()
    console.file = io.StringIO()
    table = Table("name")
    table.add_row(text)
    console.print(text, soft_wrap=True)
    console.print(table)
    assert console.file.getvalue().count(printable(text)) == 2


@pytest.mark.parametrize("text", TRICKS)
def test_a_refusal_is_plain(text, capsys):
    assert cli.run(["train", "--data", text]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert printable(text) in said


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_an_encoding_lacks_is_escaped(encoding):
    script = r"from tablefree.console import escape_unencodable as e; e(); print('\u2603 \udcff')"
    command = [sys.executable, "-c", script]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert done.stdout == b"\\u2603 \\udcff\n"
