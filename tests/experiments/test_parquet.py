"""Damage to a table of results is found, and ends in a line: in a process that could be killed."""

import subprocess
import sys

import polars as pl
import pytest

from tablefree.errors import InputError
from tablefree.experiments.growth import read_growth
from tablefree.experiments.parquet import read_table, write_table
from tablefree.experiments.results import read_results

NUM_VARIANTS = 200
FLIPS = """
import random, sys
from pathlib import Path
from tablefree.errors import InputError
from tablefree.experiments.parquet import read_table

folder, count = Path(sys.argv[1]), int(sys.argv[2])
path = folder / "results.parquet"
content, before = path.read_bytes(), read_table(folder)
for seed in range(count):
    rng, damaged = random.Random(seed), bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    path.write_bytes(damaged)
    try:
        table = read_table(folder)
    except InputError as error:
        assert "\\n" not in str(error)
        assert "is damaged" in str(error)
        print("refused")
    else:
        print("same" if table.rows() == before.rows() else "other")
"""


def outcomes(folder):
    """What reading comes to, of each damaged variant of a folder's table."""
    found = subprocess.run(
        [sys.executable, "-c", FLIPS, folder, str(NUM_VARIANTS)],
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


def write_by_polars(folder, table):
    table.write_parquet(folder / "results.parquet")


class TestDamage:
    def test_what_we_write_is_read_as_it_was_or_refused(self, tmp_path, runs):
        write_table(tmp_path, runs((0.25,), 1))
        found = outcomes(tmp_path)
        assert len(found) == NUM_VARIANTS
        assert set(found) == {"refused", "same"}

    def test_what_others_wrote_ends_in_no_panic(self, tmp_path, runs):
        write_by_polars(tmp_path, runs((0.25,), 1))
        assert len(outcomes(tmp_path)) == NUM_VARIANTS

    @pytest.mark.parametrize("write", [write_table, write_by_polars])
    @pytest.mark.parametrize("name", [b"method", b"element", b"metrics"])
    def test_names_that_are_no_text_end_in_no_panic(self, tmp_path, runs, write, name):
        write(tmp_path, runs((0.25,), 1).with_columns(metrics=pl.lit([0.5, 0.25])))
        path = tmp_path / "results.parquet"
        path.write_bytes(path.read_bytes().replace(name, b"\xff" + name[1:]))
        with pytest.raises(InputError, match="it is damaged"):
            read_table(tmp_path)

    @pytest.mark.parametrize("read", [read_table, read_results, read_growth])
    def test_each_reader_says_that_it_is_damaged(self, tmp_path, runs, read):
        write_table(tmp_path, runs((0.25,), 1))
        path = tmp_path / "results.parquet"
        content = bytearray(path.read_bytes())
        content[40:60] = bytes(20)
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot be read as Parquet .* it is damaged"):
            read(tmp_path)


def test_a_table_is_read_back_by_anyone(tmp_path, runs):
    table = runs((0.25,), 2)
    write_table(tmp_path, table)
    assert read_table(tmp_path).equals(table)
    assert pl.read_parquet(tmp_path / "results.parquet").equals(table)
    assert read_table(tmp_path).schema == table.schema


def test_an_empty_table_keeps_its_columns(tmp_path, table):
    write_table(tmp_path, table([]))
    assert read_results(tmp_path).schema == table([]).schema
