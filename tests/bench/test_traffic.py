import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tablefree.bench import traffic
from tablefree.bench.case import Shape, measure
from tablefree.bench.traffic import repeated_case, traffic_cases, zipf_ids

SHAPE = Shape(30, 8, (4,), torch.device("cpu"))


@given(st.integers(1, 50), st.integers(0, 50), st.floats(0, 3), st.integers(0, 2**32))
def test_ids_are_within_the_universe(num_ids, size, exponent, seed):
    ids = zipf_ids(num_ids, size, np.random.default_rng(seed), exponent)
    assert ids.dtype == torch.int64
    assert ids.shape == (size,)
    assert ((ids >= 1) & (ids <= num_ids)).all()


@pytest.mark.parametrize("exponent", [0.0, 1.1])
def test_frequencies_fall_as_the_power(exponent):
    size = 100_000
    counts = zipf_ids(10, size, np.random.default_rng(0), exponent).bincount(minlength=11)[1:]
    wanted = torch.arange(1, 11, dtype=torch.float64) ** -exponent
    torch.testing.assert_close(counts / size, (wanted / wanted.sum()).float(), atol=0.01, rtol=0)


def test_a_batch_of_65536_has_about_9000_distinct_ids():
    universe = round(traffic.UNIVERSE_OF_A_BATCH * 65_536)
    distinct = zipf_ids(universe, 65_536, np.random.default_rng(0)).unique()
    assert 8_700 < len(distinct) < 9_300


@pytest.mark.parametrize("training", [False, True])
def test_repeated_ids_are_measured(training):
    measured = measure(repeated_case(SHAPE, training=training), 0.0)
    assert len(measured.ours) == len(measured.against) == 5
    assert measured.note.endswith(" of 30 Zipf ids are distinct")
    assert int(measured.note.split()[0]) < 30


def test_the_cache_is_warmed_up_once(monkeypatch):
    monkeypatch.setattr(traffic, "WARM_UP_IDS", 300)
    monkeypatch.setattr(traffic, "WARM_UP_BATCH", 100)
    monkeypatch.setattr(traffic, "NUM_IDS", 1000)
    monkeypatch.setattr(traffic, "NUM_TABLE_ROWS", 10)
    cases = traffic_cases(SHAPE)
    notes = {case.name: measure(case, 0.0).note for case in cases}
    assert notes == {
        "frozen / nn.Embedding, uniform ids, bfloat16": "",
        "frozen / nn.Embedding, Zipf ids, bfloat16": "",
        **dict.fromkeys(
            (
                "cached / nn.Embedding, Zipf ids, bfloat16",
                "without cache / cached, Zipf ids, bfloat16",
                "every row / cached, Zipf ids, bfloat16",
                "cached / nn.Embedding, uniform ids, bfloat16",
            ),
            "traffic: 1000 ids, Zipf exponent 1.1; "
            "cache: 500000 rows, warmed up by 0.0 million ids",
        ),
    }
    assert [case.better for case in cases] == ["lower"] * 3 + ["higher"] * 2 + ["lower"]
