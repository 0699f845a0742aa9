"""The commands on events without a label: others are drawn, with another item."""

import numpy as np
import polars as pl
import pytest

from tablefree.data.synthetic import synthetic_clicks
from tablefree.training.checkpoint import load_checkpoint

QUICK = ("--epochs", "1", "--embedding-dim", "4")
COMPARED = ("--methods", "hashing_trick", "--sizes", "1/2", "--trials", "1", "--seeds", "1")


@pytest.fixture(scope="module")
def purchases(tmp_path_factory):
    rng = np.random.default_rng(0)
    users, items = rng.integers(100, size=3_000), rng.integers(50, size=3_000)
    items = items - items % 2 + users % 2
    columns = {
        "user_id": users,
        "item_id": [f"i{one}" for one in items],
        "brand": [f"b{one % 7}" for one in items],
        "device": rng.integers(3, size=3_000),
        "rating": rng.integers(1, 6, size=3_000),
    }
    path = tmp_path_factory.mktemp("purchases") / "purchases.csv"
    pl.DataFrame(columns).write_csv(path)
    return path


@pytest.fixture(scope="module")
def trained(purchases, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints") / "purchases"
    options = ("--model", "deepfm", "--epochs", "3", "--method", "hashing_trick")
    assert run("train", "--data", purchases, *options, "--output", folder) == 0
    return folder


def test_a_model_of_events_is_all_that_it_takes(trained):
    told = load_checkpoint(trained)
    assert told.run["pair"] == {
        "user": "user_id",
        "item": "item_id",
        "of_item": ["brand", "item_id"],
    }
    assert [one.name for one in told.predictor.columns] == [
        *("user_id", "item_id", "brand", "device")
    ]


def test_the_command_says_so(purchases, tablefree, capsys, tmp_path):
    options = ("--model", "dlrm", "--item-column", "item_id", "--bytes", "1/2", *QUICK)
    assert tablefree("train", "--data", purchases, *options, "--output", tmp_path / "a") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "told from 4 with another item_id with its brand, which its user_id did not" in said
    assert "'rating' is left out, as it is known after the event" in said


def test_evaluate_draws_the_same(trained, purchases, tablefree, capsys):
    assert tablefree("evaluate", "--checkpoint", trained, "--data", purchases) == 0
    whole = capsys.readouterr().out
    options = ("--checkpoint", trained, "--data", purchases, "--split", "random")
    assert tablefree("evaluate", *options) == 0
    found = load_checkpoint(trained).measures
    assert f"{found['test_auc']:.4f}" in capsys.readouterr().out
    assert f"{found['test_auc']:.4f}" not in whole


def test_predict_takes_rows_as_any(trained, purchases, tablefree, tmp_path):
    output = tmp_path / "p.parquet"
    options = ("--checkpoint", trained, "--data", purchases, "--output", output)
    assert tablefree("predict", *options) == 0
    assert pl.read_parquet(output)["probability"].is_between(0, 1).all()


def test_plans_are_compared(purchases, tablefree, tmp_path):
    options = ("--model", "deepfm", "--output", tmp_path / "r", *COMPARED, *QUICK)
    assert tablefree("compare", "--data", purchases, *options) == 0
    assert "told from others with another item" in (tmp_path / "r/summary.md").read_text()


def test_what_does_not_apply(refused, purchases, tmp_path):
    data = tmp_path / "clicks.parquet"
    synthetic_clicks(500).write_parquet(data)
    model, output = ("--model", "dlrm"), ("--output", tmp_path / "x")
    named = ("--label", "click", "--user-column", "ad_id", *output)
    refused(("train", "--data", data, *named), "--user-column is of users and items")
    missing = ("--user-column", "buyer", *model, *output)
    refused(("train", "--data", purchases, *missing), "no column 'buyer'")
    dropped = ("--drop", "item_id", *model, *output)
    refused(("train", "--data", purchases, *dropped), "--user-column, --item-column")
    one = ("--user-column", "item_id", "--item-column", "item_id", *model, *output)
    refused(("train", "--data", purchases, *one), "column of users and of items: name two columns")
    number = ("--user-column", "device", "--numeric", "device", *model, *output)
    refused(("train", "--data", purchases, *number), "'device' of users is taken for numeric")
