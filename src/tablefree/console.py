"""What is printed is what is there: names and contents of files are no commands to a terminal.

Text is neither markup nor a control sequence, and what an output's encoding lacks is escaped: no
command fails at its last line because of a file's name.
"""

import io
import re
import sys

# Control characters but for line ends and tabs; marks that turn the direction of what follows.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""The text with control characters as escapes.

    Example:
        >>> printable("red: \x1b[31m")
        'red: \\x1b[31m'
    """
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escape_unencodable() -> None:
    """Have standard output and error escape what their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
