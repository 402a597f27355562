"""What runs in processes of their own for `sam_everything`; each looks at the same pictures."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._processes import Meter, peak_memory

#: The built-in model; others have random weights, which say nothing of accuracy.
MODEL = "sam-nuclei"
NMS = 0.7
#: Pictures are neither stretched nor resized for their objects' size, as the reference sees them.
AS_IT_IS: dict[str, Any] = {"limits": ((0, 255),), "diameter": None}
#: With random weights, masks reach all over the picture: none must go because of another one.
NO_NMS = 1.0
#: Of a random network's answers, the share below the limit of predicted IoU, and of the others
#: the share below that of stability: a few hundred of 3,072 masks stay.
QUANTILES = (0.8, 0.5)
#: Points along a side at which a random network is asked to find these limits.
ASKED = 8


# ------------------------------------------------------------------------- pictures and limits


def pictures(model: str, size: int, count: int) -> list[NDArray[np.uint8]]:
    """What is looked at: real fields, or for random weights a picture made of them."""
    from ._picture import crops
    from ._sam_networks import picture_of

    return crops(size, count) if model == MODEL else [picture_of(size)]


def draw_weights(
    meter: Meter, model: str, folder: str, side: int, size: int, count: int, device: str
) -> dict[str, Any]:
    """Write a random network to a file, and limits that let a few hundred of its masks pass."""
    import torch

    from ._sam_networks import predictor, save

    theirs = predictor(model, device)
    save(theirs.model, folder)
    with meter.work(), torch.inference_mode():
        (picture,) = pictures(model, size, count)
        theirs.set_image(picture)
        predicted, stability = _answers(theirs, min(ASKED, side), size)
    least = float(np.quantile(predicted, QUANTILES[0]))
    stable = float(np.quantile(stability[predicted > least], QUANTILES[1]))
    limits = {"min_predicted_iou": least, "min_stability": stable, "nms": NO_NMS}
    (Path(folder) / "limits.json").write_text(json.dumps(limits), "utf-8")
    return limits


def _answers(theirs: Any, side: int, size: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Predicted IoU and stability of the masks at a coarse grid."""
    import torch
    from segment_anything.utils.amg import build_point_grid, calculate_stability_score

    grid = torch.tensor(build_point_grid(side) * size, dtype=torch.float32)
    points = grid[:, None].to(theirs.device)
    found = []
    for part in points.split(ASKED):
        ones = torch.ones(len(part), 1, dtype=torch.int, device=theirs.device)
        logits, predicted, _ = theirs.predict_torch(part, ones, return_logits=True)
        stability = calculate_stability_score(logits, theirs.model.mask_threshold, 1.0)
        found.append(torch.stack([predicted, stability]).flatten(1).cpu().numpy())
    predicted, stability = np.concatenate(found, axis=1)
    return predicted, np.nan_to_num(stability)


def _limits(folder: str, habits: Any) -> dict[str, float]:
    """What a mask needs: drawn with random weights, else what the model is asked for usually."""
    path = Path(folder) / "limits.json"
    if path.is_file():
        limits: dict[str, float] = json.loads(path.read_text("utf-8"))
        return limits
    least = {name: getattr(habits, name) for name in ("min_predicted_iou", "min_stability")}
    return {**least, "nms": NMS}


# ---------------------------------------------------------------------------------- contenders


def ask_reference(
    meter: Meter, model: str, folder: str, side: int, size: int, count: int, device: str
) -> dict[str, Any]:
    """segment_anything's generator."""
    from segment_anything import SamAutomaticMaskGenerator

    network, habits = _reference(model, folder, device)
    limits = _limits(folder, habits)
    generator = SamAutomaticMaskGenerator(
        network,
        points_per_side=side,
        pred_iou_thresh=limits["min_predicted_iou"],
        stability_score_thresh=limits["min_stability"],
        box_nms_thresh=limits["nms"],
    )
    encoding: list[float] = []
    generator.predictor.set_image = timed(generator.predictor.set_image, encoding)
    what = pictures(model, size, count)
    _begin(meter)
    with meter.work():
        found = [generator.generate(picture) for picture in what]
    return _packed(found, folder, "reference", encoding) | {"limits": limits}


def ask_micro_sam(
    meter: Meter, model: str, folder: str, side: int, size: int, count: int, device: str
) -> dict[str, Any]:
    """micro-sam's generator, which keeps all masks and filters them afterwards."""
    from micro_sam.instance_segmentation import AutomaticMaskGenerator
    from micro_sam.util import precompute_image_embeddings
    from segment_anything import SamPredictor

    network, habits = _reference(model, folder, device)
    limits = _limits(folder, habits)
    predictor = SamPredictor(network)
    # What it writes into its embeddings.
    predictor.model_type = predictor.model_name = model
    encoding: list[float] = []
    predictor.set_image = timed(predictor.set_image, encoding)
    generator = AutomaticMaskGenerator(predictor, points_per_side=side)
    what = pictures(model, size, count)
    _begin(meter)
    found = []
    with meter.work():
        for picture in what:
            # Left alone, it takes colours for planes.
            seen = precompute_image_embeddings(predictor, picture, ndim=2, verbose=False)
            generator.initialize(picture, image_embeddings=seen)
            found.append(
                generator.generate(
                    pred_iou_thresh=limits["min_predicted_iou"],
                    stability_score_thresh=limits["min_stability"],
                    box_nms_thresh=limits["nms"],
                    output_mode="binary_mask",
                )
            )
    return _packed(found, folder, "micro-sam", encoding)


def _packed(
    found: Sequence[Sequence[dict[str, Any]]], folder: str, name: str, encoding: Sequence[float]
) -> dict[str, Any]:
    """Keep what a generator found in each picture, and what encoding took."""
    from ._sam import pack

    np.savez(
        Path(folder) / f"{name}.npz",
        *[pack(one["segmentation"] for one in masks) for masks in found],
    )
    return {"encoder": sum(encoding), "masks": sum(map(len, found))}


def _reference(model: str, folder: str, device: str) -> tuple[Any, Any]:
    """The reference's network, and the habits of the built-in one."""
    from ._sam import reference_of
    from ._sam_networks import reference

    if model != MODEL:
        return reference(model, folder).to(device), None
    from napari_instseg.models import prompters
    from napari_instseg.models.sam.checkpoint import read_network

    network, about = read_network(prompters.find(MODEL).path)
    return reference_of(network).to(device), about.habits


def ask_ours(
    meter: Meter,
    model: str,
    folder: str,
    side: int,
    size: int,
    count: int,
    device: str,
    mode: str,
) -> dict[str, Any]:
    """Our run, seeing each picture whole; from its pixels to the masks."""
    from ._sam import drawn, pack

    loaded = _loaded(model, folder, device)
    limits = _limits(folder, loaded.prompter.habits)
    # The reference keeps no mask below its limits; nor do we.
    kept = {f"keep_{name[4:]}": limits[name] for name in ("min_predicted_iou", "min_stability")}
    settings = {"mode": mode, "points_per_side": side, **limits, **kept}
    encoding: list[float] = []
    loaded.prompter.encode = timed(loaded.prompter.encode, encoding)
    what = pictures(model, size, count)
    _begin(meter)
    with meter.work():
        found = [_run(picture, loaded, settings) for picture in what]
    packed = [pack(drawn(one.masks, one.image_shape)) for one, _ in found]
    np.savez(Path(folder) / f"{mode}.npz", *packed)
    points = sum(points for _, points in found)
    return {"encoder": sum(encoding), "masks": sum(map(len, packed)), "points": points}


def _loaded(model: str, folder: str, device: str) -> Any:
    from napari_instseg.models import prompters

    from ._sam_networks import load

    if model == MODEL:
        return prompters.load(MODEL, device)
    prompter, sha256 = load(folder, device)
    return prompters.LoadedPrompter(prompter, model, "sam.pth", sha256)


def _run(picture: NDArray[np.uint8], loaded: Any, settings: dict[str, Any]) -> tuple[Any, int]:
    from napari_instseg.prompting import PromptSession
    from napari_instseg.prompting.everything import EverythingRun
    from napari_instseg.prompting.everything_settings import EverythingSettings

    session = PromptSession(
        picture, loaded, axes="YXS", cache=False, tile_size=max(picture.shape), **AS_IT_IS
    )
    work = EverythingRun(session, EverythingSettings.from_json(settings))
    for _ in work:
        pass
    raw = work.raw()
    (found,) = raw.instances
    return found, raw.details["points"]


def ask_tiles(meter: Meter, size: int, side: int) -> dict[str, Any]:
    """A run in fast mode over tiles and levels of a picture that is made as it is read."""
    from napari_instseg.models import prompters
    from napari_instseg.prompting import PromptSession
    from napari_instseg.prompting.everything import EverythingRun
    from napari_instseg.prompting.everything_settings import EverythingSettings

    from ._picture import Mosaic

    loaded = prompters.load(MODEL, "cpu")
    session = PromptSession(Mosaic(size), loaded, cache=False, **AS_IT_IS)
    habits = loaded.prompter.habits
    chosen = EverythingSettings.for_model(habits, {"mode": "fast", "points_per_side": side})
    # What is made once is not the run's.
    session.embedding(session.views()[0], keep=False)
    with meter.work():
        work = EverythingRun(session, chosen)
        for _ in work:
            pass
        raw = work.raw()
    peak = peak_memory() - meter.before
    result = raw.filter()
    begin = time.process_time()
    raw.filter(min_predicted_iou=chosen.min_predicted_iou + 0.05)
    again = time.process_time() - begin
    mib = 1 << 20
    return {
        "objects": result.count,
        "pictures": raw.details["pictures"],
        "masks": len(raw),
        "peak": peak,
        "kept": sum(picture.nbytes for picture in raw.pictures) / mib,
        "filter": again,
    }


# --------------------------------------------------------------------------------------- parts


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The same function; writes down its CPU seconds."""

    def call(*args: Any, **options: Any) -> Any:
        begin = time.process_time()
        found = function(*args, **options)
        spent.append(time.process_time() - begin)
        return found

    return call


def _begin(meter: Meter) -> None:
    """Count memory from here on; what loading leaves behind must not hide what comes."""
    gc.collect()
    meter.start()


def agreement(folder: str, mode: str, least: float) -> tuple[int, int]:
    """How many of the reference's masks ours are, and how many are extra."""
    from ._sam import matches, overlaps

    found = [matches(overlaps(a, b), least) for a, b in _both(folder, mode)]
    same, extra = zip(*found, strict=True)
    return sum(same), sum(extra)


def _both(folder: str, mode: str) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    names = ("reference", mode)
    theirs, ours = (np.load(Path(folder) / f"{name}.npz") for name in names)
    with theirs, ours:
        yield from zip(theirs.values(), ours.values(), strict=True)
