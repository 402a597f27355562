from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_instseg.file_run import run_folder
from napari_instseg.gui import on_disk
from napari_instseg.gui.on_disk import (
    Unfinished,
    find_unfinished,
    folder_of,
    free_folder,
    is_large,
)
from napari_instseg.io.run_folder import RunFolder
from napari_instseg.ops.axes import Image
from napari_instseg.settings import Settings


class Unread:
    """Pixels that nobody may ask for."""

    dtype, ndim = np.dtype(np.uint8), 2

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def __getitem__(self, key: Any) -> Any:
        raise AssertionError(f"pixels were read: {key}")


def leave_unfinished(root: Path, name: str, image: Image, settings: Settings, tiles: int) -> None:
    stem = on_disk.stem_of_image(image)
    about = {
        "settings": settings.to_json(),
        "image": {
            "shape": list(image.data.shape),
            "axes": image.axes,
            "spacing_um": dict(image.spacing),
        },
    }
    with RunFolder(run_folder(root / f"{stem}-{name}", stem), about) as folder:
        for number in range(tiles):
            path = folder.path / "tiles" / "plane" / f"{number}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def test_what_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_large(Image(Unread(4096, 4096), "YX"))
    assert is_large(Image(Unread(4096, 4097), "YX"))
    assert is_large(Image(Unread(300, 2, 256, 256), "ZCYX"))
    assert not is_large(Image(Unread(200, 2, 256, 256), "ZCYX"))
    # Channels take no labels; what lies in memory leaves room for more.
    monkeypatch.setattr(on_disk, "PIXELS", 100)
    assert not is_large(Image(np.zeros((10, 10, 3)), "YXS"))
    assert is_large(Image(np.zeros((10, 11)), "YX"))


def test_images_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    pixels = np.zeros((20, 20), np.uint8)
    one, same = Image(pixels, "YX", name="a b"), Image(pixels.copy(), "YX", name="a b")
    other = Image(pixels + 1, "YX", name="a b")
    assert folder_of(tmp_path, one) == folder_of(tmp_path, same) != folder_of(tmp_path, other)
    assert folder_of(tmp_path, one).name.startswith("a_b-")


def test_unfinished_runs_are_found_without_reading_pixels(tmp_path: Path) -> None:
    image = Image(Unread(50, 60), "YX", {"Y": 0.5, "X": 0.5}, "day 1: a*")
    settings = Settings(overlap=64)
    assert find_unfinished(tmp_path, image, settings) is None
    leave_unfinished(tmp_path, "1", Image(Unread(50, 61), "YX", name=image.name), settings, 9)
    assert find_unfinished(tmp_path, image, settings) is None
    leave_unfinished(tmp_path, "2", image, Settings(overlap=32, score_threshold=0.7), 2)
    differing = ("overlap", "score_threshold")
    assert find_unfinished(tmp_path, image, settings) == Unfinished(2, differing)
    leave_unfinished(tmp_path, "3", image, settings, 3)
    assert find_unfinished(tmp_path, image, settings) == Unfinished(3, ())
    # What is damaged is not there.
    about = run_folder(tmp_path / "day_1_a-3", "day_1_a") / "run.json"
    about.write_text("{")
    assert find_unfinished(tmp_path, image, settings) == Unfinished(2, differing)


def test_what_was_corrected_is_never_written_over(tmp_path: Path) -> None:
    image = Image(np.zeros((8, 8), np.uint8), "YX", name="slide")
    usual = folder_of(tmp_path, image)
    assert free_folder(tmp_path, image) == usual
    usual.mkdir()
    recipe = usual / "slide_recipe.json"
    recipe.write_text(json.dumps({"settings": {}, "edits": []}))
    assert free_folder(tmp_path, image) == usual
    recipe.write_text(json.dumps({"settings": {}, "edits": [{"edit": "delete", "ids": [1]}]}))
    assert free_folder(tmp_path, image).name == f"{usual.name}-2"
    recipe.write_text("{")
    assert free_folder(tmp_path, image) == usual
