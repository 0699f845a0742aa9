"""kill -9 at random moments: what was finished is there, and the rest is done the next time."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
import torch

from tablefree import HashingTrick
from tablefree.experiments.results import read_results

KILLS = 10  # of each kind, in full
SAVING = """
import sys, itertools, torch
from tablefree import HashingTrick
embedding = HashingTrick(20_000, 8, seed="a")
for number in itertools.count():
    torch.nn.init.constant_(embedding.rows.weight, float(number))
    embedding.save_pretrained(sys.argv[1])
    print(number, flush=True)
"""
COMPARING = "from tablefree_command import main\nif __name__ == '__main__':\n    main()"


def start(script, *arguments, **options):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, **options)


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_checkpoint_is_whole_old_or_whole_new(tmp_path, is_full):
    """Each save has other weights, all of one value, and the last that ended is not lost."""
    rng = random.Random(0)
    for _ in range(KILLS if is_full else 1):
        process = start(SAVING, tmp_path / "saved", stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.3))
        kill(process)
        ended = int([0, *process.stdout.read().split()][-1])
        process.stdout.close()
        weight = HashingTrick.from_pretrained(tmp_path / "saved").rows.weight
        value = int(weight[0, 0])
        assert value >= ended
        assert torch.equal(weight, torch.full_like(weight, value))
    HashingTrick(20_000, 8, seed="a").save_pretrained(tmp_path / "saved")
    # Safetensors writes a `.tmp…` of its own first, which stays where it is killed.
    names = {one.name for one in (tmp_path / "saved").iterdir() if one.name[:4] != ".tmp"}
    assert names == {"config.json", "model.safetensors"}


def test_a_comparison_keeps_its_finished_runs(tmp_path, is_full):
    if not is_full:
        pytest.skip("a comparison and its workers take long to start: TABLEFREE_RED_TEAM=full")
    rng = np.random.default_rng(0)
    ids = {name: rng.integers(0, 50, 2_000) for name in ("user_id", "item_id")}
    pl.DataFrame(ids).write_parquet(tmp_path / "events.parquet")
    folder = tmp_path / "results"
    options = (
        *("--data", tmp_path / "events.parquet", "--methods", "hashing_trick,multi_hash"),
        *("--sizes", "1/2", "--trials", KILLS, "--epochs", 1, "--embedding-dim", 4, "--jobs", 1),
    )
    moments, rows = random.Random(0), set()
    for _ in range(KILLS):
        process = start(COMPARING, "compare", *options, "--output", folder)
        while process.poll() is None and finished(folder) == rows:
            time.sleep(0.05)
        time.sleep(moments.uniform(0, 2))
        kill(process)
        assert rows <= finished(folder)
        rows = finished(folder)
    process = start(COMPARING, "compare", *options, "--output", folder)
    assert process.wait() == 0
    assert rows <= finished(folder)
    assert (folder / "report.html").exists()
    assert not list(folder.glob(".*.tmp"))


def finished(folder):
    """The runs that the folder holds, with the moment at which each was finished."""
    if not (folder / "results.parquet").exists():
        return set()
    names = ("method", "size", "seed", "trial", "finished_at", "test_auc")
    return set(read_results(folder).select(names).iter_rows())
