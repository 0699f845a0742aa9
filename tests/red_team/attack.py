"""What the attacks share: cases drawn by hypothesis, tried one after the other in one process.

A worker is called with FIRST END LOG and tries the cases of these numbers, of which each is drawn
by itself: a worker that died is followed by one that begins behind the case that killed it, and a
finding is replayed by its number, which the tests print. A line of JSON in the log tells of each
case before it is tried, and of what was found after it.
"""

import contextlib
import faulthandler
import json
import os
import resource
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

HANGS_AFTER = 60  # seconds
MOST_MEMORY = 4 * 2**30  # bytes of address space that a case may take beyond what is there


def attack(cases: SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Try the cases that the command line names; what `check` raises is a finding."""
    first, end, log = sys.argv[1:]
    faulthandler.enable()
    for number in range(int(first), int(end)):
        case = _drawn(cases, number)
        entry = {"case": number, "what": repr(case)[:2000]}
        _write(log, entry)
        faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
        try:
            check(case)
        except BaseException:
            _write(log, entry | {"found": traceback.format_exc(limit=-12)})
        finally:
            faulthandler.cancel_dump_traceback_later()


def _drawn(cases: SearchStrategy[Any], number: int) -> Any:
    """The case of a number; hypothesis begins with the simplest one, and varies those it had."""
    drawn = []

    @seed(number)
    @settings(
        max_examples=2,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def draw(case: Any) -> None:
        drawn.append(case)

    draw()
    return drawn[-1]


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """Within, what takes much more memory fails."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * os.sysconf("SC_PAGE_SIZE") + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _write(log: str, entry: dict[str, object]) -> None:
    with Path(log).open("a") as file:
        file.write(f"{json.dumps(entry)}\n")
