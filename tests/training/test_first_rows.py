"""What rows begin with: by their ids alone, in tables and claimed rows alike."""

import numpy as np
import polars as pl
import torch

from tablefree import ClaimedRows
from tablefree.fields.events import read_events
from tablefree.fields.plan import plan
from tablefree.fields.profile import profile
from tablefree.fields.split import split_events
from tablefree.fields.table import Table
from tablefree.scales import INITIAL_STD
from tablefree.training.events import new_predictor, train_events
from tablefree.training.first_rows import first_rows
from tablefree.training.fit import Recipe

ROWS = 4_000


def alike(one, other):
    """Which rows are the same; an id in hundreds has none, or is taken for another."""
    return torch.isclose(one, other, atol=1e-6).all(1)


def test_they_are_normal_and_differ():
    rows = first_rows(torch.arange(20_000) - 10_000, width=8, seed=3) / INITIAL_STD
    assert abs(float(rows.mean())) < 0.01
    assert abs(float(rows.std()) - 1) < 0.01
    assert 0.047 < float((rows.abs() > 1.96).float().mean()) < 0.053
    correlations = torch.corrcoef(torch.cat([rows.T, rows.roll(1, 0).T]))
    assert float((correlations - torch.eye(16)).abs().max()) < 0.03
    assert len(rows.unique(dim=0)) == len(rows)


def test_an_id_has_one_start():
    ids = torch.tensor([7, 2**62, -3, 7])
    rows = first_rows(ids, width=4, seed=1)
    assert torch.equal(rows[0], rows[3])
    assert torch.equal(first_rows(ids[1:2], width=4, seed=1)[0], rows[1])
    assert not torch.equal(first_rows(ids, width=4, seed=2), rows)


def test_claimed_rows_begin_so_whoever_comes_first():
    ids = torch.arange(300) * 977
    starts = []
    for order in (ids, ids.flip(0)):
        embedding = ClaimedRows(640, 4, num_rows=1, num_hashes=1, seed="x").train()
        embedding.encoding.first_rows = lambda some: first_rows(some, width=4, seed=9)
        for part in order.split(50):
            embedding(part)
        starts.append(embedding(ids).detach())
    wanted = first_rows(ids, width=4, seed=9)
    assert all(alike(start, wanted).sum() >= 298 for start in starts)


def test_without_it_rows_are_what_is_there():
    embedding = ClaimedRows(64, 4, num_rows=1, num_hashes=1, seed="x").train()
    before = embedding.rows.weight.detach().clone()
    embedding(torch.arange(20))
    assert torch.equal(embedding.rows.weight, before)


def test_tables_and_claimed_rows_learn_alike():
    rng = np.random.default_rng(0)
    users, items = rng.integers(600, size=ROWS), rng.integers(500, size=ROWS)
    liked = (users % 7 + items % 5 + rng.integers(4, size=ROWS)) % 2
    frame = pl.DataFrame({"user_id": users, "item_id": items, "label": liked})
    found = profile(frame)
    events = read_events(Table.of(frame), [one.column for one in found.columns.values()])
    parts = split_events(events, "random")
    train, validation = events.at(parts.train), events.at(parts.validation)
    plans = [plan(found, method="full_table"), plan(found, ratio=0.7)]
    assert plans[1].fields[0].method == "claimed_rows"
    ids = torch.from_numpy(np.unique(users[parts.train]))
    starts = []
    for one in plans:
        predictor = new_predictor(one, train, model="dlrm", seed=4).train()
        embedding = predictor.model.embeddings.embedding("user_id")
        starts.append(embedding(predictor.keys("user_id", ids)).detach())
    assert alike(*starts).float().mean() > 0.98
    recipe = Recipe(0.03, 0.003, max_epochs=2, batch_size=256)
    table, claimed = (train_events(one, train, validation, recipe)[0] for one in plans)
    known = np.isin(users, ids.numpy()) & np.isin(items, items[parts.train])
    some = events.at(np.flatnonzero(known))
    differences = (table.logits(some) - claimed.logits(some)).abs()
    assert float(differences.median()) < 0.05
