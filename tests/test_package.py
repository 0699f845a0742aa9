"""The package as a whole: what it exports, what importing it loads, what its README shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tablefree

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
HEAVY = (
    "altair",
    "huggingface_hub",
    "lightning",
    "numba",
    "pandas",
    "polars",
    "pyarrow",
    "rich",
    "sklearn",
    "torchmetrics",
    "typer",
)


def test_exports_what_it_says():
    for name in tablefree.__all__:
        assert getattr(tablefree, name) is not None


def test_import_loads_nothing_heavy():
    program = f"import sys, tablefree; print([m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize("number", range(len(re.findall(r"```python\n", README))))
def test_readme_example_runs(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[number]
    exec(compile(code, "README.md", "exec"), {})


def test_readme_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
