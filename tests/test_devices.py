"""Every module on a GPU where there is one, else on the CPU: it learns and keeps the same."""

import copy
import functools
import runpy
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import tablefree
from tablefree import (
    CapacityWarning,
    ClaimedRows,
    EmbeddingBag,
    FullTable,
    InputError,
    SketchEmbedding,
)
from tablefree.fields.events import read_events
from tablefree.fields.model import MODELS
from tablefree.fields.profile import profile
from tablefree.fields.split import split_events
from tablefree.fields.table import Table
from tablefree.packing import packed_sketch
from tablefree.packing.packed_rows import PackedRows
from tablefree.training.events import train_events
from tablefree.training.fit import Recipe

pytestmark = pytest.mark.untraced
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
EXPORT = runpy.run_path(str(Path(__file__).with_name("test_export.py")))
MAKER = EXPORT["MAKER"]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}

every_kind = pytest.mark.parametrize("name", MAKER["modules"]())


def moved_to(device, values):
    """A tensor, or those of a dictionary, on a device."""
    if isinstance(values, dict):
        return {name: value.to(device) for name, value in values.items()}
    return values.to(device)


there = functools.partial(moved_to, DEVICE)
here = functools.partial(moved_to, "cpu")


def made(name):
    torch.manual_seed(0)
    return MAKER["modules"]()[name]


def losses(module, inputs, steps=5):
    optimizer = tablefree.optimizers(module)
    values = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (module(*inputs) - 1).square().mean()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    return values


@pytest.mark.parametrize("name", EXPORT["CASES"])
def test_a_module_that_moves_gives_the_same(name):
    make, batches_of = EXPORT["CASES"][name]
    module = make()
    moved = copy.deepcopy(module).to(DEVICE)
    tolerance = {"rtol": 2**-6, "atol": 2**-6} if "float16" in name or "int8" in name else CLOSE
    with torch.no_grad():
        for batch in batches_of(name):
            output = here(moved(*map(there, batch)))
            torch.testing.assert_close(output, module(*batch), **tolerance)


@every_kind
def test_it_learns_there_what_it_learns_here(name):
    module, inputs = made(name), MAKER["inputs"](name)
    moved = copy.deepcopy(module).to(DEVICE)
    expected = losses(module, inputs)
    assert losses(moved, list(map(there, inputs))) == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert expected[-1] < expected[0]


@every_kind
def test_a_checkpoint_from_there_is_read_here(name, tmp_path):
    module, inputs = made(name).to(DEVICE), MAKER["inputs"](name)
    losses(module, list(map(there, inputs)))
    module.eval().save_pretrained(tmp_path)
    loaded = type(module).from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(*inputs), module(*map(there, inputs)).cpu(), **CLOSE)


def test_rows_that_are_claimed_there_are_found_here():
    sketch = SketchEmbedding(8, num_rows=64, code_width=8, capacity=512, seed="id")
    moved = copy.deepcopy(sketch).to(DEVICE)
    ids = torch.arange(600)
    with pytest.warns(CapacityWarning):
        losses(moved, [ids.to(DEVICE)])
    claims = moved.encodings[0].claims
    assert claims.num_claimed > 400
    assert claims(ids.to(DEVICE)).cpu().equal(copy.deepcopy(claims).cpu()(ids))
    state = moved.state_dict()
    sketch.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(sketch.eval()(ids), moved.eval()(ids.to(DEVICE)).cpu(), **CLOSE)


@pytest.mark.skipif(DEVICE == "cpu", reason="the kernels of a GPU")
@pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")
@pytest.mark.parametrize("form", ["float16", "int4", "levels-3"])
def test_packed_rows_are_read_there_by_a_kernel(form, monkeypatch):
    claimed, ids = ClaimedRows(480, 24, num_rows=20, num_hashes=2, seed="x"), torch.arange(600)
    losses(claimed, [ids])
    monkeypatch.setattr(packed_sketch, "find_in", None)
    for module, asked in ((claimed, torch.cat([ids, -ids])), (FullTable(599, 24), ids)):
        packed = tablefree.pack(module.eval(), form=form)
        expected = packed(asked)
        moved = copy.deepcopy(packed).to(DEVICE)
        with monkeypatch.context() as patch:
            patch.setattr(PackedRows, "decode", None)
            torch.testing.assert_close(moved(asked.to(DEVICE)).cpu(), expected, **CLOSE)
    with pytest.raises(InputError, match=r"rows are 0\.\.599, got -1"):
        moved.rows(torch.tensor([3, -1], device=DEVICE))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_any_form(mode):
    bag = EmbeddingBag(made("own_rows"), mode=mode)
    ids, offsets = torch.tensor([5, 6, 5, 7, 8]), torch.tensor([0, 3, 3])
    weights = torch.linspace(0.5, 1.5, 5) if mode == "sum" else None
    moved = copy.deepcopy(bag).to(DEVICE)
    expected = bag(ids, offsets, per_sample_weights=weights)
    weights = None if weights is None else weights.to(DEVICE)
    output = moved(ids.to(DEVICE), offsets.to(DEVICE), per_sample_weights=weights)
    torch.testing.assert_close(output.cpu(), expected, **CLOSE)
    output.sum().backward()


@pytest.mark.parametrize("name", ["sketch", "own_rows", "deep_hash", "decoded"])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # a graph that breaks
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Inductor's own
@pytest.mark.filterwarnings("ignore:TensorFloat32")
def test_a_compiled_one_learns(name):
    module, (ids,) = made(name).to(DEVICE), MAKER["inputs"](name)
    eager = losses(copy.deepcopy(module), [ids.to(DEVICE)])
    module.compile(backend="inductor" if DEVICE == "cuda" else "aot_eager")
    assert losses(module, [ids.to(DEVICE)]) == pytest.approx(eager, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_events_scores_there_as_here(name):
    """It is trained on a GPU where there is one, packed or not, and takes rows from the CPU."""
    rng, size = np.random.default_rng(0), 3_000
    users, words = rng.integers(400, size=size), rng.integers(9, size=(size, 2))
    columns = {
        "clicked": (users % 3 == 0) ^ (rng.random(size) < 0.1),
        "user": [f"u{user}" for user in users],
        "city": rng.integers(20, size=size),
        "words": [[f"w{word}" for word in row] for row in words],
        "price": np.where(users % 7 == 0, np.nan, rng.normal(size=size)),
    }
    frame = pl.DataFrame(columns).with_columns(pl.col("price").fill_nan(None))
    found = profile(frame, label="clicked")
    kinds = [one.column for one in found.columns.values()]
    events = read_events(Table.of(frame), kinds)
    parts = split_events(events, "random")
    predictor, fitted = train_events(
        tablefree.plan(frame, label="clicked", ratio=0.5),
        events.at(parts.train),
        events.at(parts.validation),
        Recipe(0.03),
        model=name,
    )
    assert fitted.validation_auc > 0.8
    for one in (predictor, tablefree.pack(predictor, form="int8")):
        moved = copy.deepcopy(one).to(DEVICE)
        np.testing.assert_allclose(moved.predict(frame), one.predict(frame), rtol=1e-3, atol=1e-4)
