"""One picture of 800 x 1333 px through Detectron2's `DefaultPredictor` and through ours.

Both have the zoo's Mask R-CNN (R50-FPN, 3x schedule) with the same random weights, drawn with a
fixed seed and scaled so that every layer's answers spread by 1; the least score is set where 93
objects are left. They say nothing of accuracy, but make the network work as on a full picture.

Ours counts from the picture to the label image and the table, with the picture as one tile and
the size of training; `DefaultPredictor` to its masks, N x H x W. They take turns in one process,
so that a busy machine slows both; memory is taken in a process for each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._common import Result, Row, command, median
from ._processes import ROOT, Measured, Meter, in_turns, measure, missing

CONFIG = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x"
SHAPE, SMOKE = (800, 1333), (160, 267)
#: Below the config's cap of 100, at which ours would look again.
OBJECTS = 93
OURS, PEER = "napari-instseg", "DefaultPredictor"


@dataclass(frozen=True, slots=True)
class Task:
    """What both do, and with which weights; plain values, for JSON.

    Parameters
    ----------
    folder : str
        Where the weights and the picture are.
    shape : (int, int)
        Of the picture, and of what the network gets, px.
    device : str
    threshold : float
        Least score of an object.
    """

    folder: str
    shape: tuple[int, int]
    device: str
    threshold: float = 0.0

    @property
    def weights(self) -> Path:
        """Of the network, as a state dict."""
        return Path(self.folder) / "model.pth"

    def picture(self) -> NDArray[np.uint8]:
        """RGB, 8 bit."""
        pixels: NDArray[np.uint8] = np.load(Path(self.folder) / "picture.npy")
        return pixels

    def config(self) -> Any:
        """The zoo's config, for this picture and device."""
        from napari_instseg.models.detectron2.config import zoo_config

        cfg = zoo_config(CONFIG)
        cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = min(self.shape), max(self.shape)
        cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = self.threshold
        cfg.MODEL.DEVICE = self.device
        return cfg


def run(options: argparse.Namespace) -> Result:
    """Measure both."""
    shape = SMOKE if options.smoke else SHAPE
    title = f"Detectron2: one picture of {shape[0]} × {shape[1]}"
    absent = missing("detectron2")
    if absent:
        return Result(title, [Row(PEER, failure=absent)])
    limits: dict[str, Any] = {"memory_limit": options.memory_limit}
    with tempfile.TemporaryDirectory() as folder:
        task = asdict(Task(folder, shape, options.device))
        drawn = measure(draw_weights, **limits, task=task)
        if drawn.failure:
            return Result(title, [Row("random weights", failure=drawn.failure)])
        task["threshold"] = drawn.extras["threshold"]
        turns = measure(take_turns, **limits, task=task, repeats=options.repeats or 7)
        alone = {name: measure(run_alone, **limits, task=task, name=name) for name in (PEER, OURS)}
    if turns.failure:
        return Result(title, [Row(PEER, failure=turns.failure)])
    return Result(title, _rows(turns.extras, alone), _remarks(turns.extras))


def _rows(extras: dict[str, Any], alone: dict[str, Measured]) -> list[Row]:
    rows = []
    for name, found in alone.items():
        wall, cpu, notes = (extras[key][name] for key in ("seconds", "cpu_seconds", "notes"))
        rows.append(Row(name, median(wall), median(cpu), found.memory, notes, name == PEER))
    return rows


def _remarks(extras: dict[str, Any]) -> list[str]:
    pairs = zip(extras["seconds"][OURS], extras["seconds"][PEER], strict=True)
    ratios = ", ".join(f"{ours / theirs:.3f}" for ours, theirs in pairs)
    return [
        f"random weights; time of ours to that of {PEER} in each round: {ratios}; its masks still "
        f"have to be painted into a label image, which takes {extras['painting'] * 1000:.0f} ms "
        "more and is not counted"
    ]


# ---------------------------------------------------------------------------------- contenders


def draw_weights(meter: Meter, task: dict[str, Any]) -> dict[str, Any]:
    """Save the network and a picture; find the score above which there are enough objects."""
    import torch

    # The tests draw their networks in the same way.
    sys.path.insert(0, str(ROOT / "tests" / "models" / "detectron2"))
    from networks import excite, picture

    from napari_instseg.models.detectron2.network import build

    work = Task(**task)
    cfg = work.config()
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST, cfg.TEST.DETECTIONS_PER_IMAGE = 0.05, 1000
    network: Any = excite(build(cfg))
    torch.save(network.state_dict(), work.weights)
    pixels = picture(*work.shape, seed=2)
    np.save(Path(work.folder) / "picture.npy", pixels)
    tensor = torch.from_numpy(pixels[..., ::-1].transpose(2, 0, 1).astype(np.float32))
    with torch.inference_mode(), meter.work():
        (found,) = network.inference([{"image": tensor}], do_postprocess=False)
    # Leaving out lesser objects first, or after the fact, is the same: they hide no better ones.
    last, first_out = found.scores.sort(descending=True).values[OBJECTS - 1 : OBJECTS + 1]
    return {"threshold": float(last + first_out) / 2}


def take_turns(meter: Meter, task: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Both in one process."""
    work = Task(**task)
    contenders = {name: CONTENDERS[name](work) for name in (PEER, OURS)}
    times, answers = in_turns(contenders, repeats)
    theirs, result = answers[PEER], answers[OURS]
    masks, scores = theirs.pred_masks.numpy(), theirs.scores.numpy()
    with meter.work():
        labels = np.zeros(masks.shape[1:], np.int32)
        for i in np.argsort(scores):
            labels[masks[i]] = i + 1
    found, shown = len(result.raw[0]), len(result.table)
    about = f"{found} objects, of which {shown} are not hidden by others; label image and table"
    masks_of = f"{len(masks)} objects; {masks.nbytes >> 20} MiB of masks"
    return {**times, "painting": meter.seconds[0], "notes": {OURS: about, PEER: masks_of}}


def run_alone(meter: Meter, task: dict[str, Any], name: str) -> None:
    """One of them, for its memory."""
    contender = CONTENDERS[name](Task(**task))
    with meter.work():
        contender()


def _ours(task: Task) -> Callable[[], Any]:
    import napari_instseg as nis
    from napari_instseg.models.detectron2.categories import categories_of
    from napari_instseg.models.detectron2.network import build
    from napari_instseg.models.detectron2.segmenter import Detectron2Segmenter
    from napari_instseg.models.devices import pick_device
    from napari_instseg.models.entry import LoadedModel

    cfg, picture = task.config(), task.picture()
    network = _with_weights(build(cfg), task)
    device, names = pick_device(task.device), categories_of(cfg, None)
    segmenter = Detectron2Segmenter(network, cfg, names, device, precision="float32")
    model = LoadedModel(segmenter, CONFIG, "model.pth", "")

    def segment() -> Any:
        result = nis.segment(
            picture,
            model,
            diameter="as trained",
            limits=((0, 255),),
            score_threshold=task.threshold,
            tile_size=-(-max(task.shape) // 32) * 32,
        )
        _ = result.instances, result.table
        return result

    return segment


def _theirs(task: Task) -> Callable[[], Any]:
    from napari_instseg.models.detectron2 import bridges

    bridges.load()
    from detectron2.engine import DefaultPredictor

    cfg, picture = task.config(), task.picture()
    cfg.MODEL.WEIGHTS = ""
    predictor = DefaultPredictor(cfg)
    _with_weights(predictor.model, task)
    # It takes BGR, as OpenCV reads.
    bgr = np.ascontiguousarray(picture[..., ::-1])
    return lambda: predictor(bgr)["instances"].to("cpu")


def _with_weights(network: Any, task: Task) -> Any:
    import torch

    network.load_state_dict(torch.load(task.weights, weights_only=True))
    return network


CONTENDERS: dict[str, Callable[[Task], Callable[[], Any]]] = {OURS: _ours, PEER: _theirs}

if __name__ == "__main__":
    command(run, __doc__)
