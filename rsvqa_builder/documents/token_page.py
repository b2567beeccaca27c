"""Set the page of `rsvqa ask`: images with the visual tokens that a model kept of them, to zoom into.

One file that loads nothing: images stand in it as pyramids of JPEG tiles, the viewer is that of `rsvqa review`. Texts
from outside are escaped.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from rsvqa.annotation.images import Pixels
from rsvqa.rsvqa_builder.documents.preview_images import JPEG_QUALITY, data_uri
from rsvqa.rsvqa_builder.documents.preview_page import fill_page
from rsvqa.rsvqa_builder.documents.token_map import TokenMap, map_images
from rsvqa.rsvqa_builder.files import write_atomically

TILE_SIDE = 512
"""Pixels of a tile of the pyramid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPicture:
    """One image and what was kept of it.

    Attributes:
        name: above it.
        rgb: the image.
        tokens: on the canvas that the model sees.
        patch: side of a patch there, pixels.
        scale: (y, x), canvas pixels per pixel of the image.
        offset: (y, x), where the image begins on the canvas, pixels.
    """

    name: str
    rgb: Pixels
    tokens: TokenMap
    patch: int
    scale: tuple[float, float]
    offset: tuple[int, int]


_PRUNING = ("pruning", "tokens_per_cell", "affinity", "anchor_projection", "scope", "fill")


def pruning_of(config: Any) -> dict[str, Any]:  # noqa: ANN401  a configuration of transformers
    """Return the settings of a GeoLLaVA that decide what is kept, by name."""
    return {name: getattr(config, name) for name in _PRUNING}


def pictures_of(
    found: Any,  # noqa: ANN401  the model's
    inputs: Mapping[str, Any],
    config: Any,  # noqa: ANN401
    *,
    images: Sequence[Pixels],
    names: Sequence[str],
) -> list[TokenPicture]:
    """Return images with the tokens that a GeoLLaVA keeps of them.

    Args:
        found: what its `get_image_features` returns.
        inputs: what its processor made of the images, with their placements.
        config: its configuration.
        images: their pixels.
        names: above them.
    """
    maps = map_images(found, inputs["image_grid_thw"].tolist(), config)
    return [
        TokenPicture(
            name=name,
            rgb=rgb,
            tokens=tokens,
            patch=int(config.vision_config.patch_size),
            scale=(placement.scale_y, placement.scale_x),
            offset=(placement.offset_y, placement.offset_x),
        )
        for name, rgb, tokens, placement in zip(names, images, maps, inputs["image_placements"], strict=True)
    ]


def write_token_page(
    path: Path,
    pictures: Sequence[TokenPicture],
    *,
    title: str,
    pruning: Mapping[str, Any],
    exchanges: Sequence[tuple[str, str]],
) -> None:
    """Write the page; the same pictures and texts give the same bytes.

    Args:
        path: the file to write; replaced when it is there.
        pictures: at least one.
        title: of the page.
        pruning: settings, by name.
        exchanges: questions about the pictures, each with its reply.
    """
    viewer = resources.files("rsvqa.annotation.review").joinpath("page", "vendor", "openseadragon.min.js")
    room = resources.files("rsvqa.rsvqa_builder.documents")
    # no text can end the script that it stands in
    data = json.dumps([_picture_data(picture) for picture in pictures]).replace("<", "\\u003c")
    page = fill_page(
        "token_page.html",
        title=escape(title),
        figures=_figures(pictures),
        settings=", ".join(f"{escape(name)} {escape(str(value))}" for name, value in pruning.items()),
        panes="".join(_pane(number, picture) for number, picture in enumerate(pictures)),
        panes_class="panes pair" if len(pictures) > 1 else "panes",
        exchanges="".join(_exchange(*exchange) for exchange in exchanges),
        data=data,
        viewer=viewer.read_text("utf-8"),
        script=room.joinpath("token_page.js").read_text("utf-8"),
    )
    write_atomically(path, page.encode())


def pyramid(rgb: Pixels) -> Iterator[tuple[str, str]]:
    """Yield the tiles of an image, ("level/column_row", JPEG as a `data:` URI), from the whole image downwards.

    The last level is the whole image, each one before half as large, rounded up; the first is one tile.
    """
    level = (max(rgb.shape[:2]) - 1).bit_length()
    picture = Image.fromarray(rgb)
    while True:
        pixels = np.asarray(picture)
        for top in range(0, pixels.shape[0], TILE_SIDE):
            for left in range(0, pixels.shape[1], TILE_SIDE):
                tile = np.ascontiguousarray(pixels[top : top + TILE_SIDE, left : left + TILE_SIDE])
                jpeg: bytes = simplejpeg.encode_jpeg(tile, quality=JPEG_QUALITY)
                yield f"{level}/{left // TILE_SIDE}_{top // TILE_SIDE}", data_uri(jpeg)
        if max(picture.size) <= TILE_SIDE:
            return
        picture, level = picture.reduce(2), level - 1


def _picture_data(picture: TokenPicture) -> dict[str, Any]:
    height, width = picture.rgb.shape[:2]
    tokens = picture.tokens
    scores = tokens.scores if tokens.scores is not None and np.unique(tokens.scores).size > 1 else None
    return {
        "width": width,
        "height": height,
        "tileSide": TILE_SIDE,
        "tiles": dict(pyramid(picture.rgb)),
        "patch": [picture.patch / picture.scale[0], picture.patch / picture.scale[1]],  # in pixels of the image
        "start": [-picture.offset[0] / picture.scale[0], -picture.offset[1] / picture.scale[1]],
        "grid": list(tokens.owners.shape),
        "owners": base64.b64encode(tokens.owners.astype("<i4").tobytes()).decode("ascii"),
        "rows": tokens.rows.tolist(),
        "columns": tokens.columns.tolist(),
        "sizes": tokens.sizes.tolist(),
        "scores": None if scores is None else [float(f"{score:.5g}") for score in scores],
    }


def _figures(pictures: Sequence[TokenPicture]) -> str:
    owners = [picture.tokens.owners for picture in pictures]
    num_tokens = sum(len(picture.tokens.rows) for picture in pictures)
    num_patches = sum(one.size for one in owners)
    num_used = sum(int((one >= 0).sum()) for one in owners)
    figures = (
        ("Visual tokens", f"{num_tokens:,}"),
        ("of patches", f"{num_patches:,}"),
        ("Patches in a token", f"{100 * num_used / num_patches:.0f} %"),
    )
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures)


def _pane(number: int, picture: TokenPicture) -> str:
    height, width = picture.rgb.shape[:2]
    return (
        f'<figure class="pane" style="--ratio:{width / height:.4f}"><div class="view" id="view{number}"></div>'
        f"<figcaption><b>{escape(picture.name)}</b> {width:,} × {height:,} px, {len(picture.tokens.rows):,} tokens "
        f'<output id="told{number}"></output></figcaption></figure>'
    )


def _exchange(question: str, reply: str) -> str:
    return f'<p class="question">{escape(question)}</p><blockquote>{escape(reply)}</blockquote>'
