"""What the backends share: a device, a number format, and tiles of one shape at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch

from ..segmenter import RGB, Prediction
from .devices import autocast, describe_device, describe_precision, half_precision, memory_errors


class TorchSegmenter(ABC):
    """A network of torch behind the `Segmenter` protocol.

    Parameters
    ----------
    device : torch.device
    precision : {"auto", "float32", "half"}
        See `devices.half_precision`.
    """

    def __init__(self, device: torch.device, precision: str = "auto") -> None:
        self._device = device
        self._half = half_precision(device, precision)

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
        """A GPU is kept busy by a few tiles at a time, a CPU's caches by one."""
        return 4 if self._device.type == "cuda" else 1

    @torch.inference_mode()
    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        """Segment tiles, those of one shape together; see `Segmenter.segment`."""
        shapes = [(tile.shape[0], tile.shape[1]) for tile in tiles]
        found: dict[int, Prediction] = {}
        with memory_errors(self.device), autocast(self._device, self._half):
            # Padding to another tile's shape would change the answer.
            for shape in dict.fromkeys(shapes):
                same = [i for i, other in enumerate(shapes) if other == shape]
                alike = self._segment_alike([tiles[i] for i in same], shape)
                found |= zip(same, alike, strict=True)
        return [found[i] for i in range(len(tiles))]

    @abstractmethod
    def _segment_alike(self, tiles: Sequence[RGB], shape: tuple[int, int]) -> list[Prediction]:
        """Segment tiles of one height and width, px."""
