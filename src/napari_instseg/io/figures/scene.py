"""What a figure shows and where: worked out once, drawn as PNG or SVG."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from ...ops.outlines import Polygon, trace
from ...segmenter import Category, InputError
from ..overlay import object_colors

#: Red, green and blue, 0 to 255.
Color: TypeAlias = tuple[int, int, int]

#: Enlarged until the longer side has this many dots, which suits a column of a journal.
DOTS = 1200
#: Share of an object's own colour where it is filled.
FILL = 0.35
#: Share of the picture's width that the scale bar has at most.
LONGEST_BAR = 0.25
#: A line of the legend, in heights of a letter.
LINE = 1.6
#: Those that journals ask for first. The one that comes with Pillow lacks the micro sign.
FONTS = (
    *("Arial.ttf", "arial.ttf", "Helvetica.ttc", "LiberationSans-Regular.ttf", "DejaVuSans.ttf"),
    "NotoSans-Regular.ttf",
)
#: Mean of what is behind the scale bar, from which on it is dark.
BRIGHT = 150
INK: Color = (34, 34, 34)
PAPER: Color = (255, 255, 255)


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """An object or a segment of stuff in the picture.

    Parameters
    ----------
    label : int
    polygons : list of Polygon
        Corners (row, col), px of the image.
    color : Color
    outlined : bool
        Else it is only filled.
    """

    label: int
    polygons: list[Polygon]
    color: Color
    outlined: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the legend, and where it stands: dots from the upper left corner of its sign."""

    text: str
    color: Color
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Bar:
    """A scale bar: its text, and its length in dots."""

    text: str
    length: float


@dataclass(frozen=True, slots=True)
class Look:
    """How objects are drawn.

    Parameters
    ----------
    fill : float
        Share of an object's colour inside it; 0 for none.
    outlines : bool
    zoom : int, optional
        Dots a pixel; None enlarges small images, see `DOTS`.
    bar : float, optional
        Length of the scale bar, µm; None chooses, 0 for none.
    """

    fill: float = 0.0
    outlines: bool = True
    zoom: int | None = None
    bar: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All of a figure.

    Parameters
    ----------
    title : str
        What it is of.
    background : (H, W, 3) uint8 array
    labels : (H, W) integer array
    shapes : tuple of Shape
        In the order in which they are drawn.
    zoom : int
        Dots a pixel.
    fill : float
        See `Look`; of what has no outline, `FILL` at least.
    letter : int
        Height of the letters, dots.
    entries : tuple of Entry
    bar : Bar, optional
    """

    title: str
    background: NDArray[np.uint8]
    labels: NDArray[np.int32]
    shapes: tuple[Shape, ...]
    zoom: int
    fill: float
    letter: int
    entries: tuple[Entry, ...]
    bar: Bar | None

    @property
    def picture(self) -> tuple[int, int]:
        """Width and height of the picture, dots."""
        height, width = self.labels.shape
        return width * self.zoom, height * self.zoom

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the figure with its legend, dots."""
        width, height = self.picture
        if not self.entries:
            return width, height
        right = max(e.x + entry_width(e.text, self.letter) for e in self.entries)
        below = max(e.y for e in self.entries) + math.ceil(LINE * self.letter)
        return max(width, math.ceil(right)), below

    def filled(self, shape: Shape) -> float:
        """Share of a shape's colour inside it."""
        return self.fill if shape.outlined else self.fill or FILL

    @property
    def bar_box(self) -> tuple[float, float, float, float]:
        """Left, upper, right and lower edge of the scale bar, dots."""
        width, height = self.picture
        right, bottom = width - self.letter, height - self.letter
        length = 0.0 if self.bar is None else self.bar.length
        return round(right - length), bottom - max(3, self.letter // 4), right, bottom

    @property
    def bar_colors(self) -> tuple[Color, Color]:
        """Colour of the scale bar and of the line around it, by what is behind it."""
        left, top, right, bottom = (
            max(0, int(edge) // self.zoom) for edge in (*self.bar_box[:2], *self.picture)
        )
        behind = self.background[max(0, top - 2 * self.letter // self.zoom) : bottom, left:right]
        return (INK, PAPER) if behind.size and behind.mean() > BRIGHT else (PAPER, INK)

    @property
    def line(self) -> int:
        """Width of outlines, dots."""
        return max(1, round(self.letter / 10))


def compose(
    title: str,
    background: NDArray[np.uint8],
    labels: NDArray[np.int32],
    colors: Mapping[int, Color],
    stuff: Collection[int],
    legend: Sequence[tuple[Category, int]],
    micrometres: float | None,
    look: Look,
) -> Scene:
    """Work out a figure.

    Parameters
    ----------
    title : str
    background : (H, W, 3) uint8 array
    labels : (H, W) int32 array
    colors : mapping of int to Color
        By label; others get one of their own.
    stuff : collection of int
        Labels that are filled and without outlines, however objects are drawn.
    legend : sequence of (Category, count)
        None if empty.
    micrometres : float, optional
        Width of a pixel; without, there is no scale bar.
    look : Look

    Raises
    ------
    InputError
        If the scale bar that is asked for is longer than the picture is wide.
    """
    height, width = labels.shape
    zoom = look.zoom or max(1, round(DOTS / max(height, width, 1)))
    letter = max(12, round(max(width, height) * zoom / 45))
    shapes = [
        Shape(
            label,
            polygons,
            colors.get(label) or _own_color(label),
            look.outlines and label not in stuff,
        )
        for label, polygons in trace(labels).objects()
    ]
    # Outlines come over what is only filled.
    shapes.sort(key=lambda shape: shape.outlined)
    return Scene(
        title,
        background,
        labels,
        tuple(shapes),
        zoom,
        look.fill,
        letter,
        tuple(_entries(legend, width * zoom, height * zoom, letter)),
        _bar(width, zoom, micrometres, look.bar),
    )


def entry_width(text: str, letter: int) -> float:
    """Width of an entry of the legend with its sign, dots."""
    return 1.5 * letter + float(font(letter).getlength(text))


@cache
def font(letter: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of figures, of those that a system has."""
    for name in FONTS:
        with suppress(OSError):
            return ImageFont.truetype(name, letter)
    return ImageFont.load_default(letter)


def bar_length(most: float) -> float:
    """The longest of 1, 2, 5, 10, ... that is not above a length.

    Examples
    --------
    >>> bar_length(37.0), bar_length(0.9), bar_length(1000)
    (20.0, 0.5, 1000.0)
    """
    power = math.floor(math.log10(most) + 1e-9)
    step = next(s for s in (5, 2, 1) if s * 10.0**power <= most * (1 + 1e-9))
    # 5 * 10 ** -1 is not 0.5 in all cases; the text is what counts.
    return float(f"{step}e{power}")


def length_text(micrometres: float) -> str:
    """Write a length with the unit that suits it.

    Examples
    --------
    >>> length_text(20), length_text(0.5), length_text(2000), length_text(2.5)
    ('20 µm', '500 nm', '2 mm', '2.5 µm')
    """
    factor, unit = (1e-3, "mm") if micrometres >= 1000 else (1.0, "µm")
    if micrometres < 1:
        factor, unit = 1000.0, "nm"
    return f"{micrometres * factor:g} {unit}"


def _bar(width: int, zoom: int, micrometres: float | None, wanted: float | None) -> Bar | None:
    if micrometres is None or wanted == 0 or not width:
        return None
    length = bar_length(width * micrometres * LONGEST_BAR) if wanted is None else wanted
    if length > width * micrometres:
        raise InputError(
            f"scale_bar: expected at most the picture's width, {length_text(width * micrometres)}, "
            f"got {length_text(length)}"
        )
    return Bar(length_text(length), length / micrometres * zoom)


def _entries(
    legend: Sequence[tuple[Category, int]], width: int, height: int, letter: int
) -> Iterator[Entry]:
    """Lines of the legend below the picture, one entry after the other as in a text."""
    x, y = 0, height + round((LINE - 1) * letter)
    for category, count in legend:
        text = f"{category.name} ({count})"
        room = math.ceil(entry_width(text, letter))
        if x and x + room > width:
            x, y = 0, y + round(LINE * letter)
        yield Entry(text, rgb(category.color), x, y)
        x += room + letter


def rgb(color: tuple[float, float, float]) -> Color:
    """Turn a colour in [0, 1] into one of 0 to 255."""
    red, green, blue = (round(255 * part) for part in color)
    return red, green, blue


def _own_color(label: int) -> Color:
    red, green, blue = object_colors(np.array([label]))[0].tolist()
    return red, green, blue
