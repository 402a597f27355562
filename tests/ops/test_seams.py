"""Objects at the seams between tiles, drawn: what goes in must come out, whatever the tiles."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ComponentSegmenter, brightness, draw, same_partition

from napari_instseg.instances import Instances, Mask
from napari_instseg.ops.axes import Image
from napari_instseg.ops.masks import paint_labels
from napari_instseg.ops.merging import merge_tiles
from napari_instseg.ops.remerging import TileMerger
from napari_instseg.ops.tiling import Tile, plan_tiles
from napari_instseg.pipeline import Run
from napari_instseg.settings import Settings

ONE_TILE = """
    ............
    .AA.........
    .AA.........
    ............
"""
CUT_BY_ONE_SEAM = """
    ............
    ..AAAAAAA...
    ..AAAAAAA...
    ............
"""
CUT_BY_A_CROSS = """
    ..............
    ..............
    ....AAAAAA....
    ....AAAAAA....
    ....AAAAAA....
    ....AAAAAA....
    ....AAAAAA....
    ....AAAAAA....
    ..............
    ..............
"""
TOUCHING_ACROSS = """
    ............
    .AAAAABBBBB.
    .AAAAABBBBB.
    .AAAAABBBBB.
    ............
"""
DIAGONAL = """
    ............
    .AAAAA......
    .AAAAA......
    .AAAAA......
    ......BBBBB.
    ......BBBBB.
    ......BBBBB.
    ............
"""
LARGER_THAN_A_TILE = """
    ....................
    .AAAAAAAAAAAAAAAAAA.
    .AAAAAAAAAAAAAAAAAA.
    .AAAAAAAAAAAAAAAAAA.
    .AAA............BB..
    .AAA.CCCC.......BB..
    .AAA.CCCC...........
    ....................
"""
ON_THE_BORDER = """
    AAA......BBB
    AAA......BBB
    ............
    ............
    ............
    CCC......DDD
    CCC......DDD
"""
DRAWINGS = {
    name: picture
    for name, picture in globals().copy().items()
    if name.isupper() and isinstance(picture, str)
}


def merge_drawing(picture: str, size: int, overlap: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Cut a drawing into tiles, find each tile's components, merge, and paint."""
    truth = draw(picture)
    tiles = plan_tiles(truth.shape, size, overlap)
    segmenter = ComponentSegmenter()
    gray = brightness(truth)
    parts = []
    for tile in tiles:
        window = gray[tile.top : tile.bottom, tile.left : tile.right]
        found = segmenter.segment([np.repeat(window[..., None], 3, axis=-1)])[0].instances
        parts.append(found.shift(tile.top, tile.left, truth.shape))
    merged = merge_tiles(truth.shape, tiles, parts)
    return truth, paint_labels(merged.instances, truth.shape), merged.loose


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize(("size", "overlap"), [(6, 2), (7, 3), (8, 4), (6, 3), (100, 4)])
def test_tiles_leave_no_trace(name: str, size: int, overlap: int) -> None:
    truth, labels, _ = merge_drawing(DRAWINGS[name], size, overlap)
    assert same_partition(truth, labels), f"\n{truth}\n{labels}"


def test_an_object_cut_by_one_two_and_four_tiles_stays_one() -> None:
    for picture, size in ((ONE_TILE, 100), (CUT_BY_ONE_SEAM, 8), (CUT_BY_A_CROSS, 8)):
        _, labels, _ = merge_drawing(picture, size, 3)
        assert labels.max() == 1


HORSESHOE = """
    ....................
    .AAAAAAAAAAAAAAAAAA.
    .AAAAAAAAAAAAAAAAAA.
    .AA.............BB..
    .AA..CCCC.......BB..
    .AA..CCCC...........
    .AAAAAAAAAAAAAAAAAA.
    .AAAAAAAAAAAAAAAAAA.
    ....................
"""


@pytest.mark.parametrize(("size", "overlap"), [(6, 2), (7, 3), (8, 4), (6, 3), (100, 4)])
def test_an_object_that_tiles_see_in_two_pieces_is_one_or_named(size: int, overlap: int) -> None:
    truth, labels, loose = merge_drawing(HORSESHOE, size, overlap)
    assert same_partition(truth, labels) or loose > 0


def boxes_instances(shape: tuple[int, int], *boxes: tuple[int, int, int, int, float]) -> Instances:
    """Rectangles (top, left, bottom, right, score)."""
    masks = [Mask((t, l), np.ones((b - t, r - l), bool)) for t, l, b, r, _ in boxes]  # noqa: E741
    return Instances.create(shape, masks, scores=[box[4] for box in boxes])


LEFT, RIGHT = Tile(0, 0, 20, 24), Tile(0, 16, 20, 40)


def test_the_tile_that_sees_an_object_whole_has_the_say() -> None:
    # The left tile sees columns 20..24 of an object that the right one sees whole.
    parts = [
        boxes_instances((20, 40), (5, 20, 12, 24, 0.99)),
        boxes_instances((20, 40), (6, 20, 12, 30, 0.6)),
    ]
    merged = merge_tiles((20, 40), [LEFT, RIGHT], parts).instances
    assert [mask.slices for mask in merged.masks] == [(slice(6, 12), slice(20, 30))]
    assert merged.scores.tolist() == pytest.approx([0.6])


def test_a_cut_off_part_that_the_other_tile_does_not_confirm_is_dropped() -> None:
    parts = [boxes_instances((20, 40), (5, 21, 12, 24, 0.9)), Instances.empty((20, 40))]
    assert len(merge_tiles((20, 40), [LEFT, RIGHT], parts).instances) == 0


def test_a_whole_object_that_only_one_tile_finds_stays() -> None:
    parts = [boxes_instances((20, 40), (5, 17, 12, 21, 0.9)), Instances.empty((20, 40))]
    assert len(merge_tiles((20, 40), [LEFT, RIGHT], parts).instances) == 1


def test_tiles_that_divide_the_same_pixels_differently_give_each_pixel_once() -> None:
    # One tile sees one object, the other two halves.
    parts = [
        boxes_instances((20, 40), (4, 17, 12, 22, 0.7)),
        boxes_instances((20, 40), (4, 17, 8, 22, 0.9), (8, 17, 12, 22, 0.9)),
    ]
    merged = merge_tiles((20, 40), [LEFT, RIGHT], parts).instances
    cover = np.zeros((20, 40), int)
    for mask in merged.masks:
        cover[mask.slices] += mask.pixels
    assert cover.max() == 1
    assert cover.sum() == 40


def test_twenty_touching_cells_stay_twenty() -> None:
    # A chain of neighbours, each shifted by 3 px in the other tile's eyes.
    shape = (60, 120)
    tiles = [Tile(0, 0, 60, 64), Tile(0, 48, 60, 120)]
    cells = [(2, 50 + 0, 8, 60)] + [(8 + 6 * i, 50, 14 + 6 * i, 60) for i in range(7)]
    a = boxes_instances(shape, *((*cell, 0.9) for cell in cells))
    b = boxes_instances(
        shape, *((top + 1, left, bottom + 1, right, 0.8) for top, left, bottom, right in cells)
    )
    assert len(merge_tiles(shape, tiles, [a, b]).instances) == len(cells)


def test_an_object_cut_everywhere_without_a_counterpart_is_named() -> None:
    shape = (20, 40)
    parts = [boxes_instances(shape, (2, 4, 18, 24, 0.9)), Instances.empty(shape)]
    merged = merge_tiles(shape, [LEFT, RIGHT], parts)
    assert (len(merged.instances), merged.loose) == (1, 1)


def test_an_object_that_is_not_shown_is_not_named() -> None:
    parts = [boxes_instances((20, 40), (2, 4, 18, 24, 0.4)), Instances.empty((20, 40))]
    assert merge_tiles((20, 40), [LEFT, RIGHT], parts, shown=0.5).loose == 0
    assert merge_tiles((20, 40), [LEFT, RIGHT], parts, shown=0.4).loose == 1


def test_objects_that_look_alike_in_the_strip_alone_stay_two() -> None:
    # Both cover the strip; one goes on to the left, and the other ends where it begins.
    parts = [
        boxes_instances((20, 40), (5, 4, 12, 22, 0.9)),
        boxes_instances((20, 40), (5, 18, 12, 22, 0.3)),
    ]
    merged = merge_tiles((20, 40), [LEFT, RIGHT], parts).instances
    assert merged.masks[0].slices == (slice(5, 12), slice(4, 22))


def test_a_chain_of_likenesses_does_not_swallow_neighbours() -> None:
    # Each is like the next (IoU over 1/2), in turns of the two tiles; the ends are not alike.
    shape, tiles = (40, 80), [Tile(0, 0, 40, 60), Tile(0, 20, 40, 80)]
    a = boxes_instances(shape, (4, 26, 10, 36, 0.9), (10, 26, 16, 36, 0.9), (16, 26, 22, 36, 0.9))
    b = boxes_instances(shape, (6, 26, 12, 36, 0.8), (12, 26, 18, 36, 0.8))
    assert len(merge_tiles(shape, tiles, [a, b]).instances) == 3


def test_a_chain_through_three_tiles_does_not_join_two_objects_of_one() -> None:
    # All lie where the four tiles meet; each is like the next, and the first tile sees two.
    shape = (120, 120)
    objects = [
        boxes_instances(shape, (45, 50, 57, 70, 0.9), (57, 50, 69, 70, 0.8)),
        boxes_instances(shape, (49, 50, 61, 70, 0.7)),
        boxes_instances(shape, (53, 50, 65, 70, 0.7)),
        Instances.empty(shape),
    ]
    tiles = [Tile(top, left, top + 80, left + 80) for top in (0, 40) for left in (0, 40)]
    merged = merge_tiles(shape, tiles, objects).instances
    assert merged.scores.tolist() == pytest.approx([0.9, 0.8])


def test_another_view_of_a_better_object_is_left_out() -> None:
    parts = [
        boxes_instances((20, 40), (5, 10, 12, 15, 0.9), (5, 11, 12, 16, 0.2)),
        Instances.empty((20, 40)),
    ]
    merged = merge_tiles((20, 40), [LEFT, RIGHT], parts).instances
    assert merged.scores.tolist() == pytest.approx([0.9])


def test_what_is_seen_whole_but_hardly_believed_does_not_beat_a_cut_object() -> None:
    parts = [
        boxes_instances((20, 40), (6, 14, 14, 24, 0.9)),
        boxes_instances((20, 40), (0, 18, 20, 38, 0.1)),
    ]
    merged = merge_tiles((20, 40), [LEFT, RIGHT], parts).instances
    assert merged.scores.tolist() == pytest.approx([0.9, 0.1])
    parts[1] = boxes_instances((20, 40), (0, 18, 20, 38, 0.7))
    merged = merge_tiles((20, 40), [LEFT, RIGHT], parts).instances
    assert merged.scores.tolist() == pytest.approx([0.7])


def test_one_tile_is_no_tiling() -> None:
    part = boxes_instances((20, 40), (5, 20, 12, 24, 0.99), (5, 21, 12, 25, 0.5))
    assert merge_tiles((20, 40), [Tile(0, 0, 20, 40)], [part]).instances is part


def test_merging_again_knows_what_changed() -> None:
    rng = np.random.default_rng(0)
    shape, tiles = (60, 60), plan_tiles((60, 60), 30, 12)
    merger, pools = TileMerger(shape, tiles), []
    for tile in tiles:
        first = rng.integers((tile.top, tile.left), (tile.bottom - 8, tile.right - 8), (6, 2))
        boxes = [(*corner, *(corner + rng.integers(2, 9, 2)), rng.random()) for corner in first]
        pools.append(boxes_instances(shape, *boxes))
    parts = [Instances.empty(shape)] * len(tiles)
    for _ in range(60):
        changed = int(rng.integers(len(tiles)))
        # Some objects stay the very same.
        parts[changed] = pools[changed].take(rng.random(6) < 0.7)
        again, anew = merger(parts), merge_tiles(shape, tiles, parts)
        assert again.loose == anew.loose
        np.testing.assert_array_equal(again.instances.scores, anew.instances.scores)
        np.testing.assert_array_equal(again.instances.boxes, anew.instances.boxes)


@pytest.mark.parametrize("seed", range(5))
def test_random_fields_do_not_depend_on_the_tiles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.zeros((300, 260), np.int32)
    y, x = np.ogrid[:300, :260]
    for n in range(1, 120):
        row, col, a, b = (*rng.uniform((0, 0), (300, 260)), *rng.uniform(3, 14, 2))
        truth[((y - row) / a) ** 2 + ((x - col) / b) ** 2 <= 1] = n
    image = Image(brightness(truth), "YX")
    whole = _segment(image, tile_size=512, overlap=0)
    tiled = _segment(image, tile_size=96, overlap=32)
    assert same_partition(whole, tiled)


def _segment(image: Image, **settings: int) -> np.ndarray:
    run = Run(image, ComponentSegmenter(), Settings(limits=((0, 1),), **settings))
    for _ in run:
        pass
    return run.result().instances
