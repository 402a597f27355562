"""A promptable model that answers at once, by rules that a test can foresee."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import ndimage

from napari_instseg.instances import Mask
from napari_instseg.models import prompters
from napari_instseg.promptable import ON, USUAL_HABITS, Candidates, Embedding, Prompts
from napari_instseg.segmenter import RGB

#: Brighter than this belongs to an object.
BRIGHT = 0.5


def pretend(monkeypatch: pytest.MonkeyPatch, prompter: BrightnessPrompter) -> None:
    """Let every promptable model be this one, whatever its name."""

    def load(name: str, *args: object, **options: object) -> prompters.LoadedPrompter:
        return prompters.LoadedPrompter(prompter, name, "bright.safetensors", "0" * 64)

    monkeypatch.setattr(prompters, "load", load)


class BrightnessPrompter:
    """Finds the connected bright region that a prompt stands for; counts its calls.

    The embedding is the picture's brightness. An `ON` click gives its region (nothing, if it is
    dark there), several give all of theirs, an `OFF` click takes its region away; a box gives what
    is bright in it; a mask prompt gives what is bright in it. Of three candidates, the first is
    the region eroded once, the second the region, the third the region dilated once; predicted IoU
    is 0.7, 0.9 and 0.6 (0.0 if empty), of the single output 0.95; stability is 1.
    """

    diameter = None
    habits = USUAL_HABITS
    device = "CPU"

    def __init__(self, input_size: int = 64, batch_size: int = 16) -> None:
        self.input_size, self.batch_size = input_size, batch_size
        self.mask_size = input_size // 2
        self.encoded: list[tuple[int, int]] = []
        self.decoded: list[int] = []

    def encode(self, pictures: Sequence[RGB]) -> list[Embedding]:
        self.encoded += [picture.shape[:2] for picture in pictures]
        return [
            Embedding((picture.mean(axis=2)[None].astype(np.float32),), picture.shape[:2], "test")
            for picture in pictures
        ]

    def decode(
        self,
        embedding: Embedding,
        prompts: Prompts,
        *,
        multimask: bool = True,
        min_predicted_iou: float | None = None,
        min_stability: float | None = None,
        keep_logits: bool = False,
    ) -> Candidates:
        self.decoded.append(len(prompts))
        regions, _ = ndimage.label(embedding.arrays[0][0] > BRIGHT)
        found = []
        for n in range(len(prompts)):
            region = self._region(regions, prompts.take(slice(n, n + 1)))
            if not multimask:
                found.append((n, 0, 0.95, region))
                continue
            for output, iou, change in (
                (1, 0.7, ndimage.binary_erosion),
                (2, 0.9, None),
                (3, 0.6, ndimage.binary_dilation),
            ):
                found.append((n, output, iou, change(region) if change else region))
        floor = -1.0 if min_predicted_iou is None else min_predicted_iou
        scored = [(n, o, iou if mask.any() else 0.0, mask) for n, o, iou, mask in found]
        kept = [entry for entry in scored if entry[2] > floor]
        masks = [
            Mask((0, 0), mask).tight() or Mask((0, 0), np.zeros((0, 0), bool)) for *_, mask in kept
        ]
        logits = (
            np.stack([self._logits(mask) for *_, mask in kept]) if kept else np.zeros((0, 1, 1))
        )
        return Candidates(
            embedding.picture_shape,
            np.array([entry[0] for entry in kept], np.int64),
            np.array([entry[1] for entry in kept], np.int64),
            np.array([entry[2] for entry in kept], np.float32),
            np.ones(len(kept), np.float32),
            tuple(masks),
            logits.astype(np.float32) if keep_logits else None,
        )

    def _region(self, regions: np.ndarray, prompt: Prompts) -> np.ndarray:
        height, width = regions.shape
        chosen = np.zeros(regions.shape, bool)
        if prompt.logits is not None:
            chosen |= self._full(prompt.logits[0], regions.shape) & (regions > 0)
        if prompt.boxes is not None:
            r0, c0, r1, c1 = np.round(prompt.boxes[0]).astype(int)
            inside = np.zeros(regions.shape, bool)
            inside[max(r0, 0) : r1, max(c0, 0) : c1] = True
            chosen |= inside & (regions > 0)
        for (row, col), label in zip(prompt.points[0], prompt.labels[0], strict=True):
            here = regions[min(int(row), height - 1), min(int(col), width - 1)]
            if here and label == ON:
                chosen |= regions == here
            elif here:
                chosen &= regions != here
        return chosen

    def _grid(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Row and column in the picture of each logit; the picture's longest side spans them."""
        step = max(shape) / self.mask_size
        at = ((np.arange(self.mask_size) + 0.5) * step).astype(int)
        return at[:, None], at[None]

    def _logits(self, mask: np.ndarray) -> np.ndarray:
        rows, cols = self._grid(mask.shape)
        inside = (rows < mask.shape[0]) & (cols < mask.shape[1])
        here = mask[np.minimum(rows, mask.shape[0] - 1), np.minimum(cols, mask.shape[1] - 1)]
        return np.where(here & inside, 8.0, -8.0)

    def _full(self, logits: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        step = max(shape) / self.mask_size
        rows = (np.arange(shape[0]) / step).astype(int)
        cols = (np.arange(shape[1]) / step).astype(int)
        return logits[rows[:, None], cols[None]] > 0
