"""`tablefree.convert` in DeepFM and BPR of RecBole, on ML-100K.

RecBole 1.2.1 wants pandas below 3 and other old packages, so `make drop-in` gives it an environment
of its own, and three names that NumPy 2 has dropped, which it is given below. Its data set numbers
all values and keeps that vocabulary. Its trainer cannot load its best checkpoint by `torch.load` as
that is now: the model is tested as the epoch leaves it.

BPR reads the weight of its items to score them all, so `convert` refuses that table. The way round
is to call the embedding with all ids.

Run: TABLEFREE_DATA=FOLDER python benchmarks/drop_in_recbole.py [--seeds 3]
"""

import contextlib
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from drop_in import (
    BATCH,
    DIM,
    FIELDS,
    HIDDEN,
    LEARNING_RATE,
    MIN_ROWS,
    TEST_SHARE,
    USER_FIELDS,
    Peer,
    arguments,
    report,
)
from torch import Tensor, nn

from tablefree import Conversion, convert

np.float_, np.complex_, np.unicode_ = np.float64, np.complex128, np.str_  # noqa: NPY201

from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.data.interaction import Interaction  # noqa: E402
from recbole.model.context_aware_recommender import DeepFM  # noqa: E402
from recbole.model.general_recommender import BPR  # noqa: E402
from recbole.trainer import Trainer  # noqa: E402
from recbole.utils import init_seed  # noqa: E402


class TablefreeBPR(BPR):
    """BPR whose scores of all items need no weight."""

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        users = self.get_user_embedding(interaction[self.USER_ID])
        items = self.item_embedding(torch.arange(self.n_items, device=users.device))
        return (users @ items.T).flatten()


class RecBole(Peer):
    """A model that RecBole's `Trainer` trains on its own data set.

    DeepFM is tested by the AUC of all events, BPR by the mean over users of the AUC of their test
    items among all that they have not rated in training.
    """

    def __init__(self, kind: type[DeepFM | BPR], folder: Path) -> None:
        self.kind, is_bpr = kind, issubclass(kind, BPR)
        self.metric = "GAUC" if is_bpr else "AUC"
        item_fields = [name for name in FIELDS if name not in USER_FIELDS]
        features = {} if is_bpr else {"user": list(USER_FIELDS), "item": item_fields}
        self.config = Config(
            model=kind,
            dataset=folder.name,
            config_dict={
                "data_path": str(folder.parent),
                "load_col": {"inter": ["user_id", "item_id", "rating"], **features},
                "threshold": None if is_bpr else {"rating": 4},
                "eval_args": {
                    "split": {"RS": [1 - TEST_SHARE, 0, TEST_SHARE]},
                    "order": "RO",
                    "group_by": None,
                    "mode": "full" if is_bpr else "labeled",
                },
                "metrics": [self.metric],
                "valid_metric": self.metric,
                "embedding_size": DIM,
                "mlp_hidden_size": list(HIDDEN),
                "dropout_prob": 0.0,
                "learning_rate": LEARNING_RATE,
                "train_batch_size": BATCH,
                "epochs": 1,
                "seed": 0,
                "use_gpu": False,
                "show_progress": False,
                "state": "ERROR",
            },
        )
        init_seed(0, reproducibility=True)
        dataset = create_dataset(self.config)
        self.train, _, self.test = data_preparation(self.config, dataset)

    def build(self, seed: int) -> nn.Module:
        init_seed(seed, reproducibility=True)
        return self.kind(self.config, self.train.dataset)

    def convert(self, model: nn.Module) -> list[Conversion]:
        _, conversion = convert(model, min_rows=MIN_ROWS)
        return [conversion]

    def fit(self, model: nn.Module) -> None:
        Trainer(self.config, model).fit(self.train, saved=False, verbose=False)

    def predict(self, model: nn.Module) -> Tensor:
        events = self.test.dataset
        with torch.no_grad():
            return model.eval().predict(events.join(events.inter_feat))

    def auc(self, model: nn.Module) -> float:
        trainer = Trainer(self.config, model)
        return float(trainer.evaluate(self.test, load_best_model=False)[self.metric.lower()])


def main() -> None:
    options = arguments()
    warnings.filterwarnings("ignore", module="recbole", category=FutureWarning)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # it writes logs
        for kind in (DeepFM, TablefreeBPR):
            peer = RecBole(kind, options.folder)
            name = f"RecBole {kind.__name__.removeprefix('Tablefree')}"
            report(f"{name}, tables", peer, options.seeds)
            report(f"{name}, converted", peer, options.seeds, is_converted=True)
        peer = RecBole(BPR, options.folder)
        print("BPR as it is", *peer.convert(peer.build(seed=0)), sep="\n")


if __name__ == "__main__":
    main()
