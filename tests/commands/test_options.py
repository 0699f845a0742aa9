"""Options as text: lists of names, sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefree.commands.options import ByteSize, names
from tablefree.errors import InputError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("a,b", ["a", "b"]),
        (" a , b,,", ["a", "b"]),
        (r"a\,b", ["a,b"]),
        (r"a\,b,c\,,d", ["a,b", "c,", "d"]),
        (r"\ a,b\ , c", [" a", "b ", "c"]),
        (r"C:\x,\d", [r"C:\x", r"\d"]),
        ("two words", ["two words"]),
    ],
)
def test_names(text, wanted):
    assert names(text) == wanted


NAMES = st.text(st.sampled_from("ab,; .'\"é"), min_size=1, max_size=6)


def written(name):
    escaped = name.replace(",", r"\,")
    core = escaped.strip(" ")
    left = len(escaped) - len(escaped.lstrip(" "))
    return r"\ " * left + core + r"\ " * (len(escaped) - left - len(core))


@given(st.lists(NAMES, max_size=4))
def test_each_name_can_be_written(wanted):
    assert names(",".join(map(written, wanted))) == wanted


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("1/16", 1 / 16),
        ("0.25", 0.25),
        ("1", 1),
        ("500", 0.5),
        ("500B", 0.5),
        ("1B", 0.001),
        ("2KB", 2),
        (" 2 kb ", 2),
        ("0.001MB", 1),
    ],
)
def test_sizes(text, share):
    assert ByteSize.of(text).ratio(1_000) == pytest.approx(share)


@pytest.mark.parametrize(
    "text", ["", "abc", "KB", "5KiB", "5XB", "0", "-1KB", "1/0", "nan", "inf", "1e400", "1/4/2"]
)
def test_no_sizes(text):
    with pytest.raises(InputError, match=r"^a size in bytes must be a share .* 500KB .*; got '"):
        ByteSize.of(text)
