import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from tablefree.data import Split
from tablefree.embeddings import HybridHash
from tablefree.embeddings.budget import METHODS
from tablefree.encodings import SideFeatures
from tablefree.errors import InputError
from tablefree.experiments.evaluation import DTYPES, evaluate
from tablefree.experiments.recipes import batch_size, default_recipe
from tablefree.experiments.results import append_result, read_results
from tablefree.experiments.run import measure, train
from tablefree.experiments.spec import Run, identity
from tablefree.experiments.task import Task
from tablefree.machine import describe_machine
from tablefree.training.fit import Recipe
from tablefree.training.metrics import auc, expected_calibration_error, log_loss, score_pairs
from tablefree.training.ranking import full_ranking

DIM = 8
SIZES = {"full_table": 1.0, "sketch": 2.0}
NEEDS_VOCABULARY = {"full_table", "narrow_table"}


def a_run(method="hashing_trick", size=0.5, seed=0, model="gmf", **recipe):
    options = {"learning_rate": 0.03, "max_epochs": 1} | recipe
    return Run(method, model, size, seed, DIM, Recipe(**options))


def as_row(measures):
    """As the tuning completes it."""
    return {"trial": 0, "search_space": "{}"} | measures


def evaluated(model, task):
    return evaluate(model, task, task.users.keys(model.users), task.items.keys(model.items))


@pytest.fixture(scope="module")
def rows(task):
    """The measured row of every method."""
    return {
        method: as_row(measure(a_run(method, SIZES.get(method, 0.5)), task)) for method in METHODS
    }


class OfSize:
    """Stands for a task with so many training events."""

    def __init__(self, num_events):
        self.split = self
        self.train = range(num_events)


@pytest.mark.parametrize(
    ("events", "size"),
    [(1, 256), (30_000, 256), (100_000, 1024), (900_189, 4096), (100_000_000, 4096)],
)
def test_batches_are_powers_of_two_within_bounds(events, size):
    assert batch_size(OfSize(events)) == size


@pytest.mark.parametrize("events", [32_768, 50_000, 123_456, 262_144, 500_000])
def test_there_are_about_128_batches(events):
    assert 64 <= events / batch_size(OfSize(events)) <= 128


def test_every_method_measures_a_row_of_the_results(tmp_path, rows):
    for row in rows.values():
        append_result(tmp_path, row)
    results = read_results(tmp_path)
    assert results["method"].to_list() == list(METHODS)
    assert results["selected"].all()
    for name in ("test_auc", "validation_auc", "hit_rate_10", "ndcg_10"):
        assert results[name].is_between(0, 1).all(), name
    rounded = [f"test_auc_{dtype}" for dtype in DTYPES if dtype != "float32"]
    for name in ("recall_20", "ndcg_20", "calibration_error", *rounded):
        assert results[name].is_between(0, 1).all(), name
    for name in ("test_log_loss", "milliseconds_per_id", "train_seconds", "num_train_events"):
        assert (results[name] > 0).all(), name


@pytest.mark.parametrize("method", METHODS)
def test_parameters_keep_to_the_size(rows, task, method):
    row = rows[method]
    budget = row["size"] * DIM * (task.users.num_embeddings + task.items.num_embeddings)
    # A narrow table grows by its rank only, other tables by a row of some sixty. The ids of CAFE's
    # hot rows count too.
    lowest = {"narrow_table": 0.8, "cafe": 0.84}.get(method, 0.95)
    assert lowest * budget <= row["num_parameters"] <= 1.02 * budget


@pytest.mark.parametrize("method", METHODS)
def test_only_tables_have_a_vocabulary(rows, task, method):
    num_ids = task.users.num_embeddings + task.items.num_embeddings
    expected = 8 * num_ids if method in NEEDS_VOCABULARY else 0
    assert rows[method]["vocabulary_bytes"] == expected


@pytest.mark.parametrize("method", METHODS)
def test_fewer_bits_are_fewer_bytes_and_the_vocabulary_stays(rows, method):
    row = rows[method]
    *sizes, codebook = (row[f"deployed_bytes_{dtype}"] for dtype in DTYPES)
    assert sizes == sorted(set(sizes), reverse=True)
    assert sizes[-2] > codebook  # of as many bits as int4: a codebook a matrix, not a scale a row
    assert sizes[0] == row["num_bytes"] + row["vocabulary_bytes"] + 4 * (DIM + 1)  # of GMF itself
    assert min(sizes[-1], codebook) > row["vocabulary_bytes"]
    assert abs(row["test_auc_float16"] - row["test_auc"]) < 0.002


def test_frequent_ids_count_as_bytes(rows, task):
    model = a_run("hybrid_hash").build_model(task)
    assert isinstance(model.users, HybridHash)
    num_ids = len(model.users.frequent_ids) + len(model.items.frequent_ids)
    row = rows["hybrid_hash"]
    assert num_ids > 0
    assert row["num_bytes"] == 4 * row["num_parameters"] + 8 * num_ids
    assert torch.isin(model.users.frequent_ids, task.users.frequent_ids).all()


def test_a_row_says_what_was_run_and_with_what(rows, task):
    row = rows["deep_hash"]
    assert row.items() >= identity(a_run("deep_hash"), task).items()
    assert "DeepHashEmbedding" in json.loads(row["configuration"])["users"]
    assert {"tablefree", "torch", "python"} <= json.loads(row["versions"]).keys()
    assert row["machine"] == describe_machine()
    assert "cores" in row["machine"]


@pytest.mark.parametrize("model", ["gmf", "mlp"])
def test_the_seed_alone_decides_the_result(task, model):
    def measures(seed, disturbance):
        torch.manual_seed(disturbance)
        run = a_run("deep_hash", seed=seed, model=model, optimizer="muon")
        found = evaluated(train(run, task)[0], task)
        return found["test_auc"], found["test_log_loss"]

    assert measures(3, 1) == measures(3, 2) != measures(4, 1)


def test_no_global_random_state_is_touched(task):
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    train(a_run("deep_hash"), task)
    after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    assert before[2] == after[2]


def test_seeds_give_each_side_hash_functions_of_its_own(task):
    models = [a_run(seed=seed).build_model(task) for seed in (0, 0, 1)]
    ids = torch.arange(1000)
    users = [model.users.buckets(ids) for model in models]
    assert torch.equal(users[0], users[1])
    assert not torch.equal(users[0], users[2])
    assert not torch.equal(users[0], models[0].items.buckets(ids))


def test_measures_are_those_of_the_model_on_the_test_part(task):
    model, _ = train(a_run("full_table", 1.0, learning_rate=0.1, max_epochs=5), task)
    measures = evaluated(model, task)
    user_keys, item_keys = task.users.keys(model.users), task.items.keys(model.items)
    users, items, labels = task.test
    logits = score_pairs(model, user_keys[users], item_keys[items])
    assert measures["test_auc"] == auc(logits, torch.from_numpy(labels)) > 0.6
    assert measures["test_auc_unseen"] is None  # too few such items in a random split


def test_probabilities_are_those_of_the_odds_of_the_test_part(task):
    model, _ = train(a_run("full_table", 1.0, learning_rate=0.1, max_epochs=5), task)
    measures = evaluated(model, task)
    labels = torch.from_numpy(task.test.labels)
    keys = task.users.keys(model.users)[task.test.users], task.items.keys(model.items)
    logits = score_pairs(model, keys[0], keys[1][task.test.items]) + math.log(4)
    assert measures["test_log_loss"] == log_loss(logits, labels) < log_loss(logits - 1.4, labels)
    assert measures["calibration_error"] == expected_calibration_error(logits, labels)


@pytest.mark.parametrize(("model", "held_out"), [("gmf", "held_out"), ("mlp", "held_out_few")])
def test_all_unseen_items_are_ranked(task, model, held_out):
    untrained = a_run(model=model).build_model(task)
    keys = task.users.keys(untrained.users), task.items.keys(untrained.items)
    measures = evaluated(untrained, task)
    assert (measures["recall_20"], measures["ndcg_20"]) == full_ranking(
        untrained, getattr(task, held_out), *keys
    )


def test_nothing_is_ranked_where_no_positive_is_new(task, tmp_path):
    data = task.interactions
    train_events = task.split.train
    seen = Split(train_events, task.split.validation, train_events[:200])
    row = measure(a_run(), Task(data, "made up", seen))
    assert row["recall_20"] is row["ndcg_20"] is None
    append_result(tmp_path, as_row(row))


def test_buckets_have_an_auc_of_their_own_where_they_hold_enough(task, monkeypatch):
    model = a_run("deep_hash").build_model(task)
    assert evaluated(model, task)["test_auc_head"] is None  # too few negatives
    monkeypatch.setattr("tablefree.experiments.evaluation.FEWEST_IN_BUCKET", 5)
    user_keys, item_keys = task.users.keys(model.users), task.items.keys(model.items)
    head = task.item_bucket[task.test.items] == 0
    users, items, labels = (part[head] for part in task.test)
    logits = score_pairs(model, user_keys[users], item_keys[items])
    assert evaluated(model, task)["test_auc_head"] == auc(logits, torch.from_numpy(labels))


def test_cold_items_have_an_auc_of_their_own(task, monkeypatch):
    monkeypatch.setattr("tablefree.experiments.evaluation.FEWEST_IN_BUCKET", 5)
    cold = Task.from_interactions(task.interactions, "cold-items")
    measures = evaluated(a_run("deep_hash").build_model(cold), cold)
    assert 0 <= measures["test_auc_unseen"] <= 1


def test_explicit_labels_are_trained_on(task):
    data = task.interactions
    rng = np.random.default_rng(0)
    labelled = type(data)(
        "labelled", data.user, data.item, data.user_ids, data.item_ids,
        label=rng.integers(2, size=data.num_events).astype(np.float32),
    )  # fmt: skip
    row = measure(a_run(), Task.from_interactions(labelled))
    assert row["dataset"] == "labelled"
    assert 0 <= row["test_auc"] <= 1


def test_a_run_that_diverges_is_a_row_too(tmp_path, task):
    row = measure(a_run("deep_hash", learning_rate=1e6, max_epochs=3), task)
    append_result(tmp_path, as_row(row))
    assert math.isnan(row["validation_auc"])
    assert math.isnan(row["test_auc"])
    assert row["hit_rate_10"] == row["ndcg_10"] == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": "dlrm"}, "model must be one of gmf, mlp; got 'dlrm'"),
        ({"method": "magic"}, "method must be one of full_table, .*; got 'magic'"),
        ({"size": 1e-4}, "num_parameters must be|needs at least"),
    ],
)
def test_what_cannot_be_built_is_refused(task, change, named):
    with pytest.raises(InputError, match=named):
        a_run(**change).build_model(task)


@pytest.mark.parametrize("method", METHODS)
def test_defaults_are_a_recipe_for_each_method(method):
    recipe = default_recipe(method, 10, max_epochs=3, optimizer=None)
    assert recipe.max_epochs == 3
    assert recipe.learning_rate > recipe.network_learning_rate
    assert (recipe.optimizer, recipe.network_weight_decay) == (
        ("muon", 0.1) if method == "deep_hash" else ("adamw", 0.0)
    )


@pytest.mark.parametrize(("events_per_id", "rate"), [(1, 0.03), (20, 0.03), (180, 0.01)])
def test_tables_with_one_moment_a_row_learn_slower_the_more_events_they_have(events_per_id, rate):
    assert default_recipe("full_table", events_per_id).learning_rate == 0.03
    options = {"rows": "bfloat16"}
    assert default_recipe("full_table", events_per_id, **options).learning_rate == rate
    assert default_recipe("sketch", events_per_id, **options).learning_rate == 0.03
    options["learning_rate"] = 0.2
    assert default_recipe("full_table", events_per_id, **options).learning_rate == 0.2


@pytest.mark.parametrize(
    ("events_per_id", "decay"), [(0.1, 2.7), (1, 2.7), (9, 0.9), (100, 0.27), (1e6, 0.0027)]
)
def test_rows_decay_the_more_the_fewer_events_they_have(events_per_id, decay):
    assert default_recipe("sketch", events_per_id).weight_decay == decay
    assert default_recipe("sketch", events_per_id, weight_decay=0.5).weight_decay == 0.5


def test_rates_of_a_network_that_are_not_given_are_those_of_the_rows(task):
    same = identity(a_run(weight_decay=0.2), task)
    assert (same["network_learning_rate"], same["network_weight_decay"]) == (0.03, 0.2)


def test_a_pruned_run_is_not_tested(tmp_path, task):
    row = measure(a_run(max_epochs=4), task, prune=lambda epoch, _auc: epoch == 2)
    assert row["pruned"]
    assert row["epochs"] == len(row["validation_curve"]) == 2
    assert row["validation_auc"] == max(row["validation_curve"])
    append_result(tmp_path, as_row(row))
    assert read_results(tmp_path)["test_auc"].null_count() == 1


@pytest.mark.parametrize("decoder", [(), (4,)])
@pytest.mark.parametrize(("users", "own"), [("history", 0), ("both", 1)])
def test_users_as_what_they_did(task, users, own, decoder):
    run = replace(a_run("full_table", 1.0), users=users, decoder=decoder)
    row = as_row(measure(run, task))
    assert row["users"] == users
    assert row["decoder"] == "-".join(map(str, decoder))
    rows = own * (task.users.num_embeddings + 1) + task.items.num_embeddings + 1
    assert row["num_parameters"] >= DIM * rows
    if not decoder:
        assert row["num_bytes"] == 4 * DIM * rows
    num_ids = own * task.users.num_embeddings + task.items.num_embeddings
    assert row["vocabulary_bytes"] == 8 * num_ids
    assert 0 < row["test_auc"] < 1


def test_a_rank_can_be_chosen(task):
    model = replace(a_run("narrow_table", 1.0), code_width=2).outline(task)
    assert model.items.rows.weight.shape == (task.items.num_embeddings + 1, 2)


@pytest.mark.parametrize("place", ["encoding", "input"])
@pytest.mark.parametrize("method", ["sketch", "deep_hash", "full_table"])
def test_features_are_part_of_the_size_and_reach_the_embedding(task, method, place):
    size = 1.0 if method == "full_table" else 4.0
    run = replace(a_run(method, size), decoder=(4,))
    plain = run.build_model(task)
    model = replace(run, side_features=place).build_model(task)
    features = [m for m in model.modules() if isinstance(m, SideFeatures)]
    assert len(features) == 2  # synthetic users and items have features
    if method != "full_table":
        assert model.items.num_parameters == pytest.approx(plain.items.num_parameters, rel=0.1)
    keys = task.items.keys(model.items)[:5]
    before = model.eval().items(keys)
    features[1].codes.mul_(2)
    assert not torch.allclose(model.items(keys), before)


def test_a_run_with_features_is_measured(task):
    run = replace(a_run("sketch", 4.0), decoder=(4,), side_features="encoding")
    row = measure(run, task)
    assert row["side_features"] == "encoding"
    assert 0 <= row["test_auc"] <= 1


def test_features_without_a_place_or_without_data_are_refused(task):
    with pytest.raises(InputError, match="give hashing_trick a decoder, or use side_features inp"):
        replace(a_run(), side_features="encoding").build_model(task)
    with pytest.raises(InputError, match="side_features must be one of none, encoding, input"):
        replace(a_run(), side_features="output").build_model(task)
    bare = replace(task.interactions, user_features=None, item_features=None)
    with pytest.raises(InputError, match="has no features of users or items"):
        replace(a_run(), side_features="input").build_model(replace(task, interactions=bare))
