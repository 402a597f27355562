"""Which configs describe a model that can be run here, and why the others do not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...segmenter import ModelError
from ..weights import some

ARCHITECTURES = (
    "GeneralizedRCNN",
    "PanopticDeepLab",
    "PanopticFPN",
    "RetinaNet",
    "SemanticSegmentor",
)
#: Those that propose regions, and then look at each.
_TWO_STAGES = ("GeneralizedRCNN", "PanopticFPN")


def newer_backbone(text: str) -> str:
    """What to do if a text names a backbone that Detectron2 0.6 has not, else ""."""
    found = re.search(r"swin|mvit|vit(?![a-z])", text, re.IGNORECASE)
    if not found:
        return ""
    return (
        f"Backbones such as {found[0]} (ViT, Swin, MViT) came after Detectron2 0.6: install a "
        "build of its main branch in place of it"
    )


def check_support(cfg: Any, path: Path) -> None:
    """Raise ModelError if a config's model cannot be run here; the message says why.

    Parameters
    ----------
    cfg : detectron2.config.CfgNode
        Complete.
    path : Path
        Where it comes from, for the message.
    """
    reason = next(_reasons(cfg), "") or next(_strangers(cfg), "")
    if reason:
        raise ModelError(f"{path} describes a model that cannot be run here: {reason}")


def _reasons(cfg: Any) -> Iterator[str]:
    model = cfg.MODEL
    if model.META_ARCHITECTURE == "ProposalNetwork":
        yield "a ProposalNetwork finds regions, not objects"
    if model.META_ARCHITECTURE in _TWO_STAGES:
        if model.LOAD_PROPOSALS or model.PROPOSAL_GENERATOR.NAME == "PrecomputedProposals":
            yield (
                "it needs regions that another program has found beforehand "
                "(MODEL.LOAD_PROPOSALS); take a Faster R-CNN, which finds them itself"
            )
        if model.KEYPOINT_ON:
            yield "keypoints (MODEL.KEYPOINT_ON) are no masks or boxes"
        if model.ROI_BOX_HEAD.USE_SIGMOID_CE and not _knows_sigmoid():
            yield (
                "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE came after Detectron2 0.6: install a build of "
                "its main branch in place of it"
            )
        rotated = (
            model.PROPOSAL_GENERATOR.NAME == "RRPN",
            model.ROI_HEADS.NAME == "RROIHeads",
            model.ANCHOR_GENERATOR.NAME == "RotatedAnchorGenerator",
            model.ROI_BOX_HEAD.POOLER_TYPE == "ROIAlignRotated",
        )
        if any(rotated):
            yield "it finds rotated boxes, which need Detectron2's compiled extension"
    if cfg.INPUT.FORMAT not in ("BGR", "RGB"):
        yield f"its INPUT.FORMAT is {cfg.INPUT.FORMAT!r}: expected 'BGR' or 'RGB'"
    for key in ("PIXEL_MEAN", "PIXEL_STD"):
        if len(model[key]) != 3:
            yield f"its MODEL.{key} has {len(model[key])} numbers: expected one each for R, G, B"


def _knows_sigmoid() -> bool:
    from detectron2.config import get_cfg

    return "USE_SIGMOID_CE" in get_cfg().MODEL.ROI_BOX_HEAD


def _strangers(cfg: Any) -> Iterator[str]:
    """Parts by names that the installed Detectron2 has not."""
    if cfg.MODEL.META_ARCHITECTURE not in ARCHITECTURES:
        yield (
            f"its MODEL.META_ARCHITECTURE is {cfg.MODEL.META_ARCHITECTURE!r}: expected one of "
            f"{', '.join(ARCHITECTURES)}"
        )
    for key, registry in _parts(cfg):
        name = cfg.MODEL
        for part in key.split("."):
            name = name[part]
        if name not in registry:
            known = some(sorted(name for name, _ in registry), 8)
            yield (
                f"its MODEL.{key} is {name!r}: expected one of {known}. {newer_backbone(str(name))}"
            ).rstrip(". ")


def _parts(cfg: Any) -> Iterator[tuple[str, Any]]:
    from detectron2 import modeling
    from detectron2.modeling import proposal_generator, roi_heads
    from detectron2.modeling.meta_arch import semantic_seg

    model, architecture = cfg.MODEL, cfg.MODEL.META_ARCHITECTURE
    yield "BACKBONE.NAME", modeling.BACKBONE_REGISTRY
    if architecture in _TWO_STAGES:
        yield "PROPOSAL_GENERATOR.NAME", modeling.PROPOSAL_GENERATOR_REGISTRY
        yield "RPN.HEAD_NAME", proposal_generator.RPN_HEAD_REGISTRY
        yield "ROI_HEADS.NAME", modeling.ROI_HEADS_REGISTRY
        if model.ROI_HEADS.NAME != "Res5ROIHeads":
            yield "ROI_BOX_HEAD.NAME", roi_heads.ROI_BOX_HEAD_REGISTRY
        # The old heads of PointRend rename theirs themselves.
        if model.MASK_ON and model.ROI_HEADS.NAME != "PointRendROIHeads":
            yield "ROI_MASK_HEAD.NAME", roi_heads.ROI_MASK_HEAD_REGISTRY
    if architecture in (*_TWO_STAGES, "RetinaNet"):
        yield "ANCHOR_GENERATOR.NAME", modeling.ANCHOR_GENERATOR_REGISTRY
    if architecture in ("PanopticFPN", "SemanticSegmentor", "PanopticDeepLab"):
        yield "SEM_SEG_HEAD.NAME", semantic_seg.SEM_SEG_HEADS_REGISTRY
