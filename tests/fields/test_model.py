"""The same rows, in whatever form they come, are the same events and predictions."""

import gzip
import itertools
import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.embeddings.jagged import Bags
from tablefree.errors import InputError
from tablefree.fields.events import Events, read_events, regrouped
from tablefree.fields.kinds import Column
from tablefree.fields.model import load
from tablefree.fields.plan import plan
from tablefree.fields.profile import profile
from tablefree.fields.split import split_events
from tablefree.fields.table import Table
from tablefree.fields.values import MISSING
from tablefree.training.events import train_events
from tablefree.training.fit import Recipe

LISTS = ["words", "numbers"]


def without_lists(frame):
    """The frame with nulls in the place of lists, which CSV does not have."""
    return frame.with_columns(pl.lit(None, dtype=frame[name].dtype).alias(name) for name in LISTS)


def csv(frame, path, **options):
    frame.with_columns(pl.lit(None).alias(name) for name in LISTS).write_csv(path, **options)
    return path


def packed(path):
    target = path.with_name(f"{path.name}.gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return target


def parquet(frame, path, **options):
    frame.write_parquet(path, **options)
    return path


def json_lines(frame, path):
    frame.write_ndjson(path)
    return path


def parts(frame, path):
    """A folder with files of 0, 1 and other numbers of rows."""
    path.mkdir()
    for number, (start, size) in enumerate([(0, 150), (150, 0), (150, 1), (151, 1000)]):
        frame.slice(start, size).write_parquet(path / f"{number}.parquet")
    return path


def arrow(frame):
    return frame.to_arrow()


TEXT = {
    "csv": lambda frame, path: csv(frame, path / "x.csv"),
    "csv.gz": lambda frame, path: packed(csv(frame, path / "x.csv")),
    "tsv": lambda frame, path: csv(frame, path / "x.tsv", separator="\t"),
    "semicolons": lambda frame, path: csv(frame, path / "x.csv", separator=";"),
    "quoted": lambda frame, path: csv(frame, path / "x.csv", quote_style="always"),
}
TYPED = {
    "parquet": lambda frame, path: parquet(frame, path / "x.parquet"),
    "small row groups": lambda frame, path: parquet(frame, path / "x.parquet", row_group_size=90),
    "parts": lambda frame, path: parts(frame, path / "x"),
    "polars": lambda frame, _: frame,
    "arrow": lambda frame, _: frame.to_arrow(),
    "arrow chunks": lambda frame, _: pa.concat_tables([frame[:3].to_arrow(), frame[3:].to_arrow()]),
    "pandas of arrow": lambda frame, _: frame.to_pandas(use_pyarrow_extension_array=True),
}


JSON = {
    "json": lambda frame, path: json_lines(frame, path / "x.jsonl"),
    "json.gz": lambda frame, path: packed(json_lines(frame, path / "x.jsonl")),
}


def assert_same(predictor, data, frame):
    columns = predictor.inputs
    found, asked = read_events(Table.of(data), columns), read_events(Table.of(frame), columns)
    assert torch.equal(found.ids, asked.ids)
    np.testing.assert_array_equal(found.numbers, asked.numbers)
    np.testing.assert_array_equal(found.times, asked.times)
    for name, bags in asked.bags.items():
        assert torch.equal(found.bags[name].ids, bags.ids)
        assert torch.equal(found.bags[name].offsets, bags.offsets)
    np.testing.assert_array_equal(predictor.predict(data), predictor.predict(frame))


@pytest.mark.parametrize("form", TYPED)
def test_typed_forms(predictor, frame, tmp_path, form):
    assert_same(predictor, TYPED[form](frame, tmp_path), frame)


@pytest.mark.parametrize("form", TEXT)
def test_text_forms(predictor, frame, tmp_path, form):
    assert_same(predictor, TEXT[form](frame, tmp_path), without_lists(frame))


@pytest.mark.parametrize("form", JSON)
def test_json_lines(predictor, frame, tmp_path, form):
    data = JSON[form](frame, tmp_path)
    with pytest.raises(InputError, match=r"'hash_id' has integers .* row 1 of .* of type double"):
        predictor.predict(data)  # Arrow has no integers of JSON beyond 63 bits
    frame = frame.with_columns(pl.col("hash_id").clip(0, 2**63 - 1))
    assert_same(predictor, JSON[form](frame, tmp_path), frame)


def test_hive_partitions(predictor, frame, tmp_path):
    """Values in the names of folders are text, null among them."""
    order, kept = ["device", "is_new"], []
    for number, (values, part) in enumerate(frame.group_by(order, maintain_order=True)):
        shown = ["__HIVE_DEFAULT_PARTITION__" if one is None else one for one in values]
        names = [f"{name}={one}" for name, one in zip(order, shown, strict=True)]
        folder = tmp_path.joinpath(*names)
        folder.mkdir(parents=True)
        part.drop(order).write_parquet(folder / f"{number}.parquet")
        kept.append((str(folder), part))
    in_order = pl.concat([part for _, part in sorted(kept, key=lambda one: one[0])])
    assert_same(predictor, tmp_path, in_order)


def test_pandas_of_numpy(predictor, frame):
    """Where some are missing, integers are floats and booleans objects."""
    large = pl.col("numbers").list.contains(2**62)
    exact = frame.with_columns(
        pl.col("user_id").clip(-(2**53) + 1, 2**53 - 1),
        pl.col("hash_id").clip(0, 2**53 - 1),
        pl.when(large).then(None).otherwise("numbers").alias("numbers"),
    )
    found = exact.to_pandas()
    assert (found["user_id"].dtype, found["is_new"].dtype) == (float, object)
    assert_same(predictor, found, exact)


def replaced(frame, name, array):
    """Rows of the frame with other values in one column."""
    table = frame.head(len(array)).to_arrow()
    return table.set_column(table.column_names.index(name), name, array)


ISO = ["2026-01-31T00:00:00+02:00", None]
ZONED = [datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=2))), None]


@pytest.mark.parametrize(
    ("name", "array", "same"),
    [
        ("user_id", pa.array(["7", None, "-5", "7.0", "+7"]), [7, None, -5, 7, 7]),
        ("user_id", pa.array([7.0, None, -5.0, -0.0]), [7, None, -5, 0]),
        ("user_id", pa.array([7.0, None], pa.float16()), [7, None]),
        ("user_id", pa.array([Decimal("7.00"), None, Decimal(2**63 - 1)]), [7, None, 2**63 - 1]),
        ("user_id", pa.array([7, 12], pa.uint8()), [7, 12]),
        ("user_id", pa.array([7, None]).dictionary_encode(), [7, None]),
        ("user_id", pa.array(["", None, "9223372036854775807"]), [None, None, 2**63 - 1]),
        ("user_id", pa.array([math.nan, 7]), [None, 7]),
        ("user_id", pa.nulls(2), [None, None]),
        ("user_id", pa.nulls(2, pa.list_(pa.int64())), [None, None]),
        ("hash_id", pa.array(["18446744073709551615", "1"]), [2**64 - 1, 1]),
        ("hash_id", pa.array([Decimal(2**64 - 1), Decimal(1)]), [2**64 - 1, 1]),
        ("is_new", pa.array([1, 0, None]), [True, False, None]),
        ("is_new", pa.array([1.0, 0.0, math.nan]), [True, False, None]),
        ("is_new", pa.array(["True", "FALSE", ""]), [True, False, None]),
        ("is_new", pa.array(["1", "0", "1.0"]), [True, False, True]),
        ("city", pa.array(["07", "", None], pa.large_string()), ["07", None, None]),
        ("city", pa.array(["07", None], pa.string_view()), ["07", None]),
        ("city", pa.array([b"07", None], pa.binary()), ["07", None]),
        ("city", pa.array(["07", None]).dictionary_encode(), ["07", None]),
        ("city", pa.nulls(2, pa.int64()), [None, None]),
        ("words", pa.array([["x"], None], pa.large_list(pa.string())), [["x"], None]),
        ("words", pa.array([["x"], None], pa.list_(pa.large_string(), 1)), [["x"], None]),
        ("words", pa.array([["x", ""], []], pa.list_(pa.string())), [["x", None], []]),
        ("words", pa.nulls(2), [None, None]),
        ("words", pa.array([[], None], pa.list_(pa.null())), [[], None]),
        ("numbers", pa.array([["1"], ["2", None]]), [[1], [2, None]]),
        ("numbers", pa.array([[1.0], [2.0, math.nan]]), [[1], [2, None]]),
        ("day", pa.array(["2026-01-01", None]), [date(2026, 1, 1), None]),
        ("day", pa.array([datetime(2026, 1, 1), None]), [date(2026, 1, 1), None]),
        ("day", pa.array([1767225600, None]), [date(2026, 1, 1), None]),
        ("day", pa.array([1767225600000.0, math.nan]), [date(2026, 1, 1), None]),
        ("day", pa.array(["1767225600000000", ""]), [date(2026, 1, 1), None]),
        ("day", pa.nulls(2), [None, None]),
        ("timestamp", pa.array(ISO), [datetime(2026, 1, 30, 22), None]),
        ("timestamp", pa.array(ZONED), [datetime(2026, 1, 30, 22), None]),
        ("written", pa.array([datetime(2026, 1, 31), None]), ["2026-01-31", None]),
        ("price", pa.array(["0.5", "NaN", "", "1e3"]), [0.5, None, None, 1000.0]),
        ("price", pa.array([Decimal("0.5"), None]), [0.5, None]),
        ("price", pa.array([Decimal("0.5"), None], pa.decimal256(50, 2)), [0.5, None]),
        ("price", pa.array([7, None], pa.uint8()), [7.0, None]),
        ("price", pa.nulls(2), [None, None]),
        ("count", pa.array([7.0, math.nan]), [7, None]),
        ("count", pa.array(["7", ""]), [7, None]),
    ],
)
def test_other_types_are_converted_exactly(predictor, frame, name, array, same):
    dtype = frame[name].dtype
    other = frame.head(len(same)).with_columns(pl.Series(name, same, dtype))
    assert_same(predictor, replaced(frame, name, array), other)


@pytest.mark.parametrize(
    ("name", "odd", "kind"),
    [
        *(
            ("user_id", odd, "integers")
            for odd in [
                *(
                    "07",
                    "7.5",
                    "x",
                    "1e3",
                    " 7",
                    "-",
                    "0x7",
                    "9223372036854775807.5",
                    "18446744073709551616",
                ),
                *(
                    "true",
                    7.5,
                    1e300,
                    -math.inf,
                    2.0**53,
                    Decimal("7.5"),
                    Decimal(2**64),
                    True,
                    b"7",
                ),
                *(date(2026, 1, 1), time(7), [7], {"a": 7}, timedelta(7)),
            ]
        ),
        *(
            ("city", odd, "strings")
            for odd in [
                7,
                7.5,
                Decimal(7),
                True,
                date(2026, 1, 1),
                time(7),
                ["x"],
                {"a": "x"},
            ]
        ),
        *(
            ("is_new", odd, "true or false")
            for odd in ["yes", "", 2, -1, 0.5, "2", date(2026, 1, 1), time(1), [True], b"true"]
            if odd != ""
        ),
        *(
            ("day", odd, "dates")
            for odd in [7, 7.0, "7", -1, time(7), [7], b"2026-01-01", timedelta(7)]
        ),
        *(("words", odd, "lists of strings") for odd in ["x", "['x']", 7, True, {"a": "x"}]),
        *(("words", odd, "strings") for odd in [[7], [True], [["x"]], [date(2026, 1, 1)]]),
        *(("numbers", odd, "integers") for odd in [["x"], [7.5], [True], ["07"], [[7]]]),
        *(
            ("price", odd, "numbers")
            for odd in [
                "x",
                "1,5",
                "true",
                True,
                date(2026, 1, 1),
                time(7),
                [7.5],
                b"7",
                timedelta(7),
            ]
        ),
    ],
)
def test_other_values_are_refused_by_name(predictor, frame, name, odd, kind):
    data = replaced(frame, name, pa.array([None, odd, odd]))
    words = rf"^the column '{name}' has {kind} for the model, and row 2 of the frame has .*{kind} "
    with pytest.raises(InputError, match=words + "first$"):
        predictor.predict(data)


@pytest.mark.parametrize("name", ["price", "count"])
@pytest.mark.parametrize("odd", [math.inf, -math.inf, 1e300, "inf", "-1e400"])
def test_infinite_numbers(predictor, frame, name, odd):
    with pytest.raises(InputError, match=f"^row 2 of the frame has the {name} .* not finite"):
        predictor.predict(replaced(frame, name, pa.array([None, odd])))


@pytest.mark.parametrize("name", ["day", "timestamp", "written"])
@pytest.mark.parametrize("odd", ["yesterday", "2026-13-01", "2026-02-30", "01/02/2026", True])
def test_no_dates(predictor, frame, name, odd):
    with pytest.raises(InputError, match=rf"^row 2 of the frame has no {name}, .*'{odd}'"):
        predictor.predict(replaced(frame, name, pa.array([None, odd])))


def test_bags_of_a_row_that_is_named(predictor, frame):
    """The row of a value in a list is that of the list, whatever comes before."""
    lists = pa.array([None, ["7", "8"], [], ["9", None, "x"]])
    with pytest.raises(InputError, match=r"'numbers' has integers .* row 4 of the frame has 'x'"):
        predictor.predict(replaced(frame, "numbers", lists))


def test_rows_are_counted_over_batches(predictor, frame):
    table = replaced(frame, "user_id", pa.array(["7"] * 100 + ["x"]))
    with pytest.raises(InputError, match="row 101 of the frame has 'x'"):
        predictor.predict(pa.Table.from_batches(table.to_batches(max_chunksize=7)))


def test_a_column_that_is_missing(predictor, frame):
    with pytest.raises(InputError, match=r"^the frame lacks the column\(s\) 'day', 'words', on wh"):
        predictor.predict(frame.drop("day", "words"))


def test_columns_that_do_not_count(predictor, frame):
    """The label, whatever it holds, others, and the order of all."""
    asked = predictor.predict(frame)
    found = [
        frame.drop("click"),
        frame.with_columns(click=pl.lit(None)),
        frame.with_columns(click=pl.lit("maybe")),
        frame.with_columns(extra=pl.lit(1.5), click=7 * pl.col("click")),
        frame[frame.columns[::-1]],
    ]
    for other in found:
        np.testing.assert_array_equal(predictor.predict(other), asked)


def test_few_rows(predictor, frame, tmp_path):
    asked = predictor.predict(frame)
    for size in (0, 1, 2):
        for form in (TYPED["polars"], TYPED["arrow"], TYPED["parquet"], TYPED["pandas of arrow"]):
            found = predictor.predict(form(frame.head(size), tmp_path))
            assert (found.shape, found.dtype) == ((size,), np.float32)
            np.testing.assert_allclose(found, asked[:size], rtol=1e-6)
    assert len(predictor.predict(csv(frame.head(0), tmp_path / "x.csv"))) == 0


def test_the_order_of_rows_is_kept(predictor, frame):
    order = np.random.default_rng(0).permutation(len(frame))
    np.testing.assert_allclose(
        predictor.predict(frame[order]), predictor.predict(frame)[order], rtol=1e-6
    )


def test_a_missing_value_is_one_of_its_own(predictor, frame):
    events = read_events(Table.of(frame), predictor.inputs)
    for name in ("user_id", "hash_id", "city", "device", "is_new"):
        is_missing = events.features()[name] == MISSING
        assert is_missing.tolist() == frame[name].is_null().to_list()
        assert MISSING in predictor.get_buffer(f"vocabulary_{predictor._numbered.index(name)}")
    for name in LISTS:
        is_missing = np.array([bag.tolist() == [MISSING] for bag in bags_of(events.bags[name])])
        assert is_missing.tolist() == frame[name].is_null().to_list()
    assert (
        np.isnan(events.numbers).sum() == frame["price"].null_count() + frame["count"].null_count()
    )


def bags_of(bags):
    return torch.tensor_split(bags.ids, bags.offsets[1:-1])


def test_a_model_of_many_numbers_can_be_read(tmp_path):
    """Of which each has a hundred quantiles, and few tensors."""
    rng = np.random.default_rng(0)
    numbers = {f"n{at}": rng.random(400) for at in range(40)}
    frame = pl.DataFrame(
        {"click": rng.integers(0, 2, 400), "ad": rng.integers(0, 9, 400), **numbers}
    )
    found = profile(frame)
    events = read_events(Table.of(frame), [one.column for one in found.columns.values()])
    parts = split_events(events, "random")
    trained, _ = train_events(
        plan(found, ratio=1, embedding_dim=4),
        events.at(parts.train),
        events.at(parts.validation),
        Recipe(0.1, max_epochs=1, batch_size=100),
    )
    trained.save_pretrained(tmp_path)
    assert np.array_equal(load(tmp_path).predict(frame), trained.predict(frame))


def test_values_that_training_has_not(predictor, frame):
    nothing = pl.DataFrame({name: [None] for name in frame.columns})
    unknown = frame.with_columns(city=pl.lit("?"), words=pl.lit(["?"]), user_id=10**15)
    for other in (nothing, unknown):
        found = predictor.predict(other)
        assert ((found > 0) & (found < 1)).all()


def test_an_embedding_is_what_the_model_scores(predictor, frame):
    """Of every feature, by values of its column; of a bag of one value too."""
    events = read_events(Table.of(frame), predictor.inputs)
    features, _ = predictor.encoded(events)
    with torch.no_grad():
        wanted = predictor.model.embeddings(features)
    for name, ids in events.features().items():
        if isinstance(ids, Bags):
            single = ids.offsets.diff() == 1
            found = predictor.embed(name, ids.ids[ids.offsets[:-1][single]])
            torch.testing.assert_close(found, wanted[name][single])
        else:
            torch.testing.assert_close(predictor.embed(name, ids), wanted[name])
    city = frame["city"].drop_nulls()
    assert torch.equal(
        predictor.embed("city", city.to_list()), wanted["city"][frame["city"].is_not_null()]
    )
    assert predictor.embed("city", []).shape == (0, 4)


@pytest.mark.parametrize(
    ("feature", "values", "said"),
    [
        ("city", [1, 2], "'city' was trained on ids of type string, and these are of type integer"),
        ("user_id", ["1"], "'user_id' was trained on ids of type integer"),
        ("user_id", [1.5], "feature 'user_id'.*float"),
        ("price", [1], "no feature 'price' to embed: it has '"),
    ],
)
def test_what_cannot_be_embedded(predictor, feature, values, said):
    with pytest.raises(InputError, match=said):
        predictor.embed(feature, values)


def test_predictions_come_as_the_rows_do(predictor, frame, monkeypatch):
    """A batch is scored before more is read than it needs, so that memory does not grow."""
    read, batches = [], Table.batches

    def watched(table, names):
        for batch in batches(table, names):
            for start in range(0, len(batch), 100):
                read.append(start)
                yield batch.slice(start, 100)

    monkeypatch.setattr(Table, "batches", watched)
    monkeypatch.setattr("tablefree.fields.model.CHUNK", 150)
    predictions = predictor.predictions(frame)
    assert len(next(predictions)) == 150
    assert read == [0, 100]
    assert [*map(len, predictions)] == [150, 100]


@given(sizes=st.lists(st.integers(0, 9), max_size=8), size=st.integers(1, 7))
@settings(max_examples=20, deadline=None)
def test_regrouped_rows_are_the_same(sizes, size):
    lists = pl.DataFrame({"x": range(72), "words": [[str(n)] * (n % 3) for n in range(72)]})
    kinds = [Column("x", "categorical", "integer"), Column("words", "bag", "string")]
    whole = read_events(Table.of(lists), kinds)
    ends = np.cumsum([0, *sizes])
    parts = [whole.at(np.arange(start, end)) for start, end in itertools.pairwise(ends)]
    found = list(regrouped(parts, size))
    assert [len(one) for one in found[:-1]] == [size] * (len(found) - 1)
    assert sum(map(len, found)) == ends[-1]
    if found:
        joined, asked = Events.joined(found), whole.at(np.arange(ends[-1]))
        assert torch.equal(joined.ids, asked.ids)
        assert torch.equal(joined.bags["words"].ids, asked.bags["words"].ids)
        assert torch.equal(joined.bags["words"].offsets, asked.bags["words"].offsets)
