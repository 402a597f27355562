"""A figure as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from .scene import INK, PAPER, Scene, font

#: The font that comes with Pillow.
PILLOWS = "Aileron"


def write_png(path: Path, scene: Scene, dpi: int) -> None:
    """Draw a figure; ``dpi`` is what a printer takes it to have."""
    figure = Pillow.new("RGB", scene.size, PAPER)
    figure.paste(_picture(scene), (0, 0))
    draw = ImageDraw.Draw(figure)
    _outline(draw, scene)
    # Of outlines on the border, half would stick out of the picture.
    width, height = scene.picture
    draw.rectangle((width, 0, *scene.size), fill=PAPER)
    draw.rectangle((0, height, *scene.size), fill=PAPER)
    _legend(draw, scene)
    _scale_bar(draw, scene)
    figure.save(path, dpi=(dpi, dpi), optimize=True)


def filled(scene: Scene) -> NDArray[np.uint8]:
    """The background with objects in their colours, as large as the image."""
    picture = scene.background.astype(np.float32)
    flat, values = pd.factorize(scene.labels.ravel())
    places = flat.reshape(scene.labels.shape)
    colors, share = np.zeros((len(values), 3), np.float32), np.zeros(len(values), np.float32)
    known = {int(value): place for place, value in enumerate(values)}
    for shape in scene.shapes:
        place = known[shape.label]
        colors[place] = shape.color
        share[place] = scene.filled(shape)
    part = share[places][..., np.newaxis]
    mixed: NDArray[np.uint8] = np.round(picture * (1 - part) + colors[places] * part).astype(
        np.uint8
    )
    return mixed


def _picture(scene: Scene) -> Pillow.Image:
    return Pillow.fromarray(filled(scene)).resize(scene.picture, Pillow.Resampling.NEAREST)


def _outline(draw: ImageDraw.ImageDraw, scene: Scene) -> None:
    """Lines along the edges of pixels, each as a rectangle: sharp, and closed at corners."""
    before = (scene.line - 1) // 2 + (scene.line % 2 == 0)
    after = scene.line - 1 - before
    for shape in scene.shapes:
        if not shape.outlined:
            continue
        for ring in (ring for polygon in shape.polygons for ring in polygon):
            ends = np.stack([ring, np.roll(ring, -1, axis=0)]) * scene.zoom
            low, high = ends.min(axis=0) - before, ends.max(axis=0) + after
            for box in np.hstack([low[:, ::-1], high[:, ::-1]]).tolist():
                draw.rectangle(box, fill=shape.color)


def _legend(draw: ImageDraw.ImageDraw, scene: Scene) -> None:
    letters, size = font(scene.letter), scene.letter
    for entry in scene.entries:
        x, y = entry.x, entry.y
        draw.rectangle((x, y, x + size - 1, y + size - 1), fill=entry.color)
        draw.text((x + 1.5 * size, y + size / 2), entry.text, INK, letters, anchor="lm")


def _scale_bar(draw: ImageDraw.ImageDraw, scene: Scene) -> None:
    if scene.bar is None:
        return
    (left, top, right, bottom), (front, behind) = scene.bar_box, scene.bar_colors
    edge = max(1, scene.letter // 12)
    draw.rectangle((left - edge, top - edge, right - 1 + edge, bottom - 1 + edge), fill=behind)
    draw.rectangle((left, top, right - 1, bottom - 1), fill=front)
    letters = font(scene.letter)
    has_micro = isinstance(letters, ImageFont.FreeTypeFont) and letters.getname()[0] != PILLOWS
    draw.text(
        ((left + right) / 2, top - scene.letter * 0.4),
        scene.bar.text if has_micro else scene.bar.text.replace("µ", "u"),
        front,
        letters,
        anchor="ms",
        stroke_width=edge,
        stroke_fill=behind,
    )
