"""A network small enough to build in no time."""

from __future__ import annotations

from napari_instseg.models.thin_mask_rcnn import Architecture

TINY = Architecture(
    stem_width=4,
    widths=(4, 4, 4, 4),
    depths=(1, 1, 1, 1),
    fpn_width=4,
    box_width=8,
    mask_layers=(4,),
)
