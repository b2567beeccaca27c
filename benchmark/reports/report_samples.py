"""The questions that the report page shows: wrong, without an answer, and slow ones, with their images and boxes.

Thumbnails stand once on the page however many questions show them. What a card shows is in `sample_cards.py`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.files.run_record import THUMBNAILS_FOLDER
from rsvqa.benchmark.reports.sample_cards import (
    BOX_NAMES,
    CardAnswer,
    CardBox,
    CardPicture,
    SampleCard,
    is_disputed,
    make_card,
)
from rsvqa.benchmark.scores.labels import in_order
from rsvqa.benchmark.scores.measures import Measured
from rsvqa.benchmark.scores.score import AnswerOutcome

NUM_WRONG = 3
"""Wrong replies shown of a task."""
NUM_SLOWEST = 6
NUM_NO_ANSWER = 6
NUM_DISPUTED = 6
"""Replies shown that the two parsers judge differently."""
NUM_TEXTS = 3
MAX_CHARACTERS = 900
"""The most that is shown of a reply, question or prompt; `samples.jsonl` holds the rest."""
MAX_THUMBNAIL_BYTES = 8_000_000
"""The most for all thumbnails on the page; later ones are left out and say so."""
MAX_FIGURE_HEIGHT = 360
"""CSS pixels."""


@dataclass(frozen=True, slots=True)
class Section:
    """Questions shown under one heading."""

    anchor: str
    title: str
    hint: str
    questions: Sequence[Measured]


@dataclass(slots=True)
class Thumbnails:
    """Embeds images as they are first shown, up to a total size.

    Attributes:
        folder: holds `<sha256>.jpg`.
        definitions: of those on the page, by id.
        num_bytes_left: that further images may take.
    """

    folder: Path
    definitions: dict[str, str] = field(default_factory=dict)
    num_bytes_left: int = field(default_factory=lambda: MAX_THUMBNAIL_BYTES)

    def reference(self, image: CardPicture) -> str | None:
        """Return the id of an image on the page; None when there is no thumbnail or no room for it."""
        known = f"i{image.sha256[:16]}"
        if known not in self.definitions:
            encoded = self._read(image.sha256)
            if encoded is None or len(encoded) > self.num_bytes_left:
                return None
            self.num_bytes_left -= len(encoded)
            self.definitions[known] = (
                f'<image id="{escape(known)}" width="{image.width}" height="{image.height}" '
                f'preserveAspectRatio="none" href="data:image/jpeg;base64,{base64.b64encode(encoded).decode()}"/>'
            )
        return escape(known)

    def _read(self, sha256: str) -> bytes | None:
        if not sha256.isalnum():  # it comes from a file, and must not lead out of the folder
            return None
        try:
            return (self.folder / f"{sha256}.jpg").read_bytes()
        except OSError:
            return None


# --- which ------------------------------------------------------------------------------------------------------------


def choose_sections(questions: Sequence[Measured]) -> list[Section]:
    """Return the questions to show; the same run shows the same ones."""
    scored = [one for one in questions if one.is_scored]
    wrong = [one for one in scored if one.score.strict is AnswerOutcome.WRONG]
    by_task = [
        one
        for task in in_order(one.reply.task for one in wrong)
        for one in _spread([one for one in wrong if one.reply.task == task], NUM_WRONG)
    ]
    no_answer = [one for one in scored if one.score.strict is AnswerOutcome.NO_ANSWER]
    disputed = [one for one in questions if is_disputed(one)]
    texts = [one for one in scored if one.reply.form is AnswerForm.TEXT]
    slowest = sorted((one for one in scored if one.reply.seconds > 0), key=lambda one: -one.reply.seconds)
    sections = [
        Section("wrong", "Wrong replies", f"up to {NUM_WRONG} per sub-task, of {len(wrong):,}", by_task),
        Section("no-answer", "No answer found", _of(no_answer, NUM_NO_ANSWER), _spread(no_answer, NUM_NO_ANSWER)),
        Section("disputed", "The parsers disagree", _of(disputed, NUM_DISPUTED), _spread(disputed, NUM_DISPUTED)),
        Section("written", "Captions as written", _of(texts, NUM_TEXTS), _spread(texts, NUM_TEXTS)),
        Section("slowest", "Slowest replies", _of(slowest, NUM_SLOWEST), slowest[:NUM_SLOWEST]),
    ]
    return [section for section in sections if section.questions]


def _of(questions: Sequence[Measured], num_shown: int) -> str:
    return f"{min(len(questions), num_shown):,} of {len(questions):,}"


def _spread(questions: Sequence[Measured], count: int) -> list[Measured]:
    """Return up to `count` of them, evenly spread over the file."""
    shown = min(count, len(questions))
    return [questions[number * len(questions) // shown] for number in range(shown)]


# --- how --------------------------------------------------------------------------------------------------------------


def section_html(section: Section, thumbnails: Thumbnails) -> str:
    """Return one section of the page."""
    cards = "".join(_card(one, thumbnails) for one in section.questions)
    return (
        f'<section id="{section.anchor}"><header><h2>{escape(section.title)}</h2>'
        f'<p class="facts">{escape(section.hint)}</p></header>{cards}</section>'
    )


def _card(one: Measured, thumbnails: Thumbnails) -> str:
    card, lang = make_card([one]), escape(one.reply.language)
    (answer,) = card.answers
    assert answer is not None
    views = "".join(_figure(card, answer, number, thumbnails) for number in range(len(card.pictures)))
    references = "".join(f'<blockquote lang="{lang}">{_cut(text)}</blockquote>' for text in card.references)
    verdicts = "".join(f'<span class="verdict">{escape(verdict)}</span>' for verdict in answer.verdicts)
    facts = " · ".join([*answer.facts, f"<code>{escape(card.sample_id)}</code>"])
    return (
        f'<article><div class="views">{views or _NO_IMAGE}</div><div class="qa">'
        f'<p class="path">{escape(card.task)} <abbr>{escape(card.short)}</abbr></p>'
        f'<p class="question" lang="{lang}">{_cut(card.question)}</p>'
        f'{_options(card, answer)}{references}<p class="label">Reply {verdicts}</p>'
        f"<pre>{_cut(answer.reply or '') or '<i>nothing</i>'}</pre>"
        f'{_prompt(answer)}{_looks(answer)}<p class="place">{facts}</p></div></article>'
    )


_NO_IMAGE = '<p class="missing">asked without an image</p>'


def _figure(card: SampleCard, answer: CardAnswer, number: int, thumbnails: Thumbnails) -> str:
    picture, view = card.pictures[number], answer.views[number]
    caption = f"{picture.caption}, {view}" if view else picture.caption
    reference = thumbnails.reference(picture)
    boxes = (*card.boxes, *answer.boxes) if number == 0 else ()
    if not reference and not boxes:
        return f"<figure><figcaption>{escape(caption)} · no thumbnail</figcaption></figure>"
    ground = f'<use href="#{reference}"/>' if reference else '<rect class="void" width="100%" height="100%"/>'
    drawn = "".join(_rectangle(box) for box in sorted(boxes, key=lambda box: box.kind != "looked"))  # windows below
    kinds = dict.fromkeys(box.kind for box in boxes)
    legend = "".join(f'<span class="key {kind}">{BOX_NAMES[kind]}</span>' for kind in kinds)
    missing = "" if reference else " · no thumbnail"
    width = MAX_FIGURE_HEIGHT * picture.width / max(picture.height, 1)
    return (
        f'<figure><svg viewBox="0 0 {picture.width} {picture.height}" style="max-width:{width:.0f}px" role="img" '
        f'aria-label="{escape(caption)}">{ground}{drawn}</svg>'
        f"<figcaption>{escape(caption)}{missing}{legend}</figcaption></figure>"
    )


def _rectangle(box: CardBox) -> str:
    """Return a box with a dark halo that shows on any ground, and its ring."""
    place = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
    shapes = f'<rect class="halo" {place}/><rect class="{box.kind}" {place}/>'
    if box.ring is not None:
        x, y, radius = box.ring
        ring = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"'
        shapes += f'<circle class="halo" {ring}/><circle class="{box.kind}" {ring}/>'
    return shapes


def _options(card: SampleCard, answer: CardAnswer) -> str:
    """Return the options, with the right ones and those read from the reply marked."""
    if not card.options:
        return ""
    items = []
    for option in card.options:
        is_said = option.letter in answer.letters
        kind = "right" if option.is_right else "said" if is_said else ""
        words = " · ".join(word for word, holds in (("right", option.is_right), ("replied", is_said)) if holds)
        mark = f"<em>{words}</em>" if words else ""
        items.append(f'<li class="{kind}"><b>{escape(option.letter)}</b><span>{_cut(option.text)}</span>{mark}</li>')
    return f'<ol class="options" lang="{escape(card.language)}">{"".join(items)}</ol>'


def _prompt(answer: CardAnswer) -> str:
    """Return the prompt as the model got it, folded."""
    note = ", boxes rewritten" if answer.boxes_rewritten else ""
    return f"<details><summary>Prompt as sent{note}</summary><pre>{_cut(answer.prompt)}</pre></details>"


def _looks(answer: CardAnswer) -> str:
    """Return what a model that looks was asked before it answered, and what it said, folded."""
    calls = "".join(f"<pre>{_cut(look.sent)}</pre><pre>{_cut(look.text)}</pre>" for look in answer.looks)
    count = len(answer.looks)
    return f"<details><summary>{count} call{'s' * (count > 1)} to look</summary>{calls}</details>" if calls else ""


def _cut(text: str) -> str:
    """Return text for HTML, cut to a length that a page can hold."""
    if len(text) <= MAX_CHARACTERS:
        return escape(text)
    return f"{escape(text[:MAX_CHARACTERS])}<i>… {len(text) - MAX_CHARACTERS:,} more characters</i>"


def thumbnails_of(run: Path) -> Thumbnails:
    """Return the thumbnails of a run's folder."""
    return Thumbnails(run / THUMBNAILS_FOLDER)
