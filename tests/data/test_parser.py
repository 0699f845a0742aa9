"""One parser for training and embedding: the same values, or the same refusal."""

import subprocess

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tablefree.data import parser
from tablefree.data.id_stream import read_ids
from tablefree.data.parser import Source
from tablefree.data.read import read_interactions
from tablefree.errors import InputError
from tablefree.ids import to_ids


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def both(path, kind, column="item_id", **options):
    """The items that training and embedding read, as ids; or what both say."""
    answers = []
    for read in (
        lambda: _trained(path, column, options),
        lambda: _embedded(path, kind, column),
    ):
        try:
            answers.append(read())
        except InputError as error:
            answers.append(str(error))
    assert all("\n" not in str(answer) for answer in answers)
    return answers


def _trained(path, column, options):
    data = read_interactions(path, item_column=column, **options)
    return data.item_ids[data.item].tolist()


def _embedded(path, id_type, column):
    chunks = read_ids(path, column=column, feature="item", id_type=id_type)
    return [one for chunk in chunks for one in to_ids(chunk).tolist()]


@pytest.mark.parametrize(
    ("name", "text", "items"),
    [
        ("x.csv", "user_id,item_id\na,x\nb,y\n\n\n", ["x", "y"]),
        ("x.csv", "user_id,item_id\r\na,x\r\nb,y\r\n", ["x", "y"]),
        ("x.csv", "user_id;item_id\na;x\nb;y,z\n", ["x", "y,z"]),
        ("x.csv", "user_id|item_id\na|x\n", ["x"]),
        ("x.csv", "user_id\titem_id\na\tx\n", ["x"]),
        ("x.tsv", "user_id,item_id\na,x\n", ["x"]),
        ("x.csv", '"user_id","item_id"\n"a","x ""y"""\n', ['x "y"']),
        ("x.csv", "\ufeffuser_id,item_id\na,x\n", ["x"]),
        ("x.csv", "user_id,item_id\na,ä\n".encode("utf-16"), ["ä"]),
        ("x.csv", "item_id,user_id,junk,junk\nx,a,1,2\n", ["x"]),
        ("x.csv", b"user_id,item_id,title\na,x,caf\xe9\n", ["x"]),
        ("x.csv", f"user_id,item_id\na,{2**64 - 1}\nb,7\n", [2**64 - 1, 7]),
        ("x.inter", "user_id:token\titem_id:token\na\t7\nb\tx\n", ["7", "x"]),
        ("x.json", '{"user_id": 1, "item_id": "2024-01-02"}\n\n', ["2024-01-02"]),
        ("x.json", '{"user_id": 1, "item_id": 5, "x": [1]}\n{"item_id": 6, "user_id": 2}', [5, 6]),
    ],
)
def test_the_same_values(tmp_path, name, text, items):
    kind = "integer" if isinstance(items[0], int) else "string"
    wanted = to_ids(items).tolist()
    assert both(write(tmp_path / name, text), kind) == [wanted, wanted]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("x.csv", 'user_id,item_id\na,""\nb,y\n', "row 1 of .* has no item id"),
        ("x.csv", 'user_id,item_id\na,"x\n"\nb,y\n', "row 1 of .*a line break within"),
        ("x.csv", "user_id,item_id\na, x\nb,y\n", "row 1 of .*' x', with a space around it"),
        ("x.csv", "user_id,item_id\na,x\u00a0\nb,y\n", "row 1 of .*with a space around it"),
        ("x.csv", "user_id,item_id\na,x\rd\nb,y\n", "Row #3: Expected 2 columns, got 1"),
        ("x.csv", "user_id,item_id\na\n", "Expected 2 columns, got 1"),
        ("x.csv", "user_id,item_id,item_id\na,x,y\n", "has the column 'item_id' 2 times"),
        ("x.csv", "user_id,item\na,x\n", "no column 'item_id'.*'user_id', 'item', separated by"),
        ("x.csv", "a;x\nb;y\n", "no column .*put a line with names before it, such as 'user_id;it"),
        ("x.csv", b"user_id,item_id\na,b\n\xe9,\xe9\n", "row 2 of .*not in UTF-8.*iconv"),
        ("x.csv", b"user_id,caf\xe9\na,b\n", "the first line of .*not in UTF-8.*iconv"),
        ("x.csv", "user_id,item_id\na,b\n".encode("utf-16-le"), "zero bytes.*iconv -f utf-16le"),
        ("x.json", '{"user_id": 1, "item_id": "a"}\n{"item_id": 6}', "row 2 of .*x.json has numb"),
        ("x.json", '[{"user_id": 1, "item_id": 2}]', "is one array of JSON: JSON lines have"),
    ],
)
def test_the_same_refusals(tmp_path, name, text, named):
    path = write(tmp_path / name, text)
    for answer in both(path, "string"):
        with pytest.raises(AssertionError, match=named):
            raise AssertionError(answer)


def test_a_column_twice_in_parquet(tmp_path):
    path = tmp_path / "x.parquet"
    names = ["user_id", "item_id", "junk", "junk"]
    pa.parquet.write_table(pa.Table.from_arrays([pa.array([1])] * 4, names=names), path)
    assert both(path, "integer") == [[1], [1]]
    names = ["user_id", "item_id", "item_id", "junk"]
    pa.parquet.write_table(pa.Table.from_arrays([pa.array([1])] * 4, names=names), path)
    assert all("has the column 'item_id' 2 times" in answer for answer in both(path, "integer"))


@pytest.mark.parametrize("encoding", ["latin1", "utf-16le"])
def test_the_remedy_for_other_encodings(tmp_path, encoding):
    path = write(tmp_path / "x.csv", "user_id,item_id\na,é\n".encode(encoding))
    with pytest.raises(InputError) as refused:
        read_interactions(path)
    command = str(refused.value).partition("`")[2].partition("`")[0]
    subprocess.run(command.replace("NEW", str(tmp_path / "new.csv")), shell=True, check=True)
    assert both(tmp_path / "new.csv", "string") == [to_ids(["é"]).tolist()] * 2


def test_the_remedy_for_a_file_without_names(tmp_path):
    path = write(tmp_path / "x.csv", "3\t1\t2.9\n3\t2\t2.7\n")
    with pytest.raises(InputError, match=r"put a line with names before it.*'user_id\\titem_id'"):
        read_interactions(path)
    path.write_text("user_id\titem_id\trating\n" + path.read_text())
    assert both(path, "integer") == [[1, 2], [1, 2]]


ids = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), min_size=1, max_size=9)


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(ids, min_size=1, max_size=9), st.sampled_from(["integer", "string"]))
def test_any_text_is_read_alike(tmp_path, values, id_type):
    table = pa.table({"user_id": ["u"] * len(values), "item_id": values})
    pa.csv.write_csv(table, tmp_path / "x.csv")
    trained, embedded = both(tmp_path / "x.csv", id_type, id_type=("string", id_type))
    if not isinstance(trained, str) and not isinstance(embedded, str):
        assert trained == embedded
    elif id_type == "integer":
        assert isinstance(trained, str) == isinstance(embedded, str)


@pytest.mark.parametrize("form", ["parquet", "csv", "csv.gz", "json", "inter"])
def test_damaged_files_end_in_one_line(tmp_path, form):
    table = pa.table({"user_id": list(range(300)), "item_id": [str(i % 7) for i in range(300)]})
    path = tmp_path / f"x.{form}"
    if form == "parquet":
        pa.parquet.write_table(table, path)
    elif form == "json":
        path.write_text("".join(f'{{"user_id": {i}, "item_id": "{i}"}}\n' for i in range(99)))
    else:
        with pa.output_stream(path, compression="gzip" if form.endswith("gz") else None) as file:
            pa.csv.write_csv(table, file)
    whole = path.read_bytes()

    @settings(deadline=None, max_examples=40, database=None)
    @given(st.integers(0, len(whole) - 1), st.integers(0, 7), st.booleans())
    def flip(at, bit, is_cut):
        damaged = bytearray(whole[: at + 1] if is_cut else whole)
        damaged[at] ^= 1 << bit
        path.write_bytes(damaged)
        both(path, "string")

    flip()


@pytest.mark.parametrize("place", [1, 40])
@pytest.mark.parametrize("opened", ['"b', '"b ""c""'])
def test_a_quote_that_never_ends_loses_no_row_in_silence(tmp_path, place, opened):
    lines = [f"{row},{row},{opened if row == place else 'b'}" for row in range(50)]
    path = write(tmp_path / "a.csv", "\n".join(["user_id,item_id,note", *lines, ""]))
    for answer in both(path, "integer"):
        assert f"row {place + 1} of {path}, column 'note', opens a quote that never ends" in answer


@pytest.mark.parametrize("end", ["", "\n", "\r\n\n"])
def test_a_value_of_several_lines_may_be_the_last(tmp_path, end):
    text = f'user_id,item_id,note\n1,7,"a\nb"\n2,8,"c\n""d"""{end}'
    answers = both(write(tmp_path / "a.csv", text), "integer")
    assert answers == [[7, 8], [7, 8]]


def test_columns_of_json_lines_are_in_the_order_of_the_file(tmp_path):
    path = write(tmp_path / "x.jsonl", '{"a": 1, "b": "2026-01-01", "c": [7], "d": "x"}\n')
    assert Source(path).columns == ["a", "b", "c", "d"]


def test_nulls_at_the_start_of_a_list_of_json_lines(tmp_path):
    path = write(tmp_path / "x.jsonl", '{"a": null}\n{"a": [null, 7]}\n{"a": []}\n{"a": [1]}\n')
    assert Source(path).read(["a"])["a"].to_pylist() == [None, [None, 7], [], [1]]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("1", '"a"', "has strings in the column 'x', where rows before have numbers"),
        ('"a"', "1", "has numbers in the column 'x', where rows before have strings"),
        ("1", "true", "has booleans in the column 'x', where rows before have numbers"),
        ('"2026-01-01T00:00"', "7", "has numbers in the column 'x', where rows before have st"),
        ("[1]", '"a"', "has strings in the column 'x', where rows before have arrays"),
        ("[1]", '["a"]', "has strings in the column 'x', where rows before have numbers"),
        ('{"b": 1}', '{"b": "a"}', "has strings in the column 'x', where rows before have num"),
    ],
)
@pytest.mark.parametrize("num_blocks", [1, 2])
def test_values_of_several_types_in_json_lines(
    tmp_path, monkeypatch, before, after, said, num_blocks
):
    """The row is counted over the blocks that are parsed at once."""
    lines = [f'{{"x": {one}}}\n' for one in [before] * 21 + [after]]
    monkeypatch.setattr(parser, "BLOCK", (30 // num_blocks - 5) * len(lines[0]))
    path = write(tmp_path / "x.jsonl", "".join(lines))
    with pytest.raises(
        InputError, match=rf"^row 22 of .*x.jsonl {said}.*: save all its values in "
    ):
        Source(path).read(["x"])
