"""From your own GeoTIFFs to a remote-sensing VQA data set, a model that reads 8K images, and a score.

    import rsvqa

    rsvqa.build(src="scenes/", out="superrs/")
    data = rsvqa.read("superrs/")

The functions are those of the commands, see docs/python-api.md. The root of the repository is this package: its folders
are `rsvqa.annotation`, `rsvqa.rsvqa_builder`, `rsvqa.model` and `rsvqa.benchmark`, and `rsvqa.cli` is the command line.
Importing it imports nothing else; a name is looked up when it is used.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # as in typing, whose import would take longer than all of this
if TYPE_CHECKING:
    from rsvqa.annotation.errors import RsvqaError as RsvqaError
    from rsvqa.api import annotate as annotate
    from rsvqa.api import ask as ask
    from rsvqa.api import audit as audit
    from rsvqa.api import bench as bench
    from rsvqa.api import build as build
    from rsvqa.api import compare as compare
    from rsvqa.api import estimate as estimate
    from rsvqa.api import export as export
    from rsvqa.api import labels as labels
    from rsvqa.api import push as push
    from rsvqa.api import read as read
    from rsvqa.api import select as select
    from rsvqa.api import train as train
    from rsvqa.benchmark.settings import AskModelSettings as AskModelSettings
    from rsvqa.benchmark.settings import BenchSettings as BenchSettings
    from rsvqa.model.selecting.settings import SelectionSettings as SelectionSettings
    from rsvqa.model.training_settings import TrainingSettings as TrainingSettings
    from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings as AnnotateSettings
    from rsvqa.rsvqa_builder.annotating.settings import JobSettings as JobSettings
    from rsvqa.rsvqa_builder.auditing.settings import AuditSettings as AuditSettings
    from rsvqa.rsvqa_builder.execution_settings import ExecutionSettings as ExecutionSettings
    from rsvqa.rsvqa_builder.settings import BuildSettings as BuildSettings

_PLACES = {
    **dict.fromkeys(
        (
            *("build", "read", "labels", "audit", "annotate", "select", "train", "bench", "ask", "compare"),
            *("estimate", "export", "push"),
        ),
        "rsvqa.api",
    ),
    "RsvqaError": "rsvqa.annotation.errors",
    "AskModelSettings": "rsvqa.benchmark.settings",
    "BenchSettings": "rsvqa.benchmark.settings",
    "SelectionSettings": "rsvqa.model.selecting.settings",
    "TrainingSettings": "rsvqa.model.training_settings",
    "AnnotateSettings": "rsvqa.rsvqa_builder.annotating.settings",
    "JobSettings": "rsvqa.rsvqa_builder.annotating.settings",
    "AuditSettings": "rsvqa.rsvqa_builder.auditing.settings",
    "ExecutionSettings": "rsvqa.rsvqa_builder.execution_settings",
    "BuildSettings": "rsvqa.rsvqa_builder.settings",
}
"""The module of each public name."""

__all__ = ["__version__", *_PLACES]


if not TYPE_CHECKING:  # a type checker would take every misspelt name for one that is there

    def __getattr__(name: str) -> object:
        """Return a public name, whose module is imported now."""
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        globals()[name] = found = getattr(import_module(_PLACES[name]), name)
        return found


def __dir__() -> list[str]:
    """Return what completion offers."""
    return sorted({*globals(), *__all__})
