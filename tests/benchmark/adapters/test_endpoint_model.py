"""What goes to an endpoint, what comes back, and what becomes of an endpoint that fails."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rsvqa.annotation.llm.client import ChatClient, ClientSettings, Endpoint
from rsvqa.benchmark.adapters.endpoint_model import LIMITS, EndpointModel, ImageLimits, encode_within
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import BenchImage, ModelView, PromptGroup, Reply, Unanswered
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark.make_prompts import make_group, make_image
from tests.scripted_endpoint import Action, Body, Script, ScriptedEndpoint, always, text_of

KEY = "sk-sentinel-7d1f"

needs_openai = pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="the openai package is missing")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def connect(server: ScriptedEndpoint, *, retries: int = 1, stop_after: int = 4, **settings: Any) -> EndpointModel:
    client_settings = ClientSettings(retries=retries, stop_after=stop_after, backoff_s=0.01, concurrency=2, timeout_s=5)
    values = {"model": "openai:tiny", "base_url": server.base_url} | settings
    return EndpointModel(ChatClient(Endpoint(server.base_url), client_settings), BenchSettings(**values))


def sent_images(body: Body) -> list[bytes]:
    parts = next(message["content"] for message in body["messages"] if message["role"] == "user")
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [base64.b64decode(url.split(",", 1)[1]) for url in urls]


@needs_openai
def test_a_request_holds_images_text_and_bounds() -> None:
    image, other = make_image(1), make_image(2)
    with ScriptedEndpoint(answer=lambda body: text_of(body)[::-1]) as server:
        model = connect(server, image_detail="high")
        (reply,) = model.reply([make_group([image, other], ["What is it?"], max_new_tokens=64)])
    assert isinstance(reply, Reply)
    assert (reply.key, reply.text, reply.ended) == ("g-0", "?ti si tahW", True)
    assert reply.box_convention == "0-1"
    assert reply.seconds > 0
    (body,) = server.bodies
    assert sent_images(body) == [image.encoded, other.encoded]
    assert body["model"] == "tiny"
    assert body["temperature"] == 0
    assert 64 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    details = [part["image_url"].get("detail") for part in body["messages"][-1]["content"] if "image_url" in part]
    assert details == ["high", "high"]
    assert text_of(body) == "What is it?"


@needs_openai
def test_a_blind_model_sends_no_image() -> None:
    with ScriptedEndpoint() as server:
        model = connect(server, model="blind:openai:tiny")
        (reply,) = model.reply([make_group([], ["What is it?"])])
    assert model.name == "blind:tiny"
    assert isinstance(reply, Reply)
    assert b"image_url" not in json.dumps(server.bodies[0]).encode()
    assert server.bodies[0]["model"] == "tiny"


@needs_openai
def test_a_reply_that_is_cut_off_says_so() -> None:
    with ScriptedEndpoint(always("cut_off", "The ship is")) as server:
        (reply,) = connect(server).reply([make_group([], ["Why?"])])
    assert isinstance(reply, Reply)
    assert not reply.ended


@needs_openai
def test_an_answer_that_is_sent_as_reasoning_is_an_empty_reply_that_was_not_cut() -> None:
    message = {"role": "assistant", "content": None, "reasoning_content": "The answer is B."}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {"completion_tokens": 7}}
    with ScriptedEndpoint(always("raw", json.dumps(body))) as server:
        (reply,) = connect(server).reply([make_group([], ["Why?"])])
    assert isinstance(reply, Reply)
    assert (reply.text, reply.ended, reply.num_new_tokens) == ("", True, 7)


def refuse_some(body: Body, _earlier: int) -> Action:
    return Action("400", text="image too large") if "large" in text_of(body) else Action()


@needs_openai
def test_a_refused_request_stays_unanswered_and_the_others_are_asked() -> None:
    with ScriptedEndpoint(refuse_some) as server:
        results = list(connect(server).reply([make_group([], ["Why?", "How large?", "Who?"])]))
    by_key = {result.key: result for result in results}
    refused = by_key.pop("g-1")
    assert isinstance(refused, Unanswered)
    assert refused.reason.startswith("rejected: ")
    assert "image too large" in refused.reason
    assert all(isinstance(result, Reply) for result in by_key.values())


def down_after(num: int) -> Script:
    seen: list[int] = []

    def script(_body: Body, _earlier: int) -> Action:
        seen.append(1)
        return Action() if len(seen) <= num else Action("500")

    return script


@needs_openai
def test_an_endpoint_that_is_gone_ends_the_run_with_what_was_answered() -> None:
    groups = [make_group([], [f"Question {number}?"], name=f"q{number}") for number in range(40)]
    results: list[Reply | Unanswered] = []
    with ScriptedEndpoint(down_after(6)) as server, pytest.raises(ModelError, match=r"127\.0\.0\.1:\d+: ") as caught:
        results.extend(connect(server, retries=0).reply(groups))  # keeps what came before the error
    assert sum(isinstance(result, Reply) for result in results) == 6
    assert len(results) < 40
    assert KEY not in str(caught.value)


@needs_openai
def test_an_endpoint_that_answers_none_of_a_few_questions_is_an_error() -> None:
    results: list[Reply | Unanswered] = []
    with ScriptedEndpoint(down_after(0)) as server, pytest.raises(ModelError, match="no question got a reply: no answ"):
        results.extend(connect(server, retries=0).reply([make_group([], ["Why?", "Who?"])]))
    assert sorted(result.key for result in results) == ["g-0", "g-1"]  # kept before the error


@needs_openai
def test_images_are_pulled_when_there_is_room() -> None:
    pulled = []

    def groups() -> Iterator[PromptGroup]:
        for number in range(20):
            pulled.append(number)
            yield make_group([], ["Why?"], name=f"q{number}")

    with ScriptedEndpoint() as server:
        replies = connect(server).reply(groups())
        next(replies)
        assert len(pulled) <= 3  # two in flight, and the one that takes the free place
        assert len(list(replies)) == 19


@needs_openai
def test_the_key_is_in_nothing_that_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    with ScriptedEndpoint(refuse_some) as server:
        model = connect(server)
        results = list(model.reply([make_group([], ["Why?", "How large?"])]))
        assert KEY in server.headers.get("Authorization", server.headers.get("authorization", ""))
    kept = repr((model, model.describe(), results)) + "".join(capfd.readouterr())
    assert KEY not in kept
    assert json.loads(json.dumps(model.describe())) == model.describe()


# --- image limits ---


def size_of(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


def test_a_file_within_the_limits_goes_as_it_is() -> None:
    image = make_image(1)
    assert encode_within(image, ImageLimits(90, len(image.encoded))) == (image.encoded, "image/png")


def test_the_longer_side_is_bounded() -> None:
    # 90 × 60 → 45 × 30
    data, media_type = encode_within(make_image(1), ImageLimits(45, 10**6))
    assert (size_of(data), media_type) == ((45, 30), "image/jpeg")


def test_the_area_is_bounded() -> None:
    # 90 × 60 = 5,400; a quarter of it is 45 × 30
    data, _ = encode_within(make_image(1), ImageLimits(None, 10**6), max_pixels=1350)
    assert size_of(data) == (45, 30)


def test_bytes_are_bounded_by_scaling_down() -> None:
    image = make_image(1, width=400, height=300)  # noise: JPEG makes it hardly smaller
    data, media_type = encode_within(image, ImageLimits(None, 60_000))
    width, height = size_of(data)
    assert media_type == "image/jpeg"
    assert len(data) <= 60_000
    assert width < 400
    assert abs(width / height - 4 / 3) < 0.02


def test_what_is_neither_jpeg_nor_png_is_encoded() -> None:
    image = make_image(1)
    file = io.BytesIO()
    Image.fromarray(image.rgb).save(file, "BMP")
    data, media_type = encode_within(BenchImage(image.rgb, file.getvalue(), "0"), ImageLimits(None, 10**6))
    assert (size_of(data), media_type) == ((90, 60), "image/jpeg")
    smooth = np.asarray(Image.open(io.BytesIO(data)), dtype=np.int64)
    assert smooth.shape == (60, 90, 3)


def test_limits_follow_the_host() -> None:
    def limits(base_url: str) -> object:
        settings = BenchSettings(model="openai:x", base_url=base_url)
        described = EndpointModel(ChatClient(Endpoint(base_url)), settings).describe()
        return described["max_side"], described["max_bytes"]

    assert limits("https://api.openai.com/v1") == (2_048, 20_000_000)
    assert limits("http://127.0.0.1:8000/v1") == (None, 50_000_000)
    # base64 makes 4 bytes of 3: 5 MB hold 3.75
    assert LIMITS["api.anthropic.com"].max_bytes * 4 / 3 == 5_000_000


# --- odd answers ---


def completion(message: Body, finish: str = "stop") -> str:
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}]})


@needs_openai
@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "upstream is on fire", "code": 502}},
        {"error": "upstream is on fire"},
        {"object": "error", "message": "upstream is on fire", "code": 400},
        {"error": {"message": "upstream is on fire \ud800", "code": 403}, "choices": []},
        {"choices": [{"error": {"message": "upstream is on fire", "code": 502}, "message": {"content": ""}}]},
        {"choices": [{"error": "upstream is on fire", "finish_reason": "error", "message": {"content": "Th"}}]},
    ],
)
def test_an_error_with_status_200_is_told_in_its_own_words(body: Body) -> None:
    script = {"Why?": Action("raw", json.dumps(body))}
    with ScriptedEndpoint(lambda sent, _: script.get(text_of(sent), Action())) as server:
        results = {one.key: one for one in connect(server).reply([make_group([], ["Why?", "Who?"])])}
    assert isinstance(results["g-1"], Reply)
    failed = results["g-0"]
    assert isinstance(failed, Unanswered)
    assert "an error with status 200: upstream is on fire" in failed.reason
    assert failed.reason.encode()


@needs_openai
@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": [{"type": "text", "text": "The "}, {"type": "text", "text": "ship"}]}, "The ship"),
        ({"content": [{"type": "thinking", "thinking": "B?"}, {"type": "text", "text": "A"}]}, "A"),
        ({"content": []}, ""),
        ({"content": "A \ud83d B"}, "A \ufffd B"),  # half of a character
        ({"content": "A \ud83d\ude00"}, "A \U0001f600"),  # a whole one, in two halves
    ],
)
def test_content_of_any_shape_becomes_text(message: Body, text: str) -> None:
    with ScriptedEndpoint(always("raw", completion(message))) as server:
        (reply,) = connect(server).reply([make_group([], ["Why?"])])
    assert isinstance(reply, Reply)
    assert (reply.text, reply.ended) == (text, True)


@needs_openai
@pytest.mark.parametrize("finish", ["error", "abort", "insufficient_system_resource", "network_error"])
def test_a_reply_that_the_server_broke_off_is_asked_for_again_and_never_scored(finish: str) -> None:
    def script(_body: Body, earlier: int) -> Action:
        return Action() if earlier else Action("raw", completion({"content": "A"}, finish))

    with ScriptedEndpoint(script, answer=lambda _: "B") as server:
        (reply,) = connect(server).reply([make_group([], ["Why?"])])
    assert isinstance(reply, Reply)
    assert reply.text == "B"


@needs_openai
@pytest.mark.parametrize("finish", ["length", "max_tokens", "model_length"])
def test_a_bound_has_several_names(finish: str) -> None:
    with ScriptedEndpoint(always("raw", completion({"content": "A"}, finish))) as server:
        (reply,) = connect(server).reply([make_group([], ["Why?"])])
    assert isinstance(reply, Reply)
    assert (reply.text, reply.ended) == ("A", False)


@needs_openai
def test_reasoning_that_took_all_tokens_is_an_empty_reply_that_did_not_end() -> None:
    body = completion({"content": None, "reasoning_content": "Let me see"}, "length")
    with ScriptedEndpoint(always("raw", body)) as server:
        (reply,) = connect(server).reply([make_group([], ["Why?"])])
    assert isinstance(reply, Reply)
    assert (reply.text, reply.ended) == ("", False)


def widest(body: Body) -> int:
    return max(size_of(data)[0] for data in sent_images(body))


@needs_openai
@pytest.mark.parametrize(
    "refusal",
    [
        Action("413"),
        Action("400", text="The image is too large"),
        Action("400", text="image size exceeds 4 MP"),
        Action("400", text="The prompt (length 9000) is longer than the maximum model length of 8192"),
        Action("500", text="The image is too large"),
        Action("raw", json.dumps({"error": {"message": "no", "code": "413"}})),
        Action("raw", json.dumps({"error": {"message": "The picture is too big"}})),
    ],
)
def test_images_that_the_endpoint_finds_too_large_are_sent_smaller(refusal: Action) -> None:
    # 800 px; each time 0.8 of that: 640, 512, 409
    image = make_image(1, width=800, height=400)
    with ScriptedEndpoint(lambda body, _: refusal if widest(body) > 500 else Action()) as server:
        model = connect(server, stop_after=3)
        questions = [f"Question {number}?" for number in range(6)]
        results = list(
            model.reply([make_group([image], questions), make_group([make_image(2)], ["Why?"], name="small")])
        )
    replies = {one.key: one for one in results if isinstance(one, Reply)}
    assert len(replies) == len(results) == 7
    assert replies["g-3"].views == (ModelView(width=409, height=204, scale_x=409 / 800, scale_y=204 / 400),)
    assert replies["small-0"].views == ()
    assert sorted({widest(body) for body in server.bodies}) == [90, 409, 512, 640, 800]


@needs_openai
def test_an_endpoint_that_takes_no_image_at_all_leaves_the_question_unanswered() -> None:
    with ScriptedEndpoint(always("413")) as server:
        (result,) = connect(server).reply([make_group([make_image(1, width=400, height=300)], ["Why?"])])
    assert isinstance(result, Unanswered)
    assert result.reason.startswith("too_large: ")
    assert [widest(body) for body in server.bodies] == [400, 320, 256]


@needs_openai
def test_more_of_a_request_may_be_stated() -> None:
    with ScriptedEndpoint() as server:
        model = connect(
            server, system="Be brief.", extra_body='{"top_k": 1}', template_args='{"enable_thinking": false}'
        )
        list(model.reply([make_group([], ["Why?"])]))
    (body,) = server.bodies
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["top_k"] == 1
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


@needs_openai
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<html>Log in</html>", "the reply is not JSON, it begins with '<html>Log in</html>'"),
        ('data: {"choices": []}', "the reply is not JSON, it begins with 'data: "),
        ("", "the reply is empty"),
        ('{"detail": "not authenticated"}', "it begins with .*'detail': 'not authenticated'"),
        ("[" * 100_000, "maximum recursion depth"),
    ],
)
def test_what_an_endpoint_sends_instead_of_a_reply_is_told(body: str, message: str) -> None:
    with ScriptedEndpoint(script=always("raw", body)) as server, pytest.raises(ModelError, match=message):
        list(connect(server).reply([make_group([], ["Q"])]))
