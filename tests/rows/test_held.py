"""Rows that are held in bfloat16 and read in float32."""

import copy
import pickle

import pytest
import torch
from torch import nn

from tablefree import ClaimedRows, FullTable, SketchEmbedding
from tablefree.errors import InputError
from tablefree.models import GMF
from tablefree.rows import RowAdam, Rows, hold_rows
from tablefree.rows import table as of_rows

MANY, WIDTH = 4096, 8
EVERY = torch.arange(MANY)
OPTIONS = {"lr": 1e-4, "weight_decay": 30.0}


def held(num_rows=MANY, value=None):
    rows = Rows(num_rows, WIDTH)
    if value is not None:
        nn.init.constant_(rows.weight, value)
    hold_rows(rows)
    return rows


def step(rows, optimizer, indices):
    optimizer.zero_grad()
    targets = torch.linspace(-1, 1, WIDTH)
    (rows(indices) - targets).square().sum().backward()
    optimizer.step()


def test_lookups_are_in_float32_and_bytes_are_half():
    rows = held()
    assert rows.weight.dtype == torch.bfloat16
    indices = torch.tensor([[3, 7], [7, 0]])
    for found in (rows(indices), rows.sums(indices)):
        assert found.dtype == torch.float32
    exact = rows.weight.detach().float()
    assert torch.equal(rows(indices), exact[indices])
    assert torch.equal(rows.sums(indices), exact[indices].sum(1))
    with torch.no_grad():
        assert torch.equal(rows(indices), exact[indices])


def test_gradients_are_added_before_they_are_rounded():
    rows = held()
    # 256 + 1 is 256 in bfloat16, so that no sum of ones in it is larger.
    rows(torch.tensor([5] * 1024 + [6])).sum().backward()
    gradient = rows.weight.grad.to_dense()
    assert gradient[[5, 6], 0].tolist() == [1024, 1]


def test_a_row_that_learns_in_small_steps_is_not_lost_to_rounding():
    """Steps and decay are a tenth of the distance of two numbers in bfloat16, and less."""
    exact, rows = Rows(1, WIDTH, sparse=True), held(value=0.5)
    nn.init.constant_(exact.weight, 0.5)
    optimizers = [RowAdam([one], **OPTIONS, moments="row") for one in (exact, rows)]
    for _ in range(20):
        for one, optimizer in zip((exact, rows), optimizers, strict=True):
            step(one, optimizer, torch.arange(one.num_embeddings))
    learnt = exact(torch.tensor([0])).detach().expand(MANY, -1)
    moved = (0.5 - learnt[0]).abs()
    assert moved.max() > 2**-8
    error = (rows(EVERY) - learnt).mean(0).abs()
    assert (error < moved / 20 + 1e-4).all(), (error, moved)


def test_folds_of_the_scale_lose_nothing_on_average(monkeypatch):
    monkeypatch.setattr(of_rows, "_CHUNK", 1000)  # that the last is smaller
    rows, expected = held(value=0.7), float(torch.tensor(0.7).bfloat16())
    for seed in range(40):
        rows.decay(0.999, seed=seed)
        rows.flush()
        expected *= 0.999
    assert rows.weight.dtype == torch.bfloat16
    numbers = rows.weight.detach().float()
    assert numbers.std() > 0
    assert abs(float(numbers.mean()) - expected) < 6 * float(numbers.std()) / numbers.numel() ** 0.5


def test_a_state_dict_has_what_the_fold_will_leave():
    rows = held()
    rows.decay(0.3, seed=5)
    state = rows.state_dict()["weight"]
    assert rows.scale == 0.3
    rows.flush()
    assert torch.equal(state, rows.weight)


@pytest.mark.parametrize("moments", ["row", "number"])
def test_a_training_resumes_to_the_bit(tmp_path, moments):
    def parts():
        torch.manual_seed(0)
        models = [held(50), held(50)]
        return nn.ModuleList(models), RowAdam(models, lr=0.01, moments=moments, seed=3)

    def train(model, optimizer, first, last):
        for number in range(first, last):
            optimizer.zero_grad()
            for rows in model:
                rows(torch.tensor([number, 7])).cos().sum().backward()
            optimizer.step()

    state = torch.random.get_rng_state()
    one, optimizer = parts()
    state = torch.random.get_rng_state()
    train(one, optimizer, 0, 6)
    torch.save([one.state_dict(), optimizer.state_dict()], tmp_path / "saved")
    train(one, optimizer, 6, 12)
    other, resumed = parts()
    for part, saved in zip((other, resumed), torch.load(tmp_path / "saved"), strict=True):
        part.load_state_dict(saved)
    train(other, resumed, 6, 12)
    assert torch.equal(torch.random.get_rng_state(), state)
    for mine, theirs in zip(one, other, strict=True):
        assert torch.equal(mine(torch.arange(50)), theirs(torch.arange(50)))
        assert not torch.equal(one[0](EVERY[:50]), one[1](EVERY[:50]))
    moment = resumed.state[other[0].weight]["second_moment"]
    assert moment.dtype == torch.float32
    assert moment.shape == (50, 1 if moments == "row" else WIDTH)


def test_two_weights_are_not_rounded_alike():
    models = [held(value=0.3), held(value=0.3)]
    optimizer = RowAdam(models, lr=1e-4, weight_decay=0)
    for rows in models:
        rows(EVERY).sum().backward()
    optimizer.step()
    assert not torch.equal(models[0].weight, models[1].weight)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda rows: pickle.loads(pickle.dumps(rows))])
def test_copies_are_held_too(copied):
    rows = held()
    other = copied(rows)
    assert other.weight.dtype == torch.bfloat16
    assert torch.equal(other(EVERY), rows(EVERY))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_cast_is_of_weights_and_of_lookups(dtype):
    rows = held()
    expected = rows(EVERY).detach()
    rows.to(dtype)
    assert rows.weight.dtype == rows(EVERY).dtype == dtype
    assert torch.equal(rows(EVERY).float(), expected)


def test_there_is_a_way_back():
    rows = held()
    expected = rows(EVERY).detach()
    hold_rows(rows, torch.float32)
    assert (rows.weight.dtype, rows.read_as) == (torch.float32, None)
    assert torch.equal(rows(EVERY), expected)


@pytest.mark.parametrize(
    ("rows", "dtype"),
    [(Rows(2, 2), torch.float16), (Rows(2, 2), torch.int8), (Rows(2, 2).half(), torch.bfloat16)],
)
def test_other_dtypes_are_refused(rows, dtype):
    with pytest.raises(InputError, match=r"held in float32 or bfloat16, got torch\.(float16|int8)"):
        hold_rows(rows, dtype)


MODELS = {
    "table": lambda: FullTable(40, 4),
    "claimed rows": lambda: ClaimedRows(32, 4, num_rows=5, seed=0),
    "sketch": lambda: SketchEmbedding(4, num_rows=5, code_width=3, capacity=32, seed=0),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_learns_and_comes_back_as_it_was(make, tmp_path):
    model = GMF(make(), make())
    hold_rows(model)
    ids = torch.arange(30)
    for _ in range(3):
        model(ids, ids).square().sum().backward()
        RowAdam(rows for rows in model.modules() if isinstance(rows, Rows)).step()
        model.zero_grad()
    expected = model.eval()(ids, ids)
    assert expected.dtype == torch.float32
    assert expected.std() > 0
    model.save_pretrained(tmp_path / "new")
    loaded = GMF.from_pretrained(tmp_path / "new")
    assert torch.equal(loaded(ids, ids), expected)
    for rows in (part for part in loaded.modules() if isinstance(part, Rows)):
        assert (rows.weight.dtype, rows(ids[:2]).dtype) == (torch.bfloat16, torch.float32)
