"""Commands as a user types them."""

import pytest

from tablefree import cli


@pytest.fixture
def tablefree():
    return lambda *arguments: cli.run([str(argument) for argument in arguments])
