"""Attacks on the commands and on the library: a result or one line, whatever is passed.

In CI they are small. In full, some 2,000 commands, 10,000 calls and 20 kills:
`TABLEFREE_RED_TEAM=full pytest tests/red_team`. A finding is printed with the arguments of the
script that replays it alone, as `python tests/red_team/attack_library.py 81 82 /dev/stdout`, and
TABLEFREE_RED_TEAM_FIRST begins with another case.
"""

import json
import os
import subprocess
import sys

SCRIPT = """
import json, sys
from tablefree_command import main
for arguments in json.loads(sys.argv.pop()):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as end:
        print(end.code)
"""


def test_commands(attacked, is_full):
    attacked("attack_commands.py", 2_000 if is_full else 12)


def test_calls_of_the_library(attacked, is_full):
    attacked("attack_library.py", 2_500 if is_full else 60)  # programs of four or five calls


def test_the_console_script_in_a_process_of_its_own(tmp_path):
    """A file that cannot be, a number that cannot be and a place that cannot be: one line each."""
    data, long = tmp_path / "events.csv", "n" * 300
    data.write_text("user_id,item_id\n" + "".join(f"{n % 7},{n % 5}\n" for n in range(60)))
    commands = [
        ["train", *map(str, options)]
        for options in (
            ("--data", tmp_path / long),
            ("--data", data, "--embedding-dim", 10**12),
            ("--data", data, "--output", tmp_path / long),
        )
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "2\n2\n2\n"), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(commands)
    assert all(line.startswith("tablefree: ") for line in lines)
    assert [path.name for path in tmp_path.iterdir()] == ["events.csv"]
