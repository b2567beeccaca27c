"""The rows that a selection has computed, on disk: what is there is not computed again, after a stop or elsewhere.

A file per row group of a data set, named by a digest of all that its rows follow from: the model, the settings that
bear on them, and the texts and place of its questions. Files are whole or not there, and never change.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsvqa.model.data import TrainingSample
from rsvqa.model.selecting.gradients import SampleRow
from rsvqa.rsvqa_builder.files import write_atomically


class RowStore:
    """Rows of row groups in a folder.

    Args:
        folder: made when needed.
        key: digest of what all rows follow from.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key

    def path_of(self, samples: Sequence[TrainingSample]) -> Path:
        """Return the file of the rows of a row group's samples."""
        group = samples[0].group
        stat = group.path.stat()
        texts = [
            [one.name, one.row, one.record.question, one.record.options, one.record.answer, one.record.review]
            for one in samples
        ]
        content = [self._key, group.path.name, group.number, stat.st_size, texts]
        digest = hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()
        return self._folder / f"{digest[:40]}.npz"

    def has(self, samples: Sequence[TrainingSample]) -> bool:
        """Return whether the rows are there."""
        return self.path_of(samples).is_file()

    def write(self, samples: Sequence[TrainingSample], rows: Sequence[SampleRow]) -> None:
        """Keep the rows of a row group; rows of unit length fit half precision."""
        self._folder.mkdir(parents=True, exist_ok=True)
        shape = next((row.rows.shape for row in rows if row.rows is not None), (0, 0))
        blank = np.zeros(shape, np.float16)
        buffer = io.BytesIO()
        np.savez(
            buffer,
            rows=np.stack([blank if row.rows is None else row.rows.astype(np.float16) for row in rows]),
            norms=np.array([row.norm for row in rows]),
            losses=np.array([row.loss for row in rows]),
            num_tokens=np.array([row.num_tokens for row in rows]),
            has_rows=np.array([row.rows is not None for row in rows]),
            faults=np.array([row.fault for row in rows], dtype=np.str_),
        )
        write_atomically(self.path_of(samples), buffer.getvalue())

    def read(self, samples: Sequence[TrainingSample]) -> list[SampleRow]:
        """Return the rows of a row group; they must be there."""
        try:
            with np.load(self.path_of(samples), allow_pickle=False) as stored:
                parts = {name: stored[name] for name in stored.files}
        except (ValueError, zipfile.BadZipFile) as error:
            raise OSError(f"{self.path_of(samples)} is damaged; remove it, and it is computed again") from error
        return [
            SampleRow(
                name=sample.name,
                rows=parts["rows"][place].astype(np.float32) if parts["has_rows"][place] else None,
                norm=float(parts["norms"][place]),
                loss=float(parts["losses"][place]),
                num_tokens=int(parts["num_tokens"][place]),
                fault=str(parts["faults"][place]),
            )
            for place, sample in enumerate(samples)
        ]
