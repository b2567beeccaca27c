"""Set the page of a selection: shares kept, and the best, the worst and the undecided beside what decided them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from rsvqa.annotation.images import ImageError
from rsvqa.model.data import TrainingSample
from rsvqa.model.selecting.selection_report import RankedCandidates, RankedSample, summary_lines
from rsvqa.rsvqa_builder.dataset.image_tables import TableReader
from rsvqa.rsvqa_builder.dataset.rows import Column
from rsvqa.rsvqa_builder.documents.preview_images import data_uri, jpeg_within, read_reduced
from rsvqa.rsvqa_builder.files import write_atomically

NUM_SHOWN = 8
"""Questions of a section."""
PICTURE_SIDE = 400
"""Longest side of a picture, pixels."""
_PICTURE_BYTES = 40_000
_MOST_CHARACTERS = 700


def write_selection_page(path: Path, selection: RankedCandidates, report: Mapping[str, Any]) -> None:
    """Write the page of a selection; it loads nothing."""
    files = resources.files("rsvqa")
    style = (files / "rsvqa_builder/documents/page.css").read_text("utf-8")
    template = Template((files / "model/selecting/selection_page.html").read_text("utf-8"))
    pictures = _Pictures()
    sections = "".join(_section(*entry, pictures) for entry in _sections(selection))
    page = template.substitute(
        title=escape(path.stem),
        style=style,
        figures=_figures(report),
        notes="".join(f'<p class="hint">{escape(line)}</p>' for line in summary_lines(report)),
        tables="".join(
            _table(title, report["kept_by"][kind])
            for kind, title in (
                ("task", "Task"),
                ("source", "Data set"),
                ("reply_tokens", "Reply, tokens"),
                ("letter", "Answer"),
            )
        ),
        sections=sections,
    )
    write_atomically(path, page.encode())


def _figures(report: Mapping[str, Any]) -> str:
    noise = report["noise"]
    figures = [
        ("candidates", f"{report['num_candidates']:,}"),
        ("kept", f"{report['num_kept']:,}"),
        ("questions of the target", f"{report['num_target']:,}"),
        ("bits in the letter", f"{report['letter_bits']:.4f}"),
        *([("decided by chance", f"{100 * noise['flipped']:.1f} %")] if noise else []),
    ]
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in figures)


def _table(title: str, shares: Mapping[str, Mapping[str, float]]) -> str:
    if not shares:
        return ""
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="num">{one["candidates"]:,.0f}</td>'
        f'<td class="num">{100 * one["kept"]:.0f} %</td>'
        f'<td class="bar"><i style="width:{100 * one["kept"]:.0f}%"></i></td></tr>'
        for name, one in shares.items()
    )
    return (
        f'<table><thead><tr><th>{escape(title)}</th><th class="num">candidates</th><th class="num">kept</th><th></th>'
        f"</tr></thead><tbody>{rows}</tbody></table>"
    )


def _sections(selection: RankedCandidates) -> Iterator[tuple[str, str, Sequence[RankedSample]]]:
    """Yield title, hint and questions: the best, those around the cut, the worst."""
    ranked = selection.ranked
    cut = next((place for place, one in enumerate(ranked) if not one.kept), len(ranked))
    around = ranked[max(0, cut - NUM_SHOWN // 2) : cut + NUM_SHOWN // 2]
    yield "The best", "Highest scores.", ranked[:NUM_SHOWN]
    yield "At the cut", "The last that are kept and the first that are not; another projection may swap them.", around
    yield "The worst", "Lowest scores: the first to look at for wrong answers.", ranked[::-1][:NUM_SHOWN]


def _section(title: str, hint: str, ranked: Sequence[RankedSample], pictures: _Pictures) -> str:
    pairs = "".join(_pair(one, pictures) for one in ranked)
    return f'<section><h2>{escape(title)}</h2><p class="hint">{escape(hint)}</p>{pairs}</section>'


def _pair(one: RankedSample, pictures: _Pictures) -> str:
    said = f"rank {one.rank:,}, score {one.scored.score:.4f}, {'kept' if one.kept else 'not kept'}"
    loss = f"loss {one.row.loss:.3f}"
    beside = ""
    if one.decided_by is not None:
        beside = f"<div><h3>decided by, of the target</h3>{_question(one.decided_by, '', pictures)}</div>"
    return f'<div class="pair"><div><h3>{escape(said)}</h3>{_question(one.sample, loss, pictures)}</div>{beside}</div>'


def _question(sample: TrainingSample, fact: str, pictures: _Pictures) -> str:
    record = sample.record
    right = set(record.right_options)
    options = "".join(
        f'<li class="{"right" if text in right else ""}">{escape(text)}</li>' for text in record.option_texts
    )
    answer = "" if options else f"<p><b>{escape(_cut(record.answer))}</b></p>"
    facts = " · ".join(filter(None, (sample.name, fact)))
    uri = pictures.of(sample)
    picture = f'<img src="{uri}" alt="" loading="lazy">' if uri else '<p class="facts">no picture</p>'
    return (
        f'<div class="one">{picture}<div><p lang="{escape(record.language)}">{escape(_cut(record.question))}</p>'
        f'{f"<ol>{options}</ol>" if options else answer}<p class="facts">{escape(facts)}</p></div></div>'
    )


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} …"


class _Pictures:
    """Reduced images of questions, read when they are shown."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int, int], str] = {}

    def of(self, sample: TrainingSample) -> str:
        """Return the first image of a question as a `data:` URI; "" where it cannot be read."""
        key = (sample.group.path, sample.group.number, sample.row)
        if key not in self._known:
            self._known[key] = self._read(sample)
        return self._known[key]

    def _read(self, sample: TrainingSample) -> str:
        with TableReader(sample.group.path) as table:
            images = table.read_row_group(sample.group.number, [Column.IMAGE])[sample.row][Column.IMAGE]
        try:
            return data_uri(jpeg_within(read_reduced(images[0].data, PICTURE_SIDE), _PICTURE_BYTES)) if images else ""
        except ImageError:
            return ""
