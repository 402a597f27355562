"""A figure as SVG: objects as paths, text as text, the image inside as PNG."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image as Pillow

from ...ops.outlines import Polygon
from .scene import INK, PAPER, Color, Scene

#: Signs that XML cannot hold.
_ILLEGAL = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FONT = "Arial, Helvetica, sans-serif"


def write_svg(path: Path, scene: Scene, dpi: int) -> None:
    """Draw a figure; as wide as its dots are at ``dpi``."""
    width, height = scene.size
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" '
        f'width="{width / dpi:.4f}in" height="{height / dpi:.4f}in" '
        f'viewBox="0 0 {width} {height}">',
        f"<title>{_text(scene.title)}</title>",
        f'<rect width="{width}" height="{height}" fill="{_hex(PAPER)}"/>',
        *_picture(scene),
        *_legend(scene),
        *_scale_bar(scene),
        "</svg>",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _picture(scene: Scene) -> Iterator[str]:
    """The image, and over it a path an object, cut off at its border."""
    width, height = scene.picture
    png = io.BytesIO()
    Pillow.fromarray(scene.background).save(png, "PNG", optimize=True)
    data = base64.b64encode(png.getvalue()).decode("ascii")
    yield f'<clipPath id="frame"><rect width="{width}" height="{height}"/></clipPath>'
    yield '<g clip-path="url(#frame)">'
    yield (
        f'<image width="{width}" height="{height}" style="image-rendering: pixelated" '
        f'preserveAspectRatio="none" href="data:image/png;base64,{data}"/>'
    )
    yield (
        f'<g id="objects" transform="scale({scene.zoom})" fill-rule="evenodd" '
        f'stroke-width="{scene.line / scene.zoom:g}" stroke-linejoin="miter">'
    )
    for shape in scene.shapes:
        color, outline = _hex(shape.color), "".join(map(_path, shape.polygons))
        yield (
            f'<path id="object-{shape.label}" d="{outline}" fill="{color}" '
            f'fill-opacity="{scene.filled(shape):g}" '
            f'stroke="{color if shape.outlined else "none"}"/>'
        )
    yield "</g></g>"


def _path(polygon: Polygon) -> str:
    """Outlines with right angles: move, then across and down by turns."""
    parts = []
    for ring in polygon:
        row, col = ring[0].tolist()
        parts.append(f"M{col} {row}")
        for next_row, next_col in ring[1:].tolist():
            parts.append(f"H{next_col}" if next_row == row else f"V{next_row}")
            row = next_row
        parts.append("Z")
    return "".join(parts)


def _legend(scene: Scene) -> Iterator[str]:
    size = scene.letter
    yield f'<g id="legend" font-family="{_FONT}" font-size="{size}" fill="{_hex(INK)}">'
    for entry in scene.entries:
        x, y = entry.x, entry.y
        yield f'<rect x="{x}" y="{y}" width="{size}" height="{size}" fill="{_hex(entry.color)}"/>'
        # Letters stand on a line a little above the lower edge of the sign beside them.
        yield f'<text x="{x + 1.5 * size:g}" y="{y + 0.86 * size:g}">{_text(entry.text)}</text>'
    yield "</g>"


def _scale_bar(scene: Scene) -> Iterator[str]:
    if scene.bar is None:
        return
    (left, top, right, bottom), (front, behind) = scene.bar_box, scene.bar_colors
    edge = max(1, scene.letter // 12)
    shapes = (
        f'<rect x="{left:g}" y="{top:g}" width="{right - left:g}" height="{bottom - top:g}"/>'
        f'<text x="{(left + right) / 2:g}" y="{top - 0.4 * scene.letter:g}" text-anchor="middle" '
        f'font-family="{_FONT}" font-size="{scene.letter}">{_text(scene.bar.text)}</text>'
    )
    yield '<g id="scale-bar">'
    # Twice, since not all programs know paint-order: a wide line behind, then what is seen.
    yield f'<g fill="none" stroke="{_hex(behind)}" stroke-width="{2 * edge}">{shapes}</g>'
    yield f'<g fill="{_hex(front)}">{shapes}</g>'
    yield "</g>"


def _text(text: str) -> str:
    return escape(_ILLEGAL.sub("", text))


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
