"""The whole network: names in its state dict are those of Meta's files."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..sam.mask_decoder import MLP
from ..sam.prompt_encoder import PromptEncoder
from .architecture import INPUT_SIZE, MEMORY_WIDTH, STRIDE, WIDTH, Architecture
from .hiera import ImageEncoder
from .mask_decoder import HighResolutionMaskDecoder
from .memory_attention import MemoryAttention
from .memory_encoder import MemoryEncoder

#: ImageNet's, of RGB in [0, 1].
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Planes that are remembered: the given one and six others.
PLANES = 7


class Sam2Network(nn.Module):
    """Encoder, prompt encoder, mask decoder, and the memory.

    Parameters
    ----------
    arch : Architecture
    input_size : int
        Side of the pictures that it takes, px; any multiple of 32 goes with the same weights.
    """

    def __init__(self, arch: Architecture, input_size: int = INPUT_SIZE) -> None:
        super().__init__()
        self.arch, self.input_size, self.grid = arch, input_size, input_size // STRIDE
        self.image_encoder = ImageEncoder(arch)
        self.sam_prompt_encoder = PromptEncoder(WIDTH, self.grid, input_size)
        self.sam_mask_decoder = HighResolutionMaskDecoder()
        self.memory_attention = MemoryAttention()
        self.memory_encoder = MemoryEncoder()
        #: Tells remembered planes apart by how long ago they were.
        self.maskmem_tpos_enc = nn.Parameter(torch.zeros(PLANES, 1, 1, MEMORY_WIDTH))
        #: Stand for a memory that is empty.
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.no_mem_pos_enc = nn.Parameter(torch.zeros(1, 1, WIDTH))
        #: Stand for an object that is not there.
        self.no_obj_ptr = nn.Parameter(torch.zeros(1, WIDTH))
        self.no_obj_embed_spatial = nn.Parameter(torch.zeros(1, MEMORY_WIDTH))
        #: Makes a given mask a prompt.
        self.mask_downsample = nn.Conv2d(1, 1, 4, 4)
        #: Make of the decoder's token, and of how long ago that was, what is remembered.
        self.obj_ptr_proj = MLP(WIDTH, WIDTH, WIDTH, 3)
        self.obj_ptr_tpos_proj = nn.Linear(WIDTH, MEMORY_WIDTH)

    def squared(self, pixels: Tensor) -> Tensor:
        """Make (B, 3, H, W) pictures, RGB in [0, 1], the square that the network takes.

        Without regard to their proportions, as in training.
        """
        side = [self.input_size, self.input_size]
        if list(pixels.shape[2:]) == side:
            return pixels
        return F.interpolate(pixels, side, mode="bilinear", antialias=True)

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode square pictures.

        Parameters
        ----------
        pixels : (B, 3, input_size, input_size) Tensor
            RGB in [0, 1].

        Returns
        -------
        coarse, half, quarter : (B, WIDTH, h, h), (B, 64, 2 h, 2 h), (B, 32, 4 h, 4 h) Tensor
            What the decoder takes, h is ``grid``; the first without what stands for an empty
            memory.
        """
        mean, deviation = (pixels.new_tensor(c).view(3, 1, 1) for c in (MEAN, DEVIATION))
        quarter, half, coarse = self.image_encoder((pixels - mean) / deviation)
        decoder = self.sam_mask_decoder
        return coarse, decoder.conv_s1(half), decoder.conv_s0(quarter)
