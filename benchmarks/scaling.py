"""From 4 to 256 megapixels: seconds and memory of a run that writes as it goes.

Pictures made of validation fields lie on disk as Zarr, chunked. Each is segmented with the
built-in model in a process of its own into OME-Zarr label images, table and recipe, as
``napari-instseg segment FIELD.zarr --output DIR`` does. Memory is counted from when the model is
loaded and has seen one tile: the peak of the run, which is the network's at work on its densest
tile, and the peak of all that lies outside the network's calls. The bare model is the time within
these calls, tiles already read, in the same run: what lies beyond it is reading, merging, painting
and writing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from ._common import Result, Row, command
from ._picture import Mosaic
from ._processes import Measured, Meter, measure

SIZES = (2048, 4096, 8192, 16384)
OUTPUTS = ("instances",)
CHUNK, TILE, OVERLAP = 1024, 1024, 128


def run(options: argparse.Namespace) -> Result:
    """Measure each size."""
    sizes: tuple[int, ...] = SIZES
    if options.smoke:
        sizes = (512, 1024)
    elif options.size:
        sizes = tuple(size for size in SIZES if size <= options.size)
    rows, first = [], None
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            path = write_picture(Path(folder) / f"{size}.zarr", size)
            found = measure(segment, path=str(path), output=str(Path(folder) / str(size)))
            first = first or found
            rows.append(Row.of(f"{size}²", found, _notes(found, size, first), size == sizes[0]))
    source = Mosaic(sizes[0]).source
    remark = f"pictures of {source}; tiles of {TILE} px, overlap {OVERLAP} px"
    return Result("a run that writes as it goes", rows, [remark])


def write_picture(path: Path, size: int) -> Path:
    """Write a picture of so many pixels a side as a chunked Zarr array."""
    import zarr

    picture = Mosaic(size)
    array = zarr.create_array(path, shape=picture.shape, chunks=(CHUNK, CHUNK), dtype="uint8")
    for top in range(0, size, CHUNK):
        array[top : top + CHUNK] = picture[top : min(top + CHUNK, size), 0:size]
    return path


def _notes(found: Measured, size: int, first: Measured) -> str:
    if found.failure:
        return ""
    about, pixels = found.extras, size**2 / 1e6
    model = about["model_cpu"]
    per_pixel = found.cpu_seconds / pixels
    # Without what it takes to tell the network's memory from the run's own.
    work = found.cpu_seconds - about["watching_cpu"]
    begin = first.cpu_seconds / first.extras["megapixels"]
    return (
        f"{pixels:.0f} MP, {about['objects']} objects; {per_pixel:.2f} CPU s a MP "
        f"(x {per_pixel / begin:.2f}), beyond the bare model {work / model - 1:+.1%}: "
        f"putting together {about['save_cpu'] / pixels:.3f} s a MP; {about['own']:.0f} MiB "
        "outside the network"
    )


def segment(meter: Meter, path: str, output: str) -> dict[str, Any]:
    """One size."""
    import numpy as np
    import zarr

    from napari_instseg.file_run import FileRun
    from napari_instseg.heap import trim
    from napari_instseg.models.registry import load
    from napari_instseg.ops.axes import Image
    from napari_instseg.settings import Settings

    model = load("nuclei", "cpu")
    find, spent, watching, own = model.segmenter.segment, [0.0], [0.0], [0.0]

    def timed(tiles: Any) -> Any:
        own[0] = max(own[0], meter.peak())
        begin = time.process_time()
        found = find(tiles)
        end = time.process_time()
        spent[0] += end - begin
        # What the network leaves behind is its own.
        trim()
        meter.forget()
        watching[0] += time.process_time() - end
        return found

    model.segmenter.segment = timed  # type: ignore[method-assign]
    settings = Settings(
        limits=((0, 255),), tile_size=TILE, overlap=OVERLAP, outputs=OUTPUTS, device="cpu"
    )
    data = zarr.open_array(path, mode="r")
    image = Image(data, "YX", name="field")
    # The first call of a network also sets up what later ones use.
    corner = Image(np.asarray(data[:TILE, :TILE]), "YX")
    with FileRun(corner, model, settings, Path(output) / "warm") as work:
        for _ in work:
            pass
    trim()
    spent[0], watching[0], own[0] = 0.0, 0.0, 0.0
    meter.start()
    with meter.work(), FileRun(image, model, settings, Path(output)) as work:
        for _ in work:
            pass
        begin = time.process_time()
        result, _ = work.save()
    saved = time.process_time() - begin
    return {
        "own": max(own[0], meter.peak()) - meter.before,
        "objects": result.count,
        "megapixels": data.size / 1e6,
        "model_cpu": spent[0],
        "watching_cpu": watching[0],
        "save_cpu": saved,
    }


if __name__ == "__main__":
    command(run, __doc__)
