"""What `import tablefree` costs beyond `import torch`: medians over fresh processes.

Run: python benchmarks/import_time.py
"""

import subprocess
import sys
from statistics import median

REPETITIONS = 7
PROGRAM = """
import time
start = time.perf_counter(); import torch; middle = time.perf_counter(); import tablefree
print(middle - start, time.perf_counter() - middle)
"""


def main() -> None:
    """Print the two medians and their ratio."""
    times = [
        tuple(
            map(
                float,
                subprocess.run(
                    [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
                ).stdout.split(),
            )
        )
        for _ in range(REPETITIONS)
    ]
    torch, extra = (median(column) for column in zip(*times, strict=True))
    print(
        f"import torch: {torch:.2f} s; import tablefree on top: {extra:.3f} s = {extra / torch:.1%}"
    )


if __name__ == "__main__":
    main()
