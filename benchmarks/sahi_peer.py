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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._common import Result, command
from ._processes import Meter
from ._sahi import THRESHOLD, Task, Way, compare, run_pipeline, segment_with

SIZE = 2048


def run(options: argparse.Namespace) -> Result:
    """Measure all contenders."""
    model = {"name": "nuclei"}
    return compare(options, options.size or SIZE, model, segment_sahi, segment_untiled)


def segment_untiled(meter: Meter, task: dict[str, Any]) -> dict[str, Any]:
    """The truth, from masks pasted in both ways."""
    import napari_instseg.models.torchvision as backend
    from napari_instseg.instances import Instances
    from napari_instseg.models.registry import load
    from napari_instseg.ops.masks import paint_labels

    work = Task(**task)
    picture = work.picture()
    size = picture.shape[0]
    segmenter = load("nuclei", work.device).segmenter
    _raise_limits(segmenter, (size / work.tile_size) ** 2)
    inputs: list[Any] = []
    paste = backend.paste_masks

    def remember(masks: Any, boxes: Any, shape: tuple[int, int], **options: Any) -> Any:
        inputs.append((masks.cpu(), boxes.cpu()))
        return paste(masks, boxes, shape, **options)

    backend.paste_masks = remember
    with meter.work():
        result = run_pipeline(picture, segmenter, size, 0)
    masks, boxes = inputs[-1]
    work.save("truth_ours", result.instances)
    # `raw` leaves out empty masks: take scores that belong to these very boxes.
    scores = _scores_of(boxes.numpy(), result.raw[0])
    kept = scores >= THRESHOLD
    pasted = Instances.create(
        (size, size),
        [_paste_peer(masks[i], boxes[i], size) for i in np.flatnonzero(kept)],
        scores=scores[kept],
    )
    work.save("truth_torchvision", paint_labels(pasted, (size, size)))
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
    meter: Meter, task: dict[str, Any], way: dict[str, Any], save: str
) -> dict[str, Any]:
    """SAHI's torchvision adapter around the same network."""
    from sahi import AutoDetectionModel

    from napari_instseg.models.registry import load

    work, how = Task(**task), Way(**way)
    segmenter: Any = load("nuclei", work.device).segmenter
    network = segmenter._network
    if how.tuned:
        network.roi_heads.score_thresh = THRESHOLD
    adapter = AutoDetectionModel.from_pretrained(
        "torchvision",
        model=network,
        device=str(segmenter._device),
        confidence_threshold=THRESHOLD,
        category_mapping={"1": "nucleus"},
    )
    return segment_with(meter, work, how, adapter, save)


if __name__ == "__main__":
    command(run, __doc__)
