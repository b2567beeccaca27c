"""The batch API of the scripted endpoint: files, batches that are done after a few looks, results in another order."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

Answer = Callable[[Mapping[str, Any]], tuple[int, dict[str, Any]]]
"""From the body of a line to its status and the body of its answer."""


class ScriptedBatches:
    """Files and batches; a batch is worked when it is looked at for the `looks`-th time.

    Args:
        answer: what comes of a line.
        looks: how often a batch is looked at before it is done.
        final: its status then.

    Attributes:
        created: batches that were made, in order, by id.
        breaks_after_create: the next batch is made and its maker gets no answer.
        refuses: "files" or "batches" is answered with 403.
    """

    def __init__(self, answer: Answer, *, looks: int = 2, final: str = "completed") -> None:
        self.answer = answer
        self.looks = looks
        self.final = final
        self.breaks_after_create = False
        self.refuses = ""
        self.created: dict[str, dict[str, Any]] = {}
        self._files: dict[str, bytes] = {}
        self._num_looks: dict[str, int] = {}
        self._lock = threading.Lock()

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and content for a GET of a path below `/v1/`."""
        with self._lock:
            if found := re.fullmatch(r"files/([\w-]+)/content", path):
                return 200, self._files[found.group(1)]
            if path.partition("?")[0] == "batches":
                return 200, json.dumps(
                    {"object": "list", "data": list(self.created.values()), "has_more": False}
                ).encode()
            if found := re.fullmatch(r"batches/([\w-]+)", path):
                return 200, json.dumps(self._look(found.group(1))).encode()
        return 404, b'{"error": {"message": "no such path"}}'

    def post(self, path: str, content: bytes) -> tuple[int, bytes] | None:
        """Return status and content for a POST; None to hang up."""
        with self._lock:
            if path == self.refuses:
                return 403, b'{"error": {"message": "not for you"}}'
            if path == "files":
                return 200, json.dumps(self._keep(_uploaded(content), "input")).encode()
            if path == "batches":
                batch = self._create(json.loads(content))
                if self.breaks_after_create:
                    self.breaks_after_create = False
                    return None
                return 200, json.dumps(batch).encode()
        return 404, b'{"error": {"message": "no such path"}}'

    def _keep(self, content: bytes, kind: str) -> dict[str, Any]:
        file_id = f"file-{kind}-{len(self._files)}"
        self._files[file_id] = content
        return {
            "id": file_id,
            "object": "file",
            "bytes": len(content),
            "created_at": 0,
            "filename": "f",
            "purpose": "batch",
        }

    def _create(self, order: dict[str, Any]) -> dict[str, Any]:
        batch_id = f"batch_{len(self.created)}"
        batch = {"id": batch_id, "object": "batch", "status": "in_progress", "created_at": 0, **order}
        self.created[batch_id] = batch
        return batch

    def _look(self, batch_id: str) -> dict[str, Any]:
        batch = self.created[batch_id]
        self._num_looks[batch_id] = self._num_looks.get(batch_id, 0) + 1
        if batch["status"] == "in_progress" and self._num_looks[batch_id] >= self.looks:
            self._work(batch)
        return batch

    def _work(self, batch: dict[str, Any]) -> None:
        batch["status"] = self.final
        if self.final == "failed":
            batch["errors"] = {"object": "list", "data": [{"message": "Enqueued token limit reached", "code": "limit"}]}
            return
        lines = [json.loads(line) for line in self._files[batch["input_file_id"]].splitlines()]
        if self.final == "expired":
            lines = lines[: len(lines) // 2]
        good: list[bytes] = []
        bad: list[bytes] = []
        for line in reversed(lines):
            status, body = self.answer(line["body"])
            entry = {"id": "r", "custom_id": line["custom_id"], "response": {"status_code": status, "body": body}}
            (good if status == 200 else bad).append(json.dumps(entry | {"error": None}).encode())
        batch["output_file_id"] = self._keep(b"\n".join(good), "output")["id"] if good else None
        batch["error_file_id"] = self._keep(b"\n".join(bad), "error")["id"] if bad else None


def _uploaded(form: bytes) -> bytes:
    """Return the file of a multipart form."""
    boundary = form.split(b"\r\n", 1)[0]
    part = next(part for part in form.split(boundary) if b'name="file"' in part)
    return part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
