"""Measure the built-in model on held-out images and write its card.

    python scripts/model_card.py ../shared/data/dsb2018/val --log runs/nuclei/log.csv

Writes README.md, worst.png and typical.png beside the weights. The figures are those of the
default settings, as a user gets them.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

import napari_instseg as nis
from napari_instseg.evaluation import Score, match_labels, pool
from napari_instseg.io.results import outlines
from napari_instseg.models.registry import find
from napari_instseg.models.weights import read_weights
from napari_instseg.ops.intensity import map_intensity
from napari_instseg.training.dataset import find_pairs, load_examples

EDGE = 256
COLUMNS = 4
CARD = Path(__file__).with_suffix(".md")


class Shown(NamedTuple):
    """A picture of a result, and the figure that it is sorted by."""

    kind: str
    name: str
    measure: str
    value: float
    picture: NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with images, labels and index.csv above")
    parser.add_argument("--log", type=Path, help="the training's log.csv")
    arguments = parser.parse_args()
    entry = find("nuclei")
    model = nis.load_model("nuclei", "cpu")
    pairs = find_pairs(arguments.data)
    begin, results = time.perf_counter(), []
    for pair, example in zip(pairs, load_examples(pairs), strict=True):
        axes = "YXS" if example.image.ndim == 3 else "YX"
        result = nis.segment(example.image, model, axes=axes)
        score = match_labels(
            example.labels, result.instances, name=pair.image.stem, kind=example.kind
        )
        rgb = map_intensity(result.image, result.settings).apply(example.image)
        results.append((score, panel(rgb, example.labels, result.instances)))
        print(f"{score.kind:13}{score.name}  AP 0.5 {ap(score):.3f}", flush=True)
    seconds = time.perf_counter() - begin
    folder = entry.path.parent
    shown = [Shown(s.kind, s.name, "AP", ap(s), picture) for s, picture in results]
    save_sheet(folder / "worst.png", shown, at=0.0)
    save_sheet(folder / "typical.png", shown, at=0.5)
    text = CARD.read_text(encoding="utf-8").format(
        **facts(arguments.log),
        **about(entry.path),
        val=len(pairs),
        threshold=nis.Settings().score_threshold,
        seconds=seconds,
        date=time.strftime("%Y-%m-%d"),
        table=table([score for score, _ in results]),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
    print(table([score for score, _ in results]))


def ap(score: Score) -> float:
    return score.matches[0.5].average_precision


def about(path: Path) -> dict[str, object]:
    arch = read_weights(path).about["architecture"]
    return {
        **about_weights(path),
        "widths": ", ".join(map(str, arch["widths"])),
        "fpn": arch["fpn_width"],
    }


def about_weights(path: Path) -> dict[str, object]:
    """What the cards of all our models say of the file and the training."""
    weights = read_weights(path)
    said = weights.about["training"]
    return {
        "size": path.stat().st_size / 1e6,
        "sha256": weights.sha256,
        "parameters": sum(t.numel() for t in weights.tensors.values()) / 1e6,
        "diameter": weights.about["diameter"],
        "images": said["images"],
        "iterations": said["iterations"],
        "precision": said["precision"],
        "batch": said["batch_size"],
        "crop": said["crop_size"],
        "rate": said["learning_rate"],
        "decay": said["weight_decay"],
        "seed": said["seed"],
    }


def facts(log: Path | None) -> dict[str, float]:
    if log is None:
        return {"hours": float("nan"), "loss": float("nan")}
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        "hours": sum(float(row["seconds"]) for row in rows) / 3600,
        "loss": float(np.mean([float(row["loss"]) for row in rows[-100:]])),
    }


def table(scores: list[Score]) -> str:
    kinds = sorted({score.kind for score in scores})
    groups = [(k, [s for s in scores if s.kind == k]) for k in kinds] + [("all", scores)]
    thresholds = list(scores[0].matches)
    lines = [
        "| | images | nuclei | found | " + " | ".join(f"AP {t:g}" for t in thresholds) + " | PQ |",
        "|---|" + "--:|" * (len(thresholds) + 4),
    ]
    for name, members in groups:
        total = pool(members, name, name)
        values = [m.average_precision for m in total.matches.values()]
        values.append(total.matches[0.5].panoptic_quality)
        cells = [name, len(members), total.truth_count, total.predicted_count]
        lines.append(f"| {' | '.join([*map(str, cells), *(f'{v:.3f}' for v in values)])} |")
    return "\n".join(lines)


def panel(
    rgb: NDArray[np.float32], truth: NDArray[np.integer], found: NDArray[np.integer]
) -> NDArray[np.uint8]:
    """Image with outlines; the busiest corner of a large one."""
    picture = np.round(rgb * 255).astype(np.uint8)
    picture[outlines(truth)] = (0, 220, 60)
    picture[outlines(found)] = (255, 0, 220)
    height, width = truth.shape
    corners = [(r, c) for r in (0, max(0, height - EDGE)) for c in (0, max(0, width - EDGE))]
    top, left = max(
        corners, key=lambda rc: np.count_nonzero(truth[rc[0] : rc[0] + EDGE, rc[1] : rc[1] + EDGE])
    )
    cut = picture[top : top + EDGE, left : left + EDGE]
    return np.pad(cut, ((0, EDGE - cut.shape[0]), (0, EDGE - cut.shape[1]), (0, 0)))


def save_sheet(path: Path, results: list[Shown], at: float) -> None:
    """Four images a kind, beginning at a share of the way from the lowest to the highest."""
    rows = []
    for kind in sorted({shown.kind for shown in results}):
        members = sorted((r for r in results if r.kind == kind), key=lambda r: r.value)
        first = min(int(at * len(members)), max(0, len(members) - COLUMNS))
        rows.append(members[first : first + COLUMNS])
    canvas = Pillow.new("RGB", (COLUMNS * (EDGE + 4), len(rows) * (EDGE + 18)), "white")
    pen = ImageDraw.Draw(canvas)
    for i, row in enumerate(rows):
        for j, shown in enumerate(row):
            x, y = j * (EDGE + 4), i * (EDGE + 18)
            canvas.paste(Pillow.fromarray(shown.picture), (x, y + 14))
            caption = f"{shown.kind} {shown.name}  {shown.measure} {shown.value:.2f}"
            pen.text((x + 2, y + 1), caption, fill="black")
    canvas.quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    main()
