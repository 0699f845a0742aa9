"""Upload and download, by a server in this process that speaks what they need of the Hub's API."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from tablefree import CachedEmbedding, CheckpointError, Embedding, HashingTrick

COMMIT = "0" * 40
IDS = torch.arange(20)


class Hub(BaseHTTPRequestHandler):
    """Repositories of one branch, whose files are all in git."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        address = f"{self.server.address}/ann/items"
        if self.path == "/api/repos/create":
            self.answer({"url": address, "name": "ann/items"})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif self.path.endswith("/preupload/main"):
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        elif self.path.endswith("/commit/main"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.files[line["value"]["path"]] = content
            self.answer({"commitUrl": f"{address}/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self.send_error(404)

    def do_GET(self):
        files = self.server.files
        name = self.path.rpartition("/")[2]
        if self.path.startswith("/api/models/ann/items/revision/"):
            self.answer({"id": "ann/items", "sha": COMMIT, "siblings": self.listing("rfilename")})
        elif self.path.startswith("/api/models/ann/items/tree/"):
            self.answer(self.listing("path"))
        elif self.path.startswith("/ann/items/resolve/") and name in files:
            self.answer(files[name])
        else:
            self.send_error(404)

    do_HEAD = do_GET  # noqa: N815

    def listing(self, key):
        return [
            {key: name, "type": "file", "size": len(content), "oid": name}
            for name, content in self.server.files.items()
        ]

    def answer(self, content):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hash(body):x}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address, server.files = f"http://127.0.0.1:{server.server_port}", {}
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("is_cached", [False, True])
def test_what_was_pushed_can_be_had(hub, tmp_path, is_cached):
    embedding = HashingTrick(50, 4, seed="item_id")
    pushed = CachedEmbedding(embedding, 10) if is_cached else embedding
    address = pushed.push_to_hub("ann/items", token="secret", commit_message="First")
    assert address.endswith(f"/ann/items/commit/{COMMIT}")
    assert sorted(hub.files) == ["README.md", "config.json", "model.safetensors"]
    assert b'tablefree.HashingTrick.from_pretrained("ann/items")' in hub.files["README.md"]
    loaded = Embedding.from_pretrained("ann/items", cache_dir=tmp_path, token="secret")
    assert torch.equal(loaded(IDS), embedding(IDS))
    hub.files.clear()
    again = Embedding.from_pretrained("ann/items", cache_dir=tmp_path, local_files_only=True)
    assert torch.equal(again(IDS), embedding(IDS))


def test_a_repository_of_a_pickle_is_refused(hub, tmp_path):
    hub.files["pytorch_model.bin"] = b"\x80\x04N."
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        Embedding.from_pretrained("ann/items", cache_dir=tmp_path)
    assert not list(tmp_path.rglob("pytorch_model.bin"))


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("name", "reason"), [("bob/none", "404"), ("./misspelt/folder", "[Rr]epo"), ("a b", "[Rr]epo")]
)
def test_what_is_neither_here_nor_there_is_refused(tmp_path, name, reason):
    with pytest.raises(CheckpointError, match=f"no folder here.*{reason}") as refused:
        Embedding.from_pretrained(name, cache_dir=tmp_path)
    assert "\n" not in str(refused.value)
