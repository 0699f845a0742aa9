import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tablefree import HashingTrick
from tablefree.errors import InputError
from tablefree.files import check_writable, held, replace_file, replacing


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "new" / "file"
    replace_file(path, b"first")
    replace_file(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_what_stops_a_writer_leaves_the_old_file(tmp_path, stop):
    path = tmp_path / "file"
    replace_file(path, b"old")

    def write():
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise stop

    with pytest.raises(stop):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"cannot write .*No space left on device; free some"):
        replace_file(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_device_without_space_is_refused():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with (
        pytest.raises(InputError, match="No space left on device"),
        replacing(Path("/dev/shm/tablefree-test")),
    ):
        Path("/dev/full").write_bytes(b"content")
    assert not Path("/dev/shm/tablefree-test").exists()


def test_a_folder_below_a_file_or_in_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for folder in ("file", "file/folder"):
        with pytest.raises(
            InputError, match=r"cannot write .*: a file is in the place of its fold"
        ):
            check_writable(tmp_path / folder)
    with pytest.raises(InputError, match="is a folder, and a file is to be written: name one"):
        replace_file(tmp_path, b"")


def test_a_writable_folder_is_created_and_left_empty(tmp_path):
    check_writable(tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    target, link = tmp_path / "elsewhere" / "file", tmp_path / "link"
    link.symlink_to(target)
    for content in (b"first", b"second"):  # to nothing at first
        replace_file(link, content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    assert [path.name for path in target.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_others_may_read_what_the_umask_lets_them(tmp_path, umask):
    """Whatever the writer: safetensors makes a file of its own, which only its owner may read."""
    before = os.umask(umask)
    try:
        replace_file(tmp_path / "file", b"content")
        with replacing(tmp_path / "private") as temporary:
            temporary.unlink()
            os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
        HashingTrick(10, 2, seed="id").save_pretrained(tmp_path)
    finally:
        os.umask(before)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()}
    names = ("file", "private", "config.json", "model.safetensors")
    assert modes == dict.fromkeys(names, 0o666 & ~umask)


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_pipe_is_written_through(tmp_path, is_linked):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "link" if is_linked else pipe
    if is_linked:
        path.symlink_to(pipe)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    replace_file(path, b"content")
    reader.join()
    assert received == [b"content"]
    assert pipe.is_fifo()


def test_a_device_stays_a_device(tmp_path):
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        replace_file(device, b"content")
    except (PermissionError, InputError):
        pytest.skip("no device can be made and written to here")
    assert device.is_char_device()


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no such device here")
def test_standard_output_is_written_to():
    script = "from tablefree.files import *; replace_file(Path('/dev/stdout'), b'content')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"content"


def test_what_a_killed_process_left_is_removed(tmp_path):
    """The temporary files of this file alone, and none of a process that may still write."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    names = (f".[a].{ended.pid}-1.tmp", f".[a].{os.getpid()}-1.tmp", f".b.{ended.pid}-1.tmp")
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    replace_file(tmp_path / "[a]", b"content")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"[a]", names[1], names[2]} or not Path("/proc").is_dir()


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "n" * 300])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="cannot write"):
        replace_file(tmp_path / name, b"content")


def test_a_folder_is_held_by_one_process_until_it_ends(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from tablefree.files import held\n"
        "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "results")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with (
            pytest.raises(InputError, match=rf"process {process.pid} is writing its results into"),
            held(tmp_path / "results"),
        ):
            pytest.fail("it is held twice")
        process.kill()
    with held(tmp_path / "results"):
        assert not list((tmp_path / "results").iterdir())
