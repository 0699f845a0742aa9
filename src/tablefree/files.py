"""Files that are found whole or not at all, whatever stops the program that writes them."""

import contextlib
import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from glob import escape
from pathlib import Path

from tablefree.errors import InputError

TEMPORARY = ".tmp"  # how the names of unfinished files end; they begin with a dot


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name, which becomes its own when the block ends well.

    A symbolic link stays, and what it points to is replaced. What is no file, such as a pipe or
    `/dev/null`, stays too, and is written to as it is.

    Args:
        path: The file to create or to replace; its folder is created if need be.

    Yields:
        The path to write to.

    Raises:
        InputError: It is a folder; or its folder cannot be written to, or the disk is full.

    Example:
        >>> with replacing(Path("ids.txt")) as temporary:  # doctest: +SKIP
        ...     temporary.write_text("7")
    """
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, and a file is to be written: name one in it")
        if path.exists() and not path.is_file():
            yield path
        else:
            with _beside(_resolved(path)) as temporary:
                yield temporary
    except OSError as error:
        reason = error.strerror or error
        if isinstance(error, FileExistsError | NotADirectoryError):
            reason = "a file is in the place of its folder"
        raise InputError(
            f"cannot write {path}: {reason}; free some space, make the folder writable or choose "
            "another one"
        ) from error


def _resolved(path: Path) -> Path:
    """The path behind links."""
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:  # it has a zero byte, or is not valid Unicode
        raise OSError(str(error)) from error


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A path for a file that takes the place of another when the block ends well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{TEMPORARY}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary.touch()
        mode = stat.S_IMODE(temporary.stat().st_mode)  # as the umask has it
        yield temporary
        temporary.chmod(mode)  # safetensors makes a file of its own, for its owner alone
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _remove_left_over(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remove_left_over(path: Path) -> None:
    """Remove the temporary files of this one whose processes were killed."""
    processes = Path("/proc")
    for left in path.parent.glob(f".{escape(path.name)}.*{TEMPORARY}"):
        process = left.name.removeprefix(f".{path.name}.").partition("-")[0]
        if processes.is_dir() and not (processes / process).exists():
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that it is found whole or not at all; its folder is created if need be.

    Args:
        path: The file to create or to replace.
        content: All of it.

    Raises:
        InputError: The folder cannot be written to, or its disk is full.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def check_writable(folder: Path) -> None:
    """Create a folder and a file in it, which is removed: better now than after hours of work.

    Raises:
        InputError: The folder cannot be written to, or its disk is full.
    """
    probe = folder / ".writable"
    replace_file(probe, bytes(4096))
    probe.unlink()


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes that hold a folder out of it, until the block or the process ends.

    The lock is on the folder itself, so that nothing is left behind by a process that is killed.

    Raises:
        InputError: Another process holds it; or it cannot be written to, or its disk is full.
    """
    check_writable(folder)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{_holder(descriptor)} is writing its results into {folder}: wait for its end, or "
                "choose another output folder"
            ) from error
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    """The process that holds a folder, where the system tells."""
    inode, locks = os.fstat(descriptor).st_ino, Path("/proc/locks")
    for line in locks.read_text().splitlines() if locks.exists() else ():
        _, _, _, _, process, place, *_ = line.replace("->", "").split()
        if place.endswith(f":{inode}"):
            return f"process {process}"
    return "another process"
