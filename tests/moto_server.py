"""An object storage on loopback: moto's server, a program that may be installed apart (`pipx install moto[server]`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.storage_servers import free_port, server

BUCKET = "tests"


@contextmanager
def moto_bucket() -> Iterator[int]:
    """Run with an empty bucket `tests`, which the variables of AWS's tools and of GDAL lead to; skip without moto.

    Yields:
        The port at which the server answers.
    """
    port = free_port()
    with server(["moto_server", "-H", "127.0.0.1", "-p", str(port)], port), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_S3_ENDPOINT", f"127.0.0.1:{port}")
        patch.setenv("AWS_HTTPS", "NO")
        patch.setenv("AWS_VIRTUAL_HOSTING", "FALSE")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        _make_bucket(port)
        yield port


def _make_bucket(port: int) -> None:
    from pyarrow import fs

    endpoint = f"http://127.0.0.1:{port}"
    fs.S3FileSystem(endpoint_override=endpoint, region="us-east-1", allow_bucket_creation=True).create_dir(BUCKET)
