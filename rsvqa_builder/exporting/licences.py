"""On what terms the pictures of an export may be used: `README.md` says it by source, `scenes.json` by scene."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rsvqa.rsvqa_builder.dataset.records import TileRecord

SCENES_FILE = "scenes.json"
NOT_STATED = "not stated"


class LicenceList:
    """The scenes of an export with their sources; grows with the scenes, not with the questions."""

    def __init__(self) -> None:
        self._scenes: dict[str, tuple[str | None, str | None]] = {}

    def add(self, tiles: Iterable[TileRecord]) -> None:
        """Take note of tiles that are written."""
        for tile in tiles:
            self._scenes[tile.scene] = (tile.scene_source, tile.licence)

    def write(self, folder: Path, card: str) -> None:
        """Write the card with the terms of each source behind it, and what each scene is of."""
        (folder / "README.md").write_text(f"{card}\n{self._section()}", encoding="utf-8", newline="\n")
        scenes = {
            scene: {"source": source, "licence": licence} for scene, (source, licence) in sorted(self._scenes.items())
        }
        text = json.dumps(scenes, ensure_ascii=False, indent=1)
        (folder / SCENES_FILE).write_text(text + "\n", encoding="utf-8", newline="\n")

    def _section(self) -> str:
        counts = Counter(self._scenes.values())
        rows = [
            f"| {_cell(source or 'unknown')} | {_cell(licence or NOT_STATED)} | {count:,} |"
            for (source, licence), count in sorted(counts.items(), key=lambda item: tuple(map(str, item[0])))
        ]
        return "\n".join(
            [
                "## Licences",
                "",
                f"The pictures and labels keep the terms of their sources. `{SCENES_FILE}` says of every scene which "
                "source it is from.",
                "",
                "| source | licence | scenes |",
                "| --- | --- | ---: |",
                *rows,
                "",
            ]
        )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
