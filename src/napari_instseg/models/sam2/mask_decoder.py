"""SAM 2's mask decoder: Segment Anything's, with more to add and to say.

It adds the encoder's finer maps while it makes masks, and says whether there is an object.

References
----------
Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024; ``sam2`` 1.1,
``modeling/sam/mask_decoder.py``.
"""

from __future__ import annotations

from torch import nn

from ..sam.mask_decoder import MLP, MaskDecoder
from .architecture import WIDTH


class HighResolutionMaskDecoder(MaskDecoder):
    """The weights; `decoding` computes with them."""

    def __init__(self) -> None:
        super().__init__(WIDTH)
        self.obj_score_token = nn.Embedding(1, WIDTH)
        self.pred_obj_score_head = MLP(WIDTH, WIDTH, 1, 3)
        #: Make of the encoder's finest and second finest map what is added to masks.
        self.conv_s0 = nn.Conv2d(WIDTH, WIDTH // 8, 1)
        self.conv_s1 = nn.Conv2d(WIDTH, WIDTH // 4, 1)
