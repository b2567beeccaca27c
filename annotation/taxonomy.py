"""The 22 tasks: names, levels, answer forms and the `category` strings that the data files carry.

Sixteen are the sub-tasks of XLRS-Bench (CVPR 2025, arXiv 2503.23771), with its `category` strings byte for byte.
The GeoLLaVA-8K paper (arXiv 2505.21375) counts 22 sub-tasks without naming the other six; those marked `own` are
this project's, chosen so that their answers follow from labels, two dates or the ground sampling distance.

What surprises: the first half of `category` is the benchmark's file grouping, not the level-2 name of its paper ("Route
planning" sits under "Complex reasoning").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

Level1 = Literal["Perception", "Reasoning"]


class AnswerForm(StrEnum):
    """What a right answer looks like."""

    ONE_OF = "one_of"
    SEVERAL_OF = "several_of"
    YES_NO = "yes_no"
    TEXT = "text"
    BOX = "box"


@dataclass(frozen=True, slots=True)
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
    def l2_category(self) -> str:
        """The `l2-category` string of the data files: the part of `category` before the slash."""
        return self.category.split("/")[0]


_ONE = (AnswerForm.ONE_OF,)
_YES_NO = (AnswerForm.YES_NO,)
_TEXT = (AnswerForm.TEXT,)
_BOX = (AnswerForm.BOX,)

_ALL = (
    TaskInfo("overall_counting", "OC", "Perception", "Counting", "Overall counting", "Counting/Overall counting", _ONE),
    TaskInfo(
        "regional_counting",
        "RC",
        "Perception",
        "Counting",
        "Regional counting",
        "Counting/Regional counting",
        _ONE,
        is_regional=True,
    ),
    TaskInfo(
        "overall_land_use",
        "OLUC",
        "Perception",
        "Scene Classification",
        "Overall land use classification",
        "Land use classification/Overall Land use classification",
        (AnswerForm.SEVERAL_OF,),
    ),
    TaskInfo(
        "regional_land_use",
        "RLUC",
        "Perception",
        "Scene Classification",
        "Regional land use classification",
        "Land use classification/Regional Land use classification",
        _ONE,
        is_regional=True,
    ),
    TaskInfo(
        "object_spatial_relationship",
        "OSR",
        "Perception",
        "Object Spatial Relationship",
        "Object spatial relationship",
        "Object spatial relationship/Object spatial relationship",
        _ONE,
    ),
    TaskInfo(
        "object_classification",
        "OCC",
        "Perception",
        "Object Properties",
        "Object classification",
        "Object properties/Object classification",
        _ONE,
    ),
    TaskInfo(
        "object_colour",
        "OCL",
        "Perception",
        "Object Properties",
        "Object color",
        "Object properties/Object color",
        _ONE,
    ),
    TaskInfo(
        "object_motion_state",
        "OMS",
        "Perception",
        "Object Properties",
        "Object motion state",
        "Object properties/Object motion state",
        _YES_NO,
    ),
    TaskInfo(
        "detailed_captioning",
        "DIC",
        "Perception",
        "Image Captioning",
        "Detailed image captioning",
        "Image captioning/Detailed Image Captioning",
        _TEXT,
    ),
    TaskInfo(
        "fine_grained_grounding",
        "FVG",
        "Perception",
        "Visual Grounding",
        "Fine-grained visual grounding",
        "Visual grounding/Fine-grained Visual Grounding",
        _BOX,
    ),
    TaskInfo(
        "route_planning",
        "RP",
        "Reasoning",
        "Planning",
        "Route planning",
        "Complex reasoning/Route planning",
        _ONE,
    ),
    TaskInfo(
        "anomaly_detection",
        "AD",
        "Reasoning",
        "Anomaly Reasoning",
        "Anomaly detection and interpretation",
        "Complex reasoning/Anomaly Detection and Interpretation",
        (AnswerForm.ONE_OF, AnswerForm.YES_NO),
    ),
    TaskInfo(
        "environmental_reasoning",
        "ECR",
        "Reasoning",
        "Complex Reasoning",
        "Environmental condition reasoning",
        "Complex reasoning/Environmental condition reasoning",
        _ONE,
    ),
    TaskInfo(
        "conditional_counting",
        "CCR",
        "Reasoning",
        "Complex Reasoning",
        "Counting with complex reasoning",
        "Counting/Counting with complex reasoning",
        _ONE,
    ),
    TaskInfo(
        "change_counting",
        "RCCD",
        "Reasoning",
        "Spatiotemporal Reasoning",
        "Regional counting with change detection",
        "Counting/Counting with changing detection",
        _ONE,
        is_regional=True,
        num_dates=2,
    ),
    TaskInfo(
        "condition_based_grounding",
        "CVG",
        "Reasoning",
        "Visual Grounding",
        "Condition-based visual grounding",
        "Visual grounding/Condition-based Visual Grounding",
        _BOX,
    ),
    TaskInfo(
        "regional_captioning",
        "RIC",
        "Perception",
        "Image Captioning",
        "Regional image captioning",
        "Image captioning/Regional Image Captioning",
        _TEXT,
        is_regional=True,
        is_own=True,
    ),
    TaskInfo(
        "land_use_change",
        "LUC",
        "Reasoning",
        "Spatiotemporal Reasoning",
        "Land use change",
        "Land use classification/Land use change",
        _ONE,
        is_regional=True,
        num_dates=2,
        is_own=True,
    ),
    TaskInfo(
        "object_presence",
        "OP",
        "Perception",
        "Object Properties",
        "Object presence",
        "Object properties/Object presence",
        _YES_NO,
        is_own=True,
    ),
    TaskInfo(
        "object_orientation",
        "OOR",
        "Perception",
        "Object Properties",
        "Object orientation",
        "Object properties/Object orientation",
        _ONE,
        is_own=True,
    ),
    TaskInfo(
        "object_size",
        "OS",
        "Perception",
        "Object Properties",
        "Object size",
        "Object properties/Object size",
        _ONE,
        is_own=True,
    ),
    TaskInfo(
        "object_distance",
        "OD",
        "Perception",
        "Object Spatial Relationship",
        "Object distance",
        "Object spatial relationship/Object distance",
        _ONE,
        is_own=True,
    ),
)

TASKS: Mapping[str, TaskInfo] = MappingProxyType({task.name: task for task in _ALL})
"""Every task by its name, in the order of the taxonomy. Names are stored in data: they never change."""
