"""What a deployment does: export with a dynamic batch, save, and load in another process."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.export import Dim, export, load, save

import tablefree
from tablefree.embeddings import METHODS

pytestmark = pytest.mark.untraced
MAKER_PATH = Path(__file__).parent / "golden" / "make_checkpoints.py"
MAKER = runpy.run_path(str(MAKER_PATH))
SHAPE = {"method": "deep_hash", "embedding_dim": 4, "num_hashes": 16, "hidden": [8]}
MIXED = {"user": SHAPE, "item": SHAPE, "tags": {"shared_with": "item", "pooling": "mean"}}
BATCH = {0: Dim.DYNAMIC}
NEW = torch.tensor([2**40, -5, 7, 7, 123, 9, -(2**62)])
FROZEN = [("sketch", torch.int8), ("own_rows", torch.float32), ("deep_hash", torch.bfloat16)]


def trained(name):
    torch.manual_seed(0)
    return MAKER["trained"](name, MAKER["modules"]()[name])


def vectors(name):
    """Batches of ids of several sizes, some never seen; positions where there is a vocabulary."""
    ids = MAKER["inputs"](name)[0] if name.endswith("table") else NEW
    return [(ids[:5],), (torch.cat([ids] * 3),), (ids[:1],), (ids[:0],)]


def pairs(name):  # noqa: ARG001
    return [(ids, ids.flip(0)) for (ids,) in vectors("sketch")]


def columns(name):  # noqa: ARG001
    return [(ids[:, None].repeat(1, 3),) for (ids,) in vectors("sketch")]


def columns_and_numbers(name):
    return [(ids, torch.linspace(-1, 1, 2 * len(ids)).view(-1, 2)) for (ids,) in columns(name)]


def bags(name):  # noqa: ARG001
    return [
        (NEW[:5], torch.tensor([0, 2, 2])),
        (NEW, torch.tensor([0, 1, 3, 3, 6])),
        (NEW[:0], torch.tensor([0, 0])),
    ]


def rows_of_bags(name):  # noqa: ARG001
    return [(NEW[:4].view(2, 2),), (NEW[:6].view(3, 2),), (NEW[:0].view(0, 2),)]


def by_name(name):  # noqa: ARG001
    return [({"user": u, "item": i, "tags": u[:, None].repeat(1, 2)},) for u, i in pairs("")]


def mixed():
    torch.manual_seed(0)
    return tablefree.EmbeddingCollection(MIXED).eval()


CASES = {
    **{name: (lambda name=name: trained(name), vectors) for name in MAKER["modules"]()},
    **{
        f"{name} in {dtype}": (lambda name=name, dtype=dtype: trained(name).freeze(dtype), vectors)
        for name, dtype in FROZEN
    },
    "collection": (lambda: trained("collection"), columns),
    "frozen collection": (lambda: trained("collection").freeze(), columns),
    "collection by name": (mixed, by_name),
    "gmf": (lambda: trained("gmf"), pairs),
    "mlp": (lambda: trained("mlp"), pairs),
    **{
        name: (lambda name=name: trained(name), columns_and_numbers)
        for name in ("dlrm", "deepfm", "dcn")
    },
    "bags": (lambda: tablefree.EmbeddingBag(trained("own_rows")).eval(), bags),
    "rows of bags": (
        lambda: tablefree.EmbeddingBag(trained("sketch").freeze(), mode="max").eval(),
        rows_of_bags,
    ),
    "cached": (lambda: tablefree.CachedEmbedding(trained("own_rows"), 10), vectors),
}
PROCESS = """
import runpy, sys
from pathlib import Path
import torch
from torch.export import load
import tablefree
for path in sorted(Path(sys.argv[1]).glob("*.pt2")):
    given = torch.load(path.with_suffix(".pt"))
    output = load(path).module()(*given["inputs"])
    torch.testing.assert_close(output, given["output"], rtol=0, atol=0)
    print(path.stem)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:.*isinstance.*treespec:FutureWarning")
def test_a_program_gives_what_the_module_gives(folder, name):
    make, batches_of = CASES[name]
    module = make()
    batches = batches_of(name)
    shapes = tuple(
        dict.fromkeys(one, BATCH) if isinstance(one, dict) else BATCH for one in batches[0]
    )
    save(export(module, batches[0], dynamic_shapes=shapes), folder / f"{name}.pt2")
    program = load(folder / f"{name}.pt2").module()
    with torch.no_grad():
        for batch in batches:
            torch.testing.assert_close(program(*batch), module(*batch))
        output = program(*batches[1])
    torch.save({"inputs": batches[1], "output": output}, folder / f"{name}.pt")


def test_programs_run_in_another_process(folder):
    command = [sys.executable, "-c", PROCESS, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == len(list(folder.glob("*.pt2"))) > 0


def test_every_method_is_exported():
    assert set(METHODS) <= set(CASES)


def test_an_exported_module_can_still_be_saved(tmp_path):
    module = trained("own_rows")
    export(module, (NEW,), dynamic_shapes=(BATCH,))
    module.save_pretrained(tmp_path)
    loaded = tablefree.Embedding.from_pretrained(tmp_path)
    assert torch.equal(loaded(NEW), module(NEW))


def test_a_trace_of_older_tools():
    module = trained("deep_hash")
    with pytest.warns():  # that it is deprecated, and that checks of values are not traced
        traced = torch.jit.trace(module, NEW, check_trace=False)
    torch.testing.assert_close(traced(NEW[:3]), module(NEW[:3]))
