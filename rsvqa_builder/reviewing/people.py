"""The people of a data set's review: read from a file, given links."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyogrio
import pyproj
import shapely
from pydantic import TypeAdapter, ValidationError
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.review.people import People, PersonSettings, ReviewerName
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.label_files.placing import DEGREES
from rsvqa.rsvqa_builder.reviewing.serve import ReviewError, note_store
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource, store_path

_NAME: TypeAdapter[str] = TypeAdapter(ReviewerName)
_PEOPLE: TypeAdapter[dict[ReviewerName, PersonSettings]] = TypeAdapter(dict[ReviewerName, PersonSettings])


def read_people(file: Path) -> dict[str, PersonSettings]:
    """Return the people that a TOML file describes, one table per name.

    Raises:
        ReviewError: when it cannot be read, or describes somebody otherwise.
    """
    try:
        described = tomllib.loads(file.read_text("utf-8"))
        people = _PEOPLE.validate_python(described)
    except OSError as error:
        raise ReviewError(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ReviewError(f"{file}: no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ReviewError(f"{file}: {place}: {first['msg'].removeprefix('Value error, ')}") from error
    if len(people) < len(described):
        raise ReviewError(f"{file}: {_twice(described)} stands for two people: give each a name of his own")
    return {name: _from_folder(person, file.parent) for name, person in people.items()}


def _twice(names: Iterable[str]) -> str:
    """Return the name that several of `names` come to, quoted."""
    counts = Counter(_NAME.validate_python(name) for name in names)
    return ascii(next(name for name, count in counts.items() if count > 1))


def _from_folder(person: PersonSettings, folder: Path) -> PersonSettings:
    """Return a person whose file of an area is named from the folder of the file of people."""
    return person.model_copy(update={"area": str(folder / person.area)}) if isinstance(person.area, str) else person


def invite(
    folder: Path, people: dict[str, PersonSettings], *, store: Path | None = None, renew: Sequence[str] = ()
) -> dict[str, str]:
    """Make `people` all who have a link to the review of a data set, and return the tokens of new links by name.

    Args:
        folder: of the data set.
        people: of `read_people`; without anybody, whoever opens the review types a name.
        store: file of the decisions; None for the one in `folder`.
        renew: names whose links are replaced.

    Raises:
        ReviewError: for a name in `renew` that is not among `people`; for an area that cannot be read, or holds no
            tile.
        ShardError: when the folder has no whole set of shards.
        StoreError: when the store cannot be used.
    """
    if unknown := sorted(set(renew) - people.keys()):
        raise ReviewError(f"`renew` {unknown[0]}: expected one of the people, {', '.join(people) or 'who are none'}")
    source = ReviewSource(folder)  # refused before a store is made
    people = {name: _with_tiles(name, person, source) for name, person in people.items()}
    note_store(folder, store)
    with ReviewStore(store_path(folder, store)) as opened:
        return People(opened.database).update(people, renew=renew)


def _with_tiles(name: str, person: PersonSettings, source: ReviewSource) -> PersonSettings:
    """Return a person with the tiles whose middles lie in his area, besides those that he has by name."""
    if person.area is None:
        return person
    area = shapely.box(*person.area) if isinstance(person.area, tuple) else _polygons(name, Path(person.area))
    tiles = [tile.tile for tile in source.all_tiles if tile.tile.footprint is not None]
    middles = shapely.centroid(shapely.from_wkb([tile.footprint for tile in tiles]))
    inside = [tile.image_id for tile, one in zip(tiles, shapely.covers(area, middles), strict=True) if one]
    if not inside:
        raise ReviewError(f"{name}.area: no tile of {source.folder} lies in it; {len(tiles):,} tiles have a footprint")
    return person.model_copy(update={"tiles": (*person.tiles, *inside)})


def _polygons(name: str, file: Path) -> BaseGeometry:
    """Return the polygons of a file as one, longitude and latitude."""
    try:
        meta, _, wkb, _ = pyogrio.raw.read(file, columns=[], force_2d=True)
    except (RuntimeError, ValueError) as error:
        raise ReviewError(f"{name}.area: cannot read {file}: {error}") from error
    geometries = shapely.from_wkb(wkb)
    polygons = geometries[shapely.get_dimensions(geometries) == 2]
    if not len(polygons) or meta["crs"] is None:
        raise ReviewError(f"{name}.area: {file}: expected polygons with a CRS")
    to_degrees = pyproj.Transformer.from_crs(meta["crs"], DEGREES, always_xy=True)
    moved = shapely.transform(polygons, lambda xy: np.column_stack(to_degrees.transform(*xy.T)))
    return shapely.union_all(shapely.make_valid(moved))


def invitation_lines(people: dict[str, PersonSettings], tokens: dict[str, str], address: str) -> Iterator[str]:
    """Yield a line per person: name, role and link; a link that was made before is not known any more."""
    for name, person in people.items():
        link = f"{address.rstrip('/')}/{tokens[name]}/" if name in tokens else "(has a link)"
        yield f"{name}\t{person.role}\t{link}"
    if not people:
        yield "nobody has a link any more: whoever opens the review types a name"
