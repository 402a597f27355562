"""Run Segment Anything behind the `PromptSegmenter` protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...instances import Mask
from ...promptable import USUAL_HABITS, Candidates, Embedding, Habits, Prompts, shape_of
from ...segmenter import RGB, InputError
from ..devices import (
    autocast,
    describe_device,
    describe_precision,
    half_precision,
    memory_errors,
    pick_device,
)
from ..downloads import fetch_weights
from ..entry import ModelEntry, Report
from .checkpoint import read_network
from .decoding import Decoded, FastDecoder
from .network import PromptNetwork
from .recent import Recent
from .reordered import SharedCells
from .upsampling import Upsampling, resized_shape

#: Bytes of cells at a time; on a CPU so that they stay in the outer cache.
CELL_BYTES = {"cpu": 8 << 20}
OTHER_CELL_BYTES = 256 << 20
#: Number of prompts that a caller should give at once.
BATCH = {"cpu": 16, "cuda": 256}


class SamPrompter:
    """Segment Anything, MobileSAM, or the built-in model of their kind.

    The decoder computes in float32 everywhere: its work is small, and so its masks are the
    same on every device.

    Parameters
    ----------
    network : PromptNetwork
        With its weights, which must not change afterwards.
    sha256 : str
        Of the weights.
    device : torch.device
    precision : {"auto", "float32", "half"}
        Of the image encoder; see `devices.half_precision`.
    diameter : float, optional
        Median object diameter in training, px.
    habits : Habits
        How it takes prompts.

    Notes
    -----
    A point at (r, c) is what the reference calls (x, y) = (c - 0.5, r - 0.5): it counts pixels
    from their centres, `Prompts` from their corners. So are the corners of boxes.
    """

    def __init__(
        self,
        network: PromptNetwork,
        sha256: str,
        device: torch.device,
        precision: str = "auto",
        diameter: float | None = None,
        habits: Habits = USUAL_HABITS,
    ) -> None:
        self.diameter, self.habits = diameter, habits
        self._device, self._sha256 = device, sha256
        self._half = half_precision(device, precision)
        self._network = network.eval().requires_grad_(False).to(device)
        self._network.image_encoder.to(memory_format=torch.channels_last)
        self._prompts = network.prompt_encoder
        with torch.inference_mode():
            positions = self._prompts.dense_positions()
            self._decoder = FastDecoder(network.mask_decoder, positions)
        self._shared = Recent[SharedCells]()

    @property
    def input_size(self) -> int:
        """Longest side (px) that pictures are resized to."""
        return self._prompts.input_size

    @property
    def mask_size(self) -> int:
        """Side of a mask's logits, px."""
        return self._prompts.mask_size

    @property
    def device(self) -> str:
        """Where it computes, for people."""
        return describe_device(self._device)

    @property
    def precision(self) -> str:
        """Number format of the network's multiplications."""
        return describe_precision(self._half)

    @property
    def batch_size(self) -> int:
        """Number of prompts that the device does well with at a time."""
        return BATCH.get(self._device.type, BATCH["cpu"])

    @torch.inference_mode()
    def encode(self, pictures: Sequence[RGB]) -> list[Embedding]:
        """Encode pictures; see `PromptSegmenter.encode`.

        Notes
        -----
        One that must be resized is rounded to 8 bit, as in training; see `resized`.
        """
        with memory_errors(self.device):
            return [self._encode(picture) for picture in pictures]

    def _encode(self, picture: RGB) -> Embedding:
        pixels = torch.from_numpy(resized(picture, self.input_size)).to(self._device)
        normal = self._network.preprocess(pixels.permute(2, 0, 1)[None])
        with autocast(self._device, self._half):
            encoded = self._network.image_encoder(normal)
        array = encoded[0].float().contiguous().cpu().numpy()
        return Embedding((array,), shape_of(picture), self._sha256)

    @torch.inference_mode()
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
        """Answer prompts with masks; see `PromptSegmenter.decode`."""
        embedding.check_model(self._sha256)
        side = self.mask_size
        if prompts.logits is not None and prompts.logits.shape[1:] != (side, side):
            raise InputError(
                f"expected masks of {side} x {side} logits as prompts of this model, got "
                f"{prompts.logits.shape[1:]}"
            )
        outputs = slice(1, None) if multimask else slice(0, 1)
        upsampling = Upsampling(self.mask_size, self.input_size, embedding.picture_shape)
        found = Found(upsampling, min_stability, keep_logits)
        with memory_errors(self.device):
            cells = self._shared.get(embedding, self._share)
            for first, part in in_parts(prompts, self._at_a_time(cells)):
                sparse, own = self._embed(part, embedding, cells)
                decoded = self._decoder(own, sparse, outputs, min_predicted_iou)
                found.add(decoded, first)
        return found.candidates(embedding.picture_shape)

    def _share(self, embedding: Embedding) -> SharedCells:
        """What the prompts of a picture share."""
        encoded = self._encoded(embedding) + self._prompts.dense(None)
        return self._decoder.share(encoded[0].flatten(1).T.contiguous())

    def _encoded(self, embedding: Embedding) -> Tensor:
        """(1, C, h, w)."""
        array = embedding.arrays[0].astype(np.float32)
        return torch.from_numpy(array).to(self._device)[None]

    def _at_a_time(self, cells: SharedCells) -> int:
        limit = CELL_BYTES.get(self._device.type, OTHER_CELL_BYTES)
        return max(1, limit // (4 * cells.cells.numel()))

    def _embed(
        self, prompts: Prompts, embedding: Embedding, cells: SharedCells
    ) -> tuple[Tensor, SharedCells | Tensor]:
        """What the decoder takes: the prompts' tokens, and the cells with their masks."""
        shape = embedding.picture_shape
        points, boxes = self._placed(prompts.points, shape), None
        if prompts.boxes is not None:
            corners = prompts.boxes.reshape(-1, 2, 2)
            boxes = self._placed(corners, shape).flatten(1)
        labels = torch.tensor(prompts.labels, device=self._device)
        sparse = self._prompts.sparse(points, labels, boxes)
        if prompts.logits is None:
            return sparse, cells
        masks = torch.tensor(prompts.logits, device=self._device)[:, None]
        own = self._encoded(embedding) + self._prompts.dense(masks)
        return sparse, own.flatten(2).transpose(1, 2).contiguous()

    def _placed(self, points: np.ndarray, shape: tuple[int, int]) -> Tensor:
        """(N, P, 2) rows and columns in the picture to columns and rows in the input."""
        inner = resized_shape(shape, self.input_size)
        scale = np.array(inner, np.float64) / np.array(shape, np.float64)
        placed = (points.astype(np.float64) - 0.5) * scale
        return torch.from_numpy(placed[..., ::-1].astype(np.float32)).to(self._device)


class Found:
    """Masks as they come, those that are stable enough."""

    def __init__(
        self, upsampling: Upsampling, min_stability: float | None, keep_logits: bool
    ) -> None:
        self._upsampling = upsampling
        self._least = min_stability
        self._keep_logits = keep_logits
        self._rows: list[tuple[int, int, float, float]] = []
        self._masks: list[Mask] = []
        self._logits: list[np.ndarray] = []

    def add(self, decoded: Decoded, first: int) -> None:
        """Take the masks of some prompts, of which ``first`` is the first."""
        every = decoded.logits.cpu()
        numbers = zip(
            decoded.prompts.tolist(),
            decoded.outputs.tolist(),
            decoded.predicted_iou.tolist(),
            every,
            strict=True,
        )
        for prompt, output, predicted, logits in numbers:
            mask, stability = self._upsampling(logits)
            # In float32, in which the reference compares.
            if self._least is not None and np.float32(stability) < np.float32(self._least):
                continue
            self._rows.append((first + prompt, output, predicted, stability))
            self._masks.append(mask)
            if self._keep_logits:
                self._logits.append(logits.numpy().copy())

    def candidates(self, shape: tuple[int, int]) -> Candidates:
        """All of them."""
        columns = list(zip(*self._rows, strict=True)) or [()] * 4
        side = self._upsampling.mask_size
        logits = np.array(self._logits, np.float32).reshape(-1, side, side)
        return Candidates(
            shape,
            np.array(columns[0], np.int64),
            np.array(columns[1], np.int64),
            np.array(columns[2], np.float32),
            np.array(columns[3], np.float32),
            tuple(self._masks),
            logits if self._keep_logits else None,
        )


def in_parts(prompts: Prompts, size: int) -> Iterator[tuple[int, Prompts]]:
    """Give so many prompts at a time, and the index of the first."""
    for first in range(0, len(prompts), size):
        yield first, prompts.take(slice(first, first + size))


def resized(picture: RGB, longest: int) -> RGB:
    """Resize a picture so that its longest side is as the network takes it.

    Raises
    ------
    InputError
        If it is not (H, W, 3), or has no pixels.

    Notes
    -----
    The reference does that with 8 bit and Pillow, and so is it here; a picture of the right
    size stays as it is.
    """
    shape = shape_of(picture)
    inner = resized_shape(shape, longest)
    if inner == shape:
        return np.array(picture, np.float32)
    eight_bit = np.rint(picture * np.float32(255)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(eight_bit).resize(inner[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32) / np.float32(255)


def load_prompter(
    entry: ModelEntry, device: str, precision: str = "auto", report: Report | None = None
) -> tuple[SamPrompter, str]:
    """Load a model of the list, the built-in one, or a user's own file.

    Parameters
    ----------
    entry : ModelEntry
    device : str
        "auto" or a torch device.
    precision : {"auto", "float32", "half"}
    report : callable, optional
        Told of the download's progress.

    Returns
    -------
    prompter : SamPrompter
    sha256 : str
        Of the weights file.

    Raises
    ------
    ModelError
        If the file cannot be had or read, or holds no model of this kind.
    InputError
        If the device is not there.
    """
    chosen = pick_device(device)
    digest = fetch_weights(entry, report)
    network, found = read_network(entry.path, digest)
    diameter = found.diameter if entry.diameter is None else entry.diameter
    prompter = SamPrompter(network, found.sha256, chosen, precision, diameter, found.habits)
    return prompter, found.sha256
