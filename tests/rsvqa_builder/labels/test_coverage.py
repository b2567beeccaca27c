"""Which cells of a grid lie under polygons."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely import MultiPolygon, Point, Polygon, box
from shapely.geometry.base import BaseGeometry

from rsvqa.rsvqa_builder.labels import coverage
from rsvqa.rsvqa_builder.labels.coverage import covered_cells


def test_cells_are_those_that_rasterio_burns_of_the_same_geometries() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    stars: list[BaseGeometry] = []
    for _ in range(60):
        turns = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radii = rng.uniform(3, 40, 9)
        corners = rng.uniform(0, 300, 2) + np.column_stack([radii * np.cos(turns), radii * np.sin(turns)])
        stars.append(shapely.make_valid(Polygon(corners)))
    with_hole = box(10, 10, 60, 60).difference(box(20, 20, 50, 50))
    geometries = [*stars, with_hole, MultiPolygon([box(100, 5, 120, 15), box(200, 250, 230, 290)])]
    # the slow twin: shapely's own mappings, a grid of one cell per pixel
    expected = rasterio.features.rasterize(
        [(shape, 1) for shape in geometries], (300, 320), transform=Affine.identity()
    )
    found = covered_cells(geometries, (300, 320))
    assert found.tolist() == expected.astype(bool).tolist()
    assert 0.3 < found.mean() < 0.9


def test_a_hole_is_not_covered_and_parts_are() -> None:
    ring = box(0, 0, 6, 6).difference(box(2, 2, 4, 4))
    found = covered_cells([ring, MultiPolygon([box(7, 0, 8, 1), box(7, 5, 8, 6)])], (6, 8))
    assert [int(row.sum()) for row in found] == [6 + 1, 6, 4, 4, 6, 6 + 1]


def test_what_has_no_ground_covers_nothing_beside_what_has() -> None:
    found = covered_cells([Point(3, 3), Polygon(), box(0, 0, 1, 1)], (4, 4))
    assert np.argwhere(found).tolist() == [[0, 0]]


def test_polygons_are_laid_on_the_grid_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # 5 corners each, and 41 of the disc
    shapes = [*(box(20 * i, 0, 20 * i + 10, 10) for i in range(5)), Point(30, 60).buffer(20, quad_segs=10)]
    sizes: list[int] = []
    as_mappings = coverage._as_mappings

    def counted(part: NDArray[np.object_]) -> list[dict[str, object]]:
        sizes.append(len(part))
        return as_mappings(part)

    monkeypatch.setattr(coverage, "_as_mappings", counted)
    whole = covered_cells(shapes, (100, 100))
    monkeypatch.setattr(coverage, "_CORNERS_AT_ONCE", 12)
    assert covered_cells(shapes, (100, 100)).tolist() == whole.tolist()
    assert sizes == [6, 2, 2, 1, 1]  # 12 corners are reached with the third square, 24 with the fifth
    assert not covered_cells([], (100, 100)).any()
