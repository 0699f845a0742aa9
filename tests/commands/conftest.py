"""Commands as a user types them."""

import pytest

from tablefree import cli


@pytest.fixture
def tablefree():
    return lambda *arguments: cli.run([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run():
    from tablefree import cli

    return lambda *arguments: cli.run([str(argument) for argument in arguments])


@pytest.fixture
def refused(tablefree, capsys):
    """Check that a command says one line, with these words, and exits with 2."""

    def check(arguments, *words):
        assert tablefree(*arguments) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith("tablefree: ")
        assert [word for word in words if word not in said] == [], said

    return check
