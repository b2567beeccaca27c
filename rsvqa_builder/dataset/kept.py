"""`kept.parquet`: which questions of data sets were selected for training, and why.

A row per candidate, kept or not, in the order of the ranks; images are never copied.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rsvqa.annotation.errors import RsvqaError
from rsvqa.rsvqa_builder.files import write_atomically

KEPT_SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("rank", pa.int64()),
        pa.field("score", pa.float64()),
        pa.field("decided_by", pa.string()),
        pa.field("norm", pa.float64()),
        pa.field("loss", pa.float64()),
        pa.field("left_out", pa.string()),
    ]
)
"""`name` is source and question id, `rank` counts from 1, `decided_by` is the target's question that gives the score,
`norm` that of the gradient; of a question without a rank `left_out` says why."""


class KeptError(RsvqaError):
    """A selection does not fit the data that it is applied to."""

    exit_code = 2


def write_kept(path: Path, rows: Sequence[Mapping[str, Any]], *, about: Mapping[str, str]) -> None:
    """Write a selection; `about` is kept in the file's metadata."""
    schema = KEPT_SCHEMA.with_metadata({key.encode(): value.encode() for key, value in about.items()})
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer, compression="zstd")
    write_atomically(path, buffer.getvalue())


def read_kept(path: Path) -> dict[str, bool]:
    """Return whether each candidate of a selection is kept, by `source/question_id`.

    Raises:
        KeptError: the file is not there or is none that `rsvqa select` wrote.
    """
    try:
        table = pq.read_table(path, columns=["name", "kept"])
    except (OSError, KeyError, pa.ArrowException) as error:
        first = str(error).splitlines()[0]
        raise KeptError(f"{path} is no selection, expected the file that `rsvqa select` writes: {first}") from error
    return dict(zip(table["name"].to_pylist(), table["kept"].to_pylist(), strict=True))


def require_known(path: Path, kept: Collection[str], names: Sequence[str]) -> None:
    """Refuse a selection that was made among other questions.

    Raises:
        KeptError: it does not know one of the names.
    """
    unknown = [name for name in names if name not in kept]
    if unknown:
        raise KeptError(
            f"{path} knows nothing of {len(unknown):,} of {len(names):,} questions, the first is {unknown[0]}: it was "
            "made from other data sets, or before they were built again; select anew"
        )
