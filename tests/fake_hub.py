"""The Hugging Face Hub on loopback, as far as a push needs it: real HTTP, standard library only.

Contents live under their digests, apart from commits, as the Hub has them: what was sent before a push died is still
there when it is repeated. Parquet goes by Git LFS, everything else within the commit.

    with FakeHub() as hub:
        push_dataset(src, "org/name", endpoint=hub.endpoint)
        assert hub.repos["org/name"].files
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

TOKEN = "hf_of-the-fake-hub"  # noqa: S105  opens nothing


@dataclass(slots=True, kw_only=True)
class FakeRepo:
    """A repository: the files of its main branch, and what may be seen of it by whom."""

    visibility: str = "public"
    gated: str | bool = False
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b"*.parquet filter=lfs\n"})
    num_commits: int = 1
    history: list[tuple[str, str]] = field(default_factory=list)
    """Visibility and gate at the time of each commit."""

    @property
    def head(self) -> str:
        """The digest of the last commit."""
        return f"{self.num_commits:040x}"


class FakeHub:
    """The hub; a context that serves.

    Attributes:
        repos: by name.
        contents: by SHA-256, whether a commit names them or not.
        sent: SHA-256 of each content that has arrived, in order.
        breaks_after: contents after which no further one is taken.
        log: method, path and status of each request.
    """

    def __init__(self) -> None:
        self.repos: dict[str, FakeRepo] = {}
        self.contents: dict[str, bytes] = {}
        self.sent: list[str] = []
        self.breaks_after: int | None = None
        self.log: list[tuple[str, str, int]] = []
        self.may_write = True
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))

    @property
    def endpoint(self) -> str:
        """The address for `HF_ENDPOINT`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    # --- what requests do: each returns a status and what is answered ---

    def answer(self, method: str, path: str, body: bytes, *, token: str) -> tuple[int, Mapping[str, Any]]:
        """Return the status and the JSON that a request is answered with."""
        with self._lock:
            if not path.startswith("/contents/") and token != TOKEN:  # contents are sent to signed addresses
                status, answer = 401, {"error": "Invalid credentials in Authorization header"}
            else:
                status, answer = self._route(method, path, body)
            self.log.append((method, path, status))
            return status, answer

    def _route(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if path == "/api/whoami-v2":
            return 200, {"type": "user", "name": "somebody"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if found := re.fullmatch(r"/contents/(\w+)", path):
            return self._take(found[1], body)
        if found := re.fullmatch(r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return 200, {"transfer": "basic", "objects": [self._lfs(each) for each in json.loads(body)["objects"]]}
        if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/(settings|preupload/main|commit/main))?", path):
            if found[1] not in self.repos:
                return 404, {"error": "Repository not found"}
            return self._of_repo(found[1], found[2], body)
        return 404, {"error": f"the fake hub has no {method} {path}"}

    def _of_repo(self, name: str, what: str | None, body: bytes) -> tuple[int, dict[str, Any]]:
        repo = self.repos[name]
        if what is None:
            siblings = [{"rfilename": name} for name in sorted(repo.files)]
            private = repo.visibility == "private"
            return 200, {"id": "x/y", "sha": repo.head, "private": private, "gated": repo.gated, "siblings": siblings}
        if what == "settings":
            asked = json.loads(body)
            repo.visibility, repo.gated = asked.get("visibility", repo.visibility), asked.get("gated", repo.gated)
            return 200, {}
        if what == "preupload/main":
            return 200, {"files": [self._mode(file["path"]) for file in json.loads(body)["files"]]}
        return self._commit(name, [json.loads(line) for line in body.splitlines()])

    def _create(self, asked: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        name = f"{asked['organization']}/{asked['name']}"
        if not self.may_write:
            return 403, {"error": "You don't have the rights to create a dataset under this namespace"}
        if name in self.repos:
            return 409, {"error": "You already created this dataset repo", "url": f"{self.endpoint}/datasets/{name}"}
        self.repos[name] = FakeRepo(visibility=asked.get("visibility", "public"))
        return 200, {"url": f"{self.endpoint}/datasets/{name}"}

    def _mode(self, path: str) -> dict[str, Any]:
        return {"path": path, "uploadMode": "lfs" if path.endswith(".parquet") else "regular", "shouldIgnore": False}

    def _lfs(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        known = {"oid": asked["oid"], "size": asked["size"]}
        if asked["oid"] in self.contents:
            return known
        return {**known, "actions": {"upload": {"href": f"{self.endpoint}/contents/{asked['oid']}", "header": {}}}}

    def _take(self, digest: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if self.breaks_after is not None and len(self.sent) >= self.breaks_after:
            return 400, {"error": "the line is cut"}
        if hashlib.sha256(body).hexdigest() != digest:
            return 422, {"error": "not the content that was announced"}
        self.sent.append(digest)
        self.contents[digest] = body
        return 200, {}

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
        repo = self.repos[name]
        files = dict(repo.files)
        for line in lines:
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit", repo.head) != repo.head:
                return 412, {"error": "A commit has happened since. Please refresh and try again."}
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            if line["key"] == "lfsFile":
                files[value["path"]] = self.contents[value["oid"]]
            if line["key"] == "deletedFile":
                del files[value["path"]]
        repo.files = files
        repo.num_commits += 1
        repo.history.append((repo.visibility, str(repo.gated)))
        url = f"{self.endpoint}/datasets/{name}/commit/{repo.head}"
        return 200, {"commitUrl": url, "commitOid": repo.head, "success": True}


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""

    def _serve(self) -> None:
        body = self._body()
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        status, answer = self.hub.answer(self.command, self.path.partition("?")[0], body, token=token)
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815  http.server's names
