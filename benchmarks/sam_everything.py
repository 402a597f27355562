"""Segment everything, beside ``segment_anything.SamAutomaticMaskGenerator``.

The reference gets the same weights, grid and limits, on the same pictures, seen whole. What it
finds is the truth: the notes say how many of its masks we find too. CPU time is what counts.

ViT-B has random weights, and limits that let a few hundred of its masks pass: the full work, but
no accuracy. The built-in model looks at real fields; its reference is put together from
segment_anything's own prompt encoder and mask decoder with our weights and our image encoder.
micro-sam keeps every answer, which takes too long with random weights: it sees the fields only.
The tiled run shows what memory a large image takes: only the kept masks may grow with it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

from . import _everything
from ._common import Result, Row, command
from ._everything import MODEL
from ._processes import Measured, measure, missing

#: Points along each side: of a real field; of ViT-B's picture, of which the reference asks at
#: about four a second; and of tiles, where memory is what counts.
SIDE, LARGE_SIDE, TILE_SIDE = 32, 16, 4
#: Edge of what ViT-B sees, of real fields, and of the pictures that are cut into tiles, px.
SIZE, FIELD, TILED = 1024, 256, (2048, 4096, 8192)
#: Real fields, half of them fluorescence.
FIELDS = 8
#: How well a mask must fit one of the reference's, by mode.
LEAST = {"exact": 0.99, "fast": 0.9}
PEER = "SamAutomaticMaskGenerator"
MICRO_SAM = "micro-sam's AutomaticMaskGenerator"
STRETCHES = "micro-sam stretches each channel before it encodes: its pictures are others"


def run(options: argparse.Namespace) -> list[Result]:
    """Measure all contenders."""
    limit, device = options.memory_limit, options.device
    if options.smoke:
        # MobileSAM's encoder: a tenth of the work.
        return [
            _beside(limit, "vit_t", ("exact",), side=3, size=SIZE, count=1, device=device),
            _beside(limit, MODEL, ("exact", "fast"), side=4, size=FIELD, count=2, device=device),
            _tiled(limit, (384,), 4),
        ]
    fields = options.pictures or FIELDS
    sizes = tuple(size for size in TILED if size <= (options.size or TILED[-1]))
    return [
        _beside(limit, "vit_b", ("exact",), side=LARGE_SIDE, size=SIZE, count=1, device=device),
        _beside(limit, MODEL, tuple(LEAST), side=SIDE, size=FIELD, count=fields, device=device),
        _tiled(limit, sizes or (options.size,), TILE_SIDE),
    ]


def _beside(limit: float | None, model: str, modes: tuple[str, ...], **task: Any) -> Result:
    """One model, and the reference with the same weights."""
    count, size, side = task["count"], task["size"], task["side"]
    what = f"{count} fields of {size}²" if model == MODEL else f"random weights, {size}²"
    title = f"SAM: everything, {model}, {what}, {side} × {side} points"
    absent = missing("segment_anything", *(["mobile_sam"] if model == "vit_t" else []))
    if absent:
        return Result(title, [Row(PEER, failure=absent)])
    with tempfile.TemporaryDirectory() as folder:
        ask = partial(measure, memory_limit=limit, model=model, folder=folder, **task)
        if model != MODEL:
            drawn = ask(_everything.draw_weights)
            if drawn.failure:
                return Result(title, [Row("random weights", failure=drawn.failure)])
        peer = ask(_everything.ask_reference)
        rows = [Row.of(PEER, peer, _encoder(peer), reference=True)]
        if not peer.failure:
            if model == MODEL:
                rows.append(_micro_sam(ask, peer, folder))
            rows += [
                _row(f"napari-instseg, {m}", ask(_everything.ask_ours, mode=m), peer, folder, m)
                for m in modes
            ]
    return Result(title, rows, [*_limits(peer), *([STRETCHES] if model == MODEL else [])])


def _micro_sam(ask: Callable[..., Measured], peer: Measured, folder: str) -> Row:
    absent = missing("micro_sam")
    if absent:
        return Row(MICRO_SAM, failure=absent)
    return _row(MICRO_SAM, ask(_everything.ask_micro_sam), peer, folder, "micro-sam")


def _row(name: str, found: Measured, peer: Measured, folder: str, file: str) -> Row:
    if found.failure:
        return Row.of(name, found)
    least = LEAST.get(file, LEAST["exact"])
    same, extra = _everything.agreement(folder, file, least)
    points = found.extras.get("points")
    asked = "" if points is None else f"asked at {points} points; "
    note = (
        f"{same} of {peer.extras['masks']} masks (IoU {least}), {extra} extra; {asked}"
        f"{_encoder(found, peer)}"
    )
    return Row.of(name, found, note)


def _encoder(found: Measured, peer: Measured | None = None) -> str:
    """CPU time of the encoder and of the rest, with their ratios to the reference's."""
    if found.failure:
        return ""
    parts = []
    for name, own, reference in zip(
        ("encoder", "rest"), _parts(found), _parts(peer or found), strict=True
    ):
        ratio = f" (× {own / reference:.3f})" if peer is not None else ""
        parts.append(f"{name} {own:.2f} s{ratio}")
    return f"CPU: {', '.join(parts)}"


def _parts(found: Measured) -> tuple[float, float]:
    encoder = found.extras["encoder"]
    return encoder, found.cpu_seconds - encoder


def _limits(peer: Measured) -> list[str]:
    if peer.failure:
        return []
    limits = peer.extras["limits"]
    return [
        f"predicted IoU above {limits['min_predicted_iou']:.3f}, stability from "
        f"{limits['min_stability']:.3f}, NMS {limits['nms']}"
    ]


def _tiled(limit: float | None, sizes: tuple[int, ...], side: int) -> Result:
    rows = []
    for number, size in enumerate(sizes):
        found = measure(_everything.ask_tiles, memory_limit=limit, size=size, side=side)
        rows.append(_tiled_row(f"{size}²", found, number == 0))
    remark = (
        "the picture is made as it is read; memory is the peak of the run less the masks that it "
        "keeps"
    )
    return Result(
        f"SAM: everything in tiles, fast, {MODEL}, {side} × {side} points", rows, [remark]
    )


def _tiled_row(name: str, found: Measured, reference: bool) -> Row:
    if found.failure:
        return Row.of(name, found, reference=reference)
    extras: dict[str, Any] = found.extras
    note = (
        f"{extras['pictures']} pictures, {extras['objects']} objects; kept: {extras['masks']} "
        f"masks, {extras['kept']:.0f} MiB; another "
        f"limit takes {1000 * extras['filter']:.0f} ms (CPU)"
    )
    memory = extras["peak"] - extras["kept"]
    return Row(name, found.seconds, found.cpu_seconds, memory, note, reference)


if __name__ == "__main__":
    command(run, __doc__)
