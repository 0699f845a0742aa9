"""What a training costs beside other work: its time on an idle and on a busy machine, by turns.

Other work is processes that count, as many as are named; a training that has a fair share of two
cores beside two of them takes 1.5 times as long in one thread, twice as long in two.

Run: python benchmarks/busy_machine.py [--method sketch] [--busy 0 1 2] [--repeat 3]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

COUNT = "while True: pass"
TRAIN = "from tablefree_command import main; main()"


def seconds(method: str, epochs: int) -> float:
    """One training of synthetic data, the start of the program included."""
    with tempfile.TemporaryDirectory() as folder:
        options = f"train --data synthetic --method {method} --size 1/4 --epochs {epochs} --output"
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", TRAIN, *options.split(), str(Path(folder) / "checkpoint")],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - start


def beside(busy: int, method: str, epochs: int) -> float:
    others = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(busy)]
    try:
        return seconds(method, epochs)
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    """Time the trainings by turns and print medians and their ratio to those beside nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="sketch")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    times: dict[int, list[float]] = {busy: [] for busy in options.busy}
    for _ in range(options.repeat):
        for busy in options.busy:
            times[busy].append(beside(busy, options.method, options.epochs))
    print(f"{options.method}, {options.epochs} epochs, {os.cpu_count()} cores")
    first = median(times[options.busy[0]])
    for busy, measured in times.items():
        shown = ", ".join(f"{one:.1f}" for one in measured)
        print(f"beside {busy}: {median(measured) / first:.2f} times ({shown} s)")


if __name__ == "__main__":
    main()
