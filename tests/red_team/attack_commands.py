"""`tablefree train` and `embed`, with files, columns and options that nobody should pass."""

import bz2
import contextlib
import gzip
import io
import json
import os
import shutil
import stat
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from unittest import mock

import polars as pl
import pyarrow as pa
import pyarrow.parquet
from attack import attack, little_memory
from hypothesis import strategies as st

import tablefree.commands  # noqa: F401  # before memory is counted
from tablefree import cli
from tablefree.embeddings import METHODS
from tablefree.training.checkpoint import load_checkpoint

# A weight of an option that is as it should be: most cases are wrong in one or two things.
SOUND = 9
ODD_TEXT = (
    *("", " ", "NaN", "nan", "null", "None", "-", "\\N", "0", "007", "+7", "-0", "1e3", "1.0"),
    *("1e400", "inf", "-inf", "9223372036854775807", "9223372036854775808", "1" * 400, "true"),
    *("-9223372036854775809", "2024-02-30", "2024-01-01T00:00:00Z", "0001-01-01", "\x1b[31mred"),
    *("\u202eltr", "a\0b", "naïve", "日本", "\U0001f600", "[bold]x[/]", "[/]", '"', "'", "a,b"),
    *("a;b", "a\tb", "a\nb", "a\r\nb", "=1+1", "<script>", "{", "\ufeff", "\u2028"),
)
ODD_NUMBERS = (
    *("0", "-1", "1", "2", "-0", "nan", "inf", "-inf", "1e308", "1e-320", "1/0", "1/3", "0/1"),
    *("abc", "", " ", "1e9", "1000000000", "4294967296", "9223372036854775808", "10" * 30, "1_0"),
    *("18446744073709551616", "0x10", "1e400", "-1e400", "1e-400", "1,2", "½", "\u0663"),
)
CELLS = {
    "few": lambda rng: str(rng.randrange(12)),
    "integers": lambda rng: str(rng.randrange(-(2**63), 2**63)),
    "unsigned": lambda rng: str(rng.randrange(2**64)),
    "beyond": lambda rng: str(rng.randrange(2**70)),
    "words": lambda rng: f"w{rng.randrange(20)}",
    "padded": lambda rng: f"{rng.randrange(20):05d}",
    "floats": lambda rng: repr(rng.choice((rng.random(), rng.gauss(0, 1e200), 4.0))),
    "ratings": lambda rng: str(rng.randrange(1, 6)),
    "labels": lambda rng: str(rng.randrange(2)),
    "booleans": lambda rng: rng.choice(("true", "false")),
    "seconds": lambda rng: str(rng.randrange(10**9, 2 * 10**9)),
    "nanoseconds": lambda rng: str(rng.randrange(10**18, 2 * 10**18)),
    "dates": lambda rng: f"20{rng.randrange(24):02d}-0{rng.randrange(1, 9)}-1{rng.randrange(9)}",
    "odd": lambda rng: rng.choice(ODD_TEXT),
    "mixed": lambda rng: rng.choice((str(rng.randrange(9)), f"w{rng.randrange(9)}", "", "x")),
    "same": lambda _: "7",
}
SOUND_KINDS = {
    "user_id": ("few", "integers", "words"),
    "item_id": ("few", "integers", "words"),
    "label": ("labels",),
    "rating": ("ratings", "floats"),
    "timestamp": ("seconds", "nanoseconds", "dates"),
    "other": tuple(CELLS),
}
FORMS = (
    *("csv", "tsv", "json", "parquet", "inter", "libfm", "zip", "dat", "data", "txt", "", "CSV"),
    "pq",
)
PACKED = ("", "", "", "", "", ".gz", ".zst", ".bz2", ".lz4")
DAMAGES = (
    "cut", "flipped", "mark", "quote", "junk", "empty", "latin1", "utf16", "zeros", "short line",
    "long line", "carriage", "blank lines", "no names",
)  # fmt: skip
NAMES = (
    *("events", "a [bold] b", "[red]", "x y", "é", "e\x1b[31m", "-", "day=1", "a*b", "q?", "[ab]"),
    *("%41", "u"),
)


@dataclass(frozen=True)
class Data:
    """A file, or a folder of parts."""

    name: str
    form: str
    packed: str
    columns: tuple[tuple[str, str, float], ...]  # names, kinds of cells, share of nulls
    num_rows: int
    damages: tuple[str, ...]
    is_folder: bool
    seed: int


@dataclass(frozen=True)
class Case:
    """A command, with its data."""

    data: Data
    command: str
    options: tuple[tuple[str, str], ...]
    output: str
    damage: str  # of the checkpoint that is embedded with
    seed: int


def mostly(
    usual: st.SearchStrategy, odd: st.SearchStrategy, weight: int = SOUND
) -> st.SearchStrategy:
    return st.integers(0, weight).flatmap(lambda drawn: odd if drawn == weight else usual)


def among(*values: object) -> st.SearchStrategy:
    return st.sampled_from(values)


@st.composite
def data(draw) -> Data:
    names = ["user_id", "item_id"]
    names += draw(st.lists(among("label", "rating", "timestamp", "other"), max_size=3, unique=True))
    columns = []
    for name in names:
        kind = draw(mostly(among(*SOUND_KINDS[name]), among(*CELLS)))
        nulls = draw(mostly(st.just(0.0), among(0.02, 0.5, 1.0), 12))
        columns.append((draw(mostly(st.just(name), among(*ODD_TEXT, *names), 25)), kind, nulls))
    return Data(
        draw(mostly(st.just("events"), among(*NAMES), 4)),
        draw(mostly(among("csv", "tsv", "json", "parquet", "inter"), among(*FORMS), 4)),
        draw(among(*PACKED)),
        tuple(columns),
        draw(mostly(among(30, 60, 120, 300), among(0, 1, 2, 3, 5, 10), 6)),
        tuple(draw(mostly(st.just([]), st.lists(among(*DAMAGES), min_size=1, max_size=2), 2))),
        draw(mostly(st.just(False), st.just(True), 8)),
        draw(st.integers(0, 2**32)),
    )


NUMBER = among(*ODD_NUMBERS) | st.floats().map(repr) | st.integers().map(str)
WORD = among(*ODD_TEXT, "user_id", "item_id", "label", "rating", "other", "nothing")
OUTPUTS = (
    "new", "deep/er/new", "there", "folder", "full folder", "link", "dangling", "pipe", "/dev/null",
    "there/below", "", ".", "o [bold] [/]", "n" * 300, "\x1b[31m", "link folder",
)  # fmt: skip


def option(name: str, usual: st.SearchStrategy, odd: st.SearchStrategy, weight: int = 30) -> tuple:
    return name, mostly(usual, odd, weight)


TRAIN = (
    option("--method", among("hashing_trick", "hashing_trick", "full_table", *METHODS), WORD),
    option("--size", among("1", "1", "1/2"), NUMBER),
    # None that is a number of epochs: who asks for a million waits for them.
    option("--epochs", st.just("1"), among("0", "-1", "1e3", "nan", "", "10" * 30, "2" * 20)),
    option("--embedding-dim", among("4", "8"), NUMBER),
    option("--precision", st.just("float32"), among("bfloat16", "float16", "", "int8")),
)
RARE = {
    "--seed": NUMBER,
    "--learning-rate": NUMBER,
    "--network-learning-rate": NUMBER,
    "--weight-decay": NUMBER,
    "--positive-rating": NUMBER,
    "--model": mostly(st.just("mlp"), WORD, 3),
    "--split": mostly(among("leave-last-out", "time", "cold-items", "cold-users"), WORD, 3),
    "--decoder": among("8", "4,4", "64,,64", "0", "-1", "a", "1e3", "100000000", "9" * 30),
    "--users": among("id", "history", "both", "x", "history+id"),
    "--side-features": among("none", "encoding", "input", ""),
    "--optimizer": among("adamw", "muon", "sgd", ""),
    "--rows": among("bfloat16", "float32", "int8", ""),
    "--user-column": WORD,
    "--item-column": WORD,
    "--label-column": WORD,
    "--rating-column": mostly(st.just("rating"), WORD, 2),
    "--timestamp-column": mostly(st.just("timestamp"), WORD, 2),
    "--id-type": among("integer", "string", "integer,string", "float", "", ",", "string,"),
    "--data": WORD,
    "--nothing": WORD,
}


@st.composite
def cases(draw) -> Case:
    command = draw(among("train", "train", "embed"))
    if command == "train":
        options = [(name, draw(value)) for name, value in TRAIN]
        rare = draw(mostly(st.just([]), st.lists(among(*RARE), max_size=3, unique=True), 1))
        options += [(name, draw(RARE[name])) for name in rare]
    else:
        options = [("--feature", draw(mostly(among("user", "item"), WORD, 30)))]
        rare = draw(
            mostly(st.just([]), st.lists(among("--id-column", "--id-type"), unique=True), 1)
        )
        options += [(name, draw(WORD if name == "--id-column" else RARE[name])) for name in rare]
    return Case(
        draw(data()),
        command,
        tuple(options),
        draw(mostly(st.just("new"), among(*OUTPUTS), 4)),
        draw(mostly(st.just(""), among("cut", "flipped", "junk", "gone", "empty"), 6)),
        draw(st.integers(0, 2**32)),
    )


def content(data: Data) -> bytes:
    """The bytes of the data's file."""
    rng = Random(data.seed)
    names = [name for name, _, _ in data.columns]
    rows = [
        [None if rng.random() < nulls else CELLS[kind](rng) for _, kind, nulls in data.columns]
        for _ in range(data.num_rows)
    ]
    form = data.form.lower()
    if form in ("parquet", "pq"):
        return parquet(data, names, rows)
    if form in ("json", "jsonl"):
        kinds = [kind for _, kind, _ in data.columns]
        quoted = [dict(zip(names, map(typed, row, kinds), strict=True)) for row in rows]
        return "".join(f"{json.dumps(row)}\n" for row in quoted).encode("utf-8", "replace")
    if form == "libfm":
        lines = (
            "1 " + " ".join(f"{at}:{cell or 0}" for at, cell in enumerate(row)) for row in rows
        )
        return "\n".join(lines).encode("utf-8", "replace")
    separator = {"tsv": "\t", "inter": "\t", "dat": "::", "data": "\t"}.get(form, ",")
    if form == "inter":
        names = [f"{name}:{'token' if name.endswith('id') else 'float'}" for name in names]
    lines = [names] if form not in ("dat", "data") else []
    lines += [["" if cell is None else cell for cell in row] for row in rows]
    quotes = rng.random() < 0.8 and form != "inter"
    return "".join(
        separator.join(escaped(cell, separator) if quotes else cell for cell in line) + "\n"
        for line in lines
    ).encode("utf-8", "replace")


def escaped(cell: str, separator: str) -> str:
    doubled = cell.replace('"', '""')
    return f'"{doubled}"' if {*cell} & {*separator, '"', "\n", "\r"} else cell


def typed(cell: str | None, kind: str) -> object:
    """A cell as JSON and Parquet have it."""
    if cell is None or kind in ("words", "padded", "odd", "dates", "mixed"):
        return cell
    if kind == "booleans":
        return cell == "true"
    return float(cell) if kind == "floats" else int(cell)


def parquet(data: Data, names: list[str], rows: list[list[str | None]]) -> bytes:
    arrays = []
    for at, (_, kind, _) in enumerate(data.columns):
        cells = [typed(row[at], kind) for row in rows]
        try:
            arrays.append(pa.array(cells))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
            arrays.append(pa.array([None if cell is None else str(cell) for cell in cells]))
    file = io.BytesIO()
    pa.parquet.write_table(pa.Table.from_arrays(arrays, names), file)
    return file.getvalue()


def damaged(content: bytes, damage: str, rng: Random) -> bytes:
    """The bytes with a damage of this kind."""
    place = rng.randrange(len(content) + 1)
    lines = content.split(b"\n")
    match damage:
        case "cut":
            return content[:place]
        case "flipped":
            flipped = bytearray(content)
            for _ in range(rng.choice((1, 3, 50)) if content else 0):
                flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
            return bytes(flipped)
        case "mark":
            return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) + content
        case "quote":
            return content[:place] + b'"' + content[place:]
        case "junk":
            return content[:place] + rng.randbytes(rng.choice((1, 30, 3000))) + content[place:]
        case "empty":
            return b""
        case "latin1":
            return content[:place] + "naïve".encode("latin1") + content[place:]
        case "utf16":
            return content.decode("utf-8", "replace").encode("utf-16")
        case "zeros":
            return content[:place] + bytes(8) + content[place:]
        case "short line":
            return b"\n".join([*lines[:-2], b"1", *lines[-2:]])
        case "long line":
            return b"\n".join([*lines[:-2], b"1,2," * 40 + b"x" * 200_000, *lines[-2:]])
        case "carriage":
            return content.replace(b"\n", rng.choice((b"\r\n", b"\r")))
        case "blank lines":
            return content.replace(b"\n", b"\n\n")
        case _:
            return b"\n".join(lines[1:])


def write(data: Data, folder: Path) -> Path:
    """Write the data; the path to read them from."""
    rng = Random(data.seed + 1)
    inner = content(data)
    for damage in data.damages:
        if rng.random() < 0.5:
            inner = damaged(inner, damage, rng)
    packed = inner
    if data.packed == ".gz":
        packed = gzip.compress(inner)
    elif data.packed == ".bz2":
        packed = bz2.compress(inner)
    elif data.packed:
        packed = pa.compress(inner, {".zst": "zstd", ".lz4": "lz4"}[data.packed], asbytes=True)
    if data.form == "zip":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(rng.choice(("ml-1m/ratings.dat", "ratings.csv", "u.data", "x")), inner)
        packed = file.getvalue()
    for damage in data.damages:
        if rng.random() < 0.5:
            packed = damaged(packed, damage, rng)
    name = f"{data.name}.{data.form}{data.packed}" if data.form else data.name
    path = folder / name
    if data.is_folder:
        path = folder / data.name
        for at in range(2):
            part = path / rng.choice((f"day={at}", ".")) / f"part-{at}.{data.form}{data.packed}"
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(packed)
    else:
        path.write_bytes(packed)
    return path


def place(output: str) -> None:
    """What is there before the command runs, in the working folder."""
    if output in ("there", "there/below"):
        Path("there").write_bytes(b"mine")
    elif output == "folder":
        Path("folder").mkdir()
    elif output == "full folder":
        Path("full folder").mkdir()
        Path("full folder/mine").write_bytes(b"mine")
    elif output == "link":
        Path("target").write_bytes(b"mine")
        Path("link").symlink_to("target")
    elif output == "dangling":
        Path("dangling").symlink_to("nowhere")
    elif output == "link folder":
        Path("target").mkdir()
        Path("link folder").symlink_to("target")
    elif output == "pipe":
        os.mkfifo("pipe")


@contextlib.contextmanager
def captured(folder: Path) -> Iterator[None]:
    """Have standard output and error of all libraries in files, and nothing on standard input."""
    kept = [os.dup(number) for number in range(3)]
    files = [(folder / name).open("wb") for name in ("out", "err")]
    streams = sys.stdin, sys.stdout, sys.stderr
    try:
        with (folder / "in").open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        for file, number in zip(files, (1, 2), strict=True):
            os.dup2(file.fileno(), number)
        sys.stdin, sys.stdout, sys.stderr = (
            io.TextIOWrapper(open(number, mode, closefd=False), "utf-8")  # noqa: SIM115
            for number, mode in ((0, "rb"), (1, "wb"), (2, "wb"))
        )
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdin, sys.stdout, sys.stderr = streams
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
            os.close(descriptor)
        for file in files:
            file.close()


def run(arguments: list[str], folder: Path) -> int:
    """Run the command line as the console script does; its exit code."""
    with (
        captured(folder),
        little_memory(),
        mock.patch.object(sys, "argv", ["tablefree", *arguments]),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            return ended.code
        except BaseException:
            traceback.print_exc()
            return 1


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder, without the logs of trainings."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"(none)"
        for path in sorted(folder.rglob("*"))
        if not path.is_dir() and "logs" not in path.parts
    }


def check(case: Case) -> None:
    """Run a case in a folder of its own, and look at what it left."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder, said = Path(name, "work"), Path(name, "said")
        folder.mkdir()
        said.mkdir()
        os.chdir(folder)
        path = write(case.data, folder)
        (said / "in").write_bytes(content(case.data) if case.seed % 2 else b"1\n2\n3\n")
        place(case.output)
        arguments = [case.command, "--output", case.output]
        arguments += [text for option in case.options for text in option]
        if case.command == "train":
            arguments[1:1] = ["--data", str(path)]
        else:
            arguments += ["--checkpoint", str(checkpoint(case, folder))]
            arguments += ["--ids", "-" if case.seed % 5 == 0 else str(path)]
        before = contents(folder)
        code = run(arguments, said)
        os.chdir(folder)
        verify(case, folder, before, code, said)


def verify(case: Case, folder: Path, before: dict[str, bytes], code: int, said: Path) -> None:
    out, err = ((said / name).read_bytes().decode() for name in ("out", "err"))
    after = contents(folder)
    assert code in (0, 2), (code, err[-3000:])
    assert not [name for name in after if name.endswith(".tmp")], after.keys()
    assert "\x1b" not in out + err
    if code == 2:
        assert err.startswith("tablefree: "), err
        assert err.count("\n") == 1, err
        assert after == before, sorted(after.keys() ^ before.keys())
        return
    changed = {name for name in after if after[name] != before.get(name)}
    output = Path(case.output)
    if case.command == "train":
        root = Path(os.path.relpath(output.resolve(), folder.resolve()))
        assert changed == {str(root / one) for one in ("config.json", "model.safetensors")}, changed
        measures = load_checkpoint(output).measures
        assert all(value is None or 0 <= value < 1e30 for value in measures.values()), measures
    elif not stat.S_ISCHR(output.stat().st_mode):
        table = pl.read_parquet(output, glob=False)
        assert f"{table.height} embeddings: " in out
        numbers = table["embedding"].explode()
        assert numbers.is_finite().all(), numbers


def checkpoint(case: Case, folder: Path) -> Path:
    """A copy of one of the checkpoints, damaged if the case says so."""
    copy = folder / "checkpoint"
    shutil.copytree(CHECKPOINTS[case.seed % len(CHECKPOINTS)], copy)
    rng = Random(case.seed)
    path = copy / rng.choice(("config.json", "model.safetensors"))
    if case.damage == "gone":
        path.unlink()
    elif case.damage:
        path.write_bytes(damaged(path.read_bytes(), case.damage, rng))
    return copy


def train_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of integer and string ids, with and without vocabularies."""
    trained = []
    for method, kind in (("hashing_trick", "words"), ("full_table", "few"), ("deep_hash", "few")):
        columns = (("user_id", kind, 0.0), ("item_id", kind, 0.0))
        path = write(Data(method, "csv", "", columns, 60, (), False, 0), folder)
        options = ["--method", method, "--size", "1" if method == "full_table" else "4"]
        options += ["--epochs", "1", "--embedding-dim", "4", "--precision", "float32"]
        options += ["--data", str(path), "--output", str(folder / method)]
        (folder / "in").touch()
        assert run(["train", *options], folder) == 0, (folder / "err").read_text()
        trained.append(folder / method)
    return trained


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        CHECKPOINTS = train_checkpoints(Path(temporary))
        attack(cases(), check)
