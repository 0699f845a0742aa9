"""A profile of a click log in Parquet: seconds, and the memory of the process at its peak.

The log has a label, a time, 30 categorical columns and 10 of numbers. Two of the categorical ones
have a million distinct strings; of the others, half are strings and half integers, of 10 to 300,000
values, with frequencies as in clicks and some nulls. This process writes it first; the
profile runs in one of its own, whose time includes the start of Python.

Run: python benchmarks/profile_events.py [--rows 10000000]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tablefree.machine import describe_machine

PART = 1_000_000  # rows, a file and a row group each
NUM_CATEGORICAL, NUM_NUMERIC = 30, 10
LARGE = 1_000_000
PROFILE = """
import sys
from rich.console import Console
from tablefree.fields.profile import profile
from tablefree.fields.show import table_of
Console(width=120).print(table_of(profile(sys.argv[1])))
# Not getrusage's, which counts the parent's as well.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"{int(peak.split()[1]) / 1024:,.0f} MiB at the peak")
"""


def part(rows: int, start: int, generator: np.random.Generator) -> pa.Table:
    """Some rows of the log."""
    columns = {
        "click": (generator.random(rows) < 0.2).astype(np.int8),
        "timestamp": 1_700_000_000 + np.arange(start, start + rows) // 10,
    }
    sizes = np.geomspace(10, 300_000, NUM_CATEGORICAL - 2).astype(int)
    for number, size in enumerate(sizes):
        values = (size * generator.random(rows) ** 3).astype(np.int64)
        column = pa.array(values, mask=generator.random(rows) < 0.02)
        if number % 2:
            names = pa.array([f"value {number}-{one:x}" for one in range(size)])
            column = names.take(column)
        columns[f"c{number}_id"] = column
    names = pa.array([f"{one * 2_654_435_761 % 2**32:08x}" for one in range(LARGE)])
    for name in ("device", "address"):
        columns[name] = names.take(pa.array(generator.integers(0, LARGE, rows)))
    for number in range(NUM_NUMERIC):
        columns[f"n{number}"] = generator.lognormal(size=rows).astype(np.float32)
    return pa.table(columns)


def main() -> None:
    """Write the log, profile it, print what it took."""
    parser = argparse.ArgumentParser(description="A profile of a click log in Parquet.")
    parser.add_argument("--rows", type=int, default=10 * PART)
    rows = parser.parse_args().rows
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, rows, PART):
            table = part(min(PART, rows - start), start, generator)
            pa.parquet.write_table(table, Path(folder) / f"{start:012}.parquet")
        size = sum(one.stat().st_size for one in Path(folder).iterdir())
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", PROFILE, folder], check=True)
        seconds = time.perf_counter() - begin
    print(f"{describe_machine()}; {rows:,} rows, {size / 1e6:,.0f} MB of Parquet: {seconds:.1f} s")


if __name__ == "__main__":
    main()
