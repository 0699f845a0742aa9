"""A checkpoint gives the model back, bit for bit, or says why it cannot."""

import copy
import errno
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tablefree import hashing
from tablefree.embeddings import METHODS, build
from tablefree.errors import CheckpointError, InputError
from tablefree.fields.kinds import Column
from tablefree.fields.model import Predictor
from tablefree.models import MODELS
from tablefree.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

DIM, IDS = 4, 300
USER_IDS = np.arange(IDS, dtype=np.int64) * 7 - 500
ITEM_IDS = np.arange(IDS, dtype=np.int64) * 11 + 2**62


def make(method="deep_hash", model="gmf"):
    def embedding(ids, seed):
        return build(
            method,
            num_parameters=IDS * DIM,
            num_embeddings=IDS,
            embedding_dim=DIM,
            seed=seed,
            frequent_ids=torch.from_numpy(ids),
        )

    built = MODELS[model](embedding(USER_IDS, "user_id:0"), embedding(ITEM_IDS, "item_id:0"))
    known = {"visitor": USER_IDS, "article": ITEM_IDS}
    needs = built.users.needs_vocabulary
    predictor = Predictor(
        built,
        [Column("visitor", "categorical", "integer"), Column("article", "categorical", "string")],
        [],
        {name: torch.from_numpy(ids) for name, ids in known.items()} if needs else {},
    )
    return Checkpoint(
        predictor.eval(),
        "invented",
        "random",
        {"method": method, "seed": 0},
        {"test_auc": 0.5, "test_auc_head": None},
    )


@pytest.fixture
def folder(tmp_path):
    save_checkpoint(tmp_path / "checkpoint", make())
    return tmp_path / "checkpoint"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_gives_the_model_back(tmp_path, method, model):
    saved = make(method, model)
    state = torch.random.get_rng_state()
    save_checkpoint(tmp_path / "folder", saved)
    loaded = load_checkpoint(tmp_path / "folder")
    assert torch.equal(torch.random.get_rng_state(), state)
    before, after = saved.predictor, loaded.predictor
    assert not after.training
    assert after.columns == before.columns
    unseen = torch.tensor([12345, -1])
    keys = []
    for name, ids in (("visitor", USER_IDS), ("article", ITEM_IDS)):
        some = torch.cat([torch.from_numpy(ids[:50]), unseen])
        keys.append(before.keys(name, some))
        assert torch.equal(after.keys(name, some), keys[-1])
        assert after.is_known(name, some).tolist() == [True] * 50 + [not before.vocabularies()] * 2
    assert torch.equal(after.model(*keys), before.model(*keys))
    for field in ("data", "split", "run", "measures"):
        assert getattr(loaded, field) == getattr(saved, field)


def test_a_loaded_model_can_be_trained(folder):
    model = load_checkpoint(folder).predictor.model
    model(torch.arange(3), torch.arange(3)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_files_are_all_that_is_written(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    config = json.loads((folder / "config.json").read_text())
    assert config["format_version"] == 1
    assert config["model"]["users"]["embedding"]["method"] == "deep_hash"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_truncated_file_is_named(folder, name, kept):
    path = folder / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(folder)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_pickle_is_refused_and_not_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_checkpoint(folder)
    assert not (folder / "exploded").exists()


def edit_config(folder, change):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def of_users(config):
    return config["model"]["users"]["embedding"]


def edit_weights(folder, change):
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.update(format_version=2), "format version 2, and this tablefree reads ver"),
        (lambda c: c.pop("format_version"), "format version None"),
        (lambda c: c["model"].pop("users"), "does not describe a module .*users"),
        (
            lambda c: c["model"].update(name="transformer"),
            "does not describe a module .*transformer",
        ),
        (lambda c: c["model"].update(items=3), "does not describe a module"),
        (lambda c: c.pop("training"), "does not say how its model was trained"),
        (lambda c: c["training"].pop("split"), "does not say how its model was trained"),
        (
            lambda c: of_users(c).update(method="magic"),
            "unknown method 'magic'",
        ),
        (lambda c: of_users(c).pop("hidden"), "do not fit"),
        (
            lambda c: of_users(c).update(hidden=[3]),
            "do not fit its config.json",
        ),
        (
            lambda c: of_users(c).update(seed=5),
            "other hash functions: seed is",
        ),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_by_name(folder, change, named):
    edit_config(folder, change)
    with pytest.raises(CheckpointError, match=named) as refused:
        load_checkpoint(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.pop("model.weight"), "model.weight"),
        (lambda t: t.pop("model.users.encodings.0._extra_state"), "_extra_state"),
        (lambda t: t.update(more=torch.zeros(1)), "more"),
        (
            lambda t: t.update({"model.weight": t["model.weight"].long()}),
            "weight is torch.int64, not torch.flo",
        ),
        (lambda t: t.update({"model.weight": torch.zeros(3)}), "weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(folder, change, named):
    edit_weights(folder, change)
    with pytest.raises(CheckpointError, match=f"do not fit its config.json: .*{named}"):
        load_checkpoint(folder)


def test_another_hash_contract_is_refused(folder, monkeypatch):
    from tablefree.encodings import hash_buckets

    monkeypatch.setattr(hash_buckets, "CONTRACT_VERSION", hashing.CONTRACT_VERSION + 1)
    with pytest.raises(CheckpointError, match="contract_version is 1 in the checkpoint and 2 in"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.pop("vocabulary_1"), "vocabulary_1"),
        (
            lambda t: t.update({"vocabulary_1": torch.arange(9)}),
            r"vocabulary_1 has shape \[9\], not \[300\]",
        ),
        (lambda t: t.update(vocabulary_1=torch.zeros(IDS, dtype=torch.int64)), "twice"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(tmp_path, change, named):
    save_checkpoint(tmp_path, make("full_table"))
    edit_weights(tmp_path, change)
    with pytest.raises(CheckpointError, match=named):
        load_checkpoint(tmp_path)


def test_a_checkpoint_is_not_written_over(folder):
    with pytest.raises(InputError, match="holds a checkpoint: remove the folder first"):
        save_checkpoint(folder, make())


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("text")
    with pytest.raises(InputError, match="holds other things"):
        save_checkpoint(tmp_path, make())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_disk_that_fills_up_leaves_no_half_checkpoint(tmp_path, monkeypatch, name):
    sync = os.fsync

    def full(descriptor):
        if name in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        save_checkpoint(tmp_path, make())
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)


def test_saving_leaves_the_model_as_it_was(tmp_path):
    saved = make()
    before = copy.deepcopy(saved.predictor.state_dict())
    save_checkpoint(tmp_path, saved)
    after = saved.predictor.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
