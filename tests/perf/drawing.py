"""How long a frame takes while people draw among thousands of objects, measured in Chromium.

`python -m tests.perf.drawing [--objects 5000]` serves a tile of 3,000 x 2,000 px with so many polygons of 8 corners. It
draws all of it anew, pans, zooms and drags an object, and prints the time that each frame takes the page's code, ms.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

from rsvqa.annotation.review.drawn import DRAWN, DrawnForm, DrawnObject, PixelPoint
from rsvqa.annotation.review.drawn_store import Change, DrawnStore
from rsvqa.annotation.review.queue import QueueSettings
from rsvqa.rsvqa_builder.reviewing.serve import open_review
from tests.annotation.review.running_server import running
from tests.review_browser.data_set import HEIGHT, WIDTH, write_bare_data_set

FRAMES = """
async (move) => {
  const { canvas } = window.rsvqaDraw;
  const step = new Function("canvas", "at", move);
  const frames = [];
  canvas.frames.length = 0;
  let last = await new Promise(requestAnimationFrame);
  for (let at = 0; at < 60; at++) {
    step(canvas, at);
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
  }
  return [canvas.frames, frames];
}
"""
MOVES = {
    "whole tile": "if (at % 20 === 0) canvas.model.version++; canvas.ask()",
    "pan": "canvas.panBy(at % 2 ? 12 : -12, 3, true)",
    "zoom": "canvas.zoomBy(at < 30 ? 1.05 : 1 / 1.05)",
}


def octagon(rng: random.Random) -> DrawnObject:
    """Return an octagon somewhere on the tile, 10 to 40 px wide."""
    x, y, radius = rng.uniform(50, WIDTH - 50), rng.uniform(50, HEIGHT - 50), rng.uniform(5, 20)
    points = [
        PixelPoint(x + radius * math.cos(k * math.pi / 4), y + radius * math.sin(k * math.pi / 4)) for k in range(8)
    ]
    return DrawnObject(
        class_name=rng.choice(["ship", "car", "building", "truck"]), form=DrawnForm.POLYGON, points=tuple(points)
    )


def told(times: list[float]) -> str:
    """Return the median, the 95th of a hundred, and the longest."""
    ordered = sorted(times)
    most = f"95 % below {ordered[int(0.95 * len(ordered))]:.1f}, at most {ordered[-1]:.1f}"
    return f"median {ordered[len(ordered) // 2]:.1f}, {most}"


def drag(page: Page) -> tuple[list[float], list[float]]:
    """Drag the object in the middle around and return the times of the canvas and of the frames."""
    page.evaluate(
        "() => { const { page, canvas } = rsvqaDraw; const id = [...page.model.objects.keys()][0];"
        "page.model.select([id]); canvas.frames.length = 0; window.frames60 = []; let last = performance.now();"
        "(function count(now) { window.frames60.push(now - last); last = now; requestAnimationFrame(count); })(last); }"
    )
    x, y = page.evaluate(
        "() => { const { page, canvas } = rsvqaDraw;"
        "const b = page.model.grid.bounds.get([...page.model.selection][0]);"
        "const p = canvas.placing(); const r = canvas.element.getBoundingClientRect();"
        "return [r.left + p.x + p.scale * (b[0] + b[2]) / 2, r.top + p.y + p.scale * (b[1] + b[3]) / 2]; }"
    )
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(60):
        page.mouse.move(x + step, y + step % 7)
    page.mouse.up()
    canvas, frames = page.evaluate("() => [rsvqaDraw.canvas.frames, window.frames60.slice(2)]")
    return canvas, frames


def busy_ms(session: CDPSession) -> float:
    """Return the processor time of the page's thread so far; unlike a clock, it does not see what else is running."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


def report(name: str, canvas: list[float], frames: list[float], busy: float) -> None:
    """Print one line of times."""
    each = f"processor {busy / len(frames):.1f} per frame"
    print(f"{name:10} {each}; canvas: {told(canvas)}; from frame to frame: {told(frames)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=5_000)
    count = parser.parse_args().objects
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        data = write_bare_data_set(Path(folder) / "superrs")
        with open_review(data, QueueSettings()) as review:
            store, (key, *_) = DrawnStore(review.store), review.drawings.tiles
            things = [
                Change(kind="object", key=f"o{number}", content=DRAWN.dump_python(octagon(rng), mode="json"))
                for number in range(count)
            ]
            store.write(key, things, "ann", request_id="the objects of the measurement")
            with (
                running(review.store, pictures=review.pictures, drawings=review.drawings, views=review.views) as client,
                sync_playwright() as p,
            ):
                browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1600, "height": 1000})
                page.goto(f"{client.access.url}draw.html")
                page.fill("input[name=reviewer]", "ann")
                page.keyboard.press("Enter")
                page.wait_for_function("() => window.rsvqaDraw?.canvas.placing()")
                page.wait_for_timeout(2000)
                session = page.context.new_cdp_session(page)
                session.send("Performance.enable", {"timeDomain": "threadTicks"})
                print(f"{count:,} objects of 8 corners; ms")
                for name, move in MOVES.items():
                    before = busy_ms(session)
                    canvas, frames = page.evaluate(FRAMES, move)
                    report(name, canvas, frames, busy_ms(session) - before)
                page.keyboard.press("z")
                page.wait_for_timeout(800)
                before = busy_ms(session)
                canvas, frames = drag(page)
                report("drag", canvas, frames, busy_ms(session) - before)
                browser.close()


if __name__ == "__main__":
    main()
