"""One process, then workers of a local Dask cluster: the same picture, and what a cluster costs.

A picture made of validation fields lies on disk as Zarr, chunked, and is segmented with the
built-in model into OME-Zarr. Models are loaded, and workers started, before the time begins. All
contenders have all cores: workers share them.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from ._common import Result, Row, command
from ._processes import Measured, Meter, measure
from .scaling import OVERLAP, TILE, write_picture

SIZE = 4096
WORKERS = (0, 1, 2)


def run(options: argparse.Namespace) -> Result:
    """Measure one process, and each number of workers."""
    size = 1024 if options.smoke else min(options.size or SIZE, SIZE)
    rows, alone = [], None
    with tempfile.TemporaryDirectory() as folder:
        path = write_picture(Path(folder) / "field.zarr", size)
        for count in WORKERS:
            output = Path(folder) / str(count)
            found = measure(segment, path=str(path), output=str(output), workers=count)
            alone = alone or found
            name = f"{count} worker{'s' * (count > 1)}" if count else "one process"
            rows.append(Row.of(name, found, _notes(found, alone), count == 0))
    remark = f"{size}² px; tiles of {TILE} px, overlap {OVERLAP} px; memory is the client's"
    return Result("workers of a local cluster", rows, [remark])


def _notes(found: Measured, alone: Measured) -> str:
    if found.failure:
        return ""
    same = found.extras["labels"] == alone.extras["labels"]
    return (
        f"{found.extras['tiles']} tiles; {found.extras['seconds_saving']:.1f} s of it saving; "
        f"labels are {'the same' if same else 'OTHERS'}"
    )


def segment(meter: Meter, path: str, output: str, workers: int) -> dict[str, Any]:
    """One contender; 0 workers is this process alone."""
    import zarr

    from napari_instseg.cluster import connect
    from napari_instseg.file_run import FileRun
    from napari_instseg.hands import OWN_HANDS, Hands
    from napari_instseg.io.images import read_image
    from napari_instseg.models.registry import load_for
    from napari_instseg.ops.axes import Image
    from napari_instseg.settings import Settings

    settings = Settings(
        limits=((0, 255),),
        tile_size=TILE,
        overlap=OVERLAP,
        outputs=("instances",),
        device="cpu",
        batch_size=1,
    )
    image = read_image(path)
    with ExitStack() as stack:
        hands: Hands = OWN_HANDS
        if workers:
            cluster = stack.enter_context(connect("local", workers))
            hands, model = cluster, cluster.load(settings)
        else:
            model = load_for(settings)
        # Enough small tiles that every worker has loaded its model.
        corner = Image(np.asarray(image.data[:1024, :1024]), "YX")
        small = settings.replace(tile_size=256, overlap=0)
        with FileRun(corner, model, small, Path(output) / "warm", hands=hands) as work:
            for _ in work:
                pass
        meter.start()
        with meter.work(), FileRun(image, model, settings, Path(output), hands=hands) as work:
            for progress in work:
                tiles = progress.total
            begin = time.perf_counter()
            _, files = work.save()
            saving = time.perf_counter() - begin
    # Not the files: scores in them may differ in the last digit with the number of threads.
    labels = zarr.open_array(files[0] / "0", mode="r")
    digest = hashlib.sha256()
    for top in range(0, labels.shape[0], TILE):
        digest.update(np.asarray(labels[top : top + TILE]).tobytes())
    return {"tiles": tiles, "seconds_saving": saving, "labels": digest.hexdigest()}


if __name__ == "__main__":
    command(run, __doc__)
