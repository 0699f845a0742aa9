"""A converted model is saved, copied, moved, compiled and distributed as any other is."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import nn

from tablefree import CheckpointError, convert

WORKER = Path(__file__).with_name("distributed_worker.py")


METHODS = ("sketch", "quotient_remainder")


@pytest.fixture(params=METHODS)
def model(request, ranker):
    return convert(ranker, method=request.param)[0].eval()


@pytest.mark.parametrize("method", METHODS)
def test_the_state_dict_fits_a_model_converted_alike(method, ranker_type, batch, tmp_path):
    model, *others = (convert(ranker_type(), method=method)[0].eval() for _ in range(3))
    assert not torch.equal(others[0](*batch), model(*batch))
    others[0].load_state_dict(model.state_dict())
    save_model(model, tmp_path / "model.safetensors")
    load_model(others[1], tmp_path / "model.safetensors")
    for other in others:
        assert torch.equal(other(*batch), model(*batch))


def test_a_state_dict_does_not_fit_another_place():
    here, there = (
        convert(nn.ModuleDict({name: nn.Embedding(1000, 8)}))[0] for name in ("here", "there")
    )
    with pytest.raises(CheckpointError, match="other hash functions: seed is"):
        there["there"].load_state_dict(here["here"].state_dict())


def test_copies_and_pickles(model, batch, tmp_path):
    torch.save(model, tmp_path / "model.pt")
    loaded = torch.load(tmp_path / "model.pt", weights_only=False)
    for other in (copy.deepcopy(model), loaded):
        assert torch.equal(other(*batch), model(*batch))
        assert not hasattr(other.user, "weight")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_stay_near(model, batch, dtype):
    scores = model(*batch)
    moved = model.to("cpu").to(dtype)
    assert moved(*batch).dtype == dtype
    torch.testing.assert_close(moved(*batch).float(), scores, atol=0.05, rtol=0.05)


@pytest.fixture(params=METHODS)
def scorer(request):
    table = nn.Embedding(1000, 8, padding_idx=0)
    return convert(nn.Sequential(table, nn.Linear(8, 1)), method=request.param)[0]


def test_compiles_into_one_graph(scorer):
    torch._dynamo.reset()
    compiled = torch.compile(scorer, fullgraph=True, backend="aot_eager")
    ids = torch.arange(12).view(4, 3)
    torch.testing.assert_close(compiled(ids), scorer(ids))


def test_exports_with_any_number_of_ids(scorer):
    ids = torch.arange(12).view(4, 3)
    program = torch.export.export(
        scorer, (ids,), dynamic_shapes={"input": {0: torch.export.Dim("rows")}}
    )
    longer = torch.arange(30).view(10, 3)
    torch.testing.assert_close(program.module()(longer), scorer(longer))


def test_two_processes_learn_as_one(tmp_path):
    """With halves of a batch, gradients averaged, as one process with the whole."""
    processes = [
        subprocess.Popen([sys.executable, WORKER, str(rank), tmp_path], stderr=subprocess.PIPE)
        for rank in (0, 1)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    first, second, alone = (
        torch.load(tmp_path / f"{name}.pt") for name in ("rank0", "rank1", "alone")
    )
    for name, rows in alone.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], rows, atol=1e-5, rtol=1e-4)
