"""Events without a label: what is drawn beside them, and what training may know."""

import numpy as np
import polars as pl
import pytest
import torch

from tablefree.errors import InputError
from tablefree.experiments import plans
from tablefree.experiments.event_models import evaluate_predictor
from tablefree.experiments.event_task import EventTask
from tablefree.experiments.positives import Pair
from tablefree.fields.plan import plan
from tablefree.fields.profile import profile
from tablefree.fields.table import Table
from tablefree.training.events import Batches, new_predictor, train_events
from tablefree.training.fit import Recipe

PAIR = Pair("user_id", "item_id")
RECIPE = Recipe(0.03, 0.003, max_epochs=3, batch_size=64)


def log(num_events=6_000, tastes=True, seed=0, **columns):
    """Users who like items of their parity, or any; a brand and a price of each item."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(300, size=num_events), rng.integers(100, size=num_events)
    if tastes:
        items = items - items % 2 + users % 2
    return pl.DataFrame(
        {
            "user_id": [f"u{one}" for one in users],
            "item_id": items,
            "brand": [f"b{one % 9}" for one in items],
            "price": items / 10,
            "device": rng.integers(3, size=num_events),
            "ts": 1_700_000_000 + np.sort(rng.integers(10**6, size=num_events)),
            **{name: make(users, items, rng) for name, make in columns.items()},
        }
    )


def task_of(frame, split=None, pair=PAIR):
    return EventTask.of("log", Table.of(frame), profile(frame), split, pair)


def fitted(task):
    found = plan(task.profile, method="full_table", embedding_dim=8)
    return train_events(found, task.train, task.validation, RECIPE, others=task.others)[0]


def columns_of(events, task):
    features = {name: ids.numpy() for name, ids in events.features().items()}
    numeric = [one for one, it in task.profile.columns.items() if it.column.kind == "numeric"]
    return features | dict(zip(numeric, events.numbers.T, strict=True))


def pairs_of(columns, some=slice(None)):
    return set(zip(columns["user_id"][some], columns["item_id"][some], strict=True))


@pytest.fixture(scope="module")
def task():
    return task_of(log())


def test_an_item_has_its_columns_wherever_it_is_drawn(task):
    assert task.positives.pair.of_item == {"item_id", "brand", "price"}
    for part in (task.validation, task.test, task.examples(2_000)):
        found = columns_of(part, task)
        of_item = np.stack([found["brand"], (found["price"] * 10).round().astype(np.int64)])
        assert np.unique(np.vstack([found["item_id"], of_item]), axis=1).shape[1] == len(
            np.unique(found["item_id"])
        )
        assert len(np.unique(found["item_id"])) > 90


def test_the_rest_of_an_event_stays(task):
    found = columns_of(task.test, task)
    num_positives = int(task.test.labels.sum())
    assert len(task.test) == 5 * num_positives
    for name in ("user_id", "device", "ts:hour"):
        own, others = np.split(found[name], [num_positives])
        assert np.array_equal(np.tile(own, 4), others)


def test_no_user_is_told_of_an_item_that_it_had(task):
    whole = columns_of(task.events, task)
    train = columns_of(task.train, task)

    for part in (task.validation, task.test):
        found = columns_of(part, task)
        assert not pairs_of(found, part.labels == 1) & pairs_of(train)
        assert not pairs_of(found, part.labels == 0) & pairs_of(train)
    assert not pairs_of(columns_of(task.test, task), task.test.labels == 0) & pairs_of(whole)


def test_batches_draw_anew_from_what_training_knows(task):
    found = plan(task.profile, method="full_table", embedding_dim=4)
    predictor = new_predictor(found, task.train, model="dlrm", seed=0)
    batches = Batches(predictor, task.train, 500, 0, task.others)
    known = predictor.vocabularies()["item_id"]
    epochs = []
    for _ in range(2):
        some = list(batches)
        labels = torch.cat([one.labels for one in some])
        assert (labels.sum(), len(labels)) == (len(task.train), 5 * len(task.train))
        items = torch.cat([one.features["item_id"] for one in some])
        brands = torch.cat([one.features["brand"] for one in some])
        dense = torch.cat([one.dense for one in some])
        assert int(items.max()) < len(known)
        assert len(torch.stack([items, brands], 1).unique(dim=0)) == len(items.unique())
        assert len(dense.unique(dim=0)) == len(items.unique())
        epochs.append(items[labels == 0])
    assert not torch.equal(*epochs)
    again = Batches(predictor, task.train, 500, 0, task.others)
    items = torch.cat([one.features["item_id"][one.labels == 0] for one in again])
    assert torch.equal(items, epochs[0])


@pytest.mark.parametrize("split", ["time", "random"])
def test_a_model_learns_tastes(split):
    task = task_of(log(), split)
    found = plans.tested(fitted(task), task.test, task.new_values)
    assert found["test_auc"] > 0.7  # at most .8, for others of one's parity are drawn too


@pytest.mark.parametrize("split", ["time", "random"])
def test_noise_scores_one_half(split):
    def misspelt(_, items, rng):
        """A title of each item, now and then another: of one drawn it must be no other."""
        return [f"t{one}" if rng.random() < 0.95 else f"t{one}x" for one in items]

    aucs = []
    for seed in range(3):
        noisy = {
            "title": misspelt,
            "cost": lambda _, items, rng: items + rng.normal(size=len(items)),
        }
        task = task_of(log(tastes=False, seed=seed, **noisy), split)
        assert {"title", "cost"} < task.positives.pair.of_item
        aucs.append(plans.tested(fitted(task), task.test, task.new_values)["test_auc"])
    assert abs(np.mean(aucs) - 0.5) < 3 * 0.3 / 450**0.5  # of some 500 positives each, about


def test_other_parts_change_no_weight():
    frame = log()
    task = task_of(frame)
    rows = np.zeros(len(frame), bool)
    rows[task.parts.test] = True
    other = frame.with_columns(
        item_id=pl.when(rows).then((pl.col("item_id") * 7 + 3) % 100).otherwise("item_id")
    )
    one, another = (fitted(each) for each in (task, task_of(other)))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, another.state_dict()[name]), name


def test_a_column_that_tells_the_item_is_warned_about():
    noisy = log(
        slot=lambda _, items, rng: np.where(rng.random(len(items)) < 0.3, 999, items),
        paid=lambda _, items, rng: items + 12 * rng.normal(size=len(items)),
    )
    said = [one for one in task_of(noisy).notes if "tells which" in one]
    assert len(said) == 2
    assert "'slot'" in said[0]
    assert "'paid'" in said[1]


def test_rows_without_a_user_or_an_item_are_left_out():
    frame = log().with_columns(
        user_id=pl.when(pl.int_range(pl.len()) % 50 == 7).then(None).otherwise("user_id"),
        item_id=pl.when(pl.int_range(pl.len()) % 100 == 11).then(None).otherwise("item_id"),
    )
    task = task_of(frame)
    assert len(task.events) == 6_000 - 180
    assert task.notes[-1].startswith("180 of 6,000 rows have no user_id or no item_id")


def test_repeats_of_what_is_known_are_not_counted():
    doubled = pl.concat([log(), log()[:500]])
    (note,) = [one for one in task_of(doubled, "time").notes if "repeat" in one]
    assert "are not counted" in note
    together = task_of(doubled, "random")
    parts = [pairs_of(columns_of(together.events.at(rows), together)) for rows in together.parts]
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_measures_of_a_file_are_those_of_all_its_events(task):
    predictor = fitted(task)
    table = Table.of(log())
    split = evaluate_predictor(predictor, table, "time", task.positives.pair)
    assert split == {
        "test_events": len(task.test),
        "test_events_unseen": int(task.new_values.sum()),
        **plans.tested(predictor, task.test, task.new_values),
    }
    whole = evaluate_predictor(predictor, table, None, task.positives.pair)
    distinct = log().unique(["user_id", "item_id"]).height
    assert whole["events"] >= 5 * distinct
    assert whole["auc"] > 0.7


def test_what_cannot_be_told_apart_is_refused():
    frame = log().with_columns(user_id=pl.lit("u0"))
    with pytest.raises(InputError, match="every one of the 100 items"):
        task_of(
            frame.with_columns(
                user_id=pl.when(pl.col("device") > 1).then("user_id").otherwise(pl.lit("u1"))
            )
        )
    with pytest.raises(InputError, match="--user-column, --item-column"):
        task_of(log(), pair=None)
