"""The people of a data set's review: read from a file, given links."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from rsvqa.annotation.review.people import People, PersonSettings, ReviewerName
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.reviewing.serve import ReviewError, note_store
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource, store_path

_PEOPLE: TypeAdapter[dict[ReviewerName, PersonSettings]] = TypeAdapter(dict[ReviewerName, PersonSettings])


def read_people(file: Path) -> dict[str, PersonSettings]:
    """Return the people that a TOML file describes, one table per name.

    Raises:
        ReviewError: when it cannot be read, or describes somebody otherwise.
    """
    try:
        return _PEOPLE.validate_python(tomllib.loads(file.read_text("utf-8")))
    except OSError as error:
        raise ReviewError(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ReviewError(f"{file}: no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ReviewError(f"{file}: {place}: {first['msg'].removeprefix('Value error, ')}") from error


def invite(
    folder: Path, people: dict[str, PersonSettings], *, store: Path | None = None, renew: Sequence[str] = ()
) -> dict[str, str]:
    """Make `people` all who have a link to the review of a data set, and return the tokens of new links by name.

    Args:
        folder: of the data set.
        people: of `read_people`; without anybody, whoever opens the review types a name.
        store: file of the decisions; None for the one in `folder`.
        renew: names whose links are replaced.

    Raises:
        ReviewError: for a name in `renew` that is not among `people`.
        ShardError: when the folder has no whole set of shards.
        StoreError: when the store cannot be used.
    """
    if unknown := sorted(set(renew) - people.keys()):
        raise ReviewError(f"`renew` {unknown[0]}: expected one of the people, {', '.join(people) or 'who are none'}")
    ReviewSource(folder)  # refused before a store is made
    note_store(folder, store)
    with ReviewStore(store_path(folder, store)) as opened:
        return People(opened.database).update(people, renew=renew)


def invitation_lines(people: dict[str, PersonSettings], tokens: dict[str, str], address: str) -> Iterator[str]:
    """Yield a line per person: name, role and link; a link that was made before is not known any more."""
    for name, person in people.items():
        link = f"{address.rstrip('/')}/{tokens[name]}/" if name in tokens else "(has a link)"
        yield f"{name}\t{person.role}\t{link}"
    if not people:
        yield "nobody has a link any more: whoever opens the review types a name"
