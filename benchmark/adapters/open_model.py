"""`model` → the model: a checkpoint, an endpoint, a baseline, stored replies, or a model that is shown no images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.extras import require_extra
from rsvqa.annotation.plugins import load_plugin, package_of, require_ours
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.adapters.baselines import FakeModel, MajorityModel, RandomModel
from rsvqa.benchmark.adapters.foreign_replies import ForeignReplies
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import BenchModel
from rsvqa.benchmark.samples import Sample
from rsvqa.benchmark.settings import BLIND, OPENAI, REPLIES, VLLM, BenchSettings
from rsvqa.rsvqa_builder.checkpoint_names import folder_fault

FAKE = "fake:"
RANDOM, MAJORITY = "random", "majority"
_BASELINES = (RANDOM, MAJORITY)
_OURS = (*_BASELINES, *(prefix.removesuffix(":") for prefix in (FAKE, OPENAI, REPLIES, VLLM)))


def open_model(settings: BenchSettings, samples: Sequence[Sample]) -> BenchModel:
    """Return the model that the settings name, ready to be asked, and made to look where they say so.

    A folder named like a baseline is meant with a slash: `./random`.

    Args:
        settings: of the run.
        samples: all that are asked; the baseline `majority` counts their answers.

    Raises:
        ModelError: it cannot be opened; the message says what is missing.
        PluginError: a package brings a model of a name of ours.
        MissingExtraError: packages of its kind of model are not installed, or those that score captions: better told
            now than when all are written.
    """
    if any(sample.form is AnswerForm.TEXT for sample in samples):
        require_extra("bench", "bench")
    model = _open(settings, samples)
    if settings.look == "none":
        return model
    from rsvqa.benchmark.adapters.looking import LookingModel  # with the encoder of tiles come GDAL and the tasks

    return LookingModel(model, settings)


def needs_samples(settings: BenchSettings) -> bool:
    """Return whether a model is made for the questions that it is asked, and serves no others."""
    return settings.model == MAJORITY or settings.model.startswith(REPLIES)


def _open(settings: BenchSettings, samples: Sequence[Sample]) -> BenchModel:
    name = settings.model.removeprefix(BLIND)
    if name != settings.model and (name in _BASELINES or name.startswith((FAKE, REPLIES, BLIND)) or not name):
        raise ModelError(
            f"{settings.model!r}: blind: takes a checkpoint, vllm:NAME or openai:NAME, whose images are left out"
        )
    if (kind := name.partition(":")[0]) in _OURS:
        require_ours("model", kind)
    if name == RANDOM:
        return RandomModel(settings.seed)
    if name == MAJORITY:
        return MajorityModel(samples)
    if name.startswith(FAKE):
        return FakeModel(Path(name.removeprefix(FAKE)), settings.box_units)
    if name.startswith(REPLIES):
        return ForeignReplies(Path(name.removeprefix(REPLIES)), samples, settings.box_units)
    if name.startswith(OPENAI):
        from rsvqa.benchmark.adapters.endpoint_model import open_endpoint_model

        return open_endpoint_model(settings)
    if settings.adapter is None and (fault := folder_fault(name.removeprefix(VLLM))):
        raise ModelError(fault)  # better now than when torch is imported
    if settings.is_vllm:
        from rsvqa.benchmark.adapters.vllm_model import open_vllm_model

        return open_vllm_model(settings, samples)
    if settings.adapter is not None:
        return _open_plugin(settings, settings.adapter)
    from rsvqa.benchmark.adapters.transformers_model import open_transformers_model

    return open_transformers_model(settings)


def _open_plugin(settings: BenchSettings, name: str) -> BenchModel:
    where = f"the model {name!r} of {package_of('model', name)}"
    try:
        model: BenchModel = load_plugin("model", name)(settings)
    except RsvqaError:
        raise
    except Exception as error:  # whatever somebody else's code may raise
        raise ModelError(f"{where} cannot be opened: {error!r}") from error
    if missing := [part for part in ("name", "box_convention", "describe", "reply") if not hasattr(model, part)]:
        raise ModelError(f"{where} opened {model!r}, which is no BenchModel: it has no {', '.join(missing)}")
    return model
