"""The metadata of the data set's card: configurations, columns and sizes for the Hugging Face Hub and `datasets`.

Written as YAML without a YAML library: front matter is nested mappings, lists, texts and integers, and JSON's texts
and integers are YAML already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rsvqa.rsvqa_builder.dataset.image_tables import table_schema
from rsvqa.rsvqa_builder.dataset.records import SPLITS
from rsvqa.rsvqa_builder.dataset.rows import COLUMNS
from rsvqa.rsvqa_builder.dataset.shards import ShardInfo, TableKind
from rsvqa.rsvqa_builder.documents.statistics import DatasetStatistics

_CONFIG_NAMES: Mapping[TableKind, str] = {"data": "default", "tiles": "tiles"}
TAGS = ("remote-sensing", "earth-observation", "geospatial", "ultra-high-resolution", "visual-question-answering")
_SIZE_CATEGORIES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)
"""The Hub's categories by their upper bound."""


_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 _./*-]*(?<! )")
_YAML_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def front_matter(
    statistics: DatasetStatistics,
    shards: Sequence[ShardInfo],
    *,
    name: str,
    licence: str,
    preview: ShardInfo | None = None,
) -> dict[str, Any]:
    """Return the card's metadata: https://github.com/huggingface/hub-docs/blob/main/datasetcard.md.

    Empty splits and configurations are left out. A `licence` of "other" is named as set by the publisher. A
    preview comes first, as viewers show the first one.
    """
    named = {"license_name": "set-by-the-publisher"} if licence == "other" else {}
    kinds = [kind for kind in _CONFIG_NAMES if splits_of(shards, kind)]
    previews = [] if preview is None else [preview]
    return {
        "license": licence,
        **named,
        "pretty_name": name,
        "language": list(statistics.languages),
        "task_categories": ["visual-question-answering"],
        "tags": list(TAGS),
        "size_categories": [_size_category(statistics.num_questions)],
        "configs": [*map(_preview_config, previews), *(_config(shards, kind) for kind in kinds)],
        "dataset_info": [
            *(_dataset_info("preview", {found.split: [found]}) for found in previews),
            *(_dataset_info(_CONFIG_NAMES[kind], splits_of(shards, kind)) for kind in kinds),
        ],
    }


def _config(shards: Sequence[ShardInfo], kind: TableKind) -> dict[str, Any]:
    files = [{"split": split, "path": f"{kind}/{split}-*.parquet"} for split in splits_of(shards, kind)]
    return {"config_name": _CONFIG_NAMES[kind], "data_files": files}


def _preview_config(preview: ShardInfo) -> dict[str, Any]:
    return {"config_name": "preview", "data_files": [{"split": preview.split, "path": preview.name}]}


def _dataset_info(config: str, files: Mapping[str, Sequence[ShardInfo]]) -> dict[str, Any]:
    """Return columns and sizes; bytes are those of the files, in which an image stands once for all its questions."""
    splits = [
        {"name": split, "num_bytes": _num_bytes(members), "num_examples": sum(shard.num_rows for shard in members)}
        for split, members in files.items()
    ]
    num_bytes = _num_bytes(shard for members in files.values() for shard in members)
    return {
        "config_name": config,
        "features": _features(),
        "splits": splits,
        "download_size": num_bytes,
        "dataset_size": num_bytes,
    }


def _num_bytes(shards: Iterable[ShardInfo]) -> int:
    return sum(shard.num_bytes for shard in shards)


def splits_of(shards: Iterable[ShardInfo], kind: TableKind) -> dict[str, list[ShardInfo]]:
    """Return the shards of one folder by split, in the order train, val, test; splits without a shard are not here."""
    members: dict[str, list[ShardInfo]] = {split: [] for split in SPLITS}
    for shard in shards:
        if shard.name.startswith(f"{kind}/"):
            members[shard.split].append(shard)
    return {split: found for split, found in members.items() if found}


def _features() -> list[dict[str, Any]]:
    """Return the columns in the card's notation, from the features that the shards carry."""
    schema = table_schema(COLUMNS)
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    return [_feature(name, feature) for name, feature in features.items()]


def _feature(name: str, feature: Any) -> dict[str, Any]:  # noqa: ANN401  JSON of any depth
    if isinstance(feature, list):
        return {"name": name, "list": _dtype(feature[0])}
    if "_type" in feature:
        return {"name": name, "dtype": _dtype(feature)}
    return {"name": name, "struct": [_feature(key, value) for key, value in feature.items()]}


def _dtype(feature: Mapping[str, str]) -> str:
    return feature["dtype"] if feature["_type"] == "Value" else feature["_type"].lower()


def _size_category(num_questions: int) -> str:
    return next((name for bound, name in _SIZE_CATEGORIES if num_questions < bound), "n>100M")


def to_yaml(value: Mapping[str, Any], indent: str = "") -> str:
    """Return `value` (nested mappings, lists, texts and integers) as block-style YAML; empty lists are left out."""
    return "".join(_yaml_entry(key, item, indent) for key, item in value.items() if item != [])


def _yaml_entry(key: str, item: object, indent: str) -> str:
    if not isinstance(item, list):
        return f"{indent}{_yaml_scalar(key)}: {_yaml_scalar(item)}\n"
    return f"{indent}{_yaml_scalar(key)}:\n" + "".join(_yaml_item(element, indent) for element in item)


def _yaml_item(element: object, indent: str) -> str:
    if not isinstance(element, dict):
        return f"{indent}- {_yaml_scalar(element)}\n"
    block = to_yaml(element, f"{indent}  ")
    return f"{indent}- {block.removeprefix(f'{indent}  ')}"


def _yaml_scalar(value: object) -> str:
    """Return a text plain where YAML cannot misread it, else as JSON, whose texts and integers are YAML too."""
    if isinstance(value, str):
        value = "".join(character for character in value if character.isprintable())
        if _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS:
            return value
    return json.dumps(value, ensure_ascii=False)
