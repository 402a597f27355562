"""Prompts in images that are read as they are needed, and in pyramids."""

from __future__ import annotations

from typing import Any

import dask.array as da
import napari
import numpy as np
import pytest
from gui.clicks import WAIT
from gui.prompt.conftest import Begin
from gui.prompt.hands import Hands
from napari.layers import Labels
from numpy.typing import NDArray
from prompters import BrightnessPrompter
from qtpy.QtCore import Qt

from napari_instseg.gui.details_form import LAYER_LIMITS
from napari_instseg.gui.prompt.controller import Prompting
from napari_instseg.gui.prompt.widget import PromptWidget
from napari_instseg.ops.tiling import Tile

#: Squares of this side (px), one in each cell of a grid.
SIDE, CELL = 64, 128
BIG = 8192


def prompting(dock: PromptWidget) -> Prompting:
    assert dock.running is not None
    return dock.running.prompting


def idle(dock: PromptWidget) -> bool:
    """Whether all is encoded that is wanted ahead."""
    return prompting(dock).asking.encoder.left == 0


def cells(rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.uint8]:
    """A square in the middle of each cell; brightness tells cells apart, so no tiles are alike."""
    margin = (CELL - SIDE) // 2
    inside = [(at % CELL >= margin) & (at % CELL < margin + SIDE) for at in (rows, cols)]
    down, along = (
        (at // CELL * step % 251).astype(np.uint8) for at, step in ((rows, 7), (cols, 3))
    )
    number = down[:, None] + along[None]
    bright = inside[0][:, None] & inside[1][None]
    pixels: NDArray[np.uint8] = np.where(bright, number % 50 + 200, number % 11)
    return pixels


class Made:
    """An image whose pixels are made as they are read; counts them."""

    ndim, dtype = 2, np.dtype(np.uint8)

    def __init__(self, side: int, step: int = 1) -> None:
        self.shape, self.step, self.read = (side, side), step, 0
        self.size = side * side

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        key = key if isinstance(key, tuple) else (key,)
        rows, cols = (
            np.atleast_1d(np.arange(n)[k])
            for n, k in zip(self.shape, (*key, slice(None))[:2], strict=True)
        )
        self.read += len(rows) * len(cols)
        return cells(rows * self.step, cols * self.step)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return np.asarray(self[:, :], dtype)


def square_at(row: int, col: int) -> tuple[int, int, int, int]:
    """First row and column, last row and column of the square around a place."""
    top, left = (at // CELL * CELL + (CELL - SIDE) // 2 for at in (row, col))
    return top, left, top + SIDE - 1, left + SIDE - 1


def painted(labels: Labels) -> tuple[int, ...]:
    """First row and column, last row and column of what is not 0, and how much that is."""
    where = np.argwhere(labels.data)
    return (*where.min(axis=0).tolist(), *where.max(axis=0).tolist(), len(where))


def click_object(dock: PromptWidget, hands: Hands, row: int, col: int) -> Tile:
    """Click; return the part of the plane that the model saw, once it has answered."""
    hands.click(row, col)
    drafts = prompting(dock).drafts
    hands.qtbot.waitUntil(
        lambda: bool(len(drafts)) and not drafts.unanswered(),
        timeout=WAIT,
    )
    assert drafts.last is not None
    assert drafts.last.shown is not None
    return prompting(dock).asking.session.region(drafts.last.shown.view)


def test_only_the_chunks_under_a_click_are_read(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    read: set[tuple[int, ...]] = set()

    def note(block: NDArray[Any], block_info: Any = None) -> NDArray[Any]:
        read.add(tuple(block_info[0]["chunk-location"]))
        return block

    pixels = cells(np.arange(1024), np.arange(1024))
    lazy = da.from_array(pixels, chunks=(64, 64)).map_blocks(
        note, dtype=np.uint8, meta=np.empty((0, 0), np.uint8)
    )
    # napari's own cache would hide what is read again.
    layer = viewer.add_image(
        lazy,
        name="cells",
        contrast_limits=(0, 255),
        cache=False,
        scale=(0.5, 0.25),
        translate=(100, -40),
    )
    prompt_dock.setup.more.intensity.choose(LAYER_LIMITS)
    # The mouse on its way to a click would have other tiles encoded.
    prompt_dock.panel.preview.setChecked(False)
    viewer.window._qt_viewer.canvas.native.grab()
    read.clear()
    hands = begin.on(layer)  # type: ignore[attr-defined]
    hands.until(lambda: idle(prompt_dock))
    # Tiles in the middle are encoded ahead, those in the corners are not.
    assert {(7, 7), (8, 8)} <= read
    assert not {(0, 0), (0, 15), (15, 0), (15, 15)} & read
    read.clear()
    seen = click_object(prompt_dock, hands, 960, 64)
    assert seen.shape == (256, 256)
    expected = {
        (row, col)
        for row in range(seen.top // 64, -(-seen.bottom // 64))
        for col in range(seen.left // 64, -(-seen.right // 64))
    }
    assert read == expected
    hands.press(Qt.Key.Key_Return)
    labels = viewer.layers["cells objects"]
    assert painted(labels) == (*square_at(960, 64), SIDE * SIDE)
    np.testing.assert_allclose(labels.data_to_world((960, 64)), (100 + 480, -40 + 16))
    assert read == expected


@pytest.fixture(params=["one level", "pyramid"])
def levels(request: pytest.FixtureRequest) -> list[Made]:
    """An image of 67 million pixels, with coarser levels or without."""
    steps = (1, 2, 4, 8) if request.param == "pyramid" else (1,)
    return [Made(BIG // step, step) for step in steps]


def test_of_a_large_image_only_what_is_looked_at_is_read(
    viewer: napari.Viewer,
    prompt_dock: PromptWidget,
    begin: Begin,
    prompter: BrightnessPrompter,
    levels: list[Made],
) -> None:
    layer = viewer.add_image(
        levels if len(levels) > 1 else levels[0],
        name="cells",
        contrast_limits=(0, 255),
        multiscale=len(levels) > 1,
        scale=(0.5, 0.5),
        translate=(100, -40),
    )
    prompt_dock.panel.preview.setChecked(False)
    viewer.window._qt_viewer.canvas.native.grab()
    finest = levels[0]
    for level in levels:
        level.read = 0
    hands = begin.on(layer)  # type: ignore[attr-defined]
    hands.until(lambda: idle(prompt_dock))
    # Every sixth row and column for the intensities, and the tiles in the middle.
    assert 0 < finest.read < 0.05 * finest.size
    assert all(level.read == 0 for level in levels[1:])

    finest.read, encoded = 0, len(prompter.encoded)
    row, col = 7744, 7744
    seen = click_object(prompt_dock, hands, row, col)
    assert seen.top <= row < seen.bottom
    assert len(prompter.encoded) - encoded == 1
    assert finest.read == 256 * 256
    preview = viewer.layers["prompt preview"]
    drawn = np.argwhere(preview.data).mean(axis=0)
    np.testing.assert_allclose(
        preview.data_to_world(drawn), layer.data_to_world((row, col)), atol=SIDE / 2
    )
    hands.press(Qt.Key.Key_Return)
    labels = viewer.layers["cells objects"]
    assert painted(labels) == (*square_at(row, col), SIDE * SIDE)
    np.testing.assert_allclose(labels.extent.world, layer.extent.world)
    assert finest.read == 256 * 256


@pytest.mark.parametrize("level", [0, 1])
def test_a_level_of_a_pyramid(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin, level: int
) -> None:
    steps = (1, 2, 4)
    pyramid = [cells(np.arange(0, 1024, step), np.arange(0, 1024, step)) for step in steps]
    layer = viewer.add_image(
        pyramid, name="cells", multiscale=True, scale=(0.5, 0.25), translate=(7, 9), rotate=10
    )
    prompt_dock.setup.more.level_choice.choose(level)
    hands = begin.on(layer)  # type: ignore[attr-defined]
    click_object(prompt_dock, hands, 192, 832)
    hands.press(Qt.Key.Key_Return)
    labels = viewer.layers["cells objects"]
    assert labels.data.shape == pyramid[level].shape
    *edges, area = painted(labels)
    assert area == (SIDE // 2**level) ** 2
    # The outermost pixels' outer edges, in the world, are those of the square in level 0.
    first, last = np.reshape(edges, (2, 2))
    top, left, bottom, right = square_at(192, 832)
    for at, expected in ((first - 0.5, (top, left)), (last + 0.5, (bottom + 1, right + 1))):
        np.testing.assert_allclose(
            labels.data_to_world(at),
            layer.data_to_world(np.subtract(expected, 0.5)),
            atol=1e-6,
        )
