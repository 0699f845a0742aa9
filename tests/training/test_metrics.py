import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.retrieval import RetrievalHitRate, RetrievalNormalizedDCG

from tablefree.embeddings import DeepHashEmbedding, FullTable
from tablefree.errors import InputError
from tablefree.models import GMF
from tablefree.training import metrics
from tablefree.training.metrics import (
    auc,
    embed_distinct,
    expected_calibration_error,
    log_loss,
    ranking,
    score_pairs,
)


def auc_by_pairs(logits, labels):
    """The share of pairs of a positive and a negative in the right order; a tie is half right."""
    gaps = logits[labels == 1].double()[:, None] - logits[labels == 0].double()
    return float(((gaps > 0).double() + 0.5 * (gaps == 0).double()).mean())


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=60).filter(
        lambda rows: len({label for _, label in rows}) == 2
    ),
    st.sampled_from([1e-30, 0.1, 1.0, 1e4, 1e30]),
)
def test_auc_is_the_share_of_ordered_pairs(rows, scale):
    logits = torch.tensor([score * scale for score, _ in rows])
    labels = torch.tensor([float(label) for _, label in rows])
    assert auc(logits, labels) == pytest.approx(auc_by_pairs(logits, labels), abs=1e-6)


def test_auc_tells_large_logits_apart():
    logits, labels = torch.tensor([1e6, 2e6, 3e6, 3e6 + 1]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    assert auc(logits, labels) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        ([0.0, 1.0], [1.0, 1.0]),
        ([0.0, 1.0], [0.0, 0.0]),
        ([], []),
        ([0.0, math.nan], [0.0, 1.0]),
        ([0.0, math.inf], [0.0, 1.0]),
    ],
    ids=["positives only", "negatives only", "nothing", "NaN", "infinity"],
)
def test_auc_is_nan_where_it_is_not_defined(logits, labels):
    assert math.isnan(auc(torch.tensor(logits), torch.tensor(labels)))


def test_log_loss_is_the_mean_cross_entropy():
    logits, labels = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 0.0, 0.0])
    sure = [1 / (1 + math.exp(-z)) for z in (2.0, 1.0, -0.5)]  # of the right label
    assert log_loss(logits, labels) == pytest.approx(-sum(map(math.log, sure)) / 3)


def test_calibration_error_is_the_gap_of_each_bin():
    # Two pairs in the bin of 0.25, of which half are positive; two in that of 0.75, all positive.
    logits = torch.tensor([0.25, 0.25, 0.75, 0.75]).logit()
    labels = torch.tensor([0.0, 1.0, 1.0, 1.0])
    assert expected_calibration_error(logits, labels) == pytest.approx(0.25)


def test_calibrated_probabilities_have_no_error_and_shifted_ones_have():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200_000, generator=generator) - 1.4
    labels = torch.bernoulli(logits.sigmoid(), generator=generator)
    assert expected_calibration_error(logits, labels) < 0.01
    # Where there were four times as few negatives: the odds are four times as high.
    kept = (labels == 1) | (torch.rand(len(labels), generator=generator) < 0.25)
    shifted, labels = logits[kept], labels[kept]
    assert expected_calibration_error(shifted, labels) > 0.2
    assert expected_calibration_error(shifted + math.log(4), labels) < 0.01


@pytest.mark.parametrize("logits", [[], [0.0, math.nan], [0.0, math.inf]])
def test_calibration_error_is_nan_where_it_is_not_defined(logits):
    assert math.isnan(expected_calibration_error(torch.tensor(logits), torch.ones(len(logits))))


def test_certain_probabilities_are_in_the_last_bin():
    logits = torch.tensor([100.0, -100.0])
    assert expected_calibration_error(logits, torch.tensor([1.0, 0.0])) == pytest.approx(0.0)


def test_ranking_agrees_with_torchmetrics():
    torch.manual_seed(0)
    positives, negatives = torch.randn(200) + 1, torch.randn(200, 99)
    scores = torch.cat([positives[:, None], negatives], dim=1)
    target = torch.zeros_like(scores, dtype=torch.bool)
    target[:, 0] = True
    user = torch.arange(200).repeat_interleave(100)
    expected = [
        float(metric(scores.flatten(), target.flatten(), user))
        for metric in (RetrievalHitRate(top_k=10), RetrievalNormalizedDCG(top_k=10))
    ]
    assert list(ranking(positives, negatives)) == pytest.approx(expected)


def test_ranking_counts_places():
    negatives = torch.tensor([[3.0, 2.0, 1.0]]).repeat(3, 1)
    hit_rate, ndcg = ranking(torch.tensor([4.0, 2.5, 0.0]), negatives, cutoff=3)
    assert hit_rate == pytest.approx(2 / 3)
    assert ndcg == pytest.approx((1 + 1 / math.log2(3)) / 3)


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_ties_and_scores_of_a_diverged_model_count_against_the_positive(value):
    assert ranking(torch.full((4,), value), torch.full((4, 99), value)) == (0.0, 0.0)


@pytest.fixture
def model():
    torch.manual_seed(0)
    items = DeepHashEmbedding(8, num_hashes=16, hidden=(16,), dropout=0.5, seed=0)
    return GMF(FullTable(30, 8), items)


def test_each_distinct_id_is_embedded_once(model, monkeypatch):
    monkeypatch.setattr(metrics, "EMBED_BATCH", 4)
    seen = []
    model.items.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    ids = torch.randint(10, (200,)) - 5
    rows, position = embed_distinct(model.items.eval(), ids)
    assert [len(part) for part in seen] == [4, 4, 2]
    assert torch.cat(seen).tolist() == list(range(-5, 5))
    torch.testing.assert_close(rows[position], model.items(ids))
    assert not rows.requires_grad


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("score_batch", [7, 1000])
def test_scores_are_the_models_in_evaluation_mode(model, monkeypatch, training, score_batch):
    monkeypatch.setattr(metrics, "SCORE_BATCH", score_batch)
    users, items = torch.randint(30, (50,)), torch.randint(-(2**63), 2**63 - 1, (50,))
    with torch.no_grad():
        expected = model.eval()(users, items)
    model.train(training)
    scores = score_pairs(model, users, items)
    torch.testing.assert_close(scores, expected)
    assert model.training is model.items.network.training is training
    assert not scores.requires_grad


def test_scores_are_float32_under_autocast(model):
    users, items = torch.arange(30), torch.arange(30)
    expected = score_pairs(model, users, items)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = score_pairs(model, users, items)
    assert scores.dtype == torch.float32
    assert torch.equal(scores, expected)


def test_the_mode_is_restored_after_an_error(model):
    with pytest.raises(InputError, match="must be 0"):
        score_pairs(model, torch.tensor([31]), torch.tensor([0]))
    assert model.training


def test_no_pairs_have_no_scores(model):
    none = torch.empty(0, dtype=torch.int64)
    assert score_pairs(model, none, none).shape == (0,)
