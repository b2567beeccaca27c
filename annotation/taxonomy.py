"""The 22 tasks, and those of packages: names, levels, answer forms and the `category` strings that data files carry.

Sixteen are the sub-tasks of XLRS-Bench (CVPR 2025, arXiv 2503.23771), with its `category` strings byte for byte.
The GeoLLaVA-8K paper (arXiv 2505.21375) counts 22 sub-tasks without naming the other six; those marked `own` are
this project's, chosen so that their answers follow from labels, two dates or the ground sampling distance.

What surprises: the first half of `category` is the benchmark's file grouping, not the level-2 name of its paper ("Route
planning" sits under "Complex reasoning").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from threading import RLock
from types import MappingProxyType
from typing import Any, Literal, get_args

from rsvqa.annotation.errors import RsvqaError

Level1 = Literal["Perception", "Reasoning"]


class AnswerForm(StrEnum):
    """What a right answer looks like."""

    ONE_OF = "one_of"
    SEVERAL_OF = "several_of"
    YES_NO = "yes_no"
    TEXT = "text"
    BOX = "box"
    WORDS = "words"
    """A word or phrase that is right or wrong; no task of ours asks for one, other benchmarks do."""


NUM_OPTIONS: Mapping[AnswerForm, int] = MappingProxyType(
    {
        AnswerForm.ONE_OF: 4,
        AnswerForm.SEVERAL_OF: 4,
        AnswerForm.YES_NO: 2,
        AnswerForm.TEXT: 0,
        AnswerForm.BOX: 0,
        AnswerForm.WORDS: 0,
    }
)
"""Options that a question shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """One task of the taxonomy.

    `forms` lists every answer form that a question of the task may have; `is_regional` says that a question needs a
    numbered circle on the image, `num_dates` how many images it shows.
    """

    name: str
    short: str
    level_1: Level1
    level_2: str
    level_3: str
    category: str
    forms: tuple[AnswerForm, ...]
    is_regional: bool = False
    num_dates: int = 1
    is_own: bool = False

    @property
    def title(self) -> str:
        """The task's name as pages show it, in the spelling of everything else here."""
        return self.level_3.replace("color", "colour")

    @property
    def l2_category(self) -> str:
        """The `l2-category` string of the data files: the part of `category` before the slash."""
        return self.category.split("/")[0]

    def form_of(self, num_options: int) -> AnswerForm:
        """Return the form of a question's answer: a task with several tells them by the number of options."""
        if not num_options:
            return AnswerForm.BOX if AnswerForm.BOX in self.forms else AnswerForm.TEXT
        if num_options == 2 and AnswerForm.YES_NO in self.forms:
            return AnswerForm.YES_NO
        return AnswerForm.SEVERAL_OF if AnswerForm.SEVERAL_OF in self.forms else AnswerForm.ONE_OF


_ONE = (AnswerForm.ONE_OF,)
_YES_NO = (AnswerForm.YES_NO,)
_TEXT = (AnswerForm.TEXT,)
_BOX = (AnswerForm.BOX,)

_ALL = (
    TaskInfo(
        name="overall_counting",
        short="OC",
        level_1="Perception",
        level_2="Counting",
        level_3="Overall counting",
        category="Counting/Overall counting",
        forms=_ONE,
    ),
    TaskInfo(
        name="regional_counting",
        short="RC",
        level_1="Perception",
        level_2="Counting",
        level_3="Regional counting",
        category="Counting/Regional counting",
        forms=_ONE,
        is_regional=True,
    ),
    TaskInfo(
        name="overall_land_use",
        short="OLUC",
        level_1="Perception",
        level_2="Scene Classification",
        level_3="Overall land use classification",
        category="Land use classification/Overall Land use classification",
        forms=(AnswerForm.SEVERAL_OF,),
    ),
    TaskInfo(
        name="regional_land_use",
        short="RLUC",
        level_1="Perception",
        level_2="Scene Classification",
        level_3="Regional land use classification",
        category="Land use classification/Regional Land use classification",
        forms=_ONE,
        is_regional=True,
    ),
    TaskInfo(
        name="object_spatial_relationship",
        short="OSR",
        level_1="Perception",
        level_2="Object Spatial Relationship",
        level_3="Object spatial relationship",
        category="Object spatial relationship/Object spatial relationship",
        forms=_ONE,
    ),
    TaskInfo(
        name="object_classification",
        short="OCC",
        level_1="Perception",
        level_2="Object Properties",
        level_3="Object classification",
        category="Object properties/Object classification",
        forms=_ONE,
    ),
    TaskInfo(
        name="object_colour",
        short="OCL",
        level_1="Perception",
        level_2="Object Properties",
        level_3="Object color",
        category="Object properties/Object color",
        forms=_ONE,
    ),
    TaskInfo(
        name="object_motion_state",
        short="OMS",
        level_1="Perception",
        level_2="Object Properties",
        level_3="Object motion state",
        category="Object properties/Object motion state",
        forms=_YES_NO,
    ),
    TaskInfo(
        name="detailed_captioning",
        short="DIC",
        level_1="Perception",
        level_2="Image Captioning",
        level_3="Detailed image captioning",
        category="Image captioning/Detailed Image Captioning",
        forms=_TEXT,
    ),
    TaskInfo(
        name="fine_grained_grounding",
        short="FVG",
        level_1="Perception",
        level_2="Visual Grounding",
        level_3="Fine-grained visual grounding",
        category="Visual grounding/Fine-grained Visual Grounding",
        forms=_BOX,
    ),
    TaskInfo(
        name="route_planning",
        short="RP",
        level_1="Reasoning",
        level_2="Planning",
        level_3="Route planning",
        category="Complex reasoning/Route planning",
        forms=_ONE,
    ),
    TaskInfo(
        name="anomaly_detection",
        short="AD",
        level_1="Reasoning",
        level_2="Anomaly Reasoning",
        level_3="Anomaly detection and interpretation",
        category="Complex reasoning/Anomaly Detection and Interpretation",
        forms=(AnswerForm.ONE_OF, AnswerForm.YES_NO),
    ),
    TaskInfo(
        name="environmental_reasoning",
        short="ECR",
        level_1="Reasoning",
        level_2="Complex Reasoning",
        level_3="Environmental condition reasoning",
        category="Complex reasoning/Environmental condition reasoning",
        forms=_ONE,
    ),
    TaskInfo(
        name="conditional_counting",
        short="CCR",
        level_1="Reasoning",
        level_2="Complex Reasoning",
        level_3="Counting with complex reasoning",
        category="Counting/Counting with complex reasoning",
        forms=_ONE,
    ),
    TaskInfo(
        name="change_counting",
        short="RCCD",
        level_1="Reasoning",
        level_2="Spatiotemporal Reasoning",
        level_3="Regional counting with change detection",
        category="Counting/Counting with changing detection",
        forms=_ONE,
        is_regional=True,
        num_dates=2,
    ),
    TaskInfo(
        name="condition_based_grounding",
        short="CVG",
        level_1="Reasoning",
        level_2="Visual Grounding",
        level_3="Condition-based visual grounding",
        category="Visual grounding/Condition-based Visual Grounding",
        forms=_BOX,
    ),
    TaskInfo(
        name="regional_captioning",
        short="RIC",
        level_1="Perception",
        level_2="Image Captioning",
        level_3="Regional image captioning",
        category="Image captioning/Regional Image Captioning",
        forms=_TEXT,
        is_regional=True,
        is_own=True,
    ),
    TaskInfo(
        name="land_use_change",
        short="LUC",
        level_1="Reasoning",
        level_2="Spatiotemporal Reasoning",
        level_3="Land use change",
        category="Land use classification/Land use change",
        forms=_ONE,
        is_regional=True,
        num_dates=2,
        is_own=True,
    ),
    TaskInfo(
        name="object_presence",
        short="OP",
        level_1="Perception",
        level_2="Object Properties",
        level_3="Object presence",
        category="Object properties/Object presence",
        forms=_YES_NO,
        is_own=True,
    ),
    TaskInfo(
        name="object_orientation",
        short="OOR",
        level_1="Perception",
        level_2="Object Properties",
        level_3="Object orientation",
        category="Object properties/Object orientation",
        forms=_ONE,
        is_own=True,
    ),
    TaskInfo(
        name="object_size",
        short="OS",
        level_1="Perception",
        level_2="Object Properties",
        level_3="Object size",
        category="Object properties/Object size",
        forms=_ONE,
        is_own=True,
    ),
    TaskInfo(
        name="object_distance",
        short="OD",
        level_1="Perception",
        level_2="Object Spatial Relationship",
        level_3="Object distance",
        category="Object spatial relationship/Object distance",
        forms=_ONE,
        is_own=True,
    ),
)


class UnknownTaskError(RsvqaError, KeyError):
    """A task that is not known here: of a package that is not installed, or of a later release."""

    __str__ = Exception.__str__  # that of KeyError would quote the line


class _Taxonomy(Mapping[str, TaskInfo]):
    """Our tasks, then those of installed packages, which are imported when a task is first looked up."""

    def __init__(self, ours: Iterable[TaskInfo]) -> None:
        self._ours = {task.name: task for task in ours}
        self._all: Mapping[str, TaskInfo] | None = None
        self._lock = RLock()
        self._is_loading = False

    def __getitem__(self, name: str) -> TaskInfo:
        try:
            return self._known()[name]
        except KeyError as error:
            raise UnknownTaskError(
                f"the task {name!r} is not known here: it is of a package that is not installed, or of a later release"
            ) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def _known(self) -> Mapping[str, TaskInfo]:
        if self._all is not None:
            return self._all
        with self._lock:
            if self._is_loading:  # a package that is being imported imports modules of ours, which look for our tasks
                return self._ours
            self._is_loading = True
            try:
                self._all = {**self._ours, **_tasks_of_packages(self._ours)}
            finally:
                self._is_loading = False
        return self._all


def _fault_of(info: TaskInfo) -> str | None:
    """Return what is wrong with an entry of another package: it is stored in data and read back from them."""
    if not info.is_own:
        return "info.is_own must be true: it is no task of XLRS-Bench"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", info.name):
        return "info.name: expected small letters, digits and '_'"
    if not re.fullmatch(r"[A-Za-z]+", str(info.short)):
        return f"info.short = {info.short!r}: expected letters, a number stands behind them in the ids of questions"
    if info.level_1 not in get_args(Level1):
        return f"info.level_1 = {info.level_1!r}: expected {' or '.join(get_args(Level1))}"
    if not (info.level_2 and info.level_3):
        return "info.level_2 and info.level_3: expected what pages call the group and the task"
    if not re.fullmatch(r"[^/]*[^/\s][^/]*/[^/]*[^/\s][^/]*", str(info.category)):
        return f"info.category = {info.category!r}: expected GROUP/TASK"
    if (
        not isinstance(info.forms, tuple)
        or not info.forms
        or not all(isinstance(one, AnswerForm) for one in info.forms)
    ):
        return f"info.forms = {info.forms!r}: expected a tuple of AnswerForm"
    if info.num_dates not in (1, 2):
        return f"info.num_dates = {info.num_dates!r}: expected 1 or 2"
    return None


def _fault_beside(plugin: Any) -> str | None:  # noqa: ANN401  whatever another package brings
    """Return what is wrong with the rest of a `TaskPlugin`."""
    if not callable(plugin.ask):
        return f"ask = {plugin.ask!r}: expected a task function"
    if not isinstance(plugin.wording, Mapping):
        return f"wording = {plugin.wording!r}: expected phrases by language"
    for check in plugin.checks:
        if not (isinstance(check, tuple) and len(check) == 2 and isinstance(check[0], str) and callable(check[1])):
            return f"checks: expected pairs of a reason and a function of a question, found {check!r}"
    return None


def _tasks_of_packages(ours: Mapping[str, TaskInfo]) -> dict[str, TaskInfo]:
    """Return the tasks that installed packages bring, by name, sorted.

    Raises:
        PluginError: one cannot be imported, or has a name that is taken.
    """
    from rsvqa.annotation.plugins import PluginError, load_plugins, package_of  # here: most runs know no package

    known = dict(ours)
    for name, plugin in load_plugins("task").items():
        info = plugin.info
        where = f"task {name!r} of {package_of('task', name)}"
        if not isinstance(info, TaskInfo) or info.name != name:
            raise PluginError(f"{where}: expected a TaskPlugin whose info.name is {name!r}")
        if fault := _fault_of(info) or _fault_beside(plugin):
            raise PluginError(f"{where}: {fault}")
        if taken := next((one for one in known.values() if {one.name, one.short} & {name, info.short}), None):
            raise PluginError(f"{where}: its name or short name {info.short!r} is that of the task {taken.name!r}")
        if taken := next((one for one in known.values() if one.category == info.category), None):
            raise PluginError(f"{where}: its category {info.category!r} is that of the task {taken.name!r}")
        known[name] = info
    return {name: info for name, info in known.items() if name not in ours}


TASKS: Mapping[str, TaskInfo] = _Taxonomy(_ALL)
"""Every task by its name, in the order of the taxonomy. Names are stored in data: they never change."""
