"""Raw detections to a label image, beside Detectron2's `detector_postprocess`.

The objects are those of `painting`, in the form in which Detectron2's mask head leaves them.
Detectron2 makes a mask as large as the image of each, 1 byte a pixel. It pastes within the
object's box, so that most of its time goes into memory. Its masks are painted within their
boxes only, too.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._common import Result, Row, command
from ._processes import Meter, missing
from .painting import agreement, compare, objects, paint_pasted

PEER = "detector_postprocess"


def run(options: argparse.Namespace) -> Result:
    """Measure all contenders."""
    absent = missing("detectron2")
    if absent:
        return Result(f"{PEER} of Detectron2", [Row(PEER, failure=absent)])
    title, rows, labels = compare(options, PEER, paint_ours, paint_detectron2, 1)
    remarks = []
    if len(labels) == 2:
        remarks.append(
            f"same label as Detectron2: {agreement(labels['ours'], labels['peer'])}; its masks "
            "are painted into a label image, too, and it makes no table"
        )
    return Result(f"Detectron2: {title}", rows, remarks)


def detections(size: int, count: int, part: slice = slice(None)) -> Any:
    """Detectron2's ``Instances``, with masks of 28 x 28."""
    from napari_instseg.models.detectron2 import bridges

    bridges.load()
    from detectron2.structures import Boxes, Instances

    masks, boxes, scores = objects(size, count)
    return Instances(
        (size, size),
        pred_boxes=Boxes(boxes[part]),
        scores=_tensor(scores[part]),
        pred_classes=_tensor(np.zeros(count, np.int64)[part]),
        pred_masks=masks[part, None],
    )


def _tensor(values: NDArray[Any]) -> Any:
    import torch

    return torch.from_numpy(values)


def paint_ours(meter: Meter, size: int, count: int, repeats: int, folder: str) -> None:
    """Cropped masks, painted as the engine and the pipeline do."""
    from napari_instseg.instances import Instances
    from napari_instseg.models.detectron2.results import read_detections
    from napari_instseg.ops.rendering import render
    from napari_instseg.segmenter import Category

    shape = (size, size)
    found = detections(size, count)
    for _ in range(repeats):
        with meter.work():
            boxes, scores, classes, crops = read_detections(found, shape)
            instances = Instances.create(
                shape, crops, scores=scores, category_ids=classes + 1, boxes=boxes
            )
            categories = (Category(1, "object"),)
            labels = render([instances], (), "", shape, categories, "benchmark").labels
    np.save(f"{folder}/ours.npy", labels)


def paint_detectron2(
    meter: Meter, size: int, count: int, chunk: int, first: int | None = None, save: str = ""
) -> None:
    """Masks as large as the image; the first objects only, or all."""
    found = detections(size, count, slice(first))
    from detectron2.modeling.postprocessing import detector_postprocess

    def paste(part: slice) -> NDArray[np.bool_]:
        masks: NDArray[np.bool_] = detector_postprocess(found[part], size, size).pred_masks.numpy()
        return masks

    paste(slice(1))
    with meter.work():
        labels = paint_pasted(paste, found.pred_boxes.tensor, size, chunk)
    if save:
        np.save(save, labels)


if __name__ == "__main__":
    command(run, __doc__)
