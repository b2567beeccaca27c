"""The labels of one scene in scene pixels, whatever file they came from.

A struct of arrays rather than a list of objects: scenes hold up to hundreds of thousands of labels, and cutting them to
tiles is vectorised. Rows keep the order of their files, so the same files give the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotation.facts import Outline


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
