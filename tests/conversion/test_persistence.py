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


inductor_is_imported = pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")


def assert_compiles_into_one_graph_that_learns(module, *batches):
    torch._dynamo.reset()
    # The decompositions are those of the default backend, which asks most about sizes.
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager_decomp_partition")
    for inputs in batches:
        gradients = []
        for call in (module, compiled):
            module.zero_grad()
            call(*inputs).square().sum().backward()
            gradients.append([parameter.grad for parameter in module.parameters()])
        torch.testing.assert_close(compiled(*inputs), module(*inputs))
        torch.testing.assert_close(*gradients)


@inductor_is_imported
@pytest.mark.untraced
def test_compiles_into_one_graph_that_learns(scorer):
    batches = ((torch.arange(12).view(4, 3),), (torch.arange(30).view(10, 3) % 7,))
    assert_compiles_into_one_graph_that_learns(scorer, *batches)


@pytest.mark.untraced
def test_exports_with_any_number_of_ids(scorer):
    ids = torch.arange(12).view(4, 3)
    program = torch.export.export(
        scorer, (ids,), dynamic_shapes={"input": {0: torch.export.Dim("rows")}}
    )
    longer = torch.arange(30).view(10, 3)
    torch.testing.assert_close(program.module()(longer), scorer(longer))


BAG_OPTIONS = ({}, {"mode": "mean", "padding_idx": 3}, {"include_last_offset": True})


def bag_inputs(options, *sizes):
    """Ids one bag after the other, and their offsets."""
    offsets = torch.tensor([0, *sizes]).cumsum(0)
    ids = torch.arange(sum(sizes)) % 7
    return ids, offsets if options.get("include_last_offset") else offsets[:-1]


@pytest.fixture(params=METHODS)
def bags(request):
    """Converted bags, a module for each of the options."""
    return [
        convert(nn.EmbeddingBag(1000, 8, **options), method=request.param)[0].eval()
        for options in BAG_OPTIONS
    ]


@inductor_is_imported
@pytest.mark.untraced
def test_bags_compile_into_one_graph_that_learns(bags):
    for options, bag in zip(BAG_OPTIONS, bags, strict=True):
        batches = (bag_inputs(options, 3, 0, 4), bag_inputs(options, 2, 9, 5, 1))
        assert_compiles_into_one_graph_that_learns(bag, *batches)


@pytest.mark.untraced
def test_bags_export_with_any_number_of_ids(bags):
    for options, bag in zip(BAG_OPTIONS, bags, strict=True):
        ids, offsets = ({0: torch.export.Dim(name, min=3)} for name in ("ids", "offsets"))
        program = torch.export.export(
            bag,
            bag_inputs(options, 3, 0, 4),
            dynamic_shapes={"input": ids, "offsets": offsets},
        )
        other = bag_inputs(options, 2, 9, 5, 1)
        torch.testing.assert_close(program.module()(*other), bag(*other))
        rows = torch.arange(12).view(4, 3)
        program = torch.export.export(
            bag, (rows,), dynamic_shapes={"input": {0: torch.export.Dim("rows")}}
        )
        other = torch.arange(30).view(10, 3)
        torch.testing.assert_close(program.module()(other), bag(other))


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
