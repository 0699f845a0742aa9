import pytest

from tablefree.reports.frontier import Frontier
from tablefree.reports.verdict import advice_in_bytes

FULL_BYTES = 1_600_000
FULL_AUC = 0.93
TABLES = ("full_table", "narrow_table")


def a_form(method, form, parts, loss, seeds=3, **changes):
    """A form of an n-th of the full table's bytes, chosen for a budget that it fills."""
    auc = None if loss is None else FULL_AUC - loss
    row = {
        "study": "",
        "method": method,
        "users": "id",
        "side_features": "none",
        "decoder": "",
        "form": form,
        "budget_bytes": FULL_BYTES // parts,
        "deployed_bytes": FULL_BYTES / parts,
        "training_bytes": 3.0 * FULL_BYTES,
        "full_bytes": FULL_BYTES,
        "vocabulary_bytes": 200_000.0 if method in TABLES else 0.0,
        "validation_auc": auc,
        "test_auc": auc,
        "test_auc_sd": 0.0004 if seeds > 1 else None,
        "difference": None if loss is None else -loss,
        "seeds": seeds,
    }
    return row | changes


def advise(*chosen, full=True, **changes):
    whole = a_form("full_table", "float32", 1, 0.0, **changes)
    best_first = sorted(chosen, key=lambda row: (-row["budget_bytes"], -(row["test_auc"] or 0)))
    return advice_in_bytes(Frontier(whole if full else None, [whole, *chosen], best_first))


def test_the_fewest_bytes_without_a_vocabulary_that_hold_the_auc_are_advised():
    verdict, detail, *support = advise(
        a_form("claimed_rows", "residual-8x8", 8, 0.0002),
        a_form("claimed_rows", "residual-4x8", 16, 0.0018),
        a_form("claimed_rows", "residual-2x8", 32, 0.009),
        a_form("sketch", "levels-4", 16, 0.012),
    )
    assert verdict == (
        "The table can go: its AUC is held in 1/16 of its bytes, without a vocabulary, by Claimed "
        "rows in residual-4x8."
    )
    assert detail == (
        "Claimed rows in residual-4x8 is the best in validation within 1/16 (100 KB) without a "
        "vocabulary: test AUC .9282 ± .0004 in 100 KB, against .9300 ± .0004 in 1.60 MB of the "
        "full table in float32 (-.0018, beyond the noise)."
    )
    assert support == [
        "The full table does not fit there: its smallest form measured, float32, takes 1.60 MB "
        "with its vocabulary.",
        "The nearest rival there is Sketch in levels-4: .9180 ± .0004 (-.0102, beyond the noise).",
        "Best without a vocabulary, and its difference to the full table: within 1/32 (50.0 KB) "
        "Claimed rows in residual-2x8 .9210 ± .0004 (-.0090); within 1/8 (200 KB) Claimed rows in "
        "residual-8x8 .9298 ± .0004 (-.0002).",
        "In training it takes 4.80 MB, and the full table 4.80 MB.",
    ]


def test_a_win_beyond_the_noise_is_called_one():
    verdict, *_ = advise(a_form("claimed_rows", "residual-4x8", 16, -0.004))
    assert verdict.startswith("Drop the table: its AUC is beaten in 1/16 of its bytes")


@pytest.mark.parametrize(("loss", "word"), [(0.0, "better"), (0.0019, "as good"), (0.005, "worse")])
def test_the_packed_table_of_as_many_bytes_is_told(loss, word):
    verdict, _, packed, *_ = advise(
        a_form("claimed_rows", "residual-8x8", 8, 0.0018),
        a_form("full_table", "residual-2x8", 8, loss),
    )
    assert verdict.startswith("The table can go: its AUC is held in 1/8")
    start = "The full table packed for as many, in residual-2x8 with its vocabulary, is "
    assert packed.startswith(f"{start}{word}: ")


def test_a_table_that_holds_it_in_fewer_bytes_is_packed():
    verdict, detail, *support = advise(
        a_form("claimed_rows", "residual-8x8", 4, 0.0018),
        a_form("claimed_rows", "residual-4x8", 8, 0.0090),
        a_form("full_table", "levels-4", 8, 0.0005),
    )
    assert verdict == (
        "Keep the vocabulary, and pack: the full table's AUC is held in 1/8 of its bytes by Full "
        "table in levels-4; without a vocabulary in 1/4 by Claimed rows in residual-8x8."
    )
    assert "within 1/8 (200 KB) with a vocabulary" in detail
    assert support[0] == (
        "Without a vocabulary the best there is Claimed rows in residual-4x8: .9210 ± .0004 "
        "(-.0085, beyond the noise)."
    )


def test_a_rival_with_a_vocabulary_stands_beside_the_packed_table():
    verdict, _, table, free, rival, *_ = advise(
        a_form("narrow_table", "int8", 16, 0.001),
        a_form("full_table", "residual-2x8", 16, 0.02),
        a_form("hashing_trick", "int8", 8, 0.05),
        a_form("quotient_remainder", "int8", 16, 0.03, vocabulary_bytes=9.0),
    )
    assert verdict.endswith(
        "by Narrow table in int8; without a vocabulary in none of these budgets."
    )
    assert "is worse: .9100" in table
    assert free == "No method without a vocabulary fits there."
    assert rival.startswith("The nearest rival there is Quotient-remainder in int8: .9000")


def test_a_loss_is_not_called_held():
    verdict, detail, *_ = advise(
        a_form("claimed_rows", "residual-8x8", 8, 0.004),
        a_form("claimed_rows", "residual-4x8", 16, 0.008),
    )
    assert verdict == "Keep the full table where it fits: in none of these budgets is its AUC held."
    assert detail.startswith("Claimed rows in residual-8x8")


def test_a_loss_hidden_by_noise_is_not_called_held():
    row = a_form("claimed_rows", "residual-8x8", 8, 0.004, test_auc_sd=0.02)
    assert advise(row)[0].startswith("Undecided: run more seeds")


def test_one_seed_is_said_to_prove_little():
    *_, last = advise(a_form("claimed_rows", "residual-8x8", 8, 0.001, seeds=1))
    assert "one seed only, differences of up to .0020 count as noise" in last


def test_what_diverged_is_no_form():
    verdict, *_ = advise(
        a_form("claimed_rows", "residual-8x8", 8, None), a_form("sketch", "int8", 8, 0.001)
    )
    assert "by Sketch in int8" in verdict


def test_seeds_that_the_full_table_lacks_prove_nothing():
    row = a_form("claimed_rows", "residual-8x8", 8, 0.0, difference=None)
    verdict, detail, *_ = advise(row)
    assert verdict.startswith("Keep the full table where it fits")
    assert "(of other seeds)" in detail


@pytest.mark.parametrize(
    ("chosen", "full", "sentences"),
    [
        (
            [a_form("claimed_rows", "int8", 8, 0.001, full_bytes=None)],
            False,
            [
                "The full table is not measured yet: what leaving it costs is unknown.",
                "Within 200 KB the best without a vocabulary is Claimed rows in int8: test AUC "
                ".9290 ± .0004.",
            ],
        ),
        (
            [a_form("full_table", "int8", 8, 0.001)],
            True,
            [
                "No method without a vocabulary is packed yet.",
                "The full table in float32 reaches .9300 ± .0004 in 1.60 MB.",
            ],
        ),
        (
            [a_form("claimed_rows", "int8", 8, None)],
            False,
            ["Neither the full table nor a method without a vocabulary is packed yet."],
        ),
    ],
    ids=["no full table", "the full table alone", "nothing"],
)
def test_advice_on_a_comparison_that_has_just_begun(chosen, full, sentences):
    assert advise(*chosen, full=full) == sentences
