"""Make docs/images/*.png: napari's window after a run on each sample, and the list of models.

Run by 'make docs-images'. Without a display: xvfb-run -a -s "-screen 0 1600x1000x24".
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import napari
import numpy as np
from PIL import Image as Picture
from qtpy.QtGui import QImage, QPainter
from qtpy.QtWidgets import QApplication
from scipy import ndimage

import napari_instseg as nis
from napari_instseg.gui.batch_widget import BatchWidget
from napari_instseg.gui.evaluate_widget import EvaluateWidget
from napari_instseg.gui.everything_widget import EverythingWidget
from napari_instseg.gui.prompt.widget import PromptWidget
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.models.registry import find
from napari_instseg.promptable import ON

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SAMPLES = Path(__file__).parents[1] / "src" / "napari_instseg" / "data"
#: Validation images with their truth, and the one of them that is shown.
DATA = (
    Path(
        os.environ.get("NAPARI_INSTSEG_DATA")
        or Path(__file__).parents[2] / "shared" / "data" / "dsb2018"
    )
    / "val"
)
HELD_OUT = "00ae65c1c663"
SIZE = (1360, 860)
PLUGIN = "napari-instseg"
PATIENCE_S = 300


def wait(until: Callable[[], bool], patience: float = PATIENCE_S) -> None:
    end = time.monotonic() + patience
    while not until():
        if time.monotonic() > end:
            raise TimeoutError("the run did not end")
        QApplication.processEvents()
        time.sleep(0.01)


def rest(seconds: float) -> None:
    """Let the window draw itself."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def fill_canvas(viewer: napari.Viewer) -> None:
    """Show the image as large as the canvas, without black bars."""
    viewer.reset_view()
    rest(0.5)
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    height, width = viewer.layers[0].data.shape[:2]
    canvas = viewer.screenshot(canvas_only=True, flash=False).shape
    camera.zoom = max(canvas[0] / height, canvas[1] / width)
    rest(0.5)


def show(sample: str, make: Callable[[napari.Viewer], Any], name: str) -> tuple[Any, Any]:
    """Open napari with a sample and a dock; return both."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    viewer.open_sample(PLUGIN, sample)
    dock = make(viewer)
    viewer.window.add_dock_widget(dock, name=name, area="right")
    return viewer, dock


def run_twice(dock: Any) -> None:
    """Press Run; the second time tells what a run takes once the model is loaded."""
    for _ in range(2):
        dock.run_button.click()
        wait(lambda: dock.worker is None)


def shoot(viewer: napari.Viewer, file: str, said: str) -> None:
    """Keep a picture of the window."""
    rest(1)
    print(f"{file}: {said}")
    viewer.screenshot(str(IMAGES / file), canvas_only=False, flash=False)


def close(viewer: napari.Viewer) -> None:
    viewer.close()
    rest(0.2)


def picture(sample: str, file: str, output: str, *, more: bool = False, contour: int = 0) -> None:
    viewer, dock = show(sample, SegmentWidget, "Segment")
    if more:
        dock.form.more.expand(animate=False)
    run_twice(dock)
    for layer in viewer.layers[1:]:
        layer.visible = layer.name.endswith(output)
        layer.contour = contour
        layer.opacity = 1 if contour else 0.55
    viewer.layers.selection.active = viewer.layers[f"{sample} {output}"]
    fill_canvas(viewer)
    shoot(viewer, file, dock.status.text())
    close(viewer)


def everything(sample: str, file: str) -> None:
    """The Segment everything dock after a run."""
    viewer, dock = show(sample, EverythingWidget, "Segment everything")
    dock.form.source.choose("grid")
    run_twice(dock)
    viewer.layers[-1].opacity = 0.55
    fill_canvas(viewer)
    shoot(viewer, file, f"{dock.status.text()} {dock.warnings.text()}")
    close(viewer)


def batch(file: str) -> None:
    """The Batch dock after a run on pieces of the samples and a broken file; one is open."""
    # Names are short there.
    with TemporaryDirectory() as folder, chdir(folder):
        plate, edge = Path("plate"), 176
        plate.mkdir()
        for name in ("fluorescence", "histology"):
            pixels = np.asarray(Picture.open(SAMPLES / f"{name}.png"))
            for i, (top, left) in enumerate(((0, 0), (0, 70), (70, 0))):
                piece = pixels[top : top + edge, left : left + edge]
                Picture.fromarray(piece).save(plate / f"{name}-{i + 1}.png")
        (plate / "half-copied.png").write_bytes((SAMPLES / "histology.png").read_bytes()[:5000])
        viewer = napari.Viewer(show=True)
        viewer.window.resize(*SIZE)
        dock = BatchWidget(viewer)
        viewer.window.add_dock_widget(dock, name="Batch", area="right")
        dock.form.add([str(plate)])
        dock.form.folder.path.setText("results")
        wait(lambda: dock.table.rowCount() == 7 and dock.listing.worker is None)
        rest(1)
        dock.run_button.click()
        wait(lambda: dock.worker is None)
        dock.view.opened.emit(0)
        wait(lambda: len(viewer.layers) == 4 and dock.opening.worker is None)
        fill_canvas(viewer)
        shoot(viewer, file, dock.status.text())
        close(viewer)


def picker(file: str, words: str) -> None:
    """The list of models over the window, after a search."""
    viewer, dock = show("fluorescence", SegmentWidget, "Segment")
    fill_canvas(viewer)
    choice = dock.form.model
    choice.field.showPopup()
    rest(0.5)
    choice.popup.models.search.setText(words)
    rest(1)
    # A window of its own, which a picture of napari's leaves out.
    over, window = choice.popup.grab().toImage(), choice.window()
    where = choice.popup.geometry().topLeft() - window.geometry().topLeft()
    canvas = viewer.screenshot(canvas_only=False, flash=False)
    height, width, _ = canvas.shape
    picture = QImage(canvas.tobytes(), width, height, QImage.Format.Format_RGBA8888)
    painter = QPainter(picture)
    painter.drawImage(where, over)
    painter.end()
    picture.save(str(IMAGES / file))
    print(f"{file}: {len(choice.popup.models.shown())} models with {words!r}")
    choice.popup.hide()
    close(viewer)


def prompts(file: str) -> None:
    """The Prompt dock: some objects are accepted, three more wait for it."""
    viewer, dock = show("fluorescence", PromptWidget, "Prompt (Segment Anything)")
    image = viewer.layers[0]
    fill_canvas(viewer)
    dock.start()
    wait(lambda: dock.running is not None)
    prompting = dock.running.prompting
    middle = np.array(image.data.shape) / 2
    bright, count = ndimage.label(image.data > image.data.mean() + image.data.std())
    spots = np.array(ndimage.center_of_mass(bright > 0, bright, range(1, count + 1)))
    areas = np.bincount(bright.ravel())[1:]
    large = areas > areas.mean() / 2
    spots = spots[large][np.argsort(np.hypot(*(spots[large] - middle).T))]
    for batch in (spots[:8], spots[8:11]):
        prompting.accept()
        for spot in batch:
            prompting.click(np.array(image.data_to_world(spot)), ON, another=True)
        wait(lambda: len(prompting.drafts) > 0 and not prompting.drafts.unanswered())
    shoot(viewer, file, dock.status.text())
    dock.close()
    close(viewer)


def evaluation(file: str) -> None:
    """The Evaluate dock at an error of the built-in model, in an image with its truth."""
    if not DATA.is_dir():
        print(f"{file} is left as it is: no {DATA}, see NAPARI_INSTSEG_DATA")
        return
    pixels = np.asarray(Picture.open(DATA / "images" / f"{HELD_OUT}.png"))[..., :3]
    # Before the window opens: torchvision and some of Mesa's drivers clash (`gui.holder`).
    result = nis.segment(nis.Image(pixels, "YXS", name="nuclei"))
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    viewer.add_image(pixels, name="nuclei")
    truth = np.asarray(Picture.open(DATA / "labels" / f"{HELD_OUT}.png")).astype(np.int32)
    viewer.add_labels(truth, name="truth", visible=False)
    for found in result.add_to(viewer):
        found.visible = False
    dock = EvaluateWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Evaluate", area="right")
    dock.form.predicted.choose(viewer.layers["nuclei instances"].unique_id)
    dock.form.truth.choose(viewer.layers["truth"].unique_id)
    dock.run_button.click()
    wait(lambda: dock.task.worker is None)
    fill_canvas(viewer)
    for _ in range(12):
        dock.errors.next_button.click()
    shoot(viewer, file, f"AP {dock.scores.value_of('AP at IoU 0.5')}")
    dock.close()
    close(viewer)


def main() -> None:
    missing = find("nuclei").missing()
    if missing:
        sys.exit(f"the built-in model {missing}")
    IMAGES.mkdir(parents=True, exist_ok=True)
    picture("fluorescence", "fluorescence.png", "instances")
    picture("histology", "histology.png", "instances", more=True, contour=2)
    picture("fluorescence", "panoptic.png", "panoptic")
    picker("models.png", "mask 50 fpn")
    prompts("prompts.png")
    everything("fluorescence", "everything.png")
    batch("batch.png")
    evaluation("evaluate.png")


if __name__ == "__main__":
    main()
