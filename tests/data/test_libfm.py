import gzip
import os
import re
from pathlib import Path

import numpy as np
import pytest

from tablefree.data.libfm import read_files
from tablefree.data.read import read_interactions
from tablefree.errors import InputError

LINES = "1 7:1 20:1 31:1\n-1 9:1 21:1 30:1\n0 7:1 21:1 31:1\n"


def write(path: Path, text: str) -> Path:
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["apps.libfm", "apps.libfm.gz", "apps.test.libfm.gz"])
def test_user_item_and_label(tmp_path, name):
    path = write(tmp_path / name, LINES)
    for data in (read_interactions(path), read_interactions(tmp_path)):
        assert data.user_ids.tolist() == [7, 9]
        assert data.item_ids.tolist() == [20, 21]
        assert data.user.tolist() == [0, 1, 0]
        assert data.item.tolist() == [0, 1, 1]
        assert data.label.tolist() == [1, 0, 0]
        assert data.label.dtype == np.float32
        assert data.rating is data.timestamp is data.user_features is data.item_features is None
    assert read_interactions(path).name == "apps"


def test_a_folder_is_its_files_in_order_of_name(tmp_path):
    write(tmp_path / "x.train.libfm.gz", "1 3:1 13:1\n")
    write(tmp_path / "x.test.libfm", "-1 1:1 11:1\n1 2:1 12:1")
    write(tmp_path / "README.txt", "terms")
    data = read_interactions(tmp_path)
    assert data.user_ids.tolist() == [1, 2, 3]
    assert data.item_ids.tolist() == [11, 12, 13]
    assert data.label.tolist() == [0, 1, 1]
    assert data.name == tmp_path.name


@pytest.mark.parametrize(
    "text",
    [
        LINES.replace("\n", "\r\n"),
        LINES.replace(" ", "\t"),
        LINES.replace("\n", " \n\n"),
        LINES.replace(":1 ", ":1.0  "),
        "\ufeff" + LINES.rstrip("\n"),
    ],
    ids=["CRLF", "tabs", "blank lines", "1.0", "byte order mark"],
)
def test_spellings_of_the_same(tmp_path, text):
    data = read_interactions(write(tmp_path / "x.libfm", text))
    assert data.user_ids[data.user].tolist() == [7, 9, 7]
    assert data.item_ids[data.item].tolist() == [20, 21, 21]
    assert data.label.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 7:1", r"has no 2 features \(user, item\) after a label"),
        ("1", "has no 2 features"),
        ("7:1 20:1 31:1", "has no 2 features|has the label"),
        ("1 7 20 31", "has no 2 features"),
        ("1 7:1 20:1", "has 2 features, and line 1 has 3: every line has one for each field"),
        ("1 7:1 20:1 31:1 40:1", "has 4 features, and line 1 has 3"),
        ("2 7:1 20:1 31:1", "has the label '2', which must be 1, -1 or 0"),
        ("yes 7:1 20:1 31:1", "has the label 'yes'"),
        ("nan 7:1 20:1 31:1", "has the label 'nan'"),
        ("1 u7:1 20:1 31:1", "has the user 'u7', which is no integer of 64 bits"),
        ("1 7:1 2.5:1 31:1", r"has the item '2\.5', which is no integer"),
        ("1 99999999999999999999:1 20:1 31:1", "has the user '99999999999999999999'"),
        ("1 7:0.5 20:1 31:1", r"has the user's value 0\.5, which must be 1"),
        ("1 7:1 20:x 31:1", "has the item's value x, which must be 1"),
    ],
)
def test_a_line_in_another_form_is_named(tmp_path, line, message):
    # The blank second line counts.
    path = write(tmp_path / "x.libfm", f"1 7:1 20:1 31:1\n\n{line}\n{line}\n")
    with pytest.raises(InputError, match=rf"line 3 of .*x\.libfm ({message})") as raised:
        read_interactions(path)
    assert "\n" not in str(raised.value)


def test_the_file_of_a_folder_is_named(tmp_path):
    write(tmp_path / "a.libfm", LINES)
    write(tmp_path / "b.libfm.gz", LINES + "3 7:1 20:1 31:1\n")
    with pytest.raises(InputError, match=r"line 4 of .*b\.libfm\.gz has the label '3'"):
        read_interactions(tmp_path)


@pytest.mark.parametrize("cut", [1, 100])
def test_a_truncated_file(tmp_path, cut):
    text = "".join(f"1 {user}:1 {user + 5000}:1\n" for user in range(1000))
    path = write(tmp_path / "b.libfm.gz", text)
    path.write_bytes(path.read_bytes()[:-cut])
    write(tmp_path / "a.libfm", LINES)
    with pytest.raises(InputError, match=r"b\.libfm\.gz cannot be read \(unexpected end of file"):
        read_interactions(tmp_path)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "x.libfm").write_bytes(b"1 7:1 20:1 \xff\n")
    with pytest.raises(InputError, match=r"x\.libfm cannot be read \(invalid utf-8"):
        read_interactions(tmp_path / "x.libfm")


@pytest.mark.parametrize("name", ["x.libfm", "x.libfm.gz"])
@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_file_without_lines(tmp_path, name, text):
    with pytest.raises(InputError, match=rf"{name} holds no lines: pass a file with at least one"):
        read_interactions(write(tmp_path / name, text))


def test_the_same_file_twice(tmp_path):
    write(tmp_path / "x.libfm", LINES)
    write(tmp_path / "x.libfm.gz", LINES)
    with pytest.raises(InputError, match="the same file packed and unpacked: remove one"):
        read_interactions(tmp_path)


def test_no_column_names(tmp_path):
    path = write(tmp_path / "x.libfm", LINES)
    for place in (path, tmp_path):
        with pytest.raises(InputError, match=r"is libFM, whose columns are known: leave out .*u\)"):
            read_interactions(place, user_column="u")
    with pytest.raises(InputError, match="has a label column and positive_rating was given"):
        read_interactions(path, positive_rating=4)


def test_a_folder_of_several_forms(tmp_path):
    write(tmp_path / "x.libfm", LINES)
    write(tmp_path / "x.csv", "user_id,item_id\n1,2\n")
    with pytest.raises(InputError, match=r"no known form \(it holds x\.csv, x\.libfm\).*libFM"):
        read_interactions(tmp_path)


def test_frappe():
    if "TABLEFREE_DATA" not in os.environ:
        pytest.skip("TABLEFREE_DATA is not set")
    folder = Path(os.environ["TABLEFREE_DATA"]) / "frappe"
    data = read_interactions(folder)
    assert (data.num_events, data.num_users, data.num_items) == (57_722 + 28_860, 913, 4_082)
    assert data.label.sum() == 9_536 + 19_063
    # The first 957 features are users and the next 4,082 are items; "test" is read first.
    assert data.user_ids.max() < 957 <= data.item_ids.min()
    assert data.item_ids.max() == 957 + 4_082 - 1
    assert data.user_ids[data.user[[0, 28_860]]].tolist() == [204, 266]
    test = read_interactions(folder / "frappe.test.libfm.gz")
    assert test.name == data.name == "frappe"
    assert test.num_events == 28_860


def test_all_fields_by_name(tmp_path):
    paths = [write(tmp_path / "b.libfm", LINES), write(tmp_path / "a.libfm.gz", "1 5:1 22:1 33:1")]
    frame = read_files(paths, ["user", "item", "number"])
    assert frame.columns == ["user", "item", "number", "label"]
    assert frame.rows() == [(7, 20, 31, 1), (9, 21, 30, 0), (7, 21, 31, 0), (5, 22, 33, 1)]
    assert read_files(paths).equals(frame.select("user", "item", "label"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 7:1 20:1", "has no 3 features (user, item, city) after a label"),
        ("1 7:1 20:1 x:1", "has the city 'x', which is no integer of 64 bits"),
        ("1 7:1 20:1 31:.5", "has the city's value .5, which must be 1"),
    ],
)
def test_a_further_field_in_another_form(tmp_path, line, message):
    path = write(tmp_path / "x.libfm", LINES + line)
    with pytest.raises(InputError, match=re.escape(f"line 4 of {path} {message}: correct it")):
        read_files([path], ["user", "item", "city"])


@pytest.mark.parametrize("fields", [["a", "a"], ["user", "label"]])
def test_names_that_clash(tmp_path, fields):
    with pytest.raises(InputError, match="distinct names other than 'label', got '"):
        read_files([write(tmp_path / "x.libfm", LINES)], fields)
