"""The storages behind addresses such as "s3://bucket/prefix", opened with the keys that their makers' tools use.

Two libraries open them. pyarrow comes along anyway, and knows the profiles of AWS's tools and the API of Google's that
emulators speak; it has no conditional writes. obstore has them.
"""

from __future__ import annotations

import base64
import configparser
import datetime as dt
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyarrow import fs

from rsvqa.rsvqa_builder.addresses import without_keys
from rsvqa.rsvqa_builder.files import OutputError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_RETRY_S = 60
"""For so long the library for Google's storage repeats a request by itself."""
_RETRY = {"max_retries": 8, "retry_timeout": dt.timedelta(seconds=30)}
_TIMEOUTS = {"connect_timeout": "5s", "timeout": "20s"}


@lru_cache(maxsize=4)
def open_storage(address: str) -> fs.FileSystem:
    """Return the storage of an address; keys and places are those that the tools of its maker use."""
    scheme, _, path = address.partition("://")
    try:
        return {"s3": _open_s3, "gs": _open_google, "az": open_azure}[scheme](path.partition("/")[0])
    except ImportError as error:  # some builds of pyarrow are without one
        raise OutputError(f"cannot use {address}: {error}") from error


def _open_google(_: str) -> fs.FileSystem:
    limit = dt.timedelta(seconds=_RETRY_S)
    if endpoint := os.environ.get("STORAGE_EMULATOR_HOST"):
        scheme, _, host = endpoint.rpartition("://")
        place = {"scheme": scheme or "http", "endpoint_override": host}
        return fs.GcsFileSystem(anonymous=True, retry_time_limit=limit, **place)
    return fs.GcsFileSystem(retry_time_limit=limit)


def open_azure(container: str) -> fs.FileSystem:
    """Return the storage of a container of Azure.

    Raises:
        OutputError: nothing says of which account it is.
    """
    account, place, options = _azure(container)
    scheme, _, path = place.partition("://")
    if path and not path.startswith(f"{account}."):  # an emulator: the account is part of its paths
        host = path.partition("/")[0]
        options |= {"blob_storage_authority": host, "dfs_storage_authority": host}
        options |= {"blob_storage_scheme": scheme, "dfs_storage_scheme": scheme}
    return fs.AzureFileSystem(account, **options)


def _azure(container: str) -> tuple[str, str, dict[str, str]]:
    """Return the account, the address of its blobs where one is stated, and its key or token, if any."""
    stated = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
    parts = dict(part.partition("=")[::2] for part in stated.split(";") if part)
    account = parts.get("AccountName") or os.environ.get("AZURE_STORAGE_ACCOUNT")
    if not account:
        raise OutputError(f"cannot use az://{container}: AZURE_STORAGE_ACCOUNT does not say of which account it is")
    key = parts.get("AccountKey") or os.environ.get("AZURE_STORAGE_KEY") or os.environ.get("AZURE_STORAGE_ACCESS_KEY")
    token = None if key else parts.get("SharedAccessSignature") or os.environ.get("AZURE_STORAGE_SAS_TOKEN")
    try:
        base64.b64decode(key or "", validate=True)
    except ValueError as error:  # pyarrow would end the process
        raise OutputError(f"cannot use az://{container}: the key of account {account} is not whole: {error}") from error
    keys = {"account_key": key, "sas_token": token}
    return account, parts.get("BlobEndpoint", ""), {name: value for name, value in keys.items() if value}


def _open_s3(bucket: str) -> fs.FileSystem:
    endpoint = _s3_endpoint()
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None and endpoint is None:
        region = fs.resolve_s3_region(bucket)
    options: dict[str, Any] = {"region": region or "us-east-1", "endpoint_override": endpoint}
    try:
        return fs.S3FileSystem(**options, allow_delayed_open=True)  # a small object is one request
    except TypeError:  # pyarrow < 21
        return fs.S3FileSystem(**options)


def _s3_endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def reason_of(error: Exception) -> str:
    """Return the first line of what a storage says."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return without_keys(first)


# --- for conditional writes ---


@lru_cache(maxsize=4)
def open_conditional(address: str) -> ObjectStore:
    """Return the bucket of an address as obstore has it; keys there begin with the address's own path."""
    from obstore import store  # not needed before somebody writes to a storage

    scheme, _, path = address.partition("://")
    bucket = path.partition("/")[0]
    options: dict[str, Any] = {"retry_config": _RETRY, "client_options": {**_TIMEOUTS, "allow_http": True}}
    if scheme == "s3":
        place = {"endpoint": endpoint} if (endpoint := _s3_endpoint()) else {}
        return store.S3Store(bucket, region=open_storage(address).region, **place, **_profile_keys(), **options)
    if scheme == "gs":
        if endpoint := os.environ.get("STORAGE_EMULATOR_HOST"):
            without_keys = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
            endpoint = endpoint if "://" in endpoint else f"http://{endpoint}"
            options["service_account_key"] = json.dumps({"gcs_base_url": endpoint, **without_keys})
        return store.GCSStore(bucket, **options)
    account, endpoint, keys = _azure(bucket)
    options |= {{"account_key": "account_key", "sas_token": "sas_key"}[name]: value for name, value in keys.items()}
    return store.AzureStore(bucket, account_name=account, **({"endpoint": endpoint} if endpoint else {}), **options)


def _profile_keys() -> dict[str, str]:
    """Return the keys that a profile of AWS's tools states, of which obstore knows nothing."""
    if "AWS_ACCESS_KEY_ID" in os.environ:
        return {}
    profile = os.environ.get("AWS_PROFILE", "default")
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser()
    stated = configparser.RawConfigParser()
    try:
        stated.read(file, encoding="utf-8")
    except (OSError, configparser.Error):
        return {}
    found = dict(stated.items(profile)) if stated.has_section(profile) else {}
    names = {
        "access_key_id": "aws_access_key_id",
        "secret_access_key": "aws_secret_access_key",
        "session_token": "aws_session_token",
    }
    return {name: found[stated_as] for name, stated_as in names.items() if stated_as in found}
