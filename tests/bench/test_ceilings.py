import pytest
import torch

from tablefree.bench import ceilings
from tablefree.bench.case import Shape
from tablefree.bench.ceilings import Ceilings, measure_ceilings, roofline
from tablefree.bench.networks import frozen_case, training_case

SHAPE = Shape(1000, 16, (8,), torch.device("cpu"))
FAST = Ceilings({torch.float32: 100.0, torch.bfloat16: 100.0}, 10.0)


def test_ceilings_are_measured(monkeypatch):
    monkeypatch.setitem(ceilings.SIDE, "cpu", 64)
    monkeypatch.setattr(ceilings, "COPIED", 4096)
    measured = measure_ceilings(torch.device("cpu"), 0.0)
    assert set(measured.gflops) == {torch.float32, torch.bfloat16, torch.int8}
    assert min(*measured.gflops.values(), measured.copy_gigabytes) > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_where_a_case_is_below_them(dtype):
    # 16 x 8 + 8 x 32 weights; the copy, at 10 GB/s, is the nearer ceiling.
    line = roofline(frozen_case(SHAPE, dtype), 1.0, FAST)
    assert line.operations == 2 * 384 * 1000
    assert line.num_bytes == (384 + 16 * 1000) * dtype.itemsize
    assert line.gflops == pytest.approx(0.768)
    fewest = max(0.768 / 100, line.num_bytes / 1e7)
    assert line.share == pytest.approx(fewest)


def test_a_training_step_has_no_roofline():
    assert roofline(training_case(SHAPE, torch.float32), 1.0, FAST) is None
