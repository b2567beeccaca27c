"""The site of `docs/` builds with every link and anchor in it, and what tutorials and notebooks show runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rsvqa

ROOT = Path(__file__).parent.parent
RSVQA = Path(sys.executable).with_name("rsvqa")
pytest.importorskip("mkdocstrings", reason="the site is built with the extra dev")


@pytest.mark.timeout(600)
def test_every_link_of_the_site_leads_somewhere_and_every_notebook_runs(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    pages = {path.parent.name for path in (tmp_path / "site").glob("*/index.html")}
    assert {"commands", "contributing", "tasks"} <= pages
    assert "rsvqa export" in (tmp_path / "site" / "commands" / "index.html").read_text()
    reference = (tmp_path / "site" / "reference" / "index.html").read_text()
    for name in {*rsvqa.__all__} - {"__version__"}:
        assert re.search(rf'id="rsvqa\.[\w.]*\b{name}"', reference), name
    # a setting with its docstring
    assert "Side of a tile, pixels (default: the profile" in reference
    # objects of a notebook show themselves
    first = (tmp_path / "site" / "notebooks" / "scenes-to-data-set" / "index.html").read_text()
    assert '<div class="rsvqa-question' in first
    assert "<caption>superrs: " in first
    second = (tmp_path / "site" / "notebooks" / "score-a-model" / "index.html").read_text()
    assert "<td>Overall counting</td>" in second


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_its_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text("utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in code)
    assert all(cell["metadata"] == {} for cell in notebook["cells"])
    assert notebook["metadata"].keys() == {"kernelspec", "language_info"}


def commands(page: str) -> list[list[str]]:
    text = (ROOT / "docs" / "tutorials" / f"{page}.md").read_text()
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines() if line]


def run_all(page: str, folder: Path) -> None:
    for words in commands(page):
        done = subprocess.run([RSVQA, *words[1:]], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr}"


@pytest.mark.timeout(600)
def test_images_with_dota_labels(tmp_path: Path) -> None:
    for folder in ("images", "labelTxt"):
        (tmp_path / "dota" / folder).mkdir(parents=True)
    noise = np.random.default_rng(0).integers(60, 90, (1024, 1024, 3), dtype=np.uint8)
    boxes = [(100 + 160 * n, 200 + 90 * n, 40, 24) for n in range(5)]
    for x, y, width, height in boxes:
        noise[y : y + height, x : x + width] = (220, 220, 230)
    Image.fromarray(noise).save(tmp_path / "dota" / "images" / "P0001.png")
    lines = [f"{x} {y} {x + w} {y} {x + w} {y + h} {x} {y + h} plane 0" for x, y, w, h in boxes]
    (tmp_path / "dota" / "labelTxt" / "P0001.txt").write_text("imagesource:GoogleEarth\ngsd:0.5\n" + "\n".join(lines))
    run_all("labels-at-hand", tmp_path)
    assert (tmp_path / "check" / "labels.html").exists()
    assert (tmp_path / "planes" / "preview.html").exists()
    assert (tmp_path / "llava" / "train.json").exists()


@pytest.mark.timeout(600)
def test_scoring_a_model(tmp_path: Path) -> None:
    run_all("score-a-model", tmp_path)
    assert (tmp_path / "runs" / "majority" / "report.html").exists()
    assert list((tmp_path / "runs" / "majority" / "browse").iterdir())
