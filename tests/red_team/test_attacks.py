"""Attacks on the commands and on the library: a result or one line, whatever is passed.

In CI they are small. In full, some 2,000 commands, 10,000 calls and 20 kills:
`TABLEFREE_RED_TEAM=full pytest tests/red_team`. A finding is printed with the arguments of the
script that replays it alone, as `python tests/red_team/attack_library.py 81 82 /dev/stdout`, and
TABLEFREE_RED_TEAM_FIRST begins with another case.
"""

import os
import subprocess
import sys

SCRIPT = "from tablefree_command import main; main()"


def test_commands(attacked, is_full):
    attacked("attack_commands.py", 2_000 if is_full else 12)


def test_calls_of_the_library(attacked, is_full):
    attacked("attack_library.py", 2_500 if is_full else 60)  # programs of four or five calls


def test_the_console_script_in_a_process_of_its_own(tmp_path):
    """A file that cannot be, a number that cannot be and a place that cannot be: one line each."""
    data, long = tmp_path / "events.csv", "n" * 300
    data.write_text("user_id,item_id\n" + "".join(f"{n % 7},{n % 5}\n" for n in range(60)))
    for options in (
        ("--data", tmp_path / long),
        ("--data", data, "--embedding-dim", 10**12),
        ("--data", data, "--output", tmp_path / long),
    ):
        command = [sys.executable, "-c", SCRIPT, "train", *map(str, options)]
        done = subprocess.run(
            command, capture_output=True, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        assert done.returncode == 2, done.stderr.decode()
        assert done.stderr.startswith(b"tablefree: ")
        assert done.stderr.count(b"\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["events.csv"]
