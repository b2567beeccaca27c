"""A slim GeoLLaVA-8K: tower, token pruning, projector, language model; conversion of released checkpoints; training.

Names are loaded on first use, so that importing this package needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULE_OF = {
    "GeoLlavaConfig": "configuration_geollava",
    "GeoLlavaImageProcessor": "image_processing_geollava",
    "GeoLlavaProcessor": "processing_geollava",
    "GeoLlavaModel": "modeling_geollava",
    "GeoLlavaForConditionalGeneration": "modeling_geollava",
    "Placement": "image_processing_geollava",
    "convert_checkpoint": "conversion",
    "register": "registration",
    "rescale_boxes": "processing_geollava",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:  # noqa: ANN401  one of the public names
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
