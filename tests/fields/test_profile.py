"""What a profile says of a table, and how it is printed."""

import io

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from tablefree.errors import InputError
from tablefree.fields.profile import profile
from tablefree.fields.show import lines_of, table_of


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=3_000))
def test_growth_is_the_distinct_values_of_the_first_rows(values):
    frame = pl.DataFrame({"x": values, "y": [f"{row}" for row in range(len(values))]})
    growth = profile(frame, categorical=["x", "y"]).columns["x"].growth
    doubled = [rows for rows in (1024, 2048) if rows < len(values)]
    assert growth == tuple((rows, len({*values[:rows]})) for rows in [*doubled, len(values)])


def test_growth_does_not_depend_on_how_a_table_is_divided(tmp_path):
    values = (np.random.default_rng(0).random(10_000) ** 3 * 9_000).astype(int)
    for number, part in enumerate(np.array_split(values, 7)):
        pa.parquet.write_table(pa.table({"x_id": part}), tmp_path / f"{number}.parquet")
    whole = profile(pa.table({"x_id": values})).columns["x_id"]
    assert profile(tmp_path).columns["x_id"] == whole


def test_all_bags_count_together():
    bags = [["a", "b"], [], None, ["b", None, ""]]
    one = profile(pl.DataFrame({"x": bags})).columns["x"]
    assert (one.num_rows, one.num_nulls, one.num_values, one.num_occurrences) == (4, 1, 2, 3)
    assert one.examples == ("a", "b")


def test_nan_of_text_is_a_null_of_numbers(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("x,y\n1.5,a\nNaN,b\n,b\n2.5,nan\n")
    columns = profile(path).columns
    assert (columns["x"].num_nulls, columns["x"].num_values) == (2, 2)
    assert columns["x"].num_occurrences == 2
    assert (columns["y"].num_nulls, columns["y"].num_values) == (0, 3)


@pytest.mark.parametrize("values", [["1.5"] * 9 + ["NA"], ["1,5"] * 9 + ["2"], ["7"] * 9 + ["-"]])
def test_text_of_numbers_for_the_most_part_is_said(tmp_path, values):
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["x;y", *(f"{one};{at % 2}" for at, one in enumerate(values))]))
    (warning,) = profile(path).warnings
    assert "'x' is text of numbers for the most part, but row" in warning
    assert "(--drop x)" in warning
    assert not profile(path, categorical=["x"]).warnings


@pytest.mark.parametrize(
    "values", [["00501"] + ["10001"] * 9, ["x1", "y2"] * 5, ["1"] * 4 + ["a"] * 6]
)
def test_codes_are_no_numbers(tmp_path, values):
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["x,y", *(f"{one},{at % 2}" for at, one in enumerate(values))]))
    assert not profile(path).warnings


def log(rows=4_000):
    random = np.random.default_rng(0)
    code = random.integers(0, 200, rows)
    chance = random.random(200)[code]
    bought = random.random(rows) < chance
    return pl.DataFrame(
        {
            "label": bought.astype(int),
            "shop": code,
            "amount": (1_000 * (chance + random.random(rows))).astype(int),
            "paid": np.where(bought, random.random(rows) + 1, 0.0),
            "colour": random.choice(["red", "blue"], rows),
        }
    )


def test_a_column_that_gives_the_label_away_is_said():
    found = profile(log(), categorical=["shop"])
    (warning,) = found.warnings
    assert warning.startswith("'paid' alone tells the label, with an AUC of 1.0000")
    assert "(--drop paid)" in warning
    assert found.columns["colour"].auc == pytest.approx(0.5, abs=0.05)
    assert found.columns["label"].auc is None
    assert not profile(log(), categorical=["shop"], drop=["paid"]).warnings


def test_integers_that_tell_the_label_as_codes_are_categorical():
    frame = log().rename({"shop": "deal"})
    found = profile(frame, drop=["paid"]).columns
    assert found["deal"].column.kind == "categorical"
    assert found["deal"].column.reason.startswith("codes: they tell the label (AUC 0.")
    assert found["amount"].column.kind == "numeric"
    given = profile(frame, drop=["paid"], numeric=["deal"]).columns["deal"].column
    assert (given.kind, given.reason) == ("numeric", "given")


def test_missing_labels_are_said():
    frame = log().with_columns(pl.when(pl.col("shop") > 9).then("label")).drop("paid", "shop")
    (warning,) = profile(frame).warnings
    missing = frame["label"].null_count()
    assert (
        warning == f"the label 'label' is missing in {missing:,} of 4,000 rows, which are left out"
    )


def test_forms_tell_kinds(tmp_path):
    path = tmp_path / "train.txt"
    random = np.random.default_rng(0)
    lines = [
        "\t".join(
            [
                str(row % 2),
                *(str(one) for one in random.integers(0, 3, 12)),
                "",
                *(f"{one:08}" for one in random.integers(10**7, 10**7 + 3, 26)),
            ]
        )
        for row in range(200)
    ]
    path.write_text("\n".join(lines) + "\n")
    found = profile(path)
    kinds = {name: (one.column.kind, one.column.type) for name, one in found.columns.items()}
    assert kinds["label"] == ("label", "integer")
    assert kinds["I1"] == ("numeric", "integer")
    assert kinds["C1"] == ("categorical", "string")  # although all are digits
    assert found.columns["C1"].column.reason == "Criteo's"
    assert found.left_out == {"I13": "nulls only"}


def test_what_is_given_comes_before_what_a_form_tells(tmp_path):
    path = tmp_path / "x.libfm"
    path.write_text("".join(f"{row % 2} {row % 5}:1 {row % 2}:1\n" for row in range(20)))
    kinds = {name: one.column.kind for name, one in profile(path, label="item").columns.items()}
    assert kinds == {"user": "categorical", "item": "label", "label": "categorical"}


def test_no_rows():
    with pytest.raises(InputError, match="the frame holds no rows"):
        profile(pl.DataFrame({"x": []}))


def printed(found, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(table_of(found))
    return console.file.getvalue() + "\n".join(lines_of(found))


def test_it_is_printed_as_a_table():
    frame = log().with_columns(
        pl.Series("empty", [None] * 4_000, pl.String),
        pl.Series("name", [f"somewhat long {n % 9_000}" for n in range(2_000)] + [None] * 2_000),
    )
    text = printed(profile(frame, categorical=["shop"]))
    lines = [line.split() for line in text.splitlines()]
    assert ["Column", "Kind", "Why", "Distinct", "Nulls", "Examples"] in lines
    assert ["colour", "categorical", "strings", "2", "0"] in [line[:5] for line in lines]
    assert ["name", "categorical", "strings", "2,000", "2,000", "(50.0%)"] in [
        line[:6] for line in lines
    ]
    assert "the frame: 4,000 rows" in text
    assert "left out: empty: nulls only" in text
    assert "warning: 'paid' alone tells the label" in text


def test_names_and_values_are_no_markup_and_no_controls():
    frame = pl.DataFrame({"[red]x\x1b[2J": ["[bold]a", "b\nc"], "[/]": ["c", "c"]})
    text = printed(profile(frame))
    assert "[red]x\\x1b[2J" in text
    assert "[bold]a, b\\nc" in text
    assert "left out: [/]: constant" in text
    assert "\x1b" not in text


def test_an_estimate_is_printed_as_one():
    text = printed(profile(pl.DataFrame({"x": np.arange(20_000) % 10_000 * 7})))
    assert "~" in next(line for line in text.splitlines() if line.strip().startswith("x "))


@pytest.mark.parametrize("form", ["frame", "text"])
def test_how_often_values_occur(form, tmp_path):
    rng = np.random.default_rng(0)
    ids = rng.zipf(1.5, 60_000) % 30_000
    frame = pl.DataFrame({"ad": [f"a{one}" if one % 2 else str(one) for one in ids]})
    if form == "text":
        frame.write_csv(tmp_path / "x.csv")
        frame = tmp_path / "x.csv"
    occurrences = np.array(profile(frame, categorical=["ad"]).columns["ad"].occurrences)
    _, wanted = np.unique(ids, return_counts=True)
    assert len(occurrences) == min(len(wanted), 8_192)
    assert (np.diff(occurrences) <= 0).all()
    for times in (2, 5):  # a sample's share of a few thousand
        assert (occurrences >= times).mean() == pytest.approx((wanted >= times).mean(), abs=0.03)


@pytest.mark.parametrize("option", ["categorical", "numeric", "date", "drop"])
def test_a_name_is_no_list_of_names(option):
    with pytest.raises(InputError, match=rf"{option} is a list of columns, got 'ad'"):
        profile(pl.DataFrame({"ad": [1, 2]}), **{option: "ad"})
