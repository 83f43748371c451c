"""The model hub: silent, absent, cached, offline, and a small one on loopback that answers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ondevice import hub

LOAD = """
import sys
from ondevice import models
from ondevice.errors import UserError
try:
    checkpoint = models.load(sys.argv[1])
except UserError as error:
    sys.exit(f"{error}")
print(checkpoint.source, checkpoint.name, checkpoint.task)
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def load(model, home, endpoint="http://127.0.0.1:9", **environment):
    """Load a model in a fresh process; return (exit code, its one line, seconds)."""
    kept = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    kept |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0"} | environment
    kept |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    kept.pop("HF_HUB_CACHE", None)
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", LOAD, model], env=kept, capture_output=True, text=True, timeout=60
    )
    seconds = time.monotonic() - start
    return done.returncode, (done.stdout or done.stderr).strip(), seconds


def cache(home, directory, hub_id, files=None):
    """Lay a checkpoint out as the hub's own cache does: blobs, links, and a ref."""
    folder = home / "hub" / f"models--{hub_id.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (folder / "blobs").mkdir()
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    for path in directory.iterdir():
        if files is None or path.name in files:
            blob = folder / "blobs" / hashlib.sha256(path.name.encode()).hexdigest()
            shutil.copy(path, blob)
            (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)


@pytest.fixture
def closed():
    """An endpoint that refuses connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture(params=["accepts and is silent", "accepts nothing"])
def silent(request):
    """An endpoint that never answers."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    fillers = []
    if request.param == "accepts nothing":
        # With the backlog full, Linux drops further connection requests.
        listener.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
    else:
        listener.listen(8)
    yield f"http://127.0.0.1:{port}"
    for opened in (*fillers, listener):
        opened.close()


class TestNotReachable:
    """One sentence within 5 s, whatever the network does."""

    def test_refused(self, tmp_path, closed):
        code, line, seconds = load("someone/some-model", tmp_path, closed)
        assert code == 1
        assert line == (
            "'someone/some-model' is neither a directory nor cached, and the model hub is not"
            " reachable; give a local directory, or one of the embedded models: student,"
            " teacher, minilm"
        )
        assert seconds < 5

    def test_silent(self, tmp_path, silent):
        code, line, seconds = load("someone/some-model", tmp_path, silent)
        assert code == 1
        assert "the model hub is not reachable; give a local directory" in line
        assert "\n" not in line
        assert seconds < 5

    def test_silent_proxy(self, tmp_path, silent):
        code, line, seconds = load(
            "someone/some-model", tmp_path, "http://hub.invalid", http_proxy=silent
        )
        assert (code, "the model hub is not reachable" in line) == (1, True)
        assert seconds < 5

    def test_name_that_does_not_resolve(self, tmp_path):
        code, line, seconds = load("someone/some-model", tmp_path, "https://hub.invalid")
        assert (code, "the model hub is not reachable" in line) == (1, True)
        assert seconds < 5

    def test_offline(self, tmp_path):
        code, line, seconds = load("someone/some-model", tmp_path, HF_HUB_OFFLINE="1")
        assert code == 1
        assert "is not in the local cache and HF_HUB_OFFLINE is set; give a local" in line
        assert seconds < 5

    def test_partly_cached(self, tiny, tmp_path, closed):
        cache(tmp_path, tiny("bert", "qa"), "someone/some-model", files={"config.json"})
        code, line, seconds = load("someone/some-model", tmp_path, closed)
        assert (code, "the model hub is not reachable" in line) == (1, True)
        assert seconds < 5


class TestCached:
    """A complete snapshot in the local cache needs no network."""

    @pytest.mark.parametrize("offline", ["0", "1"])
    def test_is_used(self, tiny, tmp_path, closed, offline):
        cache(tmp_path, tiny("bert", "qa"), "someone/some-model")
        code, line, _ = load("someone/some-model", tmp_path, closed, HF_HUB_OFFLINE=offline)
        assert (code, line) == (0, "hub:someone/some-model some-model qa")

    def test_name_without_an_owner(self, tiny, tmp_path, closed):
        cache(tmp_path, tiny("roberta", "tokens"), "some-model")
        code, line, _ = load("some-model", tmp_path, closed)
        assert (code, line) == (0, "hub:some-model some-model tokens")


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as a download of one repository takes."""

    repository = "someone/some-model"
    directory: Path
    requested: list[str]

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        self.requested.append(f"{self.command} {path}")
        files = sorted(file for file in self.directory.iterdir() if file.is_file())
        if path == "/":
            return self.answer(b"a hub")
        if path.startswith(f"/api/models/{self.repository}/tree/"):
            rows = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": file.name}
                for file in files
            ]
            return self.answer(json.dumps(rows).encode())
        if path in {f"/api/models/{self.repository}{end}" for end in ("", "/revision/main")}:
            info = {"id": self.repository, "sha": COMMIT, "private": False, "tags": []}
            info["siblings"] = [{"rfilename": file.name} for file in files]
            return self.answer(json.dumps(info).encode())
        for file in files:
            if path == f"/{self.repository}/resolve/{COMMIT}/{file.name}":
                return self.answer(file.read_bytes(), etag=file.name)
        return self.answer(b"{}", status=404)

    def answer(self, body, status=200, etag="x"):
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def small_hub(tiny, tmp_path):
    """A hub on loopback with one repository: its endpoint, directory and list of requests."""
    directory = tmp_path / "repository"
    shutil.copytree(tiny("bert", "qa"), directory)
    (directory / "pytorch_model.bin").write_bytes(b"a pickle")
    handler = type("OneHub", (Hub,), {"directory": directory, "requested": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", directory, handler.requested
    server.shutdown()
    server.server_close()


class TestDownload:
    """The real client against a hub that answers."""

    def test_downloads_once_and_no_pickle(self, tmp_path, small_hub):
        endpoint, _, requested = small_hub
        home = tmp_path / "home"
        code, line, _ = load("someone/some-model", home, endpoint)
        assert (code, line) == (0, "hub:someone/some-model some-model qa")
        resolved = [request for request in requested if "/resolve/" in request]
        assert any("model.safetensors" in request for request in resolved)
        assert not any("pytorch_model.bin" in request for request in resolved)
        requested.clear()
        code, line, _ = load("someone/some-model", home, endpoint)
        assert (code, requested) == (0, [])

    def test_completes_what_is_partly_cached(self, tmp_path, small_hub):
        endpoint, directory, _ = small_hub
        home = tmp_path / "home"
        cache(home, directory, "someone/some-model", files={"config.json"})
        code, line, _ = load("someone/some-model", home, endpoint)
        assert (code, line) == (0, "hub:someone/some-model some-model qa")

    def test_no_such_repository(self, tmp_path, small_hub):
        code, line, _ = load("someone/other-model", tmp_path / "home", small_hub[0])
        assert code == 1
        assert "has no 'someone/other-model', or it is private" in line.splitlines()[-1]
        assert "give a local directory" in line

    def test_repository_without_weights(self, tmp_path, small_hub):
        endpoint, directory, _ = small_hub
        (directory / "model.safetensors").unlink()
        code, line, _ = load("someone/some-model", tmp_path / "home", endpoint)
        assert (code, "no weights in" in line) == (1, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bert-base-uncased", True),
        ("sentence-transformers/all-MiniLM-L6-v2", True),
        ("./model", False),
        ("/model", False),
        ("a/b/c", False),
        ("", False),
        ("a model", False),
    ],
)
def test_form_of_a_hub_id(text, expected):
    assert hub.is_hub_id(text) is expected
