"""Write the data set's card: `README.md` with the YAML front matter that the Hugging Face Hub and `datasets` read.

The card is made for people who did not build the data set: nothing in it depends on the machine it was built on, and
absolute paths are cut to their last part.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple, Protocol, Self

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.auditing.short import guess_text
from rsvqa.rsvqa_builder.dataset.records import SPLITS
from rsvqa.rsvqa_builder.dataset.shards import ShardInfo
from rsvqa.rsvqa_builder.documents.card_metadata import front_matter, splits_of, to_yaml
from rsvqa.rsvqa_builder.documents.losses import Losses
from rsvqa.rsvqa_builder.documents.statistics import DatasetStatistics, SourceStatistics, TaskStatistics
from rsvqa.rsvqa_builder.losses import group_losses, without_paths

MAX_LISTED_SCENES = 200
"""Scenes in the card's table; `report.json` lists all."""


class ListedScene(Protocol):
    """What the card says of a scene beside its counts."""

    @property
    def scene_id(self) -> str:
        """Unique in the data set."""
        ...

    @property
    def width(self) -> int:
        """Pixels."""
        ...

    @property
    def height(self) -> int:
        """Pixels."""
        ...


class Completeness(NamedTuple):
    """In how many of the scenes that have a class every instance of it is labelled, and why it is thought so or not."""

    num_complete: int
    num_scenes: int
    why: tuple[str, ...] = ()

    @classmethod
    def of_scenes(cls, judged: Sequence[tuple[bool, str]]) -> Self:
        """Return what the judgements of the scenes, (is complete, why), say together."""
        reasons = group_losses(("", f"{'yes' if is_complete else 'no'}: {why}", 1) for is_complete, why in judged)
        why = tuple(f"{loss.count:,} x {loss.reason}" if loss.count < len(judged) else loss.reason for loss in reasons)
        return cls(sum(is_complete for is_complete, _ in judged), len(judged), why)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What the card tells.

    Attributes:
        name: the data set's name, also that of its folder in the snippets.
        statistics: its counts.
        shards: what was written.
        scenes: every scene with a tile in the data set.
        settings: of the build, JSON types; absolute paths are cut to their last part.
        versions: of the programs that decide the bytes, by name.
        fingerprint: of settings and inputs.
        not_asked: by task, why it did not ask and how often.
        completeness: by class.
        sources: what the build's report says of each source, by name; empty for data sets from before there was one.
        losses: what went wrong, as the build's report tells it.
        audit: what rules guess without images, see `short_audit`; empty when nothing was guessed.
        annotation: what language models did, as `annotate_report.json` tells it; empty when none took part.
        review: what people decided, as `review_report.json` tells it; empty when none did.
        licence: identifier for the front matter; "other" leaves it to the publisher.
        preview: the file of small pictures; None where there is none.
    """

    name: str
    statistics: DatasetStatistics
    shards: Sequence[ShardInfo]
    scenes: Sequence[ListedScene]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    fingerprint: str
    not_asked: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    completeness: Mapping[str, Completeness] = field(default_factory=dict)
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    losses: Sequence[Losses] = ()
    audit: Mapping[str, Any] = field(default_factory=dict)
    annotation: Mapping[str, Any] = field(default_factory=dict)
    review: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "other"
    preview: ShardInfo | None = None


def render_card(facts: CardFacts) -> str:
    """Return the text of `README.md`; the same facts give the same text."""
    sections = (
        _introduction(facts),
        _loss_section(facts.losses),
        _split_section(facts.statistics),
        _task_section(facts.statistics, facts.audit),
        _not_asked_section(facts),
        _loading_section(facts),
        _source_section(facts),
        _scene_section(facts),
        _completeness_section(facts.completeness),
        _build_section(facts),
        _annotation_section(facts.annotation),
        _review_section(facts.review),
        _limits_section(facts),
        _licence_section(facts.licence, has_sources=_tells_of_sources(facts)),
    )
    metadata = front_matter(
        facts.statistics, facts.shards, name=facts.name, licence=facts.licence, preview=facts.preview
    )
    body = "\n\n".join(section for section in sections if section)
    return f"---\n{to_yaml(metadata)}---\n\n{body}\n"


# --- body -------------------------------------------------------------------------------------------------------------


def _introduction(facts: CardFacts) -> str:
    statistics = facts.statistics
    area = f", {statistics.area_km2:,.4g} km² of ground" if statistics.area_km2 is not None else ""
    return (
        f"# {_text(facts.name)}\n\n"
        f"{statistics.num_questions:,} questions about {statistics.num_tiles:,} tiles of {len(statistics.scenes):,} "
        f"remote-sensing scenes ({statistics.num_pixels / 1e6:,.0f} million pixels{area}), built by rsvqa. They are of "
        f"{statistics.num_tasks} of {len(TASKS)} tasks. "
        f"{says_who_wrote(statistics)} "
        "`preview.html` shows examples of every task. `evidence` says what the answer of a question rests on."
    )


def says_who_wrote(statistics: DatasetStatistics) -> str:
    """Return a sentence or two on whether anyone but rules wrote questions."""
    if set(statistics.sources) <= {"rule"}:
        return "Every answer is computed from labels, pixels and georeference; no language model took part."
    return (
        "The column `source` says whether a rule, a language model or a person wrote a question. The column "
        "`review` says what became of it."
    )


def _loss_section(losses: Sequence[Losses]) -> str:
    lines = [f"- {found.title[0].upper()}{found.title[1:]}{_loss_reasons(found)}" for found in losses]
    listed = "\n".join(lines)
    return f"## What was left out\n\n`report.json` names each of them.\n\n{listed}" if lines else ""


def _loss_reasons(found: Losses) -> str:
    reasons = "; ".join(f"{loss.count:,} × {_text(without_paths(loss.reason))}" for loss in found.groups if loss.reason)
    return f": {reasons}" if reasons else ""


def _split_section(statistics: DatasetStatistics) -> str:
    rows = [
        (name, f"{s.num_questions:,}", f"{s.num_tiles:,}", f"{s.num_images:,}", f"{s.image_bytes / 1e6:,.1f} MB")
        for name, s in statistics.splits.items()
    ]
    table = _table(("split", "questions", "tiles", "images", "encoded images"), rows, right=4)
    return (
        "## Splits\n\nTiles that overlap or touch on the ground are in the same split. An image is stored once, "
        f"whatever the number of its questions.\n\n{table}"
    )


def _task_section(statistics: DatasetStatistics, audit: Mapping[str, Any]) -> str:
    splits = [name for name in SPLITS if name in statistics.splits]
    header = (
        "level 1",
        "level 2",
        "task",
        "short",
        "answer",
        *splits,
        "chance",
        "most common answer",
        *(("without image (chance)",) if audit else ()),
    )
    rows = [
        (
            info.level_1,
            info.level_2,
            info.title,
            info.short,
            *_task_cells(statistics.tasks[name], splits),
            *_guess(name, audit),
        )
        for name, info in TASKS.items()
        if statistics.tasks[name].num_questions
    ]
    if not rows:
        return ""
    return (
        "## Tasks\n\nThe first 16 tasks of the taxonomy are those of XLRS-Bench; the columns `category` and "
        "`l2-category` hold its strings. The other tasks are rsvqa's own. *Chance* is the score of guessing. *Most "
        "common answer* is the score of always giving the most frequent answer."
        + (_AUDITED if audit else "")
        + "\n\n"
        + _table(header, rows, right=len(splits) + (3 if audit else 2))
    )


_AUDITED = (
    " *Without image* is the score of the best rule that knows the texts of other places alone, in per cent. "
    "`rsvqa audit` says which rule."
)


def _guess(name: str, audit: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cell of the guess without images, if the table has one."""
    return (guess_text(audit.get(name, ())) or "–",) if audit else ()


def _task_cells(task: TaskStatistics, splits: Sequence[str]) -> tuple[str, ...]:
    forms = ", ".join(form.replace("_", " ") for form in task.forms)
    counts = (f"{task.splits.get(split, 0):,}" for split in splits)
    return (forms, *counts, _percent(task.chance), _percent(task.majority_answer))


def _not_asked_section(facts: CardFacts) -> str:
    rows = [
        (TASKS[name].title, TASKS[name].short, _reasons(facts.not_asked.get(name, {})))
        for name, task in facts.statistics.tasks.items()
        if not task.num_questions
    ]
    return f"## Tasks without a question\n\n{_table(('task', 'short', 'why'), rows)}" if rows else ""


def _reasons(reasons: Mapping[str, int]) -> str:
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{_text(reason)} (× {count:,})" for reason, count in ordered) or "no reason recorded"


def _loading_section(facts: CardFacts) -> str:
    if not facts.shards:
        return ""
    shard = facts.shards[0]
    folder = json.dumps(facts.name, ensure_ascii=False)
    path = json.dumps(f"{facts.name}/{shard.name}", ensure_ascii=False)
    config = "" if shard.name.startswith("data/") else ', "tiles"'
    notes = ["`image` is a list: one image, or the earlier and the later one of a pair."]
    if facts.preview is not None:
        notes.append("The configuration `preview` has a question per task, with its evidence drawn on a small picture.")
    if splits_of(facts.shards, "tiles"):
        notes.append("Tiles without a question are the configuration `tiles`, with the same columns.")
    if _largest_tile(facts.statistics) > _PILLOW_LIMIT:
        notes.append("Tiles exceed Pillow's guard against huge images: set `PIL.Image.MAX_IMAGE_PIXELS = None` first.")
    return f"""## Loading

{" ".join(notes)}

```python
from datasets import load_dataset

dataset = load_dataset({folder}{config})  # the folder, or its name on the Hub
row = dataset["{shard.split}"][0]
print(row["question"], row["multi-choice options"], row["answer"], row["image"][0].size)
```

```python
import io

import pyarrow.parquet as pq
from PIL import Image

shard = pq.ParquetFile({path})
row = shard.read_row_group(0).to_pylist()[0]  # a row group holds the rows that share an image
image = Image.open(io.BytesIO(row["image"][0]["bytes"]))
```"""


_PILLOW_LIMIT = 89_478_485
"""Pixels above which Pillow warns: a quarter of a GiB at three bytes per pixel."""


def _largest_tile(statistics: DatasetStatistics) -> int:
    """Return the pixels of the largest tile."""
    sizes = (size.split(" x ") for size in statistics.tile_sizes)
    return max((int(width) * int(height) for width, height in sizes), default=0)


def _tells_of_sources(facts: CardFacts) -> bool:
    """Tell whether there is more to say of the sources than that there is one."""
    return len(facts.sources) > 1 or any(source["licence"] or source["link"] for source in facts.sources.values())


def _source_section(facts: CardFacts) -> str:
    if not _tells_of_sources(facts):
        return ""
    rows = [
        (_code(name), _text(source["licence"] or "not stated"), _link(source["link"]), *_source_cells(name, facts))
        for name, source in facts.sources.items()
    ]
    header = ("source", "licence", "described at", "scenes", "tiles", "questions", "share")
    return (
        "## Sources\n\nThe columns `scene_source` and `licence` say of every row which source its images and labels "
        f"come from, and on what terms.\n\n{_table(header, rows, right=4)}"
    )


def _source_cells(name: str, facts: CardFacts) -> tuple[str, ...]:
    found = facts.statistics.scene_sources.get(name, SourceStatistics())
    total = facts.statistics.num_questions
    counts = (found.num_scenes, found.num_tiles, found.num_questions)
    return (*(f"{count:,}" for count in counts), _percent(found.num_questions / total if total else None))


def _link(link: str | None) -> str:
    return "–" if link is None else f"<{html.escape(link)}>" if _ADDRESS.fullmatch(link) else _text(link)


_ADDRESS = re.compile(r"https?://[^\s<>|`]+")


def _scene_section(facts: CardFacts) -> str:
    scenes = [scene for scene in facts.scenes if scene.scene_id in facts.statistics.scenes]
    rows = [_scene_cells(scene, facts.statistics) for scene in sorted(scenes, key=lambda scene: scene.scene_id)]
    header = ("scene", "pixels", "CRS", "m per pixel", "date", "tiles", "questions")
    listed = _table(header, rows[:MAX_LISTED_SCENES], right=2)
    more = len(rows) - MAX_LISTED_SCENES
    rest = f"\n\n… and {more:,} more, listed in `report.json`." if more > 0 else ""
    return f"## Scenes\n\nPaths are relative to the source folder.\n\n{listed}{rest}" if rows else ""


def _scene_cells(scene: ListedScene, statistics: DatasetStatistics) -> tuple[str, ...]:
    counts = statistics.scenes[scene.scene_id]
    dates = " and ".join(date for date in (counts.date, counts.later_date) if date)
    return (
        _code(scene.scene_id),
        f"{scene.width:,} × {scene.height:,}",
        _text(_crs_name(counts.crs)),
        f"{counts.gsd:.3g}" if counts.gsd is not None else "unknown",
        dates or "unknown",
        f"{counts.num_tiles:,}",
        f"{counts.num_questions:,}",
    )


def _crs_name(crs: str | None) -> str:
    """Return the name inside a WKT, or the code as it is; "none" without a CRS."""
    if crs is None:
        return "none"
    quoted = re.search(r'\["([^"]*)"', crs)
    return quoted[1] if quoted else crs


def _completeness_section(completeness: Mapping[str, Completeness]) -> str:
    if not completeness:
        return ""
    rows = [
        (_text(name), f"{found.num_complete:,} of {found.num_scenes:,}", _text("; ".join(found.why)))
        for name, found in sorted(completeness.items())
    ]
    return (
        "## Completeness of the labels\n\nA class is counted, called absent, or relied on to make a description unique "
        "only in scenes where every instance of it is labelled.\n\n"
        + _table(("class", "complete in scenes", "why"), rows, right=1)
    )


def _build_section(facts: CardFacts) -> str:
    settings = "\n".join(
        f"{key} = {_setting(value)}" for key, value in sorted(facts.settings.items()) if value not in (None, [], ())
    )
    versions = ", ".join(f"{_text(name)} {_text(version)}" for name, version in sorted(facts.versions.items()))
    return (
        f"## How it was built\n\nBuilt with {versions}. Fingerprint of settings and inputs: "
        f"{_code(facts.fingerprint)}. The same inputs, settings and versions give the same bytes. `build.toml` holds "
        f"the settings that repeat the build, and `classes.toml` the class table.\n\n```toml\n{settings}\n```"
    )


def _annotation_section(annotation: Mapping[str, Any]) -> str:
    if not annotation:
        return ""
    settings, counts = annotation["settings"], annotation["questions"]
    verifier = settings.get("verifier") or settings["model"]
    return (
        f"## What language models did\n\nThe model {_code(settings['model'])} did the steps "
        f"{_code(', '.join(settings['steps']))}, verified by {_code(verifier)}. {counts['written_by_models']:,} "
        f"questions hold a model's words (`source` is llm). {counts['review']:,} are to be reviewed (`review` is "
        f"needed). {counts['rejected']:,} were rejected; `annotate_report.json` lists them. `evidence` keeps "
        "prompts, hashes of replies and agreement."
    )


def _review_section(review: Mapping[str, Any]) -> str:
    if not review:
        return ""
    counts = review["questions"]
    written = review.get("written", {"questions": 0})["questions"]
    wrote = f" People wrote {written:,} (`source` is human, and the rule `written_by_person`)." if written else ""
    return (
        f"## What people decided\n\n{counts['accepted']:,} questions were accepted as they are (`review` is accepted). "
        f"{counts['fixed']:,} were corrected (`review` is fixed, `source` is human). {counts['rejected']:,} were "
        f"rejected and are left out. {counts['dropped']:,} that nobody has decided are left out too.{wrote} "
        "`review_report.json` counts them per task and reason."
    )


def _setting(value: object) -> str:
    """Return a setting as TOML, its absolute paths cut to their last part."""
    return json.dumps(_portable(value), ensure_ascii=False)


def _portable(value: object) -> object:
    if isinstance(value, str):
        for path in (PurePosixPath(value), PureWindowsPath(value)):
            if path.is_absolute():
                return path.name
        return value
    if isinstance(value, (list, tuple)):
        return [_portable(item) for item in value]
    return value


def _limits_section(facts: CardFacts) -> str:
    return "## Known limits\n\n" + "\n".join(f"- {limit}" for limit in known_limits(facts.statistics))


def known_limits(statistics: DatasetStatistics) -> Iterator[str]:
    """Yield what whoever uses the data set should know of it, one sentence or two each."""
    yield "Answers are as right as the labels behind them. What nobody labelled is not known to be absent."
    yield (
        "Questions are worded from templates, so they vary less than people's. `stats.json` counts the distinct "
        "openings per task, and how evenly answers and letters are spread."
    )
    if missing := statistics.num_tiles - statistics.num_georeferenced:
        yield f"{missing:,} of {statistics.num_tiles:,} tiles have no georeference, so none is asked about in metres."
    if statistics.num_tiles_without_questions:
        yield f"{statistics.num_tiles_without_questions:,} of {statistics.num_tiles:,} tiles have no question."
    if statistics.area_km2 is not None:
        yield "The ground area sums the tiles: ground that two tiles share counts twice."
    if few := [name for name in SPLITS if not _has_questions(statistics, name)]:
        yield f"No questions in: {', '.join(few)}. Splits are by place, so few places may leave a split empty."


def _has_questions(statistics: DatasetStatistics, split: str) -> bool:
    return split in statistics.splits and statistics.splits[split].num_questions > 0


def _licence_section(licence: str, *, has_sources: bool) -> str:
    if has_sources and licence == "other":
        return (
            "## Licence\n\nSet by the publisher. The images and labels keep the terms of their sources, see *Sources*: "
            "replace `license` in the front matter by one that all of them allow before the data set is shared."
        )
    if licence != "other":
        return f"## Licence\n\n{_text(licence)}"
    return (
        "## Licence\n\nSet by the publisher. The images and labels keep the terms of their sources: state them here, "
        "and replace `license` in the front matter, before the data set is shared."
    )


# --- markdown ---------------------------------------------------------------------------------------------------------


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: int = 0) -> str:
    """Return a Markdown table whose last `right` columns are aligned to the right."""
    rule = ["---"] * (len(header) - right) + ["---:"] * right
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def _text(text: str) -> str:
    """Return a text from outside as one line of Markdown that starts no table cell, tag, link or emphasis."""
    return re.sub(r"([\\|`*_\[\]])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _code(text: str) -> str:
    """Return a text from outside as a code span; a backquote or a bar would end it or its table cell."""
    return f"`{' '.join(text.split()).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
