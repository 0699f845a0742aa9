"""The files of a checkpoint: none is lost, none is a mixture, and a small one takes little."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tablefree import (
    CheckpointError,
    DeepHashEmbedding,
    Embedding,
    HashingTrick,
    InputError,
    SketchEmbedding,
)

GOLDEN = Path(__file__).parent / "golden"
MAKER = runpy.run_path(str(GOLDEN / "make_checkpoints.py"))
IDS = torch.arange(50)


def run(script, *arguments):
    """What a script printed in a process of its own."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def old():
    return HashingTrick(30, 4, seed="old")


@pytest.fixture
def new():
    return DeepHashEmbedding(6, num_hashes=8, hidden=(5,), seed="new").eval()


def is_saved(folder, embedding):
    loaded = Embedding.from_pretrained(folder)
    return loaded.config() == embedding.config() and torch.equal(loaded(IDS), embedding(IDS))


class TestNeverASilentLoss:
    @pytest.mark.parametrize("failing", ["config.json", "model.safetensors"])
    def test_a_disk_that_fills_up_leaves_the_old_one(
        self, tmp_path, monkeypatch, old, new, failing
    ):
        old.save_pretrained(tmp_path)
        sync = os.fsync

        def full(descriptor):
            if failing in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
                raise OSError(28, "No space left on device")
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="No space left"):
            new.save_pretrained(tmp_path)
        assert is_saved(tmp_path, old)
        assert len(list(tmp_path.iterdir())) == 2

    def test_weights_that_cannot_be_written_leave_the_old_one(self, tmp_path, old, new):
        old.save_pretrained(tmp_path)
        new.output_weights()[0].data[0, 0] = torch.nan
        with pytest.raises(InputError, match=r"output.weight of it has NaN"):
            new.save_pretrained(tmp_path)
        assert is_saved(tmp_path, old)

    @pytest.mark.parametrize("num_replaced", [0, 1])
    def test_a_stop_before_and_between_the_two_files(
        self, tmp_path, monkeypatch, old, new, num_replaced
    ):
        old.save_pretrained(tmp_path)
        replace, replaced = Path.replace, []

        def stopping(path, target):
            if len(replaced) == num_replaced:
                raise KeyboardInterrupt
            replaced.append(replace(path, target))

        monkeypatch.setattr(Path, "replace", stopping)
        with pytest.raises(KeyboardInterrupt):
            new.save_pretrained(tmp_path)
        assert is_saved(tmp_path, (old, new)[num_replaced])

    def test_twenty_kills_lose_nothing(self, tmp_path):
        assert run(KILLS, tmp_path).split()[-1] == "20"

    def test_what_is_loaded_is_what_was_saved(self, tmp_path, old):
        old.save_pretrained(tmp_path)
        path = tmp_path / "model.safetensors"
        content = bytearray(path.read_bytes())
        content[-3] ^= 1  # the lowest bits of the last number
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="is damaged"):
            Embedding.from_pretrained(tmp_path)

    def test_weights_of_another_tool_are_taken(self, tmp_path, old):
        old.save_pretrained(tmp_path)
        path = tmp_path / "model.safetensors"
        weights = load_file(path)
        save_file({name: one + (name == "rows.weight") for name, one in weights.items()}, path)
        assert torch.equal(Embedding.from_pretrained(tmp_path)(IDS), old(IDS) + 1)


KILLS = """
import os, random, signal, sys, time
import torch
from tablefree import DeepHashEmbedding, Embedding, HashingTrick
torch.set_num_threads(1)
folder, ids = sys.argv[1], torch.arange(20)
kinds = [HashingTrick(100_000, 8, seed="a"), DeepHashEmbedding(4, num_hashes=8, seed="b").eval()]
for kind in kinds:
    kind.save_pretrained(folder)
outputs = [kind(ids) for kind in kinds]
for kills in range(20):
    child = os.fork()
    if not child:
        while True:
            for kind in kinds:
                kind.save_pretrained(folder)
    time.sleep(random.uniform(0.01, 0.2))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    output = Embedding.from_pretrained(folder)(ids)
    assert any(output.shape == one.shape and torch.equal(output, one) for one in outputs)
    print(kills + 1)
"""


class TestMemory:
    def test_saving_takes_little_more_than_the_largest_tensor(self, tmp_path):
        before, after, largest = map(int, run(PEAK, tmp_path).split())
        assert after - before < 0.1 * largest

    def test_a_loaded_module_owns_aligned_weights(self, tmp_path, old):
        old.save_pretrained(tmp_path)
        loaded = Embedding.from_pretrained(tmp_path)
        assert all(one.data_ptr() % 64 == 0 for one in loaded.state_dict().values())
        with (tmp_path / "model.safetensors").open("r+b") as file:
            file.write(bytes(1000))
            file.truncate(1000)
        assert torch.equal(loaded(IDS), old(IDS))

    @settings(max_examples=20, deadline=None)
    @given(
        st.integers(1, 12), st.integers(1, 6), st.integers(1, 20), st.sampled_from(["rms", "none"])
    )
    def test_the_same_bits_whatever_the_shape(self, tmp_path_factory, width, code, hidden, norm):
        embedding = SketchEmbedding(
            width, num_rows=7, code_width=code, hidden=(hidden,), norm=norm, seed="a"
        ).eval()
        folder = tmp_path_factory.mktemp("saved")
        embedding.save_pretrained(folder)
        with torch.no_grad():
            assert torch.equal(Embedding.from_pretrained(folder)(IDS), embedding(IDS))


PEAK = """
import resource, sys
from tablefree import FullTable, HashingTrick
folder = sys.argv[1]
HashingTrick(10, 8, seed="a").save_pretrained(folder)  # what is imported when it is needed
table = FullTable(3_000_000, 8)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
table.save_pretrained(folder)
print(before, peak(), table.rows.weight.nbytes)
"""


class TestCheckedWhole:
    @pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
    def test_numbers_that_are_not_finite(self, tmp_path, old, value):
        old.save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        weights["rows.weight"] = weights["rows.weight"].index_fill(0, torch.tensor(3), value)
        save_file(weights, tmp_path / "model.safetensors")
        with pytest.raises(CheckpointError, match=r"rows.weight in .* has NaN or infinity"):
            Embedding.from_pretrained(tmp_path)

    @pytest.mark.parametrize(
        ("dtype", "reason"),
        [
            (torch.float8_e4m3fn, "rows.weight in .* is F8_E4M3"),
            (torch.float16, r"they are \['torch.float16'\], not \['torch.float32'\]"),
            (torch.int32, "they are"),
        ],
    )
    def test_weights_that_were_cast(self, tmp_path, old, dtype, reason):
        old.save_pretrained(tmp_path)
        path = tmp_path / "model.safetensors"
        weights = load_file(path)
        save_file(weights | {"rows.weight": weights["rows.weight"].to(dtype)}, path)
        with pytest.raises(CheckpointError, match=reason):
            Embedding.from_pretrained(tmp_path)

    def test_the_weights_have_the_configuration_with_them(self, tmp_path, old):
        old.save_pretrained(tmp_path)
        with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
            assert file.metadata()["config"] == (tmp_path / "config.json").read_text()


def huge(**changes):
    return {"method": "hashing_trick", "num_rows": 30, "embedding_dim": 4, "seed": 1} | changes


DECODED = {"method": "decoded", "embedding_dim": 4, "hidden": [3], "norm": "rms"}


def nested(depth):
    config = huge()
    for _ in range(depth):
        config = DECODED | {"encodings": [config]}
    return config


class TestASmallFileTakesLittle:
    def test_sizes_are_held_against_the_weights(self, tmp_path, old):
        old.save_pretrained(tmp_path)
        hostile = [
            huge(num_rows=10**12),
            huge(num_rows=2**32, embedding_dim=2**40),
            huge(embedding_dim=10**30),
            {"method": "full_table", "num_embeddings": 10**13, "embedding_dim": 4},
            {"method": "deep_hash", "embedding_dim": 4, "hidden": [10**9], "seed": 1},
            {"method": "deep_hash", "embedding_dim": 4, "hidden": [2] * 10**6, "seed": 1},
            {"method": "hybrid_hash", "num_frequent_ids": 10**12, "num_rows": 3,
             "embedding_dim": 4, "seed": 1},
            DECODED | {"encodings": [{"encoding": "side_features", "num_ids": 10**9,
                                      "width": 10**5}]},
            DECODED | {"encodings": [{"encoding": "bag_features", "num_ids": 10**11, "alpha": 0.5,
                                      "num_tags": 10**12, "tags": huge()}]},
            DECODED | {"encodings": [{"encoding": "binary_digits"}] * 10**5},
            DECODED | {"encodings": 7},
            DECODED | {"encodings": {"encoding": "binary_digits"}},
            DECODED | {"encodings": [[]]},
            nested(60),
            nested(300),
        ]  # fmt: skip
        (tmp_path / "hostile").write_text(json.dumps(hostile))
        assert int(run(LIMITED, tmp_path)) == len(hostile)

    @pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "9" * 10**5, "NaN", "\xff"])
    def test_what_is_hardly_json(self, tmp_path, old, text):
        old.save_pretrained(tmp_path)
        (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(CheckpointError, match=r"config.json (cannot be read|has format)"):
            Embedding.from_pretrained(tmp_path)

    def test_any_change_of_a_configuration(self, tmp_path):
        run(FUZZ, tmp_path, GOLDEN)


LIMITED = """
import json, resource, sys
from pathlib import Path
from tablefree import CheckpointError, Embedding
folder, refused = Path(sys.argv[1]), 0
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2)
for config in json.loads((folder / "hostile").read_text()):
    (folder / "config.json").write_text(json.dumps({"format_version": 1, "embedding": config}))
    try:
        Embedding.from_pretrained(folder)
    except CheckpointError as error:
        refused += "\\n" not in str(error)
print(refused)
"""
FUZZ = """
import json, resource, runpy, shutil, sys
from pathlib import Path
from hypothesis import HealthCheck, given, settings, strategies as st
import torch
from tablefree import CheckpointError
folder, golden = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
kinds = runpy.run_path(str(golden / "make_checkpoints.py"))["modules"]()
names = sorted(kinds)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2)
hostile = st.one_of(
    st.sampled_from([10**9, 10**12, 2**31, 2**63, 2**64, 10**30, -1, 0, 1, -(2**63), 10**400]),
    st.integers(), st.floats(), st.text(max_size=5), st.booleans(), st.none(),
    st.recursive(st.integers(), lambda inner: st.lists(inner, max_size=4), max_leaves=9),
    st.lists(st.integers(1, 10**9), max_size=4), st.just([2] * 10**4), st.just({}),
    st.just({"method": "decoded"}), st.just([{"encoding": "binary_digits"}] * 10**4),
)

def places(value, path=()):
    yield path
    for key in value if isinstance(value, dict) else []:
        yield from places(value[key], (*path, key))
    for key in range(len(value)) if isinstance(value, list) else []:
        yield from places(value[key], (*path, key))

@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def change(data):
    name = data.draw(st.sampled_from(names))
    config = json.loads((golden / "checkpoints" / name / "config.json").read_text())
    for _ in range(data.draw(st.integers(1, 2))):
        *path, last = data.draw(st.sampled_from([path for path in places(config) if path]))
        inside = config
        for key in path:
            inside = inside[key]
        if data.draw(st.booleans()):
            # As JSON has it: a list that held itself, or ten thousand names of one dictionary in
            # each of which ten thousand more were put, would be the end of this script.
            inside[last] = json.loads(json.dumps(data.draw(hostile)))
        elif isinstance(inside, dict):
            inside[data.draw(st.text(max_size=3))] = inside.pop(last)
    shutil.copy(golden / "checkpoints" / name / "model.safetensors", folder)
    (folder / "config.json").write_text(json.dumps(config))
    try:
        type(kinds[name]).from_pretrained(folder)
    except CheckpointError as error:
        assert "\\n" not in str(error)

change()
"""
