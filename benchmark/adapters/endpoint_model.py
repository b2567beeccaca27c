"""A model behind an OpenAI-compatible endpoint: GPT, vLLM, SGLang, `transformers serve` and others.

An image is sent as the file that it came in where the provider takes that, and else scaled and encoded anew, once for
all its questions. What surprises: a provider may scale it further, so the view is not known, and boxes are asked for as
shares of the image's sides.
"""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from rsvqa.annotation.extras import require_extra
from rsvqa.annotation.images import ImageSize, decode_image, read_header
from rsvqa.annotation.llm.client import ChatClient, ClientSettings, Endpoint, EndpointDownError, EndpointError
from rsvqa.annotation.llm.endpoint import OPENAI_URL
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest, RequestPicture
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import BenchImage, BoxConvention, ModelView, Prompt, PromptGroup, Reply, Unanswered
from rsvqa.benchmark.settings import BLIND, BenchSettings

JPEG_QUALITY = 90
_SHRINK_BY = 0.8
"""Factor for both sides, applied again and again until the file fits."""

_SMALLEST_SIDE = 256
"""Pixels. A server that refuses such an image does not refuse it for its size."""
_MEDIA_TYPES: Mapping[bytes, str] = MappingProxyType({b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"})
"""By the first bytes: names of files lie."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a provider takes.

    Attributes:
        max_side: longer side, pixels; None for no limit.
        max_bytes: of the encoded file, before base64.
    """

    max_side: int | None
    max_bytes: int


OWN_SERVER = ImageLimits(None, 50_000_000)
"""For servers that one runs oneself, which state no limit; the bound keeps a request within what HTTP servers take."""

LIMITS: Mapping[str, ImageLimits] = MappingProxyType(
    {
        # "Images and vision": 20 MB an image, 50 MB a request of two; scaled to 2,048 px by the provider anyway
        "api.openai.com": ImageLimits(2_048, 20_000_000),
        # "Vision": 8,000 px a side; 5 MB an image in base64, which is 4/3 of the file
        "api.anthropic.com": ImageLimits(8_000, 3_750_000),
        # "Image understanding": 20 MB a request in base64, here of two images and the text
        "generativelanguage.googleapis.com": ImageLimits(None, 7_000_000),
    }
)
"""By host, as the providers' guides state them (2026)."""


def open_endpoint_model(settings: BenchSettings) -> EndpointModel:
    """Return the endpoint's model that the settings name; nothing is sent yet.

    Raises:
        ModelError: no name, or no key where one is needed.
        MissingExtraError: the `llm` extra is not installed.
    """
    require_extra("llm", "bench")
    if not settings.model.removeprefix(BLIND).removeprefix("openai:"):
        raise ModelError("openai: needs the name of a model, as the endpoint calls it: openai:NAME")
    try:
        endpoint = Endpoint(settings.base_url or OPENAI_URL)
        return EndpointModel(ChatClient(endpoint, ClientSettings(concurrency=settings.concurrency)), settings)
    except EndpointError as error:
        raise ModelError(str(error)) from error


class EndpointModel:
    """A `BenchModel` that asks through a `ChatClient`."""

    def __init__(self, client: ChatClient, settings: BenchSettings) -> None:
        self._client = client
        self._settings = settings
        self._base_url = settings.base_url or OPENAI_URL
        self._limits = LIMITS.get(urlsplit(self._base_url).hostname or "", OWN_SERVER)

    @property
    def name(self) -> str:
        """As the endpoint calls it."""
        model = self._settings.model
        return (BLIND if model.startswith(BLIND) else "") + self._model

    @property
    def box_convention(self) -> BoxConvention:
        """Shares of the sides, unless the settings say otherwise."""
        return self._settings.box_units or "0-1"

    def describe(self) -> Mapping[str, Any]:
        """Return what the replies follow from, as far as an endpoint lets it be known."""
        return {
            "adapter": "openai",
            "model": self._settings.model,
            "base_url": self._base_url,
            "image_detail": self._settings.image_detail,
            "max_pixels": self._settings.max_pixels,
            "max_side": self._limits.max_side,
            "max_bytes": self._limits.max_bytes,
            "box_convention": self.box_convention,
        }

    def reply(self, groups: Iterable[PromptGroup]) -> Iterator[Reply | Unanswered]:
        """Yield a result a prompt as it comes, in no certain order.

        Raises:
            ModelError: the endpoint has stopped answering, or has answered nothing.
        """
        is_there, trouble = False, ""
        requests = _Requests(self._requests(groups))
        try:
            for outcome in self._client.ask(requests):
                if requests.repeats_smaller(outcome):
                    is_there = True
                    continue
                yield self._make_result(outcome, requests.views_of(outcome.key))
                if isinstance(outcome, ChatFailure) and outcome.kind == "unreachable":
                    trouble = outcome.message
                else:
                    is_there = True
        except (EndpointDownError, EndpointError) as error:
            raise ModelError(str(error)) from error
        if trouble and not is_there:  # fewer questions than the client takes to call an endpoint down
            raise ModelError(f"no question got a reply: {trouble}")

    @property
    def _model(self) -> str:
        return self._settings.model.removeprefix(BLIND).removeprefix("openai:")

    def _requests(self, groups: Iterable[PromptGroup]) -> Iterator[tuple[ChatRequest, tuple[ImageSize, ...]]]:
        for group in groups:
            pictures = tuple(self._make_picture(image) for image in group.images)
            sizes = tuple(ImageSize(*image.rgb.shape[:2]) for image in group.images)
            for prompt in group.prompts:
                yield self._make_request(prompt, pictures), sizes

    def _make_request(self, prompt: Prompt, pictures: tuple[RequestPicture, ...]) -> ChatRequest:
        return ChatRequest(
            key=prompt.key,
            model=self._model,
            text=prompt.text,
            pictures=pictures,
            max_tokens=prompt.max_new_tokens,
            temperature=0.0,
            system=self._settings.system or "",
            extra_body=self._extra_body,
        )

    @property
    def _extra_body(self) -> Mapping[str, Any] | None:
        extra: dict[str, Any] = json.loads(self._settings.extra_body or "{}")
        if arguments := self._settings.template_arguments:
            extra["chat_template_kwargs"] = arguments  # as vLLM and SGLang call them
        return extra or None

    def _make_result(self, outcome: ChatReply | ChatFailure, views: tuple[ModelView, ...]) -> Reply | Unanswered:
        if isinstance(outcome, ChatFailure):
            return Unanswered(outcome.key, f"{outcome.kind}: {outcome.message}")
        return Reply(
            key=outcome.key,
            text=outcome.text,
            ended=outcome.ended,
            num_prompt_tokens=outcome.input_tokens,
            num_new_tokens=outcome.output_tokens,
            seconds=outcome.seconds,
            views=views,
            box_convention=self.box_convention,
        )

    def _make_picture(self, image: BenchImage) -> RequestPicture:
        data, media_type = encode_within(image, self._limits, max_pixels=self._settings.max_pixels)
        return RequestPicture(data, media_type, self._settings.image_detail)


class _Requests(Iterator[ChatRequest]):
    """Requests, and again with smaller images those that the endpoint refused because of their size.

    A client asks once more for a request after each outcome, so one that is repeated goes out next; only what is in
    flight is held. An image is made smaller until it is taken, so that what is sent does not depend on the order.
    """

    def __init__(self, requests: Iterator[tuple[ChatRequest, tuple[ImageSize, ...]]]) -> None:
        """Take requests, each with the sizes of its images as they are."""
        self._requests = requests
        self._in_flight: dict[str, tuple[ChatRequest, tuple[ImageSize, ...]]] = {}
        self._again: deque[ChatRequest] = deque()
        self._repeated: set[str] = set()

    def __next__(self) -> ChatRequest:
        if self._again:
            return self._again.popleft()
        request, sizes = next(self._requests)
        self._in_flight[request.key] = request, sizes
        return request

    def repeats_smaller(self, outcome: ChatReply | ChatFailure) -> bool:
        """Return whether the request goes out again with smaller images."""
        if not (isinstance(outcome, ChatFailure) and outcome.kind == "too_large"):
            return False
        request, sizes = self._in_flight[outcome.key]
        smaller = tuple(map(_smaller, request.pictures))
        if max(max(read_header(picture.data).size) for picture in smaller) < _SMALLEST_SIDE:
            return False
        request = replace(request, pictures=smaller)
        self._in_flight[request.key] = request, sizes
        self._again.append(request)
        self._repeated.add(request.key)
        return True

    def views_of(self, key: str) -> tuple[ModelView, ...]:
        """Return what was sent in place of the images; nothing when they went out as they should."""
        request, sizes = self._in_flight.pop(key)
        if key not in self._repeated:
            return ()
        self._repeated.discard(key)
        sent = [read_header(picture.data).size for picture in request.pictures]
        return tuple(
            ModelView(
                width=now.width, height=now.height, scale_x=now.width / was.width, scale_y=now.height / was.height
            )
            for now, was in zip(sent, sizes, strict=True)
        )


def _view(sent: ImageSize, whole: ImageSize) -> ModelView:
    scale_y, scale_x = sent.height / whole.height, sent.width / whole.width
    return ModelView(width=sent.width, height=sent.height, scale_x=scale_x, scale_y=scale_y)


def _smaller(picture: RequestPicture) -> RequestPicture:
    from PIL import Image

    image = Image.fromarray(decode_image(picture.data))
    size = max(1, int(image.width * _SHRINK_BY)), max(1, int(image.height * _SHRINK_BY))
    return replace(picture, data=_encode_jpeg(image.resize(size, Image.Resampling.BICUBIC)), media_type="image/jpeg")


def encode_within(image: BenchImage, limits: ImageLimits, *, max_pixels: int | None = None) -> tuple[bytes, str]:
    """Return the file and media type of an image that a provider takes: its own file where that is within all limits.

    Else it is scaled down, sides in proportion, and encoded as JPEG of quality 90 without chroma subsampling; where
    that is still too large, it is scaled down further.
    """
    from PIL import Image

    height, width, _ = image.rgb.shape
    scale = _scale_to_fit(width, height, limits.max_side, max_pixels)
    media_type = next((kind for start, kind in _MEDIA_TYPES.items() if image.encoded.startswith(start)), None)
    if scale == 1 and media_type is not None and len(image.encoded) <= limits.max_bytes:
        return image.encoded, media_type
    picture = Image.fromarray(image.rgb)
    while True:
        size = max(1, int(width * scale)), max(1, int(height * scale))
        data = _encode_jpeg(picture if size == (width, height) else picture.resize(size, Image.Resampling.BICUBIC))
        if len(data) <= limits.max_bytes or size == (1, 1):
            return data, "image/jpeg"
        scale *= _SHRINK_BY


def _scale_to_fit(width: int, height: int, max_side: int | None, max_pixels: int | None) -> float:
    """Return the largest factor up to 1 that keeps within both."""
    of_side = 1.0 if max_side is None else max_side / max(width, height)
    of_area = 1.0 if max_pixels is None else (max_pixels / (width * height)) ** 0.5
    return min(1.0, of_side, of_area)


def _encode_jpeg(picture: Any) -> bytes:  # noqa: ANN401  PIL's type
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return file.getvalue()
