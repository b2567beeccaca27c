"""List a folder of an object storage, through pyarrow: rasterio reads such files, but lists no folders.

The storage is reached as GDAL reaches it, by the same environment variables, so that what is listed can be read.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from typing import TYPE_CHECKING, Any

from rsvqa.annotation.errors import RsvqaError

if TYPE_CHECKING:
    from pyarrow import fs

CONNECT_SECONDS = 5.0
"""A storage that does not answer by then is refused; the first try decides."""

_GOOGLES_REASON = re.compile(r"with a last message of (?P<reason>.+?)(?: error_info=.*)?$")


class ListingError(Exception):
    """A folder cannot be listed; the message is the reason."""


def list_folder(kind: str, place: str) -> list[str]:
    """Return the keys below a folder of a storage, relative to the folder and sorted.

    Args:
        kind: "s3" (S3, and what speaks as it does), "gs" (Google) or "az" (Azure).
        place: name of the bucket, and the path of the folder in it.

    Raises:
        ListingError: the storage does not answer or refuses, or there is no such folder.
    """
    from pyarrow import ArrowException, fs  # starts threads of the AWS SDK

    folder = place.rstrip("/")
    try:
        storage = {"s3": _open_s3, "gs": _open_google, "az": _open_azure}[kind](folder.partition("/")[0])
        found = storage.get_file_info(fs.FileSelector(folder, recursive=True))
    except (OSError, ArrowException, RsvqaError) as error:
        raise ListingError(_reason(error)) from error
    except ImportError as error:  # some builds of pyarrow are without one
        raise ListingError(f"this pyarrow cannot: {error}") from error
    return sorted(info.path.removeprefix(f"{folder}/") for info in found if info.is_file)


def _open_s3(bucket: str) -> fs.FileSystem:
    """Open it by AWS_NO_SIGN_REQUEST, AWS_S3_ENDPOINT, AWS_HTTPS, AWS_VIRTUAL_HOSTING, AWS_REGION, AWS_DEFAULT_REGION.

    Those of credentials are read by pyarrow itself.
    """
    from pyarrow import fs

    endpoint = os.environ.get("AWS_S3_ENDPOINT", "")
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=1),
        "anonymous": _is_yes("AWS_NO_SIGN_REQUEST"),
    }
    if endpoint:
        is_secure = os.environ.get("AWS_HTTPS", "YES").upper() not in ("NO", "FALSE", "OFF")
        options |= {
            "endpoint_override": endpoint.partition("://")[2] or endpoint,
            "scheme": "https" if is_secure else "http",
            "force_virtual_addressing": _is_yes("AWS_VIRTUAL_HOSTING"),
        }
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return fs.S3FileSystem(
        region=region or ("us-east-1" if endpoint else fs.resolve_s3_region(bucket)),
        **options,
    )


def _open_google(_: str) -> fs.FileSystem:
    """Open it by GS_NO_SIGN_REQUEST, CPL_GS_ENDPOINT and GOOGLE_APPLICATION_CREDENTIALS, or the machine's account."""
    from pyarrow import fs

    options: dict[str, Any] = {"retry_time_limit": dt.timedelta(seconds=CONNECT_SECONDS)}
    if endpoint := os.environ.get("CPL_GS_ENDPOINT"):
        scheme, _, host = endpoint.rpartition("://")
        options |= {"scheme": scheme or "https", "endpoint_override": host.rstrip("/")}
    if _is_yes("GS_NO_SIGN_REQUEST"):
        options["anonymous"] = True
    elif "GS_ACCESS_KEY_ID" in os.environ:
        raise ListingError("GS_ACCESS_KEY_ID lists nothing, GOOGLE_APPLICATION_CREDENTIALS does; or give a text list")
    return fs.GcsFileSystem(**options)


def _open_azure(container: str) -> fs.FileSystem:
    """Open it as `storages` does; GDAL and the tools of its maker share their variables."""
    from rsvqa.rsvqa_builder.storages import open_azure

    if _is_yes("AZURE_NO_SIGN_REQUEST"):
        raise ListingError("pyarrow lists no container without a key (AZURE_NO_SIGN_REQUEST); give a text list")
    return open_azure(container)


def _is_yes(name: str) -> bool:
    return os.environ.get(name, "").upper() in ("YES", "TRUE", "ON")


def _reason(error: Exception) -> str:
    """Return the first line of a message, of a storage of Google what the server said."""
    from rsvqa.rsvqa_builder.storages import reason_of

    first = reason_of(error)
    if isinstance(error, FileNotFoundError) or first.startswith("No such file"):
        return "there is no such folder, or it is not yours to see"
    if "PermanentRedirect" in first or "HTTP status 301" in first:
        return f"{first}; the bucket is in another region, say which by AWS_REGION"
    found = _GOOGLES_REASON.search(first)
    return found["reason"] if found else first
