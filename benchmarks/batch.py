"""Many small files, one or several under way at a time; and the model alone on the same images.

Everyone has the same loaded model. A batch reads each file, segments it, and writes three label
images, table, recipe and status; with several inputs under way, threads read and write while the
model works. The model alone gets images that were read beforehand, and nothing is written: no
number of inputs under way can be faster on a device that does nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
from functools import partial
from itertools import chain, cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from napari_instseg.batch.jobs import plan
from napari_instseg.batch.run import BatchRun
from napari_instseg.batch.tasks import SegmentTask
from napari_instseg.io.images import read_image
from napari_instseg.models.registry import load
from napari_instseg.ops.axes import Image
from napari_instseg.pipeline import Run, run_to_end
from napari_instseg.settings import Settings

from ._common import Result, command, rows_of_turns
from ._picture import files
from ._processes import in_turns

FILES = 40
ALONE = "the model alone"


def run(options: argparse.Namespace) -> Result:
    """Let them take turns."""
    settings = Settings(tile_size=options.tile_size, overlap=options.overlap)
    task = SegmentTask(read_image, load("nuclei", options.device), settings)
    count = options.pictures or (3 if options.smoke else FILES)
    with TemporaryDirectory() as folder:
        paths, source = _files(Path(folder) / "in", count)
        images = [read_image(path) for path in paths]
        # Whatever the order of turns, the files are in the system's cache.
        contenders = {
            **{_name(n): partial(_batch, task, paths, Path(folder) / f"{n}", n) for n in (1, 2, 4)},
            ALONE: partial(_alone, task, images),
        }
        times, _ = in_turns(contenders, options.repeats or 3)
        same = all(_same(Path(folder) / "1", Path(folder) / f"{n}") for n in (2, 4))
    ratios = [
        f"{two / one:.3f}"
        for one, two in zip(*(times["seconds"][_name(n)] for n in (1, 2)), strict=True)
    ]
    remarks = [
        f"results {'are the same, byte by byte' if same else 'DIFFER'}; {source}; on "
        f"{task.device}, {os.cpu_count()} cores",
        f"--jobs 2 beside --jobs 1 in each run: {', '.join(ratios)}",
    ]
    return Result(f"batch of {len(paths)} files", rows_of_turns(times, _name(1)), remarks)


def _alone(task: SegmentTask, images: list[Image]) -> None:
    for image in images:
        loaded = task.loaded
        run_to_end(Run(image, loaded.segmenter, task.settings, model=loaded.identity))


def _name(at_once: int) -> str:
    return f"--jobs {at_once}"


def _files(folder: Path, count: int) -> tuple[list[Path], str]:
    """Copies of validation fields, else of the sample images, over and over."""
    known = list(chain(*files()))
    folder.mkdir()
    paths = [
        folder / f"{i:03}{field.suffix}" for i, field in enumerate(islice(cycle(known), count))
    ]
    for field, path in zip(cycle(known), paths, strict=False):
        shutil.copy(field, path)
    return paths, f"{min(count, len(known))} different pictures"


def _batch(task: SegmentTask, paths: list[Path], output: Path, at_once: int) -> None:
    shutil.rmtree(output, ignore_errors=True)
    jobs = plan(paths, output, task.settings.outputs)
    for _ in BatchRun(task, jobs, output, at_once=at_once):
        pass
    failed = [job.failure for job in jobs if job.error]
    if failed:
        raise RuntimeError("\n".join(failed))


def _same(one: Path, other: Path) -> bool:
    """Whether two folders have the same results; statuses tell of different times."""
    names = sorted(path.name for path in one.iterdir() if not path.name.endswith("_status.json"))
    match, mismatch, errors = filecmp.cmpfiles(one, other, names, shallow=False)
    return bool(match) and not mismatch and not errors


if __name__ == "__main__":
    command(run, __doc__)
