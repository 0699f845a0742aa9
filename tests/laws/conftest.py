"""What the laws share: noise, a design that rotates, and what chance gives with what error."""

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from tablefree.data import Interactions
from tablefree.embeddings.budget import METHODS
from tablefree.experiments.evaluation import evaluate
from tablefree.experiments.recipes import default_recipe
from tablefree.experiments.run import train
from tablefree.experiments.spec import USERS, Run
from tablefree.experiments.task import Task
from tablefree.models import MODELS
from tablefree.training.metrics import score_pairs

CUTOFF = 20
TOLERANCE = 3.0  # standard errors
SPLITS = ("random", "leave-last-out", "time", "cold-items", "cold-users")


@dataclass(frozen=True)
class Case:
    """What is trained on what."""

    method: str
    model: str
    users: str
    how: str
    seed: int

    def run(self, task: Task, **changes: object) -> Run:
        """With the default recipe, and enough parameters to store pairs."""
        options = {"max_epochs": 6, "precision": "float32"} | changes
        recipe = default_recipe(self.method, task.events_per_id, **options)
        size = 4.0 if self.method == "sketch" else 1.0  # much of it is a decoder
        return Run(self.method, self.model, size, self.seed, 16, recipe, users=self.users)


# Each method with each split, model and kind of user, and each pair of these too.
DESIGN = tuple(
    Case(method, tuple(MODELS)[(m + s) % 2], USERS[(m + s) % 3], how, seed=m * len(SPLITS) + s)
    for m, method in enumerate(METHODS)
    for s, how in enumerate(SPLITS)
)
LEVELS = (*METHODS, *MODELS, *USERS, *SPLITS)


class Deviation(NamedTuple):
    """A measure less what chance gives, and its variance under chance."""

    value: float
    variance: float


def noise(seed: int, how: str = "random", weights: np.ndarray | None = None) -> Interactions:
    """Users who draw a third of the items each, at random or by weight, in random order of time."""
    rng = np.random.default_rng(seed)
    num_items = 60 if how != "cold-items" else 240  # a tenth of them must be more than the cutoff
    num_users, each = 60, num_items // 3
    # The largest of log(weight) + Gumbel noise are draws by weight without replacement.
    keys = rng.gumbel(size=(num_users, num_items)) + np.log(1.0 if weights is None else weights)
    item = np.argsort(keys, axis=1)[:, -each:].ravel()
    order = rng.permutation(len(item))
    return Interactions(
        name="noise",
        user=np.repeat(np.arange(num_users), each)[order],
        item=item[order],
        user_ids=rng.integers(-(2**63), 2**63, num_users),
        item_ids=rng.integers(-(2**63), 2**63, num_items),
        timestamp=np.arange(len(item)),
    )


def trained(case: Case, task: Task, **changes: object) -> tuple[dict[str, float], np.ndarray]:
    """The measures that a trained model is reported with, and its logits of the test pairs."""
    model, _ = train(case.run(task, **changes), task)
    users, items = task.users.keys(model.users), task.items.keys(model.items)
    pairs = (users[torch.from_numpy(task.test.users)], items[torch.from_numpy(task.test.items)])
    return evaluate(model, task, users, items), score_pairs(model, *pairs).numpy()


def by_swaps(auc: float, logits: np.ndarray) -> Deviation:
    """AUC where a positive and its negative, of one user, might as well be swapped.

    Such an AUC is a constant and, for each pair, plus or minus a difference of ranks.
    """
    positives, negatives = np.split(rankdata(logits), 2)
    return Deviation(auc - 0.5, ((positives - negatives) ** 2).sum() / 4 / len(positives) ** 4)


def by_permutations(auc: float, logits: np.ndarray, labels: np.ndarray) -> Deviation:
    """AUC where labels might as well be permuted: a sum of ranks drawn without replacement."""
    num_positives, num_negatives = int(labels.sum()), int((1 - labels).sum())
    variance = rankdata(logits).var() / (len(labels) - 1) / num_positives / num_negatives
    return Deviation(auc - 0.5, variance)


def num_ranked(task: Task, model: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The held-out positives of each ranked user, and all of the items that are ranked."""
    held_out = task.held_out if model == "gmf" else task.held_out_few
    is_ranked = torch.ones(len(held_out.users), task.interactions.num_items, dtype=torch.bool)
    is_ranked[held_out.known.users, held_out.known.items] = False
    is_ranked[:, held_out.unranked] = False
    return torch.bincount(held_out.positives.users).double(), is_ranked.sum(1).double()


def expected_recall(task: Task, model: str) -> float:
    """Recall where the ranks are random."""
    _, ranked = num_ranked(task, model)
    return float((CUTOFF / ranked).clamp(max=1).mean())


def by_draws(recall: float, task: Task, model: str) -> Deviation:
    """Recall where the first ranks are drawn from a user's ranked items, without replacement."""
    positives, ranked = num_ranked(task, model)
    share = (CUTOFF / ranked).clamp(max=1)
    left = (ranked / positives - 1) / (ranked - 1).clamp(min=1)
    variance = float((share * (1 - share) * left).mean()) / len(ranked)
    return Deviation(recall - expected_recall(task, model), variance)


def standard_errors(deviations: Iterable[Deviation]) -> float:
    """By how many standard errors the mean of independent measures is from chance."""
    values, variances = np.array(list(deviations)).T
    return float(values.sum() / np.sqrt(variances.sum()))


@pytest.fixture(scope="session")
def chance() -> SimpleNamespace:
    return SimpleNamespace(
        by_swaps=by_swaps,
        by_permutations=by_permutations,
        by_draws=by_draws,
        expected_recall=expected_recall,
        standard_errors=standard_errors,
        tolerance=TOLERANCE,
    )


@pytest.fixture(scope="session")
def lab() -> SimpleNamespace:
    return SimpleNamespace(Case=Case, design=DESIGN, noise=noise, trained=trained)


@pytest.fixture(params=LEVELS)
def at_level(request: pytest.FixtureRequest) -> Callable[[dict[Case, Deviation]], list[Deviation]]:
    """What was measured with one method, model, kind of user or split."""
    return lambda results: [one for case, one in results.items() if request.param in astuple(case)]
