import hashlib
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tablefree.data import download as module
from tablefree.data.download import DATASETS, Source, download
from tablefree.errors import InputError

CONTENT = os.urandom(3 * module.CHUNK_BYTES + 17)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/gone.zip":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unsized.zip":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: -5 if self.path == "/short.zip" else None])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def offer(monkeypatch):
    def _offer(address, md5=None):
        monkeypatch.setitem(DATASETS, "x", Source(address, md5))

    return _offer


@pytest.mark.parametrize("name", ["x.zip", "unsized.zip"])
def test_download(address, offer, tmp_path, name, capfd):
    offer(f"{address}/{name}", hashlib.md5(CONTENT).hexdigest())
    path = download("x", tmp_path / "new")
    assert path == tmp_path / "new" / name
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    out, err = capfd.readouterr()
    assert not out
    assert name in err


def test_a_file_that_is_there_is_kept(offer, tmp_path):
    offer("http://127.0.0.1:9/x.zip")
    (tmp_path / "x.zip").write_text("mine")
    assert download("x", tmp_path).read_text() == "mine"


def test_a_wrong_checksum_leaves_nothing(address, offer, tmp_path):
    offer(f"{address}/x.zip", "0" * 32)
    with pytest.raises(InputError, match=r"MD5 sum .*, and its owner publishes 0000"):
        download("x", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_connection_that_breaks_leaves_nothing(address, offer, tmp_path):
    offer(f"{address}/short.zip")
    with pytest.raises(InputError, match=rf"ended after \d+ of {len(CONTENT)} bytes: try again"):
        download("x", tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_network_the_message_names_the_address_and_the_folder(offer, tmp_path):
    offer("http://127.0.0.1:9/x.zip")
    with pytest.raises(InputError) as raised:
        download("x", tmp_path)
    message = str(raised.value)
    assert "http://127.0.0.1:9/x.zip cannot be reached" in message
    assert f"put the file x.zip into {tmp_path}" in message
    assert "\n" not in message


def test_an_address_that_is_gone(address, offer, tmp_path):
    offer(f"{address}/gone.zip")
    with pytest.raises(InputError, match=r"gone\.zip cannot be reached \(Not Found\)"):
        download("x", tmp_path)


def test_a_folder_that_cannot_be_written(offer, tmp_path):
    offer("http://127.0.0.1:9/x.zip")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/folder cannot be written .*another folder"):
        download("x", tmp_path / "file" / "folder")


def test_an_unknown_name(tmp_path):
    with pytest.raises(InputError, match="unknown data set 'ml-1k': choose one of ml-100k, "):
        download("ml-1k", tmp_path)


def test_the_catalogue():
    for source in DATASETS.values():
        assert re.fullmatch(r"https://[\w./-]+/[\w.-]+\.(zip|json\.gz|csv|csv\.gz)", source.address)
        assert source.md5 is None or re.fullmatch(r"[0-9a-f]{32}", source.md5)
