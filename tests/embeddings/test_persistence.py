"""Every kind of embedding survives what is done to modules: copies, casts, graphs, processes."""

import copy
import io
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

MAKER_PATH = Path(__file__).parents[1] / "golden" / "make_checkpoints.py"
MAKER = runpy.run_path(str(MAKER_PATH))
NAMES = list(MAKER["modules"]())
CHECKS_VALUES = "tags"  # bags of features: a check of values breaks a graph
every_kind = pytest.mark.parametrize("name", NAMES)
PROCESS = """
import copy, runpy, sys
from pathlib import Path
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

MAKER, RANK = runpy.run_path(sys.argv[1]), int(sys.argv[3])

class Every(nn.Module):
    def __init__(self):
        super().__init__()
        self.kinds = nn.ModuleDict(MAKER["modules"]())

    def forward(self, first, step=2):
        return sum(
            kind(*[values[first::step] for values in MAKER["inputs"](name)]).square().sum()
            for name, kind in self.kinds.items()
        )

rendezvous = Path(sys.argv[2]) / "rendezvous"
distributed.init_process_group("gloo", init_method=rendezvous.as_uri(), rank=RANK, world_size=2)
torch.manual_seed(RANK)
every = Every()
every(0, 1)  # ids claim their own rows, in one order
model = DistributedDataParallel(every)
alone = copy.deepcopy(model.module)
model(RANK).backward()
((alone(0) + alone(1)) / 2).backward()
for (name, got), wanted in zip(model.module.named_parameters(), alone.parameters(), strict=True):
    torch.testing.assert_close(got.grad, wanted.grad, msg=lambda text: f"{name}: {text}")
print(sum(parameter.abs().sum().item() for parameter in model.parameters()))
distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def modules():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return {name: MAKER["trained"](name, module) for name, module in MAKER["modules"]().items()}


def output(name, module):
    with torch.no_grad():
        return module(*MAKER["inputs"](name))


def through_torch_save(saved, *, weights_only):
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file, weights_only=weights_only)


@every_kind
def test_torch_save_of_a_state_dict(modules, name):
    other = MAKER["modules"]()[name].eval()
    other.load_state_dict(through_torch_save(modules[name].state_dict(), weights_only=True))
    assert torch.equal(output(name, other), output(name, modules[name]))


@every_kind
def test_torch_save_of_a_module(modules, name):
    other = through_torch_save(modules[name], weights_only=False)
    assert torch.equal(output(name, other), output(name, modules[name]))


@every_kind
def test_a_deep_copy_is_equal_and_independent(modules, name):
    before = output(name, modules[name])
    other = copy.deepcopy(modules[name])
    assert torch.equal(output(name, other), before)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert torch.equal(output(name, modules[name]), before)


@every_kind
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_another_dtype_rounds_and_no_more(modules, name, dtype):
    wanted = output(name, modules[name])
    cast = output(name, copy.deepcopy(modules[name]).to(dtype))
    assert cast.dtype == dtype
    eps = max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)
    # Weights, codes and sums are rounded, each once.
    torch.testing.assert_close(
        cast.double(), wanted.double(), rtol=0, atol=float(2 * eps * wanted.abs().max())
    )


@every_kind
def test_half_and_bfloat16_are_casts(modules, name):
    for cast, dtype in (("half", torch.float16), ("bfloat16", torch.bfloat16)):
        module = getattr(copy.deepcopy(modules[name]), cast)()
        assert torch.equal(output(name, module), output(name, copy.deepcopy(module).to(dtype)))
        assert output(name, module.float()).dtype == torch.float32


@every_kind
def test_to_a_device(modules, name):
    outline = copy.deepcopy(modules[name]).to("meta")
    assert all(parameter.is_meta for parameter in outline.parameters())
    outline.to_empty(device="cpu").load_state_dict(modules[name].state_dict())
    assert torch.equal(output(name, outline), output(name, modules[name]))


# Not these models: in the tests, what checks their shapes cannot be traced.
@pytest.mark.untraced
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("gmf", "mlp")])
def test_compiled(modules, name):
    torch.compiler.reset()
    fullgraph = name != CHECKS_VALUES
    compiled = torch.compile(modules[name], backend="aot_eager", fullgraph=fullgraph)
    torch.testing.assert_close(output(name, compiled), output(name, modules[name]))


@pytest.mark.untraced
@pytest.mark.parametrize("name", [name for name in NAMES if name != CHECKS_VALUES])
def test_exported(modules, name):
    with torch.no_grad():  # the way of a sketch with own rows that has no branch on values
        program = torch.export.export(modules[name], tuple(MAKER["inputs"](name)))
    torch.testing.assert_close(output(name, program.module()), output(name, modules[name]))


def test_two_processes_share_gradients(tmp_path):
    command = [sys.executable, "-c", PROCESS, str(MAKER_PATH), str(tmp_path)]
    processes = [
        subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for rank in (0, 1)
    ]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    (first, _), (second, _) = outputs
    assert first == second  # the weights of rank 0
