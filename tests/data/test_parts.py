"""Where tables lie: folders of parts, partitions, patterns, packed files and addresses."""

import bz2
import gzip

import fsspec
import polars as pl
import pyarrow as pa
import pytest

from tablefree.data.id_stream import read_ids
from tablefree.data.load import load_interactions
from tablefree.data.parts import find_parts, form_of, name_of
from tablefree.data.read import read_interactions
from tablefree.errors import InputError

ONE, TWO = "user_id,item_id\n1,10\n2,20\n", "item_id,user_id\n30,3\n"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def pairs(address, **options):
    """What training reads; embedding reads the same items."""
    data = read_interactions(address, **options)
    chunks = read_ids(address, column=None, feature="item", id_type=data.item_id_type)
    items = [one for chunk in chunks for one in chunk.to_pylist()]
    assert items == data.item_ids[data.item].tolist()
    return list(zip(data.user_ids[data.user].tolist(), items, strict=True))


def test_a_folder_of_parts_is_one_table_in_order_of_name(tmp_path):
    for name, text in {
        "b.csv": TWO,
        "a.csv": ONE,
        "_SUCCESS": "",
        ".x.csv": "?",
        "c.csv": "",
    }.items():
        write(tmp_path / "parts" / name, text)
    write(tmp_path / "parts" / "other" / "c.csv", "not a partition")
    write(tmp_path / "parts" / "readme.txt", "")
    assert pairs(tmp_path / "parts") == [(1, 10), (2, 20), (3, 30)]
    assert pairs(str(tmp_path / "parts" / "*.csv")) == [(1, 10), (2, 20), (3, 30)]
    assert name_of(tmp_path / "parts" / "*.csv") == "parts"


def test_partitions_are_columns_of_text(tmp_path):
    frame = pl.DataFrame({"item_id": [10, 20]})
    for day in ("2024-01-01", "2024-01-02"):
        path = tmp_path / "t" / f"day={day}" / "who=a%20b" / "part-0.PARQUET"
        path.parent.mkdir(parents=True)
        frame.write_parquet(path)
    data = read_interactions(tmp_path / "t", user_column="who", timestamp_column="day")
    assert (data.num_events, data.num_users, data.user_id_type) == (4, 1, "string")
    assert (data.timestamp // (86_400 * 10**9)).tolist() == [19723, 19723, 19724, 19724]
    only = read_interactions(tmp_path / "t" / "day=2024-01-01", user_column="who")
    assert only.num_events == 2
    (tmp_path / "t" / "day=2024-01-01").rename(tmp_path / "t" / "day=__HIVE_DEFAULT_PARTITION__")
    with pytest.raises(InputError, match=r"has no timestamp"):
        read_interactions(tmp_path / "t", user_column="who", timestamp_column="day")


PACKERS = {
    "x.CSV": bytes,
    "x.csv.gz": gzip.compress,
    "X.Csv.GZ": lambda text: gzip.compress(text[:20]) + gzip.compress(text[20:]),
    "x.csv.bz2": bz2.compress,
    "x.csv.zst": lambda text: pa.compress(text, "zstd", asbytes=True),
}


@pytest.mark.parametrize("name", PACKERS)
def test_packed_files_in_any_case(tmp_path, name):
    path = write(tmp_path / name, PACKERS[name](ONE.encode()))
    assert pairs(path) == [(1, 10), (2, 20)]
    if name != "x.CSV":
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(InputError, match=r"cannot be read"):
            read_interactions(path)


def test_addresses():
    memory = fsspec.filesystem("memory")
    memory.pipe("/shop/a.csv", ONE.encode())
    memory.pipe("/shop/b.csv", TWO.encode())
    try:
        assert pairs("memory://shop") == pairs("memory://shop/*.csv")
        assert load_interactions("memory://shop/a.csv").name == "a"
        with pytest.raises(InputError, match="nothing does not exist"):
            read_interactions("memory://nothing")
    finally:
        memory.rm("/shop", recursive=True)


def test_an_address_of_this_machine(tmp_path):
    write(tmp_path / "u.data", "3\t11\t5\t880000000\n")
    assert read_interactions(f"file://{tmp_path}").user_ids.tolist() == [3]
    assert pairs(f"file://{write(tmp_path / 'x.csv', ONE)}") == [(1, 10), (2, 20)]


def test_an_address_of_no_known_system():
    with pytest.raises(InputError, match=r"cannot be read .*Protocol not known: nosuch"):
        read_interactions("nosuch://x.csv")


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"a.csv": ONE, "b.csv": "user_id,movie\n1,2\n"}, r"b\.csv has no column 'item_id'"),
        ({"a.csv": ONE, "a.csv.gz": gzip.compress(ONE.encode())}, "packed and unpacked"),
        ({"a.csv": ONE, "b.json": "{}"}, r"no known form \(it holds a\.csv, b\.json\)"),
        ({"a.csv": ONE, "_delta_log/0.json": "{}"}, "is a Delta table.*save it as Parquet"),
        ({"a.csv": ONE, "b.csv": "user_id,item_id\n1,x\n"}, r"row 3 of .*'x'.*--id-type string"),
        ({"readme.txt": ""}, r"no known form \(it holds readme\.txt\)"),
    ],
)
def test_folders_that_are_no_table(tmp_path, files, named):
    for name, content in files.items():
        write(tmp_path / name, content)
    with pytest.raises(InputError, match=named):
        read_interactions(tmp_path)


def test_parts_of_other_types(tmp_path):
    pl.DataFrame({"user_id": [1], "item_id": [1]}).write_parquet(tmp_path / "a.parquet")
    frame = pl.DataFrame({"user_id": [1], "item_id": [2]}, schema_overrides={"item_id": pl.Int16})
    frame.write_parquet(tmp_path / "b.parquet")
    assert pairs(tmp_path) == [(1, 1), (1, 2)]
    pl.DataFrame({"user_id": [1], "item_id": ["2"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"cannot be read .*item_id.*int64 vs"):
        read_interactions(tmp_path)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("part-0.snappy.parquet", "parquet"),
        ("x.JSONL.zst", "json"),
        ("x.inter", "recbole"),
        ("x.gz", None),
        ("x", None),
    ],
)
def test_forms_by_name(name, form):
    assert form_of(name) == form


def test_no_file_of_a_pattern(tmp_path):
    for address in (tmp_path / "*.csv", tmp_path / "x.csv"):
        with pytest.raises(InputError, match="does not exist: pass the path"):
            find_parts(address)
