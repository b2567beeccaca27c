"""The questions that the report page shows: wrong, without an answer, and slow ones, with their images and boxes.

Thumbnails stand once on the page however many questions show them. Boxes are drawn as SVG in pixels of the original
image, so they lie right whatever the size of the thumbnail.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from rsvqa.annotation.facts import Box, in_pixels
from rsvqa.annotation.images import ImageSize
from rsvqa.annotation.lettering import LETTERS, option_texts
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.files.run_record import THUMBNAILS_FOLDER
from rsvqa.benchmark.files.stored_replies import StoredImage, StoredReply
from rsvqa.benchmark.protocol.boxes import find_boxes
from rsvqa.benchmark.scores.labels import in_order, label_of
from rsvqa.benchmark.scores.measures import Measured
from rsvqa.benchmark.scores.score import AnswerOutcome
from rsvqa.benchmark.scores.scoring import replied_box

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

    def reference(self, image: StoredImage) -> str | None:
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
    disputed = [one for one in scored if one.is_judged and one.score.strict is not one.score.official]
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
    reply = one.reply
    views = "".join(_figure(one, number, thumbnails) for number in range(len(reply.images)))
    label = label_of(reply)
    return (
        f'<article><div class="views">{views or _NO_IMAGE}</div><div class="qa">'
        f'<p class="path">{escape(label.level_3)} <abbr>{escape(label.short)}</abbr></p>'
        f'<p class="question" lang="{escape(reply.language)}">{_cut(reply.question)}</p>'
        f'{_options(one)}{_references(reply)}<p class="label">Reply {_verdict(one)}</p>'
        f"<pre>{_cut(reply.reply or '') or '<i>nothing</i>'}</pre>"
        f"{_prompt(reply)}{_looks(reply)}{_facts(reply)}</div></article>"
    )


_NO_IMAGE = '<p class="missing">asked without an image</p>'


def _figure(one: Measured, number: int, thumbnails: Thumbnails) -> str:
    image = one.reply.images[number]
    caption = f"{image.width:,} × {image.height:,} px"
    if image.view_width is not None and image.view_height is not None:
        caption += f", seen as {image.view_width:,} × {image.view_height:,}"
    reference = thumbnails.reference(image)
    shapes = _boxes(one) if number == 0 else []
    if not reference and not shapes:
        return f"<figure><figcaption>{escape(caption)} · no thumbnail</figcaption></figure>"
    picture = f'<use href="#{reference}"/>' if reference else '<rect class="void" width="100%" height="100%"/>'
    drawn = "".join(_rectangle(box, kind, image) for kind, box in shapes)
    legend = "".join(f'<span class="key {kind}">{_BOX_NAMES[kind]}</span>' for kind in dict(shapes))
    missing = "" if reference else " · no thumbnail"
    width = MAX_FIGURE_HEIGHT * image.width / max(image.height, 1)
    return (
        f'<figure><svg viewBox="0 0 {image.width} {image.height}" style="max-width:{width:.0f}px" role="img" '
        f'aria-label="{escape(caption)}">{picture}{drawn}</svg>'
        f"<figcaption>{escape(caption)}{missing}{legend}</figcaption></figure>"
    )


_BOX_NAMES = {"asked": "asked about", "right": "right box", "said": "replied box", "looked": "looked at"}


def _boxes(one: Measured) -> list[tuple[str, Box]]:
    """Return the boxes to draw on the first image, in its pixels, by kind."""
    reply = one.reply
    size = ImageSize(reply.images[0].height, reply.images[0].width)
    boxes = [("asked", box) for box in find_boxes(reply.question, size)]
    if reply.form is AnswerForm.BOX:
        found = (("right", Box(*reply.box) if reply.box else None), ("said", replied_box(reply)))
        boxes += [(kind, in_pixels(box, size.width, size.height)) for kind, box in found if box is not None]
    windows = reply.looks[-1].windows if reply.looks else ()
    return boxes + [("looked", Box(x, y, x + width, y + height)) for x, y, width, height in windows]


def _rectangle(box: Box, kind: str, image: StoredImage) -> str:
    """Return a box with a dark halo that shows on any ground; a ring around it when it is too small to be seen."""
    place = f'x="{box.x_min:.1f}" y="{box.y_min:.1f}" width="{box.x_max - box.x_min:.1f}" '
    place += f'height="{box.y_max - box.y_min:.1f}"'
    shapes = f'<rect class="halo" {place}/><rect class="{kind}" {place}/>'
    radius = max(image.width, image.height) / 40
    if max(box.x_max - box.x_min, box.y_max - box.y_min) < radius / 2:
        ring = f'cx="{(box.x_min + box.x_max) / 2:.1f}" cy="{(box.y_min + box.y_max) / 2:.1f}" r="{radius:.1f}"'
        shapes += f'<circle class="halo" {ring}/><circle class="{kind}" {ring}/>'
    return shapes


def _options(one: Measured) -> str:
    """Return the options, with the right ones and those read from the reply marked."""
    if not one.reply.options:
        return ""
    items = []
    for letter, text in zip(LETTERS, option_texts(one.reply.options), strict=False):
        is_right, is_said = letter in one.reply.answer, letter in one.score.strict_letters
        kind = "right" if is_right else "said" if is_said else ""
        words = " · ".join(word for word, holds in (("right", is_right), ("replied", is_said)) if holds)
        mark = f"<em>{words}</em>" if words else ""
        items.append(f'<li class="{kind}"><b>{escape(letter)}</b><span>{_cut(text)}</span>{mark}</li>')
    return f'<ol class="options" lang="{escape(one.reply.language)}">{"".join(items)}</ol>'


def _references(reply: StoredReply) -> str:
    """Return the right captions."""
    lang = escape(reply.language)
    return "".join(f'<blockquote lang="{lang}">{_cut(text)}</blockquote>' for text in reply.references)


def _verdict(one: Measured) -> str:
    """Return how each parser judges the reply."""
    if one.score.iou is not None:
        return f'<span class="verdict">IoU {one.score.iou:.3f}</span>'
    said = [
        f'<span class="verdict">{name}: {_OUTCOMES[outcome]}{f" ({escape(letters)})" if letters else ""}</span>'
        for name, outcome, letters in (
            ("strict", one.score.strict, one.score.strict_letters),
            ("official", one.score.official, one.score.official_letters),
            ("permissive", one.score.permissive, one.score.permissive_letters),
        )
        if outcome is not None
    ]
    return "".join(said)


_OUTCOMES = {
    AnswerOutcome.RIGHT: "right",
    AnswerOutcome.WRONG: "wrong",
    AnswerOutcome.NO_ANSWER: "no answer",
    AnswerOutcome.NOT_SCORED: "not scored",
}


def _prompt(reply: StoredReply) -> str:
    """Return the prompt as the model got it, folded."""
    note = ", boxes rewritten" if reply.boxes_rewritten else ""
    return f"<details><summary>Prompt as sent{note}</summary><pre>{_cut(reply.prompt)}</pre></details>"


def _looks(reply: StoredReply) -> str:
    """Return what a model that looks was asked before it answered, and what it said, folded."""
    calls = "".join(f"<pre>{_cut(look.sent)}</pre><pre>{_cut(look.text)}</pre>" for look in reply.looks[:-1])
    count = len(reply.looks) - 1
    return f"<details><summary>{count} call{'s' * (count > 1)} to look</summary>{calls}</details>" if calls else ""


def _facts(reply: StoredReply) -> str:
    facts: Iterable[tuple[float | None, Callable[[float], str]]] = (
        (reply.seconds or None, lambda value: f"{value:.2f} s"),
        (reply.num_prompt_tokens, lambda value: f"{value:,} prompt tokens"),
        (reply.num_visual_tokens, lambda value: f"{value:,} visual"),
        (reply.num_new_tokens, lambda value: f"{value:,} new"),
    )
    parts = [wording(value) for value, wording in facts if value is not None]
    if not reply.ended:
        parts.append("cut at the bound of new tokens")
    return f'<p class="place">{" · ".join([*parts, f"<code>{escape(reply.sample_id)}</code>"])}</p>'


def _cut(text: str) -> str:
    """Return text for HTML, cut to a length that a page can hold."""
    if len(text) <= MAX_CHARACTERS:
        return escape(text)
    return f"{escape(text[:MAX_CHARACTERS])}<i>… {len(text) - MAX_CHARACTERS:,} more characters</i>"


def thumbnails_of(run: Path) -> Thumbnails:
    """Return the thumbnails of a run's folder."""
    return Thumbnails(run / THUMBNAILS_FOLDER)
