"""Which parts of a label image an edit reads and writes, so that it need not be whole in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from .base import Edit
from .scene import Box, Scene, union, widen

#: Size of a part along rows and columns, and along each other axis, px.
ROWS, PLANES = 1024, 16


@dataclass(frozen=True, slots=True)
class Part:
    """What is edited in one go.

    Parameters
    ----------
    ids : tuple of int
        Targets that lie here.
    read, write : Box
        What is looked at, and what is changed of it.
    """

    ids: tuple[int, ...]
    read: Box
    write: Box


def plan(edit: Edit, scene: Scene) -> Iterator[Part]:
    """List the parts of an edit: none twice if it is local, else each target whole."""
    targets, reach, box = edit.targets(scene), edit.reach(scene), edit.box(scene)
    if edit.LOCAL:
        yield from _tiles(targets, box, reach, scene)
        return
    if box is not None:
        yield Part(targets, box, box)
    for ids in gather(targets, scene.boxes):
        around = widen(union([scene.boxes[i] for i in ids]), reach, scene.shape)
        yield Part(ids, around, around)


def _tiles(
    targets: Sequence[int], box: Box | None, reach: Sequence[int], scene: Scene
) -> Iterator[Part]:
    places: list[tuple[tuple[int, ...], Box]] = [] if box is None else [((), box)]
    places += [((i,), widen(scene.boxes[i], reach, scene.shape)) for i in targets]
    ids: defaultdict[tuple[int, ...], tuple[int, ...]] = defaultdict(tuple)
    boxes: defaultdict[tuple[int, ...], list[Box]] = defaultdict(list)
    for number, place in places:
        for tile, piece in _cut(place):
            ids[tile] += number
            boxes[tile].append(piece)
    for tile in sorted(boxes):
        write = union(boxes[tile])
        yield Part(ids[tile], widen(write, reach, scene.shape), write)


def gather(ids: Iterable[int], boxes: Mapping[int, Box]) -> Iterator[tuple[int, ...]]:
    """Group objects whose boxes begin near each other; groups and objects in a fixed order."""
    groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for number in ids:
        start = boxes[number][0]
        groups[_tile(start)].append(number)
    for tile in sorted(groups):
        yield tuple(groups[tile])


def _sizes(ndim: int) -> tuple[int, ...]:
    return (PLANES,) * (ndim - 2) + (ROWS,) * 2


def _tile(place: Sequence[int]) -> tuple[int, ...]:
    return tuple(i // size for i, size in zip(place, _sizes(len(place)), strict=True))


def _cut(box: Box) -> Iterator[tuple[tuple[int, ...], Box]]:
    """The tiles that a box touches, and what of it lies in each."""
    sizes = _sizes(len(box[0]))
    first, last = _tile(box[0]), _tile([stop - 1 for stop in box[1]])
    for tile in product(*(range(a, b + 1) for a, b in zip(first, last, strict=True))):
        begin = tuple(max(a, i * n) for a, i, n in zip(box[0], tile, sizes, strict=True))
        end = tuple(min(b, (i + 1) * n) for b, i, n in zip(box[1], tile, sizes, strict=True))
        yield tile, (begin, end)
