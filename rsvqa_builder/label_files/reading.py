"""Read the label files of one scene: one reader a family, then the same cleaning and joining for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from shapely.errors import ShapelyError

from rsvqa.annotation.facts import Outline, Role
from rsvqa.rsvqa_builder.label_files import formats
from rsvqa.rsvqa_builder.label_files.coco import read_coco
from rsvqa.rsvqa_builder.label_files.csv_boxes import read_csv_boxes
from rsvqa.rsvqa_builder.label_files.cvat import read_cvat
from rsvqa.rsvqa_builder.label_files.discovery import LabelFiles
from rsvqa.rsvqa_builder.label_files.dota import read_dota
from rsvqa.rsvqa_builder.label_files.dota_results import read_dota_results
from rsvqa.rsvqa_builder.label_files.identity import Identity
from rsvqa.rsvqa_builder.label_files.labelme import read_labelme
from rsvqa.rsvqa_builder.label_files.mask import read_mask
from rsvqa.rsvqa_builder.label_files.opensatmap import read_opensatmap
from rsvqa.rsvqa_builder.label_files.picture import fit_to_scene
from rsvqa.rsvqa_builder.label_files.vector import read_vector
from rsvqa.rsvqa_builder.label_files.voc import read_voc
from rsvqa.rsvqa_builder.label_files.xbd import read_xbd
from rsvqa.rsvqa_builder.label_files.yolo import read_yolo
from rsvqa.rsvqa_builder.labels.classes import ClassTable, normalised
from rsvqa.rsvqa_builder.labels.cleaning import CleanLabels, clean
from rsvqa.rsvqa_builder.labels.coverage import coverage
from rsvqa.rsvqa_builder.labels.duplicates import MAY_BE_REGIONS, Judgement, Labelled, find_duplicates
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.labels.raw import LabelError, NotLabelsError, RawLabels, joined_images, object_array
from rsvqa.rsvqa_builder.labels.report import FileReport, LabelReport, shortened
from rsvqa.rsvqa_builder.scenes.scene import Scene

LAND_COVER = "outlines are part of a land cover map, where touching objects are one: uncertain"
MODEL = "labels come from a model"
COARSE = "labels come from a raster of coarse pixels, in which small things do not show"


_ODD_CONTENT = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, ShapelyError)
"""A file may hold anything, and what no reader has thought of costs the file, not the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSet:
    """The labels of one scene.

    Attributes:
        features: in scene pixels, in file order, masks last.
        report: what became of every label of every file.
        doubts: why not every instance of a class may be labelled, by class: a label was rejected that may show in the
            scene, a file that may hold it could not be read, an unknown class may be one of it, or a model made them.
        by_models: the classes whose doubt is that only a model, or a raster of coarse pixels, says where they are: the
            user may know better.
    """

    features: Features
    report: LabelReport
    doubts: Mapping[str, str] = field(default_factory=dict)
    by_models: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _FileLabels:
    path: Path
    family: formats.LabelFamily
    labels: CleanLabels


class SheetFrame(NamedTuple):
    """The raster that a label file's pixels count in: one sheet of a mosaic, whose pixel (0, 0) lies at (x, y)."""

    scene: Scene
    x: int
    y: int


def read_labels(
    scene: Scene,
    files: Sequence[Path] | LabelFiles,
    table: ClassTable,
    *,
    frames: Mapping[Path, Sequence[SheetFrame]] | None = None,
) -> LabelSet:
    """Return the labels of a scene from its label files, each thing once.

    A file that cannot be read, or is of no label format, is an entry of the report, not an error.

    Args:
        scene: the labels are brought to its pixels.
        files: as `find_labels` gives them; their order is that of the features, but masks come last.
        table: says what source classes mean.
        frames: of the files that belong to sheets of a mosaic; all others are in the scene's own frame.
    """
    found = files if isinstance(files, LabelFiles) else LabelFiles(files=tuple(files))
    ordered = sorted(dict.fromkeys(found.files), key=formats.is_raster)
    whole = (SheetFrame(scene, 0, 0),)
    read: list[_FileLabels] = []
    failed: list[FileReport] = []
    for path in ordered:
        outcome = _read_file(path, scene, table, found, (frames or {}).get(path, whole))
        if isinstance(outcome, _FileLabels):
            read.append(outcome)
        else:
            failed.append(outcome)
    labelled = _together(read, table)
    judgement = find_duplicates(labelled)
    features, doubts = _without_map_regions(_features(read, labelled, judgement), scene, table)
    reports = [_file_report(file, i, labelled, judgement) for i, file in enumerate(read)]
    by_path = {report.path: report for report in (*reports, *failed)}
    gsd_m = next((file.labels.raw.gsd_m for file in read if file.labels.raw.gsd_m is not None), None)
    doubts = _doubts(read, table) | doubts | _unread_doubts(failed, scene, table) | _unknown_doubts(read, table)
    by_models = _model_doubts(read, labelled, judgement, scene, table)
    report = LabelReport(tuple(by_path[str(path)] for path in ordered), gsd_m)
    return LabelSet(
        features=features,
        report=report,
        doubts=dict(sorted((by_models | doubts).items())),
        by_models=frozenset(by_models.keys() - doubts.keys()),
    )


def _read_file(
    path: Path, scene: Scene, table: ClassTable, found: LabelFiles, frames: Sequence[SheetFrame]
) -> _FileLabels | FileReport:
    if path in found.refused:
        return FileReport(path=str(path), error=found.refused[path])
    family = ""
    try:
        family = kind = formats.family(path)
        raw = joined_images([_framed(path, kind, frame, table, found) for frame in frames])
        labels = clean(raw, table, width=scene.width, height=scene.height)
    except NotLabelsError as error:
        return FileReport(path=str(path), skipped=f"not a label file: {error}")
    except LabelError as error:
        return FileReport(path=str(path), family=family, error=str(error))
    except (OSError, MemoryError) as error:
        return FileReport(path=str(path), family=family, error=f"cannot be read: {error}")
    except _ODD_CONTENT as error:
        return FileReport(path=str(path), family=family, error=f"cannot be read: {type(error).__name__}: {error}")
    return _FileLabels(path, kind, labels)


def _framed(
    path: Path, family: formats.LabelFamily, frame: SheetFrame, table: ClassTable, found: LabelFiles
) -> RawLabels:
    """Return a file's labels of one raster, in the pixels of the scene that it is, or is a sheet of."""
    raw = _read_raw(path, family, frame.scene, table, found)
    if path in found.shared and len(raw) and not (raw.on_map or raw.by_image):
        raise LabelError(
            "it is given for several scenes, but its labels are in the pixels of one picture: name the image of each "
            "label in a column, or the file as its scene"
        )
    return _moved(fit_to_scene(raw, frame.scene), frame)


def _moved(raw: RawLabels, frame: SheetFrame) -> RawLabels:
    """Return the labels of a sheet in the pixels of its mosaic."""
    if not (frame.x or frame.y):
        return raw
    return replace(raw, geometries=shapely.transform(raw.geometries, lambda xy: xy + np.array([frame.x, frame.y])))


def _read_raw(path: Path, family: formats.LabelFamily, scene: Scene, table: ClassTable, found: LabelFiles) -> RawLabels:
    identity = Identity(scene.path, tuple(other for other in found.rivals if other != scene.path))
    if family == "vector":
        return read_vector(path, scene, table, identity)
    if family == "dota":
        return read_dota(path)
    if family == "dota_results":
        return read_dota_results(path, scene, table, identity)
    if family == "xbd":
        return read_xbd(path, table)
    if family == "yolo":
        return read_yolo(path, scene, table)
    if family == "labelme":
        return read_labelme(path, scene, table, identity)
    if family == "opensatmap":
        return read_opensatmap(path, scene, table, identity)
    if family == "cvat":
        return read_cvat(path, scene, table, identity)
    if family == "coco":
        return read_coco(path, scene, table, identity)
    if family == "voc":
        return read_voc(path, table, from_zero=found.voc_from_zero)
    if family == "csv":
        return read_csv_boxes(path, scene, table, identity)
    if family.startswith(formats.PLUGIN):
        return formats.reader_of(family).read(path, scene, table)
    return read_mask(path, scene, table)


def _together(read: Sequence[_FileLabels], table: ClassTable) -> Labelled:
    """Return the labels of all files in arrays, in file order."""
    raws = [file.labels.raw for file in read]
    names = object_array([name for file in read for name in file.labels.class_names])
    counts = [len(raw) for raw in raws]
    return Labelled(
        geometries=object_array([geometry for raw in raws for geometry in raw.geometries]),
        class_names=names,
        roles=object_array([table.classes[name].role for name in names]),
        outlines=object_array([outline for raw in raws for outline in raw.outlines]),
        is_certain=np.array([certain for raw in raws for certain in raw.is_certain], dtype=bool),
        files=np.repeat(np.arange(len(raws)), counts),
        is_predicted=np.concatenate([np.empty(0, dtype=bool), *(raw.are_predicted for raw in raws)]),
        is_mask=np.repeat(np.array([raw.is_mask for raw in raws], dtype=bool), counts),
    )


def _features(read: Sequence[_FileLabels], labelled: Labelled, judgement: Judgement) -> Features:
    prefixes = _id_prefixes([file.path for file in read])
    is_kept = judgement.reasons == ""
    ids = [f"{prefix}:{at}" for prefix, file in zip(prefixes, read, strict=True) for at in file.labels.raw.positions]
    attributes = [attributes for file in read for attributes in file.labels.raw.attributes]
    features = Features(
        ids=tuple(ids),
        class_names=tuple(labelled.class_names),
        geometries=labelled.geometries,
        outlines=tuple(labelled.outlines),
        is_certain=labelled.is_certain & ~judgement.may_be_region,
        attributes=tuple(attributes),
    )
    return features.take(np.flatnonzero(is_kept))


def _without_map_regions(features: Features, scene: Scene, table: ClassTable) -> tuple[Features, dict[str, str]]:
    """Return the features with outlined objects uncertain where they are regions of a land cover map, and why."""
    if not coverage(features, (scene.height, scene.width), table).is_land_cover_map:
        return features, {}
    is_region = np.array(
        [
            table.classes[name].role is Role.OBJECT and outline is Outline.POLYGON
            for name, outline in zip(features.class_names, features.outlines, strict=True)
        ],
        dtype=bool,
    )
    doubtful = {features.class_names[row] for row in np.flatnonzero(is_region).tolist()}
    return replace(features, is_certain=features.is_certain & ~is_region), dict.fromkeys(sorted(doubtful), LAND_COVER)


def _id_prefixes(paths: Sequence[Path]) -> list[str]:
    """Return a unique name for each file: its stem, its name where stems repeat, numbered where names repeat."""
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 else path.name for path in paths]
    seen: Counter[str] = Counter()
    prefixes = []
    for name in names:
        seen[name] += 1
        prefixes.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return prefixes


def _file_report(file: _FileLabels, number: int, labelled: Labelled, judgement: Judgement) -> FileReport:
    labels, raw = file.labels, file.labels.raw
    is_ours = labelled.files == number
    reasons = judgement.reasons[is_ours]
    is_kept = reasons == ""
    may_be_region = judgement.may_be_region[is_ours]
    dropped = Counter(labels.rejected) + Counter(reason for reason in reasons if reason)
    nobodys = [f"{raw.num_of_no_image} labels are of no image that the file names"] if raw.num_of_no_image else []
    notes = (*raw.notes, *labels.notes, *nobodys, *([MAY_BE_REGIONS] if may_be_region.any() else []))
    return FileReport(
        path=str(file.path),
        family=file.family,
        num_read=labels.num_read,
        num_kept=int(is_kept.sum()),
        num_uncertain=int((is_kept & (~raw.is_certain | may_be_region)).sum()),
        num_other_image=raw.num_other_image,
        num_of_no_image=raw.num_of_no_image,
        rejected=dict(sorted(dropped.items())),
        repaired=labels.repaired,
        unknown_classes=shortened(labels.unknown),
        ignored=labels.ignored,
        dropped_attributes=shortened(raw.dropped_attributes),
        notes=notes,
    )


def _unread_doubts(failed: Sequence[FileReport], scene: Scene, table: ClassTable) -> dict[str, str]:
    """Return a doubt about each class that a label file which could not be read may hold."""
    doubts: dict[str, str] = {}
    for path in [Path(report.path) for report in failed if report.error]:
        for name in _possible_classes(path, scene, table):
            doubts.setdefault(name, f"{path.name} could not be read")
    return doubts


def _possible_classes(path: Path, scene: Scene, table: ClassTable) -> list[str]:
    """Return the classes that a file may hold: those that its name speaks of, else those that its format can draw."""
    used = table.infos()
    if formats.is_raster(path) and table.mask == "classes":
        return [name for name in used if table.classes[name].mask_values or table.classes[name].mask_rgb]
    if formats.is_of_one_layer(path):
        scene_name, name = (normalised(other.name.split(".")[0]) for other in (Path(scene.path), path))
        named = table.resolve(name.removeprefix(scene_name).strip())  # what a file says beyond the name of its scene
        if named in used:
            return [name for name in used if table.are_related(name, named)]
    shapes = formats.shapes(path)
    return [name for name in used if shapes & set(table.shapes(name))]


def _unknown_doubts(read: Sequence[_FileLabels], table: ClassTable) -> dict[str, str]:
    """Return a doubt about each class that a word of an unknown name speaks of: an "office building" is a building.

    Labels without any name may be of all classes.
    """
    doubts: dict[str, str] = {}
    for name in dict.fromkeys(name for file in read for name in file.labels.unknown):
        if not name:
            doubts |= dict.fromkeys(table.infos(), "labels without a class may belong to it")
        for word in normalised(name).split():
            known = table.resolve(word)
            if known is not None and known in table.infos():
                for affected in (known, *table.classes[known].broader):
                    doubts.setdefault(affected, f"labels of the unknown class {name!r} may belong to it")
    return doubts


def _doubts(read: Sequence[_FileLabels], table: ClassTable) -> dict[str, str]:
    """Return for each class that lost labels, or may lie in what was left out, the first reason."""
    doubts: dict[str, str] = {}
    for file in read:
        for name in file.labels.ignored:
            if name in table.classes and table.classes[name].complete is False:
                why = f"regions of {name!r} may hold some"
                doubts = {**dict.fromkeys(table.infos(), why), **doubts}
        for name in sorted(file.labels.lost_classes):
            doubts.setdefault(name, f"labels of {file.path.name} were rejected")
    return doubts


def _model_doubts(
    read: Sequence[_FileLabels], labelled: Labelled, judgement: Judgement, scene: Scene, table: ClassTable
) -> dict[str, str]:
    """Return a doubt about each class that no file tells of but those of models, or of coarse pixels.

    A model that found nothing of a class does not say that nothing is there.
    """
    sources = {file.path: why for file in read if (why := _why_no_truth(file))}
    told: set[str] = set()
    for file in read:
        if file.path not in sources:
            told.update(_classes_by_people(file, scene, table))
    why_by_file = np.array([sources.get(file.path, "") for file in read], dtype=object)
    whys = np.where(labelled.is_predicted, MODEL, why_by_file[labelled.files])
    is_doubtful = (whys != "") & (judgement.reasons == "")
    used = dict(zip(labelled.class_names[is_doubtful].tolist(), whys[is_doubtful].tolist(), strict=True))
    first = next(iter(sources.values()), MODEL)
    is_mixed = any(file.labels.raw.predicted is not None for file in read)
    untold = {name: first for name in table.infos() if name not in told} if sources or is_mixed else {}
    return {**untold, **used}


def _why_no_truth(file: _FileLabels) -> str:
    """Return why what is not in a file may be in the scene all the same; "" where people labelled some of it."""
    if file.labels.raw.is_predicted:
        return MODEL
    return COARSE if file.labels.raw.is_coarse else ""


def _classes_by_people(file: _FileLabels, scene: Scene, table: ClassTable) -> set[str]:
    """Return the classes that a file's people may have labelled: those of any layer, but of a model's."""
    raw, possible = file.labels.raw, _possible_classes(file.path, scene, table)
    told = set(file.labels.class_names[~raw.are_predicted].tolist())
    if raw.predicted is None:
        return told.union(possible)
    for layer in raw.people_layers:
        named = table.resolve(layer)
        told.update(name for name in possible if named is None or table.are_related(name, named))
    return told
