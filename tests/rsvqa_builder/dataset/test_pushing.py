"""A data set on the Hub: whole or not at all, seen by whom it shall be, and refused where it is not what was built."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from rsvqa.rsvqa_builder.dataset.output import seal
from rsvqa.rsvqa_builder.dataset.pushing import PushError, PushResult, push_dataset
from rsvqa.rsvqa_builder.files import OutputError
from tests.fake_hub import TOKEN, FakeHub, FakeRepo
from tests.run_build import RSVQA

constants = pytest.importorskip("huggingface_hub.constants", reason="huggingface_hub is not installed")
# of the library's own: its way by Git LFS calls its HTTP client in a manner that is deprecated there
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
SHARDS = tuple(f"data/train-{number:05d}-of-00003.parquet" for number in range(3))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    # Xet has a protocol of its own, which no fake speaks; the way by Git LFS is the library's other one
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with FakeHub() as served:
        yield served


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """Return a data set of three shards and a card, with things beside it that are not of it."""
    folder = tmp_path / "set"
    write_set(folder, dict(zip(SHARDS, (b"one", b"two", b"three"), strict=True)))
    (folder / ".rsvqa").mkdir()
    (folder / ".rsvqa" / "timings.json").write_text("{}")
    (folder / "review.sqlite").write_bytes(b"decisions")
    return folder


def write_set(folder: Path, shards: dict[str, bytes]) -> None:
    (folder / "data").mkdir(parents=True)
    for name, content in shards.items():
        (folder / name).write_bytes(content)
    (folder / "README.md").write_text("---\nlicense: other\n---\n# set\n")
    (folder / "build.toml").write_text(tomli_w.dumps({"digest": "0"}))
    seal(folder)


def push(src: Path, hub: FakeHub, *, private: bool = False, gated: bool = False) -> PushResult:
    return push_dataset(src, "org/name", private=private, gated=gated, endpoint=hub.endpoint)


def test_a_data_set_is_pushed_whole_and_nothing_that_lies_beside_it(
    src: Path, hub: FakeHub, capfd: pytest.CaptureFixture[str]
) -> None:
    result = push(src, hub)
    names = ["README.md", "build.toml", *SHARDS]
    expected = {name: (src / name).read_bytes() for name in names}
    assert hub.repos["org/name"].files == {**expected, ".gitattributes": b"*.parquet filter=lfs\n"}
    assert hub.repos["org/name"].num_commits == 2  # the first is the Hub's own
    num_bytes = sum(map(len, expected.values()))
    url = f"{hub.endpoint}/datasets/org/name"
    assert result == PushResult(url=url, commit=f"{2:040x}", num_files=5, num_bytes=num_bytes, num_removed=0)
    assert f"5 files, {num_bytes / 1e6:,.1f} MB: {url}" in result._repr_html_()
    assert capfd.readouterr() == ("", "")


def test_the_bill_of_models_is_pushed_too(src: Path, hub: FakeHub) -> None:
    (src / "annotate_report.json").write_text("{}")
    push(src, hub)
    assert hub.repos["org/name"].files["annotate_report.json"] == b"{}"


def test_a_push_that_dies_leaves_nothing_and_goes_on_where_it_was(src: Path, hub: FakeHub) -> None:
    hub.breaks_after = 1
    with pytest.raises(PushError, match="contents that have arrived are not sent again"):
        push(src, hub)
    repo = hub.repos["org/name"]
    assert (list(repo.files), repo.num_commits, len(hub.sent)) == ([".gitattributes"], 1, 1)
    hub.breaks_after = None
    push(src, hub)
    assert set(SHARDS) < set(repo.files)
    assert sorted(hub.sent) == sorted(hashlib.sha256(word).hexdigest() for word in (b"one", b"two", b"three"))


@pytest.mark.parametrize("name", ["README.md", "build.toml", "data/train-00000-of-00003.parquet"])
def test_a_file_that_changes_meanwhile_is_not_committed(
    src: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    answer = hub.answer

    def answer_late(method: str, path: str, body: bytes, *, token: str) -> tuple[int, Mapping[str, Any]]:
        if "/contents/" in path and hub.sent:  # it was read, and is not sent yet or was sent before
            (src / name).write_bytes((src / name).read_bytes() + b"\n")
        return answer(method, path, body, token=token)

    monkeypatch.setattr(hub, "answer", answer_late)
    with pytest.raises(PushError):
        push(src, hub)
    assert (list(hub.repos["org/name"].files), hub.repos["org/name"].num_commits) == ([".gitattributes"], 1)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, r"^the Hub at \S+ knows no org/name, or not for this token \(404, no\): see to the name and the token$"),
        (429, r"^the Hub at \S+ takes no more for now \(429, no\): wait some minutes, then repeat the command; "),
        (500, r"^the Hub at \S+ answered 500 \(no\) when org/name was pushed: repeat the command; "),
    ],
)
def test_what_the_hub_refuses_is_one_line(
    src: Path,
    hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    status: int,
    message: str,
) -> None:
    answer = hub.answer

    def refuse(method: str, path: str, body: bytes, *, token: str) -> tuple[int, Mapping[str, Any]]:
        return (status, {"error": "no"}) if "commit" in path else answer(method, path, body, token=token)

    monkeypatch.setattr(hub, "answer", refuse)
    with pytest.raises(PushError, match=message):
        push(src, hub)
    assert capfd.readouterr() == ("", "")


def test_a_newer_data_set_takes_the_place_of_the_older_one_in_one_commit(
    src: Path, hub: FakeHub, tmp_path: Path
) -> None:
    push(src, hub)
    repo = hub.repos["org/name"]
    repo.files["LICENSE"] = b"of the publisher"
    write_set(tmp_path / "newer", {"data/train-00000-of-00001.parquet": b"one"})
    sent = list(hub.sent)
    assert push(tmp_path / "newer", hub).num_removed == 3
    names = {".gitattributes", "LICENSE", "README.md", "build.toml", "data/train-00000-of-00001.parquet"}
    assert (set(repo.files), repo.num_commits) == (names, 3)
    assert hub.sent == sent  # the shard has another name and the same content


@pytest.mark.parametrize("is_there", [False, True])
def test_who_may_see_it_is_settled_before_anything_is_there(src: Path, hub: FakeHub, is_there: bool) -> None:
    if is_there:
        hub.repos["org/name"] = FakeRepo()
    push(src, hub, private=True, gated=True)
    assert hub.repos["org/name"].history == [("private", "manual")]
    paths = [path for _, path, _ in hub.log]
    assert paths.index("/api/datasets/org/name/settings") < paths.index("/api/datasets/org/name/preupload/main")


def test_a_new_push_does_not_open_what_was_closed(src: Path, hub: FakeHub) -> None:
    hub.repos["org/name"] = FakeRepo(visibility="private", gated="auto")
    push(src, hub)
    assert hub.repos["org/name"].history == [("private", "auto")]


def test_a_wrong_token_is_one_line_without_the_token(src: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_somebody-s-secret")
    (src / SHARDS[0]).write_bytes(b"the token is told before the files are read")
    with pytest.raises(PushError) as caught:
        push(src, hub)
    assert str(caught.value) == (
        f"the Hub at {hub.endpoint} does not know the token (401): set HF_TOKEN to a valid one, or run `hf auth login`"
    )
    assert hub.repos == {}


def test_no_token_is_one_line(src: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(PushError, match=r"^no token for the Hub: set HF_TOKEN, or run `hf auth login`$"):
        push(src, hub)


def test_a_token_that_may_not_write_is_one_line(src: Path, hub: FakeHub) -> None:
    hub.may_write = False
    with pytest.raises(PushError, match=r"the token may not write to org/name \(403, You don't have the rights"):
        push(src, hub)


def test_no_network_is_one_line(src: Path, hub: FakeHub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # nobody listens there from now on
    with pytest.raises(PushError, match=rf"^the Hub at http://127\.0\.0\.1:{port} cannot be reached \(.*$") as caught:
        push_dataset(src, "org/name", endpoint=f"http://127.0.0.1:{port}")
    assert "\n" not in str(caught.value)


def test_a_commit_of_somebody_else_meanwhile_is_not_built_upon(
    src: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["org/name"] = repo = FakeRepo()
    take = hub._take

    def take_and_commit(digest: str, body: bytes) -> tuple[int, dict[str, object]]:
        repo.num_commits = 7
        return take(digest, body)

    monkeypatch.setattr(hub, "_take", take_and_commit)
    with pytest.raises(PushError, match=r"org/name was changed by somebody else meanwhile \(412\)"):
        push(src, hub)
    assert list(repo.files) == [".gitattributes"]


@pytest.mark.parametrize("name", ["name", "a/b/c", "org/", "org/a b", "../x/y"])
def test_what_is_no_name_on_the_hub_is_refused(src: Path, name: str, hub: FakeHub) -> None:
    with pytest.raises(PushError, match="expected `org/name`"):
        push_dataset(src, name, endpoint=hub.endpoint)
    assert hub.log == []


def test_what_is_not_the_data_set_that_was_built_is_refused_before_a_repository_is_made(
    src: Path, hub: FakeHub
) -> None:
    (src / SHARDS[1]).write_bytes(b"owt")  # of the same size
    with pytest.raises(OutputError, match=r"train-00001-of-00003\.parquet is not the file that build\.toml tells of"):
        push(src, hub)
    (src / SHARDS[1]).unlink()
    with pytest.raises(OutputError, match=r"train-00001-of-00003\.parquet is missing, and build\.toml names it"):
        push(src, hub)
    (src / "build.toml").write_text(tomli_w.dumps({"files": {"../secret": {"bytes": 1, "sha256": "00"}}}))
    with pytest.raises(OutputError, match=r"build\.toml names \.\./secret, which no command of rsvqa writes"):
        push(src, hub)
    (src / "build.toml").write_text("digest = '0'\n")
    with pytest.raises(OutputError, match="does not say which files there are"):
        push(src, hub)
    (src / "build.toml").unlink()
    with pytest.raises(OutputError, match="is not finished: repeat the command that writes it"):
        push(src, hub)
    assert hub.repos == {}


def test_a_folder_without_a_data_set_is_refused(tmp_path: Path, hub: FakeHub) -> None:
    with pytest.raises(OutputError, match=r"holds no finished data set of rsvqa \(build\.toml is missing\)"):
        push(tmp_path, hub)


def test_the_command_takes_token_and_address_from_the_environment(src: Path, hub: FakeHub) -> None:
    words = [RSVQA, "push", str(src), "org/name", "--private", "--gated", "--json"]
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    run = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["url"] == f"{hub.endpoint}/datasets/org/name"
    assert hub.repos["org/name"].history == [("private", "manual")]
    assert TOKEN not in run.stdout + run.stderr
    offline = {**environment, "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(words, env=offline, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stdout) == (1, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"rsvqa: the Hub at {hub.endpoint} cannot be reached (OfflineModeIsEnabled: ")
