import polars as pl
import pytest
import torch

from tablefree.bench.case import Case, Measurement, Shape
from tablefree.bench.ceilings import Ceilings
from tablefree.bench.results import FILE_NAME, SCHEMA, heading, result_row, write_results

CEILINGS = Ceilings({torch.float32: 100.0}, 10.0)
SHAPE = Shape(1000, 16, (8, 8), torch.device("cpu"))


def row(ours, against, **options):
    case = Case("a / b", "group", SHAPE, torch.float32, lambda _: None, **options)
    return result_row(case, Measurement(ours, against, "a note"), CEILINGS)


def test_a_ratio_is_of_medians(tmp_path):
    written = row([1.0, 2.0, 9.0, 3.0, 3.5], [2.0, 1.0, 8.0, 1.5, 1.0])
    assert set(written) == set(SCHEMA)
    assert (written["ours_ms"], written["against_ms"], written["ratio"]) == (3.0, 1.5, 2.0)
    assert (written["ours_ms_quartile_1"], written["ours_ms_quartile_3"]) == (2.0, 3.5)
    assert (written["hidden"], written["dtype"], written["repetitions"]) == ("8-8", "float32", 5)
    assert written["ours_mb"] is written["gflops"] is None
    results = write_results(tmp_path / "new", [written])
    assert results.schema == SCHEMA
    assert pl.read_parquet(tmp_path / "new" / FILE_NAME).equals(results)


def test_how_many_times_faster():
    assert row([2.0], [6.0], better="higher")["ratio"] == 3.0


def test_memory_has_no_milliseconds():
    written = row([2.0], [1.0], unit="MB")
    assert (written["ours_mb"], written["against_mb"], written["ratio"]) == (2.0, 1.0, 2.0)
    assert written["ours_ms"] is written["ours_ms_quartile_1"] is None
    assert row([2.0], [0.0], unit="MB")["ratio"] is None


def test_a_roofline():
    written = row([2.0], [1.0], multiply_adds=10**6)
    assert (written["operations"], written["ceiling_gflops"]) == (2 * 10**9, 100.0)
    assert written["gflops"] == pytest.approx(1000)
    assert written["ceiling_share"] == pytest.approx(10)


def test_the_heading_tells_what_it_was_measured_on():
    first, second = heading(row([2.0], [1.0]))
    assert first.startswith("1000 ids a batch and k 16")
    assert f"torch {torch.__version__}" in second
