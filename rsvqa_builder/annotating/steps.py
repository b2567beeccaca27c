"""The passes that the steps of an annotation stand for, and the prompts behind them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rsvqa.annotation.llm.crops import CropSettings
from rsvqa.annotation.llm.drafting_step import TASKS_WITH_DRAFTED_QUESTION, DraftPass
from rsvqa.annotation.llm.passes import Pass
from rsvqa.annotation.llm.prompt_files import load_prompt, prompt_names
from rsvqa.annotation.llm.proposing_step import ProposePass
from rsvqa.annotation.llm.rule_check import RuleCheckPass
from rsvqa.annotation.llm.translating_step import LANGUAGE, BackTranslatePass, TranslatePass
from rsvqa.annotation.llm.verifying_step import AnswerPass, GuessPass
from rsvqa.annotation.llm.wording_step import WordingPass
from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings, AnnotateStep

_OF_PROPOSALS = ("propose_objects", "propose_tile")


def prompt_labels(settings: AnnotateSettings) -> list[str]:
    """Return names and versions of the prompts: another wording is another annotation."""
    names = _OF_PROPOSALS if settings.is_proposing else [name for name in prompt_names() if name not in _OF_PROPOSALS]
    return [load_prompt(name).label for name in names]


def passes_of(settings: AnnotateSettings, *, translated: Collection[str] = ()) -> Sequence[Pass]:
    """Return the passes of the settings' steps, in order; `translated` are ids that must not be made again."""
    verifier = settings.verifier or settings.model
    crops = CropSettings(overview_px=settings.overview_px, part_px=settings.part_px, crop_px=settings.crop_px)
    passes: dict[AnnotateStep, tuple[Pass, ...]] = {
        "propose": (ProposePass(model=settings.model, crops=crops),),
        "word": (
            WordingPass(
                model=settings.model,
                skip_tasks=TASKS_WITH_DRAFTED_QUESTION if "draft" in settings.steps else frozenset(),
            ),
        ),
        "draft": (DraftPass(model=settings.model, crops=crops),),
        "verify": (
            RuleCheckPass(),
            GuessPass(verifier),
            GuessPass(verifier, is_second=True),
            AnswerPass(model=verifier, crops=crops),
        ),
        "translate": (TranslatePass(settings.model, frozenset(translated)),),
    }
    steps = [work for step in settings.steps for work in passes[step]]
    return [*steps, *version_passes(settings)] if "verify" in settings.steps else steps


def version_passes(settings: AnnotateSettings) -> tuple[Pass, ...]:
    """Return the passes that verify versions in another language; they come last."""
    verifier = settings.verifier or settings.model
    crops = CropSettings(overview_px=settings.overview_px, part_px=settings.part_px, crop_px=settings.crop_px)
    return BackTranslatePass(verifier), AnswerPass(
        model=verifier, crops=crops, name="answer_version", language=LANGUAGE
    )
