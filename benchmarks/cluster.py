"""One process, then workers of a local Dask cluster: the same picture, and what a cluster costs.

A picture made of validation fields lies on disk as Zarr, chunked, and is segmented with the
built-in model into OME-Zarr. Models are loaded, and workers started, before the time begins. All
contenders have all cores: workers share them.

Cellpose's distributed path runs beside them, where it is installed, with the same network in the
place of Cellpose's own: what is compared is how blocks are shared out and put together.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_instseg.evaluation import match_labels
from napari_instseg.settings import Settings

from ._common import Result, Row, command
from ._processes import Measured, Meter, measure, missing
from .scaling import OVERLAP, TILE, write_picture

SIZE = 4096
WORKERS = (0, 1, 2)
CELLPOSE = "Cellpose's distributed_eval, same network, 2 workers"
NEEDED = ("cellpose", "dask_image", "dask_jobqueue", "cv2", "fastremap", "fill_voids")


def run(options: argparse.Namespace) -> Result:
    """Measure one process, and each number of workers."""
    size = 1024 if options.smoke else min(options.size or SIZE, SIZE)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_picture(Path(folder) / "field.zarr", size)
        truth: NDArray[np.integer[Any]] | None = None
        for count in WORKERS:
            output = Path(folder) / str(count)
            found = measure(segment, path=str(path), output=str(output), workers=count)
            labels = _labels(found)
            truth = labels if truth is None else truth
            name = f"{count} worker{'s' * (count > 1)}" if count else "one process"
            rows.append(Row.of(name, found, _notes(found, labels, truth), count == 0))
        if absent := missing(*NEEDED):
            rows.append(Row(CELLPOSE, failure=absent))
        else:
            found = measure(cellpose, path=str(path), output=str(Path(folder) / "cellpose"))
            rows.append(Row.of(CELLPOSE, found, _notes(found, _labels(found), truth), False))
    remark = (
        f"{size}² px; tiles of {TILE} px, overlap {OVERLAP} px; CPU and memory are the client's; "
        "PQ against one process"
    )
    return Result("workers of a local cluster", rows, [remark])


def _labels(found: Measured) -> NDArray[np.integer[Any]] | None:
    return None if found.failure else np.asarray(zarr.open_array(found.extras["path"])[:])


def _notes(
    found: Measured,
    labels: NDArray[np.integer[Any]] | None,
    truth: NDArray[np.integer[Any]] | None,
) -> str:
    if labels is None or truth is None:
        return ""
    match = match_labels(truth, labels, [0.5]).matches[0.5]
    same = ", the same labels" if np.array_equal(labels, truth) else ""
    objects = match.true_positives + match.false_positives
    saving = found.extras.get("saving")
    after = "" if saving is None else f"; {saving:.1f} s of it after the last tile"
    return f"{objects} objects, PQ {match.panoptic_quality:.3f}{same}{after}"


def _settings() -> Settings:
    return Settings(
        limits=((0, 255),),
        tile_size=TILE,
        overlap=OVERLAP,
        outputs=("instances",),
        device="cpu",
        batch_size=1,
    )


def segment(meter: Meter, path: str, output: str, workers: int) -> dict[str, Any]:
    """One contender; 0 workers is this process alone."""
    from napari_instseg.cluster import connect
    from napari_instseg.file_run import FileRun
    from napari_instseg.hands import OWN_HANDS, Hands
    from napari_instseg.io.images import read_image
    from napari_instseg.models.registry import load_for
    from napari_instseg.ops.axes import Image

    settings = _settings()
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
            for _ in work:
                pass
            begin = time.perf_counter()
            _, files = work.save()
            saving = time.perf_counter() - begin
    return {"path": str(files[0] / "0"), "saving": saving}


class Network:
    """The built-in model, asked as Cellpose asks its own."""

    def __init__(self) -> None:
        from napari_instseg.models.registry import load_for

        self._settings = _settings()
        self._model = load_for(self._settings)

    def eval(self, image: NDArray[Any], **_: Any) -> tuple[NDArray[np.int32], None, None]:
        """Labels of a block."""
        from napari_instseg.ops.axes import Image
        from napari_instseg.pipeline import Run, run_to_end

        run = Run(Image(image, "YX"), self._model.segmenter, self._settings)
        return run_to_end(run).instances, None, None


def _exchange() -> None:
    """Put the network into Cellpose's place; loaded once, where Cellpose loads one a block."""
    from cellpose import models

    network = Network()
    models.CellposeModel = lambda **_: network


def cellpose(meter: Meter, path: str, output: str) -> dict[str, Any]:
    """Cellpose's way through the blocks; its overlap is two diameters."""
    import os
    from types import SimpleNamespace

    from cellpose.contrib import distributed_segmentation
    from cellpose.contrib.distributed_segmentation import distributed_eval, myLocalCluster

    # It opens arrays as Zarr 2 does.
    distributed_segmentation.zarr = SimpleNamespace(
        open=lambda path, mode, **options: zarr.open(path, mode=mode, **options)
    )

    Path(output).mkdir()
    os.chdir(output)
    with myLocalCluster(ncpus=1, n_workers=2, threads_per_worker=1) as cluster:
        cluster.client.run(_exchange)
        meter.start()
        with meter.work():
            distributed_eval(
                zarr.open_array(path, mode="r"),
                (TILE - 2 * OVERLAP,) * 2,
                "labels.zarr",
                eval_kwargs={"diameter": OVERLAP // 2},
                cluster=cluster,
            )
    return {"path": str(Path(output) / "labels.zarr")}


if __name__ == "__main__":
    command(run, __doc__)
