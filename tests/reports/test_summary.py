import json
import math

import polars as pl
import pytest

from tablefree.experiments.results import SCHEMA
from tablefree.reports.summary import (
    TABLE,
    advice,
    cell_name,
    decimal,
    fraction,
    how_measured,
    megabytes,
    method_name,
    noise,
    smallest_dtype,
    spread,
    summarise,
)


@pytest.fixture
def advise(run, table):
    """Advice on test AUCs by method and size, one number a seed."""

    def from_aucs(aucs: dict[tuple[str, float], list[float]]) -> list[str]:
        rows = [
            run(method, size, seed, test_auc=auc)
            for (method, size), values in aucs.items()
            for seed, auc in enumerate(values)
        ]
        return advice(summarise(table(rows)))

    return from_aucs


AT_THE_END = "At the end of its range (better may lie beyond)"
FULL = [0.9305, 0.9310, 0.9315]


def around(mean: float) -> list[float]:
    return [mean - 0.0005, mean, mean + 0.0005]


def test_summary_averages_the_selected_runs_over_seeds(runs):
    summary = summarise(runs((0.25, 0.0625), 3))
    assert summary.height == 15
    assert summary["seeds"].to_list() == [3] * 15
    assert summary["learning_rate_high"].to_list() == [0.03] * 15
    deep = summary.row(
        by_predicate=(pl.col("method") == "deep_hash") & (pl.col("size") == 0.25), named=True
    )
    selected = runs((0.25,), 3).filter(pl.col("selected"), method="deep_hash")
    assert deep["test_auc"] == pytest.approx(selected["test_auc"].mean())
    assert deep["test_auc_sd"] == pytest.approx(selected["test_auc"].std())


def test_summary_puts_the_largest_size_and_the_best_first(runs):
    summary = summarise(runs((0.25, 0.0625), 2))
    assert summary["size"].to_list() == [1.0] + [0.25] * 7 + [0.0625] * 7
    aucs = summary.filter(size=0.25)["test_auc"].to_list()
    assert aucs == sorted(aucs, reverse=True)


def test_one_seed_has_no_spread(runs):
    assert summarise(runs((0.25,), 1))["test_auc_sd"].null_count() == 8


@pytest.mark.parametrize(
    ("losses", "chosen", "cell"),
    [
        (
            {"float16": 0.0, "int8": 0.0009, "int4": 0.004, "codebook": 0.005},
            "int8",
            "78.0 KB (int8)",
        ),
        ({"float16": 0.0, "int8": 0.0011, "int4": 0.0, "codebook": 0.0}, "int4", "39.0 KB (int4)"),
        (
            {"float16": 0.01, "int8": 0.02, "int4": 0.03, "codebook": 0.04},
            "float32",
            "312 KB (float32)",
        ),
    ],
)
def test_the_fewest_bytes_that_lose_little_are_shown(run, table, losses, chosen, cell):
    aucs = {f"validation_auc_{dtype}": 0.9 - loss for dtype, loss in losses.items()}
    rows = [run("sketch", 0.25, 0, validation_auc=0.9, **aucs)]
    row = summarise(table(rows)).row(0, named=True)
    assert smallest_dtype(row) == chosen
    assert TABLE["Deployed bytes"](row) == cell


def test_the_test_part_does_not_choose_the_dtype(run, table):
    """What looks good there and bad in validation is not taken, nor the other way round."""
    in_test = {f"test_auc_{dtype}": 0.5 for dtype in ("float16", "int8", "int4", "codebook")}
    in_validation = {"validation_auc_int4": 0.5, "validation_auc_codebook": 0.5}
    for test in (in_test, in_test | {"test_auc_int4": 0.99}):
        rows = [run("sketch", 0.25, 0, test_auc=0.9, **test, **in_validation)]
        assert smallest_dtype(summarise(table(rows)).row(0, named=True)) == "int8"


def test_what_diverged_has_a_cell_in_each_column(run, table):
    nothing = dict.fromkeys(
        (name for name in SCHEMA if name.startswith(("test_auc", "validation_auc"))), math.nan
    )
    row = summarise(table([run("sketch", 0.25, 0, **nothing)])).row(0, named=True)
    assert {heading: cell(row) for heading, cell in TABLE.items()}["Test AUC"] == "-"


def test_a_diverged_run_does_not_spoil_the_mean(run, table):
    rows = [run("deep_hash", 0.25, 0, test_auc=0.9), run("deep_hash", 0.25, 1, test_auc=math.nan)]
    assert summarise(table(rows))["test_auc"].to_list() == [0.9]


def test_noise_is_welchs_interval():
    one = {"seeds": 3, "test_auc_sd": 0.003}
    assert noise(one, one) == pytest.approx(2.78 * 0.003 * math.sqrt(2 / 3))
    assert noise(one, {"seeds": 3, "test_auc_sd": 0.0}) == pytest.approx(
        4.30 * 0.003 / math.sqrt(3)
    )
    assert noise({"seeds": 2, "test_auc_sd": 0.0}, {"seeds": 2, "test_auc_sd": 0.0}) == 0
    assert noise(one, {"seeds": 1, "test_auc_sd": None}) == 0.002


def test_the_table_is_kept_where_it_wins(advise):
    verdict, comparison, cost, *_ = advise(
        {
            ("full_table", 1): FULL,
            ("deep_hash", 0.25): around(0.907),
            ("multi_hash", 0.25): around(0.88),
        }
    )
    assert verdict.startswith("Keep the full table")
    assert comparison == (
        "At 1/4 of the full table's size the best method without a vocabulary is Deep hash: "
        "test AUC .9070 ± .0005 against .9310 ± .0005 (-.0240, beyond the noise)."
    )
    assert cost.startswith("It takes 312 KB, 58,500 multiply-adds")
    assert "the full table 1.44 MB with its vocabulary, 0 multiply-adds" in cost


def test_a_smaller_table_that_ranks_as_well_is_advised(advise):
    verdict, *_ = advise(
        {
            ("full_table", 1): FULL,
            ("narrow_table", 0.25): around(0.95),
            ("narrow_table", 0.0625): around(0.9312),
            ("narrow_table", 0.03125): around(0.9),
            ("deep_hash", 0.25): around(0.907),
        }
    )
    assert verdict.startswith(
        "Keep the vocabulary but not the full table: Narrow table at 1/16 of its size ranks at "
        "least as well, .9312 ± .0005 (+.0002, within the noise)"
    )


def test_the_smallest_size_that_ranks_as_well_is_advised(advise):
    verdict, comparison, *rest = advise(
        {
            ("full_table", 1): FULL,
            ("deep_hash", 0.25): around(0.9312),
            ("hybrid_hash", 0.25): around(0.9311),
            ("deep_hash", 0.0625): around(0.9308),
            ("hybrid_hash", 0.0625): around(0.9307),
            ("deep_hash", 0.015625): around(0.9),
        }
    )
    assert verdict.startswith("The table can go")
    assert comparison.startswith("At 1/16 of")
    assert "(-.0002, within the noise)" in comparison
    assert "Within the noise of it: Hybrid hash." in rest
    assert any("Deep hash .9312 ± .0005 at 1/4, Deep hash .9000" in sentence for sentence in rest)


def test_a_win_beyond_the_noise_is_called_one(advise):
    verdict, *_ = advise({("full_table", 1): FULL, ("deep_hash", 0.25): around(0.95)})
    assert verdict.startswith("Drop the table")


def test_a_loss_hidden_by_noise_is_not_called_a_tie(advise):
    verdict, *_ = advise({("full_table", 1): FULL, ("deep_hash", 0.25): [0.90, 0.92, 0.94]})
    assert verdict.startswith("Undecided")


def test_the_best_method_with_a_vocabulary_is_shown_beside(advise):
    sentences = advise(
        {
            ("full_table", 1): FULL,
            ("deep_hash", 0.25): around(0.907),
            ("narrow_table", 0.25): around(0.917),
        }
    )
    assert any(
        sentence.startswith("The best that needs the vocabulary there is Narrow table: .9170")
        and "(+.0100, beyond the noise); it takes 507 KB with its vocabulary" in sentence
        for sentence in sentences
    )


def test_one_seed_is_said_to_prove_little(advise):
    *_, last = advise({("full_table", 1): [0.931], ("deep_hash", 0.25): [0.93]})
    assert "one seed only, differences of up to .0020 count as noise" in last


@pytest.mark.parametrize(
    ("aucs", "verdict"),
    [
        ({("deep_hash", 0.25): [0.9]}, "The full table is not measured yet"),
        ({("full_table", 1.0): FULL}, "No method without a vocabulary is measured yet"),
        ({("narrow_table", 0.25): [0.9]}, "Neither the full table nor"),
        ({("deep_hash", 0.25): [math.nan]}, "Neither the full table nor"),
    ],
)
def test_advice_on_a_comparison_that_has_just_begun(advise, aucs, verdict):
    assert advise(aucs)[0].startswith(verdict)


def test_how_measured_names_trials_and_versions(runs, run, table):
    more = [
        run("deep_hash", 0.25, 7, versions='{"torch": "2.11.0"}'),
        run("deep_hash", 0.25, 0, trial=4, selected=False, pruned=True, test_auc=None),
    ]
    how = how_measured(pl.concat([runs((0.25,), 2), table(more)]))
    assert how["Tuning"].startswith("2, 3 trials of each method at each size, the first")
    assert how["Searched, where it matters to the method"] == "learning rate 0.003 to 0.3"
    assert how["Runs"] == "34 (17 of them trials that lost on validation, 1 of those ended early)"
    assert how["Seeds"] == "0, 1, 7"
    assert how["Versions"] == "tablefree 0.1.0, torch 2.10.0, torch 2.11.0"
    assert how["Training events"] == "900,189 of 6,040 users and 3,706 items"
    assert how["Training"] == "at most 20 epochs, stopped after 2 without a better validation AUC"
    assert how["Precision"] == "float32"
    assert how["Optimizer"] == "adamw; batch 4096"
    assert AT_THE_END not in how
    assert "Users" not in how


def test_one_trial_is_no_tuning(run, table):
    how = how_measured(table([run("deep_hash", 0.25, seed, trial=0) for seed in range(2)]))
    assert how["Tuning"] == "none: all with the defaults of their method"
    assert not any(term.startswith("Searched") for term in how)


def test_ranges_that_differ_are_given_one_by_one(run, table):
    spaces = [{"code_width": {"attributes": {"choices": [4, width]}}} for width in (2, 8)]
    rows = [
        run(method, 0.25, 0, search_space=json.dumps(space), optimizer=optimizer, code_width=4)
        for method, optimizer, space in zip(
            ("sketch", "narrow_table"), ("adamw", "muon"), spaces, strict=True
        )
    ]
    how = how_measured(table(rows))
    searched = "code width among 4, 2 or among 4, 8"
    assert how["Searched, where it matters to the method"] == searched
    assert how["Optimizer"] == "muon (Narrow table), adamw (Sketch); batch 4096"


def test_what_was_selected_at_the_end_of_its_range_is_named(run, table):
    best = {"deep_hash": 0.0031, "multi_hash": 0.03, "full_table": 0.3}
    rows = [run(method, 0.5, 0, learning_rate=rate) for method, rate in best.items()]
    named = "Deep hash learning rate 0.0031, Full table learning rate 0.3"
    assert how_measured(table(rows))[AT_THE_END] == named
    # The defaults alone are no search.
    assert AT_THE_END not in how_measured(table([row | {"trial": 0} for row in rows]))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "Sketch"),
        ({"decoder": "64-64"}, "Sketch, decoder 64-64"),
        ({"users": "history"}, "Sketch, users as histories"),
        ({"users": "both"}, "Sketch, users also as histories"),
        ({"side_features": "input"}, "Sketch, features at the input"),
        ({"study": "depth", "variant": "3 layers"}, "depth, 3 layers"),
    ],
)
def test_a_cell_is_named_by_what_differs_from_its_usual(run, changes, name):
    row = run("sketch", 0.25, 0, **changes)
    assert cell_name(row) == TABLE["Method"](row) == name


def test_forms_of_one_method_are_rows_of_their_own(run, table):
    forms = [{}, {"users": "history"}, {"side_features": "encoding"}, {"decoder": "64"}]
    summary = summarise(table([run("sketch", 0.25, 0, **form) for form in forms]))
    assert len({cell_name(row) for row in summary.to_dicts()}) == len(forms)


def test_what_is_to_be_known_of_the_data_is_said_once(run, table):
    notes = "half of it repeats\nratings count as likes"
    rows = [run("sketch", 0.25, seed, notes=notes) for seed in range(2)]
    said = how_measured(table(rows))["To be known of the data"]
    assert said == "half of it repeats; ratings count as likes"
    assert "To be known of the data" not in how_measured(table([run("sketch", 0.25, 0)]))


def test_figures_read_as_people_write_them():
    assert [decimal(x) for x in (0, 0.000123, 0.999, 4.567, 45.67, 1234.5)] == [
        "0", "0.000123", "0.999", "4.57", "45.7", "1,230",
    ]  # fmt: skip
    assert [megabytes(x) for x in (980, 12_345, 1_250_000, 3e9)] == [
        "980 B", "12.3 KB", "1.25 MB", "3.00 GB",
    ]  # fmt: skip
    assert [fraction(x) for x in (1, 0.5, 1 / 3, 1 / 64, 0.3, 2)] == [
        "1", "1/2", "1/3", "1/64", "0.3", "2",
    ]  # fmt: skip
    assert spread(0.90704, 0.00049) == ".9070 ± .0005"
    assert spread(1.0, None) == "1.0000"
    assert spread(None, None) == "-"
    assert method_name("new_idea") == "New idea"


def test_a_seed_that_diverged_leaves_one_to_tell_the_noise_by(advise):
    verdict, *_ = advise({("full_table", 1): FULL, ("deep_hash", 0.25): [0.9310, math.nan]})
    assert verdict.startswith("The table can go")
