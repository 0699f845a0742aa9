from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.encodings.hot_sketch import HALF_LIFE, NONE, SLOTS, HotSketch
from tablefree.errors import CheckpointError, InputError

INT64 = st.integers(-(2**63), 2**63 - 1)
BATCHES = st.lists(st.lists(st.tuples(INT64, st.floats(0, 100)), min_size=1), max_size=8)


def noted(num_rows, *batches, seed="item"):
    sketch = HotSketch(num_rows, seed=seed)
    for batch in batches:
        ids = torch.as_tensor(batch)
        sketch.note(ids, torch.ones(len(ids)))
    return sketch


@settings(max_examples=50, deadline=None)
@given(BATCHES, st.integers(1, 9))
def test_rows_belong_to_one_id_each_and_are_all_given_away_while_there_are_ids(batches, num_rows):
    sketch = HotSketch(num_rows, seed="item")
    met = set()
    for batch in batches:
        ids, importances = (torch.tensor(column) for column in zip(*batch, strict=True))
        sketch.note(ids, importances)
        sketch.settle()
        met |= set(ids.tolist())
    ids, rows = sketch.owners
    assert set(ids.tolist()) <= met
    assert len(ids.unique()) == len(ids) == len(rows.unique())
    assert ((rows >= 0) & (rows < num_rows)).all()
    assert torch.equal(sketch(ids), rows)
    assert len(rows) == min(num_rows, int((sketch.scores > 0).sum()))


@settings(max_examples=50, deadline=None)
@given(BATCHES, st.integers(1, 3))
def test_no_score_is_more_than_was_noted_of_its_id(batches, num_rows):
    sketch, noted = HotSketch(num_rows, seed="item"), Counter()
    for batch in batches:
        ids, importances = (torch.tensor(column) for column in zip(*batch, strict=True))
        sketch.note(ids, importances)
        if importances.sum() > 0:
            for id_, importance in zip(ids.tolist(), importances / importances.mean(), strict=True):
                noted[id_] += float(importance)
    for id_, score in zip(sketch.ids.flatten().tolist(), sketch.scores.flatten(), strict=True):
        assert 0 <= score <= 1.001 * noted[id_] + 1e-4 * (score == 0)
    if len(noted) == 1:
        assert sketch.scores.sum().item() == pytest.approx(noted.total(), rel=1e-4)


def test_two_newcomers_to_a_bucket_do_not_keep_each_other_out():
    sketch = noted(1, *[[step, step + 1000] for step in range(50)], *[[7000, 8000]] * 40)
    top = sketch.scores.flatten().topk(2).indices
    assert set(sketch.ids.flatten()[top].tolist()) == {7000, 8000}


def test_ids_that_come_once_never_look_hot():
    sketch = noted(4, *([7, *range(10 * step, 10 * step + 9)] for step in range(1, 100)))
    ids, scores = sketch.ids.flatten(), sketch.scores.flatten()
    assert int(ids[scores.argmax()]) == 7
    assert scores[ids != 7].max() <= 1
    assert scores.max() > 50


def test_the_most_important_ids_have_the_rows():
    torch.manual_seed(0)
    hot, cold = torch.arange(50), torch.arange(10**6, 10**6 + 2000)
    sketch = HotSketch(100, seed="item")
    for _ in range(40):
        ids = torch.cat([hot, cold[torch.randint(2000, (200,))]])
        sketch.note(ids, torch.where(ids < 50, 3.0, 1.0))
    sketch.settle()
    assert (sketch(hot) != NONE).all()
    assert len(sketch.owners[0]) == 100


def test_importance_counts_and_not_how_often():
    sketch = HotSketch(1, seed="item")
    for _ in range(5):
        sketch.note(torch.tensor([1, 1, 1, 2]), torch.tensor([1.0, 1.0, 1.0, 9.0]))
    assert sketch.settle()[1].tolist() == [2]


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_the_unit_of_importance_does_not_matter(unit):
    ids, importances = torch.tensor([7, 8, 7]), torch.tensor([1.0, 4.0, 1.0])
    one, other = HotSketch(4, seed="item"), HotSketch(4, seed="item")
    for _ in range(3):
        one.note(ids, importances)
        other.note(ids, unit * importances)
    torch.testing.assert_close(other.scores, one.scores)
    assert one.scores.max() > 0


@pytest.mark.parametrize("bad", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_a_batch_without_gradients_or_that_overflowed_is_passed_over(bad):
    sketch = noted(4, [1, 2])
    before = sketch.scores.clone()
    sketch.note(torch.tensor([1, 3]), torch.tensor(bad))
    assert torch.equal(sketch.scores, before)
    sketch.note(torch.empty(0, dtype=torch.int64), torch.empty(0))
    assert torch.equal(sketch.scores, before)


def test_an_id_that_cools_gives_its_row_to_one_that_became_hot():
    sketch = noted(1, [7] * 10)
    rows, ids = sketch.settle()
    assert (rows.tolist(), ids.tolist()) == ([0], [7])
    for _ in range(9):
        sketch.note(torch.tensor([8]), torch.ones(1))
    assert not len(sketch.settle()[0])
    for _ in range(2):
        sketch.note(torch.tensor([8]), torch.ones(1))
    rows, ids = sketch.settle()
    assert (rows.tolist(), ids.tolist()) == ([0], [8])
    assert sketch(torch.tensor([7, 8])).tolist() == [NONE, 0]


def test_scores_halve_in_so_many_ids():
    sketch = noted(2, [7] * (2 * HALF_LIFE))
    sketch.settle()
    assert sketch.scores.max().item() == pytest.approx(HALF_LIFE)
    assert int(sketch.num_noted) == 0


def test_it_is_due_when_as_much_was_noted_as_there_are_slots():
    sketch = noted(2, range(2 * SLOTS - 1))
    assert not sketch.is_due
    sketch.note(torch.tensor([0]), torch.ones(1))
    assert sketch.is_due
    sketch.settle()
    assert not sketch.is_due


def test_looking_up_changes_nothing_and_shapes_stay():
    sketch = noted(4, range(40))
    sketch.settle()
    before = {name: value.clone() for name, value in sketch.state_dict().items()}
    assert sketch(torch.arange(100).view(4, 25)).shape == (4, 25)
    assert sketch(torch.tensor(3)).shape == ()
    assert all(torch.equal(value, before[name]) for name, value in sketch.state_dict().items())


def test_the_id_zero_is_one_as_others_are():
    sketch = HotSketch(8, seed="item")
    assert sketch(torch.tensor([0])).tolist() == [NONE]
    sketch.note(torch.tensor([0, 0, 5]), torch.ones(3))
    sketch.settle()
    assert (sketch(torch.tensor([0, 5])) != NONE).all()


def test_a_state_with_other_hash_functions_is_refused():
    with pytest.raises(CheckpointError, match="seed"):
        HotSketch(4, seed="item").load_state_dict(HotSketch(4, seed="user").state_dict())


def test_no_rows_are_refused():
    with pytest.raises(InputError, match="num_rows must be an integer of at least 1, got 0"):
        HotSketch(0, seed=0)
