"""Pasting and painting objects into a label image, beside torchvision's N x H x W masks.

Both get the same boxes, scores and 28 x 28 masks of ellipses of about 30 px, and give a label
image with the best object on top. torchvision's way costs 2 x 4 bytes a pixel an object; where
that is more than the machine has, fewer objects are measured and the figure is scaled up, which
is said. Its second way takes a few objects at a time.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from ._common import Result, Row, command
from ._processes import MIB, Contender, Measured, Meter, measure

SIZE, COUNT, DIAMETER, MASK = 4096, 1000, 30, 28
#: Objects at a time in torchvision's second way: 1.1 GiB on 4096 x 4096 px.
CHUNK = 8


def run(options: argparse.Namespace) -> Result:
    """Measure all contenders."""
    title, rows, labels = compare(options, "torchvision", paint_ours, paint_torchvision, 2 * 4)
    remarks = []
    if len(labels) == 3:
        remarks.append(
            f"same label as torchvision: {agreement(labels['ours'], labels['peer'])}; the two "
            "differ on purpose by where in a pixel a mask is sampled (TARGET_SHIFT), and "
            "torchvision rounds boxes and makes them 1 px larger; sampled at the pixel's centre, "
            f"for comparison: {agreement(labels['centered'], labels['peer'])}"
        )
    return Result(title, rows, remarks)


def compare(
    options: argparse.Namespace,
    peer: str,
    ours: Contender,
    theirs: Contender,
    bytes_per_pixel: int,
) -> tuple[str, list[Row], dict[str, NDArray[np.int32]]]:
    """Measure our way, theirs with all masks at once, and theirs with a few at a time.

    Parameters
    ----------
    options : argparse.Namespace
    peer : str
        Name of the other side.
    ours, theirs : contenders
        See `paint_ours` and `paint_torchvision`.
    bytes_per_pixel : int
        What each object costs the other side on each pixel of the image.

    Returns
    -------
    title : str
    rows : list of Row
    labels : dict of str to label image
        What contenders saved, by the name of the file.
    """
    size = options.size or SIZE
    count = 60 if options.smoke else COUNT
    limit = options.memory_limit or psutil.virtual_memory().available / MIB * 0.8
    each = bytes_per_pixel * size**2 / MIB
    fitting = max(1, min(count, int(0.8 * limit / each)))
    common = {"size": size, "count": count, "memory_limit": limit}
    with tempfile.TemporaryDirectory() as folder:
        mine = measure(ours, **common, repeats=options.repeats or 5, folder=folder)
        whole = measure(theirs, **common, first=fitting, chunk=fitting)
        chunks = measure(theirs, **common, chunk=CHUNK, save=f"{folder}/peer.npy")
        labels = {path.stem: np.load(path) for path in Path(folder).glob("*.npy")}
    note = ""
    if fitting < count:
        whole = _scaled(whole, count / fitting)
        note = f"scaled up from {fitting} objects: all need {count * each / 1024:.0f} GiB"
    rows = [
        Row.of("napari-instseg", mine, "label image and table", reference=True),
        Row.of(f"{peer}, all masks at once", whole, note),
        Row.of(f"{peer}, {CHUNK} masks at a time", chunks),
    ]
    return f"painting {count} objects of {DIAMETER} px on {size}²", rows, labels


def _scaled(found: Measured, factor: float) -> Measured:
    return replace(
        found,
        seconds=found.seconds * factor,
        cpu_seconds=found.cpu_seconds * factor,
        memory=found.memory * factor,
    )


def agreement(a: NDArray[np.int32], b: NDArray[np.int32]) -> str:
    """Share of painted pixels with the same label, and mean IoU of objects of one number."""
    same = float((a == b)[(a > 0) | (b > 0)].mean())
    count = int(max(a.max(), b.max())) + 1
    shared = np.bincount(a[a == b], minlength=count)[1:]
    areas = [np.bincount(x.ravel(), minlength=count)[1:] for x in (a, b)]
    union = areas[0] + areas[1] - shared
    iou = shared[union > 0] / union[union > 0]
    return f"{same:.2%} of painted pixels, mean IoU of an object {iou.mean():.3f}"


# ---------------------------------------------------------------------------------- contenders


def objects(size: int, count: int) -> tuple[Any, Any, NDArray[np.float32]]:
    """Masks (N, 28, 28), boxes (N, 4) and falling scores (N,); the first two as Tensors."""
    import torch

    random = np.random.default_rng(0)
    # One a cell of a grid, so that none hides another and numbers can be compared.
    columns = int(np.ceil(count**0.5))
    cells = random.permutation(columns**2)[:count]
    edges = random.uniform(0.7, 1.3, (count, 2)) * DIAMETER
    corner = np.stack([cells % columns, cells // columns], axis=1) * (size / columns)
    first = corner + random.uniform(1, size / columns - 1 - edges)
    boxes = np.concatenate([first, first + edges], axis=1)
    ticks = (np.arange(MASK) + 0.5) / MASK * 2 - 1
    angle = random.uniform(0, np.pi, (count, 1, 1))
    x = np.cos(angle) * ticks + np.sin(angle) * ticks[:, None]
    y = np.cos(angle) * ticks[:, None] - np.sin(angle) * ticks
    radius = np.hypot(x, y / random.uniform(0.7, 1, (count, 1, 1)))
    masks = 1 / (1 + np.exp((radius - 0.9) / 0.08))
    scores = np.linspace(1, 0.1, count, dtype=np.float32)
    return torch.from_numpy(masks).float(), torch.from_numpy(boxes).float(), scores


def paint_ours(
    meter: Meter,
    size: int,
    count: int,
    repeats: int,
    folder: str,
) -> None:
    """Cropped masks, painted by the pipeline's own functions."""
    from napari_instseg.instances import Instances
    from napari_instseg.models.pasting import paste_masks
    from napari_instseg.models.torchvision import PASTING
    from napari_instseg.ops.rendering import render
    from napari_instseg.segmenter import Category

    shape = (size, size)

    def paint(
        masks: Any, boxes: Any, scores: NDArray[np.float32], options: dict[str, Any]
    ) -> NDArray[np.int32]:
        crops = paste_masks(masks, boxes, shape, **options)
        found = Instances.create(shape, crops, scores=scores, boxes=boxes.numpy())
        return render([found], (), "", shape, (Category(1, "object"),), "benchmark").labels

    masks, boxes, scores = objects(size, count)
    for _ in range(repeats):
        with meter.work():
            labels = paint(masks, boxes, scores, PASTING)
    np.save(f"{folder}/ours.npy", labels)
    centered = {**PASTING, "sample_at": 0.5}
    np.save(f"{folder}/centered.npy", paint(masks, boxes, scores, centered))


def paint_torchvision(
    meter: Meter,
    size: int,
    count: int,
    chunk: int,
    first: int | None = None,
    save: str = "",
) -> None:
    """Masks as large as the image; the first objects only, or all."""
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    masks, boxes, _ = objects(size, count)
    masks, boxes = masks[:first, None], boxes[:first]

    def paste(part: slice) -> NDArray[np.float32]:
        pasted = paste_masks_in_image(masks[part], boxes[part], (size, size))
        values: NDArray[np.float32] = pasted[:, 0].numpy()
        return values

    paste(slice(1))
    with meter.work():
        labels = paint_pasted(paste, boxes, size, chunk)
    if save:
        np.save(save, labels)


def paint_pasted(
    paste: Callable[[slice], NDArray[Any]], boxes: Any, size: int, chunk: int
) -> NDArray[np.int32]:
    """Paint masks that are as large as the image; inside their boxes only, the quick way.

    Parameters
    ----------
    paste : callable
        Gives the (n, H, W) masks, bool or probabilities, of some objects.
    boxes : (N, 4) Tensor
    size : int
        Height and width of the image, px.
    chunk : int
        Objects at a time.
    """
    corners = np.concatenate([np.floor(boxes[:, :2]) - 2, np.ceil(boxes[:, 2:]) + 3], axis=1)
    corners = corners.clip(0, size).astype(int)
    labels = np.zeros((size, size), np.int32)
    for start in reversed(range(0, len(boxes), chunk)):
        pasted = paste(slice(start, start + chunk))
        for i in reversed(range(len(pasted))):
            left, top, right, bottom = corners[start + i]
            inside = pasted[i, top:bottom, left:right] >= 0.5
            labels[top:bottom, left:right][inside] = start + i + 1
        del pasted
    return labels


if __name__ == "__main__":
    command(run, __doc__)
