"""What vLLM's engine is given and what comes back: by a stand-in of its interface, and slowly by vLLM itself."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from rsvqa.annotation.extras import MissingExtraError
from rsvqa.benchmark.adapters.checkpoints import load_front
from rsvqa.benchmark.adapters.open_model import open_model
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import Reply, Unanswered
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark import make_checkpoints
from tests.benchmark.conftest import CheckpointMaker
from tests.benchmark.make_prompts import make_group, make_image
from tests.scripted_endpoint import Body, ScriptedEndpoint


@dataclass(kw_only=True)
class SamplingParams:
    """Of the checkpoint's own settings, of which some hold in greedy decoding too."""

    temperature: float = 0.7
    top_p: float = 0.8
    top_k: int = 20
    min_p: float = 0.1
    repetition_penalty: float = 1.05
    max_tokens: int = 16


@dataclass
class Written:
    token_ids: tuple[int, ...]
    finish_reason: str


@dataclass
class Output:
    prompt_token_ids: list[int]
    outputs: list[Written]


@dataclass
class LLM:
    """Replies with the last two tokens of each prompt; refuses prompts that hold the token `refuses`."""

    arguments: dict[str, Any]
    refuses: int = -1
    calls: list[tuple[Sequence[dict[str, Any]], Sequence[SamplingParams]]] = field(default_factory=list)
    made: ClassVar[list[LLM]] = []

    def get_default_sampling_params(self) -> SamplingParams:
        return SamplingParams()

    def generate(
        self, requests: Sequence[dict[str, Any]], settings: Sequence[SamplingParams], *, use_tqdm: bool
    ) -> list[Output]:
        assert not use_tqdm
        self.calls.append((requests, settings))
        if any(self.refuses in request["prompt_token_ids"] for request in requests):
            raise ValueError("The prompt is too long\nand more")
        return [
            Output(request["prompt_token_ids"], [Written(tuple(request["prompt_token_ids"][-2:]), "stop")])
            for request in requests
        ]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[LLM]:
    """Stand for vLLM, and return the engines that are made."""
    module: Any = ModuleType("vllm")
    module.__spec__ = ModuleSpec("vllm", None)
    made: list[LLM] = []

    def make(**arguments: Any) -> LLM:
        if arguments.get("max_model_len") == 1:
            raise ValueError("1 validation error for ModelConfig\n  no room for a prompt\nTraceback")
        made.append(LLM(arguments))
        return made[-1]

    module.LLM = make
    monkeypatch.setitem(sys.modules, "vllm", module)
    return made


def settings_of(folder: Path, **more: Any) -> BenchSettings:
    return BenchSettings(model=f"vllm:{folder}", **more)


def test_prompts_are_those_of_the_checkpoint_that_transformers_loads(
    checkpoint: CheckpointMaker, engines: list[LLM]
) -> None:
    folder = checkpoint("llava")
    image = make_image(1)
    group = make_group([image], ["Why?", "Who?"], max_new_tokens=64)
    model = open_model(settings_of(folder, system="Be brief."), [])
    replies = {one.key: one for one in model.reply([group])}
    loaded = open_model(BenchSettings(model=str(folder), device="cpu", system="Be brief."), [])
    tokenizer = loaded.checkpoint.processor.tokenizer  # type: ignore[attr-defined]
    ((requests, sampling),) = engines[0].calls
    text = tokenizer.decode(requests[0]["prompt_token_ids"])
    assert text.count("<image>") == 1
    assert text.index("Be brief.") < text.index("<image>") < text.index("Why?")
    assert (requests[0]["multi_modal_data"]["image"][0].width, len(requests)) == (image.rgb.shape[1], 2)
    # greedy, with the penalty that the checkpoint's own settings hold, as transformers applies it
    assert sampling[0] == SamplingParams(
        temperature=0.0, top_p=1.0, top_k=0, min_p=0.0, repetition_penalty=1.05, max_tokens=64
    )
    reply = replies["g-0"]
    assert isinstance(reply, Reply)
    assert (reply.ended, reply.num_new_tokens, reply.num_visual_tokens) == (True, 2, 1)
    assert reply.num_prompt_tokens == len(requests[0]["prompt_token_ids"])
    assert model.name == folder.name
    assert model.box_convention == loaded.box_convention
    ours, theirs = dict(model.describe()), dict(loaded.describe())
    assert {name for name in ours if ours[name] != theirs.get(name)} == {"adapter", "model", "engine_args"}


def rendered_by_a_server(body: Body, processor: Any) -> list[int]:
    """Return the token ids that vLLM's server makes of a request: its messages by the checkpoint's template."""
    messages = [
        {
            "role": message["role"],
            "content": [
                {"type": "image"} if part["type"] == "image_url" else part
                for part in (
                    [{"type": "text", "text": message["content"]}]  # as the server turns a text into
                    if isinstance(message["content"], str)
                    else message["content"]
                )
            ],
        }
        for message in body["messages"]
    ]
    arguments = body.get("chat_template_kwargs", {})
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **arguments)
    begins = processor.tokenizer.bos_token
    is_begun = bool(begins and text.startswith(begins))
    return list(processor.tokenizer(text, add_special_tokens=not is_begun)["input_ids"])


@pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="the openai package is missing")
@pytest.mark.parametrize("kind", ["llava", "qwen2_vl"])
@pytest.mark.parametrize("num_images", [0, 1, 2])
def test_prompts_over_a_server_are_those_of_the_engine_in_this_process(
    checkpoint: CheckpointMaker, engines: list[LLM], kind: str, num_images: int
) -> None:
    folder = checkpoint(kind)
    told: dict[str, Any] = {"system": "Be brief.", "template_args": '{"enable_thinking": false}'}
    group = make_group([make_image(seed) for seed in range(num_images)], ["Which? é 中\n(A) x ", "Who?"])
    list(open_model(settings_of(folder, **told), []).reply([group]))
    ((requests, _),) = engines[0].calls
    with ScriptedEndpoint() as server:
        endpoint = BenchSettings(model=f"openai:{folder}", base_url=server.base_url, concurrency=1, **told)
        list(open_model(endpoint, []).reply([group]))
    processor = load_front(str(folder), trust_remote_code=False).processor
    over_server = [rendered_by_a_server(body, processor) for body in server.bodies]
    assert over_server == [request["prompt_token_ids"] for request in requests]
    assert all(body["chat_template_kwargs"] == {"enable_thinking": False} for body in server.bodies)


def test_the_engine_gets_what_the_settings_say(checkpoint: CheckpointMaker, engines: list[LLM]) -> None:
    folder = checkpoint("llava")
    open_model(settings_of(folder, engine_args='{"tensor_parallel_size": 2}', look="zoom", max_calls=3), [])
    assert engines[0].arguments == {
        "model": str(folder),
        "trust_remote_code": False,
        "dtype": "float32",  # as the weights are stored; left alone, vLLM makes 16 bits of 32
        "enable_prefix_caching": True,
        "limit_mm_per_prompt": {"image": 3},  # the whole and two parts
        "tensor_parallel_size": 2,
    }


def test_prompts_go_in_lots_and_one_that_is_refused_costs_no_other(
    checkpoint: CheckpointMaker, engines: list[LLM]
) -> None:
    model = open_model(settings_of(checkpoint("llava"), concurrency=3), [])
    groups = [make_group([make_image(number)], ["Why?", "Zoo"], name=f"g{number}") for number in range(2)]
    (z,) = model._front.processor.tokenizer("Z", add_special_tokens=False)["input_ids"]  # type: ignore[attr-defined]
    engines[0].refuses = z
    results = {one.key: one for one in model.reply(groups)}
    assert [len(requests) for requests, _ in engines[0].calls] == [3, 1, 1, 1, 1]
    assert {key for key, one in results.items() if isinstance(one, Unanswered)} == {"g0-1", "g1-1"}
    refused = results["g0-1"]
    assert isinstance(refused, Unanswered)
    assert refused.reason == "it was refused: The prompt is too long"


def test_boxes_are_rewritten_to_what_the_model_sees(checkpoint: CheckpointMaker, engines: list[LLM]) -> None:
    folder = checkpoint("qwen2_5_vl")
    image = make_image(1)
    height, width, _ = image.rgb.shape
    question = f"Image resolution: {width} x {height}. Bounding box: [0, 0, {width}, {height}]. What is it?"
    (ours,) = open_model(settings_of(folder), []).reply([make_group([image], [question])])
    (theirs,) = open_model(BenchSettings(model=str(folder), device="cpu"), []).reply([make_group([image], [question])])
    assert isinstance(ours, Reply)
    assert isinstance(theirs, Reply)
    assert ours.sent is not None
    assert (ours.sent, ours.views, ours.box_convention) == (theirs.sent, theirs.views, "view_pixels")


def test_a_blind_model_gets_no_image(checkpoint: CheckpointMaker, engines: list[LLM]) -> None:
    model = open_model(BenchSettings(model=f"blind:vllm:{checkpoint('llava')}"), [])
    list(model.reply([make_group([], ["Why?"])]))
    ((request,), _) = engines[0].calls[0]
    assert request.keys() == {"prompt_token_ids"}


def test_no_groups_no_calls(checkpoint: CheckpointMaker, engines: list[LLM]) -> None:
    assert list(open_model(settings_of(checkpoint("llava")), []).reply([])) == []
    assert engines[0].calls == []


def test_what_the_engine_cannot_load_is_told_in_one_line(checkpoint: CheckpointMaker, engines: list[LLM]) -> None:
    settings = settings_of(checkpoint("llava"), engine_args='{"max_model_len": 1}')
    with pytest.raises(ModelError, match=r"^vLLM cannot load '.*llava': no room for a prompt; `engine_args` takes"):
        open_model(settings, [])


def test_without_vllm_it_is_said_how_to_install_it(
    checkpoint: CheckpointMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vLLM is installed")
    with pytest.raises(MissingExtraError, match=r"^`rsvqa bench` needs vllm.*: .* -m pip install \"vllm[<>=]"):
        open_model(settings_of(checkpoint("llava")), [])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "ckpt", "engine_args": "{}"}, "`engine_args` is for models named vllm:NAME"),
        ({"model": "vllm:ckpt", "engine_args": '{"dtype": "half"}'}, "`engine_args` must not hold dtype"),
        ({"model": "vllm:ckpt", "weight_bits": "4"}, "`weight_bits` is for checkpoints that are loaded here"),
        ({"model": "vllm:ckpt", "engine_args": "[]"}, "expected a JSON object"),
    ],
)
def test_settings_that_do_not_fit_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BenchSettings(**values)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_vllm_gives_the_replies_of_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed")
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    # heads as wide as vLLM's attention wants them
    monkeypatch.setattr(make_checkpoints, "WIDTH", 128)
    monkeypatch.setattr(make_checkpoints, "HEADS", 2)
    folder = make_checkpoints.make_llava(tmp_path / "llava")
    groups = [
        make_group([make_image(1)], name="a"),
        make_group([make_image(2), make_image(3)], name="b"),
        make_group([make_image(1)], ["Why?"], name="c"),
    ]
    loaded = {one.key: one for one in open_model(BenchSettings(model=str(folder), device="cpu"), []).reply(groups)}
    # vLLM's own LLaVA needs torchvision, which need not be there
    args = '{"enforce_eager": true, "max_model_len": 2048, "model_impl": "transformers"}'
    # a model that looks is shown two pictures per prompt
    engine = open_model(settings_of(folder, engine_args=args, look="fovea"), [])._model  # type: ignore[attr-defined]
    found = {one.key: one for one in engine.reply(groups)}
    assert len({one.text for one in loaded.values() if isinstance(one, Reply)}) >= 6
    assert found.keys() == loaded.keys()
    for key, reply in loaded.items():
        ours = found[key]
        assert isinstance(ours, Reply), ours
        assert isinstance(reply, Reply)
        assert (ours.text, ours.ended) == (reply.text, reply.ended)
        assert (ours.num_prompt_tokens, ours.num_visual_tokens) == (reply.num_prompt_tokens, reply.num_visual_tokens)
