"""What the pipeline adds to the model: reading, mapping, merging, painting.

Both do the same tiles, one at a time: the pipeline from the image to all label images and
the table, the bare model on tiles that were cut and mapped beforehand. They take turns tile by
tile in one process, so that a busy machine slows both; who goes first changes every tile.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ._common import Result, Row, command, median
from ._picture import mosaic
from ._processes import Meter, measure

SIZE = 4096


def run(options: argparse.Namespace) -> Result:
    """Measure both."""
    size = options.size or SIZE
    found = measure(
        pipeline_and_model,
        size=size,
        tile_size=options.tile_size,
        overlap=options.overlap,
        device=options.device,
        repeats=options.repeats or 3,
        memory_limit=options.memory_limit,
    )
    title = f"pipeline on {size}²"
    if found.failure:
        return Result(title, [Row("napari-instseg", failure=found.failure)])
    extras = found.extras
    parts = ", ".join(f"{name} {value:.2f} s" for name, value in extras["parts"].items())
    rows = [
        Row(
            "the bare model",
            extras["bare"],
            extras["bare_cpu"],
            notes=extras["device"],
            reference=True,
        ),
        Row("napari-instseg", extras["pipeline"], extras["pipeline_cpu"], notes=extras["about"]),
    ]
    ratios = ", ".join(f"{ratio:.3f}" for ratio in extras["ratios"])
    remark = f"ratio in each run: {ratios}; where the pipeline's time goes: {parts}"
    return Result(title, rows, [remark])


def pipeline_and_model(
    meter: Meter, size: int, tile_size: int, overlap: int, device: str, repeats: int
) -> dict[str, Any]:
    """Let them take turns."""
    from napari_instseg.models.registry import load
    from napari_instseg.ops.axes import Image
    from napari_instseg.ops.intensity import map_intensity
    from napari_instseg.ops.tiling import plan_tiles
    from napari_instseg.pipeline import Run, run_to_end
    from napari_instseg.settings import Settings

    picture, source = mosaic(size)
    settings = Settings(tile_size=tile_size, overlap=overlap, batch_size=1)
    image, segmenter = Image(picture, "YX"), load("nuclei", device).segmenter
    mapping = map_intensity(image, settings)
    tiles = [
        mapping.apply(image.read((), slice(t.top, t.bottom), slice(t.left, t.right)))
        for t in plan_tiles((size, size), tile_size, overlap)
    ]
    corner = slice(0, min(size, 256))
    _ = run_to_end(Run(image, segmenter, settings, region=(corner, corner))).table
    segmenter.segment(tiles[:1])
    runs, cpu_runs = [], []
    for _ in range(repeats):
        clock = _Clock()
        job = Run(image, segmenter, settings)
        steps = iter(job)
        next(steps)
        for number, tile in enumerate(tiles):
            turns: list[tuple[str, Callable[[], object]]] = [
                ("tiles", lambda steps=steps: next(steps)),
                ("bare", lambda tile=tile: segmenter.segment([tile])),
            ]
            for name, turn in turns if number % 2 == 0 else turns[::-1]:
                with clock.part(name):
                    turn()
        # The mapping is chosen in the first tile's step; tiles are merged after the last one.
        with clock.part("merge"):
            next(steps, None)
        with clock.part("paint"):
            result = job.result()
            outputs = result.instances, result.semantic, result.panoptic, result.table
        runs.append(clock.wall)
        cpu_runs.append(clock.cpu)
    named = {name: median([p[name] for p in runs]) for name in ("tiles", "merge", "paint")}
    named["tiles beyond the model"] = median([p["tiles"] - p["bare"] for p in runs])
    return {
        "bare": median([p["bare"] for p in runs]),
        "pipeline": median([_pipeline(p) for p in runs]),
        "ratios": [_pipeline(p) / p["bare"] for p in runs],
        "bare_cpu": median([p["bare"] for p in cpu_runs]),
        "pipeline_cpu": median([_pipeline(p) for p in cpu_runs]),
        "parts": named,
        "device": segmenter.device,
        "about": f"{len(outputs[3])} objects, {len(tiles)} tiles, {source}",
    }


class _Clock:
    """Adds up wall and processor time by name."""

    def __init__(self) -> None:
        self.wall: defaultdict[str, float] = defaultdict(float)
        self.cpu: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[name] += time.perf_counter() - wall
        self.cpu[name] += time.process_time() - cpu


def _pipeline(parts: Mapping[str, float]) -> float:
    return sum(parts.values()) - parts["bare"]


if __name__ == "__main__":
    command(run, __doc__)
