from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tablefree.data import synthetic_interactions
from tablefree.errors import InputError
from tablefree.experiments import growth
from tablefree.experiments.cold_start import EVENTS, ColdStart
from tablefree.experiments.growth import SCHEMA, carry_out, plan, read_growth, scenario_of
from tablefree.experiments.stream import Stream

DATA = synthetic_interactions(3_000, num_users=120, num_items=100)
OPTIONS = {"methods": None, "size": 1, "seeds": 2, "embedding_dim": 4, "max_epochs": 1}
TRAINED = {"full_table", "narrow_table", "hashing_trick"}


@pytest.fixture(scope="module")
def cold():
    return ColdStart(DATA, "item")


@pytest.fixture(scope="module")
def cells(cold):
    """Two seeds of the embeddings that are trained at once."""
    return [(one, run) for one, run in plan(cold, **OPTIONS)[0] if one.name in TRAINED]


def test_scenarios_by_name():
    assert isinstance(scenario_of(DATA, "time"), Stream)
    assert scenario_of(DATA, "user").hold_out == "user"
    with pytest.raises(InputError, match="item, user, time"):
        scenario_of(DATA, "users")


def test_what_does_not_fit_is_left_out(cold):
    cells, _ = plan(cold, **OPTIONS)
    planned = {(contender.name, run.seed) for contender, run in cells}
    assert {(name, seed) for name in TRAINED for seed in range(2)} <= planned
    _, left_out = plan(cold, **OPTIONS | {"size": 1 / 8})
    assert any(reason.startswith("sketch at size 0.125: ") for reason in left_out)
    with pytest.raises(InputError, match="no method can have size"):
        plan(cold, **OPTIONS | {"embedding_dim": 0})


def test_some_can_be_chosen(cold):
    cells, _ = plan(cold, **OPTIONS | {"methods": ["hashing_trick", "full_table"]})
    assert [contender.name for contender, _ in cells] == ["full_table"] * 2 + ["hashing_trick"] * 2
    with pytest.raises(InputError, match=r"method must be one of full_table, .*; got 'history'"):
        plan(cold, **OPTIONS | {"methods": ["history"]})


def test_rows_are_written_as_they_come_and_not_made_again(cold, cells, tmp_path, monkeypatch):
    given = carry_out(cold, cells, tmp_path)
    first = next(given)
    assert [row["step"] for row in first] == list(EVENTS)
    assert read_growth(tmp_path).to_dicts() == first
    given.close()  # as when the command is stopped
    rest = list(carry_out(cold, cells, tmp_path))
    assert len(rest) == len(cells) - 1
    rows = read_growth(tmp_path)
    assert rows.schema == SCHEMA
    assert rows.n_unique(["method", "seed", "step"]) == rows.height == len(cells) * len(EVENTS)
    assert (
        rows.drop("auc_old", "auc_new_users", "auc_new_items").null_count().sum_horizontal()[0] == 0
    )
    monkeypatch.setattr(growth, "_rows", None)
    assert list(carry_out(cold, cells, tmp_path)) == []


def test_a_seed_gives_the_same_again(cold, cells, tmp_path):
    measures = ["auc_new", "auc_new_among_all", "auc_kept"]
    first, again = (
        pl.DataFrame(next(carry_out(cold, cells, tmp_path / name)), schema=SCHEMA)
        for name in ("one", "two")
    )
    assert first.select(measures).equals(again.select(measures))


def test_another_scenario_does_not_resume(cold, cells, tmp_path):
    next(carry_out(cold, cells[:1], tmp_path))
    with pytest.raises(InputError, match="holds rows with hold_out item"):
        next(carry_out(ColdStart(DATA, "user"), cells, tmp_path))
    fewer = replace(DATA, label=(np.arange(DATA.num_events) < 2_990).astype(np.float32))
    with pytest.raises(InputError, match="holds rows with data_digest"):
        next(carry_out(ColdStart(fewer, "item"), cells, tmp_path))
    longer, _ = plan(cold, **OPTIONS | {"max_epochs": 2})
    with pytest.raises(InputError, match="max_epochs 1, and this command asks for 2"):
        next(carry_out(cold, longer, tmp_path))


@pytest.mark.parametrize(
    ("content", "words"), [(b"no table", "cannot be read"), (None, "holds other results")]
)
def test_another_file_is_refused(cold, cells, tmp_path, content, words):
    path = tmp_path / "results.parquet"
    if content is None:
        pl.DataFrame({"method": ["sketch"]}).write_parquet(path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        next(carry_out(cold, cells, tmp_path))
