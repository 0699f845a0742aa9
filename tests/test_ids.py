import random
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tablefree.errors import InputError
from tablefree.ids import hash_strings, tensor_ids, to_ids

TEXTS = ["a", "naïve", "", "long " * 20, "日本語", "a"]
BYTES = [text.encode() for text in TEXTS]
SIGNED = (np.int8, np.int16, np.int32, np.int64)
UNSIGNED = (np.uint8, np.uint16, np.uint32, np.uint64)


def expected(values: list[bytes]) -> torch.Tensor:
    words = np.array([xxhash.xxh64_intdigest(value) for value in values], np.uint64)
    return torch.from_numpy(words.view(np.int64))


@pytest.mark.parametrize("dtype", SIGNED)
@settings(deadline=None)
@given(data=st.data())
def test_signed_integers_of_every_width_keep_their_value(dtype, data):
    shape = hnp.array_shapes(min_dims=0, min_side=0)
    array = data.draw(hnp.arrays(dtype, shape))
    want = torch.from_numpy(array.astype(np.int64))
    assert torch.equal(to_ids(array), want)
    assert torch.equal(to_ids(torch.from_numpy(array.copy())), want)


@pytest.mark.parametrize("dtype", UNSIGNED)
@settings(deadline=None)
@given(data=st.data())
def test_unsigned_integers_of_every_width_are_extended_by_zeros(dtype, data):
    array = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_side=0)))
    want = torch.from_numpy(array.astype(np.uint64).view(np.int64))
    assert torch.equal(to_ids(array), want)
    assert torch.equal(to_ids(torch.from_numpy(array.copy())), want)


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**64 - 1)))
def test_lists_of_integers_are_taken_modulo_64_bits(values):
    assert [identifier % 2**64 for identifier in to_ids(values).tolist()] == [
        value % 2**64 for value in values
    ]


@settings(deadline=None)
@given(st.lists(st.text() | st.text(min_size=30), min_size=1))
def test_lists_of_strings_are_hashed_one_by_one(values):
    assert torch.equal(hash_strings(values), expected([value.encode() for value in values]))
    assert torch.equal(to_ids(values), hash_strings(values))


def test_strings_of_every_length_equal_the_xxhash_package():
    source = random.Random(1)
    values = [source.randbytes(size) for size in [*range(101), *source.sample(range(5000), 50)]]
    assert torch.equal(hash_strings(values), expected(values))


@pytest.mark.parametrize("value", ["item", b"item", np.str_("item")])
def test_one_string_is_one_id(value):
    assert to_ids(value).shape == ()
    assert hash_strings(value).shape == (1,)
    assert hash_strings(value).item() == to_ids(value).item() == to_ids([value])[0].item()


@pytest.mark.parametrize("value", [2**64 - 1, -1, np.int64(-1), np.uint64(2**64 - 1)])
def test_one_integer_is_one_id(value):
    assert torch.equal(to_ids(value), torch.tensor(-1))


STRING_COLUMNS = {
    "tuple": tuple(TEXTS),
    "bytes": BYTES,
    "numpy str": np.array(TEXTS),
    "numpy object": np.array(TEXTS, object),
    "numpy StringDType": np.array(TEXTS, np.dtypes.StringDType()),
    "arrow string": pa.array(TEXTS),
    "arrow large_string": pa.array(TEXTS, pa.large_string()),
    "arrow string_view": pa.array(TEXTS, pa.string_view()),
    "arrow binary": pa.array(BYTES),
    "arrow large_binary": pa.array(BYTES, pa.large_binary()),
    "arrow binary_view": pa.array(BYTES, pa.binary_view()),
    "arrow dictionary": pa.array(TEXTS).dictionary_encode(),
    "arrow slice": pa.array(["x", *TEXTS, None])[1:-1],
    "arrow dictionary slice": pa.array(["x", *TEXTS, None]).dictionary_encode()[1:-1],
    "arrow chunks": pa.chunked_array([TEXTS[:2], [], TEXTS[2:]]),
    "arrow chunks with dictionaries of their own": pa.chunked_array(
        [pa.array(TEXTS[:2]).dictionary_encode(), pa.array(TEXTS[2:]).dictionary_encode()]
    ),
    "arrow dictionary with an unused null": pa.DictionaryArray.from_arrays(
        pa.array(range(1, len(TEXTS) + 1)), pa.array([None, *TEXTS])
    ),
    "pandas": pd.Series(TEXTS, index=range(10, 10 + len(TEXTS))),
    "pandas index": pd.Index(TEXTS),
    "pandas object": pd.Series(TEXTS, dtype=object),
    "pandas nullable string": pd.Series(TEXTS, dtype="string"),
    "pandas python string": pd.Series(TEXTS, dtype="string[python]"),
    "pandas arrow string": pd.Series(TEXTS, dtype=pd.ArrowDtype(pa.string())),
    "pandas category": pd.Series(TEXTS, dtype="category"),
    "polars": pl.Series(TEXTS),
    "polars slice": pl.Series(["x", *TEXTS])[1:],
    "polars binary": pl.Series(BYTES),
    "polars categorical": pl.Series(TEXTS, dtype=pl.Categorical),
    "polars enum": pl.Series(TEXTS, dtype=pl.Enum(list(dict.fromkeys(TEXTS)))),
}


@pytest.mark.parametrize("column", STRING_COLUMNS.values(), ids=STRING_COLUMNS.keys())
def test_a_string_is_the_same_id_in_every_column(column):
    assert torch.equal(hash_strings(column), expected(BYTES))
    assert torch.equal(to_ids(column), expected(BYTES))


INTEGERS = [3, 1, 2**40, 1]
INTEGER_COLUMNS = {
    "numpy object": np.array(INTEGERS, object),
    "numpy big-endian": np.array(INTEGERS, ">i8"),
    "numpy reversed": np.array(INTEGERS[::-1])[::-1],
    "arrow": pa.array(INTEGERS),
    "arrow slice": pa.array([None, *INTEGERS])[1:],
    "arrow chunks": pa.chunked_array([INTEGERS[:1], INTEGERS[1:]]),
    "arrow dictionary": pa.array(INTEGERS).dictionary_encode(),
    "pandas": pd.Series(INTEGERS),
    "pandas nullable": pd.Series(INTEGERS, dtype="Int64"),
    "pandas category": pd.Series(INTEGERS, dtype="category"),
    "pandas arrow": pd.Series(INTEGERS, dtype=pd.ArrowDtype(pa.uint64())),
    "polars": pl.Series(INTEGERS),
}


@pytest.mark.parametrize("column", INTEGER_COLUMNS.values(), ids=INTEGER_COLUMNS.keys())
def test_an_integer_is_the_same_id_in_every_column(column):
    assert to_ids(column).tolist() == INTEGERS


def test_unsigned_columns_are_reinterpreted():
    value = 2**63
    for column in (pa.array([value], pa.uint64()), pl.Series([value], dtype=pl.UInt64)):
        assert to_ids(column).tolist() == [-(2**63)]


def test_fixed_size_binary_is_hashed():
    assert torch.equal(
        hash_strings(pa.array([b"ab", b"cd"], pa.binary(2))), expected([b"ab", b"cd"])
    )


@pytest.mark.parametrize(
    "empty",
    [
        [],
        np.array([], str),
        pa.array([], pa.string()),
        pa.chunked_array([], pa.binary()),
        pa.nulls(0),
        np.array([]),
        pl.Series([]),
        pd.Series([], dtype=object),
    ],
)
def test_no_values_are_no_ids(empty):
    assert to_ids(empty).shape == hash_strings(empty).shape == (0,)


def test_arrays_of_strings_keep_their_shape():
    assert to_ids(np.array([["a", "b", "c"], ["d", "e", "f"]])).shape == (2, 3)


def test_ids_do_not_share_memory_that_is_read_only():
    array = np.arange(3)
    array.setflags(write=False)
    ids = to_ids(array)
    ids[0] = 7
    assert array[0] == 0


REFUSED = {
    "mixed": ([1, 2, "a"], "got int at first and str at position 2"),
    "str and bytes": (["a", b"a"], "got str at first and bytes at position 1"),
    "null in a list": (["a", None], r"got null \(None\) at position 1"),
    "NaN in a list": (["a", float("nan")], "got float nan at position 1"),
    "float": (1.5, "got float 1.5 at position 0"),
    "bool": (True, "got bool True at position 0"),
    "bools": ([1, True], "got bool True at position 1"),
    "list of lists": ([[1]], "got list .1. at position 0"),
    "too large": ([0, 2**64], "got 18446744073709551616 at position 1"),
    "too small": ([-(2**63) - 1], "got -9223372036854775809 at position 0"),
    "surrogate": (
        ["a", "b\ud800"],
        "position 1 is not valid Unicode .a lone surrogate at char.* 1",
    ),
    "numpy float": (np.array([1.0]), "array of float64"),
    "numpy bool": (np.array([True]), "array of bool"),
    "numpy date": (np.array(["2020-01-01"], "M8[D]"), "datetime64"),
    "torch float": (torch.tensor([1.0]), "torch.float32"),
    "torch bool": (torch.tensor([True]), "torch.bool"),
    "arrow null": (pa.chunked_array([["a"], ["b", None]]), "null at position 2"),
    "arrow nulls": (pa.array([None]), "null at position 0"),
    "arrow null in a dictionary": (
        pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", None])),
        "null at position 1",
    ),
    "arrow float": (pa.array([1.0]), "column of double"),
    "arrow table": (pa.table({"a": [1]}), "pyarrow Table: pass one column"),
    "pandas null": (pd.Series([1, None], dtype="Int64"), "null at position 1"),
    "pandas string null": (pd.Series(["a", None]), "null at position 1"),
    "pandas category null": (pd.Series(["a", None], dtype="category"), "null at position 1"),
    "pandas float category": (pd.Series([1.5], dtype="category"), "column of double"),
    "pandas float": (pd.Series([1.0, None]), "array of float64"),
    "pandas frame": (pd.DataFrame({"a": [1]}), "pandas DataFrame: pass one column"),
    "polars null": (pl.Series([1, None]), "null at position 1"),
    "polars float": (pl.Series([1.0]), "column of double"),
    "polars frame": (pl.DataFrame({"a": [1]}), "polars DataFrame: pass one column"),
    "polars objects": (pl.Series([object()], dtype=pl.Object), "Python objects: pass them as str"),
    "polars uuids": (pl.Series([uuid.UUID(int=5)] * 2), "Python objects"),
    "polars 128 bits": (pl.Series([1], dtype=pl.Int128), "got a column of"),
    "polars dates": (pl.Series([1]).cast(pl.Date), "column of date32"),
    "polars struct": (pl.Series([{"a": 1}]), "column of struct"),
    "numpy masked": (np.ma.array([1, 2, 3], mask=[0, 1, 0]), "masked value at position 1"),
    "numpy masked strings": (np.ma.array(["a", "b"], mask=[0, 1]), "masked value at position 1"),
    "numpy masked alone": (np.ma.masked, "masked value at position 0"),
    "numpy masked in a list": ([1, np.ma.masked], "MaskedConstant"),
    "numpy short bytes": (np.array([b"ab", b"c"]), "zeros at their end, as at position 1"),
    "numpy digests": (np.array([b"ab", b"c\0"]), "at position 1 .*pass a list of bytes"),
    "numpy void": (np.array([b"ab"]).view("V2"), "array of .V2"),
    "numpy records": (np.array([(1,)], [("a", "i8")]), "array of"),
    "arrow uuid": (pa.array([b"0" * 16], pa.uuid()), "column of extension<arrow.uuid>"),
    "arrow scalar": (pa.scalar(1), "pyarrow Int64Scalar: pass one column"),
    "arrow decimal": (pa.array([1]).cast(pa.decimal128(20)), "column of decimal128"),
    "pandas sparse": (pd.Series(pd.arrays.SparseArray([0, 1])), "column of Sparse"),
    "pandas period": (pd.Series(pd.period_range("2020", periods=2)), "column of"),
    "pandas mixed": (pd.Series([1, "a"]), "got int at first and str at position 1"),
    "torch sparse": (torch.tensor([1, 0]).to_sparse(), "dense tensor.*got a torch.sparse_coo"),
    "uuid": (uuid.UUID(int=5), "got UUID"),
    "frame in a list": ([pd.DataFrame({"a": [1, 2]})], "got DataFrame"),
    "nothing": (None, "null"),
    "object": (object(), "got object"),
}


@pytest.mark.parametrize(("values", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_an_id_is_refused_in_one_line(values, message):
    with pytest.raises(InputError, match=message) as error:
        to_ids(values)
    assert "\n" not in str(error.value)


def test_masked_arrays_without_a_mask_are_arrays():
    assert to_ids(np.ma.array([1, 2])).tolist() == [1, 2]


@settings(deadline=None)
@given(st.lists(st.binary(min_size=4, max_size=4), min_size=1))
def test_bytes_of_one_length_are_the_same_ids_in_every_column_or_refused(values):
    wanted = hash_strings(values)
    assert torch.equal(to_ids(pa.array(values, pa.binary(4))), wanted)
    array = np.array(values, "S4")
    if any(value.endswith(b"\0") for value in values):
        with pytest.raises(InputError, match="zeros at their end"):
            to_ids(array)
    else:
        assert torch.equal(to_ids(array), wanted)


def test_hash_strings_refuses_integers():
    with pytest.raises(InputError, match="pass them to to_ids"):
        hash_strings([1, 2])


def test_tensor_ids_refuses_other_containers():
    with pytest.raises(InputError, match="got list: convert them with to_ids"):
        tensor_ids([1, 2])
