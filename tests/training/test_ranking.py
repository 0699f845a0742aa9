import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.retrieval import RetrievalNormalizedDCG, RetrievalRecall

from tablefree.embeddings import DeepHashEmbedding, FullTable
from tablefree.errors import InputError
from tablefree.models import GMF, MLP
from tablefree.training import ranking
from tablefree.training.ranking import full_ranking, hold_out, score_all

USERS, ITEMS = 30, 40
USER_KEYS, ITEM_KEYS = torch.arange(USERS), torch.arange(ITEMS)


def model_of(scores):
    """A GMF whose scores are those of a matrix."""
    users, items = (FullTable(n, scores.shape[1]) for n in scores.shape)
    with torch.no_grad():
        users.rows.weight[:-1] = scores
        items.rows.weight[:-1] = torch.eye(scores.shape[1])
    return GMF(users, items)


def rank(scores, positives, known=(), **options):
    """The measures of a matrix of scores; positives and known are pairs of a user and an item."""
    pairs = [np.array(p, np.int64).reshape(-1, 2).T for p in (positives, known)]
    held_out = hold_out(*pairs[0], *pairs[1])
    keys = (torch.arange(n) for n in scores.shape)
    return full_ranking(model_of(scores), held_out, *keys, **options)


def random_pairs(rng, count):
    return rng.integers(USERS, size=count), rng.integers(ITEMS, size=count)


@pytest.mark.parametrize("tile_scores", [1, 7 * ITEMS, 2**18])
def test_agrees_with_torchmetrics(monkeypatch, tile_scores):
    monkeypatch.setattr(ranking, "TILE_SCORES", tile_scores)
    rng = np.random.default_rng(0)
    positives, known = random_pairs(rng, 100), random_pairs(rng, 200)
    scores = torch.from_numpy(rng.standard_normal((USERS, ITEMS))).float()
    target = torch.zeros(USERS, ITEMS, dtype=torch.bool)
    target[positives] = True
    ranked = torch.ones(USERS, ITEMS, dtype=torch.bool)
    ranked[known] = False
    ranked &= (target & ranked).any(dim=1, keepdim=True)
    user = torch.arange(USERS)[:, None].expand(USERS, ITEMS)
    expected = [
        float(metric(scores[ranked], target[ranked], user[ranked]))
        for metric in (RetrievalRecall(top_k=5), RetrievalNormalizedDCG(top_k=5))
    ]
    held_out = hold_out(*positives, *known)
    measures = full_ranking(model_of(scores), held_out, USER_KEYS, ITEM_KEYS, cutoff=5)
    assert measures == pytest.approx(expected)


def test_counts_places():
    scores = torch.tensor([[9.0, 8, 7, 6, 5], [1, 2, 3, 4, 5]])
    recall, ndcg = rank(scores, [(0, 1), (0, 4), (1, 4)], [(0, 0), (1, 0)], cutoff=2)
    # User 0: item 1 is the first that it does not know, item 4 the fourth. User 1: the first.
    assert recall == pytest.approx((1 / 2 + 1) / 2)
    assert ndcg == pytest.approx((1 / (1 + 1 / math.log2(3)) + 1) / 2)


@settings(deadline=None)
@given(
    scores=st.lists(st.integers(0, 3), min_size=2, max_size=8),
    is_positive=st.lists(st.booleans(), min_size=8, max_size=8),
    cutoff=st.integers(1, 9),
)
def test_ties_are_in_random_order(scores, is_positive, cutoff):
    positives = [item for item in range(len(scores)) if is_positive[item]] or [0]
    measures = rank(
        torch.tensor([scores]).float(), [(0, item) for item in positives], cutoff=cutoff
    )
    recall = ndcg = 0.0
    for item in positives:
        above = sum(score > scores[item] for score in scores)
        places = range(above, above + scores.count(scores[item]))  # as likely as one another
        gains = [1 / math.log2(place + 2) if place < cutoff else 0 for place in places]
        recall += sum(place < cutoff for place in places) / len(places)
        ndcg += sum(gains) / len(places)
    ideal = sum(1 / math.log2(place + 2) for place in range(min(cutoff, len(positives))))
    assert measures == pytest.approx((recall / len(positives), ndcg / ideal))


def test_a_model_that_diverged_ranks_by_chance():
    scores = torch.full((3, 10), math.nan)
    recall, _ = rank(scores, [(0, 1), (1, 1), (2, 9)], [(0, 0), (0, 2)], cutoff=4)
    assert recall == pytest.approx((4 / 8 + 4 / 10 + 4 / 10) / 3)


def test_items_without_a_row_tie():
    model = GMF(FullTable(2, 8), FullTable(5, 8))
    item_keys = torch.cat([torch.arange(5), torch.full((20,), 5)])
    with torch.no_grad():
        model.items.rows.weight[-1] = 100 * model.users.rows.weight[0]
    held_out = hold_out(np.array([0]), np.array([7]), np.array([0]), np.array([8]))
    recall, _ = full_ranking(model, held_out, torch.arange(2), item_keys, cutoff=10)
    assert recall == pytest.approx(10 / 19)


def test_fewer_candidates_than_places():
    scores = torch.tensor([[1.0, 2, 3, 4]])
    assert rank(scores, [(0, 0)], [(0, 2), (0, 3)], cutoff=3) == (
        1.0,
        pytest.approx(0.6309, abs=1e-4),
    )


def test_known_positives_and_repeats_do_not_count():
    held_out = hold_out(
        np.array([5, 5, 3, 5, 2]), np.array([1, 1, 0, 4, 2]), np.array([3, 5]), np.array([0, 9])
    )
    assert held_out.users.tolist() == [2, 5]
    assert [part.tolist() for part in held_out.positives] == [[0, 1, 1], [2, 1, 4]]
    assert [part.tolist() for part in held_out.known] == [[1], [9]]


def test_users_are_drawn_by_the_seed():
    rng = np.random.default_rng(0)
    pairs = *random_pairs(rng, 300), *random_pairs(rng, 100)
    every, first, again, other = (
        hold_out(*pairs, max_users=size, seed=seed)
        for size, seed in ((USERS, 0), (10, 0), (10, 0), (10, 1))
    )
    assert first.users.tolist() == again.users.tolist() != other.users.tolist()
    assert len(set(first.users.tolist())) == 10
    for one in (first, other):
        for place, user in enumerate(one.users.tolist()):
            whole = every.users.tolist().index(user)
            for drawn, all_pairs in ((one.positives, every.positives), (one.known, every.known)):
                expected = all_pairs.items[all_pairs.users == whole]
                assert torch.equal(drawn.items[drawn.users == place], expected)


def test_nothing_to_rank_is_refused():
    with pytest.raises(InputError, match="none of the 1 held-out positives is new"):
        hold_out(np.array([1]), np.array([1]), np.array([1]), np.array([1]))
    none = np.array([], np.int64)
    with pytest.raises(InputError, match="none of the 0"):
        hold_out(none, none, none, none)


@pytest.mark.parametrize("kind", [GMF, MLP])
def test_scores_of_all_pairs_are_the_models(kind):
    model = kind(FullTable(USERS, 8), FullTable(ITEMS, 8))
    with torch.no_grad():
        scores = score_all(model, model.users(USER_KEYS), model.items(ITEM_KEYS))
        pairs = torch.cartesian_prod(USER_KEYS, ITEM_KEYS)
        expected = model(pairs[:, 0], pairs[:, 1]).view(USERS, ITEMS)
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("kind", [GMF, MLP])
def test_each_id_is_embedded_once_in_evaluation_mode(monkeypatch, kind):
    monkeypatch.setattr(ranking, "TILE_SCORES", 4 * ITEMS)
    torch.manual_seed(0)
    items = DeepHashEmbedding(8, num_hashes=16, hidden=(16,), dropout=0.5, seed=0)
    model = kind(FullTable(USERS, 8), items)
    seen = []
    for embedding in (model.users, model.items):
        embedding.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    rng = np.random.default_rng(0)
    held_out = hold_out(*random_pairs(rng, 100), *random_pairs(rng, 50))
    first = full_ranking(model, held_out, USER_KEYS, ITEM_KEYS)
    assert seen == [len(held_out.users), ITEMS]
    assert model.training
    assert first == full_ranking(model, held_out, USER_KEYS, ITEM_KEYS)
    assert all(0 < measure < 1 for measure in first)
