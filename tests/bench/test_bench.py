"""The command, run as a user runs it, at sizes that take no time."""

import polars as pl
import pytest
import torch
from torch import nn

from tablefree import cli
from tablefree.bench import ceilings, memory, traffic
from tablefree.bench.results import SCHEMA

TINY = ("--batch", "40", "--num-hashes", "8", "--hidden", "6-6,4-4-4", "--seconds", "0")


def bench(*arguments):
    return cli.run(["bench", *map(str, arguments)])


@pytest.fixture
def _small(monkeypatch):
    """Nothing large besides the cases themselves, and no compiler, which takes half a minute."""
    monkeypatch.setitem(ceilings.SIDE, "cpu", 64)
    monkeypatch.setattr(ceilings, "COPIED", 4096)
    monkeypatch.setattr(traffic, "WARM_UP_IDS", 1)
    monkeypatch.setattr(traffic, "WARM_UP_BATCH", 1000)
    monkeypatch.setattr(traffic, "NUM_IDS", 1000)
    monkeypatch.setattr(traffic, "NUM_TABLE_ROWS", 100)
    monkeypatch.setattr(nn.Module, "compile", lambda _: None)
    monkeypatch.setattr(memory, "_megabytes_of_a_process", memory.megabytes)


@pytest.mark.usefixtures("_small")
def test_every_ratio_is_printed_and_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert bench(*TINY, "--output", tmp_path / "new") == 0
    shown = capsys.readouterr().out
    results = pl.read_parquet(tmp_path / "new" / "bench.parquet")
    assert results.schema == SCHEMA
    assert set(results["group"]) >= {"encode", "inference", "training", "repeated ids", "traffic"}
    for row in results.to_dicts():
        assert row["name"] in shown
        if row["ratio"] is not None:
            assert f"{row['ratio']:.3f}" in shown
    assert shown.count(" of 640 Zipf ids are distinct") == 1
    timed = results.filter(pl.col("group") != "memory")
    assert (timed["repetitions"] >= 5).all()
    assert (timed["ours_ms_quartile_1"] <= timed["ours_ms"]).all()
    assert (timed["against_ms"] <= timed["against_ms_quartile_3"]).all()
    svg = (tmp_path / "new" / "bench.svg").read_text()
    assert svg.startswith("<svg")
    assert "eager torch int64 / encode, float32" in svg
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "bench.parquet",
        "bench.svg",
    ]


@pytest.mark.usefixtures("_small")
def test_what_cannot_be_measured_is_left_out_with_the_reason(tmp_path, capsys, monkeypatch):
    def fail(_):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(nn.Module, "compile", fail)
    monkeypatch.setattr(memory, "STATUS", tmp_path / "nowhere")
    assert bench(*TINY, "--output", tmp_path) == 0
    shown = capsys.readouterr().out
    assert "left out: training step compiled / eager, 6-6, float32: torch.compile failed" in shown
    assert "left out: training memory, recompute / Sequential, 3x4: memory is read from" in shown


@pytest.mark.usefixtures("_small")
def test_a_sweep(tmp_path, capsys):
    options = ("--num-hashes", "8", "--hidden", "4", "--seconds", "0", "--sweep")
    assert bench(*options, "--output", tmp_path) == 0
    results = pl.read_parquet(tmp_path / "bench.parquet")
    assert results["batch"].unique().sort().to_list() == [256, 4096, 65_536]
    assert results.height == 12
    assert "65536x8" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--hidden", "512-x"), ["hidden must be widths", "'512-x'"]),
        (("--hidden", "512-0"), ["hidden must be widths", "'512-0'"]),
        (("--batch", "0"), ["Invalid value for '--batch'"]),
        (("--num-hashes", "-1"), ["Invalid value for '--num-hashes'"]),
        (("--seconds", "-1"), ["Invalid value for '--seconds'"]),
        (("--device", "tpu"), ["device must be cpu or cuda, got 'tpu'"]),
        pytest.param(
            ("--device", "cuda"),
            ["torch finds no CUDA device", "--device cpu"],
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_bad_options(options, words, tmp_path, capsys):
    assert bench(*options, "--output", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert said.startswith("tablefree: ")
    assert said.count("\n") == 1
    assert all(word in said for word in words)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert bench(*TINY, "--output", tmp_path / "file" / "out") == 2
    assert "cannot write" in capsys.readouterr().err


def test_the_help_shows_an_example_in_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert bench("--help") == 0
    shown = capsys.readouterr().out
    assert "Example: tablefree bench " in shown
    assert max(map(len, shown.splitlines())) <= 80
