"""The labels of one scene in scene pixels, whatever file they came from.

A struct of arrays rather than a list of objects: scenes hold up to hundreds of thousands of labels, and cutting them to
tiles is vectorised. Rows keep the order of their files, so the same files give the same order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.facts import Outline

_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("class_name", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("geometry", pa.large_binary(), nullable=False),
        pa.field("bounds", pa.list_(pa.float64(), 4), nullable=False),
        pa.field("outline", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("is_certain", pa.bool_(), nullable=False),
        pa.field("attributes", pa.dictionary(pa.int32(), pa.string()), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Features:
    """Labels of one scene; all sequences have the same length.

    Attributes:
        ids: unique in the scene, from file stem, layer and position ("buildings:17"): stable between builds.
        class_names: keys of the class table; ignored and unknown classes are not here (they are counted in the report).
        geometries: shapely geometries in scene pixels (x right, y down, origin at the outer corner of the first pixel).
            Not cut to the scene: the share outside must be known.
        outlines: how closely each geometry follows its object.
        is_certain: false for difficult, crowd, truncated or low-score labels.
        attributes: from the class table's attribute columns.
    """

    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    geometries: NDArray[np.object_]
    outlines: tuple[Outline, ...]
    is_certain: NDArray[np.bool_]
    attributes: tuple[Mapping[str, str | bool | float], ...]

    def __len__(self) -> int:
        """Return the number of labels."""
        return len(self.ids)

    @classmethod
    def empty(cls) -> Self:
        """Return the labels of a scene that has none."""
        return cls((), (), np.empty(0, dtype=object), (), np.empty(0, dtype=bool), ())

    def take(self, rows: NDArray[np.integer]) -> Features:
        """Return the labels at these positions, in their order."""
        chosen = rows.tolist()
        return Features(
            ids=tuple(self.ids[row] for row in chosen),
            class_names=tuple(self.class_names[row] for row in chosen),
            geometries=self.geometries[rows],
            outlines=tuple(self.outlines[row] for row in chosen),
            is_certain=self.is_certain[rows],
            attributes=tuple(self.attributes[row] for row in chosen),
        )

    def to_arrow(self) -> pa.Table:
        """Return the labels as an Arrow table: geometry as WKB, attributes as JSON. Equal labels give equal tables."""
        encoder = json.JSONEncoder(sort_keys=True, ensure_ascii=False)  # `json.dumps` would make one for each label
        texts = [encoder.encode(dict(attributes)) for attributes in self.attributes]
        columns = {
            "id": list(self.ids),
            "class_name": list(self.class_names),
            "geometry": _as_wkb(self.geometries),
            "bounds": pa.FixedSizeListArray.from_arrays(shapely.bounds(self.geometries).ravel(), 4),
            "outline": [str(outline) for outline in self.outlines],
            "is_certain": self.is_certain.tolist(),
            "attributes": texts,
        }
        arrays = [pa.array(columns.pop(field.name)) for field in _SCHEMA if len(self)]
        if not arrays:
            return _SCHEMA.empty_table()
        encoded = [
            array.dictionary_encode() if pa.types.is_dictionary(field.type) else array.cast(field.type)
            for array, field in zip(arrays, _SCHEMA, strict=True)
        ]
        return pa.Table.from_arrays(encoded, schema=_SCHEMA)

    @classmethod
    def from_arrow(cls, table: pa.Table, *, within: tuple[float, float, float, float] | None = None) -> Self:
        """Return the labels that `to_arrow` wrote, in its order.

        Args:
            table: may be mapped from a file; what is left out is never read.
            within: leave out labels whose bounds do not meet these (x_min, y_min, x_max, y_max), scene pixels.
        """
        if within is not None:
            bounds = _numbers(table.column("bounds").combine_chunks().flatten()).reshape(-1, 4)
            meets = (bounds[:, :2] <= within[2:]).all(axis=1) & (bounds[:, 2:] >= within[:2]).all(axis=1)
            rows = np.flatnonzero(meets).astype(np.int64)
            table = table.take(pa.Int64Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows)]))
        names = [name for name in table.schema.names if name not in ("geometry", "bounds")]
        columns = {name: table.column(name).to_pylist() for name in names}
        parsed = {text: json.loads(text) for text in dict.fromkeys(columns["attributes"])}
        return cls(
            ids=tuple(columns["id"]),
            class_names=tuple(columns["class_name"]),
            geometries=shapely.from_wkb(np.array(table.column("geometry").to_pylist(), dtype=object)),
            outlines=tuple(Outline(name) for name in columns["outline"]),
            is_certain=np.array(columns["is_certain"], dtype=bool),
            attributes=tuple(parsed[text] for text in columns["attributes"]),
        )


def _numbers(array: pa.DoubleArray) -> NDArray[np.float64]:
    """Return the numbers of an array without a copy.

    Arrow's own ways from and to numpy import pandas, which takes each worker 0.3 s and 40 MB.
    """
    _, content = array.buffers()
    return np.frombuffer(content, dtype=np.float64)[array.offset : array.offset + len(array)]


_AT_ONCE = 10_000
"""Geometries of which there are WKB objects, each with a head of its own, beside their bytes in one array."""


def _as_wkb(geometries: NDArray[np.object_]) -> pa.LargeBinaryArray:
    """Return geometries as WKB in one array."""
    content, lengths = bytearray(), [np.zeros(1, dtype=np.int64)]
    for start in range(0, len(geometries), _AT_ONCE):
        encoded = shapely.to_wkb(geometries[start : start + _AT_ONCE]).tolist()
        content += b"".join(encoded)
        lengths.append(np.array([len(one) for one in encoded], dtype=np.int64))
    ends = np.cumsum(np.concatenate(lengths))
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(geometries), [None, pa.py_buffer(ends), pa.py_buffer(content)]
    )
