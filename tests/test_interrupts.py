"""An interrupt ends a command, its workers and its temporary files, in real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tablefree import GMF, HashingTrick
from tablefree.fields.kinds import Column
from tablefree.fields.model import Predictor
from tablefree.training.checkpoint import Checkpoint, save_checkpoint

# Whoever runs the tests in the background of a shell has them ignore interrupts.
SCRIPT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from tablefree.cli import main
if __name__ == "__main__":
    main()
"""
COMMAND = [sys.executable, "-c", SCRIPT]
ENDINGS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def start(*arguments):
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,  # a group of its own, which a Ctrl-C reaches as a whole
    )


def wait_until(happens):
    for _ in range(15_000):
        if happens():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def members(group):
    """The processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(process_group) == group and state != "Z":
            found.append(path.parent.name)
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "events.parquet"
    # So many that a worker that lived on would train for longer than a test waits.
    ids = {name: rng.integers(0, 2_000, 300_000) for name in ("user_id", "item_id")}
    pl.DataFrame(ids).write_parquet(path)
    return path


@pytest.mark.parametrize(
    ("number", "later"),  # one handler ends it at SIGTERM and at SIGHUP
    [*((number, 0) for number in ENDINGS), (signal.SIGINT, 1), (signal.SIGTERM, 1)],
)
def test_comparisons_and_their_workers_end(data, tmp_path, number, later):
    options = ("--methods", "deep_hash,sketch", "--sizes", "1/4", "--jobs", "2")
    command = start("compare", "--data", data, *options, "--output", tmp_path)
    # The resource tracker and two workers: as they start, and as they train.
    wait_until(lambda: len(members(command.pid)) >= 4 or command.poll() is not None)
    time.sleep(5 * later)
    os.killpg(command.pid, number) if number == signal.SIGINT else command.send_signal(number)
    _, said = command.communicate(timeout=60)
    assert command.returncode == ENDINGS[number]
    stopped = b"tablefree: stopped; the same command resumes\n"
    assert said == (stopped if number == signal.SIGINT else b"")
    wait_until(lambda: not members(command.pid))
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("number", ENDINGS)
def test_embed_leaves_no_temporary_file(tmp_path, number):
    torch.manual_seed(0)
    model = GMF(HashingTrick(9, 4, seed="user_id"), HashingTrick(9, 4, seed="item_id"))
    columns = [Column(name, "categorical", "integer") for name in ("user_id", "item_id")]
    predictor = Predictor(model, columns, [], {})
    save_checkpoint(tmp_path / "checkpoint", Checkpoint(predictor, "data", "random", {}, {}))
    output = tmp_path / "out" / "items.parquet"
    options = ("--feature", "item", "--output", output)
    command = start("embed", "--checkpoint", tmp_path / "checkpoint", *options)
    os.set_blocking(command.stdin.fileno(), False)
    lines = b"".join(b"%d\n" % number for number in range(10_000))

    def writes():
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            command.stdin.write(lines)
        return list(output.parent.glob(".*.tmp")) or command.poll() is not None

    wait_until(writes)
    command.send_signal(number)
    said = command.stderr.read()
    assert command.wait(timeout=60) == ENDINGS[number]
    command.stderr.close()
    with contextlib.suppress(BrokenPipeError):  # of lines that nobody reads any more
        command.stdin.close()
    assert not list(output.parent.iterdir())
    assert b"Traceback" not in said
