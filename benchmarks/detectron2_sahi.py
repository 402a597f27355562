"""A large picture through our tiles and through SAHI's Detectron2 adapter, with the same network.

The network is the small one, trained on nuclei, of the tests. As in `sahi_peer`, tiles, overlap,
score threshold and pixels are the same, and SAHI runs as it comes and tuned to its advantage. As
it comes, it resizes each tile to the size that the config has for `DefaultPredictor`; otherwise
it is told to leave tiles as they are, as we do.

Time and memory are taken on a large picture, and seams are judged on a smaller one that the
network can also see as a whole: the truth is its answer to that, with its limits on the number
of objects raised. It is painted twice, from masks as Detectron2 leaves them and with each made
one solid piece, as ours are.
"""

from __future__ import annotations

import argparse
from typing import Any

from ._common import Result, Row, command
from ._processes import ROOT, Meter, missing
from ._sahi import THRESHOLD, Task, Way, compare, run_pipeline, segment_with

#: Of the large picture, and of the one with a truth, px.
SIZE, JUDGED = 4096, 2048
FOLDER = ROOT / "tests" / "data" / "detectron2_nuclei"
CONFIG, WEIGHTS = FOLDER / "config.yaml", FOLDER / "model.pth"
MODEL = {"name": str(CONFIG), "weights": str(WEIGHTS), "categories": str(FOLDER / "categories.txt")}
NEEDED = ("detectron2",)


def run(options: argparse.Namespace) -> list[Result]:
    """Measure all contenders on both pictures."""
    absent = missing(*NEEDED)
    if absent:
        return [Result("SAHI's Detectron2 adapter", [Row("napari-instseg", failure=absent)])]
    judged = options.size or JUDGED
    results = [compare(options, judged, MODEL, segment_sahi, segment_untiled, needed=NEEDED)]
    if not options.size:
        results.append(compare(options, SIZE, MODEL, segment_sahi, None, needed=NEEDED))
    remark = "as it comes, SAHI has tiles resized to the size in the network's config, 512 px"
    return [Result(f"Detectron2: {r.title}", r.rows, [*r.remarks, remark]) for r in results]


# ---------------------------------------------------------------------------------- contenders


def segment_untiled(meter: Meter, task: dict[str, Any]) -> dict[str, Any]:
    """The truth, from masks as they are and as the pipeline makes them."""
    from napari_instseg.models.registry import load
    from napari_instseg.ops.masks import paint_labels

    work = Task(**task)
    picture = work.picture()
    size = picture.shape[0]
    segmenter: Any = load(device=work.device, **MODEL).segmenter
    _raise_limits(segmenter, (size / work.tile_size) ** 2)
    answers: list[Any] = []
    segment = segmenter.segment

    def remember(tiles: Any) -> Any:
        answers.extend(segment(tiles))
        return answers[-len(tiles) :]

    segmenter.segment = remember
    with meter.work():
        result = run_pipeline(picture, segmenter, size, 0)
    work.save("truth_ours", result.instances)
    found = answers[-1].instances
    found = found.take(found.scores >= THRESHOLD)
    work.save("truth_detectron2", paint_labels(found, (size, size)))
    return {"objects": result.count}


def _raise_limits(segmenter: Any, factor: float) -> None:
    """Let the network find as many objects in the whole picture as in all tiles."""
    from napari_instseg.models.detectron2.caps import Caps

    model = segmenter._model
    for limits in (model.proposal_generator.pre_nms_topk, model.proposal_generator.post_nms_topk):
        limits[False] = int(limits[False] * factor)
    predictor = model.roi_heads.box_predictor
    predictor.test_topk_per_image = int(predictor.test_topk_per_image * factor)
    segmenter._caps = Caps(model)


def segment_sahi(
    meter: Meter, task: dict[str, Any], way: dict[str, Any], save: str
) -> dict[str, Any]:
    """SAHI's Detectron2 adapter, which reads the same files by itself."""
    from napari_instseg.models.detectron2 import bridges

    bridges.load()
    from sahi import AutoDetectionModel

    work, how = Task(**task), Way(**way)
    adapter = AutoDetectionModel.from_pretrained(
        "detectron2",
        model_path=str(WEIGHTS),
        config_path=str(CONFIG),
        device=work.device,
        confidence_threshold=THRESHOLD,
        category_mapping={"0": "nucleus"},
        image_size=work.tile_size if how.native else None,
    )
    if how.tuned:
        adapter.model.model.roi_heads.box_predictor.test_score_thresh = THRESHOLD
    return segment_with(meter, work, how, adapter, save)


if __name__ == "__main__":
    command(run, __doc__)
