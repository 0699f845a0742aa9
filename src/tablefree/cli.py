"""The command line: parses, calls, prints."""

from typing import Annotated
