"""What was saved comes back bit for bit, here, in a fresh process and from older versions."""

import copy
import hashlib
import json
import pickle
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tablefree
from tablefree import (
    GMF,
    CachedEmbedding,
    CheckpointError,
    DecodedEmbedding,
    DeepHashEmbedding,
    Embedding,
    EmbeddingCollection,
    HashingTrick,
    InputError,
    TablefreeError,
)
from tablefree.embeddings import METHODS
from tablefree.embeddings.history import HistoryUsers
from tablefree.fields.kinds import Column
from tablefree.fields.model import Predictor
from tablefree.training.checkpoint import Checkpoint, save_checkpoint

GOLDEN = Path(__file__).parent / "golden"
MAKER = runpy.run_path(str(GOLDEN / "make_checkpoints.py"))
NAMES = list(MAKER["modules"]())
FRESH = """
import hashlib, runpy, sys
from pathlib import Path
import torch
from tablefree import pretrained
inputs = runpy.run_path(sys.argv[1])["inputs"]
torch.set_grad_enabled(False)
for folder in sorted(Path(sys.argv[2]).iterdir()):
    kind = getattr(__import__("tablefree"), (folder / "kind").read_text())
    output = kind.from_pretrained(folder)(*inputs(folder.name))
    print(folder.name, hashlib.sha256(output.numpy().tobytes()).hexdigest())
assert not {"huggingface_hub", "sklearn"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def modules():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return {name: MAKER["trained"](name, module) for name, module in MAKER["modules"]().items()}


def output(name, module):
    with torch.no_grad():
        return module(*MAKER["inputs"](name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_module_comes_back(modules, tmp_path, name, dtype):
    module = copy.deepcopy(modules[name]).to(dtype)
    module.save_pretrained(tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    state = torch.random.get_rng_state()
    loaded = type(module).from_pretrained(str(tmp_path / "new"))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert type(loaded) is type(module)
    assert not loaded.training
    assert loaded.saved_config() == module.saved_config()
    assert torch.equal(output(name, loaded), output(name, module))


def test_a_fresh_process_returns_the_same_bits(modules, tmp_path):
    lines = []
    for name in sorted(modules):
        module = modules[name]
        module.save_pretrained(tmp_path / name)
        (tmp_path / name / "kind").write_text(type(module).__name__)
        digest = hashlib.sha256(output(name, module).numpy().tobytes()).hexdigest()
        lines.append(f"{name} {digest}")
    command = [sys.executable, "-c", FRESH, str(GOLDEN / "make_checkpoints.py"), str(tmp_path)]
    fresh = subprocess.run(command, capture_output=True, text=True, check=True)
    assert fresh.stdout.splitlines() == lines


@pytest.mark.parametrize("name", NAMES)
def test_golden_checkpoints_are_read(modules, name):
    folder = GOLDEN / "checkpoints" / name
    loaded = type(modules[name]).from_pretrained(folder)
    expected = json.loads((folder / "expected.json").read_text())
    inputs = [torch.tensor(values) for values in expected["inputs"]]
    with torch.no_grad():
        torch.testing.assert_close(loaded(*inputs), torch.tensor(expected["output"]))


def test_every_method_has_a_golden_checkpoint():
    golden = {path.name for path in (GOLDEN / "checkpoints").iterdir()}
    assert golden == set(NAMES)
    assert golden >= {*METHODS, "decoded"}


def test_saving_again_replaces_and_leaves_other_files(tmp_path):
    (tmp_path / "thesis.tex").write_text("text")
    HashingTrick(50, 4, seed=1).save_pretrained(tmp_path)
    embedding = DeepHashEmbedding(4, num_hashes=6, hidden=(5,), seed=2)
    embedding.save_pretrained(tmp_path)
    assert Embedding.from_pretrained(tmp_path).config() == embedding.config()
    assert (tmp_path / "thesis.tex").exists()


FROZEN = [
    (name, dtype)
    for name, module in MAKER["modules"]().items()
    for dtype in (torch.float32, torch.bfloat16, torch.int8)
    if hasattr(module, "freeze") and (name, dtype) != ("collection", torch.int8)
]


@pytest.mark.parametrize(("name", "dtype"), FROZEN)
def test_a_frozen_module_comes_back(modules, tmp_path, name, dtype):
    frozen = modules[name].freeze(dtype)
    frozen.save_pretrained(tmp_path)
    loaded = type(frozen).from_pretrained(tmp_path)
    assert loaded.saved_config() == frozen.saved_config()
    assert loaded.describe() == frozen.describe()
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert torch.equal(output(name, loaded), output(name, frozen))


def test_models_and_codes_of_frozen_embeddings_come_back(modules, tmp_path):
    model = GMF(modules["sketch"].freeze(torch.int8), modules["deep_hash"].freeze())
    model.save_pretrained(tmp_path / "model")
    loaded = GMF.from_pretrained(tmp_path / "model")
    assert torch.equal(output("gmf", loaded), output("gmf", model))
    code = DecodedEmbedding(3, [modules["deep_hash"].freeze(torch.bfloat16)]).eval()
    code.save_pretrained(tmp_path / "code")
    assert torch.equal(
        output("sketch", Embedding.from_pretrained(tmp_path / "code")), output("sketch", code)
    )


@pytest.mark.parametrize("frozen", ["float8", 8, ["int8"], None])
def test_what_cannot_be_frozen_is_refused(tmp_path, frozen):
    HashingTrick(9, 4, seed=1).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["embedding"]["frozen"] = frozen
    (tmp_path / "config.json").write_text(json.dumps(config))
    if frozen is None:
        Embedding.from_pretrained(tmp_path)
    else:
        with pytest.raises(CheckpointError, match="HashingTrick cannot be frozen in"):
            Embedding.from_pretrained(tmp_path)


def test_a_cache_is_saved_as_what_it_wraps(tmp_path):
    embedding = HashingTrick(50, 4, seed=1)
    CachedEmbedding(embedding, 10).save_pretrained(tmp_path)
    loaded = Embedding.from_pretrained(tmp_path)
    assert type(loaded) is HashingTrick
    assert torch.equal(loaded(torch.arange(9)), embedding(torch.arange(9)))


def test_a_checkpoint_of_training_is_read(tmp_path):
    model = GMF(HashingTrick(9, 4, seed="user_id"), HashingTrick(9, 4, seed="item_id"))
    columns = [Column(name, "categorical", "integer") for name in ("user_id", "item_id")]
    predictor = Predictor(model, columns, [], {})
    save_checkpoint(tmp_path, Checkpoint(predictor, "data", "random", {}, {}))
    loaded = tablefree.load(tmp_path)
    assert torch.equal(output("gmf", loaded.model), output("gmf", model))
    with pytest.raises(CheckpointError, match="does not describe a module of class GMF"):
        GMF.from_pretrained(tmp_path)


class Own(HashingTrick):
    pass


def tied():
    embedding = HashingTrick(9, 4, seed="id")
    return GMF(embedding, embedding)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: HistoryUsers(HashingTrick(9, 4, seed=1), 4), "'history'.*with their model"),
        (lambda: Own(9, 4, seed=1), "this Own cannot.*come back as a HashingTrick"),
        (tied, "used twice"),
    ],
)  # fmt: skip
def test_what_could_not_come_back_is_not_saved(tmp_path, make, reason):
    with pytest.raises(InputError, match=reason) as refused:
        make().save_pretrained(tmp_path)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def saved(tmp_path):
    HashingTrick(9, 4, seed=1).save_pretrained(tmp_path)
    return tmp_path


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('exploded')",)


def dump(path):
    path.write_bytes(pickle.dumps(Bomb()))


def save(path):
    torch.save({"weight": torch.zeros(1)}, path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("pickled", [dump, save])
def test_a_pickle_in_the_place_of_a_file_is_refused(saved, pickled, name):
    pickled(saved / name)
    with pytest.raises(CheckpointError, match=rf"{name} cannot.*: {name} .*pickle.*save_pretrain"):
        Embedding.from_pretrained(saved)


def test_a_pickle_beside_what_is_missing_is_refused(saved):
    save(saved / "pytorch_model.bin")
    (saved / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"safetensors cannot.*pytorch_model\.bin .*pickle"):
        Embedding.from_pretrained(saved)
    with pytest.raises(CheckpointError, match=r"model\.bin is a file: .*pickles"):
        Embedding.from_pretrained(saved / "pytorch_model.bin")


def test_another_class_is_refused_by_name(saved):
    with pytest.raises(CheckpointError, match=r"no DeepHashEmbedding but a HashingTrick: call"):
        DeepHashEmbedding.from_pretrained(saved)
    with pytest.raises(CheckpointError, match="describe a module of class EmbeddingCollection"):
        EmbeddingCollection.from_pretrained(saved)


def test_the_hub_needs_its_package(monkeypatch):
    monkeypatch.delitem(sys.modules, "tablefree.hub", raising=False)
    monkeypatch.delattr("tablefree.hub", raising=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"huggingface_hub, .*pip install \"tablefree\[hub\]\""):
        Embedding.from_pretrained("ann/items")


def test_rows_are_no_folder():
    with pytest.raises(InputError, match=r"takes a folder .* got Tensor: `tablefree\.convert`"):
        Embedding.from_pretrained(torch.rand(3, 2))


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "n" * 300])
def test_a_folder_that_cannot_be_is_refused(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="cannot write"):
        HashingTrick(4, 2, seed=0).save_pretrained(name)
    with pytest.raises(TablefreeError):
        HashingTrick.from_pretrained(name, local_files_only=True)
