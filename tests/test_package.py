"""The package as a whole: what it exports, what importing it loads, what its README shows."""

import json
import re
import subprocess
import sys
from pathlib import Path

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


def test_readme_examples_run_one_after_the_other_in_processes_of_their_own(tmp_path):
    first, *others = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for program in (first, *(f"{other}\nprint(clicks.tolist())" for other in others)):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
    known, unknown = json.loads(done.stdout)
    assert known > 0.9
    assert unknown < known


def test_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
