"""The built-in model on real microscopy: as good as its card says, and whatever the tiles."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import napari_instseg as nis
from napari_instseg.evaluation import Score, match_labels, pool
from napari_instseg.io.images import read_image, read_labels
from napari_instseg.models.detectron2.install import state
from napari_instseg.models.entry import LoadedModel
from napari_instseg.ops.axes import Image

VARIABLE = "NAPARI_INSTSEG_DATA"
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data" / "dsb2018"
DATA = Path(os.environ.get(VARIABLE) or BESIDE)

pytestmark = pytest.mark.skipif(
    not (DATA / "val" / "images").is_dir(),
    reason=f"no 'val/images' in {DATA}: set {VARIABLE} to a copy of BBBC038v1 (stage1_train) "
    "as index.csv and val/images, val/labels",
)


def index() -> dict[str, str]:
    """Kind of each validation image by name."""
    if not (DATA / "index.csv").is_file():
        return {}
    with (DATA / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    return {row["name"]: row["kind"] for row in sorted(rows, key=lambda row: row["name"])}


def path_of(name: str, what: str = "images") -> Path:
    (path,) = (DATA / "val" / what).glob(f"{name}.*")
    return path


def first(kind: str, shape: tuple[int, ...], count: int) -> list[Path]:
    """The first images of a kind and shape."""
    paths = (path_of(name) for name, k in index().items() if k == kind)
    alike = [path for path in paths if read_image(path).label_shape == shape]
    return alike[:count]


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return nis.load_model()


@pytest.mark.slow
def test_the_built_in_model_finds_nuclei(model: LoadedModel) -> None:
    """All of `val` at the default settings; AP = TP / (TP + FP + FN) at IoU 0.5, pooled."""
    scores: dict[str, list[Score]] = {}
    for name, kind in index().items():
        truth = read_labels(path_of(name, "labels"))
        found = nis.segment(path_of(name), model).instances
        scores.setdefault(kind, []).append(match_labels(truth, found, (0.5,)))
    assert sum(len(of_kind) for of_kind in scores.values()) == 53
    pooled = {kind: pool(of_kind).matches[0.5] for kind, of_kind in scores.items()}
    print({kind: round(match.average_precision, 3) for kind, match in pooled.items()})
    assert pooled["fluorescence"].average_precision >= 0.80
    assert pooled["histology"].average_precision >= 0.45


def tiled_against_whole(image: Image, model: LoadedModel, tile: int, overlap: int) -> Score:
    whole = nis.segment(image, model)
    tiled = nis.segment(image, model, tile_size=tile, overlap=overlap)
    return match_labels(whole.instances, tiled.instances, (0.5,))


FLUORESCENCE, HISTOLOGY = "fluorescence", "histology"
#: Kind, shape and number of images; tile size and overlap.
CASES = {
    "small tiles": ([(FLUORESCENCE, (256, 256), 8)], 128, 64),
    "odd sizes": ([(FLUORESCENCE, (360, 360), 6), (FLUORESCENCE, (260, 347), 1)], 256, 96),
    "stained": ([(HISTOLOGY, (256, 320), 9)], 192, 96),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_tiles_leave_no_trace(model: LoadedModel, case: str) -> None:
    """Panoptic quality between the tiled result and the one from a single tile, pooled."""
    wanted, tile, overlap = CASES[case]
    images = [read_image(path) for choice in wanted for path in first(*choice)]
    assert len(images) == sum(count for _, _, count in wanted)
    match = pool([tiled_against_whole(i, model, tile, overlap) for i in images]).matches[0.5]
    print(case, match, round(match.panoptic_quality, 4))
    assert match.panoptic_quality >= 0.98


@pytest.mark.slow
def test_tiles_leave_no_trace_in_a_field_larger_than_a_tile(model: LoadedModel) -> None:
    """Real fields side by side, in one tile of 1024 px and in many."""
    fields: list[NDArray[np.generic]] = []
    for path in first("fluorescence", (256, 256), 16):
        image = read_image(path)
        pixels = image.read((), slice(0, 256), slice(0, 256))
        fields.append(pixels if pixels.ndim == 2 else pixels.max(axis=-1))
    rows = [np.concatenate(fields[4 * n : 4 * n + 4], axis=1) for n in range(4)]
    image = Image(np.concatenate(rows), "YX")
    match = tiled_against_whole(image, model, 384, 128).matches[0.5]
    print(match, round(match.panoptic_quality, 4))
    assert match.true_positives > 200
    assert match.panoptic_quality >= 0.98


@pytest.mark.slow
def test_a_trained_detectron2_model_finds_nuclei() -> None:
    """All of `val` at native pixels; its answers turned by 180 degrees would reach 0.01."""
    if not state().installed:
        pytest.skip("needs Detectron2: napari-instseg install detectron2")
    folder = Path(__file__).parent / "data" / "detectron2_nuclei"
    model = nis.load_model(
        folder / "config.yaml",
        weights=folder / "model.pth",
        categories=folder / "categories.txt",
    )
    scores = []
    for name in index():
        truth = read_labels(path_of(name, "labels"))
        scores.append(match_labels(truth, nis.segment(path_of(name), model).instances, (0.5,)))
    assert len(scores) == 53
    precision = pool(scores).matches[0.5].average_precision
    print(round(precision, 3))
    assert precision >= 0.70
