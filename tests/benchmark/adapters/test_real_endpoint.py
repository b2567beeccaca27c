"""A real OpenAI-compatible server, `transformers serve`, gives the replies of the same checkpoint loaded here."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rsvqa.benchmark.adapters.open_model import open_model
from rsvqa.benchmark.models import Reply
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark.conftest import CheckpointMaker
from tests.benchmark.make_prompts import make_group, make_image

START_UP_S = 90


@pytest.fixture
def base_url(checkpoint: CheckpointMaker, tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("openai")
    from transformers.utils.import_utils import is_serve_available

    if not is_serve_available():
        pytest.skip("transformers serve needs fastapi and uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(Path(sys.executable).with_name("transformers"))
    command = [program, "serve", str(checkpoint("llava")), "--device", "cpu"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    with (tmp_path / "serve.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], env=environment, stdout=log, stderr=log
        )
    try:
        wait_for(port, server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(timeout=20)


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(START_UP_S * 5):
        assert server.poll() is None, "the server ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"no server after {START_UP_S} s")


def replies_of(settings: BenchSettings) -> dict[str, Any]:
    groups = [make_group([make_image(1)], name="a"), make_group([make_image(2), make_image(3)], name="b")]
    return {reply.key: reply for reply in open_model(settings, []).reply(groups)}


@pytest.mark.slow
def test_a_real_server_gives_the_same_replies(checkpoint: CheckpointMaker, base_url: str) -> None:
    folder = str(checkpoint("llava"))
    served = replies_of(BenchSettings(model=f"openai:{folder}", base_url=base_url, concurrency=2))
    loaded = replies_of(BenchSettings(model=folder, device="cpu"))
    assert len({reply.text for reply in loaded.values()}) >= 6  # of 8
    for key, reply in loaded.items():
        assert isinstance(served[key], Reply), served[key]
        assert (served[key].text, served[key].ended) == (reply.text, reply.ended)
        assert served[key].num_prompt_tokens == reply.num_prompt_tokens
