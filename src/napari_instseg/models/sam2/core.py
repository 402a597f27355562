"""What answering prompts and following objects share: encoding, and features on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...promptable import Embedding, shape_of
from ...segmenter import RGB
from ..devices import autocast, half_precision
from ..sam.prompt_encoder import FIRST_CORNER, LAST_CORNER
from ..sam.recent import Recent
from ..sam.reordered import SharedCells
from ..sam.upscaling import FineMaps
from .decoding import HighResolutionDecoder
from .network import Sam2Network

#: Pictures at a time on a GPU.
BATCH = 4


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """An embedding on the device.

    Parameters
    ----------
    coarse : (T, C) Tensor
        The coarsest map's cells, without what stands for an empty memory.
    fine : FineMaps
    shared : SharedCells
        The cells as prompts without a memory see them.
    """

    coarse: Tensor
    fine: FineMaps
    shared: SharedCells


class Core:
    """A network on a device.

    Parameters
    ----------
    network : Sam2Network
        With its weights, which must not change afterwards.
    sha256 : str
        Of the weights.
    device : torch.device
    precision : {"auto", "float32", "half"}
        Of the image encoder; all that follows is float32, so that masks are the same on every
        device.
    """

    def __init__(
        self, network: Sam2Network, sha256: str, device: torch.device, precision: str = "auto"
    ) -> None:
        self.device, self.sha256 = device, sha256
        self.network = network.eval().requires_grad_(False).to(device)
        self.prompts = network.sam_prompt_encoder
        self.half = _half(device, precision)
        with torch.inference_mode():
            positions = self.prompts.dense_positions()
            self.decoder = HighResolutionDecoder(network.sam_mask_decoder, positions)
        self._kept = Recent[Features]()

    def encode(self, pictures: Sequence[RGB]) -> list[Embedding]:
        """Encode pictures; see `PromptSegmenter.encode`."""
        size = BATCH if self.device.type == "cuda" else 1
        parts = [pictures[at : at + size] for at in range(0, len(pictures), size)]
        return [embedding for part in parts for embedding in self._encode(part)]

    def _encode(self, pictures: Sequence[RGB]) -> list[Embedding]:
        shapes = [shape_of(picture) for picture in pictures]
        batch = torch.cat([self._squared(picture) for picture in pictures])
        with autocast(self.device, self.half):
            maps = self.network.encode(batch)
        arrays = zip(*(m.float().contiguous().cpu().numpy() for m in maps), strict=True)
        return [
            Embedding(tuple(own), shape, self.sha256)
            for own, shape in zip(arrays, shapes, strict=True)
        ]

    def _squared(self, picture: RGB) -> Tensor:
        pixels = torch.from_numpy(np.array(picture, np.float32)).to(self.device)
        return self.network.squared(pixels.permute(2, 0, 1)[None])

    def features(self, embedding: Embedding) -> Features:
        """Put an embedding on the device; those asked about last are there already.

        Raises
        ------
        InputError
            If it is of another model.
        """
        embedding.check_model(self.sha256)
        return self._kept.get(embedding, self._features)

    def _features(self, embedding: Embedding) -> Features:
        coarse, half, quarter = (self.tensor(array) for array in embedding.arrays)
        cells = coarse.flatten(1).T.contiguous()
        alone = cells + self.network.no_mem_embed[0] + self.prompts.dense(None).flatten()
        shared = self.decoder.share(alone)
        return Features(cells, FineMaps.create(half, quarter), shared)

    def sparse(
        self,
        points: NDArray[np.float32],
        labels: NDArray[np.int64],
        boxes: NDArray[np.float32] | None,
        shape: tuple[int, int],
    ) -> Tensor:
        """Encode points and boxes in px of a picture, (N, T, C); a box is two more points."""
        if boxes is not None:
            corners = np.array([FIRST_CORNER, LAST_CORNER])
            points = np.concatenate([boxes.reshape(-1, 2, 2), points], axis=1)
            kinds = np.broadcast_to(corners, (len(boxes), 2))
            labels = np.concatenate([kinds, labels], axis=1)
        # The reference counts pixels from their centres, `Prompts` from their corners.
        scale = self.network.input_size / np.array(shape, np.float64)
        placed = ((points.astype(np.float64) - 0.5) * scale)[..., ::-1]
        return self.prompts.sparse(self.tensor(placed), torch.from_numpy(labels).to(self.device))

    def tensor(self, array: NDArray[np.floating]) -> Tensor:
        """Put numbers on the device, as float32."""
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self.device)


def _half(device: torch.device, precision: str) -> torch.dtype | None:
    """Choose the format that the network was trained in, where the device has it."""
    chosen = half_precision(device, precision)
    if chosen is not None and device.type == "cuda" and torch.cuda.is_bf16_supported(False):
        return torch.bfloat16
    return chosen
