"""Whole networks of Segment Anything's kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor, nn

from . import compact_encoder
from .image_encoder import VIT_B, VIT_H, VIT_L, ImageEncoder
from .mask_decoder import MaskDecoder
from .preprocessing import normalised
from .prompt_encoder import PromptEncoder
from .tiny_vit import TinyViT

#: Of the pictures that Segment Anything was trained on, RGB in [0, 255].
MEAN = (123.675, 116.28, 103.53)
DEVIATION = (58.395, 57.12, 57.375)


class SamNetwork(nn.Module):
    """Image encoder, prompt encoder and mask decoder, with the reference's names.

    Parameters
    ----------
    encoder : ImageEncoder or TinyViT
    decoder : MaskDecoder, optional
        Default: that of all published models.
    """

    def __init__(self, encoder: ImageEncoder | TinyViT, decoder: MaskDecoder | None = None) -> None:
        super().__init__()
        self.image_encoder = encoder
        self.prompt_encoder = PromptEncoder(encoder.outputs, encoder.grid, encoder.img_size)
        self.mask_decoder = decoder or MaskDecoder(encoder.outputs)

    def preprocess(self, pictures: Tensor) -> Tensor:
        """Normalise (B, 3, h, w) RGB in [0, 1] and pad it at the bottom and right."""
        return normalised(255 * pictures, MEAN, DEVIATION, self.image_encoder.img_size)


#: The built-in one has its own encoder and normalisation.
PromptNetwork: TypeAlias = SamNetwork | compact_encoder.PromptNetwork

#: The published architectures, and how each is built with random weights.
ARCHITECTURES: dict[str, Callable[[], SamNetwork]] = {
    "SAM ViT-B": lambda: SamNetwork(ImageEncoder(VIT_B)),
    "SAM ViT-L": lambda: SamNetwork(ImageEncoder(VIT_L)),
    "SAM ViT-H": lambda: SamNetwork(ImageEncoder(VIT_H)),
    "MobileSAM ViT-T": lambda: SamNetwork(TinyViT()),
}
