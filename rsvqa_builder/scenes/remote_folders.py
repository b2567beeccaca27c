"""List a folder of an object store, through pyarrow: rasterio reads such files, but lists no folders.

The store is reached as GDAL reaches it, by the same environment variables, so that what is listed can be read.
"""

from __future__ import annotations

import os
from typing import Any

CONNECT_SECONDS = 5.0
"""A store that does not answer by then is refused; the first try decides."""


class ListingError(Exception):
    """A folder cannot be listed; the message is the reason."""


def list_s3(bucket: str, prefix: str) -> list[str]:
    """Return the keys below a prefix of a bucket of S3, or of a store that speaks as S3 does, relative to the prefix.

    GDAL's variables are used: AWS_NO_SIGN_REQUEST, AWS_S3_ENDPOINT, AWS_HTTPS, AWS_VIRTUAL_HOSTING, AWS_REGION,
    AWS_DEFAULT_REGION; and, by pyarrow itself, those of credentials.

    Raises:
        ListingError: the store does not answer, or refuses.
    """
    from pyarrow import fs  # starts threads of the AWS SDK

    endpoint = os.environ.get("AWS_S3_ENDPOINT", "")
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=1),
        "anonymous": _is_yes("AWS_NO_SIGN_REQUEST"),
    }
    try:
        if endpoint:
            is_secure = os.environ.get("AWS_HTTPS", "YES").upper() not in ("NO", "FALSE", "OFF")
            options |= {
                "endpoint_override": endpoint.partition("://")[2] or endpoint,
                "scheme": "https" if is_secure else "http",
                "force_virtual_addressing": _is_yes("AWS_VIRTUAL_HOSTING"),
            }
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        region = region or ("us-east-1" if endpoint else fs.resolve_s3_region(bucket))
        folder = f"{bucket}/{prefix}".rstrip("/")
        found = fs.S3FileSystem(region=region, **options).get_file_info(fs.FileSelector(folder, recursive=True))
    except OSError as error:
        raise ListingError(str(error).splitlines()[0]) from error
    return sorted(info.path.removeprefix(f"{folder}/") for info in found if info.is_file)


def _is_yes(name: str) -> bool:
    return os.environ.get(name, "").upper() in ("YES", "TRUE", "ON")
