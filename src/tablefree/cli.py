"""The command line's way in and out: runs a command and turns what went wrong into one line.

Exit codes: 0 done, 2 bad input (one line says what, where and what to do), 130 interrupted, 128 and
the number of another signal that ended it, 1 and a traceback for anything else. The commands are
in `commands`.
"""

import atexit
import contextlib
import errno
import os
import signal
import sys
from collections.abc import Sequence

from tablefree.console import escape_unencodable, printable
from tablefree.errors import TablefreeError

# What the user can put right: no space, no permission, a read-only disk, a name that cannot be.
STORAGE_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR),
)
OWN = "tablefree"


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # where no command could say more
        code = 130
    except SystemExit as ended:
        if not isinstance(ended.code, int):
            raise
        code = ended.code
    if code > 128:
        # Python would take torch's modules down one by one, for two seconds.
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _end(number: int, _frame: object) -> None:
    """End as an interrupt does: temporary files are removed and workers end."""
    raise SystemExit(128 + number)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: those after the program's name; none for the help.
    """
    try:
        from tablefree.commands import UsageError, app
    except ModuleNotFoundError as error:
        return _missing(error)
    escape_unencodable()
    try:
        # The code of a command that left early (--version, an interrupt), otherwise None.
        code = app(list(arguments) or ["--help"], prog_name=OWN, standalone_mode=False)
    except UsageError as error:
        context = error.ctx.command_path if error.ctx else OWN
        return _refuse(f"{error.format_message().rstrip('.')}: see `{context} --help`")
    except TablefreeError as error:
        return _refuse(str(error))
    except ModuleNotFoundError as error:
        return _missing(error)
    except OSError as error:
        if error.errno not in STORAGE_ERRORS:
            raise
        return _refuse(f"{error}: free some space, make it writable or choose another folder")
    return code if isinstance(code, int) else 0


def _refuse(message: str) -> int:
    print(f"{OWN}: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2


def _missing(error: ModuleNotFoundError) -> int:
    """Say which extra has a package; a module of our own that is missing is a bug."""
    if (error.name or OWN).partition(".")[0] == OWN:
        raise error
    return _refuse(
        f"the package {error.name} is not installed: the commands need "
        '`pip install "tablefree[experiments]"`'
    )
