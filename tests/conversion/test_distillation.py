import random

import numpy as np
import pytest
import torch

from tablefree import (
    DeepHashEmbedding,
    FullTable,
    HashingTrick,
    InputError,
    SketchEmbedding,
    distill,
)

IDS = torch.arange(200) * 1_000_003 - 77
TABLE = torch.randn(200, 8, generator=torch.Generator().manual_seed(0)) + 0.5


def sketch(**options):
    return SketchEmbedding(8, num_rows=60, code_width=4, hidden=(16,), seed=0, **options)


def share_kept(embedding, weights):
    errors = (embedding.eval()(IDS) - TABLE).detach().numpy() ** 2
    around = (TABLE - (weights[:, None] * TABLE).sum(0) / weights.sum()).numpy() ** 2
    weights = weights.numpy()
    return 1 - (weights @ errors).sum() / (weights @ around).sum()


@pytest.mark.parametrize(
    "embedding", [sketch(), DeepHashEmbedding(8, num_hashes=64, hidden=(32,), seed=0)]
)
def test_the_report_is_what_the_embedding_keeps(embedding):
    weights = torch.arange(1, 201)
    report = distill(TABLE, embedding, ids=IDS, weights=weights, steps=150, batch_size=64, seed=0)
    assert report.variance_kept == pytest.approx(share_kept(embedding, torch.ones(200)), abs=1e-5)
    assert report.weighted_variance_kept == pytest.approx(share_kept(embedding, weights), abs=1e-5)
    assert report.variance_kept > 0.5
    assert len(report.losses) == 150
    assert sum(report.losses[-10:]) < sum(report.losses[:10]) / 2


def test_a_full_table_becomes_a_copy():
    report = distill(TABLE, FullTable(200, 8), learning_rate=0.1, steps=300, seed=0)
    assert report.variance_kept > 0.9999
    assert report.losses[-1] < 1e-4


def test_weights_decide_who_is_represented_where_ids_collide():
    weights = torch.tensor([3.0, 1.0, 0.0])
    rows = torch.tensor([[1.0], [2.0], [9.0]])
    embedding = HashingTrick(1, 1, seed=0)
    distill(rows, embedding, weights=weights, steps=500, seed=0)
    torch.testing.assert_close(
        embedding(torch.tensor([0])), torch.tensor([[1.25]]), atol=1e-2, rtol=0
    )


def test_it_is_repeatable_and_leaves_random_state_alone():
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    weights = []
    for _ in range(2):
        torch.set_rng_state(states[0])
        embedding = sketch(dropout=0.1)
        before = torch.get_rng_state()
        distill(TABLE, embedding, ids=IDS, steps=20, batch_size=50, seed=3)
        assert torch.equal(torch.get_rng_state(), before)
        weights.append(embedding(IDS[:9]) if not embedding.training else embedding.eval()(IDS[:9]))
    assert torch.equal(*weights)
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert random.getstate() == states[2]


def test_batches_hold_distinct_ids_and_all_of_them(monkeypatch):
    embedding, seen = FullTable(200, 8), []
    monkeypatch.setattr(
        embedding, "forward", lambda ids: seen.append(ids) or FullTable.forward(embedding, ids)
    )
    distill(TABLE, embedding, steps=4, batch_size=60, seed=0)
    batches = seen[:4]
    assert [len(batch.unique()) for batch in batches] == [60] * 4
    assert len(torch.cat(batches[:3]).unique()) == 180  # a pass; the other 20 come in another


def test_ids_are_drawn_by_weight_and_the_loss_is_the_weighted_error(monkeypatch):
    embedding, seen = FullTable(200, 8), []
    monkeypatch.setattr(
        embedding, "forward", lambda ids: seen.append(ids) or FullTable.forward(embedding, ids)
    )
    weights = 1 / torch.arange(1, 201)
    weights[-50:] = 0
    rate = {"learning_rate": 1e-9, "network_learning_rate": 1e-9}
    report = distill(TABLE, embedding, weights=weights, steps=400, batch_size=20, seed=0, **rate)
    batches = torch.stack(seen[:400])
    assert all(len(batch.unique()) == 20 for batch in batches)
    counts = batches.flatten().bincount(minlength=200)
    assert (counts[:3] == 400).all()  # too frequent for one place in each batch
    assert (counts[150:] == 0).all()
    drawn, wanted = (each[10:30].sum() / each[100:150].sum() for each in (counts.float(), weights))
    assert drawn == pytest.approx(float(wanted), rel=0.1)
    squares = (FullTable.forward(embedding, torch.arange(200)) - TABLE).square().mean(1)
    weighted = float((weights @ squares / weights.sum()).detach())
    assert sum(report.losses) / 400 == pytest.approx(weighted, rel=0.02)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_stays(training):
    embedding = sketch().train(training)
    distill(TABLE, embedding, ids=IDS, steps=2, seed=0)
    assert embedding.training is training


def test_sparse_rows_and_muon():
    for embedding, optimizer in ((sketch(sparse=True), "adamw"), (sketch(), "muon")):
        report = distill(TABLE, embedding, ids=IDS, steps=100, optimizer=optimizer, seed=0)
        assert report.variance_kept > 0.4


def test_options_out_of_range_are_refused():
    with pytest.raises(InputError, match="steps must be an integer of at least 1, got 0"):
        distill(TABLE, sketch(), steps=0, seed=0)
    for seed in ("item_id", 2**64, None):
        with pytest.raises(InputError, match="seed must be an int of 64 bits"):
            distill(TABLE, sketch(), steps=1, seed=seed)
    with pytest.raises(InputError, match="must be an Embedding, got SketchEncoding"):
        distill(TABLE, sketch().encoding, seed=0)
    with pytest.raises(InputError, match="distill before it is frozen"):
        distill(TABLE, sketch().freeze(), seed=0)
