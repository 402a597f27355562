"""What files say of their axes, in every order, and what is guessed where they say nothing."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_instseg.io.images import read_axes, read_image
from napari_instseg.ops.axis_names import FILE, GUESSED, IMAGEJ, OME

SIZES = dict(zip("TZCYXP", (2, 4, 3, 8, 9, 5), strict=True))


def pixels(axes: str) -> np.ndarray:
    return np.zeros([SIZES[a] for a in axes], np.uint8)


def tiff(path: Path, axes: str, **options: Any) -> Path:
    tifffile.imwrite(path, pixels(axes), photometric="minisblack", **options)
    return path


def check(path: Path, axes: str, source: str) -> None:
    """What is read with the pixels is also read without."""
    image = read_image(path)
    assert image.axes == axes
    assert set(image.sources.values()) == {source}
    assert image.notes == ()
    shape, named = read_axes(path) or ((), None)
    assert named is not None
    assert (shape, named.letters, named.sources) == (image.data.shape, axes, image.sources)


@pytest.mark.parametrize("axes", ["".join(p) + "YX" for p in itertools.permutations("TZC")])
def test_ome_tiff_in_every_order(tmp_path: Path, axes: str) -> None:
    check(tiff(tmp_path / "a.ome.tif", axes, ome=True, metadata={"axes": axes}), axes, OME)


@pytest.mark.parametrize("axes", ["TYX", "CYX", "ZYX", "TCYX"])
def test_fewer_axes(tmp_path: Path, axes: str) -> None:
    check(tiff(tmp_path / "a.ome.tif", axes, ome=True, metadata={"axes": axes}), axes, OME)
    check(tiff(tmp_path / "b.tif", axes, imagej=True, metadata={"axes": axes}), axes, IMAGEJ)
    check(tiff(tmp_path / "c.tif", axes, metadata={"axes": axes}), axes, FILE)


@pytest.mark.parametrize(("axes", "taken"), [("ZYX", "ZYX"), ("TZYX", "TZYX"), ("TZCYX", "TZCYX")])
def test_pages_of_any_kind_are_guessed(tmp_path: Path, axes: str, taken: str) -> None:
    image = read_image(tiff(tmp_path / "a.tif", axes))
    assert image.axes == taken
    planes = axes[:-2]
    assert {letter: image.sources[letter] for letter in planes} == dict.fromkeys(planes, GUESSED)
    assert "guessed from the number of dimensions" in image.notes[0]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("time", "channel", "y", "x"), "TCYX"),
        (("depth", "c", "row", "column"), "ZCYX"),
        (("position", "t", "y", "x"), "PTYX"),
        (("s", "t", "y", "x"), "ZTYX"),
    ],
)
def test_names_of_zarr_dimensions(tmp_path: Path, names: tuple[str, ...], expected: str) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((2, 3, 8, 9)), dimension_names=names)
    image = read_image(tmp_path / "a.zarr")
    assert image.axes == expected
    assert image.sources["Y"] == FILE
    # S is for colours only: of others nothing is known.
    assert bool(image.notes) == ("s" in names)


def test_kinds_of_ome_zarr_axes_are_surer_than_their_names(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("0", data=np.zeros((2, 3, 8, 9)))
    kinds = {"dye": "channel", "frame no": "time", "y": "space", "x": "space"}
    axes = [{"name": name, "type": kind} for name, kind in kinds.items()]
    multiscale = {"axes": axes, "datasets": [{"path": "0"}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    check(tmp_path / "a.zarr", "CTYX", OME)


def test_axes_that_are_given_are_not_guessed_first(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 1, 3, 2, 8, 9)))
    image = read_image(tmp_path / "a.npy", "pqtcyx")
    assert (image.axes, image.sources, image.notes) == ("PQTCYX", {}, ())


def test_files_without_axes_say_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 8, 9)))
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((2, 8, 9)))
    (tmp_path / "a.tif").write_bytes(b"no TIFF")
    for name in ("a.npy", "a.zarr", "a.tif", "none.tif"):
        assert read_axes(tmp_path / name) is None
