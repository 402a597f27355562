from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import napari
import numpy as np
import pytest
from gui.clicks import LEFT, WAIT, click
from napari.layers import Labels
from prompters import BrightnessPrompter
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QApplication

from napari_instseg.gui.layers import image_from_layer
from napari_instseg.gui.links import is_temporary
from napari_instseg.gui.prompt.ground import Ground
from napari_instseg.gui.propagate.box import PropagateBox
from napari_instseg.models.prompters import LoadedPrompter
from napari_instseg.promptable import Candidates, Embedding, Prompts
from napari_instseg.prompting import PromptSession

COUNT, SIZE = 21, 64


class SlowPrompter(BrightnessPrompter):
    """Waits at a gate before each answer."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def decode(self, embedding: Embedding, prompts: Prompts, **options: Any) -> Candidates:
        self.entered.set()
        if not self.gate.wait(20):
            raise TimeoutError("nobody opened the gate")
        if self.error is not None:
            raise self.error
        return super().decode(embedding, prompts, **options)


class Host:
    """A dock with a session and a layer of objects."""

    def __init__(
        self, viewer: napari.Viewer, stack: np.ndarray, axes: str = "ZYX", **options: Any
    ) -> None:
        self.viewer = viewer
        self.layer = viewer.add_image(stack.astype(np.float32), name="stack", **options)
        self.image = image_from_layer(self.layer, axes=axes)
        self.prompter = SlowPrompter()
        loaded = LoadedPrompter(self.prompter, "test", "test.safetensors", "0" * 64)
        self.running: PromptSession | None = PromptSession(
            self.image, loaded, cache=False, limits=((0.0, 1.0),)
        )
        self.place = Ground(viewer, self.layer, self.image, 0)
        data = np.zeros(self.place.shape, np.int32)
        self.objects: Labels = viewer.add_labels(data, name="objects", **self.place.transforms())

    def session(self) -> PromptSession | None:
        return self.running

    def labels(self) -> Labels | None:
        return self.objects if self.objects in self.viewer.layers else None

    def ground(self) -> Ground | None:
        return self.place

    def give(self, number: int, plane: tuple[int, ...], pixels: np.ndarray) -> None:
        """Paint an object's mask on a plane, as accepting one does."""
        self.objects.selected_label = number
        index = self.place.index(plane, *np.nonzero(pixels))
        self.objects.data_setitem(index, number)

    def show(self, plane: tuple[int, ...]) -> None:
        point = self.place.points(plane, [[SIZE / 2, SIZE / 2]])[0]
        world = self.objects.data_to_world(point)
        dims = self.viewer.dims
        dims.set_point(range(dims.ndim)[-len(world) :], world)


def ball(radius: float = 8, middle: float = 10, col: float = 32) -> np.ndarray:
    planes, rows, cols = np.indices((COUNT, SIZE, SIZE)) + 0.5
    inside: np.ndarray = np.hypot(np.hypot(planes - 0.5 - middle, rows - 32), cols - col) < radius
    return inside


@pytest.fixture
def make(viewer: napari.Viewer, qtbot: Any) -> Iterator[Callable[..., tuple[PropagateBox, Host]]]:
    made: list[tuple[PropagateBox, Host]] = []

    def build(stack: np.ndarray, **options: Any) -> tuple[PropagateBox, Host]:
        host = Host(viewer, stack, **options)
        box = PropagateBox(viewer, host)
        viewer.window.add_dock_widget(box, name="Propagate", area="right")
        made.append((box, host))
        return box, host

    yield build
    for box, host in made:
        host.prompter.gate.set()
        box.cancel()
        qtbot.waitUntil(lambda box=box: not box.busy, timeout=WAIT)


def run(qtbot: Any, box: PropagateBox) -> None:
    click(qtbot, box.run_button)
    qtbot.waitUntil(lambda: not box.busy, timeout=WAIT)


def test_run_preview_cut_accept_and_undo_at_once(make: Any, qtbot: Any) -> None:
    truth = ball()
    box, host = make(truth)
    host.show((10,))
    host.give(3, (10,), truth[10])
    history = len(host.objects._undo_history)
    selected = host.viewer.layers.selection.active
    run(qtbot, box)

    # A preview of what was found, beside the given plane; nothing is painted.
    layer = box.preview.layer
    assert layer is not None
    assert is_temporary(layer)
    assert layer in host.viewer.layers
    assert host.viewer.layers.selection.active is selected
    found = box.planes.found
    assert found is not None
    assert (found.first, found.last) == (3, 17)
    shown = np.zeros(truth.shape, bool)
    start = np.round(host.objects.world_to_data(layer.data_to_world((0, 0, 0)))).astype(int)
    shown[tuple(slice(a, a + n) for a, n in zip(start, layer.data.shape, strict=True))] = (
        layer.data > 0
    )
    assert not shown[10].any()
    shown[10] = truth[10]
    assert (shown & truth).sum() / (shown | truth).sum() > 0.95
    assert (host.objects.data > 0).sum() == truth[10].sum()
    assert "z 3 to 17" in box.status.text()
    assert "Before: z 2:" in box.status.text()

    # Cut the range; the preview follows.
    box.planes.first.setValue(6)
    box.planes.last.setValue(12)
    assert box.preview.layer is not None
    assert box.preview.layer.data.shape[0] == 7
    assert "After: cut at z 12." in box.status.text()

    told: list[tuple[Any, int]] = []
    box.accepted.connect(lambda part, number: told.append((part, number)))
    click(qtbot, box.planes.accept_button)
    data = host.objects.data
    assert list(np.unique(np.nonzero(data)[0])) == list(range(6, 13))
    assert set(np.unique(data)) == {0, 3}
    assert [(part.first, part.last, number) for part, number in told] == [(6, 12, 3)]
    assert box.preview.layer is None
    assert [x.name for x in host.viewer.layers] == ["stack", "objects"]
    assert not box.planes.isVisible()

    # One step of undo takes all planes back, and leaves the given one.
    assert len(host.objects._undo_history) == history + 1
    host.objects.undo()
    assert list(np.unique(np.nonzero(data)[0])) == [10]
    host.objects.redo()
    assert list(np.unique(np.nonzero(data)[0])) == list(range(6, 13))


def test_discard_leaves_everything_as_it_was(make: Any, qtbot: Any) -> None:
    truth = ball()
    box, host = make(truth)
    host.give(1, (10,), truth[10])
    host.show((10,))
    before = host.objects.data.copy()
    run(qtbot, box)
    click(qtbot, box.planes.discard_button)
    assert np.array_equal(host.objects.data, before)
    assert box.preview.layer is None
    assert box.status.text() == ""


def test_other_objects_are_spared(make: Any, qtbot: Any) -> None:
    truth = ball()
    box, host = make(truth)
    host.give(7, (12,), truth[12] & (np.arange(SIZE) < 32))
    other = host.objects.data == 7
    host.give(1, (10,), truth[10])
    host.show((10,))
    run(qtbot, box)
    click(qtbot, box.planes.accept_button)
    assert np.array_equal(host.objects.data == 7, other)
    assert (host.objects.data == 1)[12].sum() == (truth[12] & ~other[12]).sum()
    assert f"{int(other.sum())} pixels belong to other objects" in box.status.text()


def test_cancel_keeps_what_is_done(make: Any, qtbot: Any) -> None:
    truth = np.repeat(ball()[10:11], COUNT, axis=0)
    box, host = make(truth)
    host.give(1, (10,), truth[10])
    host.show((10,))
    answered = threading.Event()
    inner = host.prompter.decode

    def decode(*args: Any, **options: Any) -> Candidates:
        if len(host.prompter.decoded) == 4:
            answered.set()
            host.prompter.gate.clear()
        return inner(*args, **options)

    host.prompter.decode = decode
    click(qtbot, box.run_button)
    assert box.run_button.text() == "Cancel"
    assert not box.form.isEnabled()
    qtbot.waitUntil(answered.is_set, timeout=WAIT)
    click(qtbot, box.run_button)
    host.prompter.gate.set()
    qtbot.waitUntil(lambda: not box.busy, timeout=WAIT)
    found = box.planes.found
    assert found is not None
    assert not found.complete
    assert 1 < len(found) < COUNT
    assert box.status.text().startswith("Cancelled: z ")
    assert box.run_button.text() == "Propagate"


@pytest.mark.parametrize(
    ("axes", "order", "rotate"), [("ZYX", (0, 2, 1), 20), ("YZX", (1, 0, 2), 0)]
)
def test_turned_and_scaled_stacks_with_rolled_axes(
    make: Any, qtbot: Any, axes: str, order: tuple[int, ...], rotate: float
) -> None:
    moved = ["ZYX".index(letter) for letter in axes]
    truth = ball().transpose(moved)
    scale, translate = np.array([2, 0.5, 0.5])[moved], np.array([3, 1, 2])
    box, host = make(truth, axes=axes, scale=scale, translate=translate, rotate=rotate)
    host.viewer.dims.order = order
    host.give(2, (10,), ball()[10])
    host.show((10,))
    run(qtbot, box)
    layer = box.preview.layer
    assert layer is not None
    # A voxel of the preview lies where the same voxel of the objects lies.
    at = np.argwhere(layer.data)[0]
    there = np.round(host.objects.world_to_data(layer.data_to_world(at))).astype(int)
    assert truth[tuple(there)]
    click(qtbot, box.planes.accept_button)
    painted = host.objects.data == 2
    assert (painted & truth).sum() / (painted | truth).sum() > 0.95


def test_the_axis_is_chosen_where_there_are_several(make: Any, qtbot: Any) -> None:
    stack = np.zeros((3, 2, COUNT, SIZE, SIZE), np.float32)
    truth = ball()
    stack[1] = truth
    box, host = make(stack, axes="TCZYX")
    assert [box.form.axis.itemData(i) for i in range(box.form.axis.count())] == ["Z", "T"]
    host.give(5, (1, 10), truth[10])
    host.show((1, 10))
    run(qtbot, box)
    click(qtbot, box.planes.accept_button)
    painted = np.squeeze(host.objects.data)
    assert painted.shape == (3, COUNT, SIZE, SIZE)
    assert not painted[[0, 2]].any()
    assert (painted[1] > 0).sum() > 0.95 * truth.sum()
    box.form.axis.choose("T")
    run(qtbot, box)
    assert "Not found on any other plane" in box.status.text()
    assert "Before: t 0: nothing was found." in box.status.text()


def test_planes_are_shown_on_a_click(make: Any, qtbot: Any) -> None:
    truth = ball()
    box, host = make(truth, scale=(3, 0.5, 0.5), translate=(5, 0, 0))
    host.give(1, (10,), truth[10])
    host.show((10,))
    run(qtbot, box)
    strip = box.planes.strip
    qtbot.waitUntil(lambda: strip.width() > 50, timeout=WAIT)
    at = strip.place_of(5)
    qtbot.mouseClick(strip, LEFT, pos=QPoint(round(at.x()), round(at.y())))
    assert host.place.plane() == (5,)
    click(qtbot, box.planes.weakest_button)
    found = box.planes.found
    assert found is not None
    assert host.place.plane() == (found.weakest(),)


def test_all_planes_of_the_object_or_the_shown_one(make: Any, qtbot: Any) -> None:
    truth = ball()
    box, host = make(truth)
    host.give(1, (5,), truth[5])
    host.give(1, (14,), truth[14])
    host.show((5,))
    run(qtbot, box)
    found = box.planes.found
    assert found is not None
    assert [k for k, s in found.sections.items() if s.kind == "given"] == [5, 14]
    box.form.start_from.choose(True)
    run(qtbot, box)
    found = box.planes.found
    assert found is not None
    assert [k for k, s in found.sections.items() if s.kind == "given"] == [5]


def test_it_says_what_is_missing(make: Any, qtbot: Any) -> None:
    truth = ball()
    box, host = make(truth)
    host.show((10,))
    host.objects.selected_label = 4
    run(qtbot, box)
    assert "Object 4 has no pixels here" in box.status.text()
    host.objects.selected_label = 0
    run(qtbot, box)
    assert "got label 0 (nothing)" in box.status.text()
    session, host.running = host.running, None
    box.refresh()
    assert not box.run_button.isEnabled()
    assert box.run_button.toolTip() == "Press Start first."
    host.running = session
    host.give(4, (10,), truth[10])
    host.prompter.error = RuntimeError("a broken network")
    box.refresh()
    with qtbot.capture_exceptions():
        run(qtbot, box)
    assert "Failed" in box.status.text()
    host.prompter.error = None
    run(qtbot, box)
    assert box.planes.found is not None


def test_closing_takes_the_preview_away(make: Any, qtbot: Any) -> None:
    truth = ball()
    box, host = make(truth)
    host.give(1, (10,), truth[10])
    host.show((10,))
    run(qtbot, box)
    box.close()
    QApplication.processEvents()
    assert [x.name for x in host.viewer.layers] == ["stack", "objects"]
    host.show((3,))
