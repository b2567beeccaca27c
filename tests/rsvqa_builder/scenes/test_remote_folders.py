"""Folders of object stores, from a store on the loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rsvqa.rsvqa_builder.scenes.scene_files import SourceError, find_scenes

KEYS = ("in/a.tif", "in/deep/b.tif", "in/deep/b_mask.tif", "in/.hidden/c.tif", "in/readme.txt", "other/d.tif")


class Store(BaseHTTPRequestHandler):
    """Answers ListObjectsV2 of one bucket, "bucket"; every other bucket is forbidden."""

    def do_GET(self) -> None:
        """Answer with the keys of the bucket below "in/"."""
        is_ours = self.path.startswith("/bucket?")
        entries = "".join(
            f"<Contents><Key>{key}</Key><Size>1</Size><LastModified>2020-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in KEYS
            if key.startswith("in/")
        )
        listing = f"<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
        denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        body = ('<?xml version="1.0"?>' + (listing if is_ours else denied)).encode()
        self.send_response(200 if is_ours else 403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    at_store(monkeypatch, server.server_address[1])
    yield
    server.shutdown()
    server.server_close()
    thread.join()


def at_store(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    settings = {"AWS_S3_ENDPOINT": f"127.0.0.1:{port}", "AWS_HTTPS": "NO", "AWS_NO_SIGN_REQUEST": "YES"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("store")
def test_a_folder_of_a_bucket_is_listed() -> None:
    found = find_scenes("s3://bucket/in/", is_label=lambda name, _: name.endswith("_mask.tif"))
    assert [(file.scene_id, file.path) for file in found.candidates] == [
        ("a", "/vsis3/bucket/in/a.tif"),
        ("deep/b", "/vsis3/bucket/in/deep/b.tif"),
    ]
    assert "below s3://bucket/in/, which has 5 files" in found.searched


@pytest.mark.usefixtures("store")
def test_keys_that_are_no_paths_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = ("in/a b#%20ü?.tif", "in/", "in/marker/", "in/deep//c.tif", "in//d.tif", "in/up/../../e.tif")
    monkeypatch.setattr(f"{__name__}.KEYS", odd)
    found = find_scenes("s3://bucket/in/", is_label=lambda *_: False)
    assert [(file.scene_id, file.path) for file in found.candidates] == [
        ("a b#%20ü?", "/vsis3/bucket/in/a b#%20ü?.tif"),
    ]
    assert [path for path, _ in found.left_out] == ["/vsis3/bucket/in//d.tif", "/vsis3/bucket/in/deep//c.tif"]
    assert found.left_out[0].reason == "its key has an empty part (`//`), as no path has: copy it to another key"


@pytest.mark.usefixtures("store")
def test_a_bucket_that_refuses_is_one_line() -> None:
    with pytest.raises(SourceError, match=r"^`src` s3://private/in/: the folder cannot be listed: .*ACCESS_DENIED"):
        find_scenes("s3://private/in/", is_label=lambda *_: False)


@pytest.mark.timeout(30)  # with more tries of the library it takes minutes
def test_a_store_that_does_not_answer_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_store(monkeypatch, 9)  # nobody listens at the port "discard"
    with pytest.raises(SourceError, match="the folder cannot be listed: "):
        find_scenes("s3://bucket/in/", is_label=lambda *_: False)


@pytest.mark.timeout(60)  # with more tries of the libraries it takes minutes
@pytest.mark.parametrize("src", ["gs://bucket/in/", "az://box/in"])
def test_a_storage_of_others_that_does_not_answer_is_refused(src: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPL_GS_ENDPOINT", "http://127.0.0.1:9/")
    monkeypatch.setenv("GS_NO_SIGN_REQUEST", "YES")
    place = "AccountName=a;AccountKey=YQ==;BlobEndpoint=http://127.0.0.1:9/a"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", place)
    with pytest.raises(SourceError, match=r"the folder cannot be listed: [^\n]*Could(n't| not) connect to server$"):
        find_scenes(src, is_label=lambda *_: False)


@pytest.mark.parametrize(
    ("src", "name", "reason"),
    [
        ("gs://bucket/in/", "GS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS does; or give a text list"),
        ("az://box/in/", "AZURE_NO_SIGN_REQUEST", "no container without a key .*; give a text list"),
        ("az://box/in/", "OTHER", "AZURE_STORAGE_ACCOUNT does not say of which account it is"),
    ],
)
def test_keys_that_list_nothing_are_refused_at_once(
    src: str, name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT", "GS_NO_SIGN_REQUEST"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "YES")
    with pytest.raises(SourceError, match=f"^`src` {src}: the folder cannot be listed: .*{reason}"):
        find_scenes(src, is_label=lambda *_: False)


def test_folders_of_the_web_are_refused() -> None:
    with pytest.raises(SourceError, match=r"folders are listed on s3://, gs:// and az:// only; give a text list of"):
        find_scenes("https://host/scenes/", is_label=lambda *_: False)


@pytest.mark.parametrize("src", ["s3://", "S3://", "gs://", "az:///", "s3:///in/a.tif", "/vsigs/"])
def test_an_address_without_a_bucket_is_told_so(src: str) -> None:
    with pytest.raises(SourceError, match=f"^`src` {src}: it names no bucket"):
        find_scenes(src, is_label=lambda *_: False)


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_a_pattern_is_not_looked_for(scheme: str) -> None:
    with pytest.raises(SourceError, match="patterns are not looked for in a bucket"):
        find_scenes(f"{scheme}://bucket/in/*", is_label=lambda *_: False)


def test_an_address_of_a_raster_is_that_raster() -> None:
    for src in ("s3://bucket/a.tif", "gs://bucket/a.TIF", "https://host/image?id=3"):
        assert len(find_scenes(src, is_label=lambda *_: False).candidates) == 1
