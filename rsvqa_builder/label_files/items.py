"""Labels one by one, as small annotation files hold them, gathered into arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.labels.attributes import parse_attributes
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import RawLabels, judged_outlines, object_array


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelItem:
    """One label of a file.

    Attributes:
        geometry: in pixels of the file's picture.
        outline: how closely it follows the object.
        source: what the file calls the class.
        position: where in the file it stands.
        is_certain: not difficult, truncated or occluded.
        score: of a prediction; None where the file has none.
        attributes: texts by the file's names, lower case.
    """

    geometry: BaseGeometry
    outline: Outline
    source: str
    position: str
    is_certain: bool = True
    score: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


def gathered(
    items: Sequence[LabelItem],
    table: ClassTable,
    *,
    problems: Mapping[str, int] | None = None,
    lost: Iterable[str] = (),
    notes: Sequence[str] = (),
    picture_size: tuple[float, float] | None = None,
    by_image: bool = False,
    num_other_image: int = 0,
) -> RawLabels:
    """Return the labels of a file.

    Args:
        items: in the order of the file.
        table: says which attributes count, and below which score a prediction is uncertain.
        problems: labels that could not be understood, by reason.
        lost: what the file calls the classes of those labels.
        notes: what a person should know.
        picture_size: as the file states it.
        by_image: the file names its image.
        num_other_image: labels of other images in the file.
    """
    geometries = object_array([item.geometry for item in items])
    sources = object_array([item.source for item in items])
    judged = judged_outlines(geometries, sources, Outline.POLYGON)
    outlines = [item.outline if one is Outline.POLYGON else one for item, one in zip(items, judged, strict=True)]
    texts = {
        attribute: [next((item.attributes[n] for n in names if n in item.attributes), "") for item in items]
        for attribute, names in table.attributes.columns().items()
    }
    parsed = parse_attributes({name: values for name, values in texts.items() if any(values)}, len(items))
    certain = [item.is_certain and (item.score is None or item.score >= table.min_score) for item in items]
    return RawLabels(
        geometries=geometries,
        sources=sources,
        positions=tuple(item.position for item in items),
        outlines=object_array(outlines),
        is_certain=np.array(certain, dtype=bool),
        attributes=parsed.attributes,
        is_predicted=any(item.score is not None for item in items),
        num_other_image=num_other_image,
        num_invalid=dict(problems or {}),
        lost_sources=frozenset(lost),
        dropped_attributes=parsed.dropped,
        notes=tuple(note for note in notes if note),
        by_image=by_image,
        picture_size=picture_size,
    )
