"""What `--model` means, and one clear line for whatever is wrong with it."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.extras import MissingExtraError
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.adapters.baselines import FakeModel, MajorityModel, RandomModel
from rsvqa.benchmark.adapters.endpoint_model import EndpointModel
from rsvqa.benchmark.adapters.open_model import open_model
from rsvqa.benchmark.adapters.transformers_model import TransformersModel
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark.conftest import CheckpointMaker
from tests.benchmark.make_checkpoints import set_in
from tests.benchmark.make_prompts import make_sample


def opened(model: str, **settings: Any) -> object:
    return open_model(BenchSettings(model=model, device="cpu", **settings), [make_sample()])


def test_each_kind_of_name_opens_its_kind_of_model(
    checkpoint: CheckpointMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    replies = tmp_path / "replies.jsonl"
    replies.write_text('{"key": "*", "reply": "A"}\n')
    assert isinstance(opened("random"), RandomModel)
    assert isinstance(opened("majority"), MajorityModel)
    assert isinstance(opened(f"fake:{replies}"), FakeModel)
    assert isinstance(opened("openai:gpt-x"), EndpointModel)
    assert isinstance(opened("blind:openai:gpt-x"), EndpointModel)
    assert isinstance(opened(str(checkpoint("llava"))), TransformersModel)
    assert isinstance(opened(f"blind:{checkpoint('llava')}"), TransformersModel)


@pytest.mark.parametrize("model", ["blind:random", "blind:fake:x", "blind:", "blind:blind:x"])
def test_blind_is_for_models_that_see(model: str) -> None:
    with pytest.raises(ModelError, match="blind: takes a checkpoint, vllm:NAME or openai:NAME"):
        opened(model)


def test_a_missing_folder_is_not_looked_for_on_the_hub(tmp_path: Path) -> None:
    for prefix in ("", "blind:", "vllm:"):
        with pytest.raises(ModelError, match=r"^there is no folder /.*/nowhere; name the folder of a checkpoint"):
            opened(f"{prefix}{tmp_path / 'nowhere'}")
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="is a file; name the folder of a checkpoint"):
        opened(str(tmp_path / "file"))


def test_a_hub_id_without_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        ModelError, match=r"'nobody/nothing' is neither a folder here nor .* \(no connection\)"
    ) as caught:
        opened("nobody/nothing")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("hf download nobody/nothing")


def test_without_network_the_cache_alone_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    import transformers

    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    was_offline: list[bool] = []

    def no_network(*_: object, **__: object) -> None:
        raise ConnectionError("name or service not known")

    def not_cached(*_: object, **__: object) -> None:
        was_offline.append(huggingface_hub.is_offline_mode())
        raise OSError("We couldn't connect to the hub")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", no_network)
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", not_cached)
    with pytest.raises(ModelError, match="no connection"):
        opened("nobody/nothing")
    assert was_offline == [True]  # else every file is tried for half a minute
    assert constants.HF_HUB_OFFLINE is False  # as it was


def broken(checkpoint: CheckpointMaker, tmp_path: Path, *missing: str, kind: str = "llava", **config: Any) -> str:
    folder = shutil.copytree(checkpoint(kind), tmp_path / "broken")
    for name in missing:
        (folder / name).unlink()
    if config:
        set_in(folder / "config.json", **config)
    return str(folder)


@pytest.mark.parametrize(
    ("missing", "match"),
    [
        (("config.json",), "has no config.json; expected a checkpoint as save_pretrained writes it"),
        (("model.safetensors",), "the weights of .* cannot be loaded: .*model.safetensors"),
        (("chat_template.jinja",), "has no chat template; expected chat_template.jinja beside config.json"),
        (("tokenizer.json",), "the processor of .* cannot be loaded: .*tokenizer"),
        (("processor_config.json",), "the processor of .* cannot be loaded: .*image processor"),
    ],
)
def test_a_missing_file_is_named(
    missing: tuple[str, ...], match: str, checkpoint: CheckpointMaker, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        opened(broken(checkpoint, tmp_path, *missing))
    assert "\n" not in str(caught.value)


def test_a_broken_configuration_is_not_looked_for_on_the_hub(checkpoint: CheckpointMaker, tmp_path: Path) -> None:
    folder = Path(broken(checkpoint, tmp_path))
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"the model '.*/broken' cannot be read: .*not a valid JSON file"):
        opened(str(folder))


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"model_type": "next_year"}, "of type 'next_year', which transformers .* does not know$"),
        ({"model_type": "llava_qwen"}, "'llava_qwen', which transformers .*; `rsvqa convert` makes it loadable$"),
        (
            {"model_type": "qwen2", "vocab_size": 8},
            "of type 'qwen2', for which transformers has no class that reads images",
        ),
        (
            {"model_type": "next_year", "auto_map": {"AutoConfig": "configuration_x.XConfig"}},
            "brings its own code; read it, then allow it with `trust_remote_code`$",
        ),
    ],
)
def test_a_type_that_cannot_be_loaded_is_named(
    config: dict[str, Any], match: str, checkpoint: CheckpointMaker, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        opened(broken(checkpoint, tmp_path, **config))
    assert "\n" not in str(caught.value)


def test_missing_weights_are_not_made_up(checkpoint: CheckpointMaker, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(broken(checkpoint, tmp_path))
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if name.endswith("q_proj.weight"))
    del weights[lost]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights of its own configuration, the first is \S+q_proj.weight"):
        opened(str(folder))


def test_a_cut_file_of_weights_is_one_line(checkpoint: CheckpointMaker, tmp_path: Path) -> None:
    folder = Path(broken(checkpoint, tmp_path))
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=r"the weights of .* cannot be loaded: ") as caught:
        opened(str(folder))
    assert "\n" not in str(caught.value)


def test_a_gpu_that_is_not_there_is_one_line(checkpoint: CheckpointMaker) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ModelError, match="cannot be put on device 'cuda'; `device` takes cpu") as caught:
        open_model(BenchSettings(model=str(checkpoint("llava")), device="cuda"), ())
    assert "\n" not in str(caught.value)


def test_a_wrong_device_is_one_line(checkpoint: CheckpointMaker) -> None:
    settings = BenchSettings(model=str(checkpoint("llava")), device="warp")
    with pytest.raises(ModelError, match=r"cannot be put on device 'warp'; `device` takes cpu, cuda, cuda:1, spread: "):
        open_model(settings, [])


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    def find(name: str) -> str:
        if name in packages:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("rsvqa.annotation.extras.version", find)


def test_a_missing_extra_gives_the_command_that_installs_it(
    checkpoint: CheckpointMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "torch", "openai")
    with pytest.raises(MissingExtraError, match=r'needs torch: .* install "torch>=2\.\d+,<3"$'):
        opened(str(checkpoint("llava")))
    with pytest.raises(MissingExtraError, match=r'needs openai: .* install "openai>=2,<\d"$'):
        opened("openai:gpt-x")


def test_openai_needs_a_name_and_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match=r"openai: needs the name of a model"):
        opened("openai:")
    with pytest.raises(ModelError, match=r"needs a key: set the environment variable OPENAI_API_KEY"):
        opened("openai:gpt-x")


def test_what_scores_captions_is_asked_for_before_any_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "nltk")
    caption = make_sample(form=AnswerForm.TEXT, options=(), answer="A harbour.")
    with pytest.raises(MissingExtraError, match=r'needs nltk: .* install "nltk>=3\.9\.1,<4"$'):
        open_model(BenchSettings(model="random"), [make_sample(), caption])
    assert isinstance(opened("random"), RandomModel)
