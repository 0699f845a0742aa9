import pytest
import torch

from tablefree.embeddings.columns import column_ids, is_table
from tablefree.errors import InputError
from tablefree.ids import hash_strings, to_ids

pyarrow = pytest.importorskip("pyarrow")
polars = pytest.importorskip("polars")
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
    check(column_ids(pyarrow.table({"tags": column}), ["tags"])["tags"], BAGS)
    sliced = pyarrow.record_batch({"tags": column[1:3]})
    check(column_ids(sliced, ["tags"])["tags"], BAGS[1:3])
    chunked = pyarrow.chunked_array([column[2:], column[:3]])
    check(column_ids(pyarrow.table({"t": chunked}), ["t"])["t"], BAGS[2:] + BAGS[:3])


def test_lists_of_one_size():
    column = pyarrow.array([[1, 2], [3, 4], [5, 6]], pyarrow.list_(pyarrow.uint16(), 2))
    ids = column_ids(pyarrow.table({"a": column[1:]}), ["a"])["a"]
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
    assert torch.equal(ids["text"], to_ids(["x", "y"]))
    assert ids["n"].tolist() == [-(2**63), 1]


def test_no_rows():
    frame = polars.DataFrame(
        {"a": [], "b": []}, {"a": polars.Int64, "b": polars.List(polars.String)}
    )
    ids = column_ids(frame, ["a", "b"])
    assert ids["a"].shape == (0,)
    assert ids["b"].offsets.tolist() == [0]


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
