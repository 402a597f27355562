"""From pictures to what image encoders take."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def normalised(
    pictures: Tensor, mean: Sequence[float], deviation: Sequence[float], size: int
) -> Tensor:
    """Normalise (B, 3, h, w) and pad it with zeros to ``size`` at the bottom and right."""
    offset, scale = (pictures.new_tensor(value)[:, None, None] for value in (mean, deviation))
    height, width = pictures.shape[-2:]
    return F.pad((pictures - offset) / scale, (0, size - width, 0, size - height))
