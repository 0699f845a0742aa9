"""Full ranking: a user's held-out items compete with every item that the user has not seen.

Ranking them among a sample of items instead can reverse which of two models is the better one
(Krichene and Rendle, "On Sampled Metrics for Item Recommendation", KDD 2020).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int
from torch import Tensor

from tablefree.errors import InputError
from tablefree.models import GMF, Recommender
from tablefree.training.metrics import embed_distinct, evaluation

Ints = npt.NDArray[np.int64]

NUM_USERS = 2_000
_NONE = np.empty(0, np.int64)
TILE_SCORES = 2**17  # at a time, of whole users: bounds the memory of scores and hidden layers


class UserItems(NamedTuple):
    """Pairs of the place of a user among the ranked ones, ascending, and the position of an item.

    Attributes:
        users: int64 `[n]`.
        items: int64 `[n]`.
    """

    users: Int[Tensor, " n"]
    items: Int[Tensor, " n"]

    def part(self, start: int, stop: int) -> "UserItems":
        """The pairs of the users from start to stop, counted from start."""
        low, high = torch.searchsorted(self.users, torch.tensor([start, stop])).tolist()
        return UserItems(self.users[low:high] - start, self.items[low:high])


class HeldOut(NamedTuple):
    """What is ranked, the same for every model.

    Attributes:
        users: int64 `[n]`, positions of the ranked users, ascending.
        positives: their held-out items, at least one for each user.
        known: the items that are not ranked, as the user has had them before.
        unranked: int64 `[m]`, positions of the items that are ranked for no user.
    """

    users: Int[Tensor, " n"]
    positives: UserItems
    known: UserItems
    unranked: Int[Tensor, " m"]


def hold_out(
    positive_users: Ints,
    positive_items: Ints,
    known_users: Ints,
    known_items: Ints,
    *,
    unranked: Ints = _NONE,
    max_users: int = NUM_USERS,
    seed: int = 0,
) -> HeldOut:
    """Collect what a full ranking needs, for a sample of the users.

    All users times all items are billions of scores for some tens of thousands of either, so at
    most `max_users` of the users are drawn, uniformly; every one of them is ranked against all
    items. A recall of .05 of 2,000 users has a standard error of about .005; the difference of two
    models has less, as they rank for the same users. A pair that is both positive and known is
    known, and repeated pairs count once.

    Args:
        positive_users: int64 `[n]`, positions of the users of the held-out positives.
        positive_items: int64 `[n]`, positions of their items.
        known_users: int64 `[m]`, users of the events in training and validation.
        known_items: int64 `[m]`, their items.
        unranked: int64, positions of items that are ranked for no user; none by default.
        max_users: most users that are ranked.
        seed: of the draw.

    Raises:
        InputError: no user has a positive that is not known.

    Example:
        >>> held_out = hold_out(np.array([4, 4]), np.array([1, 2]), np.array([4]), np.array([2]))
        >>> held_out.users, held_out.positives.items
        (tensor([4]), tensor([1]))
    """
    num_items = 1 + max(positive_items.max(initial=0), known_items.max(initial=0))
    known = np.unique(known_users * num_items + known_items)
    positives = np.setdiff1d(positive_users * num_items + positive_items, known)
    users = np.unique(positives // num_items)
    if not len(users):
        raise InputError(
            f"none of the {len(positive_users)} held-out positives is new to its user, so nothing "
            "can be ranked: use another split"
        )
    if len(users) > max_users:
        users = np.sort(np.random.default_rng(seed).choice(users, max_users, replace=False))
    of_part, before = (
        UserItems(
            torch.from_numpy(np.searchsorted(users, chosen // num_items)),
            torch.from_numpy(chosen % num_items),
        )
        for every in (positives, known)
        for chosen in [every[np.isin(every // num_items, users)]]
    )
    return HeldOut(torch.from_numpy(users), of_part, before, torch.from_numpy(unranked))


def full_ranking(
    model: Recommender,
    held_out: HeldOut,
    user_keys: Int[Tensor, " num_users"],
    item_keys: Int[Tensor, " num_items"],
    *,
    cutoff: int = 20,
) -> tuple[float, float]:
    """Recall and NDCG at a cutoff, means over the ranked users.

    A user's items, less the known and the unranked ones, are ranked by their scores. Of the ranks
    r = 1, 2, … of the user's p held-out positives, those up to the cutoff count: recall is their
    number / p; NDCG is their sum of 1 / log2(r + 1), divided by that sum for the ranks 1..min(p,
    cutoff). (Krichene and Rendle, 2020, section 3.)

    Items of equal scores, such as all those that a table has no row for, have their ranks in
    random order; the measures are the expectations over that order, exactly (McSherry and Najork,
    "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied
    Scores", 2008). A score that is not a number is the lowest.

    Args:
        model: any recommender.
        held_out: the users and their items (see `hold_out`).
        user_keys: what the model's user embedding takes for each position of a user.
        item_keys: likewise for items.
        cutoff: number of ranks that count.

    Returns:
        Recall and NDCG, each in 0..1.
    """
    gains = torch.stack([torch.ones(cutoff), 1 / torch.log2(torch.arange(cutoff) + 2.0)]).double()
    # Of the first 0, 1, … cutoff ranks together: row 0 for recall, row 1 for NDCG.
    totals = F.pad(gains.cumsum(-1), (1, 0))
    num_users = len(held_out.users)
    gained = torch.zeros(2, num_users, dtype=torch.float64)
    step = max(1, TILE_SCORES // len(item_keys))
    with evaluation(model):
        user_rows, user_places = embed_distinct(model.users, user_keys[held_out.users])
        item_rows, item_places = embed_distinct(model.items, item_keys)
        for start in range(0, num_users, step):
            places = user_places[start : start + step]
            scores = score_all(model, user_rows[places], item_rows)[:, item_places]
            positives, known = (
                pairs.part(start, start + step) for pairs in (held_out.positives, held_out.known)
            )
            # Finite, so that they are above the known items.
            scores.nan_to_num_(nan=torch.finfo(scores.dtype).min)
            scores[known.users, known.items] = -torch.inf
            scores[:, held_out.unranked] = -torch.inf
            gained.index_add_(
                1, positives.users + start, _expected_gains(scores, positives, totals)
            )
    num_positives = torch.bincount(held_out.positives.users)
    ideal_ndcg = totals[1, num_positives.clamp(max=cutoff)]
    return float((gained[0] / num_positives).mean()), float((gained[1] / ideal_ndcg).mean())


def score_all(
    model: Recommender,
    user_rows: Float[Tensor, "n embedding_dim"],
    item_rows: Float[Tensor, "m embedding_dim"],
) -> Float[Tensor, "n m"]:
    """Logits of every user with every item; for GMF a matrix product, many times as fast."""
    if isinstance(model, GMF):
        return torch.addmm(model.bias, user_rows * model.weight, item_rows.T)
    shape = (len(user_rows), len(item_rows), -1)
    return model.score(user_rows[:, None].expand(shape), item_rows.expand(shape))


def _expected_gains(
    scores: Float[Tensor, "n num_items"],
    positives: UserItems,
    totals: Float64[Tensor, "2 cutoff_plus_one"],
) -> Float64[Tensor, "2 p"]:
    """The gains of each positive, on average over the orders of equal scores."""
    cutoff = totals.shape[1] - 1
    top = scores.topk(min(cutoff, scores.shape[1])).values
    last = top[:, -1]
    num_last = (scores == last[:, None]).sum(-1)
    score = scores[positives.users, positives.items][:, None]
    best = top[positives.users]
    above = (best > score).sum(-1)  # the whole cutoff, for a positive that is not among the top
    tied = (best == score).sum(-1).clamp(min=1)
    # Only scores equal to the last may go on beyond the top.
    tied = torch.where(score[:, 0] == last[positives.users], num_last[positives.users], tied)
    below = (above + tied).clamp(max=cutoff)
    return (totals[:, below] - totals[:, above]) / tied
