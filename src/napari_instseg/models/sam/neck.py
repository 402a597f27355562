"""What makes of an image encoder's last map the embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .prompt_encoder import LayerNorm2d


class Neck(nn.Sequential):
    """Two convolutions, each with a normalisation over channels.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 1, bias=False),
            LayerNorm2d(outputs),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            LayerNorm2d(outputs),
        )

    def in_float32(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h, w), for norms that square values that are large."""
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = self(x.float())
        return out
