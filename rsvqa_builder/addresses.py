"""Addresses as they may be told and stored: without the keys that some of them carry."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^\s/@?]+@")
_QUESTION = re.compile(r"\?([^\s?'\"<>)\],;]*=[^\s?'\"<>)\],;]*)")
_KEY = re.compile(
    # of Amazon's, Google's and Azure's signed addresses, and what others call a key
    r"x-(?:amz|goog)-[\w-]+|awsaccesskeyid|googleaccessid|key-pair-id|policy|expires|signature|sig|s[eiprtv]|spr|sip"
    r"|sk[etvs]|skoid|sktid|sdd|saoid|suoid|scid|[\w-]*(?:token|secret|password|api[_-]?key|subscription-key)|key",
    re.IGNORECASE,
)
_STATED = re.compile(r"((?:AccountKey|SharedAccessSignature)=)[^;\s]+")


def without_keys(text: str) -> str:
    """Return a text without the users, passwords, signatures and tokens of addresses in it.

    >>> without_keys("cannot open https://me:pw@host/a.tif?id=3&sig=0f%3D: gone")
    'cannot open https://host/a.tif?id=3: gone'
    """
    text = _STATED.sub(r"\1…", _USER.sub("", text))
    return _QUESTION.sub(lambda found: _kept(found[1]), text)


def _kept(question: str) -> str:
    trail = ":" if question.endswith(":") else ""
    parts = question.removesuffix(":").split("&")
    kept = "&".join(part for part in parts if not _KEY.fullmatch(part.partition("=")[0]))
    return f"?{kept}{trail}" if kept else trail
