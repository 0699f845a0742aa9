import subprocess
import sys

import pytest
import torch

from tablefree.bench import memory
from tablefree.bench.case import LeftOutError, Shape, measure
from tablefree.bench.memory import megabytes, memory_case

SHAPE = Shape(2000, 64, (32, 16), torch.device("cpu"))
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
@pytest.mark.parametrize("network", ["sequential", "deep_hash", "deep_hash_recompute"])
def test_the_growth_of_this_process(network):
    assert megabytes(SHAPE, network) >= 0


@linux
def test_a_process_for_each_measurement():
    measured = measure(memory_case(SHAPE, recompute=False), 0.0)
    assert len(measured.ours) == len(measured.against) == 1
    # The codes alone have 2000 x 64 x 4 bytes.
    assert min(*measured.ours, *measured.against) > 0.5


def test_without_proc_it_is_left_out(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    with pytest.raises(LeftOutError, match="which only Linux has"):
        megabytes(SHAPE, "deep_hash")


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [(-9, LeftOutError, "signal 9 ended"), (1, RuntimeError, "no such thing")],
)
def test_a_process_that_fails(monkeypatch, code, error, message):
    done = subprocess.CompletedProcess([], code, "", "no such thing")
    monkeypatch.setattr(memory.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(error, match=message):
        measure(memory_case(SHAPE, recompute=True), 0.0)
