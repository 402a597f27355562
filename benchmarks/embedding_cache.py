"""A kept embedding beside a new one: what the cache saves."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from napari_instseg.io.embeddings import EmbeddingCache
from napari_instseg.models import prompters
from napari_instseg.prompting import PromptSession

from ._common import Result, Row, command, median
from ._picture import mosaic

MODEL = "sam-nuclei"


def run(options: argparse.Namespace) -> Result:
    """Time the first view of a picture: encoded, from disk, from memory; then a click in it."""
    loaded = prompters.load(MODEL, options.device)
    picture, source = mosaic(options.size or 1024)
    repeats = options.repeats or 5
    with TemporaryDirectory() as folder:
        cache = EmbeddingCache(Path(folder))

        def session(kept: EmbeddingCache | bool) -> PromptSession:
            return PromptSession(picture, loaded, cache=kept)

        # The first of each loads what is needed, and is not counted.
        filled = session(cache)
        view = filled.views()[0]
        size = filled.embedding(view).nbytes
        rows = [
            _row("encode", [_time(session(False).embedding, view) for _ in range(repeats)], True),
            _row("from disk", [_time(session(cache).embedding, view) for _ in range(repeats)]),
            _row("from memory", [_time(filled.embedding, view) for _ in range(repeats)]),
        ]
        tile = filled.region(view)
        center = [((tile.top + tile.bottom) / 2, (tile.left + tile.right) / 2)]
        filled.segment(points=center)
        rows.append(
            _row(
                "a click, embedding in memory",
                [_time(filled.segment, center) for _ in range(repeats)],
            )
        )
    remark = (
        f"{MODEL} on {loaded.prompter.device}; {source}; an embedding takes {size / 2**20:.2f} MiB."
    )
    return Result("an embedding", rows, [remark])


def _time(work: Callable[..., Any], argument: Any) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work(argument)
    return time.perf_counter() - wall, time.process_time() - cpu


def _row(contender: str, times: list[tuple[float, float]], reference: bool = False) -> Row:
    wall, cpu = zip(*times, strict=True)
    return Row(contender, median(wall), median(cpu), reference=reference)


if __name__ == "__main__":
    command(run, __doc__)
