"""No arrow back: a module imports, even within a function, from layers beneath its own only."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import tablefree

ROOT = Path(tablefree.__file__).parent
# From the ground up. What is in one line does not know each other.
LAYERS = """
errors version
checks console scales files hashing machine
kernels saved secret
ids rows registry hub
network pretrained
frozen_network encodings
embeddings
models presets data
fields
training
packing
conversion sklearn experiments
reports
bench
commands
cli
"""
LEVELS = {
    name: level for level, line in enumerate(LAYERS.split("\n")[1:-1]) for name in line.split()
}


def name_of(path):
    return ".".join(("tablefree", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    )


MODULES = {name_of(path): path for path in ROOT.rglob("*.py")}


def imported(path):
    """The modules of ours that a file names in an import, wherever that stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & MODULES.keys() or {node.module}


GRAPH = {name: set(imported(path)) - {name} for name, path in MODULES.items()}


def level(name):
    return LEVELS[name.split(".")[1]]


def test_every_module_has_a_layer():
    assert {name.split(".")[1] for name in MODULES if name != "tablefree"} == LEVELS.keys()


@pytest.mark.parametrize("name", sorted(GRAPH.keys() - {"tablefree"}))
def test_a_module_imports_from_beneath(name):
    package = name.split(".")[1]
    others = {other for other in GRAPH[name] if other.split(".")[1:2] != [package]}
    assert not {other for other in others if other == "tablefree" or level(other) >= level(name)}


def test_there_is_no_circle():
    try:
        tuple(TopologicalSorter(GRAPH).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")
