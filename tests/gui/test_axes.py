"""What a layer's dimensions are taken for, how the user says otherwise, and what follows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import napari.layers
import numpy as np
import pytest
import tifffile
import zarr
from gui.clicks import WAIT, click
from gui.fakes import FakeModel, squares
from napari.layers._source import layer_source

from napari_instseg.gui.axes import choose_axis, layer_axes
from napari_instseg.gui.axes_form import AxesForm
from napari_instseg.gui.everything_widget import EverythingWidget
from napari_instseg.gui.geometry import Origin, Placement
from napari_instseg.gui.layers import image_from_layer
from napari_instseg.gui.links import AXES_KEY
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.ops.axis_names import CHOSEN, FILE, GUESSED, LABELS, OME

SIZES = dict(zip("TZCYX", (2, 4, 3, 8, 9), strict=True))


def image_layer(*shape: int, **options: Any) -> napari.layers.Image:
    return napari.layers.Image(np.zeros(shape, np.uint8), **options)


@pytest.mark.parametrize(
    ("shape", "labels", "expected"),
    [
        ((8, 9), None, "YX"),
        ((5, 8, 9), None, "ZYX"),
        ((2, 5, 8, 9), None, "TZYX"),
        ((2, 5, 3, 8, 9), None, "TZCYX"),
        ((2, 2, 5, 3, 8, 9), None, "PTZCYX"),
        ((3, 8, 9), ("c", "y", "x"), "CYX"),
        ((3, 8, 9), ("Channel", "row", "column"), "CYX"),
        ((4, 8, 9), ("time", "y", "x"), "TYX"),
        ((4, 8, 9), ("time", "-2", "-1"), "TYX"),
        ((4, 8, 9), ("position", "y", "x"), "PYX"),
        ((4, 5, 8, 9), ("z", "foo", "y", "x"), "ZTYX"),
        ((8, 9, 3), ("y", "x", "channel"), "YXC"),
        ((8, 9), ("x", "y"), "XY"),
        ((3, 8, 9), ("y", "y", "x"), "ZYX"),
    ],
)
def test_axes_come_from_labels_and_the_rest_is_guessed(
    shape: tuple[int, ...], labels: tuple[str, ...] | None, expected: str
) -> None:
    named = layer_axes(image_layer(*shape, axis_labels=labels))
    assert named.letters == expected
    assert set(named.sources) == set(expected)
    assert set(named.sources.values()) <= {LABELS, GUESSED}


def test_rgb_gets_a_sample_axis() -> None:
    layer = image_layer(4, 8, 9, 3, rgb=True, axis_labels=("t", "y", "x"))
    assert layer_axes(layer).letters == "TYXS"
    assert layer_axes(image_layer(8, 9, 4, rgb=True)).letters == "YXS"
    assert layer_axes(image_layer(2, 5, 6, 8, 9, 3, rgb=True)).letters == "PTZYXS"
    # Colour pictures have no other channels.
    channels = image_layer(4, 8, 9, 3, rgb=True, axis_labels=("c", "y", "x"))
    assert layer_axes(channels).letters == "PYXS"
    assert image_from_layer(layer).channel_count == 3


class TestFiles:
    """Layers as readers make them: pixels, and the path that they came from."""

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Callable[..., napari.layers.Image]:
        def open_layer(
            axes: str, kind: str = "ome", keep: str = "", **options: Any
        ) -> napari.layers.Image:
            data = np.zeros([SIZES[a] for a in axes], np.uint8)
            path = tmp_path / "a.ome.tif"
            metadata = {"axes": axes} if kind != "plain" else None
            how = {"ome": kind == "ome", "imagej": kind == "imagej"}
            tifffile.imwrite(path, data, photometric="minisblack", metadata=metadata, **how)
            shape = [SIZES[a] for a in keep or axes]
            with layer_source(path=str(path), reader_plugin="napari"):
                return image_layer(*shape, **options)

        return open_layer

    @pytest.mark.parametrize("axes", ["TZCYX", "CTZYX", "ZCTYX", "TYX", "CYX", "CZYX", "ZYX"])
    def test_ome_tiff(self, opened: Any, axes: str) -> None:
        named = layer_axes(opened(axes))
        assert named.letters == axes
        assert set(named.sources.values()) == {OME}

    def test_channels_that_became_layers(self, opened: Any) -> None:
        assert layer_axes(opened("TCYX", keep="TYX")).letters == "TYX"

    def test_labels_are_surer_than_files_and_users_surer_than_both(self, opened: Any) -> None:
        layer = opened("TZYX", axis_labels=("p", "-3", "-2", "-1"))
        assert layer_axes(layer).letters == "PZYX"
        assert layer_axes(layer).sources == {"P": LABELS, "Z": OME, "Y": OME, "X": OME}
        choose_axis(layer, 1, "C")
        assert layer_axes(layer).letters == "PCYX"
        assert layer_axes(layer).sources["C"] == CHOSEN

    def test_other_files(self, opened: Any) -> None:
        assert layer_axes(opened("TZCYX", "imagej")).letters == "TZCYX"
        assert layer_axes(opened("TYX", "shaped")).sources["T"] == FILE
        assert layer_axes(opened("TYX", "plain")).sources["Z"] == GUESSED
        # Pixels that are not the file's: nothing is known of them.
        assert layer_axes(opened("TYX", keep="ZYX")).sources["Z"] == GUESSED

    def test_damaged_and_missing_files_say_nothing(self, tmp_path: Path) -> None:
        for name in ("a.tif", "none.tif"):
            (tmp_path / "a.tif").write_bytes(b"II*\0 no TIFF")
            with layer_source(path=str(tmp_path / name)):
                assert layer_axes(image_layer(4, 8, 9)).sources["Z"] == GUESSED

    def test_ome_zarr(self, tmp_path: Path) -> None:
        group = zarr.open_group(tmp_path / "a.zarr", mode="w")
        group.create_array("0", data=np.zeros((2, 3, 1, 8, 9), np.uint8))
        kinds = {"t": "time", "dye": "channel", "z": "space", "y": "space", "x": "space"}
        axes = [{"name": name, "type": kind} for name, kind in kinds.items()]
        multiscales = [{"axes": axes, "datasets": [{"path": "0"}]}]
        group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
        with layer_source(path=str(tmp_path / "a.zarr")):
            whole, squeezed = image_layer(2, 3, 1, 8, 9), image_layer(2, 8, 9)
        assert layer_axes(whole).letters == "TCZYX"
        assert layer_axes(squeezed).letters == "TYX"
        assert layer_axes(squeezed).sources["T"] == OME

    @pytest.mark.parametrize(
        "metadata",
        [
            {"axes": "TCYX"},
            {"axis_labels": ["time", "channel", "y", "x"]},
            {"axes": [{"name": name} for name in "tcyx"]},
        ],
    )
    def test_metadata_of_readers(self, metadata: dict[str, Any]) -> None:
        named = layer_axes(image_layer(2, 3, 8, 9, metadata=metadata))
        assert (named.letters, named.sources["T"]) == ("TCYX", FILE)
        # A layer of each channel.
        assert layer_axes(image_layer(2, 8, 9, metadata=metadata)).letters == "TYX"


def test_two_dimensions_change_places() -> None:
    layer = image_layer(2, 5, 8, 9)
    choose_axis(layer, 0, "Z")
    assert layer_axes(layer).letters == "ZTYX"
    choose_axis(layer, 1, "Y")
    assert layer_axes(layer).letters == "ZYTX"
    assert set(layer_axes(layer).sources.values()) == {CHOSEN, GUESSED}
    # Other pixels of another kind: what was chosen does not fit any more.
    layer.data = np.zeros((5, 8, 9), np.uint8)
    assert layer_axes(layer).sources["Z"] == GUESSED


@pytest.mark.parametrize("axes", ["".join(p) for p in itertools.permutations("TCZYX")])
def test_labels_of_every_order_lie_on_their_layer(axes: str) -> None:
    """In whatever order, a label image gets the layer's dimensions, with one channel."""
    layer = image_layer(*(SIZES[a] for a in axes), axis_labels=tuple(axes.lower()))
    image = image_from_layer(layer)
    assert image.axes == axes
    where = np.indices(image.label_shape)
    place = Placement(layer, Origin(axes))
    kept = axes.removeprefix("C")
    for letter, index in zip(image.label_axes, where, strict=True):
        arranged = place.arrange(index, image.label_axes)
        assert arranged.shape == tuple(1 if a == "C" else SIZES[a] for a in kept)
        along = np.moveaxis(arranged, kept.index(letter), -1)
        np.testing.assert_array_equal(along.reshape(-1, SIZES[letter])[0], range(SIZES[letter]))


class TestForm:
    @pytest.fixture
    def form(self, qtbot: Any) -> AxesForm:
        form = AxesForm()
        qtbot.addWidget(form)
        return form

    def pick(self, form: AxesForm, dimension: int, letter: str) -> None:
        """As a user does it: the choice tells, also if it is what was shown."""
        choice = form.choices[dimension]
        choice.choose(letter)
        choice.activated.emit(choice.currentIndex())

    def shown(self, form: AxesForm) -> list[str]:
        return [c.currentText() for c in form.choices if not c.parentWidget().isHidden()]

    def test_only_planes_are_shown(self, form: AxesForm) -> None:
        assert form.isHidden()
        form.show_layer(image_layer(2, 5, 8, 9))
        assert self.shown(form) == ["time-lapse (T)", "z-stack (Z)"]
        assert form.source.text().startswith("⚠ guessed from the number of dimensions")
        form.show_layer(image_layer(5, 8, 9, axis_labels=("c", "y", "x")))
        assert self.shown(form) == ["channels (C)"]
        assert form.source.text() == "from the layer's axis labels"
        form.show_layer(image_layer(8, 9))
        assert form.isHidden()

    def test_a_choice_is_remembered_and_told(self, form: AxesForm, qtbot: Any) -> None:
        layer = image_layer(5, 8, 9)
        form.show_layer(layer)
        with qtbot.waitSignal(form.changed):
            self.pick(form, 0, "P")
        assert self.shown(form) == ["separate images (P)"]
        assert form.source.text() == "chosen by you"
        form.show_layer(image_layer(5, 8, 9))
        assert self.shown(form) == ["z-stack (Z)"]
        # To pick what is shown makes it sure.
        self.pick(form, 0, "Z")
        assert form.source.text() == "chosen by you"
        form.show_layer(layer)
        assert self.shown(form) == ["separate images (P)"]

    def test_every_order_can_be_reached(self, form: AxesForm) -> None:
        """By picking in rows that are shown, one after the other."""
        layer = image_layer(3, 4, 8, 9)
        form.show_layer(layer)
        seen, waiting = {"CZYX"}, ["CZYX"]
        while waiting:
            state = waiting.pop()
            for i in (i for i, letter in enumerate(state) if letter in "CZ"):
                for wanted in "CZYX":
                    layer.metadata = {AXES_KEY: tuple(state)}
                    self.pick(form, i, wanted)
                    found = layer_axes(layer).letters
                    waiting += {found} - seen
                    seen.add(found)
        assert seen == {"".join(order) for order in itertools.permutations("ZCYX")}

    def test_it_follows_labels_and_other_docks(self, form: AxesForm) -> None:
        layer = image_layer(5, 8, 9)
        form.show_layer(layer)
        layer.axis_labels = ("t", "y", "x")
        assert self.shown(form) == ["time-lapse (T)"]
        choose_axis(layer, 0, "C")
        assert self.shown(form) == ["channels (C)"]
        form.show_layer(None)
        choose_axis(layer, 0, "Z")
        assert form.isHidden()

    def test_several_separate_dimensions_have_letters_of_their_own(self, form: AxesForm) -> None:
        layer = image_layer(2, 5, 8, 9)
        form.show_layer(layer)
        for i in range(2):
            separate = next(
                form.choices[i].itemData(k)
                for k in range(6)
                if "separate" in form.choices[i].itemText(k)
            )
            self.pick(form, i, separate)
        assert layer_axes(layer).letters == "PQYX"

    def test_colour_pictures_have_no_other_channels(self, form: AxesForm) -> None:
        form.show_layer(image_layer(2, 8, 9, 3, rgb=True))
        offered = [form.choices[0].itemData(k) for k in range(form.choices[0].count())]
        assert offered == ["Z", "T", "P", "Y", "X"]


def test_from_a_guess_to_a_run_on_what_the_user_said(
    viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any, tmp_path: Path
) -> None:
    other = EverythingWidget(viewer)
    viewer.window.add_dock_widget(other, name="Everything", area="left")
    form, more = dock.form, dock.form.more
    layer = viewer.add_image(np.stack([squares(2, 2), squares(2, 3, 16), squares(2, 2)][::2]))
    choice = more.axes.choices[0]
    assert choice.isVisible()
    assert "guessed" in more.axes.source.text()
    assert not more.stack.isHidden()
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert "Z (z-stack, 2) was guessed from the number of dimensions" in dock.warnings.text()

    # A time-lapse: no objects through Z, and nothing is guessed any more.
    choice.choose("T")
    choice.activated.emit(choice.currentIndex())
    assert more.stack.isHidden()
    assert other.form.more.axes.choices[0].currentData() == "T"
    assert other.form.image().axes == "TYX"
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert dock.warnings.text() == ""
    labels = viewer.layers[f"{layer.name} instances"]
    recipe = labels.metadata["napari_instseg"]
    assert (recipe["input"]["axes"], recipe["warnings"]) == ("TYX", [])
    assert set(labels.features["t"]) == {0, 1}

    # Channels: they are offered like those of any image, and labels have no such dimension.
    assert more.channel.count() == 1
    assert other.form.region.findText("All planes") >= 0
    choose_axis(layer, 0, "C")
    assert [more.channel.itemText(i) for i in range(more.channel.count())] == ["All", "0", "1"]
    assert other.form.region.findText("All planes") < 0
    more.channel.choose(1)
    assert form.settings().channels == (1,)
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert viewer.layers[f"{layer.name} instances"].data.shape == (32, 32)
    assert form.minimumSizeHint().width() + 16 <= dock.minimumWidth()

    # What napari's own reader leaves out, the file tells.
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        np.stack([squares(2, 2)] * 3),
        photometric="minisblack",
        metadata={"axes": "TYX"},
    )
    viewer.open(tmp_path / "a.ome.tif", plugin="napari")
    assert (form.image().axes, more.axes.source.text()) == ("TYX", "from OME metadata")
    assert more.stack.isHidden()
