"""GeoLLaVA for ms-swift: `swift sft --external_plugins docs/ms-swift/geollava.py --model ckpt/ ...`.

The checkpoint's own processor cuts the images and says how many placeholders each has.
"""

from typing import Any, ClassVar

from swift.model import Model, ModelGroup, ModelLoader, ModelMeta, MultiModelKeys, register_model, register_model_arch
from swift.template import Template, register_template
from swift.template.templates.qwen import QwenTemplateMeta
from swift.template.utils import findall
from transformers import AutoModelForImageTextToText

NAME = "geollava"


class GeoLlavaLoader(ModelLoader):
    """Loads the model with its head."""

    def get_model(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return the model."""
        self.auto_model_cls = AutoModelForImageTextToText
        return super().get_model(*args, **kwargs)


class GeoLlavaTemplate(Template):
    """Qwen's chats with a placeholder per visual token."""

    placeholder_tokens: ClassVar[list[str]] = ["<image>"]

    def init_processor(self, processor: Any) -> None:  # noqa: ANN401
        """Take the processor of a checkpoint."""
        if processor is not None and processor.num_cell_tokens is None:
            raise ValueError(
                "the checkpoint has fill = 'drop': how many visual tokens an image has is not known before the model "
                "has seen it, and ms-swift cuts labels and logits to one length; set fill = 'next' in its config.json "
                "and num_cell_tokens = tokens_per_cell in its processor_config.json"
            )
        super().init_processor(processor)

    def replace_tag(self, *_: Any) -> list[str]:  # noqa: ANN401
        """Return what stands for an image, on a line of its own."""
        return ["<image>\n"]

    def _encode(self, inputs: Any) -> dict[str, Any]:  # noqa: ANN401
        encoded: dict[str, Any] = super()._encode(inputs)
        if not inputs.images:
            return encoded
        processor = self.processor
        images = processor.image_processor(inputs.images)
        counts = (processor.num_cell_tokens * images["image_grid_thw"].prod(1)).tolist()
        encoded["input_ids"], encoded["labels"], encoded["loss_scale"] = self._extend_tokens(
            encoded["input_ids"],
            encoded["labels"],
            encoded.get("loss_scale"),
            findall(encoded["input_ids"], processor.image_token_id),
            lambda number: [processor.image_token_id] * counts[number],
        )
        return {**encoded, **images}

    def _data_collator_mm_data(self, batch: list[dict[str, Any]]) -> dict[str, Any]:
        grids = self.concat_tensor(batch, "image_grid_thw", 0)
        collated: dict[str, Any] = super()._data_collator_mm_data(batch)
        return collated if grids is None else {**collated, "image_grid_thw": grids}


register_model_arch(
    MultiModelKeys(
        NAME,
        language_model=["model.language_model", "lm_head"],
        aligner="model.multi_modal_projector",
        vision_tower="model.vision_tower",
    )
)
register_template(QwenTemplateMeta(NAME, default_system="You are a helpful assistant.", template_cls=GeoLlavaTemplate))
register_model(
    ModelMeta(
        NAME,
        [ModelGroup([Model()])],
        GeoLlavaLoader,
        template=NAME,
        model_arch=NAME,
        architectures=["GeoLlavaForConditionalGeneration"],
        is_multimodal=True,
    )
)
