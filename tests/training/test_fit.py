import logging
import math
import random
import warnings

import numpy as np
import pytest
import torch

from tablefree.data import NegativeSampler
from tablefree.embeddings import DeepHashEmbedding, FullTable
from tablefree.errors import InputError
from tablefree.models import GMF
from tablefree.training.batches import Batch, Negatives, TrainingBatches
from tablefree.training.fit import PRECISIONS, Recipe, fast_precision, fit
from tablefree.training.metrics import auc, score_pairs
from tablefree.training.schedules import SCHEDULES

NUM_USERS = NUM_ITEMS = 40
NUM_GROUPS = 4


def pairs_of_a_group():
    """Users like the items of their own group only: all pairs, in random order."""
    user, item = np.divmod(np.arange(NUM_USERS * NUM_ITEMS), NUM_ITEMS)
    liked = np.flatnonzero(user % NUM_GROUPS == item % NUM_GROUPS)
    liked = np.random.default_rng(0).permutation(liked)
    return user[liked], item[liked]


def training_batches(seed=0):
    users, items = pairs_of_a_group()
    return TrainingBatches(
        users[:300],
        items[:300],
        None,
        user_keys=torch.arange(NUM_USERS),
        item_keys=torch.arange(NUM_ITEMS),
        negatives=Negatives(
            NegativeSampler(users, items, NUM_USERS, NUM_ITEMS), np.arange(NUM_ITEMS)
        ),
        batch_size=64,
        seed=seed,
    )


def held_out():
    users, items = (torch.from_numpy(part[300:]) for part in pairs_of_a_group())
    return Batch(
        torch.cat([users, users]),
        torch.cat([items, (items + 1) % NUM_ITEMS]),
        torch.tensor([1.0, 0.0]).repeat_interleave(len(users)),
    )


def new_model(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        items = DeepHashEmbedding(8, num_hashes=32, hidden=(32,), seed="item_id")
        return GMF(FullTable(NUM_USERS, 8), items)


def trained(seed=0, **recipe):
    model, batches = new_model(seed), training_batches(seed)
    result = fit(model, batches, held_out(), Recipe(**{"learning_rate": 0.05} | recipe))
    return model, result, batches


def validation_auc(model):
    pairs = held_out()
    return auc(score_pairs(model, pairs.users, pairs.items), pairs.labels)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_groups_are_learnt(optimizer, precision):
    model, result, _ = trained(optimizer=optimizer, precision=precision)
    assert result.validation_auc > 0.8
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert result.seconds > 0


def test_rows_in_bfloat16_learn_in_fewer_bytes():
    (_, exact, _), (model, small, _) = trained(), trained(rows="bfloat16")
    assert small.validation_auc > 0.8
    assert validation_auc(model) == pytest.approx(small.validation_auc, abs=1e-6)
    assert model.users.rows.weight.dtype == torch.bfloat16
    assert {p.dtype for p in model.items.parameters()} == {torch.float32}
    # AdamW has two moments for each number, and `RowAdam` has one for each row.
    num_rows = NUM_USERS + 1
    of_rows = [num_rows * 8 * 12, num_rows * (8 * 2 + 4)]
    spared = exact.training_bytes - small.training_bytes
    assert spared == of_rows[0] + 4 - of_rows[1]  # and counts its steps in a tensor


def test_rows_that_are_many_learn_the_same_by_sparse_gradients(monkeypatch):
    model, result, _ = trained(max_epochs=3)
    monkeypatch.setattr("tablefree.rows.table.SPARSE_FROM", NUM_USERS)
    other, faster, _ = trained(max_epochs=3)
    assert faster.training_bytes < result.training_bytes  # one moment is none
    rows = [one.users.rows.weight for one in (model, other)]
    torch.testing.assert_close(*rows, rtol=1e-3, atol=1e-4)
    assert not other.users.rows.sparse
    assert other.users.config() == model.users.config()
    other.users(torch.tensor([3])).sum().backward()
    torch.optim.Adam(other.users.parameters()).step()  # as of any dense gradient


def test_every_epoch_is_iterated_once():
    _, result, batches = trained(max_epochs=3, patience=3)
    assert batches.epoch == result.epochs == 3


def test_training_stops_early_and_keeps_the_best_epoch():
    model, result, _ = trained(learning_rate=1.0, max_epochs=30, patience=2)
    assert result.epochs == result.best_epoch + 2 < 30
    assert validation_auc(model) == pytest.approx(result.validation_auc, abs=1e-6)


def test_the_weights_of_the_best_epoch_are_restored(monkeypatch):
    """The validation AUC is made to fall after the second epoch."""
    values = iter([0.6, 0.7, 0.5, 0.4])
    seen = []

    def scripted(model, users, items):
        seen.append({key: value.clone().cpu() for key, value in model.named_parameters()})
        return score_pairs(model, users, items)

    monkeypatch.setattr("tablefree.training.pairs.score_pairs", scripted)
    monkeypatch.setattr("tablefree.training.pairs.auc", lambda *_: next(values))
    model, result, _ = trained()
    assert (result.best_epoch, result.epochs) == (2, 4)
    assert result.validation_auc == pytest.approx(0.7)
    for key, value in model.named_parameters():
        assert torch.equal(value, seen[1][key])


@pytest.mark.parametrize("schedule", list(SCHEDULES))
def test_the_learning_rate_follows_its_schedule(schedule):
    rates = []
    with pytest.MonkeyPatch.context() as patch:
        step = torch.optim.AdamW.step
        patch.setattr(
            torch.optim.AdamW,
            "step",
            lambda self, *args, **kwargs: (
                rates.append(self.param_groups[0]["lr"]),
                step(self, *args, **kwargs),
            )[1],
        )
        trained(max_epochs=2, schedule=schedule)
    assert rates == pytest.approx([0.05 * SCHEDULES[schedule](step / 10) for step in range(10)])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_same_seed_gives_the_same_model(optimizer):
    (one, result, _), (same, again, _), (other, _, _) = (
        trained(seed, optimizer=optimizer, max_epochs=2) for seed in (0, 0, 1)
    )
    assert result.validation_auc == again.validation_auc
    for left, right in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(left, right)
    assert not torch.equal(one.users.rows.weight, other.users.rows.weight)


def test_no_global_random_state_is_touched():
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    trained(max_epochs=1)
    after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    assert before[2] == after[2]


def test_a_training_that_diverges_ends_without_an_error():
    model, result, _ = trained(learning_rate=1e6, max_epochs=5)
    assert math.isnan(result.validation_auc)
    assert (result.best_epoch, result.epochs) == (0, 1)
    assert math.isnan(validation_auc(model))


def test_a_log_is_written_where_it_is_asked_for(tmp_path):
    folder = tmp_path / "log"
    fit(new_model(), training_batches(), held_out(), Recipe(0.05, max_epochs=1), log_folder=folder)
    events = [path for path in folder.rglob("*") if "tfevents" in path.name]
    assert len(events) == 1
    content = events[0].read_bytes()
    assert b"validation_auc" in content
    assert b"training_loss" in content


def test_nothing_is_written_where_no_log_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained(max_epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_training_is_silent_and_leaves_logging_and_warnings_as_they_were(capfd):
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level, list(warnings.filters)
    trained(max_epochs=1)
    assert (logger.level, list(warnings.filters)) == before
    assert capfd.readouterr() == ("", "")


def test_progress_is_shown_when_asked_for(capfd):
    recipe = Recipe(0.05, max_epochs=1)
    fit(new_model(), training_batches(), held_out(), recipe, show_progress=True)
    assert "validation_auc" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"optimizer": "sgd"}, "optimizer must be one of adamw, muon; got 'sgd'"),
        ({"rows": "int8"}, "rows must be one of float32, bfloat16; got 'int8'"),
        ({"precision": "half"}, "precision must be one of float32, bfloat16; got 'half'"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and finite, got 0.0"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0 and finite, got nan"),
        ({"learning_rate": math.inf}, "learning_rate must be above 0 and finite, got inf"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0 and finite, got -0.1"),
        ({"schedule": "wavy"}, "schedule must be one of constant, linear, cosine, one_cycle; got"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"max_epochs": 0}, "max_epochs must be from 1 to 1,000,000, got 0"),
        ({"max_epochs": 2 * 10**19}, "max_epochs must be from 1 to 1,000,000, got 2000"),
        ({"patience": 0}, "patience must be from 1 to 1,000,000, got 0"),
    ],
)
def test_options_out_of_range_are_refused(change, named):
    with pytest.raises(InputError, match=named):
        Recipe(**{"learning_rate": 0.1} | change)


@pytest.mark.parametrize(
    ("amx", "avx512", "expected"),
    [(True, False, "bfloat16"), (False, True, "bfloat16"), (False, False, "float32")],
)
def test_the_faster_precision_follows_the_processor(monkeypatch, amx, avx512, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert fast_precision() == expected


@pytest.mark.parametrize(("supported", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_the_faster_precision_follows_the_gpu(monkeypatch, supported, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    assert fast_precision() == expected
