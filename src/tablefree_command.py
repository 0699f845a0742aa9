"""The console script `tablefree`: what must be said before torch is loaded, then the command line.

Threads of GNU OpenMP that wait for each other spin, unless told otherwise when they are loaded. On
a machine with other work a spinning thread keeps from its core the one that it waits for: a step of
a deep network took twice to four times as long (benchmarks/busy_machine.py). `tablefree bench`
measures the library as other programs use it, and leaves that as it is.
"""

import os
import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] != ["bench"]:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        from tablefree.cli import main

        main()
    except KeyboardInterrupt:  # while the library was loaded
        sys.exit(130)
