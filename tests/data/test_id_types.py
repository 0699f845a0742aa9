"""One odd value does not change a column in silence: its row is named, and the caller decides."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.data.id_types import id_type_of, typed_ids
from tablefree.data.parts import Rows
from tablefree.data.read import read_interactions
from tablefree.errors import InputError

ROWS = Rows("x.csv")


def text(values, **options):
    return typed_ids(pl.Series("item", values, pl.String), ROWS, is_text=True, **options)


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_integers_are_integers(values):
    ids = text([str(value) for value in values])
    assert ids.to_list() == values
    assert id_type_of(ids) == "integer"


@pytest.mark.parametrize("values", [[2**64 - 1, 0], [2**63, 7]])
def test_large_unsigned_integers(values):
    assert text([str(value) for value in values]).to_list() == values


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b", "7"],  # few numbers among names
        ["0060393203", "1384719342"],  # a leading zero is part of an ISBN
        ["007", "0012"],
        ["0001", "isbn-2", "0003"],
        [str(2**64), str(2**70)],
        ["12.34.56.78", "1.2.3.4"],
        ["1e5", "a7", "b"],
        ["NA", "null"],
    ],
)
def test_strings_are_strings(values):
    assert text(values).to_list() == values


@pytest.mark.parametrize(
    ("values", "row"),
    [
        (["1", "2", " 3"], 3),
        (["1", "2", "3\u00a0"], 3),
        (["a", "b "], 2),
        (["1", "+2", "3"], 2),
        (["1e5", "2e6"], 1),
        (["1", "2", "2.0"], 3),
        (["1.5", "nan"], 1),
        (["1", "2", "-"], 3),
        (["1", "2", "007"], 3),
        (["1,000", "2,000"], 1),
        (["1_000", "2"], 1),
        (["1", "2", str(2**64)], 3),
        (["-1", str(2**63)], 1),
        (["1001", "1002", "gift"], 3),
        (["1", "2", "NULL"], 3),
        (["٣", "2"], 1),
        (["1", "0x2"], 2),
    ],
)
def test_an_odd_value_is_named_and_the_remedy_is_true(values, row):
    with pytest.raises(InputError, match=rf"row {row} of x\.csv has the item id .*: correct it"):
        text(values)
    assert text(values, id_type="string").to_list() == values


@pytest.mark.parametrize("value", ["x", " 1", "+1", "1e3", "01", "-0", str(2**64), "٣"])
def test_integers_that_are_wanted_are_all_integers(value):
    for options in ({"id_type": "integer"}, {"text_type": "integer"}):
        with pytest.raises(InputError, match=r"row 2 of x\.csv .* no integer of 64 bits"):
            text(["5", value], **options)


@pytest.mark.parametrize(
    ("column", "id_type", "wanted"),
    [
        (pl.Series([1, 2], dtype=pl.UInt8), "string", ["1", "2"]),
        (pl.Series(["1", "-2"]), "integer", [1, -2]),
        (pl.Series(["1", "2"]), None, ["1", "2"]),
        (pl.Series([b"1"]), "string", [b"1"]),
        (pl.Series(["a"], dtype=pl.Categorical), None, ["a"]),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), None, [2**64 - 1]),
    ],
)
def test_a_typed_column_has_its_type_unless_told_otherwise(column, id_type, wanted):
    assert typed_ids(column, ROWS, id_type).to_list() == wanted


@pytest.mark.parametrize(
    ("column", "named"),
    [
        (pl.Series([1, None]), "row 2 of .* has no"),
        (pl.Series(["", "a"]), "row 1 of .* has no"),
        (pl.Series([None, None]), "row 1 of .* has no"),
        (pl.Series([b"a", b""]), "row 2 of .* has no"),
        (pl.Series([1.0]), "are floats"),
        (pl.Series([True]), "of type Boolean"),
        (pl.Series([1], dtype=pl.Int128), "of type Int128"),
        (pl.Series([1]).cast(pl.Date), "of type Date"),
        (pl.Series([[1]]), "of type List"),
    ],
)
def test_what_is_no_id(column, named):
    with pytest.raises(InputError, match=named):
        typed_ids(column, ROWS)


def test_one_type_for_users_and_one_for_items(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("user_id,item_id\n1,7\n2,x\n")
    with pytest.raises(InputError, match=r"row 2 .* --id-type string"):
        read_interactions(path)
    data = read_interactions(path, id_type=("integer", "string"))
    assert (data.user_id_type, data.item_id_type) == ("integer", "string")
    assert read_interactions(path, id_type="string").user_id_type == "string"
    for wrong in ("text", ("string",), 7):
        with pytest.raises(InputError, match="id_type must be integer or string"):
            read_interactions(path, id_type=wrong)


def test_ids_of_amazon_are_strings_by_their_name(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("user_id,parent_asin\n1,1384719342\n2,B0002E1G5C\n")
    assert read_interactions(path).item_id_type == "string"
