"""Replies on disk: each at once, torn ends cut off, one run at a time, merged in the order of the data."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.files.reply_store import ReplyKey, RunReplies, key_of, read_replies
from rsvqa.benchmark.files.run_record import SAMPLES_FILE
from rsvqa.benchmark.files.stored_replies import StoredReply


def make_reply(sample_id: str, **changes: Any) -> StoredReply:
    fields: dict[str, Any] = {
        "fingerprint": "f",
        "sample_id": sample_id,
        "task": "object_colour",
        "category": "c",
        "l2_category": "l",
        "language": "en",
        "form": AnswerForm.ONE_OF,
        "question": "q",
        "prompt": "p",
        "reply": "A\u2028über\n",
    }
    return StoredReply(**fields | changes)


def ids(run: Path) -> list[str]:
    return [reply.sample_id for reply in read_replies(run)]


def test_a_reply_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    with RunReplies(tmp_path) as store:
        store.append(make_reply("a"))
        assert read_replies(tmp_path) == [make_reply("a")]


@pytest.mark.parametrize("cut", [1, 5, 200])
def test_a_torn_last_line_is_cut_off_and_asked_again(tmp_path: Path, cut: int) -> None:
    with RunReplies(tmp_path) as store:
        store.append(make_reply("a"))
        whole = (tmp_path / SAMPLES_FILE).read_bytes()
        store.append(make_reply("b"))
    content = (tmp_path / SAMPLES_FILE).read_bytes()
    (tmp_path / SAMPLES_FILE).write_bytes(content[:-cut])
    assert ids(tmp_path) == ["a"]
    with RunReplies(tmp_path) as store:
        assert store.find(ReplyKey("b", 0), "f") is None
        store.append(make_reply("c"))
    assert (tmp_path / SAMPLES_FILE).read_bytes() == whole + make_reply("c").model_dump_json().encode() + b"\n"


def test_a_torn_line_of_many_blocks_is_cut_off(tmp_path: Path) -> None:
    with RunReplies(tmp_path) as store:
        store.append(make_reply("a"))
    with (tmp_path / SAMPLES_FILE).open("ab") as file:
        file.write(b"x" * 200_000)
    with RunReplies(tmp_path) as store:
        store.append(make_reply("b"))
    assert ids(tmp_path) == ["a", "b"]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    with RunReplies(tmp_path) as store:
        store.append(make_reply("a"))
    path = tmp_path / SAMPLES_FILE
    path.write_bytes(b'{"sample_id": 3}\n' + path.read_bytes())
    with pytest.raises(RunError, match=r"samples.jsonl line 1: fingerprint: Field required; remove the line"):
        read_replies(tmp_path)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    real = os.write

    def write_some(file: int, data: bytes | memoryview) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[: len(data) - 50])

    with RunReplies(tmp_path) as store:
        store.append(make_reply("a"))
        with mock.patch("os.write", write_some), pytest.raises(OSError, match="No space left"):
            store.append(make_reply("b"))
        store.append(make_reply("c"))
    assert ids(tmp_path) == ["a", "c"]


def test_only_a_reply_to_the_same_request_is_found(tmp_path: Path) -> None:
    with RunReplies(tmp_path) as store:
        store.append(make_reply("a"))
        store.append(make_reply("b", reply=None, failure="refused"))
        assert store.find(ReplyKey("a", 0), "f") == make_reply("a")
        assert store.find(ReplyKey("a", 1), "f") is None
        assert store.find(ReplyKey("b", 0), "f") is None  # failures are asked again
        with pytest.raises(RunError, match="a was answered about another prompt, answer or image"):
            store.find(ReplyKey("a", 0), "g")


def test_one_process_works_on_a_folder_at_a_time(tmp_path: Path) -> None:
    with (
        RunReplies(tmp_path),
        RunReplies(tmp_path, rank=1),
        pytest.raises(RunError, match=r"another process works on .*: wait for it, or choose another `out`"),
    ):
        RunReplies(tmp_path).__enter__()
    with RunReplies(tmp_path):
        pass


def test_merging_puts_all_files_into_the_order_of_the_data(tmp_path: Path) -> None:
    with RunReplies(tmp_path) as first:
        first.append(make_reply("c"))
        first.append(make_reply("d", reply=None, failure="refused"))
        with RunReplies(tmp_path, rank=1) as second:
            second.append(make_reply("d"))  # better than the failure
            second.append(make_reply("b", rotation=1))
            second.append(make_reply("b"))
        order = [ReplyKey("a", 0), ReplyKey("b", 0), ReplyKey("b", 1), ReplyKey("c", 0), ReplyKey("d", 0)]
        merged = first.merge(order)
        first.append(make_reply("e"))  # goes on after a merge
    assert [key_of(reply) for reply in merged] == order[1:]
    assert [key_of(reply) for reply in read_replies(tmp_path)] == [*order[1:], ReplyKey("e", 0)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [SAMPLES_FILE]


def test_what_killed_processes_left_goes_when_all_have_ended(tmp_path: Path) -> None:
    (tmp_path / "thumbnails").mkdir()
    (tmp_path / "thumbnails" / ".a.jpg.host-1-0123abcd.partial").write_bytes(b"half")
    (tmp_path / "thumbnails" / "b.jpg").write_bytes(b"whole")
    with RunReplies(tmp_path) as replies:
        replies.append(make_reply("a"))
        replies.merge([ReplyKey("a", 0)])
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["samples.jsonl", "thumbnails/b.jpg"]


def test_a_reply_goes_before_a_later_failure(tmp_path: Path) -> None:
    with RunReplies(tmp_path) as store:
        store.append(make_reply("a"))
        store.append(make_reply("a", reply=None, failure="image: gone"))
    assert read_replies(tmp_path) == [make_reply("a")]


def test_the_last_of_several_failures_stands(tmp_path: Path) -> None:
    with RunReplies(tmp_path) as store:
        store.append(make_reply("a", reply=None, failure="first"))
        store.append(make_reply("a", reply=None, failure="second"))
    assert [reply.failure for reply in read_replies(tmp_path)] == ["second"]
