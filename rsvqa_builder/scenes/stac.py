"""Scenes of a STAC catalogue on disk: an item, a collection or catalog, a search result, or stac-geoparquet.

Read as plain JSON (stacspec.org, 1.0 and 1.1): a build needs few of its fields, and these have stayed the same. Nothing
is fetched: links are followed on this machine only, and rasters elsewhere are left to GDAL.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from rsvqa.rsvqa_builder.scenes.acquisition import parse_time

_TABLE_SUFFIXES = (".parquet", ".geoparquet")
_ITEM_COLUMNS = ("id", "collection", "assets", "links", "datetime", "start_datetime", "gsd", "bands", "eo:bands")
_RASTER_TYPES = ("image/tiff", "image/jp2", "image/png", "image/jpeg", "image/vnd.stac.geotiff")
_NO_PICTURES = frozenset({"thumbnail", "overview", "metadata", "labels", "cloud", "snow-ice", "data-mask"})
_RGB = ("red", "green", "blue")


class StacScene(NamedTuple):
    """What an item says of one scene.

    Attributes:
        path: href of the raster, as in the item; of the red one where each colour has its own.
        scene_id: the item's id, with its collection before it where ids repeat.
        acquired: the item's time.
        gsd_m: as stated, metres per pixel.
        bands: 1-based red, green and blue of the raster, where the item names its bands.
        stack: hrefs of red, green and blue where each has a raster of its own.
        labels: hrefs of label files.
    """

    path: str
    scene_id: str
    acquired: dt.datetime | None
    gsd_m: float | None
    bands: tuple[int, int, int] | None
    stack: tuple[str, ...]
    labels: tuple[str, ...]


class StacContent(NamedTuple):
    """The scenes of a catalogue, the files that were read, and what cannot be used: (path, reason)."""

    scenes: tuple[StacScene, ...]
    files: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


class _Item(NamedTuple):
    content: Mapping[str, Any]
    file: Path


def is_stac(path: Path) -> bool:
    """Tell whether a file is a STAC document, by what it says of itself; rows of a table must have assets."""
    if path.suffix.casefold() in _TABLE_SUFFIXES:
        try:
            return {"id", "assets"} <= set(pq.read_schema(path).names)
        except (OSError, pa.ArrowException):
            return False
    if path.suffix.casefold() not in (".json", ".geojson"):
        return False
    try:
        content = _read(path)
    except (OSError, ValueError):
        return False
    features = content.get("features") or []
    return "stac_version" in content or any("stac_version" in feature for feature in features[:1])


def read_stac(path: Path) -> StacContent:
    """Return the scenes of a STAC document on disk, and of all documents on disk that it links to."""
    left_out: list[tuple[str, str]] = []
    files: dict[Path, None] = {}
    items = list(_items(path, files, left_out))
    labels = _labels_by_source([item for item in items if _is_label_item(item.content)], left_out)
    scenes: dict[str, StacScene] = {}
    names = [str(item.content.get("id")) for item in items]
    for item in items:
        if _is_label_item(item.content):
            continue
        own_id = str(item.content.get("id"))
        scene_id = own_id if names.count(own_id) == 1 else f"{item.content.get('collection')}/{own_id}"
        scene = _scene(item, scene_id, labels)
        if isinstance(scene, str):
            left_out.append((f"{item.file}: {own_id}", scene))
        elif scene_id in scenes:
            left_out.append((f"{item.file}: {own_id}", "another item has its id and collection"))
        else:
            scenes[scene_id] = scene
    of_files = {str(item.file) for item in items}
    left_out += [
        (label, f"labels of {source}, which is not among the items")
        for source, files_of in labels.items()
        if source not in of_files
        for label in files_of
    ]
    return StacContent(tuple(scenes.values()), tuple(map(str, files)), tuple(left_out))


def _read(path: Path) -> Mapping[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(content, dict):
        raise ValueError("not an object")
    return content


def _items(path: Path, files: dict[Path, None], left_out: list[tuple[str, str]]) -> Iterator[_Item]:
    """Yield the items of a document and of those that it links to, each document once."""
    path = path.resolve()
    if path in files:
        return
    files[path] = None
    if path.suffix.casefold() in _TABLE_SUFFIXES:
        yield from (_Item(row, path) for row in _rows(path))
        return
    try:
        content = _read(path)
    except (OSError, ValueError) as error:
        left_out.append((str(path), f"not readable as JSON: {error}"))
        return
    if content.get("type") == "FeatureCollection":
        yield from (_Item(item, path) for item in content.get("features") or [])
    elif content.get("type") == "Feature":
        yield _Item(content, path)
    else:
        for link in content.get("links") or []:
            if link.get("rel") in ("item", "child", "items"):
                yield from _linked(path, str(link.get("href")), files, left_out)


def _linked(path: Path, href: str, files: dict[Path, None], left_out: list[tuple[str, str]]) -> Iterator[_Item]:
    target = resolve(href, path)
    if "://" in target:
        left_out.append((target, f"{path.name} links to it, and catalogues are read from disk only: download it"))
    elif not Path(target).is_file():
        left_out.append((target, f"{path.name} links to it, but there is no such file"))
    else:
        yield from _items(Path(target), files, left_out)


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the items of a stac-geoparquet file, whose properties are columns."""
    columns = [name for name in _ITEM_COLUMNS if name in pq.read_schema(path).names]
    for row in pq.read_table(path, columns=columns).to_pylist():
        assets = json.loads(row["assets"]) if isinstance(row["assets"], str) else row["assets"] or {}
        # columns are those of all items, so an item has empty assets that others have
        row["assets"] = {
            key: {name: value for name, value in asset.items() if value is not None}
            for key, asset in assets.items()
            if asset and asset.get("href")
        }
        properties = {
            name: row[name] for name in ("datetime", "start_datetime", "gsd", "bands", "eo:bands") if name in row
        }
        yield {**row, "properties": properties}


def resolve(href: str, file: Path) -> str:
    """Return where a link of a file leads: a local path, or an address with its scheme."""
    if href.startswith("file://"):
        return unquote(urlsplit(href).path)
    if "://" in href or href.startswith("/vsi"):
        return href
    return str((file.parent / href).resolve())


def _is_label_item(item: Mapping[str, Any]) -> bool:
    return "label:type" in (item.get("properties") or {}) or any(
        "/label/" in str(name) for name in item.get("stac_extensions") or []
    )


def _labels_by_source(items: Iterable[_Item], left_out: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the label files of each item of images, by the path of the item that label items call their source."""
    found: dict[str, list[str]] = {}
    for item in items:
        sources = [link for link in item.content.get("links") or [] if link.get("rel") == "source"]
        files = [resolve(str(asset["href"]), item.file) for asset in _assets(item).values() if _has(asset, "labels")]
        files = files or [
            resolve(str(asset["href"]), item.file) for key, asset in _assets(item).items() if key == "labels"
        ]
        if not (sources and files):
            what = "source" if files else "asset of labels"
            left_out.append((f"{item.file}: {item.content.get('id')}", f"its item of labels names no {what}"))
        for link in sources:
            found.setdefault(resolve(str(link["href"]), item.file), []).extend(files)
    return found


def _assets(item: _Item) -> dict[str, Mapping[str, Any]]:
    assets = item.content.get("assets")
    return {} if not isinstance(assets, dict) else {key: asset for key, asset in assets.items() if "href" in asset}


def _has(asset: Mapping[str, Any], role: str) -> bool:
    return role in (asset.get("roles") or [])


def _scene(item: _Item, scene_id: str, labels: Mapping[str, Sequence[str]]) -> StacScene | str:
    """Return the scene of an item, or why it has none."""
    assets = _assets(item)
    properties = item.content.get("properties") or {}
    chosen = _choose_assets(assets)
    if isinstance(chosen, str):
        return chosen
    paths = [resolve(str(asset["href"]), item.file) for asset in chosen]
    own = [resolve(str(asset["href"]), item.file) for asset in assets.values() if _has(asset, "labels")]
    time = properties.get("datetime") or properties.get("start_datetime")
    gsd = chosen[0].get("gsd", properties.get("gsd"))
    return StacScene(
        path=paths[0],
        scene_id=scene_id,
        acquired=_time(time),
        gsd_m=float(gsd) if isinstance(gsd, int | float) and gsd > 0 else None,
        bands=_rgb_bands(chosen[0]) if len(chosen) == 1 else None,
        stack=tuple(paths) if len(chosen) == len(_RGB) else (),
        labels=tuple(dict.fromkeys([*own, *labels.get(str(item.file), ())])),
    )


def _choose_assets(assets: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]] | str:
    """Return the raster of an item that shows its scene, or the three of its colours, or why none is told."""
    rasters = {key: asset for key, asset in assets.items() if _is_raster(asset)}
    visual = [asset for key, asset in rasters.items() if key == "visual" or _has(asset, "visual")]
    if len(visual) == 1:
        return visual
    data = {key: asset for key, asset in rasters.items() if _has(asset, "data")} or rasters
    if len(data) == 1:
        return list(data.values())
    colours = [[asset for key, asset in data.items() if _colour(key, asset) == colour] for colour in _RGB]
    if all(len(found) == 1 for found in colours):
        return [found[0] for found in colours]
    if not data:
        return "its item has no raster among its assets"
    return (
        f"its item has {len(data)} rasters ({', '.join(sorted(data)[:6])}), and none is told to be the picture (visual)"
    )


def _is_raster(asset: Mapping[str, Any]) -> bool:
    kind = str(asset.get("type") or "").partition(";")[0].strip().casefold()
    is_typed = kind.startswith(_RASTER_TYPES)
    is_named = not kind and str(asset["href"]).casefold().endswith((".tif", ".tiff", ".jp2", ".png", ".jpg"))
    return (is_typed or is_named) and not _NO_PICTURES & set(asset.get("roles") or [])


def _bands(asset: Mapping[str, Any]) -> list[str]:
    """Return the common names of an asset's bands, "" for those without."""
    bands = asset.get("bands") or asset.get("eo:bands") or []
    return [str(band.get("eo:common_name") or band.get("common_name") or "") for band in bands]


def _colour(key: str, asset: Mapping[str, Any]) -> str:
    names = _bands(asset)
    return names[0] if len(names) == 1 and names[0] else key.casefold()


def _rgb_bands(asset: Mapping[str, Any]) -> tuple[int, int, int] | None:
    names = _bands(asset)
    if any(names.count(colour) != 1 for colour in _RGB):
        return None
    red, green, blue = (names.index(colour) + 1 for colour in _RGB)
    return red, green, blue


def _time(value: object) -> dt.datetime | None:
    if isinstance(value, dt.datetime):
        return value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
    return parse_time(value) if isinstance(value, str) else None
