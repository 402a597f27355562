"""The demo: the built-in model on the two sample images in the package."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .segmentation import Segmentation

DATA = Path(__file__).parent / "data"
#: Sample images, and the sub-folder for the results of each.
SAMPLES = (("fluorescence.png", ""), ("histology.png", "histology"))


def run_demo(
    output: Path = Path("instseg-demo"), *, device: str = "auto", viewer: bool = True
) -> list[Segmentation]:
    """Segment the sample images, write the results, say what was found, and show it.

    Parameters
    ----------
    output : Path
        Gets ``instances.tif``, ``semantic.tif``, ``panoptic.tif``, ``segments.csv``,
        ``recipe.json`` and ``overlay.png`` of the fluorescence image; the same of the H&E
        image go to its sub-folder ``histology``. Older results are replaced.
    device : str
        "auto" or a torch device.
    viewer : bool
        Open napari where it is installed and there is a screen; returns when it is closed.

    Returns
    -------
    list of Segmentation
        Of each sample.

    Raises
    ------
    InstsegError
        If the model or the device cannot be used.
    """
    from .api import load_model, segment
    from .io.images import read_image
    from .io.overlay import write_overlay
    from .ops.intensity import map_intensity

    model = load_model("nuclei", device)
    results: list[Segmentation] = []
    for file, folder in SAMPLES:
        image = read_image(DATA / file)
        begin = time.perf_counter()
        result = segment(image, model, device=device)
        seconds = time.perf_counter() - begin
        results.append(result)
        result.save(output / folder)
        height, width = image.label_shape
        plane = image.read((), slice(0, height), slice(0, width))
        rgb = map_intensity(image, result.settings).apply(plane)
        write_overlay(output / folder / "overlay.png", rgb, result.instances)
        print(f"{image.name}: {result.count} nuclei in {seconds:.1f} s on {model.segmenter.device}")
        for warning in result.warnings:
            print(f"  {warning}")
    print(f"Results are in {output.resolve()}; look at overlay.png first.")
    if viewer:
        reason = why_no_viewer()
        print("Close the napari window to end." if not reason else f"napari stays shut: {reason}.")
        if not reason:
            from .gui.show import show

            show(results)
    return results


def why_no_viewer() -> str:
    """Return "" if napari can be opened, else why it cannot."""
    if find_spec("napari") is None:
        return 'it is not installed (pip install "napari-instseg[all]")'
    if not any(find_spec(name) for name in ("PyQt6", "PySide6", "PyQt5", "PySide2")):
        return 'it has no Qt (pip install "napari-instseg[all]")'
    linux = sys.platform not in ("win32", "darwin")
    if linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    return ""
