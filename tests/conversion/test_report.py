from rich.console import Console

from tablefree.conversion import Conversion, ReplacedTable

TABLES = (
    ReplacedTable("user", 20_000, 8, 640_000, 160_000),
    ReplacedTable("", 5, 64, 1_280, 320),
)
REFUSED = {"item": "its weight is read directly, in a.py:3: self.tables[0].weight"}


def printed(report):
    console = Console(width=100, file=None)
    with console.capture() as capture:
        console.print(report)
    return [line.strip() for line in capture.get().splitlines()]


def test_text_is_an_aligned_table():
    assert str(Conversion("sketch", TABLES, REFUSED)).splitlines() == [
        "replaced by sketch    rows  width  bytes before  bytes after",
        "user                20,000      8       640,000      160,000",
        "(the model)              5     64         1,280          320",
        "all                                     641,280      160,320",
        "not replaced: item: its weight is read directly, in a.py:3: self.tables[0].weight",
    ]


def test_a_distillation_shows_what_it_kept():
    (distilled, _) = (ReplacedTable("user", 5, 4, 80, 20, 0.98765), None)
    lines = str(Conversion("sketch", (distilled,), {})).splitlines()
    assert lines[0].endswith("variance kept")
    assert lines[1].endswith("0.988")


def test_rich_prints_the_same():
    report = Conversion("sketch", TABLES, REFUSED)
    assert [line.split() for line in printed(report)] == [
        line.split() for line in str(report).splitlines()
    ]


def test_nothing_replaced():
    report = Conversion("sketch", (), REFUSED)
    assert str(report).splitlines()[0] == "no table was replaced"
    assert printed(report)[0] == "no table was replaced"
    assert (report.bytes_before, report.bytes_after) == (0, 0)
