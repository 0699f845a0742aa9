"""Kinds that the user gives: taken where values allow it, refused where one does not."""

import pandas as pd
import polars as pl
import pytest

from tablefree.errors import InputError
from tablefree.fields import profile as profiles
from tablefree.fields.profile import profile


def csv(tmp_path, **columns):
    """A CSV file of columns of text, beside one of two values."""
    path = tmp_path / "x.csv"
    rows = [[*row, "ab"[at % 2]] for at, row in enumerate(zip(*columns.values(), strict=True))]
    path.write_text("\n".join(map(",".join, [[*columns, "other"], *rows])) + "\n")
    return path


@pytest.mark.parametrize(
    ("kind", "values", "wanted"),
    [
        ("categorical", ["1.5", "2"], ("categorical", "string")),
        ("categorical", ["2026-01-31", "2026-02-01"], ("categorical", "string")),
        ("categorical", ["1", "2"], ("categorical", "integer")),
        ("categorical", ["1.0", "2.0"], ("categorical", "integer")),
        ("categorical", ["true", "false"], ("categorical", "boolean")),
        ("numeric", ["1", "2"], ("numeric", "integer")),
        ("numeric", ["+1", "2e3", "NaN"], ("numeric", "float")),
        ("date", ["2026-01-31", ""], ("date", "date")),
        ("date", ["1700000000", "1700000001"], ("date", "integer")),
    ],
)
def test_text_as_the_kind_that_is_given(tmp_path, kind, values, wanted):
    column = profile(csv(tmp_path, x=values * 2), **{kind: ["x"]}).columns["x"].column
    assert (column.kind, column.type, column.reason) == (*wanted, "given")


def test_single_kinds_that_are_given(tmp_path):
    path = csv(tmp_path, bought=["yes", "no"], step=["1", "2"], won=["TRUE", "false"])
    given = profile(path, label="won", time="step", group="bought").columns
    assert {name: (one.column.kind, one.column.type) for name, one in given.items()} == {
        "bought": ("group", "string"),
        "step": ("time", "integer"),
        "won": ("label", "boolean"),
        "other": ("categorical", "string"),
    }


def test_lists_that_are_given_as_categorical_are_bags():
    frame = pl.DataFrame({"x": [["a"], ["b", "c"]]})
    assert profile(frame, categorical=["x"]).columns["x"].column.kind == "bag"


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("numeric", ["1", "NA", "3"], "row 2 of .*x.csv has 'NA', which is no number: correct it"),
        ("numeric", ["true", "false"], "row 1 of .*x.csv has 'true', which is no number"),
        ("numeric", ["1e300", "2"], "it has 1e.300, which is not finite as float32"),
        ("date", ["2026-01-31", "31.1.2026"], "row 2 of .*x.csv has '31.1.2026': a date is of ISO"),
        ("date", ["1", "2"], "row 1 of .*x.csv has '1': a date is of ISO"),
        ("time", ["1", ""], "row 2 of .*x.csv has none .1 in all.: remove such rows"),
        ("time", ["a", "b"], "row 1 of .*x.csv has 'a': a date is"),
        ("label", ["0", "2"], "it has 0, 2: a label is 0 or 1, -1 or 1, true or fal"),
        ("label", ["0", "-1", "1", "0"], "it has 0, -1, 1: a label is"),
        ("label", ["1", "1"], "all are 1, and both are needed"),
        ("categorical", ["", ""], "it has no values: drop it"),
    ],
)
def test_text_that_cannot_be_the_kind_that_is_given(tmp_path, kind, values, message):
    given = "x" if kind in ("time", "label") else ["x"]
    with pytest.raises(InputError, match=f"^the column 'x' of .* cannot be .*: {message}"):
        profile(csv(tmp_path, x=values), **{kind: given})


DATES = pd.to_datetime(["2026-01-31", "2026-02-01"])


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("numeric", ["1", "a"], "row 2 of the frame has 'a', which is no number"),
        ("numeric", DATES, "it has dates: give it as a date"),
        ("numeric", [True, False], "it has true or false: give it as categorical"),
        ("numeric", [[1], [2]], "it has lists of integers: bags"),
        ("numeric", [1.0, float("inf")], "it has inf, which is not finite"),
        ("categorical", [1.5, 2.5], "it has floats, such as 1.5, 2.5: give it as numeric"),
        ("categorical", DATES, "it has dates: give it as a date, or save it as strings"),
        ("categorical", [[1.5], [2.5]], "it has lists of floats: bags"),
        (
            "categorical",
            [{"a": 1}, {"a": 2}],
            r"it has values of type struct<a: int64>: save their .* own, or drop it",
        ),
        ("date", [1.5, 2.5], "it has 1.5, 2.5: a date is"),
        ("date", [True, False], "it has true, false: a date is"),
        ("label", ["a", "b"], "it has a, b: a label is"),
        ("label", [[0], [1]], "it has lists of integers"),
        ("group", [1.5, 2.5], "it has floats"),
        ("time", pd.to_datetime(["2026-01-31", None]), "row 2 of the frame has none"),
        ("time", ["x", "y"], "row 1 of the frame has 'x'"),
    ],
)
def test_values_that_cannot_be_the_kind_that_is_given(kind, values, message):
    given = "x" if kind in ("time", "label", "group") else ["x"]
    with pytest.raises(InputError, match=f"^the column 'x' of the frame cannot be .*: {message}"):
        profile(pd.DataFrame({"x": values}), **{kind: given})


@pytest.mark.parametrize("kind", ["label", "time", "group", "categorical", "numeric", "date"])
def test_a_column_without_values(kind):
    """What has to be there is not dropped."""
    is_single = kind in ("label", "time", "group")
    remedy = "name another column" if is_single else "drop it"
    with pytest.raises(InputError, match=f"it has no values: {remedy}$"):
        profile(pl.DataFrame({"x": [None, None]}), **{kind: "x" if is_single else ["x"]})


def test_it_is_refused_at_the_first_value(monkeypatch):
    read = []
    monkeypatch.setattr(profiles.leaks.Sample, "add", lambda _, batch: read.append(len(batch)))
    frame = pl.DataFrame({"x": ["1"] * 5_000 + ["a"] * 200_000, "y": [0, 1] * 102_500})
    with pytest.raises(InputError, match="row 5001 of the frame has 'a'"):
        profile(frame, numeric=["x"])
    assert sum(read) <= 5_000


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"categorical": ["z"]}, "has no column 'z'; its columns are 'x', 'y'"),
        ({"drop": ["z"]}, "has no column 'z'"),
        ({"label": "z"}, "has no column 'z'"),
        ({"categorical": ["x"], "label": "x"}, "'x' is given twice, as categorical and label"),
        ({"categorical": ["x", "x"]}, "'x' is given twice, as categorical and categorical"),
        ({"time": "x", "drop": ["x"]}, "'x' is given twice, as time and to be dropped"),
        ({"drop": ["x", "y"]}, "has no column that is left: drop fewer"),
    ],
)
def test_names_that_cannot_be_given(given, message):
    with pytest.raises(InputError, match=message):
        profile(pl.DataFrame({"x": [1, 2], "y": [1, 2]}), **given)


def test_a_column_that_is_there_twice(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("x,y,x\n1,2,3\n2,3,4\n")
    assert profile(path).left_out == {"x": "there 2 times: rename all but one"}
    assert profile(path, drop=["x"]).left_out == {"x": "dropped"}
    with pytest.raises(InputError, match="has the column 'x' 2 times"):
        profile(path, categorical=["x"])
