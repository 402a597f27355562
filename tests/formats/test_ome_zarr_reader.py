"""Label images as the ``ome-zarr`` package reads them.

It needs another pydantic than napari: `.ci/run` runs this in an environment without napari.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from formats.drawings import shapes
from PIL import Image as Picture

import napari_instseg as nis
from napari_instseg.io.formats.ome_zarr import write

pytest.importorskip("ome_zarr", reason="ome-zarr is not here: it needs another pydantic")


def nodes(path: Path) -> list[Any]:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    return list(Reader(parse_url(str(path)))())


def image_at(path: Path, data: np.ndarray) -> Path:
    """Write an OME-Zarr 0.5 image."""
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    group.create_array("0", data=data, dimension_names=["y", "x"])
    axes = [{"name": name, "type": "space"} for name in "yx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"axes": axes, "datasets": datasets}],
    }
    return path


def test_labels_in_an_image(tmp_path: Path) -> None:
    image = image_at(tmp_path / "image.zarr", np.zeros((8, 12), np.uint8))
    write(image, shapes())
    (label,) = [node for node in nodes(image) if "instances" in node.zarr.basename()]
    np.testing.assert_array_equal(np.asarray(label.data[0]), shapes().read("instances"))
    assert label.metadata["properties"][3]["category"] == "nucleus"


def test_a_real_result(tmp_path: Path) -> None:
    with Picture.open(Path(nis.__file__).parent / "data" / "fluorescence.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    result = nis.segment(pixels, device="cpu")
    result.save(tmp_path, "cells", format="zarr")
    (label,) = nodes(tmp_path / "cells_instances.zarr")
    assert result.count > 30
    np.testing.assert_array_equal(np.asarray(label.data[0]), result.instances)
    scores = [label.metadata["properties"][i]["score"] for i in result.table["index"]]
    np.testing.assert_allclose(scores, result.table["score"])
