"""The command line, from data to embeddings; and one line for whatever the user can put right."""

import errno
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tablefree import cli, files
from tablefree.ids import to_ids
from tablefree.training.checkpoint import load_checkpoint

COMMANDS = (
    "plan", "compare", "ablate", "cold-start", "train", "evaluate", "predict", "embed", "report",
    "bench",
)  # fmt: skip
QUICK = ("--epochs", "1", "--embedding-dim", "4", "--precision", "float32")
SMALL = ("--decoder", "2", *QUICK)  # a sketch for so few ids has no room for more


def events(num_events=1500, seed=0):
    """Invented events: users are integers, items are strings of which some look like numbers."""
    rng = np.random.default_rng(seed)
    item = rng.zipf(1.3, num_events) % 120
    return pl.DataFrame(
        {
            "user_id": rng.integers(0, 90, num_events) + 1000,
            "item_id": [f"{i:04d}" if i % 2 else f"isbn-{i}" for i in item],
            "label": rng.integers(0, 2, num_events),
        }
    )


def tablefree(*arguments):
    return cli.run([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "invented.csv"
    events().drop("label").write_csv(path)
    return path


@pytest.fixture(scope="module", params=["deep_hash", "full_table"])
def checkpoint(request, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints") / request.param
    size = "1" if request.param == "full_table" else "1/2"
    options = ("--method", request.param, "--size", size, "--output", folder)
    assert tablefree("train", "--data", data, *options, *QUICK) == 0
    return folder


@pytest.fixture
def refused(capsys):
    """Check that the command just run said one line, and that it has these words."""

    def check(code, *words):
        said = capsys.readouterr().err
        assert code == 2, said
        assert said.startswith("tablefree: ")
        assert said.count("\n") == 1
        for word in words:
            assert word in said

    return check


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class TestHelp:
    def test_without_arguments_it_shows_the_commands(self, capsys):
        assert tablefree() == 0
        shown = capsys.readouterr().out
        assert all(command in shown for command in COMMANDS)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_each_command_shows_an_example_in_80_columns(self, command, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        assert tablefree(command, "--help") == 0
        shown = capsys.readouterr().out
        assert f"Example: tablefree {command} " in shown
        assert max(map(len, shown.splitlines())) <= 80

    def test_version(self, capsys):
        assert tablefree("--version") == 0
        assert capsys.readouterr().out == "tablefree 0.1.0\n"


class TestTrainAndEvaluate:
    def test_the_checkpoint_and_its_log(self, checkpoint):
        names = tree(checkpoint)
        assert {"config.json", "model.safetensors", "logs"} <= set(names)
        assert any("tfevents" in name for name in names)
        assert not any(name.endswith(".tmp") for name in names)

    def test_evaluate_gives_the_measures_of_training(self, checkpoint, data, capsys):
        assert tablefree("evaluate", "--checkpoint", checkpoint, "--data", data) == 0
        shown = capsys.readouterr().out
        measures = dict(load_checkpoint(checkpoint).measures)
        measures.pop("validation_auc")
        for value in measures.values():
            assert ("too few events" if value is None else f"{value:.4f}") in shown

    def test_evaluate_on_data_with_unseen_ids(self, checkpoint, tmp_path, capsys):
        other = tmp_path / "other.parquet"
        events(seed=1).with_columns(pl.col("user_id") + 45).write_parquet(other)
        options = ("--data", other, "--split", "cold-items")
        assert tablefree("evaluate", "--checkpoint", checkpoint, *options) == 0
        assert "HR@10" in capsys.readouterr().out

    def test_ids_of_another_type_are_refused(self, checkpoint, tmp_path, refused):
        other = tmp_path / "other.parquet"
        events().with_columns(pl.col("user_id").cast(pl.String)).write_parquet(other)
        code = tablefree("evaluate", "--checkpoint", checkpoint, "--data", other)
        refused(code, "user ids of other are of type string", "--id-type integer,string")
        options = ("--data", other, "--id-type", "integer,string")
        assert tablefree("evaluate", "--checkpoint", checkpoint, *options) == 0
        ids = ("--feature", "user", "--ids", other, "--output", tmp_path / "users.parquet")
        code = tablefree("embed", "--checkpoint", checkpoint, *ids)
        refused(code, "has an id of type String", "--id-type integer")
        assert tablefree("embed", "--checkpoint", checkpoint, *ids, "--id-type", "integer") == 0
        code = tablefree("embed", "--checkpoint", checkpoint, *ids, "--id-type", "string")
        refused(code, "they cannot be taken for string")

    def test_a_checkpoint_is_not_trained_over(self, checkpoint, data, refused):
        before = (checkpoint / "model.safetensors").read_bytes()
        refused(
            tablefree("train", "--data", data, "--output", checkpoint, *SMALL),
            "holds a checkpoint: remove the folder first",
        )
        assert (checkpoint / "model.safetensors").read_bytes() == before

    def test_a_training_that_diverges_is_refused(self, data, tmp_path, refused, monkeypatch):
        single = importlib.import_module("tablefree.experiments.single")
        fit = importlib.import_module("tablefree.training.fit").Fit
        monkeypatch.setattr(
            single, "train", lambda *_, **__: (None, fit(0, 1, float("nan"), 0.0, 0))
        )
        code = tablefree("train", "--data", data, "--output", tmp_path / "new", *SMALL)
        refused(code, "the training diverged at learning rate 0.03: choose a smaller one")
        assert tree(tmp_path) == ["new"]

    def test_the_default_folder(self, data, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert tablefree("train", "--data", data, "--method", "hashing_trick", *QUICK) == 0
        assert (tmp_path / "checkpoints" / "invented-gmf-hashing_trick" / "config.json").exists()

    def test_an_interrupt_ends_with_130(self, data, tmp_path, monkeypatch, capsys):
        run = importlib.import_module("tablefree.experiments.run")

        def interrupted(*_, **__):
            sys.exit(1)  # as Lightning does

        monkeypatch.setattr(run, "fit", interrupted)
        code = tablefree("train", "--data", data, "--output", tmp_path / "new", *SMALL)
        assert (code, capsys.readouterr().err) == (130, "")


class TestPredict:
    def test_pairs_have_the_probabilities_of_the_model(self, checkpoint, data, tmp_path):
        output = tmp_path / "probabilities.parquet"
        options = ("--data", data, "--output", output, "--keep", "user_id")
        assert tablefree("predict", "--checkpoint", checkpoint, *options) == 0
        found, given = pl.read_parquet(output), events()
        found = found.with_columns(pl.col("user_id").cast(pl.Int64))
        assert found["user_id"].equals(given["user_id"])
        predictor = load_checkpoint(checkpoint).predictor
        keys = [predictor.keys(name, to_ids(given[name])) for name in ("user_id", "item_id")]
        with torch.no_grad():
            wanted = predictor.model(*keys).sigmoid()
        np.testing.assert_allclose(found["probability"].to_numpy(), wanted.numpy(), rtol=1e-6)


class TestEmbed:
    @pytest.mark.parametrize(
        ("feature", "ids"), [("user", [1003, 1000, 7]), ("item", ["0001", "isbn-2", "new"])]
    )
    def test_an_embedding_is_the_models(self, checkpoint, feature, ids, tmp_path, capsys):
        path, output = tmp_path / "ids.txt", tmp_path / "out" / "embeddings.parquet"
        path.write_text("".join(f"{one}\n" for one in ids))
        options = ("--feature", feature, "--ids", path, "--output", output)
        assert tablefree("embed", "--checkpoint", checkpoint, *options) == 0
        unknown = "1 of 3 ids are not in the checkpoint's vocabulary"
        assert (unknown in capsys.readouterr().err) == (checkpoint.name == "full_table")
        table = pl.read_parquet(output)
        assert table.schema == {
            "id": pl.Int64 if feature == "user" else pl.String,
            "embedding": pl.Array(pl.Float32, 4),
        }
        assert table["id"].to_list() == ids
        predictor = load_checkpoint(checkpoint).predictor
        embedding = {"user": predictor.model.users, "item": predictor.model.items}[feature]
        with torch.no_grad():
            wanted = embedding(predictor.keys(f"{feature}_id", to_ids(ids)))
        assert np.array_equal(table["embedding"].to_numpy(), wanted.numpy())

    def test_a_fresh_process_gives_the_same_bits(self, checkpoint, tmp_path):
        outputs = [tmp_path / "here.parquet", tmp_path / "there.parquet"]
        ids = b"0001\nisbn-2\nnew\n"
        (tmp_path / "ids").write_bytes(ids)
        options = ("embed", "--checkpoint", checkpoint, "--feature", "item")
        assert tablefree(*options, "--ids", tmp_path / "ids", "--output", outputs[0]) == 0
        done = process(*options, "--ids", "-", "--output", outputs[1], input=ids)
        assert done.returncode == 0
        assert done.stderr.count(b"\n") == (checkpoint.name == "full_table")
        assert outputs[0].read_bytes() == outputs[1].read_bytes()

    @pytest.mark.parametrize(
        ("content", "words"),
        [("", ["holds no ids"]), ("1\n2\nthree\n", ["line 3", "'three'"])],
    )
    def test_bad_ids_leave_no_file(self, checkpoint, tmp_path, refused, content, words):
        (tmp_path / "ids").write_text(content)
        options = ("--ids", tmp_path / "ids", "--output", tmp_path / "out.parquet")
        refused(
            tablefree("embed", "--checkpoint", checkpoint, "--feature", "user", *options), *words
        )
        assert tree(tmp_path) == ["ids"]

    def test_bad_ids_in_a_later_chunk_leave_no_file(
        self, checkpoint, tmp_path, refused, monkeypatch
    ):
        from tablefree.data import id_stream

        monkeypatch.setattr(id_stream, "CHUNK", 2)
        self.test_bad_ids_leave_no_file(
            checkpoint, tmp_path, refused, "1\n2\n3\n4\n5\nx\n", ["line 6", "'x'"]
        )

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--feature", "price"), ["feature must be one of user_id, item_id; got 'price'"]),
            (("--feature", "user", "--ids", "nowhere.csv"), ["nowhere.csv does not exist"]),
            (("--feature", "user", "--id-column", "x"), ["standard input has no columns"]),
        ],
    )
    def test_bad_options(self, checkpoint, tmp_path, refused, options, words):
        output = ("--output", tmp_path / "out.parquet")
        refused(tablefree("embed", "--checkpoint", checkpoint, *options, *output), *words)
        assert tree(tmp_path) == []

    def test_the_ids_are_not_written_over(self, checkpoint, tmp_path, refused):
        path = tmp_path / "ids.parquet"
        pl.DataFrame({"user_id": [1, 2]}).write_parquet(path)
        options = ("--feature", "user", "--ids", path, "--output", path)
        refused(tablefree("embed", "--checkpoint", checkpoint, *options), "is the data")
        assert pl.read_parquet(path).columns == ["user_id"]

    def test_an_output_that_is_no_parquet(self, checkpoint, tmp_path, refused):
        (tmp_path / "ids").write_text("1\n")
        options = ("--feature", "user", "--ids", tmp_path / "ids", "--output", tmp_path / "x.csv")
        refused(tablefree("embed", "--checkpoint", checkpoint, *options), "no name of a Parquet")
        assert tree(tmp_path) == ["ids"]

    def test_a_folder_that_cannot_be_written(self, checkpoint, tmp_path, refused):
        (tmp_path / "ids").write_text("1\n")
        output = ("--ids", tmp_path / "ids", "--output", tmp_path / "ids" / "out.parquet")
        refused(
            tablefree("embed", "--checkpoint", checkpoint, "--feature", "user", *output),
            "cannot write",
        )
        assert tree(tmp_path) == ["ids"]


def bad(**columns):
    return events().with_columns(**columns)


def half_null(name):
    return pl.when(pl.int_range(pl.len()) > 5).then(pl.col(name))


BAD_DATA = {
    "floats": (bad(user_id=pl.col("user_id") + 0.5), ["user ids", "floats"]),
    "NaN": (bad(user_id=pl.lit(float("nan"))), ["user ids", "NaN"]),
    "null": (bad(item_id=half_null("item_id")), ["row 1", "no item id"]),
    "no rows": (events().clear(), ["holds no rows"]),
    "no user column": (events().drop("user_id"), ["no column 'user_id'"]),
    "one class": (bad(label=pl.lit(1)), ["all labels", "both are needed"]),
    "labels that are ratings": (bad(label=pl.lit(5)), ["labels must be 0 or 1", "row 1"]),
    "one item": (bad(item_id=pl.lit("a")).drop("label"), ["no negative can be drawn"]),
}


class TestBadData:
    """What is wrong with the data is said in one line, and nothing is written."""

    @pytest.mark.parametrize("command", ["compare", "train"])
    @pytest.mark.parametrize(("frame", "words"), BAD_DATA.values(), ids=BAD_DATA)
    def test_parquet(self, tmp_path, refused, command, frame, words):
        frame.write_parquet(tmp_path / "data.parquet")
        options = ("--data", tmp_path / "data.parquet", "--output", tmp_path / "out")
        refused(tablefree(command, *options), "data.parquet" if len(words) > 1 else "", *words)
        assert tree(tmp_path) == ["data.parquet"]

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("", ["data.csv cannot be read"]),
            ("user_id,item_id\n", ["holds no rows"]),
            (
                "user_id,item_id\n" + "1,20\n" * 5 + "1,x\n",
                ["most are numbers", "row 6", "'x'", "--id-type string"],
            ),
            ("user_id,item_id\n1.5,2\n", ["row 1", "'1.5'"]),
            ("user_id,item_id\n1,2\nnan,2\n", ["row 2", "'nan'"]),
        ],
    )
    def test_csv(self, tmp_path, refused, content, words):
        (tmp_path / "data.csv").write_text(content)
        options = ("--data", tmp_path / "data.csv", "--output", tmp_path / "out")
        refused(tablefree("train", *options), *words)
        assert tree(tmp_path) == ["data.csv"]

    @pytest.mark.parametrize("kept", [0, 10, -10])
    def test_a_truncated_parquet_file(self, tmp_path, refused, kept):
        path = tmp_path / "data.parquet"
        events().write_parquet(path)
        path.write_bytes(path.read_bytes()[:kept])
        refused(tablefree("train", "--data", path, "--output", tmp_path / "out"), "data.parquet")
        assert tree(tmp_path) == ["data.parquet"]


class TestBadOptions:
    @pytest.mark.parametrize("command", ["compare", "train"])
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--optimizer", "adam"], ["optimizer must be one of adamw, muon; got 'adam'"]),
            (["--precision", "half"], ["precision must be one of"]),
            (["--decoder", "wide"], ["a decoder must be widths such as 64", "'wide'"]),
            (["--decoder", "64,0"], ["widths of a decoder must be at least 1, got 64,0"]),
            (["--users", "cookie"], ["users must be one of id, history, both; got 'cookie'"]),
            (["--model", "lstm"], ["model must be one of gmf, mlp; got 'lstm'"]),
            (["--split", "alphabetic"], ["unknown split 'alphabetic'"]),
            (["--data", "nowhere.csv"], ["nowhere.csv does not exist"]),
            (["--data", "synthetic", "--user-column", "x"], ["synthetic data has no columns"]),
            (["--user-column", "x"], ["no column 'x'"]),
            (["--id-type", "text"], ["id_type must be integer or string", "'text'"]),
            (["--epochs", "0"], ["Invalid value for '--epochs'", "--help"]),
            (["--epochs", "many"], ["Invalid value for '--epochs'"]),
            (["--colour", "red"], ["No such option", "--colour"]),
        ],
    )
    def test_of_both(self, data, tmp_path, refused, command, options, words):
        code = tablefree(command, "--data", data, "--output", tmp_path / "out", *options)
        refused(code, *words)
        assert tree(tmp_path) == []

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--method", "magic"], ["method must be one of full_table", "got 'magic'"]),
            (["--size", "1/100000"], ["parameters", "larger size"]),
            (["--method", "full_table"], ["only one size"]),
            (["--size", "a half"], ["a size must be a number", "'a half'"]),
            (["--size", "1/0"], ["a size must be a number"]),
            (["--size", "0"], ["a size must be above 0"]),
            (["--learning-rate", "0"], ["learning_rate must be above 0"]),
            (["--learning-rate", "nan"], ["learning_rate must be above 0"]),
            (["--network-learning-rate", "0"], ["network_learning_rate must be above 0"]),
            (["--rows", "int8"], ["rows must be one of float32, bfloat16; got 'int8'"]),
            (["--weight-decay", "-1"], ["weight_decay must be at least 0 and finite, got -1"]),
        ],
    )
    def test_of_train(self, data, tmp_path, refused, options, words):
        refused(tablefree("train", "--data", data, "--output", tmp_path / "out", *options), *words)
        assert tree(tmp_path) == []

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--methods", "magic"], ["method must be one of full_table", "got 'magic'"]),
            (["--methods", "deep_hash", "--sizes", "1/100000"], ["deep_hash at size 1e-05"]),
            (["--sizes", "1/100000"], ["no method can have size"]),
            (["--sizes", "1/4,1/4"], ["none of them twice"]),
            (["--methods", ","], ["methods must be one or more"]),
            (["--trials", "0"], ["Invalid value for '--trials'"]),
            (["--model", ","], ["models must be one or more"]),
        ],
    )
    def test_of_compare(self, data, tmp_path, refused, options, words):
        refused(
            tablefree("compare", "--data", data, "--output", tmp_path / "out", *options), *words
        )
        assert tree(tmp_path) == []

    def test_an_unknown_command(self, refused):
        refused(tablefree("fly"), "No such command 'fly'", "`tablefree --help`")

    def test_a_missing_option(self, refused):
        refused(tablefree("evaluate"), "Missing option '--checkpoint'", "tablefree evaluate --help")

    @pytest.mark.parametrize("command", ["evaluate", "embed"])
    def test_no_checkpoint(self, tmp_path, refused, command):
        more = ("--feature", "user", "--output", tmp_path / "out") if command == "embed" else ()
        code = tablefree(command, "--checkpoint", tmp_path / "nowhere", *more)
        refused(code, "config.json cannot be read", "tablefree train")
        assert tree(tmp_path) == []


class TestStorage:
    @pytest.mark.parametrize("command", ["compare", "train"])
    def test_a_folder_that_cannot_be_written(self, data, tmp_path, refused, command):
        (tmp_path / "file").touch()
        output = tmp_path / "file" / "out"
        code = tablefree(command, "--data", data, "--output", output, *SMALL)
        refused(code, "cannot write", "folder")
        assert tree(tmp_path) == ["file"]

    @pytest.mark.parametrize("command", ["compare", "train"])
    def test_a_full_disk(self, data, tmp_path, refused, monkeypatch, command):
        def full(_descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(files.os, "fsync", full)
        code = tablefree(command, "--data", data, "--output", tmp_path / "out", *SMALL)
        refused(code, "No space left on device", "free some space")
        assert tree(tmp_path) == ["out"]

    def test_a_disk_that_fills_up_in_training(self, data, tmp_path, refused, monkeypatch):
        run = importlib.import_module("tablefree.experiments.run")

        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(run, "fit", full)
        code = tablefree("train", "--data", data, "--output", tmp_path / "out", *SMALL)
        refused(code, "No space left on device", "free some space")
        assert not (tmp_path / "out" / "config.json").exists()


class TestMissingPackages:
    @pytest.mark.parametrize("package", ["typer", "polars"])
    def test_the_extra_to_install_is_named(self, package, tmp_path):
        (tmp_path / f"{package}.py").write_text(
            f"raise ModuleNotFoundError('no such package', name={package!r})"
        )
        done = process("train", path=tmp_path)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.decode().splitlines() == [
            f"tablefree: the package {package} is not installed: the commands need "
            '`pip install "tablefree[experiments]"`'
        ]

    def test_any_other_error_is_raised(self, monkeypatch, data, tmp_path):
        single = importlib.import_module("tablefree.experiments.single")

        def broken(*_, **__):
            raise ModuleNotFoundError("of our own", name="tablefree.nowhere")

        monkeypatch.setattr(single, "train", broken)
        with pytest.raises(ModuleNotFoundError, match="of our own"):
            tablefree("train", "--data", data, "--output", tmp_path / "out", *SMALL)

        def unreadable(*_, **__):
            raise OSError(errno.EIO, "input/output error")

        monkeypatch.setattr(single, "train", unreadable)
        with pytest.raises(OSError, match="input/output"):
            tablefree("train", "--data", data, "--output", tmp_path / "out", *SMALL)


COMPARE = ("--methods", "hashing_trick", "--sizes", "1/2", "--trials", "2")


@pytest.mark.parametrize("command", ["compare", "ablate"])
def test_a_folder_that_another_command_holds_is_left_alone(data, tmp_path, refused, command):
    with files.held(tmp_path / "results"):
        code = tablefree(command, "--data", data, "--output", tmp_path / "results")
    refused(code, f"process {os.getpid()} is writing its results into", "another output folder")
    assert not list((tmp_path / "results").iterdir())


class TestCompare:
    @pytest.mark.usefixtures("no_workers")  # but those of the process that is interrupted
    def test_a_comparison_that_was_interrupted_resumes(self, data, tmp_path, capsys):
        folder = tmp_path / "results"
        command = ("compare", "--data", data, *COMPARE, *QUICK, "--jobs", "1", "--output", folder)
        first = start(*command)
        wait_for(folder / "results.parquet", first)
        first.send_signal(signal.SIGINT)
        _, said = first.communicate(timeout=60)
        # The other run may have been over too: it takes a second here.
        if first.returncode:
            assert first.returncode == 130
            assert said == b"tablefree: stopped; the same command resumes\n"
        before = pl.read_parquet(folder / "results.parquet")
        assert tablefree(*command) == 0
        said = capsys.readouterr().out
        after = pl.read_parquet(folder / "results.parquet")
        assert after.height == 2
        # The next trial may be the better one.
        assert after.head(before.height).drop("selected").equals(before.drop("selected"))
        assert (folder / "report.html").exists()
        assert said.count("validation AUC") == 2 - before.height
        assert "Report: " in said
        assert not any(name.endswith(".tmp") for name in tree(folder))


class TestAblate:
    @pytest.mark.usefixtures("no_workers")
    def test_studies_are_added_to_a_folder(self, data, tmp_path, capsys):
        options = ("--trials", "1", "--jobs", "1", *QUICK, "--output", tmp_path / "results")
        assert tablefree("ablate", "--data", data, "--studies", "skip", *options) == 0
        assert "skip, linear: deep_hash gmf size 0.25 seed 0" in capsys.readouterr().out
        assert tablefree("ablate", "--data", data, "--studies", "skip, optimizer", *options) == 0
        said = capsys.readouterr().out
        assert said.count("validation AUC") == 1
        assert "Skip: " in said
        assert "Optimizer: " in said
        assert tree(tmp_path / "results") == [
            "ablation.svg", "report.html", "results.parquet", "summary.md",
        ]  # fmt: skip

    def test_an_unknown_study_is_refused(self, data, tmp_path, refused):
        code = tablefree("ablate", "--data", data, "--studies", "colour", "--output", tmp_path)
        refused(code, "study must be one of encoding, k, m", "'colour'")


def start(*arguments, path=None):
    environment = {**os.environ, "PYTHONPATH": str(path or ""), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", "from tablefree_command import main; main()", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )


def process(*arguments, path=None, input=b""):
    started = start(*arguments, path=path)
    stdout, stderr = started.communicate(input, timeout=120)
    return subprocess.CompletedProcess(arguments, started.returncode, stdout, stderr)


def wait_for(path: Path, started):
    for _ in range(6000):  # on a busy machine
        if path.exists() or started.poll() is not None:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear in five minutes")
