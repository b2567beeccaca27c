"""The page of kept tokens: what stands in it, and that nothing from outside can act in it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from rsvqa.annotation.images import decode_image
from rsvqa.rsvqa_builder.documents.token_map import TokenGrid, map_all, map_tokens
from rsvqa.rsvqa_builder.documents.token_page import TokenPicture, pyramid, write_token_page

GRID = TokenGrid(1, 2, 2)
KEPT = map_tokens(
    GRID,
    cells=np.array([0, 1, 1]),
    positions=np.array([1, 0, 2]),
    scores=np.array([0.5, 0.25, -1.0], np.float32),
    roots=np.array([[1, 1, 2, 2], [0, 1, 1, 0]]),
    fills_with_zeros=False,
)


def make_picture(name: str = "a.tif", **changes: Any) -> TokenPicture:
    """Return an image of 40 × 20 px that the model sees on a canvas of 4 × 2 patches of 14 px, moved down by 7."""
    values: dict[str, Any] = {"rgb": np.full((20, 40, 3), 90, np.uint8), "tokens": KEPT, "patch": 14}
    return TokenPicture(name=name, **{"scale": (0.7, 1.4), "offset": (7, 0), **values, **changes})


def written(path: Path, *pictures: TokenPicture, **texts: Any) -> tuple[str, list[dict[str, Any]]]:
    """Return the page and the data in it."""
    given: dict[str, Any] = {"title": "t", "pruning": {"fill": "next"}, "exchanges": []} | texts
    write_token_page(path, pictures, **given)
    page = path.read_text("utf-8")
    (data,) = re.findall(r'<script type="application/json" id="pictures">(.*?)</script>', page, re.DOTALL)
    return page, json.loads(data)


def test_a_pyramid_halves_an_image_until_it_is_one_tile() -> None:
    tiles = dict(pyramid(np.zeros((700, 1100, 3), np.uint8)))
    # 1,100 px need 11 halvings to one pixel; 1100 x 700, 550 x 350 and 275 x 175 px in tiles of 512
    assert list(tiles) == ["11/0_0", "11/1_0", "11/2_0", "11/0_1", "11/1_1", "11/2_1", "10/0_0", "10/1_0", "9/0_0"]
    shapes = {key: decode_image(base64.b64decode(uri.partition(",")[2])).shape[:2] for key, uri in tiles.items()}
    assert (shapes["11/2_1"], shapes["10/1_0"], shapes["9/0_0"]) == ((188, 76), (350, 38), (175, 275))


def test_the_page_holds_where_each_token_lies(tmp_path: Path) -> None:
    page, (data,) = written(tmp_path / "p.html", make_picture())
    assert np.frombuffer(base64.b64decode(data["owners"]), "<i4").tolist() == [0, 0, 1, -1, -1, -1, 2, 1]
    assert (data["grid"], data["rows"], data["columns"]) == ([2, 4], [0, 0, 1], [1, 2, 2])
    assert (data["sizes"], data["scores"]) == ([2, 2, 1], [0.5, 0.25, -1.0])
    # 14 px of the canvas are 20 rows or 10 columns of the image, and 7 px of it lie above the image
    assert np.allclose((*data["patch"], *data["start"]), (20, 10, -10, 0))
    assert "<dt>Visual tokens</dt><dd>3</dd>" in page
    assert "<dt>of patches</dt><dd>8</dd>" in page
    assert "<dt>Patches in a token</dt><dd>62 %</dd>" in page  # 5 of 8
    assert "fill next" in page


def test_two_images_stand_side_by_side(tmp_path: Path) -> None:
    page, data = written(tmp_path / "p.html", make_picture("old.tif"), make_picture("new.tif", tokens=map_all(GRID)))
    assert 'class="panes pair"' in page
    assert page.count('class="view"') == 2
    assert "<dt>Visual tokens</dt><dd>11</dd>" in page
    assert [one["scores"] for one in data] == [[0.5, 0.25, -1.0], None]


def test_texts_from_outside_are_only_texts(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><img src=http://x/y>"
    page, _ = written(
        tmp_path / "p.html", make_picture(hostile), title=hostile, exchanges=[(hostile, hostile)], pruning={hostile: 1}
    )
    assert "alert(1)</script>" not in page
    assert "<img" not in page
    assert page.count("</script>") == 3
    assert "default-src 'none'; img-src data:" in page


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path) -> None:
    pages = [written(tmp_path / name, make_picture())[0] for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


def test_scores_that_rank_nothing_are_left_out(tmp_path: Path) -> None:
    level = map_tokens(
        TokenGrid(1, 1, 2),
        cells=np.array([0, 0]),
        positions=np.array([0, 3]),
        scores=np.zeros(2, np.float32),
        roots=np.array([[0, 1, 2, 3]]),
        fills_with_zeros=False,
    )
    _, (data,) = written(tmp_path / "p.html", make_picture(tokens=level))
    assert data["scores"] is None
