import pytest
import torch

from tablefree.embeddings.columns import column_ids, is_table
from tablefree.errors import InputError
from tablefree.ids import hash_strings, to_ids

pyarrow = pytest.importorskip("pyarrow")
polars = pytest.importorskip("polars")
pandas = pytest.importorskip("pandas")
BAGS = [["a", "b"], [], ["c"], ["a"]]


def check(ids, bags):
    assert torch.equal(ids.ids, hash_strings([tag for bag in bags for tag in bag]))
    assert ids.offsets.diff().tolist() == [len(bag) for bag in bags]


@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.list_(pyarrow.string()),
        pyarrow.large_list(pyarrow.large_string()),
        pyarrow.list_view(pyarrow.string_view()),
        pyarrow.list_(pyarrow.dictionary(pyarrow.int8(), pyarrow.string())),
    ],
)
def test_lists_of_every_kind(kind):
    column = pyarrow.array(BAGS, kind)
    check(column_ids(pyarrow.table({"tags": column}), ["tags"])["tags"].ids, BAGS)
    sliced = pyarrow.record_batch({"tags": column[1:3]})
    check(column_ids(sliced, ["tags"])["tags"].ids, BAGS[1:3])
    chunked = pyarrow.chunked_array([column[2:], column[:3]])
    check(column_ids(pyarrow.table({"t": chunked}), ["t"])["t"].ids, BAGS[2:] + BAGS[:3])


def test_lists_of_one_size():
    column = pyarrow.array([[1, 2], [3, 4], [5, 6]], pyarrow.list_(pyarrow.uint16(), 2))
    ids = column_ids(pyarrow.table({"a": column[1:]}), ["a"])["a"].ids
    assert ids.ids.tolist() == [3, 4, 5, 6]
    assert ids.offsets.tolist() == [0, 2, 4]


def test_columns_of_ids_in_the_order_of_their_names():
    frame = polars.DataFrame(
        {"n": [2**63, 1], "text": ["x", "y"], "label": [0.5, 0.1]},
        schema_overrides={"n": polars.UInt64},
    )
    assert is_table(frame)
    ids = column_ids(frame, ["text", "n", "absent"])
    assert list(ids) == ["text", "n"]
    assert torch.equal(ids["text"].ids, to_ids(["x", "y"]))
    assert ids["n"].ids.tolist() == [-(2**63), 1]


def test_no_rows():
    frame = polars.DataFrame(
        {"a": [], "b": []}, {"a": polars.Int64, "b": polars.List(polars.String)}
    )
    ids = column_ids(frame, ["a", "b"])
    assert ids["a"].ids.shape == (0,)
    assert ids["b"].ids.offsets.tolist() == [0]


@pytest.mark.parametrize(
    ("column", "named"),
    [
        ([1, None], "feature 'a': .*null at position 1"),
        ([0.5], "feature 'a': .*double"),
        ([[1], None], "feature 'a': got null at position 1: an empty bag is an empty list"),
        ([[1, None]], "feature 'a': .*null at position 1"),
        ([[[1]]], "feature 'a': .*list"),
    ],
)
def test_columns_of_no_ids_are_refused(column, named):
    with pytest.raises(InputError, match=named):
        column_ids(pyarrow.table({"a": column}), ["a"])


TABLES = {
    "polars": lambda columns: polars.DataFrame(columns),
    "pandas": lambda columns: pandas.DataFrame(columns),
    "arrow": lambda columns: pyarrow.table(columns),
    "batch": lambda columns: pyarrow.record_batch(columns),
}


@pytest.mark.parametrize("library", TABLES)
def test_the_type_of_ids_is_told(library):
    table = TABLES[library]({"n": [1, 2], "t": ["1", "2"], "bag": [["a"], []], "no": [[], []]})
    types = {
        name: one.id_type for name, one in column_ids(table, [*list("nt"), "bag", "no"]).items()
    }
    assert types == {"n": "integer", "t": "string", "bag": "string", "no": None}


@pytest.mark.parametrize(
    "other",
    [
        [1, "x"],
        [1j, 2j],
        [object(), None],
        pandas.arrays.SparseArray([0, 1]),
        pandas.period_range("2020", periods=2),
    ],
)
def test_columns_that_do_not_count_are_not_touched(other):
    table = pandas.DataFrame({"id": [1, 2]})
    table["other"] = other
    assert column_ids(table, ["id"])["id"].ids.tolist() == [1, 2]
    with pytest.raises(InputError, match="feature 'other'"):
        column_ids(table, ["other"])


def test_a_column_twice():
    table = pandas.concat([pandas.DataFrame({"id": [1], "x": [1]})] * 2, axis=1)
    with pytest.raises(InputError, match="feature 'id': the table has this column 2 times"):
        column_ids(table, ["id"])
    twice = pyarrow.Table.from_arrays([pyarrow.array([1])] * 3, names=["id", "x", "x"])
    assert column_ids(twice, ["id"])["id"].ids.tolist() == [1]


def test_integers_beyond_int64_in_objects():
    column = pandas.Series([2**63, -1], dtype=object)
    assert column_ids(pandas.DataFrame({"id": column}), ["id"])["id"].ids.tolist() == [-(2**63), -1]
