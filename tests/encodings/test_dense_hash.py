import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

from tablefree.encodings import DenseHashEncoding
from tablefree.errors import CheckpointError, InputError
from tablefree.hashing import FAMILIES

every_family = pytest.mark.parametrize("family", FAMILIES)
IDS = {
    "consecutive": torch.arange(20_000),
    "random": torch.from_numpy(np.random.default_rng(0).integers(-(2**63), 2**62, 20_000)),
}
every_kind_of_ids = pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
SIGMA = 5


def test_the_width_is_the_number_of_hashes():
    encoding = DenseHashEncoding(seed="item")
    assert encoding.width == encoding.num_hashes == 1024
    codes = encoding(torch.tensor([[1, 2, 3]], dtype=torch.int32))
    assert (codes.shape, codes.dtype) == ((1, 3, 1024), torch.float32)


@every_family
@every_kind_of_ids
def test_uniform_codes_have_mean_0_and_deviation_1_over_root_3(family, ids):
    """Bounds are 5 standard errors of the estimate, for each hash and for all together."""
    codes = DenseHashEncoding(64, seed=0, family=family)(ids).double()
    deviation = 3**-0.5
    error_of_deviation = (4 / 45) ** 0.5 / (2 * deviation)  # of the square's, by the delta method
    for sample, values in ((len(ids), codes), (codes.numel(), codes.view(-1, 1))):
        assert values.mean(0).abs().max() < SIGMA * deviation / sample**0.5
        error = (values.std(0) - deviation).abs().max()
        assert error < SIGMA * error_of_deviation / sample**0.5
    assert codes.abs().max() <= 1


@every_family
def test_gaussian_codes_have_mean_0_and_deviation_1_and_are_finite(family):
    codes = DenseHashEncoding(64, seed=0, family=family, transform="gaussian")(IDS["consecutive"])
    assert torch.isfinite(codes).all()
    values = codes.double()
    assert values.mean().abs() < SIGMA / codes.numel() ** 0.5
    assert (values.std() - 1).abs() < SIGMA / (2 * codes.numel()) ** 0.5 + 1e-5  # m is finite
    assert (values**4).mean() == pytest.approx(3, abs=SIGMA * (96 / codes.numel()) ** 0.5 + 1e-3)


@every_family
@every_kind_of_ids
@pytest.mark.parametrize("distance", [1, 2, 1_000_003, 2**32])
def test_codes_of_ids_at_a_distance_are_not_correlated(family, ids, distance):
    encoding = DenseHashEncoding(64, seed=0, family=family)
    products = 3 * encoding(ids).double() * encoding(ids + distance).double()
    assert products.mean(0).abs().max() < SIGMA / len(ids) ** 0.5
    assert products.mean().abs() < SIGMA / products.numel() ** 0.5


@every_family
def test_hashes_are_not_correlated_with_each_other(family):
    codes = DenseHashEncoding(64, seed=0, family=family)(IDS["consecutive"]).double()
    correlations = torch.corrcoef(codes.T).fill_diagonal_(0)
    assert correlations.abs().max() < SIGMA / len(codes) ** 0.5


@every_family
@pytest.mark.parametrize("identifier", [0, 1, -1, 2**61 - 1, 2**63 - 1, -(2**63)])
def test_no_id_is_degenerate(family, identifier):
    code = DenseHashEncoding(4096, seed=0, family=family)(torch.tensor(identifier)).double()
    assert code.mean().abs() < SIGMA * 3**-0.5 / 64
    assert (code.std() - 3**-0.5).abs() < SIGMA * 0.26 / 64
    assert code.unique().numel() > 4070  # 8 of 4096 values are expected to be drawn twice


@every_family
def test_ids_at_the_distance_of_a_small_prime_differ(family):
    encoding = DenseHashEncoding(8, seed="item", family=family)
    ids = IDS["random"]
    assert (encoding(ids) != encoding(ids + 1_000_003)).any(dim=1).all()


def test_other_seeds_give_other_codes():
    ids = torch.arange(20_000)
    first, second = (DenseHashEncoding(16, seed=seed)(ids).double() for seed in (0, 1))
    assert (3 * first * second).mean().abs() < SIGMA / first.numel() ** 0.5


def test_compiles_and_exports_with_its_encoding():
    encoding = DenseHashEncoding(6, seed="item", transform="gaussian")
    ids = torch.arange(5, dtype=torch.int32)
    compiled = torch.compile(encoding, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(ids), encoding(ids))
    assert torch.equal(torch.export.export(encoding, (ids,)).module()(ids), encoding(ids))


def test_a_checkpoint_with_another_transform_is_refused_by_name():
    saved = DenseHashEncoding(4, seed=0, transform="gaussian").state_dict()
    with pytest.raises(CheckpointError, match="transform is 'gaussian' in the checkpoint and 'uni"):
        DenseHashEncoding(4, seed=0).load_state_dict(saved)


def test_codes_outside_the_contract_are_refused():
    with pytest.raises(InputError, match="even number"):
        DenseHashEncoding(3, seed=0, transform="gaussian")


FRESH_PROCESS = """
import json, sys
import safetensors.torch, torch
from tablefree.encodings import DenseHashEncoding
torch.manual_seed(99); torch.rand(3)
item = DenseHashEncoding(32, seed="item", transform="gaussian")
other = DenseHashEncoding(8, seed=5)
user = DenseHashEncoding(32, seed="user", family="carter_wegman")
modules = torch.nn.ModuleDict({"item": item, "user": user})
modules.load_state_dict(torch.load(sys.argv[1]))
modules.load_state_dict(safetensors.torch.load_file(sys.argv[2]))
ids = torch.arange(-50, 50)
print(json.dumps([module(ids).view(torch.int32).tolist() for module in (user, item)]))
"""


def test_a_fresh_process_with_another_order_of_construction_gives_the_same_bits(tmp_path):
    user = DenseHashEncoding(32, seed="user", family="carter_wegman")
    item = DenseHashEncoding(32, seed="item", transform="gaussian")
    state = torch.nn.ModuleDict({"user": user, "item": item}).state_dict()
    paths = [tmp_path / "model.pt", tmp_path / "model.safetensors"]
    torch.save(state, paths[0])
    safetensors.torch.save_file(state, paths[1])
    output = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    ids = torch.arange(-50, 50)
    expected = [module(ids).view(torch.int32).tolist() for module in (user, item)]
    assert json.loads(output) == expected


def test_narrow_codes_are_the_rounding_of_the_float32_codes():
    encoding, ids = DenseHashEncoding(64, seed="item"), IDS["random"][:100]
    codes = encoding(ids)
    assert torch.equal(encoding(ids, dtype=torch.bfloat16), codes.bfloat16())
    assert torch.equal(encoding(ids, dtype=torch.int8), (127 * codes).round().to(torch.int8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_codes_can_be_written_into_memory_that_is_there(dtype):
    encoding, ids = DenseHashEncoding(64, seed="item"), IDS["random"][:100].view(4, 25)
    out = torch.zeros(4, 25, 64, dtype=dtype)
    assert encoding(ids, out=out) is out
    assert torch.equal(out, encoding(ids, dtype=dtype))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (torch.empty(3, 8), r"shape \(4, 8\) on cpu; got shape \(3, 8\)"),
        (torch.empty(8, 4).T, "with gaps"),
        (torch.empty(4, 8, dtype=torch.float16), "float16"),
        (torch.empty(4, 8, device="meta"), "on meta"),
    ],
)
def test_memory_of_another_kind_is_refused(out, message):
    with pytest.raises(InputError, match=message):
        DenseHashEncoding(8, seed=0)(torch.arange(4), out=out)
