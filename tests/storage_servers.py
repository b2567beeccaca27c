"""Object storages of Google and Azure on loopback, by emulators that are programs of their own.

`pipx install gcp-storage-emulator` and `npm install --global azurite` bring them; tests that find none are skipped.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

CONTAINER = "tests"
_AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # public


@contextmanager
def google_bucket() -> Iterator[None]:
    """Run with an empty bucket `tests` at the place that the variables of Google's tools and of GDAL name."""
    port = free_port()
    words = ["gcp-storage-emulator", "start", "--host", "127.0.0.1", "--port", str(port), "--in-memory"]
    with server(words, port), pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        patch.setenv("CPL_GS_ENDPOINT", f"http://127.0.0.1:{port}/")
        patch.setenv("GS_NO_SIGN_REQUEST", "YES")
        from pyarrow import fs

        made = fs.GcsFileSystem(
            anonymous=True, scheme="http", endpoint_override=f"127.0.0.1:{port}", project_id="tests"
        )
        made.create_dir(CONTAINER)
        yield


@contextmanager
def azure_container(folder: Path) -> Iterator[None]:
    """Run with an empty container `tests` at the place that the variable of Azure's tools, and of GDAL, names."""
    port = free_port()
    words = ["azurite-blob", "--silent", "--skipApiVersionCheck", "--blobPort", str(port), "--location", str(folder)]
    place = f"127.0.0.1:{port}"
    with server(words, port), pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "AZURE_STORAGE_CONNECTION_STRING",
            f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={_AZURITE_KEY};"
            f"BlobEndpoint=http://{place}/devstoreaccount1",
        )
        from pyarrow import fs

        made = fs.AzureFileSystem(
            "devstoreaccount1",
            account_key=_AZURITE_KEY,
            blob_storage_authority=place,
            dfs_storage_authority=place,
            blob_storage_scheme="http",
            dfs_storage_scheme="http",
        )
        made.create_dir(CONTAINER)
        yield


def free_port() -> int:
    """Return a port of loopback that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def server(words: Sequence[str], port: int) -> Iterator[None]:
    """Run a program until it answers at a port, and end it; skip where it is not installed."""
    program = shutil.which(words[0], path=str(Path(sys.executable).parent)) or shutil.which(words[0])
    if program is None:
        pytest.skip(f"no {words[0]} on PATH")
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([program, *words[1:]], stdout=quiet, stderr=quiet)
    try:
        _wait_for(port, process)
        yield
    finally:
        process.kill()  # asked kindly, some wait for connections that clients keep
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.1)
        else:
            return
