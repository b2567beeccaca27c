"""How soon a reviewer sees a question with its image, in Chromium: `python -m tests.perf.first_view`.

Serves tiles of 10,000 px and opens the page: first on a cold server, then again and again with a new browser each, then
goes on to the next question. Printed are milliseconds from the request for the page, or from the key press, until the
question is there and the image in view is whole; and the processor time that the page's thread took.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.perf.drawing import busy_ms
from tests.perf.review import served, write_data_set

TIMES = 5
SEEN = "() => document.querySelector('textarea.question') && document.getElementById('loading').hidden"


def opened(browser: Browser, url: str) -> tuple[Page, float, float]:
    """Open the page as somebody who has been there before; return it with both times, ms."""
    page = browser.new_context(viewport={"width": 1600, "height": 1000}).new_page()
    page.add_init_script("localStorage.setItem('rsvqa-review/reviewer', 'ann')")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_function(SEEN)
    return page, 1000 * (time.perf_counter() - start), busy_ms(session)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        write_data_set(Path(folder) / "superrs", 2, 8)
        with served(Path(folder) / "superrs") as (url, _), sync_playwright() as p:
            browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            _, cold, busy = opened(browser, url)
            print(f"cold server {cold:.0f} ms, processor {busy:.0f} ms")
            time.sleep(20)  # until both tiles are cut
            found = [opened(browser, url) for _ in range(TIMES)]
            walls, busies = [wall for _, wall, _ in found], [busy for _, _, busy in found]
            print(f"warm: median {statistics.median(walls):.0f} ms, at most {max(walls):.0f}")
            print(f"processor of the page: median {statistics.median(busies):.0f} ms")
            page, following = found[-1][0], []
            for _ in range(TIMES):
                start = time.perf_counter()
                before = page.input_value("textarea.question"), page.text_content(".place code")
                page.keyboard.press("s")
                page.wait_for_function(
                    "(old) => document.querySelector('.place code')?.textContent !== old", arg=before[1]
                )
                page.wait_for_function(SEEN)
                following.append(1000 * (time.perf_counter() - start))
            print(f"the next question: median {statistics.median(following):.0f} ms, at most {max(following):.0f}")
            browser.close()


if __name__ == "__main__":
    main()
