"""A large picture through our tiles and through SAHI's: what is the same for all networks."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._common import Result, Row
from ._picture import mosaic
from ._processes import Contender, Measured, Meter, measure, missing

THRESHOLD = 0.5
IOU = 0.5
#: Edge (px) of what each contender gets before the clock starts, to load what it needs.
WARM_UP = 256


@dataclass(frozen=True, slots=True)
class Task:
    """What all contenders do with the picture in a folder; plain values, for JSON."""

    folder: str
    tile_size: int
    overlap: int
    device: str
    repeats: int

    def picture(self) -> NDArray[np.uint8]:
        """8-bit RGB."""
        pixels: NDArray[np.uint8] = np.load(Path(self.folder) / "picture.npy")
        return pixels

    def save(self, name: str, labels: NDArray[np.int32]) -> None:
        """Keep a label image."""
        np.save(Path(self.folder) / f"{name}.npy", labels)


@dataclass(frozen=True, slots=True)
class Way:
    """How SAHI is told to work; plain values, for JSON.

    Parameters
    ----------
    merge, metric : str
        SAHI's ``postprocess_type`` and ``postprocess_match_metric``.
    whole : bool
        Whether it looks at the whole picture, too, as it does by itself.
    tuned : bool
        Without gradients, and lesser objects are left out inside the network already.
    native : bool
        Tiles are not resized, where the network's config would have it.
    """

    merge: str = "GREEDYNMM"
    metric: str = "IOS"
    whole: bool = False
    tuned: bool = False
    native: bool = True


WAYS = {
    "SAHI as it comes (greedy merge, IoS, whole picture too)": Way(whole=True, native=False),
    "SAHI, only tiles (greedy merge, IoS)": Way(),
    "SAHI tuned (greedy merge, IoU)": Way(metric="IOU", tuned=True),
    "SAHI tuned (NMS, IoU)": Way("NMS", "IOU", tuned=True),
    "SAHI tuned (NMS, IoS)": Way("NMS", "IOS", tuned=True),
}
SMOKE = tuple(WAYS)[::3]


def compare(
    options: argparse.Namespace,
    size: int,
    model: dict[str, Any],
    sahi: Contender,
    untiled: Contender | None,
    ways: Iterable[str] = WAYS,
    needed: tuple[str, ...] = (),
) -> Result:
    """Measure all contenders.

    Parameters
    ----------
    options : argparse.Namespace
    size : int
        Edge of the picture, px.
    model : dict
        For our ``load``.
    sahi : Contender
        Called with a `Task`, a `Way` (both as dicts), and the name to save the result under.
    untiled : Contender, optional
        Saves the truth, painted in one or two ways; None does without.
    ways : iterable of str
        Of `WAYS`.
    needed : tuple of str
        Modules beside SAHI.
    """
    tile = min(options.tile_size, size)
    limits: dict[str, Any] = {"memory_limit": options.memory_limit}
    absent = missing("sahi", *needed, python=options.sahi_python)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repeats = options.repeats or 1
        task = asdict(Task(name, tile, options.overlap, options.device, repeats))
        picture, source = mosaic(size)
        np.save(folder / "picture.npy", np.repeat(picture[..., None], 3, axis=-1))
        truth = measure(untiled, **limits, task=task) if untiled else None
        ours = measure(segment_ours, **limits, task=task, model=model, save="0")
        rows = [_row("napari-instseg", ours, folder, 0)]
        for number, peer in enumerate(SMOKE if options.smoke else ways, start=1):
            found = Measured(failure=absent)
            if not absent:
                more = {"task": task, "way": asdict(WAYS[peer]), "save": str(number)}
                found = measure(sahi, python=options.sahi_python, **limits, **more)
            rows.append(_row(peer, found, folder, number))
    remarks = [
        f"picture of {source}; painting into a label image is included everywhere; ours also keeps "
        "lesser objects, down to the network's own floor, so that the threshold can be moved "
        "afterwards, and SAHI tuned does not"
    ]
    if truth is not None:
        rows.append(Row.of("untiled (truth)", truth, _objects(truth)))
        remarks.append(
            f"PQ = SQ × RQ at IoU {IOU} against the network's answer to the whole picture, with "
            "the better of two ways of painting it for each side"
        )
    return Result(f"tiles of {tile} px, overlap {options.overlap}, on {size}²", rows, remarks)


def _row(name: str, found: Measured, folder: Path, number: int) -> Row:
    predicted, truths = folder / f"{number}.npy", sorted(folder.glob("truth_*.npy"))
    notes = [_objects(found)]
    if predicted.is_file() and truths:
        notes.append(_quality(truths, np.load(predicted)))
    return Row.of(name, found, "; ".join(notes), number == 0)


def _objects(found: Measured) -> str:
    return "" if found.failure else f"{found.extras['objects']} objects"


def _quality(truths: list[Path], predicted: NDArray[np.int32]) -> str:
    from napari_instseg.evaluation import match_labels

    scores = [match_labels(np.load(path), predicted, [IOU]).matches[IOU] for path in truths]
    best = max(scores, key=lambda match: match.panoptic_quality)
    return (
        f"PQ {best.panoptic_quality:.3f} (SQ {best.segmentation_quality:.3f}, RQ {best.f1:.3f}); "
        f"{best.false_positives} extra, {best.false_negatives} missed"
    )


# ---------------------------------------------------------------------------------- contenders


def segment_ours(
    meter: Meter, task: dict[str, Any], model: dict[str, Any], save: str
) -> dict[str, Any]:
    """The pipeline."""
    import napari_instseg.pipeline  # noqa: F401 - so that it does not count as memory
    from napari_instseg.models.registry import load

    work = Task(**task)
    picture = work.picture()
    segmenter = load(device=work.device, **model).segmenter
    corner = picture[:WARM_UP, :WARM_UP]
    # SAHI's Detectron2 adapter enlarges the corner to a whole tile: the rest of the work would
    # find memory that the process already has.
    meter.start()
    _ = run_pipeline(corner, segmenter, work.tile_size, work.overlap).instances
    for _ in range(work.repeats):
        with meter.work():
            labels = run_pipeline(picture, segmenter, work.tile_size, work.overlap).instances
    work.save(save, labels)
    return {"objects": count_labels(labels)}


def run_pipeline(picture: NDArray[np.uint8], segmenter: Any, tile_size: int, overlap: int) -> Any:
    """Our result, of the pixels as they are."""
    from napari_instseg.ops.axes import Image
    from napari_instseg.pipeline import Run, run_to_end
    from napari_instseg.settings import Settings

    settings = Settings(
        tile_size=tile_size,
        overlap=overlap,
        score_threshold=THRESHOLD,
        limits=((0, 255),),
    )
    result = run_to_end(Run(Image(picture, "YXS"), segmenter, settings))
    if result.recipe["resolved"]["tile_size"] != tile_size:
        raise MemoryError(f"tiles of {tile_size} px do not fit into memory")
    return result


def segment_with(meter: Meter, task: Task, way: Way, adapter: Any, save: str) -> dict[str, Any]:
    """SAHI around one of its adapters."""
    import cv2  # noqa: F401 - so that it does not count as memory
    import torch
    from sahi.predict import get_sliced_prediction

    def segment(part: NDArray[np.uint8]) -> NDArray[np.int32]:
        with torch.inference_mode() if way.tuned else nullcontext():
            found = get_sliced_prediction(
                part,
                adapter,
                slice_height=task.tile_size,
                slice_width=task.tile_size,
                overlap_height_ratio=task.overlap / task.tile_size,
                overlap_width_ratio=task.overlap / task.tile_size,
                perform_standard_pred=way.whole,
                postprocess_type=way.merge,
                postprocess_match_metric=way.metric,
                verbose=0,
            )
        return _paint(found.object_prediction_list, part.shape[:2])

    picture = task.picture()
    meter.start()
    segment(picture[:WARM_UP, :WARM_UP])
    for _ in range(task.repeats):
        with meter.work():
            labels = segment(picture)
    task.save(save, labels)
    return {"objects": count_labels(labels)}


def _paint(found: list[Any], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Fill SAHI's polygons, the best score on top; as its ``bool_mask``, but in place."""
    import cv2

    labels = np.zeros(shape, np.int32)
    ranked = sorted(found, key=lambda one: one.score.value)
    for number, one in enumerate(ranked, start=1):
        if one.mask is None:
            continue
        points = [np.reshape(p, (-1, 2)).round().astype(int) for p in one.mask.segmentation]
        cv2.fillPoly(labels, points, (number,))
    return labels


def count_labels(labels: NDArray[np.int32]) -> int:
    """Number of objects that can be seen."""
    return int(np.count_nonzero(np.bincount(labels.ravel())[1:]))
