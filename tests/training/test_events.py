"""A model knows of the training part alone, and is the same for the same seed."""

import numpy as np
import polars as pl
import pytest
import torch

from tablefree.fields.events import Events, read_events
from tablefree.fields.plan import plan
from tablefree.fields.profile import profile
from tablefree.fields.split import split_events
from tablefree.fields.table import Table
from tablefree.training.events import (
    BATCH,
    LARGEST_BATCH,
    MOST_STEPS,
    Batches,
    batch_size,
    encoded,
    new_predictor,
    train_events,
)
from tablefree.training.fit import Recipe

ROWS = 600


@pytest.fixture(scope="module")
def data():
    """Events with columns that tables and claimed rows embed, bags, numbers and nulls."""
    rng = np.random.default_rng(0)
    words = [[f"w{one}" for one in rng.integers(0, 30, rng.integers(4))] for _ in range(ROWS)]
    frame = pl.DataFrame(
        {
            "label": rng.integers(0, 2, ROWS),
            "city": [f"c{one}" for one in rng.integers(0, 20, ROWS)],
            "user": [f"u{one}" for one in rng.integers(0, 400, ROWS)],
            "words": words,
            "price": [None if one < -1 else float(one) for one in rng.normal(size=ROWS)],
            "flat": [7.5] * (ROWS - 1) + [8.5],
        }
    )
    found = profile(frame)
    columns = [one.column for one in found.columns.values()]
    events = read_events(Table.of(frame), columns)
    return found, events, split_events(events, "random")


def trained(data, events=None, seed=0, **changes):
    found, known, parts = data
    recipe = Recipe(0.03, max_epochs=1, batch_size=64)
    events = known if events is None else events
    predictor, _ = train_events(
        plan(found, ratio=0.4, embedding_dim=4),
        events.at(parts.train),
        events.at(parts.validation),
        recipe,
        seed=seed,
        **changes,
    )
    return predictor


def other_values(events, rows):
    """The events, with other values in some rows: none of them is one that there was."""
    ids, numbers, labels = events.ids.clone(), events.numbers.copy(), events.labels.copy()
    ids[rows] += 10**12
    numbers[rows] = 10**6
    labels[rows] = 1 - labels[rows]
    bags = events.bags["words"]
    of_row = torch.repeat_interleave(torch.arange(len(events)), bags.offsets.diff())
    bag_ids = torch.where(torch.isin(of_row, torch.from_numpy(rows)), bags.ids + 7, bags.ids)
    other = {"words": type(bags)(bag_ids, bags.offsets)}
    return Events(events.names, ids, other, numbers, labels, None, None)


def assert_same(one, other):
    assert one.saved_config() == other.saved_config()
    states = one.state_dict(), other.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("model", ["dlrm", "deepfm", "dcn"])
def test_other_parts_change_nothing(data, part, model):
    _, events, parts = data
    other = other_values(events, getattr(parts, part))
    assert_same(trained(data, model=model), trained(data, other, model=model))


def test_the_training_part_does(data):
    _, events, parts = data
    one, other = trained(data), trained(data, other_values(events, parts.train[:50]))
    assert one.scalings != other.scalings
    sizes = [sum(map(len, each.vocabularies().values())) for each in (one, other)]
    assert sizes[0] < sizes[1]


def test_the_seed_is_all_that_is_random(data):
    before = torch.random.get_rng_state()
    assert_same(trained(data), trained(data))
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [next(trained(data, seed=seed).model.parameters()) for seed in (0, 1)]
    assert not torch.equal(*weights)


def test_an_epoch_is_each_event_once_in_another_order(data):
    _, events, parts = data
    train = events.at(parts.train)
    predictor = trained(data)
    whole = encoded(predictor, train)
    batches = Batches(predictor, train, 100, seed=0)
    epochs = []
    for _ in range(2):
        found = list(batches)
        assert len(found) == len(batches) == -(-len(train) // 100)
        users = torch.cat([one.features["user"] for one in found])
        assert torch.equal(users.sort().values, whole.features["user"].sort().values)
        words = torch.cat([one.features["words"].ids for one in found])
        assert torch.equal(words.sort().values, whole.features["words"].ids.sort().values)
        dense = torch.cat([one.dense for one in found])
        torch.testing.assert_close(dense.sum(0), whole.dense.sum(0), atol=1e-3, rtol=0)
        epochs.append(users)
    assert not torch.equal(*epochs)


def test_batches_grow_with_the_events():
    sizes = [batch_size(num) for num in (1, BATCH * MOST_STEPS, BATCH * MOST_STEPS + 1, 10**9)]
    assert sizes == [BATCH, BATCH, 2 * BATCH, LARGEST_BATCH]


def test_the_network_starts_the_same_whatever_the_embeddings(data):
    found, events, parts = data
    networks = []
    for options in ({"method": "full_table"}, {"ratio": 0.4}):
        one = plan(found, embedding_dim=4, **options)
        predictor = new_predictor(one, events.at(parts.train), model="dlrm", seed=0)
        of_rows = {id(rows) for rows in predictor.model.embeddings.parameters()}
        networks.append([each for each in predictor.parameters() if id(each) not in of_rows])
    for first, second in zip(*networks, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)
