"""Write ``models/data/detectron2_zoo.json``: which models of Detectron2's zoo can be picked.

Everything is read from the installed Detectron2: its configs, its table of URLs, and the
networks that it builds (without memory for their weights).

    python scripts/zoo_list.py            # writes the file
    python scripts/zoo_list.py --check    # says whether it is up to date
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from napari_instseg.models.detectron2 import bridges

TARGET = Path(__file__).parents[1] / "src/napari_instseg/models/data/detectron2_zoo.json"
#: From Detectron2's MODEL_ZOO.md, for all weights that it lists.
LICENSE = "CC BY-SA 3.0"
DATASETS = {
    "coco": "COCO",
    "cityscapes": "Cityscapes",
    "lvis_v0.5": "LVIS v0.5",
    "lvis_v1": "LVIS v1",
    "voc": "Pascal VOC",
}
#: Why models are not in the list.
NO_WEIGHTS = "no trained weights are published"
BASE = "no model, but the base of others"
TESTS = "a test of Detectron2 itself"
PYTHON = "its config is Python code (LazyConfig), which is not run"
KEYPOINTS = "finds key points of people"
PROPOSALS = "gives proposals without categories"
PRECOMPUTED = "needs proposals that another program has computed"
DEFORMABLE = "deformable convolution needs Detectron2's compiled extension"
OUTPUTS = {
    "boxes": ["boxes"],
    "instances": ["instances"],
    "panoptic": ["instances", "semantic", "panoptic"],
    "semantic": ["semantic"],
}


def load() -> None:
    """Import Detectron2; it would warn of its own configs as if they were a stranger's."""
    bridges.load()
    for name in ("fvcore", "detectron2"):
        logging.getLogger(name).setLevel(logging.ERROR)


def names() -> list[str]:
    """Names of models that have a config or weights, without ".yaml"."""
    from detectron2.model_zoo import model_zoo

    folder = Path(model_zoo.__file__).parent / "configs"
    configs = {p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.yaml")}
    return sorted(n for n in configs | set(urls()) if not n.startswith("quick_schedules/"))


def urls() -> dict[str, str]:
    """URL of the weights by the name of the model."""
    from detectron2.model_zoo.model_zoo import _ModelZooUrls as Zoo

    return {n: f"{Zoo.S3_PREFIX}{n}/{end}" for n, end in Zoo.CONFIG_PATH_TO_URL_SUFFIX.items()}


def why_not(name: str) -> str:
    """Say why a model is not in the list; "" if it is."""
    if name.rpartition("/")[2].startswith("Base-"):
        return BASE
    cfg = config(name)
    if cfg is None:
        return PYTHON
    model = cfg.MODEL
    if model.KEYPOINT_ON:
        return KEYPOINTS
    if model.META_ARCHITECTURE == "ProposalNetwork":
        return PROPOSALS
    if model.LOAD_PROPOSALS:
        return PRECOMPUTED
    if any(model.RESNETS.DEFORM_ON_PER_STAGE):
        return DEFORMABLE
    return "" if name in urls() else NO_WEIGHTS


def config(name: str) -> Any:
    """Read a config of the package itself; None if there is none in YAML."""
    from detectron2 import model_zoo

    try:
        return model_zoo.get_config(f"{name}.yaml")
    except RuntimeError:
        return None


def describe(name: str) -> dict[str, Any]:
    """Describe a model, all but its size."""
    cfg = config(name)
    model = cfg.MODEL
    architecture = model.META_ARCHITECTURE
    things = model.RETINANET if architecture == "RetinaNet" else model.ROI_HEADS
    count, outputs = things.NUM_CLASSES, "instances" if model.MASK_ON else "boxes"
    cascade = "Cascade " if model.ROI_HEADS.NAME == "CascadeROIHeads" else ""
    family = f"{cascade}{'Mask' if model.MASK_ON else 'Faster'} R-CNN"
    if architecture == "RetinaNet":
        family, outputs = "RetinaNet", "boxes"
    elif architecture == "SemanticSegmentor":
        family, outputs, count = "Semantic FPN", "semantic", model.SEM_SEG_HEAD.NUM_CLASSES
    elif architecture == "PanopticFPN":
        # One class of the semantic head stands for all things.
        family, outputs, count = (
            "Panoptic FPN",
            "panoptic",
            count + model.SEM_SEG_HEAD.NUM_CLASSES - 1,
        )
    backbone = _backbone(cfg, name)
    return {
        "config": f"{name}.yaml",
        "title": ", ".join([f"{family} {backbone}", *_variants(cfg, name)]),
        "family": family,
        "backbone": backbone,
        "outputs": OUTPUTS[outputs],
        "dataset": _dataset(cfg.DATASETS.TRAIN[0]),
        "categories": count,
        "url": urls()[name],
    }


def _dataset(name: str) -> str:
    return next(title for start, title in DATASETS.items() if name.startswith(start))


def _backbone(cfg: Any, name: str) -> str:
    """Such as R50-FPN, as Detectron2's papers and tables have it."""
    resnets = cfg.MODEL.RESNETS
    base = f"R{resnets.DEPTH}"
    if resnets.NUM_GROUPS > 1:
        base = f"X{resnets.DEPTH}-{resnets.NUM_GROUPS}x{resnets.WIDTH_PER_GROUP}d"
    if "fpn" in cfg.MODEL.BACKBONE.NAME:
        return f"{base}-FPN"
    return f"{base}-{'DC5' if resnets.RES5_DILATION > 1 else 'C4'}"


def _variants(cfg: Any, name: str) -> list[str]:
    """What tells a model from others of its kind: schedule, normalisation, start."""
    last = name.rpartition("/")[2]
    schedule = [part for part in last.split("_") if part in ("1x", "3x", "9x")]
    norm = {"GN": ["group norm"], "SyncBN": ["batch norm"]}.get(cfg.MODEL.RESNETS.NORM, [])
    scratch = ["from scratch"] if last.startswith("scratch") else []
    plain = ["no augmentation"] if "noaug" in last else []
    return schedule + norm + scratch + plain


def weights_bytes(name: str) -> int:
    """Bytes that the weights take as float32: nearly those of the file."""
    import torch
    from detectron2.modeling import build_model

    cfg = config(name)
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        network = build_model(cfg)
    count: int = sum(value.numel() for value in network.state_dict().values())
    return 4 * count


def reasons() -> dict[str, str]:
    """Why each model is left out, "" if it is not; tests of Detectron2 itself as one."""
    return {name: why_not(name) for name in names()} | {"quick_schedules/*": TESTS}


def document() -> dict[str, Any]:
    """Everything that is in the file."""
    known = reasons()
    return {
        "about": "Made by scripts/zoo_list.py from Detectron2 0.6; bytes are estimates",
        "license": LICENSE,
        "models": [
            {**describe(name), "bytes": weights_bytes(name)}
            for name, reason in known.items()
            if not reason
        ],
        "left_out": {name: reason for name, reason in known.items() if reason},
    }


def to_text(values: dict[str, Any]) -> str:
    """JSON with one line a model."""
    models = ",\n".join(f"  {json.dumps(model)}" for model in values["models"])
    rest = json.dumps({**values, "models": []}, indent=1)
    return rest.replace('"models": []', f'"models": [\n{models}\n ]') + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it is stale")
    args = parser.parse_args()
    load()
    text = to_text(document())
    if args.check:
        fresh = TARGET.is_file() and TARGET.read_text("utf-8") == text
        print(f"{TARGET}: {'up to date' if fresh else 'stale; run scripts/zoo_list.py'}")
        return 0 if fresh else 1
    TARGET.write_text(text, "utf-8", newline="\n")
    print(f"{TARGET}: {len(json.loads(text)['models'])} models")
    return 0


if __name__ == "__main__":
    sys.exit(main())
