"""From planned groups to what a model gets: images read, hashed and decoded once, and what is stored left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rsvqa.annotation.images import ImageError, decode_image, read_header
from rsvqa.benchmark.files.images import make_thumbnail
from rsvqa.benchmark.files.reply_store import ReplyKey
from rsvqa.benchmark.files.run_record import THUMBNAILS_FOLDER
from rsvqa.benchmark.files.stored_replies import StoredImage, StoredReply
from rsvqa.benchmark.models import BenchImage, Prompt, PromptGroup
from rsvqa.benchmark.run.plan import PlannedGroup, request_fingerprint
from rsvqa.rsvqa_builder.files import write_atomically


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt with what is stored beside its reply.

    Attributes:
        group: number of its group among this process's.
        images: shown with it, or for a blind run only told of.
        fingerprint: see `plan.request_fingerprint`.
    """

    prompt: Prompt
    group: int
    images: tuple[StoredImage, ...]
    fingerprint: str


class Ledger(Protocol):
    """What a loader tells of prompts that need no model, and where it looks for stored replies."""

    def find(self, key: ReplyKey, fingerprint: str) -> StoredReply | None:
        """Return the stored reply to a request."""
        ...

    def keep(self, request: Request, reply: StoredReply) -> None:
        """A request is answered already."""
        ...

    def fail(self, request: Request, reason: str) -> None:
        """A request cannot be made."""
        ...


class Loader:
    """Makes groups ready, in order, in whichever thread iterates; `requests` tells what is under way, by prompt key.

    Args:
        groups: this process's part of the plan.
        fingerprint: of the plan.
        ledger: hears of what is not handed out.
        shows_images: False hands out groups without images; their hashes and sizes are stored all the same.
        run: folder that thumbnails go into.
    """

    def __init__(
        self, groups: Sequence[PlannedGroup], *, fingerprint: str, ledger: Ledger, shows_images: bool, run: Path
    ) -> None:
        self.requests: dict[str, Request] = {}
        self._groups = groups
        self._fingerprint = fingerprint
        self._ledger = ledger
        self._shows_images = shows_images
        self._thumbnails = run / THUMBNAILS_FOLDER

    def __iter__(self) -> Iterator[PromptGroup]:
        for number, planned in enumerate(self._groups):
            if group := self._load(number, planned):
                yield group

    def _load(self, number: int, planned: PlannedGroup) -> PromptGroup | None:
        """Return a group with the prompts that are still to be asked; None when there is none."""
        try:
            encoded = [image.read() for image in planned.images]
            stored = tuple(map(_describe, encoded))
        except (ImageError, OSError) as error:
            self._fail_all([Request(prompt, number, (), "") for prompt in planned.prompts], error)
            return None
        open_requests = self._leave_out_stored(number, planned, stored)
        if not open_requests:
            return None
        try:
            images = tuple(map(self._decode, encoded, stored)) if self._shows_images else ()
        except ImageError as error:
            self._fail_all(open_requests, error)
            return None
        self.requests |= {request.prompt.key: request for request in open_requests}
        return PromptGroup(images, tuple(request.prompt for request in open_requests))

    def _fail_all(self, requests: Sequence[Request], error: Exception) -> None:
        for request in requests:
            self._ledger.fail(request, f"image: {error}")

    def _leave_out_stored(self, number: int, planned: PlannedGroup, images: tuple[StoredImage, ...]) -> list[Request]:
        shown = [image.sha256 for image in images] if self._shows_images else []
        requests = [
            Request(prompt, number, images, request_fingerprint(self._fingerprint, prompt, shown))
            for prompt in planned.prompts
        ]
        still_open = []
        for request in requests:
            key = ReplyKey(request.prompt.sample.sample_id, request.prompt.rotation)
            if reply := self._ledger.find(key, request.fingerprint):
                self._ledger.keep(request, reply)
            else:
                still_open.append(request)
        return still_open

    def _decode(self, encoded: bytes, image: StoredImage) -> BenchImage:
        rgb = decode_image(encoded)
        thumbnail = self._thumbnails / f"{image.sha256}.jpg"
        if not thumbnail.exists():
            thumbnail.parent.mkdir(exist_ok=True)
            write_atomically(thumbnail, make_thumbnail(rgb))
        return BenchImage(rgb, encoded, image.sha256)


def _describe(encoded: bytes) -> StoredImage:
    header = read_header(encoded)
    return StoredImage(sha256=hashlib.sha256(encoded).hexdigest(), width=header.width, height=header.height)


def group_bytes(group: PromptGroup) -> int:
    """Return what a group's images take in memory, bytes."""
    return sum(image.rgb.nbytes + len(image.encoded) for image in group.images)
