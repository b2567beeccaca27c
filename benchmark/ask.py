"""`rsvqa ask`: questions of one's own about one image, put to any model that `rsvqa bench` can score."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.adapters.kept_tokens import pruning_checkpoint, token_pictures
from rsvqa.benchmark.adapters.open_model import open_model
from rsvqa.benchmark.errors import BenchmarkDataError, ModelError
from rsvqa.benchmark.models import BenchImage, BenchModel, Prompt, PromptGroup, Reply, Unanswered
from rsvqa.benchmark.samples import Sample
from rsvqa.benchmark.settings import AskModelSettings, BenchSettings, ModelSettings
from rsvqa.rsvqa_builder.documents.token_page import pruning_of, write_token_page
from rsvqa.rsvqa_builder.scenes.rendering import open_raster, read_tile, survey
from rsvqa.rsvqa_builder.scenes.scene import SceneError, describe_scene
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import ImageFormat
from rsvqa.rsvqa_builder.tiles.tile_work import encode

MAX_PIXELS = 20_000**2
"""An image of more pixels takes over a gigabyte, and no model has seen one: a part of it is asked about."""


def ask(
    settings: AskModelSettings,
    image: Path,
    questions: Sequence[str],
    *,
    later: Path | None = None,
    show: Path | None = None,
) -> Iterator[Reply | Unanswered]:
    """Yield the replies in the order of the questions; a reply's key is its question's place, from 0.

    Args:
        settings: the model, and how the image is read.
        image: a GeoTIFF or a picture, read as `rsvqa build` reads scenes.
        questions: put to the model as they are; boxes in them are pixels of the image, or of its window.
        later: a second image, shown after the first, such as a later date of the same place.
        show: page to write of the visual tokens that the model keeps of the images.

    Raises:
        BenchmarkDataError: no question, or an image cannot be read.
        ModelError: the model cannot be loaded, has stopped answering, or is none whose tokens can be shown.
    """
    if not questions or not all(question.strip() for question in questions):
        raise BenchmarkDataError("expected at least one question, and none that is empty")
    if show is not None and not (settings.is_checkpoint and settings.shows_images):
        raise ModelError(f"kept tokens can be shown of a GeoLLaVA that sees images, not of {settings.model!r}")
    paths = [image] if later is None else [image, later]
    shown = tuple(read_image(path, settings) for path in paths) if settings.shows_images else ()
    chosen = {name: getattr(settings, name) for name in ModelSettings.model_fields}
    model = open_model(BenchSettings(**chosen), ())
    if show is not None:
        pruning_checkpoint(model)  # refused before it is asked
    prompts = tuple(_prompt(place, text, settings) for place, text in enumerate(questions))
    replies = {reply.key: reply for reply in model.reply([PromptGroup(shown, prompts)])}
    if show is not None:
        _show_tokens(show, model, shown, paths, [(prompt.text, _words(replies[prompt.key])) for prompt in prompts])
    yield from (replies[prompt.key] for prompt in prompts)


def _show_tokens(
    page: Path,
    model: BenchModel,
    shown: Sequence[BenchImage],
    paths: Sequence[Path],
    exchanges: Sequence[tuple[str, str]],
) -> None:
    """Write the page of the tokens that were kept."""
    checkpoint = pruning_checkpoint(model)
    pictures = token_pictures(checkpoint, shown, [path.name for path in paths])
    title = f"{' and '.join(path.name for path in paths)}, seen by {model.name}"
    write_token_page(page, pictures, title=title, pruning=pruning_of(checkpoint.model.config), exchanges=exchanges)


def _words(reply: Reply | Unanswered) -> str:
    return reply.text if isinstance(reply, Reply) else f"not answered: {reply.reason}"


def read_image(path: Path, settings: AskModelSettings) -> BenchImage:
    """Return an image as a build would show it: its bands chosen, stretched to 8 bits, invalid pixels black.

    Raises:
        BenchmarkDataError: it cannot be read, is too large, or has no such window.
    """
    try:
        scene = describe_scene(str(path), path.stem, bands=settings.bands)
        window = Window(*settings.window) if settings.window else Window(0, 0, scene.width, scene.height)
        if window.x + window.width > scene.width or window.y + window.height > scene.height:
            raise SceneError(
                f"it has {scene.width} × {scene.height} px; the window {','.join(map(str, window))} reaches beyond"
            )
        if window.width * window.height > MAX_PIXELS:
            raise SceneError(
                f"{window.width} × {window.height} px are more than a model is shown; give a part of it by `window`"
            )
        scene, stretch = survey(scene, settings.stretch, finds_fill=True)
        with open_raster(scene.path) as dataset:
            rgb = read_tile(dataset, scene, stretch, window).rgb
    except SceneError as error:
        raise BenchmarkDataError(f"{path}: {error}") from error
    encoded = encode(rgb, ImageFormat.PNG, quality=0)
    return BenchImage(rgb, encoded, hashlib.sha256(encoded).hexdigest())


def _prompt(place: int, text: str, settings: AskModelSettings) -> Prompt:
    sample = Sample(
        sample_id=str(place),
        task="",
        category="",
        l2_category="",
        language="en",
        form=AnswerForm.TEXT,
        question=text,
        images=(),
    )
    return Prompt(key=str(place), sample=sample, text=text, max_new_tokens=settings.max_new_tokens)
