"""Make the pictures of the README from example scenes: `make pictures`. Needs the extra `dev` and a Chromium."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

import rsvqa
from rsvqa.model.tiny import make_tiny
from rsvqa.model.training_settings import TinySettings

HERE = Path(__file__).parent.parent / "docs" / "pictures"
RSVQA = Path(sys.executable).with_name("rsvqa")
LIMIT = 300_000
"""Bytes of a picture."""
ASKED = "How many houses are there?"


def run(*words: object) -> None:
    """Run a command of rsvqa."""
    subprocess.run([RSVQA, *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def picture_of_a_question(browser: Browser, data: Path, folder: Path) -> None:
    """A tile with its question and evidence, as a notebook shows it."""
    question = next(iter(rsvqa.read(data).filter(tasks="OSR")))
    page = folder / "question.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body style='margin:0'>{question._repr_html_()}", "utf-8")
    shoot(browser, page.as_uri(), "question", width=1100, height=620, selector=".rsvqa-question")


def picture_of_the_review(browser: Browser, data: Path) -> None:
    """The page on which people judge questions."""
    command = [str(RSVQA), "review", "--data", str(data), "--sample", "1"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        shoot(browser, address, "review", width=1280, height=760, name="Ann")
    finally:
        server.terminate()
        server.wait()


def picture_of_kept_tokens(browser: Browser, scene: Path, folder: Path) -> None:
    """The visual tokens that the language model of a GeoLLaVA is given: a small one, whose weights are random."""
    made = make_tiny([ASKED], TinySettings(max_grid=8), seed=0)
    made.model.save_pretrained(folder / "tiny")
    made.processor.save_pretrained(folder / "tiny")
    page = folder / "tokens.html"
    run("ask", "--model", folder / "tiny", scene, ASKED, "--max-new-tokens", 1, "--show", page)
    shoot(browser, page.as_uri(), "tokens", width=860, height=1000)


def shoot(
    browser: Browser, address: str, stem: str, *, width: int, height: int, selector: str = "", name: str = ""
) -> None:
    """Save what a page shows as a JPEG below the limit."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(address)
    if name:
        page.locator("dialog input").first.fill(name)
        page.keyboard.press("Enter")
    page.wait_for_timeout(2500)
    target = HERE / f"{stem}.png"
    (page.locator(selector).first if selector else page).screenshot(path=target)
    page.close()
    with Image.open(target) as shot:
        shot.convert("RGB").save(HERE / f"{stem}.jpg", quality=85, optimize=True)
    target.unlink()
    size = (HERE / f"{stem}.jpg").stat().st_size
    assert size < LIMIT, f"{stem}.jpg has {size:,} bytes"


def main() -> None:
    """Make all pictures."""
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as play:
        folder = Path(scratch)
        run("demo-scenes", "--out", folder / "scenes", "--seed", 3, "--size", 1024, "--count", 1)
        run("build", "--src", folder / "scenes", "--classes", "demo", "--tile-size", 1024, "--out", folder / "superrs")
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        picture_of_a_question(browser, folder / "superrs", folder)
        picture_of_the_review(browser, folder / "superrs")
        picture_of_kept_tokens(browser, min((folder / "scenes").glob("*.tif")), folder)
        browser.close()


if __name__ == "__main__":
    main()
