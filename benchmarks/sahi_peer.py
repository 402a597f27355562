"""A large picture through our tiles and through SAHI's, with the same network and weights.

Tiles, overlap and score threshold are the same, and so are the pixels: 8-bit RGB, mapped
beforehand. The truth is the network's answer to the whole picture in one go, with its limits on
the number of objects raised. It is painted twice, from masks as we paste them and from masks as
torchvision pastes them (which SAHI uses), so that neither side loses points by pasting alone.

SAHI runs as it comes (all its own defaults), as it comes but without its extra pass over the
whole picture, and tuned to its advantage: no such pass, no gradients, lesser objects left out
inside the network already, and merging by IoU, which suits objects that touch.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._common import Measured, Meter, Result, Row, command, measure, mosaic

SIZE = 2048
THRESHOLD = 0.5
IOU = 0.5
#: Edge (px) of what each contender gets before the clock starts, to load what it needs.
WARM_UP = 256
#: Name to SAHI's settings; ``tuned`` is explained above.
SAHI: dict[str, dict[str, Any]] = {
    "SAHI as it comes (greedy merge, IoS, whole picture too)": {
        "merge": "GREEDYNMM",
        "metric": "IOS",
        "whole": True,
    },
    "SAHI, only tiles (greedy merge, IoS)": {"merge": "GREEDYNMM", "metric": "IOS"},
    "SAHI tuned (greedy merge, IoU)": {"merge": "GREEDYNMM", "metric": "IOU", "tuned": True},
    "SAHI tuned (NMS, IoU)": {"merge": "NMS", "metric": "IOU", "tuned": True},
    "SAHI tuned (NMS, IoS)": {"merge": "NMS", "metric": "IOS", "tuned": True},
}


SMOKE = tuple(SAHI)[::3]


def run(options: argparse.Namespace) -> Result:
    """Measure all contenders."""
    size = options.size or SIZE
    tile = min(options.tile_size, size)
    title = f"tiles of {tile} px, overlap {options.overlap}, on {size}²"
    common = {"device": options.device, "memory_limit": options.memory_limit}
    tiled = {**common, "tile_size": tile, "overlap": options.overlap}
    tiled["repeats"] = options.repeats or 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture, source = mosaic(size)
        np.save(folder / "picture.npy", np.repeat(picture[..., None], 3, axis=-1))
        truth = measure(segment_untiled, **common, folder=name, tile_size=tile)
        found = {"napari-instseg": measure(segment_ours, **tiled, folder=name, save="0.npy")}
        present = _has_sahi(options.sahi_python)
        for number, peer in enumerate(SMOKE if options.smoke else SAHI, start=1):
            if present:
                more = {**tiled, **SAHI[peer], "folder": name, "save": f"{number}.npy"}
                found[peer] = measure(segment_sahi, python=options.sahi_python, **more)
            else:
                found[peer] = Measured(failure="not installed")
        rows = [
            _row(peer, measured, folder, number)
            for number, (peer, measured) in enumerate(found.items())
        ]
    notes = "" if truth.failure else _objects(truth)
    rows.append(Row.of("untiled (truth)", truth, notes))
    remarks = [
        f"picture of {source}; PQ = SQ × RQ at IoU {IOU} against the network's answer to the "
        "whole picture, with the better of two ways of pasting for each side; painting into a "
        "label image is included everywhere"
    ]
    return Result(title, rows, remarks)


def _has_sahi(python: str) -> bool:
    code = "import importlib.util as u; raise SystemExit(not (u.find_spec('sahi')))"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def _row(name: str, found: Measured, folder: Path, number: int) -> Row:
    notes = [] if found.failure else [_objects(found)]
    predicted = folder / f"{number}.npy"
    truths = sorted(folder.glob("truth_*.npy"))
    if predicted.is_file() and truths:
        notes.append(_quality(truths, np.load(predicted)))
    return Row.of(name, found, "; ".join(notes), number == 0)


def _objects(found: Measured) -> str:
    return f"{found.extras['objects']} objects"


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
    meter: Meter,
    folder: str,
    save: str,
    tile_size: int,
    overlap: int,
    device: str,
    repeats: int,
) -> dict[str, Any]:
    """The pipeline."""
    from napari_instseg.models.registry import load

    picture = np.load(Path(folder) / "picture.npy")
    segmenter = load("nuclei", device).segmenter
    _ = _pipeline(picture[:WARM_UP, :WARM_UP], segmenter, tile_size, overlap).instances
    for _ in range(repeats):
        with meter.work():
            labels = _pipeline(picture, segmenter, tile_size, overlap).instances
    np.save(Path(folder) / save, labels)
    return {"objects": _count(labels)}


def _pipeline(picture: NDArray[np.uint8], segmenter: Any, tile_size: int, overlap: int) -> Any:
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


def segment_untiled(meter: Meter, folder: str, tile_size: int, device: str) -> dict[str, Any]:
    """The truth, from masks pasted in both ways."""
    import napari_instseg.models.torchvision as backend
    from napari_instseg.instances import Instances
    from napari_instseg.models.registry import load
    from napari_instseg.ops.masks import paint_labels

    picture = np.load(Path(folder) / "picture.npy")
    size = picture.shape[0]
    segmenter = load("nuclei", device).segmenter
    _raise_limits(segmenter, (size / tile_size) ** 2)
    inputs: list[Any] = []
    paste = backend.paste_masks

    def remember(masks: Any, boxes: Any, shape: tuple[int, int], **options: Any) -> Any:
        inputs.append((masks.cpu(), boxes.cpu()))
        return paste(masks, boxes, shape, **options)

    backend.paste_masks = remember
    with meter.work():
        result = _pipeline(picture, segmenter, size, 0)
    masks, boxes = inputs[-1]
    np.save(Path(folder) / "truth_ours.npy", result.instances)
    # `raw` leaves out empty masks: take scores that belong to these very boxes.
    scores = _scores_of(boxes.numpy(), result.raw[0])
    kept = scores >= THRESHOLD
    pasted = Instances.create(
        (size, size),
        [_paste_peer(masks[i], boxes[i], size) for i in np.flatnonzero(kept)],
        scores=scores[kept],
    )
    np.save(Path(folder) / "truth_torchvision.npy", paint_labels(pasted, (size, size)))
    return {"objects": result.count}


def _raise_limits(segmenter: Any, factor: float) -> None:
    """Let the network find as many objects in the whole picture as in all tiles."""
    network = segmenter._network
    for limits in (network.rpn._pre_nms_top_n, network.rpn._post_nms_top_n):
        limits["testing"] = int(limits["testing"] * factor)
    heads = network.roi_heads
    heads.detections_per_img = int(heads.detections_per_img * factor)


def _scores_of(boxes: NDArray[np.float32], found: Any) -> NDArray[np.float32]:
    """Score of each box, 0 for one that is not among the objects."""
    known = {tuple(box): score for box, score in zip(found.boxes, found.scores, strict=True)}
    return np.array([known.get(tuple(box), 0) for box in boxes], np.float32)


def _paste_peer(mask: Any, box: Any, size: int) -> Any:
    """torchvision's own pasting, within a window around the box."""
    import torch
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    from napari_instseg.instances import Mask

    left, top = (int(value) - 4 for value in box[:2])
    height, width = int(box[3]) + 6 - top, int(box[2]) + 6 - left
    shifted = box - torch.tensor([left, top, left, top])
    pasted = paste_masks_in_image(mask[None, None], shifted[None], (height, width))[0, 0]
    rows = slice(max(-top, 0), min(height, size - top))
    cols = slice(max(-left, 0), min(width, size - left))
    return Mask((top + rows.start, left + cols.start), (pasted >= THRESHOLD).numpy()[rows, cols])


def segment_sahi(
    meter: Meter,
    folder: str,
    save: str,
    tile_size: int,
    overlap: int,
    device: str,
    repeats: int,
    merge: str,
    metric: str,
    whole: bool = False,
    tuned: bool = False,
) -> dict[str, Any]:
    """SAHI's torchvision adapter around the same network."""
    from contextlib import nullcontext

    import torch
    from sahi import AutoDetectionModel
    from sahi.predict import get_sliced_prediction

    from napari_instseg.models.registry import load

    picture = np.load(Path(folder) / "picture.npy")
    segmenter: Any = load("nuclei", device).segmenter
    network = segmenter._network
    if tuned:
        network.roi_heads.score_thresh = THRESHOLD
    adapter = AutoDetectionModel.from_pretrained(
        "torchvision",
        model=network,
        device=str(segmenter._device),
        confidence_threshold=THRESHOLD,
        category_mapping={"1": "nucleus"},
    )

    def segment(part: NDArray[np.uint8]) -> NDArray[np.int32]:
        with torch.inference_mode() if tuned else nullcontext():
            found = get_sliced_prediction(
                part,
                adapter,
                slice_height=tile_size,
                slice_width=tile_size,
                overlap_height_ratio=overlap / tile_size,
                overlap_width_ratio=overlap / tile_size,
                perform_standard_pred=whole,
                postprocess_type=merge,
                postprocess_match_metric=metric,
                verbose=0,
            )
        return _paint_sahi(found.object_prediction_list, part.shape[:2])

    segment(picture[:WARM_UP, :WARM_UP])
    for _ in range(repeats):
        with meter.work():
            labels = segment(picture)
    np.save(Path(folder) / save, labels)
    return {"objects": _count(labels)}


def _paint_sahi(found: list[Any], shape: tuple[int, ...]) -> NDArray[np.int32]:
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


def _count(labels: NDArray[np.int32]) -> int:
    return int(np.count_nonzero(np.bincount(labels.ravel())[1:]))


if __name__ == "__main__":
    command(run, __doc__)
