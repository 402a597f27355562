"""Training data: pairs, kinds, and what is wrong with a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

from napari_instseg.segmenter import InputError
from napari_instseg.training.dataset import (
    Example,
    find_pairs,
    load_examples,
    median_diameter,
    sampling_weights,
)

LABELS = np.zeros((12, 14), np.uint16)
LABELS[2:6, 2:6] = 1
LABELS[7:11, 7:11] = 70


def write(path: Path, array: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Pillow.fromarray(array).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    gray = np.arange(12 * 14, dtype=np.uint8).reshape(12, 14)
    write(tmp_path / "images/b.png", np.dstack([gray] * 3))
    write(tmp_path / "labels/b.tif", LABELS)
    write(tmp_path / "images/a.tif", gray.astype(np.uint16) * 16)
    write(tmp_path / "labels/a.png", LABELS.astype(np.uint8))
    return tmp_path


def test_images_and_labels_are_paired_by_name(folder: Path) -> None:
    (folder / "images/notes.txt").write_text("not an image")
    (folder / "labels/a.json").write_text("{}")
    (folder / "labels/._b.png").write_bytes(b"left by a Mac")
    write(folder / "labels/c.png", LABELS.astype(np.uint8))
    pairs = find_pairs(folder)
    assert [(p.image.name, p.labels.name, p.kind) for p in pairs] == [
        ("a.tif", "a.png", ""),
        ("b.png", "b.tif", ""),
    ]
    examples = load_examples(pairs)
    assert [e.image.shape for e in examples] == [(12, 14), (12, 14, 3)]
    for example in examples:
        np.testing.assert_array_equal(example.labels, LABELS)
        assert example.diameter == pytest.approx(2 * np.sqrt(16 / np.pi))


@pytest.mark.parametrize("place", ["index.csv", "../index.csv"])
def test_kinds_come_from_an_index(folder: Path, place: str) -> None:
    inner = folder / "train"
    inner.mkdir()
    for name in ("images", "labels"):
        (folder / name).rename(inner / name)
    (inner / place).write_text("split,name,kind\ntrain,a,H&E\nval,z,other\ntrain,b\n")
    assert [p.kind for p in find_pairs(inner)] == ["H&E", ""]
    assert len(sampling_weights(load_examples(find_pairs(inner)))) == 2


def test_an_index_without_kinds_says_nothing(folder: Path) -> None:
    (folder / "index.csv").write_text("file,size\na,3\n")
    assert [p.kind for p in find_pairs(folder)] == ["", ""]


@pytest.mark.parametrize("name", ["images", "labels"])
def test_a_missing_folder_is_named(folder: Path, name: str) -> None:
    (folder / name).rename(folder / "elsewhere")
    with pytest.raises(FileNotFoundError, match=rf"expected the folder .*{name} \(training data"):
        find_pairs(folder)


def test_an_image_without_labels_is_named(folder: Path) -> None:
    (folder / "labels/b.tif").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected a label image named b in .*labels"):
        find_pairs(folder)


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    with pytest.raises(FileNotFoundError, match=r"found no images in .*images"):
        find_pairs(tmp_path)


def test_labels_of_another_shape_are_named(folder: Path) -> None:
    write(folder / "labels/b.tif", LABELS[:-1])
    with pytest.raises(ValueError, match=r"b\.tif to have the shape \(12, 14\) of .*b\.png, got"):
        load_examples(find_pairs(folder))


def test_labels_that_are_a_picture_are_named(folder: Path) -> None:
    write(folder / "labels/a.png", np.dstack([LABELS.astype(np.uint8)] * 3))
    with pytest.raises(InputError, match=r"a\.png: expected a label image, got a colour picture"):
        load_examples(find_pairs(folder))


def test_alpha_is_left_out(folder: Path) -> None:
    write(folder / "images/b.png", np.full((12, 14, 4), 200, np.uint8))
    assert load_examples(find_pairs(folder))[1].image.shape == (12, 14, 3)


def test_the_median_diameter_is_that_of_a_disc() -> None:
    y, x = np.ogrid[:100, :100]
    labels = np.zeros((100, 100), np.int64)
    for n, (row, radius) in enumerate(((15, 5), (40, 10), (75, 20)), start=1):
        labels[(y - row) ** 2 + (x - 50) ** 2 <= radius**2] = n * 1_000_000_000
    assert median_diameter(labels) == pytest.approx(20, abs=0.5)
    assert median_diameter(np.zeros((5, 5), int)) == 20


def example(kind: str, objects: int) -> Example:
    labels = np.arange(objects + 1).reshape(1, -1)
    return Example(labels.astype(np.uint8), labels, 20.0, kind)


def test_rare_kinds_and_rich_images_are_drawn_more() -> None:
    examples = [example("common", 3) for _ in range(16)] + [example("rare", 3), example("rare", 30)]
    weights = sampling_weights(examples)
    assert weights.sum() == pytest.approx(1)
    # Kinds count by the square root of their number: 4 to sqrt(2).
    common, rare = weights[:16].sum(), weights[16:].sum()
    assert common / rare == pytest.approx(4 / np.sqrt(2))
    assert weights[17] / weights[16] == pytest.approx(np.sqrt(32 / 5))
