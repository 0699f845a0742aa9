"""How large the attacks are, and workers of their own that carry them out."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
IS_FULL = os.environ.get("TABLEFREE_RED_TEAM") == "full"
FIRST = int(os.environ.get("TABLEFREE_RED_TEAM_FIRST", "0"))  # number of the first case


@pytest.fixture(scope="session")
def is_full():
    return IS_FULL


@pytest.fixture
def attacked(tmp_path):
    """Try so many cases of a script; say what was found and how to see it again."""

    def attacked(script: str, count: int) -> None:
        log, first, end = tmp_path / "log", FIRST, FIRST + count
        while first < end:
            command = [sys.executable, str(HERE / script), str(first), str(end), str(log)]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "80"}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            entries: list[dict[str, Any]] = [*map(json.loads, log.read_text().splitlines())]
            first = entries[-1]["case"] + 1 if entries else end
            if done.returncode:
                entries[-1]["found"] = f"ended with {done.returncode}: {done.stderr[-3000:]}"
                with log.open("a") as file:
                    file.write(f"{json.dumps(entries[-1])}\n")
        found = [
            f"{script} {one['case']} {one['case'] + 1} /dev/stdout\n{one['what']}\n{one['found']}"
            for one in map(json.loads, log.read_text().splitlines())
            if "found" in one
        ]
        assert not found, "\n\n".join(found)

    return attacked
