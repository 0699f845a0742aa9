"""Peak memory of a training step, each measured in a process of its own.

On the CPU it is the growth of the resident set, codes, activations and gradients together; the
weights, the libraries and a first small step come before. `ru_maxrss` would not do: a new process
starts with its parent's.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import torch

from tablefree.bench.case import Case, LeftOutError, Measurement, Shape
from tablefree.bench.networks import sequential, training_step

Network = Literal["sequential", "deep_hash", "deep_hash_recompute"]

STATUS = Path("/proc/self/status")
STEPS = 3
# So that glibc gives the memory of a freed tensor back at once, and the peak is not that of holes.
_GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}


def memory_case(shape: Shape, *, recompute: bool) -> Case:
    """Peak memory of a training step on ids / that of a plain `nn.Sequential` on codes."""

    def measure(_: float) -> Measurement:
        ours: Network = "deep_hash_recompute" if recompute else "deep_hash"
        return Measurement(
            [_megabytes_of_a_process(shape, ours)],
            [_megabytes_of_a_process(shape, "sequential")],
            note="memory: peak of a training step, weights not counted",
        )

    name = f"training memory{', recompute' * recompute} / Sequential, {shape.network}"
    return Case(name, "memory", shape, torch.float32, measure, unit="MB")


def megabytes(shape: Shape, network: Network) -> float:
    """What training steps of a network add at their peak to the memory of this process.

    Args:
        shape: the sizes.
        network: "sequential" is fed with codes that are made before, but counted.

    Returns:
        Millions of bytes.

    Raises:
        LeftOutError: the system does not tell (only Linux does) and there is no GPU.
    """
    cuda = shape.device.type == "cuda"
    if not cuda and not STATUS.exists():
        raise LeftOutError(f"memory is read from {STATUS}, which only Linux has")
    embedding = shape.embedding(recompute=network == "deep_hash_recompute")
    plain = network == "sequential"
    step = training_step(sequential(shape) if plain else embedding, shape, torch.float32)
    ids = shape.distinct_ids()
    step(embedding.encoding(ids[:2]) if plain else ids[:2])
    before = torch.cuda.memory_allocated() if cuda else _status_bytes("VmRSS")
    inputs = embedding.encoding(ids) if plain else ids
    for _ in range(STEPS):
        step(inputs)
    peak = torch.cuda.max_memory_allocated() if cuda else _status_bytes("VmHWM")
    return max(0, peak - before) / 1e6


def _status_bytes(field: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def _megabytes_of_a_process(shape: Shape, network: Network) -> float:
    arguments = {
        "batch": shape.batch,
        "num_hashes": shape.num_hashes,
        "hidden": shape.hidden,
        "device": str(shape.device),
        "threads": torch.get_num_threads(),
        "network": network,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tablefree.bench.memory", json.dumps(arguments)],
        env=os.environ | _GIVE_BACK,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode < 0:  # as by a kernel that is short of memory
        raise LeftOutError(f"signal {-done.returncode} ended the process that measures it")
    if done.returncode:
        raise RuntimeError(f"the process that measures memory failed:\n{done.stderr}")
    return float(done.stdout)


def _main() -> None:  # pragma: no cover - in a process of its own
    arguments = json.loads(sys.argv[1])
    torch.set_num_threads(arguments["threads"])
    shape = Shape(
        arguments["batch"],
        arguments["num_hashes"],
        tuple(arguments["hidden"]),
        torch.device(arguments["device"]),
    )
    print(megabytes(shape, arguments["network"]))


if __name__ == "__main__":  # pragma: no cover - in a process of its own
    _main()
