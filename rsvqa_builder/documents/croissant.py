"""Describe the data set in Croissant 1.0 with the vocabulary for responsible AI: `croissant.json`, read by catalogues.

https://docs.mlcommons.org/croissant/docs/croissant-spec.html and croissant-rai-spec.html. What surprises: the shards
have no digests here, as those stand in `build.toml`, and no address, as nobody knows yet where the data set will be
published. Whatever cannot be known from the build, such as the day of publication, is left out and not made up.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.records import SPLITS
from rsvqa.rsvqa_builder.dataset.rows import COLUMNS, Column
from rsvqa.rsvqa_builder.dataset.shards import TableKind
from rsvqa.rsvqa_builder.documents.card import CardFacts, known_limits, says_who_wrote
from rsvqa.rsvqa_builder.documents.card_metadata import TAGS, splits_of

CROISSANT = "croissant.json"

_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context of the specification, word for word: validators compare it."""

_RELEASE = re.compile(r"(?:(?:0|[1-9]\d*)\.){2}(?:0|[1-9]\d*)", re.ASCII)

_SPLITS = "splits"
_RECORD_SETS: Mapping[TableKind, tuple[str, str]] = {
    "data": ("questions", "One record per question; questions about a tile share its image."),
    "tiles": ("tiles_without_questions", "One record per tile about which nothing was asked."),
}
_ABOUT: Mapping[Column, str] = {
    Column.INDEX: "Number of the row, running through train, val and test.",
    Column.PATH: "Name of the first image.",
    Column.IMAGE: "One image, or the earlier and the later date, as encoded by the build.",
    Column.QUESTION: "The question; boxes in it are pixels of the image, whose size is stated beside them.",
    Column.OPTIONS: "The options, each with its letter; empty for free text and boxes.",
    Column.ANSWER: "The right letters without separators, the text, or the numbers of the box.",
    Column.CATEGORY: "The task in the words of XLRS-Bench.",
    Column.L2_CATEGORY: "The group of tasks in the words of XLRS-Bench.",
    Column.TASK: "Name of the task.",
    Column.QUESTION_ID: "Unique in the data set.",
    Column.IMAGE_ID: "Of the tile: scene and window.",
    Column.LANGUAGE: "Language of the question.",
    Column.SCENE: "The scene that the tile is cut from.",
    Column.TILE: "Place and size of the tile in its scene, pixels.",
    Column.CRS: "Coordinate reference system of the scene.",
    Column.GSD: "Ground sampling distance, metres per pixel.",
    Column.FOOTPRINT: "Outline of the tile, WKB, longitude and latitude (EPSG:4326).",
    Column.DATE: "Day of acquisition.",
    Column.LATER_DATE: "Day of acquisition of the later image of a pair.",
    Column.SCENE_SOURCE: "The source that the scene comes from.",
    Column.LICENCE: "Terms of the source's images and labels.",
    Column.BBOX: "x_min, y_min, x_max, y_max as shares of width and height: the answer, or the box in the question.",
    Column.IMAGE_WIDTH: "Pixels.",
    Column.IMAGE_HEIGHT: "Pixels.",
    Column.EVIDENCE: "What the answer rests on: rule, labels, values and geometry, as JSON.",
    Column.SOURCE: "Who wrote the question: rule, llm or human.",
    Column.REVIEW: "What people decided: none, needed, accepted, fixed or rejected.",
}


def render_croissant(facts: CardFacts) -> str:
    """Return the text of `croissant.json`; the same facts give the same text."""
    kinds = [kind for kind in _RECORD_SETS if splits_of(facts.shards, kind)]
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": facts.name,
        "description": (
            f"{facts.statistics.num_questions:,} questions of {facts.statistics.num_tasks} of {len(TASKS)} tasks about "
            f"{facts.statistics.num_tiles:,} tiles of {len(facts.statistics.scenes):,} remote-sensing scenes, built by "
            f"rsvqa. {says_who_wrote(facts.statistics)}"
        ),
        "version": _version(facts),
        "citeAs": _citation(facts),
        "license": _licences(facts),
        "inLanguage": list(facts.statistics.languages),
        "keywords": list(TAGS),
        "isBasedOn": [_source(name, source) for name, source in facts.sources.items()],
        **{f"rai:{name}": told for name, told in _responsible(facts)},
        "distribution": [_file_set(kind) for kind in kinds],
        "recordSet": [_splits(facts), *(_record_set(kind) for kind in kinds)],
    }
    known = {name: value for name, value in described.items() if value not in ([], "")}
    return json.dumps(known, ensure_ascii=False, indent=2) + "\n"


def _version(facts: CardFacts) -> str:
    """Return the release that wrote the data set and twelve digits that another content would not have.

    Annotations and reviews keep the fingerprint of the build, so what they change is counted in. Empty where the
    release is not known, or has another form than three numbers: catalogues take nothing else.
    """
    release = facts.versions.get("rsvqa", "")
    if not _RELEASE.fullmatch(release):
        return ""
    content = (facts.fingerprint, facts.statistics.to_json(facts.audit), [tuple(shard) for shard in facts.shards])
    return f"{release}+{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]}"


def _citation(facts: CardFacts) -> str:
    """Return an entry of BibTeX; who publishes the data set, and where, is not known."""
    version, tool = _version(facts), f"rsvqa {facts.versions.get('rsvqa', '')}".strip()
    sources = f" from {_listed(sorted(facts.sources))}" if len(facts.sources) > 1 else ""
    note = ", ".join(filter(None, (version and f"Version {version}", f"built with {tool}{sources}")))
    key = re.sub(r"[^A-Za-z0-9_-]+", "-", facts.name).strip("-") or "data-set"
    return f"@misc{{{key},\n  title = {{{_tex(facts.name)}}},\n  note = {{{_tex(note[0].upper() + note[1:])}}}\n}}"


def _tex(text: str) -> str:
    return re.sub(r"[&%$#_]", r"\\\g<0>", re.sub(r"[{}\\~^\s]+", " ", text)).strip()


def _licences(facts: CardFacts) -> list[str]:
    """Return the publisher's licence, or those of the sources while there is none."""
    if facts.licence != "other":
        return [facts.licence]
    return sorted({source["licence"] for source in facts.sources.values() if source["licence"]})


def _source(name: str, source: Mapping[str, Any]) -> dict[str, Any]:
    told = {"@type": "sc:Dataset", "name": name, "license": source["licence"], "url": source["link"]}
    return {key: value for key, value in told.items() if value}


# --- responsible AI ---------------------------------------------------------------------------------------------------


def _responsible(facts: CardFacts) -> Iterator[tuple[str, str | list[str]]]:
    """Yield what the data set says of its making, its biases and its limits, in the vocabulary's names."""
    statistics = facts.statistics
    yield (
        "dataCollection",
        f"Windows cut from {len(statistics.scenes):,} existing scenes of {_listed(sorted(facts.sources))}; no image "
        "was taken for this data set.",
    )
    yield "dataCollectionType", ["Secondary Data Analysis"]
    dates = sorted(
        date for scene in statistics.scenes.values() for date in (scene.date, scene.later_date) if date is not None
    )
    yield "dataCollectionTimeFrame", [dates[0], dates[-1]] if dates else []
    yield "dataCollectionMissingData", "; ".join(found.title for found in facts.losses)
    yield (
        "dataPreprocessingProtocol",
        [
            "Scenes are cut into tiles and rendered to 8 bits; values are stretched per scene, not per tile.",
            "Tiles that overlap or touch on the ground are in the same split.",
        ],
    )
    yield "dataAnnotationProtocol", [says_who_wrote(statistics), *_who_worked(facts)]
    yield "machineAnnotationTools", [f"rsvqa {facts.versions.get('rsvqa', '')}".strip(), *_models(facts)]
    yield "dataBiases", list(_biases(facts))
    yield "dataLimitations", list(known_limits(statistics))
    yield "dataUseCases", ["Training and evaluation of vision-language models that answer questions about images."]
    yield "personalSensitiveInformation", [_what_is_recognised(facts)]


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} sources ({', '.join(names)})" if len(names) > 1 else "one source"


def _who_worked(facts: CardFacts) -> Iterator[str]:
    if facts.annotation:
        yield "What language models wrote was checked against the labels; `annotate_report.json` tells of each task."
    if facts.review:
        yield "People accepted, corrected or rejected questions; `review_report.json` counts them."


def _models(facts: CardFacts) -> list[str]:
    settings = facts.annotation.get("settings", {})
    return sorted({settings[name] for name in ("model", "verifier") if settings.get(name)})


def _biases(facts: CardFacts) -> Iterator[str]:
    statistics = facts.statistics
    yield "Questions are asked about classes and places that labels cover, and about nothing else."
    most = max((scene.num_questions for scene in statistics.scenes.values()), default=0)
    if most:
        share = most / statistics.num_questions
        yield f"{share:.0%} of the questions are about the scene with the most of them, of {len(statistics.scenes):,}."
    for name, found in statistics.scene_sources.items() if len(statistics.scene_sources) > 1 else ():
        yield f"{found.num_questions:,} of {statistics.num_questions:,} questions are about the source {name}."
    if facts.audit:
        yield "`stats.json` says per task how often a guess without the image is right (`without_image`)."


def _what_is_recognised(facts: CardFacts) -> str:
    gsd = facts.statistics.gsd
    finest = f"the finest has {gsd[0]:.3g} m per pixel" if gsd else "how fine they are is not known"
    return f"None is recorded. The images show the ground from above; {finest}."


# --- files and records ------------------------------------------------------------------------------------------------


def _file_set(kind: TableKind) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{kind}-shards",
        "name": f"{kind}-shards",
        "description": f"Parquet files of {kind}/; build.toml has their sizes and SHA-256.",
        "encodingFormat": "application/x-parquet",
        "includes": f"{kind}/*.parquet",
    }


def _splits(facts: CardFacts) -> dict[str, Any]:
    """Return the record set of the splits that have rows."""
    found = {split for kind in _RECORD_SETS for split in splits_of(facts.shards, kind)}
    return {
        "@type": "cr:RecordSet",
        "@id": _SPLITS,
        "name": _SPLITS,
        "dataType": "cr:Split",
        "key": {"@id": f"{_SPLITS}/name"},
        "field": [{"@type": "cr:Field", "@id": f"{_SPLITS}/name", "name": "name", "dataType": "sc:Text"}],
        "data": [{f"{_SPLITS}/name": split} for split in SPLITS if split in found],
    }


def _record_set(kind: TableKind) -> dict[str, Any]:
    name, about = _RECORD_SETS[kind]
    split = {
        "@type": "cr:Field",
        "@id": f"{name}/split",
        "name": "split",
        "description": "train, val or test; tiles that touch on the ground are in the same.",
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": f"{kind}-shards"},
            "extract": {"fileProperty": "filename"},
            "transform": {"regex": rf"^({'|'.join(SPLITS)})\b"},  # of the file's name; of a split itself too
        },
        "references": {"field": {"@id": f"{_SPLITS}/name"}},
    }
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": about,
        "field": [split, *(_field(kind, name, column) for column in Column)],
    }


def _field(kind: TableKind, record_set: str, column: Column) -> dict[str, Any]:
    dtype = COLUMNS[column.value]
    source = {"fileSet": {"@id": f"{kind}-shards"}, "extract": {"column": column.value}}
    told: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{record_set}/{column.value.replace(' ', '_')}",  # a space would end it
        "name": column.value,
        "description": _ABOUT[column],
    }
    if column is Column.IMAGE:
        of_each = {**source, "transform": {"jsonPath": "bytes"}}
        return {**told, "repeated": True, "dataType": "sc:ImageObject", "source": of_each}
    if pa.types.is_struct(dtype):
        parts = [_part(told["@id"], source, dtype.field(number)) for number in range(dtype.num_fields)]
        return {**told, "subField": parts}
    if pa.types.is_list(dtype):
        return {**told, "repeated": True, "dataType": _data_type(dtype.value_type), "source": source}
    return {**told, "dataType": _data_type(dtype), "source": source}


def _part(of: str, source: Mapping[str, Any], field: Any) -> dict[str, Any]:  # noqa: ANN401  pyarrow has no types
    return {
        "@type": "cr:Field",
        "@id": f"{of}/{field.name}",
        "name": field.name,
        "dataType": _data_type(field.type),
        "source": {**source, "transform": {"jsonPath": field.name}},
    }


def _data_type(dtype: Any) -> str:  # noqa: ANN401  pyarrow has no types
    if pa.types.is_integer(dtype):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(dtype) else "sc:Text"
