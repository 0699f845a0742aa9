import polars as pl
import pytest

from tablefree.reports.charts import (
    auc_by_bytes,
    auc_by_popularity,
    auc_by_size,
    auc_by_time,
    figure_spec,
    marks,
    page_spec,
)
from tablefree.reports.summary import DTYPES, summarise


def rows_behind(chart):
    """The data of all layers of a chart."""
    return [row for rows in page_spec(chart)["datasets"].values() for row in rows]


def test_each_method_has_a_colour_and_a_shape_of_its_own(runs):
    drawn = marks(summarise(runs((0.25,), 1)))
    assert [mark.name for mark in drawn][:2] == ["Full table", "Narrow table"]
    assert len({mark.colour for mark in drawn}) == len({mark.path for mark in drawn}) == 8


def test_a_method_looks_the_same_whatever_it_is_compared_with(runs):
    all_methods = summarise(runs((0.25,), 1))
    few = all_methods.filter(all_methods["method"].is_in(["deep_hash", "multi_hash"]))
    assert set(marks(few)) < set(marks(all_methods))


def test_an_unknown_method_is_drawn_last(runs):
    summary = summarise(
        runs(
            (0.25,),
            1,
        )
    ).head(2)
    drawn = marks(
        summary.with_columns(method=summary["method"].replace("full_table", "a_new_idea"))
    )
    assert [mark.name for mark in drawn] == ["Narrow table", "A new idea"]


def test_a_method_in_other_forms_has_a_mark_for_each(runs):
    forms = [
        {"users": users, "side_features": features, "decoder": decoder}
        for users in ("id", "history", "both")
        for features in ("none", "encoding")
        for decoder in ("", "64")
    ]
    summary = summarise(pl.concat(runs((0.25,), 1, **form) for form in forms))
    drawn = marks(summary.filter(method="deep_hash"))
    assert len(drawn) == len(forms)
    assert len({(mark.colour, mark.path) for mark in drawn}) == len(forms)


def test_users_as_histories_are_a_line_beside_ids(runs):
    """In each chart a point is that of one form, with its name."""
    summary = summarise(pl.concat([runs((0.25,), 1), runs((0.25,), 1, users="history")]))
    names = {"Deep hash", "Deep hash, users as histories"}
    for chart in (
        *(draw(summary) for draw in (auc_by_size, auc_by_time, auc_by_bytes)),
        *auc_by_popularity(summary).values(),
    ):
        assert names <= {row["name"] for row in rows_behind(chart) if "name" in row}


def test_sizes_are_ticks_on_a_logarithmic_axis(runs):
    spec = page_spec(auc_by_size(summarise(runs((0.25, 0.0625), 2))))
    x = spec["layer"][1]["encoding"]["x"]
    assert x["scale"] == {"type": "log", "base": 2, "padding": 24, "nice": False}
    assert x["axis"]["values"] == [0.0625, 0.25, 1.0]


def test_error_bars_reach_one_standard_deviation(runs):
    summary = summarise(runs((0.25,), 3))
    first = summary.row(0, named=True)
    row = rows_behind(auc_by_size(summary))[0]
    assert row["high"] - row["auc"] == pytest.approx(first["test_auc_sd"])
    assert row["auc"] - row["low"] == pytest.approx(first["test_auc_sd"])


@pytest.mark.parametrize(
    ("milliseconds", "ticks"),
    [
        ([0.0002, 0.0004], [0.0002, 0.0004]),
        ([0.0002, 0.004], [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05]),
    ],
)
def test_time_axis_has_ticks_in_any_range(runs, milliseconds, ticks):
    summary = summarise(runs((0.25,), 1)).head(2)
    summary = summary.with_columns(milliseconds_per_id=pl.Series(milliseconds))
    spec = page_spec(auc_by_time(summary))
    assert spec["layer"][1]["encoding"]["x"]["axis"]["values"] == pytest.approx(ticks)


def test_bytes_have_a_point_for_each_dtype_and_a_line_for_each_size(runs):
    summary = summarise(runs((0.25, 0.0625), 2))
    spec = page_spec(auc_by_bytes(summary))
    rows = [row for row in rows_behind(auc_by_bytes(summary)) if row["name"] == "Deep hash"]
    assert {row["dtype"] for row in rows} == set(DTYPES)
    assert len({(row["size"], row["dtype"]) for row in rows}) == 2 * len(DTYPES)
    one = next(row for row in rows if row["size"] == 0.25 and row["dtype"] == "int4")
    assert (one["deployed_bytes"], one["bytes_text"]) == (39_000, "39.0 KB")
    assert spec["layer"][1]["encoding"]["detail"]["field"] == "size"


def test_what_diverged_leaves_an_empty_chart(runs):
    nothing = dict.fromkeys((f"test_auc_{dtype}" for dtype in DTYPES[1:]), float("nan"))
    spec = page_spec(auc_by_bytes(summarise(runs((), 2, test_auc=float("nan"), **nothing))))
    assert not any(spec["datasets"].values())


def test_popularity_has_a_chart_a_size_on_one_scale(runs):
    found = auc_by_popularity(summarise(runs((0.25, 0.0625), 2)))
    assert list(found) == [0.25, 0.0625]
    domains = [
        page_spec(chart)["layer"][2]["encoding"]["y"]["scale"]["domain"] for chart in found.values()
    ]
    assert domains[0] == domains[1]


def test_a_bucket_without_enough_events_is_left_out(runs):
    found = auc_by_popularity(summarise(runs((0.25,), 2, test_auc_unseen=None)))
    assert {row["bucket"] for row in rows_behind(found[0.25])} == {"head", "middle", "tail"}


def test_no_bucket_no_chart(runs):
    buckets = dict.fromkeys(
        ("test_auc_head", "test_auc_middle", "test_auc_tail", "test_auc_unseen")
    )
    assert auc_by_popularity(summarise(runs((0.25,), 2, **buckets))) == {}


def test_the_full_table_alone_has_a_chart(runs):
    assert list(auc_by_popularity(summarise(runs((), 2)))) == [1.0]


def test_the_figure_shows_each_chart_under_its_title(runs):
    one = auc_by_size(summarise(runs((0.25,), 1)))
    spec = figure_spec({"ml-1m, random, gmf": one, "ml-1m, random, mlp": one})
    titles = [chart["title"]["text"] for chart in spec["vconcat"]]
    assert titles == ["ml-1m, random, gmf", "ml-1m, random, mlp"]


def test_without_the_full_table_there_is_no_level(runs):
    summary = summarise(runs((0.25,), 2)).filter(pl.col("method") != "full_table")
    for draw in (auc_by_size, auc_by_time, auc_by_bytes):
        assert all(page_spec(draw(summary))["datasets"].values())
