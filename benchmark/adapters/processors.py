"""The processor of a checkpoint, without its video part.

Some families' processors hold a video processor, which cannot be built without torchvision. A benchmark of images has
no use for it: such a processor is put together from the rest, and without torchvision it has the image processor that
transformers keeps for Pillow. SmolVLM's own cannot do without (nor without num2words); it treats images as Idefics3's.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_VIDEO = "video_processor"
_SAME_FOR_IMAGES: Mapping[str, str] = MappingProxyType({"smolvlm": "idefics3"})
"""Types whose processor cannot do without videos, and the type whose processor gives the same for images."""


def load_processor(name: str, model_type: str, *, trust_remote_code: bool) -> Any:  # noqa: ANN401  transformers' types
    """Return the processor of a folder or hub id.

    Args:
        name: of the checkpoint.
        model_type: of its configuration.
        trust_remote_code: run code that comes with the checkpoint.

    Raises:
        OSError, ValueError, ImportError: as transformers raises them.
    """
    from transformers import AutoProcessor

    if model_type in _SAME_FOR_IMAGES:
        return _class_of(_SAME_FOR_IMAGES[model_type]).from_pretrained(name)
    processor_class = _class_of(model_type)
    if processor_class is None or not _can_do_without_videos(processor_class):
        return AutoProcessor.from_pretrained(name, trust_remote_code=trust_remote_code)
    return images_only(processor_class).from_pretrained(name)


def images_only(processor_class: Any) -> Any:  # noqa: ANN401
    """Return the processor class without its video processor, under the same name."""

    class ImagesOnly(processor_class):  # type: ignore[misc]
        @classmethod
        def get_attributes(cls) -> list[str]:
            return [part for part in super().get_attributes() if part != _VIDEO]

    ImagesOnly.__name__ = processor_class.__name__  # it is saved under this name
    return ImagesOnly


def _class_of(model_type: str) -> Any:  # noqa: ANN401
    """Return transformers' own processor class of the type, or None."""
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    name = PROCESSOR_MAPPING_NAMES.get(model_type)
    return None if name is None else getattr(transformers, name, None)


def _can_do_without_videos(processor_class: Any) -> bool:  # noqa: ANN401
    parameter = inspect.signature(processor_class.__init__).parameters.get(_VIDEO)
    return parameter is not None and parameter.default is None


def shrink(picture: Any, max_pixels: int | None) -> Any:  # noqa: ANN401  PIL's type
    """Return the picture with at most so many pixels, its sides in proportion; as it is without a bound."""
    from PIL import Image

    scale = 1.0 if max_pixels is None else (max_pixels / (picture.width * picture.height)) ** 0.5
    if scale >= 1:
        return picture
    size = max(1, int(picture.width * scale)), max(1, int(picture.height * scale))
    return picture.resize(size, Image.Resampling.BICUBIC)
