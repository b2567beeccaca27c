"""Makes transformers' Auto classes know GeoLLaVA; importing this module is enough, and loading twice does no harm."""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
)

from .configuration_geollava import GeoLlavaConfig
from .image_processing_geollava import GeoLlavaImageProcessor
from .modeling_geollava import GeoLlavaForConditionalGeneration, GeoLlavaModel
from .processing_geollava import GeoLlavaProcessor


def register() -> None:
    """Register configuration, processors and models under `model_type = "geollava"`."""
    AutoConfig.register(GeoLlavaConfig.model_type, GeoLlavaConfig, exist_ok=True)
    AutoImageProcessor.register(GeoLlavaConfig, slow_image_processor_class=GeoLlavaImageProcessor, exist_ok=True)
    AutoProcessor.register(GeoLlavaConfig, GeoLlavaProcessor, exist_ok=True)
    AutoModel.register(GeoLlavaConfig, GeoLlavaModel, exist_ok=True)
    for for_generation in (AutoModelForImageTextToText, AutoModelForMultimodalLM, AutoModelForCausalLM):
        for_generation.register(GeoLlavaConfig, GeoLlavaForConditionalGeneration, exist_ok=True)


register()
