import pytest
import torch

from tablefree.bench.cases import choose_device, default_cases, swept_cases
from tablefree.errors import InputError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
NETWORKS = [(512, 512), (1800,) * 5]


def test_the_names_of_the_default_cases_tell_them_apart():
    cases = default_cases(CPU, NETWORKS)
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)
    assert {
        "encode / clone, float32",
        "encode into out / copy_, float32",
        "eager torch int64 / encode, float32",
        "frozen / bare products, 512-512, float32",
        "frozen / bare products, 5x1800, bfloat16",
        "frozen / bare bfloat16 products, 512-512, int8",
        "training step / Sequential, 5x1800, bfloat16",
        "training step compiled / eager, 512-512, float32",
        "65536 Zipf ids / distinct ones, frozen, float32",
        "65536 Zipf ids / distinct ones, training, float32",
        "training memory / Sequential, 5x1800",
    } <= set(names)
    assert {case.shape.num_hashes for case in cases} == {1024}
    assert {case.shape.batch for case in cases} == {4096, 65_536}


def test_a_sweep_goes_over_batches_widths_and_networks():
    cases = swept_cases(CPU, NETWORKS)
    assert len({case.name for case in cases}) == len(cases) == 2 * 3 * 2 * 2 * 2
    assert cases[0].name == "frozen / bare products, 512-512, float32, 256x256"


def test_a_sweep_can_be_narrowed():
    cases = swept_cases(CPU, NETWORKS[:1], batch=7, num_hashes=9)
    assert {(case.shape.batch, case.shape.num_hashes) for case in cases} == {(7, 9)}
    assert len(cases) == 4


def test_a_device_that_is_none_is_refused():
    assert choose_device("cpu") == CPU
    with pytest.raises(InputError, match="device must be cpu or cuda, got 'tpu'"):
        choose_device("tpu")


def test_a_gpu_has_larger_batches_and_a_case_of_latency():
    cases = default_cases(CUDA, NETWORKS)
    assert cases[0].shape.batch == 65_536
    assert cases[-1].name == "frozen / nn.Embedding, 256 ids, CUDA graphs, 5x1800, bfloat16"
