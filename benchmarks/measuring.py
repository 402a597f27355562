"""Sizes, shapes and intensities of 20,000 objects, beside scikit-image's `regionprops_table`.

The same properties of the same label image and image of two channels, in one process each. The
last contender reads both from Zarr, chunk by chunk.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._common import Result, Row, command
from ._processes import Meter, measure

SIZE, COUNT = 4096, 20_000
CHUNK = 512
#: Ours, and scikit-image's, which has no smallest Feret diameter.
SAME = {
    "index": "label",
    "area": "area",
    "y": "centroid-0",
    "x": "centroid-1",
    "row_max": "bbox-2",
    "equivalent_diameter": "equivalent_diameter_area",
    "major_axis": "axis_major_length",
    "minor_axis": "axis_minor_length",
    "eccentricity": "eccentricity",
    "perimeter": "perimeter",
    "solidity": "solidity",
    "feret_max": "feret_diameter_max",
    "image_c1_mean": "intensity_mean-1",
    "image_c1_min": "intensity_min-1",
    "image_c1_max": "intensity_max-1",
    "image_c1_sd": "intensity_std-1",
}
QUICK = ("area", "centroid", "bbox", "mean", "min", "max", "sd")


def run(options: argparse.Namespace) -> Result:
    """Measure all contenders."""
    size = options.size or SIZE
    count = round(COUNT * (size / SIZE) ** 2)
    with tempfile.TemporaryDirectory() as folder:
        write_input(Path(folder), size, count)
        common = {"folder": folder, "repeats": options.repeats or 3}
        ours = measure(measure_ours, **common)
        peer = measure(measure_peer, **common)
        stored = measure(measure_ours, **common, stored=True)
        quick = measure(measure_ours, **common, columns=QUICK)
        quick_peer = measure(measure_peer, **common, quick=True)
        found = {path.stem: np.load(path) for path in Path(folder).glob("found-*.npy")}
    rows = [
        Row.of("napari-instseg", ours, "all columns", reference=True),
        Row.of("regionprops_table", peer, "the same, without Feret's smallest diameter"),
        Row.of(f"napari-instseg, Zarr, chunks of {CHUNK}²", stored, "labels and image stay there"),
        Row.of("napari-instseg, size, place and intensity only", quick),
        Row.of("regionprops_table, the same", quick_peer),
    ]
    return Result(f"measuring {count:,} objects on {size}², 2 channels", rows, _remarks(found))


def _remarks(found: dict[str, NDArray[np.float64]]) -> list[str]:
    if len(found) < 3:
        return []
    ours, peer, stored = (found[f"found-{name}"] for name in ("ours", "peer", "stored"))
    apart = [_apart(other, ours) for other in (peer, stored)]
    return [
        f"largest relative difference of any of {ours.size:,} numbers: {apart[0]:.1e} to "
        f"scikit-image, {apart[1]:.1e} between memory and chunks"
    ]


def _apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float((np.abs(a - b) / np.maximum(np.abs(b), 1e-3)).max())


def write_input(folder: Path, size: int, count: int) -> None:
    """Ellipses of 8 to 24 px, one a cell of a grid, and an image of two channels, also as Zarr."""
    import zarr

    random = np.random.default_rng(0)
    labels = np.zeros((size, size), np.int32)
    columns = int(np.ceil(count**0.5))
    cell = size / columns
    for label, place in enumerate(random.permutation(columns**2)[:count], start=1):
        middle = (np.array(divmod(place, columns)) + random.uniform(0.4, 0.6, 2)) * cell
        radius = random.uniform(0.15, 0.45, 2) * cell
        low = np.maximum(middle - radius, 0).astype(int)
        high = np.minimum(middle + radius + 2, size).astype(int)
        rows, cols = (np.arange(*ends) for ends in zip(low, high, strict=True))
        y = (rows[:, np.newaxis] - middle[0]) / radius[0]
        x = (cols - middle[1]) / radius[1]
        labels[low[0] : high[0], low[1] : high[1]][y**2 + x**2 < 1] = label
    image = random.integers(0, 4096, (size, size, 2), np.uint16)
    for name, array in (("labels", labels), ("image", image)):
        np.save(folder / f"{name}.npy", array)
        chunks = tuple(min(CHUNK, n) for n in array.shape)
        zarr.create_array(str(folder / f"{name}.zarr"), data=array, chunks=chunks)


def _open(folder: str, stored: bool) -> tuple[Any, Any]:
    if stored:
        import zarr

        labels, image = (zarr.open_array(f"{folder}/{n}.zarr") for n in ("labels", "image"))
        return labels, image
    labels, image = (np.load(f"{folder}/{n}.npy") for n in ("labels", "image"))
    return labels, image


# ---------------------------------------------------------------------------------- contenders


def measure_ours(
    meter: Meter,
    folder: str,
    repeats: int,
    stored: bool = False,
    columns: list[str] | None = None,
) -> None:
    """Runs of labels, added up block by block; shapes from each object's crop."""
    from napari_instseg.ops.axes import Image
    from napari_instseg.ops.measuring import measure_labels

    labels, image = _open(folder, stored)
    meter.start()
    for _ in range(repeats):
        with meter.work():
            table = measure_labels(labels, "YX", [Image(image, "YXC")], columns=columns)
    if columns is None:
        name = "stored" if stored else "ours"
        np.save(f"{folder}/found-{name}.npy", table[[*SAME]].to_numpy(np.float64))


def measure_peer(meter: Meter, folder: str, repeats: int, quick: bool = False) -> None:
    """scikit-image, one object after the other."""
    from skimage.measure import regionprops_table

    names = {name.partition("-")[0] for name in SAME.values()}
    if quick:
        kept = ("area", "centroid", "bbox", "label")
        names = {name for name in names if name in kept or name.startswith("intensity")}
    labels, image = _open(folder, False)
    meter.start()
    for _ in range(repeats):
        with meter.work():
            found = regionprops_table(labels, image, properties=sorted(names))
    if not quick:
        columns = [np.asarray(found[name], np.float64) for name in SAME.values()]
        np.save(f"{folder}/found-peer.npy", np.stack(columns, axis=1))


if __name__ == "__main__":
    command(run, __doc__)
