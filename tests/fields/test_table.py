"""Tables of every form give their rows in one way."""

import gzip
from datetime import datetime

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from tablefree.data.parser import CHUNK
from tablefree.errors import InputError
from tablefree.fields.events import read_events
from tablefree.fields.kinds import Column
from tablefree.fields.table import Table
from tablefree.fields.values import MISSING


def rows(data, columns=None):
    table = Table.of(data)
    batches = list(table.batches(columns or table.columns))
    return [row for batch in batches for row in batch.to_pylist()]


def write(path, text):
    path.write_text(text)
    return path


def test_what_is_missing_is_null(form):
    table = pa.table({"text": ["", "x", None], "number": [1.5, None, float("nan")]})
    table = table.slice(0, 2) if form.is_text or form.name == "rows.jsonl" else table
    data = form(table)
    found = rows(data)
    assert [row["text"] for row in found] == [None, "x", None][: len(found)]
    wanted = ["1.5", None] if form.is_text else [1.5, None, None][: len(found)]
    assert [row["number"] for row in found] == wanted
    assert Table.of(data).is_text("text") == form.is_text


def test_what_databases_write_for_null_is_null(form):
    words = ["NULL", "x", "\\N", "null", "Null", "NA", "nil"]
    wanted = [None, "x", None, None, "Null", "NA", "nil"]
    table = pa.table({"x": words, "y": ["a"] * len(words)})
    assert [row["x"] for row in rows(form(table))] == wanted
    lists = pa.table({"x": [words], "y": ["a"]})
    bags = read_events(Table.of(lists), [Column("x", "bag", "string")]).bags["x"]
    assert (bags.ids == MISSING).tolist() == [one is None for one in wanted]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "\x01"])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt", "x.log", "part-00000", "x.TXT.gz"])
def test_text_of_any_separator_and_many_names(separator, name, tmp_path):
    content = "\n".join(separator.join(row) for row in [("click", "ad"), ("1", "a"), ("0", "b")])
    write = gzip.compress if name.endswith("gz") else bytes
    (tmp_path / name).write_bytes(write(content.encode()))
    assert rows(tmp_path / name) == [{"click": "1", "ad": "a"}, {"click": "0", "ad": "b"}]


@pytest.mark.parametrize("name", ["x.xlsx", "x.feather", "x.orc"])
def test_other_files_are_refused(name, tmp_path):
    (tmp_path / name).write_text("click,ad\n1,a\n")
    with pytest.raises(InputError, match=r"named .csv, .tsv, .json or .parquet"):
        Table.of(tmp_path / name)


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (pa.array(["a", "", "a", None]).dictionary_encode(), ["a", None, "a", None]),
        (pa.array([7, None]).dictionary_encode(), [7, None]),
        (pa.array(["a", ""], pa.string_view()), ["a", None]),
        (pa.array([1.5, float("nan")], pa.float16()), [1.5, None]),
        (pa.array([["a"], None], pa.list_(pa.dictionary(pa.int32(), pa.string()))), [["a"], None]),
    ],
)
def test_dictionaries_and_views_are_their_values(array, wanted, tmp_path):
    table = pa.table({"x": array})
    pa.parquet.write_table(table, tmp_path / "x.parquet")
    for data in (table, tmp_path / "x.parquet"):
        assert [row["x"] for row in rows(data)] == wanted


def test_categories_of_frames_are_their_values():
    values = ["a", None, "b"]
    for frame in (
        pd.DataFrame({"x": pd.Categorical(values)}),
        pl.DataFrame({"x": pl.Series(values, dtype=pl.Categorical)}),
        pl.DataFrame({"x": pl.Series(values, dtype=pl.Enum(["b", "a"]))}),
    ):
        assert [row["x"] for row in rows(frame)] == values


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_a_frame_comes_in_batches(make):
    size = CHUNK + 10
    table = Table.of(make({"x": list(range(size)), "y": ["a"] * size}))
    batches = list(table.batches(["y", "x"]))
    assert [len(batch) for batch in batches] == [CHUNK, 10]
    assert batches[0].schema.names == ["y", "x"]
    assert [one for batch in batches for one in batch["x"].to_pylist()] == list(range(size))
    assert (table.name, table.columns, table.is_text("y")) == ("the frame", ["x", "y"], False)


def test_the_index_of_a_frame_is_no_order():
    frame = pd.DataFrame({"x": [1, 2, 3]}, index=[2.0, 1.0, 0.0])
    assert rows(frame) == [{"x": 1}, {"x": 2}, {"x": 3}]


def test_partitions_are_columns_of_text(tmp_path):
    for day in (1, 2):
        (tmp_path / f"day={day}").mkdir()
        pa.parquet.write_table(pa.table({"x": [day]}), tmp_path / f"day={day}" / "x.parquet")
    table = Table.of(tmp_path)
    assert rows(tmp_path) == [{"x": 1, "day": "1"}, {"x": 2, "day": "2"}]
    assert [table.is_text(name) for name in table.columns] == [False, True]


def test_recbole_tells_types(tmp_path):
    header = "user_id:token\trating:float\ttags:token_seq\n"
    path = write(tmp_path / "x.inter", header + "7\t3\ta b\n8\t\t\n")
    write(tmp_path / "x.item", "item_id:token\n7\n")
    assert rows(path) == [
        {"user_id": "7", "rating": 3.0, "tags": ["a", "b"]},
        {"user_id": "8", "rating": None, "tags": None},
    ]
    assert rows(tmp_path) == rows(path)
    assert not any(map(Table.of(path).is_text, Table.of(path).columns))


def test_recbole_with_another_type(tmp_path):
    path = write(tmp_path / "x.inter", "rating:float\nfive\n")
    with pytest.raises(InputError, match=r"the column 'rating' of .* cannot be read .*five"):
        rows(path)


@pytest.mark.parametrize("name", ["x.libfm", "frappe.libfm"])  # which is not Frappe by its name
def test_libfm_has_all_fields(tmp_path, name):
    path = write(tmp_path / name, "1 5:1 6:1 7:1\n-1 8:1 6:1 9:1\n")
    assert rows(path) == [
        {"user": 5, "item": 6, "field_3": 7, "label": 1},
        {"user": 8, "item": 6, "field_3": 9, "label": 0},
    ]
    assert Table.of(path).form.name == "libFM"


def test_frappe_has_names(tmp_path):
    line = "1 " + " ".join(f"{number}:1" for number in range(10)) + "\n"
    table = Table.of(write(tmp_path / "frappe.test.libfm", line))
    assert table.form.name == "Frappe"
    assert table.columns[:4] == ["user", "item", "daytime", "weekday"]
    assert table.columns[-2:] == ["city", "label"]


def criteo(number, label="1\t"):
    counts = [str(number), "", "-1", *["7"] * 10]
    return label + "\t".join([*counts, f"{number:08x}", "", *["68fd1e64"] * 24]) + "\n"


@pytest.mark.parametrize("name", ["train.txt", "day_0", "x.csv", "x.tsv"])
@pytest.mark.parametrize("label", ["1\t", ""])
def test_criteo_is_known_by_its_lines(tmp_path, name, label):
    path = write(tmp_path / name, "".join(criteo(number, label) for number in range(5)))
    table = Table.of(path)
    assert table.form.name == "Criteo"
    assert len(table.columns) == 39 + bool(label)
    found = rows(path, ["I1", "I2", "I3", "C1", "C2"])
    assert len(found) == 5
    assert found[3] == {"I1": "3", "I2": None, "I3": "-1", "C1": "00000003", "C2": None}


@pytest.mark.parametrize(("old", "new"), [("68fd1e64", "68fd1e6g"), ("1\t", "2\t"), ("-1", "x")])
def test_other_tabs_are_not_criteo(tmp_path, old, new):
    text = criteo(1) + criteo(3).replace(old, new, 1)
    assert Table.of(write(tmp_path / "x.tsv", text)).form is None


def test_criteo_without_a_field_is_refused(tmp_path):
    with pytest.raises(InputError, match="Expected 40 columns, got 39"):
        Table.of(write(tmp_path / "x.tsv", criteo(1) + criteo(3, "")))


def test_criteo_packed(tmp_path):
    with pa.CompressedOutputStream(str(tmp_path / "day_0.gz"), "gzip") as file:
        file.write(criteo(3).encode())
    assert rows(tmp_path / "day_0.gz", ["label", "I1"]) == [{"label": "1", "I1": "3"}]


AVAZU = (
    "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,"
    "device_id,device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21"
)


@pytest.mark.parametrize("has_label", [True, False])
def test_avazu_is_known_by_its_header(tmp_path, has_label):
    names = [name for name in AVAZU.split(",") if has_label or name != "click"]
    line = ["14102101" if name == "hour" else "1" for name in names]
    path = write(tmp_path / "x.csv", f"{','.join(names)}\n{','.join(line)}\n")
    frame = pd.read_csv(path)
    for data in (path, frame, pl.from_pandas(frame)):
        assert Table.of(data).form.name == "Avazu"
        assert rows(data, ["hour"]) == [{"hour": datetime(2014, 10, 21, 1)}]
        assert not Table.of(data).is_text("hour")


def test_avazu_with_another_hour(tmp_path):
    line = ["2014-10-21" if name == "hour" else "1" for name in AVAZU.split(",")]
    path = write(tmp_path / "x.csv", f"{AVAZU}\n{','.join(line)}\n")
    with pytest.raises(InputError, match="'hour', as 14102100, cannot be read"):
        rows(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pl.LazyFrame({"x": [1]}), "LazyFrame has no rows yet: pass frame.collect"),
        ([1, 2], "a path or a frame of pandas, Polars or Arrow, got list"),
        (pd.Series([1]), "a path or a frame of pandas, Polars or Arrow, got Series"),
        (pl.Series([1]), "a path or a frame of pandas, Polars or Arrow, got Series"),
        (pd.DataFrame({0: [1]}), "named by strings, got 0: rename them"),
        (pd.DataFrame({"x": [1, "a"]}), "the column 'x' of the frame is none of Arrow's"),
        (pl.DataFrame({"x": pl.Series([object()], dtype=pl.Object)}), "it has Python objects"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "has the column 'x' 2 times: rename all but"),
        ("nowhere.parquet", "does not exist"),
    ],
)
def test_what_is_no_table_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        rows(data)


def test_a_column_that_is_not_there(form):
    with pytest.raises(InputError, match=r"has no column 'y'.*'x'"):
        rows(form(pa.table({"x": [1, 2]})), ["y"])
