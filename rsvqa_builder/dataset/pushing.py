"""A finished data set on the Hugging Face Hub: all of its files in one commit, or none.

What surprises is that `upload_folder` of huggingface_hub is not used: with Xet storage it commits a large folder in
several steps, and a push that dies leaves a part of a data set that loads. `create_commit` sends the contents first,
stored under their digests, where nobody sees them. A repeated push finds those there and does not send them again. A
file that changes between its check and the commit stops the push: with Xet the Hub would take it as it is.

The token is huggingface_hub's affair: `HF_TOKEN` or what `hf auth login` has stored. It is neither taken as an argument
nor written anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.extras import require_extra
from rsvqa.rsvqa_builder.dataset.output import is_own_file, verified_files
from rsvqa.rsvqa_builder.shown import Part, ShownResult

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

_REPO = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_KIND = "dataset"


class PushError(RsvqaError):
    """A data set could not be pushed; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushResult(ShownResult):
    """What a push left on the Hub.

    Attributes:
        url: of the repository.
        commit: that holds the data set.
        num_files: files of the data set.
        num_bytes: of all of them.
        num_removed: files of an older data set that are no longer there.
    """

    url: str
    commit: str
    num_files: int
    num_bytes: int
    num_removed: int

    def parts(self) -> Iterator[Part]:
        """Yield one line."""
        removed = f", {self.num_removed} files of an older data set removed" if self.num_removed else ""
        yield f"{self.num_files} files, {self.num_bytes / 1e6:,.1f} MB{removed}: {self.url}"

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return asdict(self)


def push_dataset(
    src: Path,
    repo: str,
    *,
    private: bool = False,
    gated: bool = False,
    endpoint: str | None = None,
    progress: bool = False,
) -> PushResult:
    """Put the data set in `src` on the Hub as the data set `repo`, whose main branch then holds it whole.

    Sent is what the data set consists of, not `.rsvqa/` nor what else lies in its folder. Files of an older data set
    that this one does not have are removed from the branch by the same commit; other files there stay.

    Args:
        src: a data set's folder.
        repo: `org/name`; made where there is none.
        private: only members of `org` see it. An existing repository is made private before anything is sent; without,
            it stays as it is.
        gated: people ask for access and `org` grants it by hand; likewise.
        endpoint: address of the Hub; by default that of `HF_ENDPOINT`, or the public one.
        progress: let huggingface_hub draw its bars on stderr.

    Raises:
        OutputError: when `src` holds no finished data set, or a file is not the one that was built.
        PushError: when the Hub cannot be reached, or refuses.
        MissingExtraError: without huggingface_hub.
    """
    require_extra("hub", "push")
    from huggingface_hub import CommitOperationDelete, HfApi

    if not _REPO.fullmatch(str(repo)):
        raise PushError(f"{repo!r} is no name of a data set on the Hub: expected `org/name`")
    api = HfApi(endpoint=endpoint)
    with _told_in_one_line(api, repo):
        api.whoami()  # a wrong token is told before hours of reading
    stamps = _stamps(src)
    digests = verified_files(src)
    additions = [_addition(src, name, digest) for name, digest in sorted(digests.items())]
    with _told_in_one_line(api, repo):
        url = _prepared_repo(api, repo, private=private, gated=gated)
        before = api.dataset_info(repo)
        outdated = sorted(
            file.rfilename
            for file in before.siblings or ()
            if is_own_file(file.rfilename) and file.rfilename not in digests
        )
        with nullcontext() if progress else _in_silence():
            api.preupload_lfs_files(repo, additions, repo_type=_KIND)
            if changed := sorted(name for name in digests if _stamps(src, [name]).get(name) != stamps.get(name)):
                raise PushError(f"{src / changed[0]} was changed while it was pushed: nothing was committed")
            commit = api.create_commit(
                repo,
                [*additions, *(CommitOperationDelete(name) for name in outdated)],
                commit_message="Data set built by rsvqa",
                repo_type=_KIND,
                parent_commit=before.sha,  # nobody else's commit is built upon unseen
            )
    num_bytes = sum(addition.upload_info.size for addition in additions)
    return PushResult(
        url=url, commit=commit.oid, num_files=len(additions), num_bytes=num_bytes, num_removed=len(outdated)
    )


def _stamps(src: Path, names: Iterable[str] | None = None) -> dict[str, tuple[int, int]]:
    """Return size and time of files, by name below `src`; of all that are there by default."""
    paths = src.rglob("*") if names is None else [src / name for name in names]
    found = {}
    for path in paths:
        if path.is_file():
            known = path.stat()
            found[path.relative_to(src).as_posix()] = known.st_size, known.st_mtime_ns
    return found


def _addition(src: Path, name: str, digest: str | None) -> CommitOperationAdd:
    from huggingface_hub import CommitOperationAdd

    addition = CommitOperationAdd(path_in_repo=name, path_or_fileobj=src / name)
    if digest is not None:  # spares another reading
        addition.upload_info.sha256 = bytes.fromhex(digest)
    return addition


def _prepared_repo(api: HfApi, repo: str, *, private: bool, gated: bool) -> str:
    """Return the address of the repository, which nobody can read who shall not: nothing is sent before."""
    url = str(api.create_repo(repo, repo_type=_KIND, private=private or None, exist_ok=True))
    if private or gated:  # making one says nothing to one that is there
        api.update_repo_settings(repo, repo_type=_KIND, private=private or None, gated="manual" if gated else None)
    return url


@contextmanager
def _in_silence() -> Iterator[None]:
    """Without huggingface_hub's bars, and without what it says of each attempt that it repeats."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

    were_disabled, verbosity = are_progress_bars_disabled(), logging.get_verbosity()
    disable_progress_bars()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if not were_disabled:
            enable_progress_bars()


@contextmanager
def _told_in_one_line(api: HfApi, repo: str) -> Iterator[None]:
    # HTTPError is the base of what its HTTP client raises, whatever that client is called
    from huggingface_hub.errors import HTTPError, LocalTokenNotFoundError

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise PushError("no token for the Hub: set HF_TOKEN, or run `hf auth login`") from error
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        raise PushError(_reason(error, api.endpoint, repo)) from error


def _reason(error: BaseException, endpoint: str, repo: str) -> str:
    """Return what went wrong and what to do; the library wraps what the server said in errors of its own."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    again = "repeat the command; contents that have arrived are not sent again"
    answer = next((one for one in chain if isinstance(one, HfHubHTTPError)), None)
    if answer is None:
        unheard = next((one for one in chain if isinstance(one, (HTTPError, ConnectionError, TimeoutError))), None)
        what = " ".join(f"{type(unheard or chain[-1]).__name__}: {unheard or chain[-1]}".split())
        if unheard is not None:
            return f"the Hub at {endpoint} cannot be reached ({what}): see to the network and HF_ENDPOINT, then {again}"
        return f"the data set was not pushed to {repo} ({what}): {again}"
    status = answer.response.status_code
    said = " ".join(str(answer.server_message or answer.response.reason_phrase).split())
    if status == 401:
        return (
            f"the Hub at {endpoint} does not know the token (401): set HF_TOKEN to a valid one, or run `hf auth login`"
        )
    if status == 403:
        return f"the token may not write to {repo} (403, {said}): take one with the right to write there"
    if status == 404:
        return (
            f"the Hub at {endpoint} knows no {repo}, or not for this token (404, {said}): see to the name and the token"
        )
    if status == 429:
        return f"the Hub at {endpoint} takes no more for now (429, {said}): wait some minutes, then {again}"
    if status == 412:
        return f"{repo} was changed by somebody else meanwhile (412): look at it, then {again}"
    return f"the Hub at {endpoint} answered {status} ({said}) when {repo} was pushed: {again}"
