from __future__ import annotations

import numpy as np
import pytest
from helpers import draw, same_partition
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_instseg.instances import Instances
from napari_instseg.ops import preview as module
from napari_instseg.ops.preview import Preview
from napari_instseg.ops.results import TileResult
from napari_instseg.ops.tiling import Tile


def found(labels: NDArray[np.int32], scores: list[float] | None = None) -> TileResult:
    things = Instances.from_labels(labels)
    things = Instances.create(
        things.image_shape, things.masks, scores=scores or [0.9] * len(things)
    )
    return TileResult(things, Tile(0, 0, *labels.shape))


def test_small_images_are_shown_as_they_are() -> None:
    labels = draw("""
        AA...
        AAB..
        ..BB.
    """)
    preview = Preview((3, 5), 0.5)
    preview.add((), [found(labels)])
    assert preview.step == preview.changes == 1
    assert same_partition(preview.labels, labels)


def test_what_scores_low_is_left_out_and_the_best_is_on_top() -> None:
    whole = Instances.from_labels(draw("AAAA"))
    half = Instances.from_labels(draw("..BB"))
    both = Instances.create((1, 4), (*half.masks, *whole.masks), scores=[0.9, 0.6])
    preview = Preview((1, 4), 0.7)
    preview.add((), [TileResult(both, Tile(0, 0, 1, 4))])
    assert same_partition(preview.labels, draw("..BB"))
    preview = Preview((1, 4), 0.5)
    preview.add((), [TileResult(both, Tile(0, 0, 1, 4))])
    assert same_partition(preview.labels, draw("AABB"))


def test_an_object_of_two_tiles_keeps_its_number() -> None:
    preview = Preview((1, 9), 0.5)
    # The first tile ends after the sixth pixel: it has all of A, and the begin of B.
    preview.add((), [found(draw(".AAA.B..."))])
    preview.add((), [found(draw("..AA.BBB."))])
    assert same_partition(preview.labels, draw(".AAA.BBB."))
    assert len(np.unique(preview.labels)) == 3


def test_planes_and_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 10)
    monkeypatch.setattr(module, "MOST", 100)
    assert Preview((10, 8), 0).step == 1
    assert Preview((11, 8), 0).step == 2
    assert Preview((9, 10, 10), 0).labels.shape == (9, 4, 4)
    preview = Preview((2, 3, 4, 4), 0)
    preview.add((1, 2), [found(draw("AAAA AA.. .... ...B".replace(" ", "\n")))])
    assert preview.labels[1, 2].any()
    assert np.count_nonzero(preview.labels) == np.count_nonzero(preview.labels[1, 2])


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.integers(1, 7))
def test_each_pixel_is_the_middle_of_its_block(
    seed: int, height: int, width: int, step: int
) -> None:
    blocks = np.random.default_rng(seed).integers(0, 4, (-(-height // 8), -(-width // 8)))
    labels = np.kron(blocks, np.ones((8, 8), np.int32)).astype(np.int32)[:height, :width]
    preview = Preview((height, width), 0)
    preview.step = step
    preview.labels = np.zeros((-(-height // step), -(-width // step)), np.int32)
    preview.add((), [found(labels)])
    middles = labels[step // 2 :: step, step // 2 :: step]
    shown = preview.labels[: middles.shape[0], : middles.shape[1]]
    inside = np.isin(middles, np.unique(middles[middles > 0]))
    assert np.array_equal(shown[inside] > 0, middles[inside] > 0)
    # None vanishes, however small.
    assert set(np.unique(labels)) - {0} == set() or preview.labels.any()
