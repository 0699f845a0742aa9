"""What is to be known of the data is said before any training, by each command that splits it."""

import numpy as np
import polars as pl
import pytest

from tablefree.data import synthetic_interactions

QUICK = ("--epochs", "1", "--embedding-dim", "4")
ONE = ("--method", "hashing_trick", "--size", "1/2")
FEW = ("--methods", "hashing_trick", "--sizes", "1/2", "--trials", "1", "--jobs", "1")
REPEATS = "note: 1,000 of 3,000 events repeat a pair of user and item; of the test part 0 of "
RATINGS = "note: all 2,000 events count as positives, 500 of them with the lowest rating, 1: "


@pytest.fixture(scope="module")
def clicks(tmp_path_factory):
    """Clicks of which a third happened before."""
    data = synthetic_interactions(2_000, num_users=100, num_items=80)
    again = np.concatenate([np.arange(2_000), np.arange(1_000)])
    table = pl.DataFrame({"user_id": data.user[again], "item_id": data.item[again]})
    path = tmp_path_factory.mktemp("clicks") / "clicks.csv"
    table.write_csv(path)
    return path


@pytest.fixture(scope="module")
def stars(tmp_path_factory):
    """Ratings from 1 to 4, as many of each."""
    data = synthetic_interactions(2_000, num_users=100, num_items=80)
    table = pl.DataFrame({"user_id": data.user, "item_id": data.item})
    path = tmp_path_factory.mktemp("stars") / "stars.csv"
    table.with_columns(rating=pl.Series(np.arange(2_000) % 4 + 1)).write_csv(path)
    return path


def notes(said):
    return [line for line in said.splitlines() if line.startswith("note: ")]


def test_train_and_evaluate_say_what_repeats(tablefree, clicks, tmp_path, capsys):
    options = ("--data", clicks, *ONE, *QUICK)
    assert tablefree("train", *options, "--output", tmp_path / "new") == 0
    (said,) = notes(capsys.readouterr().out)
    assert said.startswith(REPEATS)
    assert said.endswith("these are not counted")
    assert tablefree("evaluate", "--data", clicks, "--checkpoint", tmp_path / "new") == 0
    assert notes(capsys.readouterr().out) == [said]


def test_ratings_without_a_threshold_are_said_before_the_work(tablefree, stars, tmp_path, capsys):
    options = ("--data", stars, "--rating-column", "rating", *ONE, *QUICK)
    assert tablefree("train", *options, "--output", tmp_path / "new") == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{RATINGS}name a positive rating to tell them apart")
    capsys.readouterr()
    assert tablefree("train", *options, "--positive-rating", 3, "--output", tmp_path / "b") == 0
    assert notes(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        ("compare", ("--methods", "nothing")),
        ("ablate", ("--studies", "nothing")),
        ("cold-start", ("--methods", "nothing")),
    ],
)
def test_the_others_say_it_before_they_plan(tablefree, stars, capsys, command, refused):
    assert tablefree(command, "--data", stars, "--rating-column", "rating", *refused) == 2
    assert notes(capsys.readouterr().out)[0].startswith(RATINGS)


@pytest.mark.usefixtures("no_workers")
def test_a_comparison_keeps_it_beside_its_figures(tablefree, clicks, tmp_path, capsys):
    assert tablefree("compare", "--data", clicks, *FEW, *QUICK, "--output", tmp_path) == 0
    (said,) = notes(capsys.readouterr().out)
    results = pl.read_parquet(tmp_path / "results.parquet")
    assert results["notes"].to_list() == [said.removeprefix("note: ")]
    assert said.removeprefix("note: ") in (tmp_path / "summary.md").read_text()


@pytest.mark.usefixtures("no_workers")
def test_results_of_other_labels_are_not_resumed(tablefree, stars, tmp_path, capsys):
    """Same file, same counts, other labels: nothing of the folder is shown as theirs."""
    options = ("--data", stars, "--rating-column", "rating", *FEW, *QUICK, "--output", tmp_path)
    assert tablefree("compare", *options, "--positive-rating", 3) == 0
    before = (tmp_path / "results.parquet").read_bytes()
    capsys.readouterr()
    for other in (("--positive-rating", 2), ()):
        assert tablefree("compare", *options, *other) == 2
        said = capsys.readouterr().err
        assert "data_digest" in said
        assert "choose another output folder" in said
    assert (tmp_path / "results.parquet").read_bytes() == before
    assert tablefree("compare", *options, "--positive-rating", 3) == 0


def test_brackets_in_a_path_are_printed_as_they_are(tablefree, clicks, tmp_path, capsys):
    folder = tmp_path / "a [bold] b[/] c"
    assert tablefree("train", "--data", clicks, *ONE, *QUICK, "--output", folder) == 0
    assert f"Checkpoint: {folder}\n" in capsys.readouterr().out
