"""An export of Label Studio read task by task: one that cannot be read costs itself, and is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from rsvqa.rsvqa_builder.reviewing.serve import ReviewError

NO_EXPORT = "no export of Label Studio in its JSON or JSON_MIN format"
_MAX_ID_CHARS = 40

Task = TypeVar("Task", bound=BaseModel)


def read_studio(file: Path, model: type[Task]) -> tuple[Sequence[tuple[int, Task]], Sequence[str]]:
    """Return the tasks that can be read, each with its place in the file from 1, and what is wrong with the others.

    Raises:
        ReviewError: the file is no list of tasks, or none of them can be read; an empty list is one.
    """
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise ReviewError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ReviewError(f"{file}: {NO_EXPORT}: no JSON: {error}") from error
    if not isinstance(found, list):
        raise ReviewError(f"{file}: {NO_EXPORT}: expected a list of tasks")
    tasks: list[tuple[int, Task]] = []
    broken: list[str] = []
    for number, one in enumerate(found, 1):
        try:
            json.dumps(one, ensure_ascii=False).encode()
            tasks.append((number, model.model_validate(one)))
        except UnicodeEncodeError:
            broken.append(f"task {number}{_named(one)}: a text holds half a character (a lone surrogate)")
        except RecursionError:
            broken.append(f"task {number}{_named(one)}: it is nested too deeply to be read")
        except ValidationError as error:
            first = error.errors()[0]
            place = "".join(f"{part}: " for part in (".".join(map(str, first["loc"])),) if part)
            broken.append(f"task {number}{_named(one)}: {place}{first['msg']}")
    if found and not tasks:
        raise ReviewError(f"{file}: {NO_EXPORT}: {broken[0]}")
    return tasks, broken


def _named(task: object) -> str:
    return f", id {ascii(task['id'])[:_MAX_ID_CHARS]}" if isinstance(task, dict) and "id" in task else ""
