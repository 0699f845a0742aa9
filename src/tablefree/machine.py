"""The machine and the versions that a figure was measured with."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from tablefree.version import __version__


def describe_machine() -> str:
    """Processor, cores and threads in use."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return f"{processor}, {os.cpu_count()} cores, {torch.get_num_threads()} threads a run"


def describe_versions() -> str:
    """The versions of what computes, in JSON."""
    of_others = {name: version(name) for name in ("torch", "lightning", "numpy")}
    return json.dumps({"tablefree": __version__, **of_others, "python": platform.python_version()})
