"""Ids are read in chunks, and in the type of training."""

import gzip
import io
import sys

import polars as pl
import pytest

from tablefree.data import id_stream, parser
from tablefree.data.id_stream import read_ids
from tablefree.errors import InputError

KNOWN = "user_id"


@pytest.fixture(autouse=True, params=[3, 65_536])
def chunk(request, monkeypatch):
    monkeypatch.setattr(id_stream, "CHUNK", request.param)
    monkeypatch.setattr(parser, "CHUNK", request.param)


def read(path, id_type="integer", column=None, feature="user"):
    chunks = list(read_ids(path, column=column, feature=feature, id_type=id_type))
    assert all(len(chunk) for chunk in chunks)
    assert all(len(chunk) <= id_stream.CHUNK for chunk in chunks)
    return [value for chunk in chunks for value in chunk.to_pylist()]


def write(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines(tmp_path, end, last):
    path = write(tmp_path / "ids.txt", end.join(["7", "-3", "0", "9"]) + (end if last else ""))
    assert read(path) == [7, -3, 0, 9]
    assert read(path, "string") == ["7", "-3", "0", "9"]


def test_a_byte_order_mark_is_no_part_of_an_id(tmp_path):
    assert read(write(tmp_path / "ids", "\ufeffä\nb\n"), "string") == ["ä", "b"]


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"5\n6\n7\n8\n")))
    chunks = read_ids(None, column=None, feature="item", id_type="integer")
    assert [value for chunk in chunks for value in chunk.to_pylist()] == [5, 6, 7, 8]


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ","), ("tsv", "\t")])
def test_a_column_of_text(tmp_path, suffix, separator):
    lines = [["other", KNOWN], ["a", "001"], ["b", "2"], ["c", "NA"], ["d", "4"]]
    text = "".join(separator.join(line) + "\n" for line in lines)
    plain = write(tmp_path / f"ids.{suffix}", text)
    packed = write(tmp_path / f"ids.{suffix}.gz", gzip.compress(text.encode()))
    for path in (plain, packed):
        assert read(path, "string") == ["001", "2", "NA", "4"]
    assert read(plain, "string", column="other") == ["a", "b", "c", "d"]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Int8, pl.UInt32, pl.UInt64])
def test_integers_of_parquet(tmp_path, dtype):
    path = tmp_path / "ids.parquet"
    pl.DataFrame({KNOWN: [1, 2, 3, 4]}, schema={KNOWN: dtype}).write_parquet(path)
    assert read(path) == [1, 2, 3, 4]


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical])
def test_strings_of_parquet(tmp_path, dtype):
    path = tmp_path / "ids.parquet"
    pl.DataFrame({KNOWN: ["a", "b", "a", "c"]}, schema={KNOWN: dtype}).write_parquet(path)
    assert read(path, "string") == ["a", "b", "a", "c"]


def test_large_unsigned_integers_of_parquet(tmp_path):
    path = tmp_path / "ids.parquet"
    pl.DataFrame({KNOWN: [2**64 - 1]}, schema={KNOWN: pl.UInt64}).write_parquet(path)
    assert read(path) == [2**64 - 1]


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("ids.txt", "", "holds no ids"),
        ("ids.csv", "user_id\n", "holds no ids"),
        ("ids.csv", "", "cannot be read"),
        ("ids.txt", "1\n2\n3\n4\nfive\n6\n", "line 5 of .* 'five', no integer of 64 bits"),
        ("ids.txt", "1\n2.0\n", "line 2 of .* has the user id '2.0'"),
        ("ids.txt", "1\n 2\n", "line 2 of .* has the user id ' 2'"),
        ("ids.txt", "1\n007\n", "line 2 of .* has the user id '007'"),
        ("ids.txt", "1\n٣\n", "line 2"),
        ("ids.txt", f"1\n{2**64}\n", f"line 2 of .* has the user id '{2**64}'"),
        ("ids.txt", f"-1\n2\n3\n4\n{2**63}\n", "no integer of 64 bits|line 1 of .* is -1"),
        ("ids.txt", "1\n\n3\n", "line 2 of .* has no user id"),
        ("ids.txt", b"1\n\xff\n", "line 2 of .* not in UTF-8.*iconv"),
        ("ids.csv", "user_id,x\n1,a\n2,a\n3,a\nx,a\n", "row 4 of .* has the user id 'x'"),
        ("ids.csv", "user_id,x\n1,a\n,a\n", "row 2 of .* has no user id"),
        ("ids.csv", "name,x\n1,a\n", "no column 'user_id' .*; its columns are 'name', 'x'"),
        ("ids.csv", "user_id,x\n1,a\n1,a,b\n", "cannot be read"),
        ("ids.parquet", b"PAR1", "cannot be read"),
        ("ids.json", '{"user_id": 1.5}\n', "user ids of .* are floats"),
    ],
)
def test_bad_ids_are_refused_with_their_place(tmp_path, name, content, named):
    with pytest.raises(InputError, match=named) as refused:
        read(write(tmp_path / name, content))
    assert "\n" not in str(refused.value)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match=r"ids\.txt does not exist"):
        read(tmp_path / "ids.txt")


def test_no_such_column(tmp_path):
    path = tmp_path / "ids.parquet"
    pl.DataFrame({KNOWN: [1]}).write_parquet(path)
    with pytest.raises(InputError, match=r"no column 'x' .*; its columns are 'user_id'"):
        read(path, column="x")
    with pytest.raises(InputError, match="no columns"):
        read(write(tmp_path / "ids.txt", "1\n"), column="x")


@pytest.mark.parametrize(
    ("values", "id_type", "named"),
    [
        ([1, 2], "string", "id of type Int64, and the ids of the checkpoint are of type string"),
        ([1.0, 2.0], "integer", "floats .Float64"),
        ([1.0, float("nan")], "integer", "floats .Float64"),
        ([True, False], "integer", "type Boolean"),
        ([b"a"], "integer", "type Binary"),
        ([1, None], "integer", "row 2 of .* has no user id"),
        (["7", "8"], "integer", "type String, and the ids of the checkpoint are of type integer"),
        (["a", None], "string", "row 2 of .* has no user id"),
    ],
)
def test_columns_of_another_type_are_refused(tmp_path, values, id_type, named):
    path = tmp_path / "ids.parquet"
    pl.DataFrame({KNOWN: values}).write_parquet(path)
    with pytest.raises(InputError, match=named):
        read(path, id_type)


def test_a_truncated_parquet_file_is_refused(tmp_path):
    path = tmp_path / "ids.parquet"
    pl.DataFrame({KNOWN: range(1000)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        read(path)


def test_ids_of_recboles_events_beside_files_of_their_sides(tmp_path):
    write(tmp_path / "x.inter", "user_id:token\titem_id:token\n1\t7\n2\t8\n")
    write(tmp_path / "x.item", "item_id:token\tclass:token\n9\tDrama\n")
    assert read(tmp_path, "string", feature="item_id") == ["7", "8"]
    assert read(tmp_path, "string") == ["1", "2"]


def test_ids_of_a_known_form_go_by_the_names_of_its_columns(tmp_path):
    write(tmp_path / "ratings.dat", "1::7::5::978300760\n2::8::3::978300761\n")
    assert read(tmp_path, feature="user_id") == read(tmp_path) == [1, 2]
    assert read(tmp_path, feature="item_id") == [7, 8]
    with pytest.raises(InputError, match="is MovieLens, and has no ids of 'genre'"):
        read(tmp_path, feature="genre")
