"""From a label file's coordinates to scene pixels: reprojection, then the inverse of the scene's affine transform.

What surprises: files without a word on their coordinates hold degrees, map coordinates or pixels. They are taken for
what fits the scene, with a note; coordinates that can be degrees are never taken for pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.labels.raw import LabelError
from rsvqa.rsvqa_builder.scenes.ground_control import GroundControl
from rsvqa.rsvqa_builder.scenes.scene import AffineCoefficients, Scene

DEGREES = "EPSG:4326"

_EDGES_PER_SCENE = 64
"""An edge as long as the scene gets this many pieces before reprojection: straight lines of one CRS bend in another.
The bend that is left is the square of a piece over eight Earth radii: 8 mm for a scene of 40 km."""
_EDGES_PER_GEOMETRY = 4096
"""At most so many pieces for the extent of a geometry that is much larger than the scene."""
_SAME_PLACE = 1e-9
"""Two systems whose coordinates differ by less than this share of their size are the same."""
_SLACK_DEG = 1e-6
_PIXEL_SLACK = 0.1
"""Share of the scene's side by which labels in pixels may reach beyond it."""
_PIXEL_DECIMALS = 4
"""Nobody marks a point more finely on a picture; a degree needs five decimals to tell metres."""
_TURN_DEG = 360.0
_REACH = 1 / 3
"""Share of a scene's sides by which ground control is believed beyond it."""


_PICTURE_PIXELS_NAME = "rsvqa picture pixels"
PICTURE_PIXELS = f'LOCAL_CS["{_PICTURE_PIXELS_NAME}",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]'
"""CRS of labels in pixels of their picture, so that nobody takes them for degrees; y runs up from the top edge."""
Y_UP = AffineCoefficients(1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
"""From pixels to these coordinates, and back."""


class Bounds(NamedTuple):
    """Map coordinates, x to the east."""

    west: float
    south: float
    east: float
    north: float

    def overlaps(self, other: Bounds) -> bool:
        """Tell whether the two have a point in common."""
        return (
            self.west <= other.east
            and self.east >= other.west
            and self.south <= other.north
            and self.north >= other.south
        )

    def within(self, outer: Bounds, slack: float) -> bool:
        """Tell whether these bounds lie in others, or not further outside than `slack`."""
        return (
            self.west >= outer.west - slack
            and self.south >= outer.south - slack
            and self.east <= outer.east + slack
            and self.north <= outer.north + slack
        )

    @property
    def fit_degrees(self) -> bool:
        """True when the coordinates may be longitudes from -180° on and latitudes."""
        return self.within(_WHOLE_EARTH, _SLACK_DEG)

    @property
    def fit_turned_degrees(self) -> bool:
        """True when they may also be longitudes that run on beyond the antimeridian, as from 0° to 360°."""
        return self.within(_TWO_TURNS, _SLACK_DEG)

    def __str__(self) -> str:
        """Return the four numbers as messages show them."""
        return "(" + ", ".join(f"{value:.6g}" for value in self) + ")"


_WHOLE_EARTH = Bounds(-180, -90, 180, 90)
_ONE_PIXEL = Bounds(0, 0, 1, 1)
_TWO_TURNS = Bounds(-360, -90, 360, 90)


class Placed(NamedTuple):
    """Labels in scene pixels.

    Attributes:
        geometries: in scene pixels.
        on_map: the file's coordinates are tied to the ground, not to the pixels of one picture.
        note: how coordinates were read that the file does not explain; "" when it does.
    """

    geometries: NDArray[np.object_]
    on_map: bool
    note: str = ""


def place_by_crs(geometries: NDArray[np.object_], crs: str, scene: Scene, extent: Bounds | None = None) -> Placed:
    """Return geometries that a file states to be in `crs`.

    Args:
        geometries: in file coordinates.
        crs: as the file states it.
        scene: the labels are brought to its pixels.
        extent: of all coordinates of the file, when more is known of it than `geometries`.

    Raises:
        LabelError: the scene has no CRS, or the coordinates cannot be of this CRS.
    """
    stated = pyproj.CRS.from_user_input(crs)
    if scene.transform is None or scene.crs is None:
        raise LabelError(f"its coordinates are in {stated.name}, but the scene has no CRS: give the scene one")
    bounds = bounds_of(geometries) if extent is None else extent
    if not np.isfinite(bounds).all():
        return Placed(geometries, on_map=True)
    if stated.is_geographic and _in_degrees(stated) and not bounds.fit_turned_degrees:
        raise LabelError(
            f"it states {stated.name}, but its coordinates {bounds} are not degrees: state the CRS that they are in"
        )
    if stated.is_projected and bounds.fit_degrees and _overlaps_as_degrees(bounds, scene):
        raise LabelError(
            f"it states {stated.name}, but its coordinates {bounds} are degrees that lie in the scene: state EPSG:4326"
        )
    placed = map_to_pixels(reproject_to_scene(geometries, crs, scene), scene.transform)
    frame = Bounds(0, 0, scene.width, scene.height)
    is_elsewhere = len(placed) > 0 and not bounds_of(placed).overlaps(frame)
    if is_elsewhere and _is_on_scene_map(bounds, scene):
        note = f"nothing lies in the scene, but would if its coordinates were the scene's: is {stated.name} right?"
        return Placed(placed, on_map=True, note=note)
    return Placed(placed, on_map=True)


def are_picture_pixels(crs: str | None) -> bool:
    """Tell whether a file states that its coordinates are pixels of its picture."""
    return crs is not None and _PICTURE_PIXELS_NAME in crs


def place_picture_pixels(geometries: NDArray[np.object_]) -> Placed:
    """Return geometries in `PICTURE_PIXELS` in pixels of the scene."""
    return Placed(shapely.transform(geometries, lambda xy: np.column_stack(Y_UP.to_pixels(*xy.T))), on_map=False)


def place_unstated(
    geometries: NDArray[np.object_], scene: Scene, complaint: str, *, are_pixels_by_format: bool = False
) -> Placed:
    """Return geometries of a file that says nothing of its coordinates, read as what fits the scene.

    Args:
        geometries: in file coordinates.
        scene: the labels are brought to its pixels.
        complaint: what the file leaves out, for notes and messages.
        are_pixels_by_format: the format is one of pixels, so that pixels need no proof.

    Raises:
        LabelError: nothing ties the coordinates to the scene, or they may be degrees of another place.
    """
    bounds = bounds_of(geometries)
    if not np.isfinite(bounds).all():
        return Placed(geometries, on_map=False)
    frame = Bounds(0, 0, scene.width, scene.height)
    slack = max(scene.width, scene.height) * _PIXEL_SLACK
    if bounds.fit_turned_degrees and scene.crs is not None and _overlaps_as_degrees(bounds, scene):
        placed = place_by_crs(geometries, DEGREES, scene)
        return placed._replace(note=f"coordinates read as degrees: {complaint}")
    fits_pixels = are_pixels_by_format and bounds.within(frame, slack)
    if _is_on_scene_map(bounds, scene) and not fits_pixels:
        assert scene.transform is not None  # _is_on_scene_map asks for it
        moved = map_to_pixels(geometries, scene.transform)
        return Placed(moved, on_map=True, note=f"coordinates read in the scene's CRS: {complaint}")
    if are_pixels_by_format and bounds.within(_ONE_PIXEL, _SLACK_DEG):
        raise LabelError(
            f"coordinates {bounds} lie between 0 and 1: shares of the picture's sides, where pixels are meant"
        )
    if bounds.fit_degrees and (not are_pixels_by_format or _look_like_degrees(geometries)):
        raise LabelError(f"coordinates {bounds} may be degrees, but not of this scene, and {complaint}: add the CRS")
    if are_pixels_by_format:
        return Placed(geometries, on_map=False)
    if bounds.within(frame, slack):
        return Placed(geometries, on_map=False, note=f"coordinates read as scene pixels, y down: {complaint}")
    flipped = bounds._replace(south=-bounds.north, north=-bounds.south)
    if bounds.north <= 0 and flipped.within(frame, slack):
        mirrored: NDArray[np.object_] = shapely.transform(geometries, lambda xy: xy * [1, -1])
        note = f"coordinates read as scene pixels, y up from the top edge: {complaint}"
        return Placed(mirrored, on_map=False, note=note)
    raise LabelError(
        f"coordinates {bounds} are neither the scene's map coordinates nor its pixels, and {complaint}: "
        "add the CRS to the file"
    )


def _in_degrees(crs: pyproj.CRS) -> bool:
    return bool(math.isclose(crs.axis_info[0].unit_conversion_factor, math.radians(1)))


def _overlaps_as_degrees(bounds: Bounds, scene: Scene) -> bool:
    """Tell whether longitudes and latitudes reach the scene, a whole turn away or not."""
    if scene.crs is None or scene.transform is None:
        return False
    try:
        there = scene_bounds_in(DEGREES, scene)
    except pyproj.exceptions.ProjError:
        return False
    if there is None:
        return False
    turns = (-_TURN_DEG, 0.0, _TURN_DEG)
    return any(bounds.overlaps(there._replace(west=there.west + turn, east=there.east + turn)) for turn in turns)


def _is_on_scene_map(bounds: Bounds, scene: Scene) -> bool:
    """Tell whether coordinates reach the scene when they are taken for its own map coordinates."""
    if scene.transform is None or not bounds.overlaps(scene_bounds(scene)):
        return False
    return scene.crs is None or not pyproj.CRS.from_user_input(scene.crs).is_geographic or bounds.fit_turned_degrees


def _look_like_degrees(geometries: NDArray[np.object_]) -> bool:
    """Tell whether labels are too small or too finely placed to be pixels of a picture."""
    extents = shapely.bounds(geometries)
    sides = np.maximum(extents[:, 2] - extents[:, 0], extents[:, 3] - extents[:, 1])
    sides = sides[np.isfinite(sides) & (sides > 0)]
    if len(sides):
        return bool(sides.max() < 1)
    coordinates = shapely.get_coordinates(geometries)
    is_fine = np.abs(coordinates - np.round(coordinates, _PIXEL_DECIMALS)) > 10.0 ** -(_PIXEL_DECIMALS + 3)
    return bool(is_fine.any()) or bool((coordinates < 0).any())


def bounds_of(geometries: NDArray[np.object_]) -> Bounds:
    """Return the common bounds of geometries; NaN when there are none."""
    if not len(geometries):  # total_bounds of nothing raises in some releases of shapely
        return Bounds(*[math.nan] * 4)
    return Bounds(*shapely.total_bounds(geometries).tolist())


def map_to_pixels(
    geometries: NDArray[np.object_], transform: AffineCoefficients | GroundControl
) -> NDArray[np.object_]:
    """Return geometries moved from map coordinates to pixels (x right, y down)."""
    if isinstance(transform, GroundControl):
        return _bent_to_pixels(geometries, transform)
    a, b, c, d, e, f = transform
    scale = 1 / (a * e - b * d)

    def invert(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        # The offset first: map coordinates are large, and pixels need the digits that lie behind the point.
        x, y = xy[:, 0] - c, xy[:, 1] - f
        return np.column_stack(((e * x - b * y) * scale, (a * y - d * x) * scale))

    moved: NDArray[np.object_] = shapely.transform(geometries, invert)
    return moved


def _bent_to_pixels(geometries: NDArray[np.object_], control: GroundControl) -> NDArray[np.object_]:
    """Return geometries placed by control points or RPCs, which mean nothing far from the scene.

    What reaches far beyond the scene is cut there, and what does not come near is placed roughly, outside it.
    """
    near = _reach_of(control)
    moved = geometries.copy()
    is_near = shapely.intersects(geometries, near)
    moved[~is_near] = map_to_pixels(geometries[~is_near], control.linear)
    edge = max(near.bounds[2] - near.bounds[0], near.bounds[3] - near.bounds[1]) / _EDGES_PER_SCENE
    for row in np.flatnonzero(is_near).tolist():
        cut = geometries[row]
        if not shapely.covers(near, cut):
            cut = shapely.intersection(shapely.make_valid(cut), near)
            if shapely.get_dimensions(cut) != shapely.get_dimensions(geometries[row]):  # it touches the rim only
                moved[row] = map_to_pixels(geometries[row : row + 1], control.linear)[0]
                continue
        pieces = shapely.segmentize(cut, edge)
        moved[row] = shapely.transform(pieces, lambda xy: np.column_stack(control.to_pixels(xy[:, 0], xy[:, 1])))
    return moved


def _reach_of(control: GroundControl) -> shapely.Polygon:
    """Return the map around a scene on which its control points mean something: a third of its sides beyond it."""
    west, south, east, north = _bounds_on_map(control, control.width, control.height)
    x_margin, y_margin = (east - west) * _REACH, (north - south) * _REACH
    return shapely.box(west - x_margin, south - y_margin, east + x_margin, north + y_margin)


def pixels_to_map(
    geometries: NDArray[np.object_], transform: AffineCoefficients | GroundControl
) -> NDArray[np.object_]:
    """Return geometries moved from pixels to map coordinates."""

    def apply(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transform.to_map(xy[:, 0], xy[:, 1]))

    moved: NDArray[np.object_] = shapely.transform(geometries, apply)
    return moved


def _bounds_on_map(transform: AffineCoefficients | GroundControl, width: int, height: int) -> Bounds:
    frame = np.array([shapely.box(0, 0, width, height)])
    if isinstance(transform, GroundControl):
        frame = shapely.segmentize(frame, max(width, height) / _EDGES_PER_SCENE)  # its edges bend on the map
    return bounds_of(pixels_to_map(frame, transform))


def scene_bounds(scene: Scene) -> Bounds:
    """Return the scene's bounds in its own CRS; the scene must have a transform."""
    if scene.transform is None:
        raise ValueError(f"scene {scene.scene_id} has no transform: it has no bounds on the map")
    return _bounds_on_map(scene.transform, scene.width, scene.height)


def scene_bounds_in(crs: str, scene: Scene) -> Bounds | None:
    """Return the scene's bounds in another CRS, a hundredth wider; None where it cannot be projected.

    Longitudes of a scene across the antimeridian run on: its east is beyond 180°.
    """
    there = pyproj.CRS.from_user_input(crs)
    transformer = pyproj.Transformer.from_crs(scene.crs, there, always_xy=True)
    bounds = Bounds(*transformer.transform_bounds(*scene_bounds(scene)))
    if not np.isfinite(bounds).all():
        return None
    if bounds.west > bounds.east:
        if not (there.is_geographic and _in_degrees(there)):
            return None
        bounds = bounds._replace(east=bounds.east + _TURN_DEG)
    x_margin, y_margin = (bounds.east - bounds.west) / 100, (bounds.north - bounds.south) / 100
    return Bounds(bounds.west - x_margin, bounds.south - y_margin, bounds.east + x_margin, bounds.north + y_margin)


def reproject_to_scene(geometries: NDArray[np.object_], crs: str, scene: Scene) -> NDArray[np.object_]:
    """Return geometries in the scene's CRS; coordinates that cannot be projected become infinite.

    Axes are x to the east, y to the north on both sides, whatever the CRS says. Long edges are divided first.
    Longitudes are taken a whole turn further where that brings a geometry to the scene: 190° is -170°.
    """
    source, target = pyproj.CRS.from_user_input(crs), pyproj.CRS.from_user_input(scene.crs)
    turn = _turn_of(target)
    transformer = pyproj.Transformer.from_crs(source, target, always_xy=True)
    west, south, east, north = scene_bounds(scene)
    centre = (west + east) / 2, (south + north) / 2
    if source.is_geographic and _in_degrees(source):
        there, _ = transformer.transform(*centre, direction="INVERSE")
        geometries = _turned_to(geometries, there, _TURN_DEG)
    if _changes_nothing(transformer, scene):
        return geometries if turn is None else _turned_to(geometries, centre[0], turn)
    pieces = _divide_edges(geometries, scene_bounds_in(crs, scene))
    moved: NDArray[np.object_] = shapely.transform(
        pieces, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))
    )
    return moved if turn is None else _turned_to(moved, centre[0], turn)


def _turn_of(crs: pyproj.CRS) -> float | None:
    """Return how far x goes once around the Earth; None where x does not run on beyond the antimeridian."""
    if crs.is_geographic:
        return _TURN_DEG if _in_degrees(crs) else None
    method = crs.coordinate_operation.method_name if crs.coordinate_operation else ""
    if method != "Popular Visualisation Pseudo Mercator" or crs.ellipsoid is None:
        return None
    return 2 * math.pi * float(crs.ellipsoid.semi_major_metre)


def _turned_to(geometries: NDArray[np.object_], centre: float, turn: float) -> NDArray[np.object_]:
    """Return geometries with each part moved by the whole turns that bring it nearest to a longitude, or an x.

    A part that jumps from 180° to -180° is drawn on across the antimeridian; parts that meet there become one again.
    """
    if not math.isfinite(centre):
        return geometries
    extents = shapely.bounds(geometries)
    # NaN compares false: empty geometries stay
    is_far = np.abs((extents[:, 0] + extents[:, 2]) / 2 - centre) > turn / 2
    moves = is_far | (extents[:, 2] - extents[:, 0] > turn / 2)
    if not moves.any():
        return geometries
    turned = geometries.copy()
    for row in np.flatnonzero(moves).tolist():
        parts = shapely.get_parts(geometries[row])
        turned[row] = _together([_part_turned_to(part, centre, turn) for part in parts])
    return turned


def _together(parts: list[shapely.Geometry]) -> shapely.Geometry:
    """Return parts as one geometry; areas that touch, such as those cut at the antimeridian, become one."""
    if len(parts) == 1:
        return parts[0]
    dimensions = set(shapely.get_dimensions(parts).tolist())
    if dimensions == {2} and shapely.is_valid(parts).all():
        return shapely.union_all(parts)
    makers = (shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)
    make = makers[dimensions.pop()] if len(dimensions) == 1 else shapely.geometrycollections
    return make(np.asarray(parts, dtype=object))  # type: ignore[return-value]


def _part_turned_to(part: shapely.Geometry, centre: float, turn: float) -> shapely.Geometry:
    jumps = np.abs(np.diff(shapely.get_coordinates(part)[:, 0])) > turn / 2
    if jumps.any():
        drawn_on: shapely.Geometry = shapely.transform(part, lambda xy: xy + np.outer(xy[:, 0] < 0, (turn, 0)))
        x_min, _, x_max, _ = shapely.bounds(drawn_on)
        if 0 < x_max - x_min < turn / 2:
            part = drawn_on
    x_min, _, x_max, _ = shapely.bounds(part)
    shift = turn * round((centre - (x_min + x_max) / 2) / turn)
    moved: shapely.Geometry = shapely.transform(part, lambda xy: xy + np.array([shift, 0.0]))
    return moved


def _changes_nothing(transformer: pyproj.Transformer, scene: Scene) -> bool:
    """Tell whether source and scene share their coordinates (EPSG:4326 and OGC:CRS84), tried over the scene."""
    west, south, east, north = scene_bounds(scene)
    there = np.array([[west, south], [west, north], [east, south], [east, north], [(west + east) / 2, north]])
    back = np.column_stack(transformer.transform(there[:, 0], there[:, 1], direction="INVERSE"))
    return bool(np.allclose(back, there, rtol=_SAME_PLACE, atol=0))


def _divide_edges(geometries: NDArray[np.object_], bounds: Bounds | None) -> NDArray[np.object_]:
    extents = shapely.bounds(geometries)
    longest = np.maximum(extents[:, 2] - extents[:, 0], extents[:, 3] - extents[:, 1]) / _EDGES_PER_GEOMETRY
    if bounds is not None:
        scene_size = max(bounds.east - bounds.west, bounds.north - bounds.south)
        longest = np.maximum(longest, scene_size / _EDGES_PER_SCENE)
    is_usable = np.isfinite(longest) & (longest > 0)
    divided = geometries.copy()
    divided[is_usable] = shapely.segmentize(geometries[is_usable], longest[is_usable])
    return divided
