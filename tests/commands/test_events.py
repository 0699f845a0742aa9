"""The commands on events of many columns: from files of each form, with options good and bad."""

import json
import re
import shlex

import numpy as np
import polars as pl
import pytest
import torch

import tablefree as package
from tablefree.data.synthetic import synthetic_clicks
from tablefree.embeddings import EmbeddingCollection
from tablefree.experiments.plan_columns import read_columns, read_plans
from tablefree.packing import packed_bytes
from tablefree.training.checkpoint import load_checkpoint
from tablefree.training.metrics import auc

QUICK = ("--epochs", "1", "--embedding-dim", "4")
COMPARED = ("--methods", "hashing_trick", "--sizes", "1/2,0.5", "--trials", "1", "--seeds", "1")


def clicks(num_events=1_500, seed=0):
    return synthetic_clicks(num_events, seed).rename({"click": "sold"})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "clicks.parquet"
    clicks().write_parquet(path)
    return path


@pytest.fixture(scope="module")
def checkpoint(data, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints") / "ctr"
    options = ("--label", "sold", "--bytes", "1/4", "--method", "hashing_trick", *QUICK)
    assert run("train", "--data", data, *options, "--output", folder) == 0
    return folder


@pytest.fixture(scope="module")
def compared(data, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "clicks"
    options = ("--label", "sold", "--output", folder, *COMPARED, *QUICK)
    assert run("compare", "--data", data, *options) == 0
    return folder


class TestPlan:
    def test_it_prints_the_columns_and_what_each_gets(self, tablefree, data, capsys, monkeypatch):
        monkeypatch.setattr(
            "tablefree.commands.screen.console._width", 200
        )  # however it was imported
        options = ("--label", "sold", "--drop", "browser", "--budget", "30KB")
        assert tablefree("plan", "--data", data, *options) == 0
        shown = capsys.readouterr().out
        assert "left out: browser: dropped" in shown
        lines = {line.split()[0]: line for line in shown.splitlines() if line.split()}
        for name, method in (("device_id", "claimed_rows"), ("site", "full_table")):
            assert any(name in line and method in line for line in shown.splitlines())
        assert "time:hour" in lines
        assert "In all" in shown

    def test_the_folder_holds_the_configuration_and_a_picture(self, tablefree, data, tmp_path):
        options = ("--budget", "1/4", "--growth", "2", "--embedding-dim", "8")
        assert tablefree("plan", "--data", data, *options, "--output", tmp_path / "plan") == 0
        config = json.loads((tmp_path / "plan" / "plan.json").read_text())
        assert set(EmbeddingCollection(config).names) >= {"device_id", "time:hour"}
        assert {one["embedding_dim"] for one in config.values()} == {8}
        picture = (tmp_path / "plan" / "growth.svg").read_text()
        assert picture.startswith("<svg")
        assert "device_id" in picture

    @pytest.mark.parametrize("command", ["plan", "train", "compare"])
    def test_a_table_of_numbers_has_nothing_to_embed(self, tmp_path, refused, command):
        path = tmp_path / "numbers.csv"
        pl.DataFrame({"a": np.arange(50) / 7, "b": np.arange(50) % 2}).write_csv(path)
        options = ("--label", "b", "--output", tmp_path / "new")
        refused((command, "--data", path, *options), "nothing to embed", "--categorical NAME")
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--label", "nothing"), ["has no column 'nothing'", "'device_id'"]),
            (("--label", "site"), ["the column 'site'", "cannot be the label"]),
            (("--label", "visits"), ["cannot be the label", "a label is 0 or 1"]),
            (("--numeric", "site"), ["cannot be numeric"]),
            (("--categorical", "site", "--drop", "site"), ["given twice"]),
            (("--budget", "100B"), ["100 bytes are too few"]),
            (("--budget", "much"), ["a size", "'much'"]),
            (("--growth", "0.5"), ["--growth"]),
        ],
    )
    def test_bad_options(self, data, refused, options, words):
        refused(("plan", "--data", data, *options), *words)

    @pytest.mark.parametrize(
        ("command", "options"),
        [
            ("plan", ("--budget", "abc")),
            ("train", ("--bytes", "abc")),
            ("compare", ("--sizes", "1/4,abc")),
            ("compare", ("--bytes", "5KB,abc")),
            ("train", ("--split", "abc")),
            ("compare", ("--split", "abc")),
        ],
    )
    def test_options_are_looked_at_before_the_data(self, tablefree, data, capsys, command, options):
        assert tablefree(command, "--data", data, "--label", "sold", *options) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        is_split = options[0] == "--split"
        wanted = "split must be one of time, group, random" if is_split else "as 500KB or 6GB"
        assert f"{wanted}; got 'abc'" in printed.err

    def test_options_in_warnings_are_whole(self, tablefree, tmp_path, capsys):
        """However narrow the screen is."""
        path = tmp_path / "clicks.csv"
        flags = {f"an_outcome_of_clicks_{at}": pl.col("sold") for at in range(9)}
        clicks(600).with_columns(**flags).write_csv(path)
        assert tablefree("plan", "--data", path, "--label", "sold", "--budget", "1/2") == 0
        lines = capsys.readouterr().out.splitlines()
        assert sum(line.endswith(f"--drop {','.join(flags)}") for line in lines) == 1

    def test_columns_of_any_name(self, tablefree, tmp_path, capsys):
        path = tmp_path / "clicks.csv"
        rows = [f"{n % 2},{n % 7},v{n % 5},{n % 2 + n / 1000}" for n in range(600)]
        header = '"sold, or not","size, in cm", city,"le,ak"'
        path.write_text("\n".join([header, *rows]) + "\n")
        options = ("--label", "sold, or not", "--categorical", r"size\, in cm,\ city")
        assert tablefree("plan", "--data", path, *options, "--budget", "1/2") == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "size, in cm categorical given" in shown
        assert "city categorical given" in shown
        (dropped,) = re.findall(r"\(--drop (.*?)\)", shown)
        options += ("--drop", *shlex.split(dropped))
        assert tablefree("plan", "--data", path, *options, "--budget", "1/2") == 0
        assert "left out: le,ak: dropped" in capsys.readouterr().out

    def test_data_that_are_not_there(self, refused):
        refused(("plan", "--data", "nowhere.csv"), "nowhere.csv does not exist")


class TestTrain:
    def test_the_folder_opens_as_a_model(self, checkpoint, data):
        predictor = package.load(checkpoint)
        assert {one.name for one in predictor.inputs} == {*clicks(1).columns} - {"sold"}
        found = predictor.predict(data)
        assert found.shape == (1_500,)
        assert (found > 0).all()
        assert (found < 1).all()

    def test_it_is_packed(self, checkpoint):
        assert json.loads((checkpoint / "config.json").read_text())["packed"]["rows"]

    def test_it_says_what_it_comes_to(self, tablefree, data, tmp_path, capsys):
        options = ("--label", "sold", "--method", "full_table", "--model", "dcn", *QUICK)
        options += ("--split", "random", "--learning-rate", "0.01", "--seed", "3")
        assert tablefree("train", "--data", data, *options, "--output", tmp_path / "new") == 0
        shown = capsys.readouterr().out
        for measure in ("Validation AUC", "Test AUC", "Normalised entropy", "Calibration error"):
            assert measure in shown
        assert "packed" not in json.loads((tmp_path / "new" / "config.json").read_text())

    def test_it_says_what_the_model_takes(self, tablefree, data, tmp_path, capsys):
        options = ("--label", "sold", "--bytes", "20KB", "--method", "hashing_trick", *QUICK)
        assert tablefree("train", "--data", data, *options, "--output", tmp_path / "new") == 0
        said = capsys.readouterr().out
        loaded = load_checkpoint(tmp_path / "new")
        sizes = {name: loaded.run[f"{name}_bytes"] for name in ("embedding", "vocabulary")}
        assert sum(sizes.values()) <= loaded.run["num_bytes"] == 20_000
        assert sizes["embedding"] == packed_bytes(loaded.predictor.embeddings)
        assert "embeddings and" in said
        features = loaded.run["features"]
        assert [*features] == loaded.predictor.features
        assert sum(one["num_bytes"] for one in features.values()) <= sum(sizes.values())
        shown = {line.split()[0]: line for line in said.splitlines() if line.split()}
        for name, one in features.items():
            assert one["form"] in shown[name]
        assert "of 20.0 KB allowed" in said
        assert "before packing" in said
        total = (tmp_path / "new" / "model.safetensors").stat().st_size
        assert total >= sum(sizes.values()) + loaded.run["network_bytes"]
        assert "split: by time" in said

    def test_a_column_option_alone_makes_it_events(self, tablefree, tmp_path, capsys):
        path = tmp_path / "clicks.csv"
        clicks(600).rename({"sold": "click"}).write_csv(path)
        options = ("--drop", "device_id,ad_id", "--method", "full_table", *QUICK)
        assert tablefree("train", "--data", path, *options, "--output", tmp_path / "new") == 0
        assert "left out: ad_id: dropped" in capsys.readouterr().out
        names = [one.name for one in package.load(tmp_path / "new").inputs]
        assert "device_id" not in names

    def test_many_columns_without_an_item_are_events(self, tablefree, tmp_path, refused):
        path = tmp_path / "clicks.csv"
        clicks(600).rename({"sold": "click", "device_id": "user_id"}).write_csv(path)
        options = ("--method", "hashing_trick", "--bytes", "1/2", *QUICK)
        assert tablefree("train", "--data", path, *options, "--output", tmp_path / "new") == 0
        assert "user_id" in package.load(tmp_path / "new").features
        clicks(600).with_columns(fraud=pl.col("sold")).write_csv(path)
        words = ("(--label), which 'sold', 'fraud' may be; or", "(--user-column, --item-column)")
        refused(("train", "--data", path, *options), *words)

    @pytest.mark.parametrize(
        ("names", "label"), [({"device_id": "user_id", "ad_id": "item_id"}, "clk"), ({}, "IsClick")]
    )
    def test_clicks_are_no_pairs(self, tablefree, tmp_path, names, label):
        """Of users and items, or of few columns: those that were not clicked are no likes."""
        path = tmp_path / "clicks.csv"
        columns = ("device_id", "ad_id", "time", "sold")
        clicks(600).select(columns).rename({**names, "sold": label}).write_csv(path)
        options = ("--method", "full_table", *QUICK, "--output", tmp_path / "new")
        assert tablefree("train", "--data", path, *options) == 0
        columns = load_checkpoint(tmp_path / "new").predictor.columns
        assert [one.kind for one in columns if one.name == label] == ["label"]

    def test_the_form_of_a_file_makes_it_events(self, tablefree, tmp_path):
        rng = np.random.default_rng(0)
        path = tmp_path / "frappe.libfm"
        path.write_text(
            "".join(
                f"{rng.choice((-1, 1))} {rng.integers(40)}:1 {40 + rng.integers(30)}:1 "
                f"{70 + rng.integers(5)}:1\n"
                for _ in range(400)
            )
        )
        options = ("--method", "full_table", *QUICK, "--output", tmp_path / "new")
        assert tablefree("train", "--data", path, *options) == 0
        names = [one.name for one in package.load(tmp_path / "new").inputs]
        assert names == ["user", "item", "field_3"]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--model", "gmf"), ["model must be one of dlrm, deepfm, dcn; got 'gmf'"]),
            (("--method", "sketch"), ["method must be one of claimed_rows", "got 'sketch'"]),
            (("--split", "leave-last-out"), ["split must be one of", "got 'leave-last-out'"]),
            (("--split", "group"), ["a split by group needs a group"]),
            (("--decoder", "64"), ["--decoder is of users and items"]),
            (("--users", "history", "--size", "1/4"), ["--users, --size"]),
            (("--side-features", "input"), ["--side-features"]),
            (("--precision", "float32", "--rows", "float32"), ["--precision, --rows"]),
            (("--user-column", "device_id"), ["--user-column"]),
            (("--bytes", "200"), ["200 bytes are too few"]),
            (
                ("--bytes", "1KB", "--method", "full_table"),
                ["at least when they are packed", "1,000 are allowed"],
            ),
            (("--learning-rate", "-1"), ["learning_rate must be above 0"]),
        ],
    )
    def test_bad_options_leave_no_model(self, data, tmp_path, refused, options, words):
        output = ("--output", tmp_path / "new", *QUICK)
        refused(("train", "--data", data, "--label", "sold", *options, *output), *words)
        assert not (tmp_path / "new" / "config.json").exists()

    def test_events_without_a_label(self, data, tmp_path, refused):
        options = ("--drop", "browser", "--output", tmp_path / "new")
        refused(("train", "--data", data, *options), "has no column", "--label")

    def test_a_checkpoint_is_not_trained_over(self, data, checkpoint, refused):
        before = (checkpoint / "model.safetensors").read_bytes()
        options = ("--label", "sold", "--output", checkpoint, *QUICK)
        refused(("train", "--data", data, *options), "holds a checkpoint")
        assert (checkpoint / "model.safetensors").read_bytes() == before

    def test_pairs_are_a_table_of_two_columns(self, tmp_path, tablefree, refused):
        path = tmp_path / "pairs.csv"
        rng = np.random.default_rng(0)
        ids = {name: rng.integers(0, 40, 600) for name in ("user_id", "item_id")}
        pl.DataFrame(ids).write_csv(path)
        options = ("--data", path, "--output", tmp_path / "model", "--bytes", "1/2", *QUICK)
        refused(("train", *options, "--model", "lstm"), "model must be one of gmf, mlp")
        assert tablefree("train", *options, "--model", "dlrm") == 0


class TestEvaluate:
    def test_it_measures_all_rows(self, tablefree, checkpoint, data, capsys):
        assert tablefree("evaluate", "--checkpoint", checkpoint, "--data", data) == 0
        shown = capsys.readouterr().out
        labels = clicks()["sold"].to_numpy()
        found = package.load(checkpoint).predict(data)
        loss = -np.where(labels == 1, np.log(found), np.log1p(-found)).mean()
        assert f"{loss:.4f}" in shown
        assert all(name in shown for name in ("AUC", "Normalised entropy", "Calibration error"))

    def test_what_one_label_leaves_undefined(self, tablefree, checkpoint, tmp_path, capsys):
        path = tmp_path / "sold.parquet"
        clicks().filter(sold=1).write_parquet(path)
        assert tablefree("evaluate", "--checkpoint", checkpoint, "--data", path) == 0
        shown = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines()]
        values = {name.strip(): value.strip() for name, value in filter(None, shown)}
        undefined = "all labels are the same"
        assert values["AUC"] == values["Normalised entropy"] == undefined
        assert float(values["Log loss"]) > 0

    def test_other_forms_of_the_data_measure_the_same(
        self, tablefree, checkpoint, data, tmp_path, capsys
    ):
        assert tablefree("evaluate", "--checkpoint", checkpoint, "--data", data) == 0
        shown = capsys.readouterr().out
        clicks().write_csv(tmp_path / "clicks.csv")
        clicks().with_columns(pl.col("time").cast(pl.String)).write_ndjson(tmp_path / "clicks.json")
        for name in ("clicks.csv", "clicks.json"):
            path = tmp_path / name
            assert tablefree("evaluate", "--checkpoint", checkpoint, "--data", path) == 0
            assert capsys.readouterr().out == shown

    @pytest.mark.parametrize(
        ("frame", "words"),
        [
            (clicks(50).drop("sold"), ["has no column 'sold'"]),
            (clicks(50).drop("site"), ["has no column 'site'"]),
            (clicks(50).with_columns(sold=pl.lit(None, pl.Int64)), ["no row with a label"]),
            (clicks(50).with_columns(sold=pl.lit(2)), ["labels, 0 or 1"]),
        ],
        ids=["no label", "no input", "no known label", "another label"],
    )
    def test_bad_data(self, checkpoint, tmp_path, refused, frame, words):
        frame.write_parquet(tmp_path / "bad.parquet")
        refused(
            ("evaluate", "--checkpoint", checkpoint, "--data", tmp_path / "bad.parquet"), *words
        )

    def test_a_split_gives_the_measures_of_the_training(self, tablefree, checkpoint, data, capsys):
        options = ("evaluate", "--checkpoint", checkpoint, "--data", data)
        assert tablefree(*options) == 0
        assert "note: clicks is what the model was trained on" in capsys.readouterr().out
        assert tablefree(*options, "--split", "time") == 0
        shown = capsys.readouterr().out
        assert "note: clicks" not in shown
        measures = dict(load_checkpoint(checkpoint).measures)
        del measures["validation_auc"]
        assert measures["test_events"] == 150
        for value in measures.values():
            assert (str(value) if isinstance(value, int) else f"{value:.4f}") in shown

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--split", "cold-items"), ["split must be one of time, group, random"]),
            (("--split", "group"), ["name its column (--group)"]),
            (("--user-column", "site"), ["--user-column is of users and items"]),
        ],
    )
    def test_options_that_do_not_apply(self, checkpoint, data, refused, options, words):
        refused(("evaluate", "--checkpoint", checkpoint, "--data", data, *options), *words)

    def test_no_data(self, checkpoint, refused):
        refused(("evaluate", "--checkpoint", checkpoint), "(--data)")

    def test_worse_than_nothing_is_said(self, tablefree, checkpoint, tmp_path, capsys):
        path = tmp_path / "other.parquet"
        clicks().with_columns(sold=1 - pl.col("sold")).write_parquet(path)
        assert tablefree("evaluate", "--checkpoint", checkpoint, "--data", path) == 0
        assert "worse than the mean label" in capsys.readouterr().out


class TestPredict:
    def test_it_writes_what_the_model_predicts(
        self, tablefree, checkpoint, data, tmp_path, capsys, monkeypatch
    ):
        from tablefree.fields import table

        expected = package.load(checkpoint).predict(data)
        monkeypatch.setattr(table, "CHUNK", 400)  # in several batches
        clicks().drop("sold").write_csv(tmp_path / "new.csv")
        output = tmp_path / "out" / "p.parquet"
        options = ("--data", tmp_path / "new.csv", "--output", output)
        assert tablefree("predict", "--checkpoint", checkpoint, *options) == 0
        assert capsys.readouterr().out == f"1,500 probabilities: {output}\n"
        found = pl.read_parquet(output)
        assert found.schema == {"probability": pl.Float32}
        assert np.array_equal(found["probability"].to_numpy(), expected)

    def test_columns_are_kept_in_order_as_they_are(self, tablefree, checkpoint, tmp_path):
        frame = clicks(60).with_columns(tags=pl.Series([["a", "b"], []] * 30), n=pl.int_range(60))
        frame.write_parquet(tmp_path / "new.parquet")
        output = tmp_path / "p.parquet"
        options = ("--data", tmp_path / "new.parquet", "--output", output)
        options += ("--keep", "n,tags,price,ad_id,time")
        assert tablefree("predict", "--checkpoint", checkpoint, *options) == 0
        kept = pl.read_parquet(output)
        assert kept.columns == ["n", "tags", "price", "ad_id", "time", "probability"]
        assert kept.drop("probability").equals(frame.select(kept.columns[:-1]))

    def test_no_rows_are_no_probabilities(self, tablefree, checkpoint, tmp_path):
        clicks(10).head(0).write_parquet(tmp_path / "none.parquet")
        output = tmp_path / "p.parquet"
        options = ("--data", tmp_path / "none.parquet", "--output", output)
        assert tablefree("predict", "--checkpoint", checkpoint, *options) == 0
        assert pl.read_parquet(output).shape == (0, 1)

    @pytest.mark.parametrize(
        ("keep", "words"),
        [
            ("nothing", ["has no column 'nothing'"]),
            ("site,site", ["'site' would be in the output twice"]),
            ("probability", ["'probability' would be in the output twice"]),
        ],
    )
    def test_bad_columns_to_keep(self, checkpoint, data, tmp_path, refused, keep, words):
        output = tmp_path / "p.parquet"
        options = ("--checkpoint", checkpoint, "--data", data, "--output", output)
        refused(("predict", *options, "--keep", keep), *words)
        assert not list(tmp_path.iterdir())

    def test_a_bad_value_late_in_the_data_leaves_what_was_there(
        self, checkpoint, tmp_path, refused, monkeypatch
    ):
        from tablefree.fields import table

        monkeypatch.setattr(table, "CHUNK", 100)
        prices = pl.Series(["1.5"] * 250 + ["cheap"] + ["1.5"] * 49)
        clicks(300).with_columns(price=prices).write_parquet(tmp_path / "bad.parquet")
        output = tmp_path / "p.parquet"
        output.write_bytes(b"as before")
        options = ("--data", tmp_path / "bad.parquet", "--output", output)
        refused(("predict", "--checkpoint", checkpoint, *options), "'price'", "'cheap'")
        assert output.read_bytes() == b"as before"
        assert sorted(one.name for one in tmp_path.iterdir()) == ["bad.parquet", "p.parquet"]

    @pytest.mark.parametrize(
        ("source", "output"),
        [
            ("parts/0.parquet", "parts/0.parquet"),
            ("parts/0.parquet", "link.parquet"),
            ("parts/*.parquet", "parts/0.parquet"),
            ("parts", "parts/0.parquet"),
            ("parts", "parts/new.parquet"),
            ("parts", "parts/day=2/new.parquet"),
        ],
    )
    def test_the_data_are_not_written_over(self, checkpoint, tmp_path, refused, source, output):
        (tmp_path / "parts").mkdir()
        path = tmp_path / "parts" / "0.parquet"
        clicks(20).write_parquet(path)
        (tmp_path / "link.parquet").symlink_to(path)
        before = path.read_bytes()
        options = ("--data", tmp_path / source, "--output", tmp_path / output)
        refused(("predict", "--checkpoint", checkpoint, *options), "is the data, or among them")
        assert path.read_bytes() == before
        assert len(list(tmp_path.rglob("*"))) == 3

    def test_predictions_beside_the_data(self, tablefree, checkpoint, tmp_path):
        """What no reader of the folder takes for the data."""
        clicks(20).write_parquet(tmp_path / "0.parquet")
        output = tmp_path / "out" / "p.parquet"
        for _ in range(2):  # the second is in the place of the first
            options = ("--data", tmp_path, "--output", output)
            assert tablefree("predict", "--checkpoint", checkpoint, *options) == 0
            assert pl.read_parquet(output).height == 20

    @pytest.mark.parametrize("name", ["p.csv", "p", "p.parquet.csv", "p.csv.gz"])
    def test_an_output_that_is_no_parquet(self, checkpoint, data, tmp_path, refused, name):
        options = ("--checkpoint", checkpoint, "--data", data, "--output", tmp_path / name)
        refused(("predict", *options), f"{name} is no name of a Parquet file: end it with .parq")
        (tmp_path / name).write_text("mine")
        refused(("predict", *options), "is no name of a Parquet file")
        assert (tmp_path / name).read_text() == "mine"

    @pytest.mark.parametrize("name", ["p.pq", "P.PARQUET"])
    def test_an_output_of_another_name(self, tablefree, checkpoint, data, tmp_path, name):
        options = ("--checkpoint", checkpoint, "--data", data, "--output", tmp_path / name)
        assert tablefree("predict", *options) == 0
        assert pl.read_parquet(tmp_path / name).height == 1_500

    def test_an_output_that_is_a_folder(self, checkpoint, data, tmp_path, refused):
        options = ("--checkpoint", checkpoint, "--data", data, "--output", tmp_path)
        refused(("predict", *options), "is a folder, and a file is to be written: name one in it")

    def test_an_output_that_is_no_file(self, tablefree, checkpoint, data):
        options = ("--checkpoint", checkpoint, "--data", data, "--output", "/dev/null")
        assert tablefree("predict", *options) == 0

    def test_pairs_are_two_columns(self, tablefree, data, tmp_path, refused):
        """A model of users and items goes by the names of its columns, as any other."""
        path = tmp_path / "pairs.csv"
        rng = np.random.default_rng(0)
        ids = {name: rng.integers(0, 40, 600) for name in ("visitor", "article")}
        pl.DataFrame(ids).write_csv(path)
        columns = ("--user-column", "visitor", "--item-column", "article")
        options = ("--data", path, *columns, "--method", "hashing_trick", "--size", "1", *QUICK)
        assert tablefree("train", *options, "--output", tmp_path / "pairs") == 0
        pairs, output = ("--checkpoint", tmp_path / "pairs"), tmp_path / "p.parquet"
        assert tablefree("evaluate", *pairs, "--data", path, *columns) == 0
        arguments = ("predict", *pairs, "--output", output, "--data")
        refused((*arguments, data), "lacks the column(s) 'visitor', 'article'")
        assert tablefree(*arguments, path) == 0
        predictor, found = package.load(tmp_path / "pairs"), pl.read_parquet(output)["probability"]
        assert np.array_equal(found, predictor.predict(pl.DataFrame(ids)))
        logits = predictor.model(*(torch.from_numpy(one) for one in ids.values()))
        np.testing.assert_allclose(found, logits.sigmoid().detach(), rtol=1e-6)

    def test_a_folder_without_a_model(self, data, tmp_path, refused):
        options = ("--data", data, "--output", tmp_path / "p.parquet")
        refused(("predict", "--checkpoint", tmp_path, *options), "config.json cannot be read")


class TestRatings:
    def test_from_some_on_they_are_labels(self, tablefree, tmp_path, refused, capsys):
        data = tmp_path / "ratings.parquet"
        stars = pl.col("sold") * 3 + pl.int_range(pl.len()) % 2 + 1  # 1, 2; 4, 5
        clicks().select(pl.exclude("sold"), stars=stars).write_parquet(data)
        rated = ("--data", data, "--positive-rating", "4")
        label = ("--label", "stars")
        options = (*QUICK, "--method", "hashing_trick", "--output", tmp_path / "ctr")
        refused(("train", "--data", data, *label, *options), "--positive-rating")
        refused(("train", *rated, *options, "--categorical", "site"), "name it (--label)")
        assert tablefree("plan", *rated, *label) == 0
        assert tablefree("train", *rated, *label, *options) == 0
        checkpoint = ("--checkpoint", tmp_path / "ctr")
        refused(("evaluate", *checkpoint, "--data", data), "labels, 0 or 1")
        capsys.readouterr()
        assert tablefree("evaluate", *checkpoint, *rated) == 0
        found = package.load(tmp_path / "ctr").predict(data)
        wanted = auc(torch.from_numpy(found).logit(), torch.tensor(clicks()["sold"]).float())
        assert f"{wanted:.4f}" in capsys.readouterr().out


class TestEmbed:
    @pytest.mark.parametrize(
        ("feature", "type_of"), [("ad_id", pl.String), ("time:hour", pl.Int64)]
    )
    def test_values_of_a_column(self, tablefree, checkpoint, data, tmp_path, feature, type_of):
        values = pl.read_parquet(data).head(50)
        output, arguments = tmp_path / "e.parquet", ("--ids", data)
        if feature == "time:hour":
            (tmp_path / "hours").write_text("".join(f"{hour}\n" for hour in range(24)))
            arguments, values = ("--ids", tmp_path / "hours"), pl.DataFrame({feature: range(24)})
        options = ("--feature", feature, *arguments, "--output", output)
        assert tablefree("embed", "--checkpoint", checkpoint, *options) == 0
        found = pl.read_parquet(output).head(len(values))
        assert found["id"].equals(values[feature].cast(type_of))
        wanted = package.load(checkpoint).embed(feature, values[feature])
        assert np.array_equal(found["embedding"].to_numpy(), wanted.numpy())

    def test_what_is_no_feature(self, checkpoint, tmp_path, refused):
        arguments = ("embed", "--checkpoint", checkpoint, "--output", tmp_path / "e.parquet")
        refused((*arguments, "--feature", "price"), "feature must be one of ", "got 'price'")


class TestCompare:
    def test_the_folder(self, compared):
        names = {one.name for one in compared.iterdir()}
        assert names == {
            "auc_by_bytes.svg",
            "columns.parquet",
            "plans.parquet",
            "report.html",
            "results.parquet",
            "summary.md",
        }
        results = pl.read_parquet(compared / "results.parquet")
        assert set(results["method"]) == {"full_table", "hashing_trick"}
        assert set(results["split"]) == {"time"}
        assert not results.select("cell", "seed", "trial", "budget_bytes").is_duplicated().any()

    def test_columns_and_plans_are_told(self, compared):
        columns = read_columns(compared)
        worth = dict(columns.select("column", "worth").iter_rows())
        assert worth.pop("sold") is None
        assert all(isinstance(one, float) for one in worth.values())
        plans = read_plans(compared)
        assert set(plans.filter(method="full_table")["budget_bytes"]) == {None}
        of_device = plans.filter(method="hashing_trick", feature="device_id")
        assert of_device["feature_method"].to_list() == ["hashing_trick"]

    def test_it_resumes_with_nothing_to_do(self, tablefree, compared, data, capsys):
        before = (compared / "results.parquet").read_bytes()
        options = ("--label", "sold", "--output", compared, *COMPARED, *QUICK)
        assert tablefree("compare", "--data", data, *options) == 0
        assert "trial 0" not in capsys.readouterr().out
        assert (compared / "results.parquet").read_bytes() == before

    @pytest.mark.parametrize(
        "options",
        [("--label", "sold", "--drop", "site"), ("--label", "sold", "--split", "random")],
        ids=["other columns", "another split"],
    )
    def test_results_of_other_columns_are_not_resumed(self, compared, data, refused, options):
        before = (compared / "results.parquet").read_bytes()
        output = ("--output", compared, *COMPARED, *QUICK)
        refused(("compare", "--data", data, *options, *output), "other events, columns, splits")
        assert (compared / "results.parquet").read_bytes() == before

    def test_results_of_another_width_are_not_resumed(self, compared, data, refused):
        options = ("--label", "sold", "--output", compared, *COMPARED, *QUICK)
        refused(
            ("compare", "--data", data, *options, "--embedding-dim", "8"),
            "holds results of another embedding dimension than 8",
        )

    def test_results_of_other_rows_of_the_same_name_are_not_resumed(
        self, compared, tmp_path, refused
    ):
        """The counts of all columns may be the same: one label is another."""
        frame = clicks()
        labels = frame["sold"].to_list()
        first, second = labels.index(0), labels.index(1)
        labels[first], labels[second] = 1, 0
        frame.with_columns(sold=pl.Series(labels)).write_parquet(tmp_path / "clicks.parquet")
        options = ("--label", "sold", "--output", compared, *COMPARED, *QUICK)
        refused(("compare", "--data", tmp_path / "clicks.parquet", *options), "other events")

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--model", "gmf"), ["model must be one of dlrm, deepfm, dcn; got 'gmf'"]),
            (("--model", "dlrm,mlp"), ["got 'mlp'"]),
            (("--methods", "sketch"), ["method must be one of", "got 'sketch'"]),
            (("--sizes", "1/4000"), ["bytes are too few"]),
            (("--sizes", "small"), ["'small'"]),
            (("--sizes", "1/4", "--bytes", "20KB"), ["--sizes and --bytes say the same"]),
            (("--methods", ""), ["methods must be one or more, got none"]),
            (("--sizes-in", "bytes", "--optimizer", "adamw"), ["--optimizer, --sizes-in"]),
        ],
    )
    def test_bad_options(self, data, tmp_path, refused, options, words):
        output = ("--output", tmp_path / "new", *QUICK)
        refused(("compare", "--data", data, "--label", "sold", *options, *output), *words)
        assert not (tmp_path / "new" / "results.parquet").exists()
