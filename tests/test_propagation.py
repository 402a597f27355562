from __future__ import annotations

import json
from itertools import islice
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prompters import BrightnessPrompter
from scipy import ndimage

from napari_instseg.instances import Mask
from napari_instseg.models.prompters import LoadedPrompter
from napari_instseg.models.tracks import Tracked
from napari_instseg.ops.axes import Image
from napari_instseg.promptable import Embedding
from napari_instseg.prompting import PromptSession
from napari_instseg.prompting.propagation import (
    Propagated,
    PropagationRun,
    PropagationSettings,
    propagate,
)
from napari_instseg.segmenter import InputError

SIZE = 64


def session_of(
    stack: NDArray[Any],
    axes: str = "ZYX",
    spacing: dict[str, float] | None = None,
    prompter: BrightnessPrompter | None = None,
    **settings: Any,
) -> PromptSession:
    loaded = LoadedPrompter(prompter or BrightnessPrompter(), "test", "test.safetensors", "0" * 64)
    image = Image(stack, axes, spacing or {})
    return PromptSession(image, loaded, cache=False, limits=((0.0, 1.0),), **settings)


def disc(radius: float, row: float = 32, col: float = 32, size: int = SIZE) -> NDArray[np.bool_]:
    rows, cols = np.indices((size, size)) + 0.5
    inside: NDArray[np.bool_] = np.hypot(rows - row, cols - col) < radius
    return inside


def ball(
    radius: float = 16, middle: float = 20, count: int = 41, flat: float = 1.0, col: float = 32
) -> NDArray[np.bool_]:
    """A ball; ``flat``: distance of the planes over the size of a pixel."""
    heights = (np.arange(count) - middle) * flat
    radii = np.sqrt(np.maximum(0, radius**2 - heights**2))
    return np.stack([disc(r, col=col) for r in radii])


def volume(found: Propagated) -> NDArray[np.bool_]:
    labels = np.zeros(found.image.label_shape, np.uint8)
    found.paint(labels, 1)
    return labels > 0


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def follow(truth: NDArray[np.bool_], *seeds: int, axes: str = "ZYX", **options: Any) -> Propagated:
    spacing = options.pop("spacing", None)
    session = session_of(truth.astype(np.float32), axes, spacing)
    return propagate(session, {k: truth[k] for k in seeds}, **options)


def test_a_ball_is_followed_to_both_ends_with_one_question_a_plane() -> None:
    truth = ball()
    prompter = BrightnessPrompter()
    session = session_of(truth.astype(np.float32), prompter=prompter)
    found = propagate(session, {20: truth[20]})
    assert iou(volume(found), truth) > 0.97
    # One question a plane, and one for each plane that was refused.
    assert prompter.decoded == [1] * (len(found) - 1 + 2)
    assert found.complete
    assert found.sections[20].kind == "given"
    assert {s.kind for k, s in found.sections.items() if k != 20} == {"found"}
    assert {s.seed for s in found.sections.values()} == {20}
    assert found.before.startswith(f"z {found.first - 1}: ")
    assert found.after.startswith(f"z {found.last + 1}: ")


def test_both_directions_are_mirror_images() -> None:
    truth = ball(middle=20)
    found = follow(truth, 20)
    assert found.first + found.last == 40
    for k, section in found.sections.items():
        assert np.array_equal(section.mask.pixels, found.sections[40 - k].mask.pixels)
        assert section.iou == found.sections[40 - k].iou


def test_a_seed_near_the_cap_grows_with_the_object() -> None:
    truth = ball()
    assert iou(volume(follow(truth, 7)), truth) > 0.9


def test_a_cylinder_goes_through_to_the_ends_of_the_stack() -> None:
    truth = np.stack([disc(10)] * 12)
    found = follow(truth, 5)
    assert np.array_equal(volume(found), truth)
    assert (found.before, found.after) == ("the stack ends here",) * 2
    assert min(s.iou for s in found.sections.values()) == 1


def test_where_the_object_ends_it_ends() -> None:
    truth = np.stack([disc(10)] * 12)
    truth[8:] = False
    found = follow(truth, 2)
    assert (found.first, found.last) == (0, 7)
    assert found.after == "z 8: nothing was found"


@pytest.mark.parametrize("guide", ["mask", "box", "points"])
def test_each_guide_finds_the_object(guide: str) -> None:
    truth = ball()
    assert iou(volume(follow(truth, 20, guide=guide)), truth) > 0.95


def test_touching_balls_stay_apart_or_say_where_they_meet() -> None:
    one, other = ball(radius=14, col=20), ball(radius=14, col=44)
    both = one | other
    session = session_of(both.astype(np.float32))
    found = propagate(session, {30: one[30]}, guide="points")
    # A click on the joined sections would give both: twice as large at once.
    inside = volume(found)
    assert not (inside & other & ~one).any()
    assert "times as large" in found.before


@pytest.mark.parametrize("motion", ["auto", "picture", "steady"])
def test_a_moving_disc_is_followed_in_time(motion: str) -> None:
    truth = np.stack([disc(5, 32, 10 + 4.0 * t) for t in range(12)])
    noise = np.random.default_rng(0).normal(0, 0.05, truth.shape)
    session = session_of(truth + noise, "TYX")
    found = propagate(session, {3: truth[3], 4: truth[4]}, motion=motion)
    assert iou(volume(found), truth) > 0.95
    assert (found.first, found.last) == (0, 11)
    assert min(s.iou for k, s in found.sections.items()) > 0.75


def test_without_motion_a_fast_disc_is_lost() -> None:
    truth = np.stack([disc(5, 32, 10 + 7.0 * t) for t in range(7)])
    found = follow(truth, 3, axes="TYX", motion="none")
    assert len(found) == 1


def test_a_gap_between_two_given_planes_is_filled_from_both_ends() -> None:
    truth = np.stack([disc(8 + k / 2, 20 + k, 20 + 2 * k) for k in range(13)])
    seen = truth.copy()
    found = propagate(
        session_of(seen.astype(np.float32)), {0: truth[0], 12: truth[12]}, direction="forward"
    )
    assert list(found.sections) == list(range(13))
    assert iou(volume(found), truth) > 0.97
    assert [found.sections[k].seed for k in range(13)] == [0] * 7 + [12] * 6
    assert (found.before, found.after) == ("not asked for", "the stack ends here")


def test_in_a_gap_what_the_model_misses_is_interpolated() -> None:
    truth = np.stack([disc(8 + k) for k in range(7)])
    seen = truth.copy()
    seen[2:4] = False
    session = session_of(seen.astype(np.float32))
    found = propagate(session, {0: truth[0], 6: truth[6]})
    assert [s.kind for s in found.sections.values()] == [
        *("given", "found", "between", "between", "found", "found", "given")
    ]
    assert iou(volume(found), truth) > 0.95
    assert found.weakest() in (2, 3)


def test_planes_without_the_object_are_passed_over_if_wanted() -> None:
    truth = np.stack([disc(10, 32, 20 + k) for k in range(10)])
    seen = truth.copy()
    seen[5] = False
    session = session_of(seen.astype(np.float32))
    strict = propagate(session, {2: truth[2]})
    assert (strict.last, strict.after) == (4, "z 5: nothing was found")
    patient = propagate(session, {2: truth[2]}, patience=1)
    assert patient.last == 9
    assert patient.sections[5].kind == "between"
    assert iou(volume(patient), truth) > 0.97
    seen[5:] = False
    ended = propagate(session_of(seen.astype(np.float32)), {2: truth[2]}, patience=3)
    assert (ended.last, ended.after) == (4, "z 5: nothing was found")


def test_limits_widen_where_planes_are_far_apart() -> None:
    truth = ball(radius=16, middle=2, count=5, flat=6)
    coarse = {"Z": 6.0, "Y": 1.0, "X": 1.0}
    found = follow(truth, 2, spacing=coarse, min_iou=0.6)
    blind = follow(truth, 2, min_iou=0.6)
    assert len(found) == 5
    assert len(blind) == 3
    assert PropagationSettings(min_iou=0.8, max_growth=2).limits(0.25) == pytest.approx((0.6, 2.25))
    assert PropagationSettings(min_iou=0.8).limits(3)[0] == pytest.approx(0.2)


def test_an_object_is_not_longer_than_its_width_allows() -> None:
    truth = np.stack([disc(5)] * 31)
    near = follow(truth, 15, spacing={"Z": 1.0, "Y": 1.0, "X": 1.0}, max_length=2)
    far = follow(truth, 15, spacing={"Z": 4.0, "Y": 1.0, "X": 1.0}, max_length=2)
    # 20 px of 10 px width: 20 planes of 1 px, and 5 of 4 px.
    assert (len(near), len(far)) == (19, 5) or (len(near), len(far)) == (20, 5)
    assert "longer than 2 times" in far.after
    assert len(follow(truth, 15, max_length=2)) == 31
    spacing = {"Z": 4.0, "Y": 1.0, "X": 1.0}
    assert len(follow(truth, 15, spacing=spacing, max_length=None)) == 31
    # Given planes that are farther apart say that it is longer.
    assert len(follow(truth, 5, 25, spacing=spacing, max_length=2)) == 21


def test_directions_and_the_number_of_planes_can_be_limited() -> None:
    truth = np.stack([disc(10)] * 12)
    assert list(follow(truth, 5, direction="forward").sections) == list(range(5, 12))
    found = follow(truth, 5, direction="backward", max_planes=3)
    assert list(found.sections) == [2, 3, 4, 5]
    assert (found.before, found.after) == ("the limit of 3 planes", "not asked for")


def test_cancelling_keeps_what_is_done() -> None:
    truth = np.stack([disc(10)] * 12)
    run = PropagationRun(session_of(truth.astype(np.float32)), {5: truth[5]})
    steps = list(islice(run, 4))
    found = run.result()
    assert list(found.sections) == [4, 5, 6, 7] or list(found.sections) == [3, 4, 5, 6]
    assert not found.complete
    assert (found.before, found.after) == ("cancelled", "cancelled")
    assert [step.done for step in steps] == [0, 1, 2, 3]
    assert {step.total for step in steps} == {11}
    assert steps[1].message == "z 4: IoU 1.00"


def test_progress_ends_at_its_total() -> None:
    truth = ball()
    run = PropagationRun(session_of(truth.astype(np.float32)), {20: truth[20]})
    steps = list(run)
    assert steps[-1].done == steps[-1].total


def test_it_runs_along_any_axis_of_a_larger_stack() -> None:
    truth = np.zeros((3, 41, SIZE, SIZE), bool)
    truth[1] = ball()
    session = session_of(truth.astype(np.float32), "TZYX")
    found = propagate(session, {20: truth[1, 20]}, plane=(1,))
    assert found.axis == "Z"
    assert iou(volume(found), truth) > 0.97
    assert found.plane_index(7) == (1, 7)
    assert [x.min() for x in found.indices()][:2] == [1, found.first]
    in_time = propagate(session, {1: truth[1, 20]}, axis="T", plane=(20,))
    assert in_time.plane_index(2) == (2, 20)
    assert in_time.before == "t 0: nothing was found"


def test_a_part_can_be_cut_out() -> None:
    truth = np.stack([disc(10)] * 12)
    found = follow(truth, 5)
    part = found.cut(3, 20)
    assert (part.first, part.last, part.before, part.after) == (
        *(3, 11),
        *("cut at z 3", "the stack ends here"),
    )
    assert part.voxels == 9 * int(truth[0].sum())
    with pytest.raises(InputError, match="expected planes within 0 to 11"):
        found.cut(12, 20)


def test_painting_spares_other_objects() -> None:
    truth = np.stack([disc(10)] * 4)
    found = follow(truth, 1)
    labels = np.zeros(truth.shape, np.int32)
    labels[:, 30:34] = 7
    before = labels == 7
    changed = found.paint(labels, 3)
    assert np.array_equal(labels == 7, before)
    assert np.array_equal(labels == 3, truth & ~before)
    assert changed == int((truth & ~before).sum())
    assert found.paint(labels, 3) == 0
    assert found.paint(labels, 3, over=True) == int((truth & before).sum())
    assert np.array_equal(labels == 3, truth)
    with pytest.raises(InputError, match=r"expected labels of shape \(4, 64, 64\)"):
        found.paint(labels[0], 3)


def test_what_was_done_can_be_written_as_json() -> None:
    found = follow(np.stack([disc(10)] * 3), 1)
    told = json.loads(json.dumps(found.to_json()))
    assert PropagationSettings.from_json(told["settings"]) == found.settings
    assert [s["kind"] for s in told["sections"]] == ["found", "given", "found"]
    assert told["after"] == "the stack ends here"


def test_a_mask_that_leaves_the_picture_ends_there() -> None:
    truth = np.stack([disc(4, 32, 40 + 8.0 * t) for t in range(6)])
    found = follow(truth[:4], 0, 1, axes="TYX", motion="steady")
    assert found.last in (2, 3)
    assert found.after


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"direction": "up"}, "direction: expected one of"),
        ({"guide": "magic"}, "guide: expected one of"),
        ({"motion": 1}, "motion: expected one of"),
        ({"min_score": 2}, r"min_score: expected a number in \[0, 1\], got 2"),
        ({"min_iou": "a"}, "min_iou"),
        ({"max_growth": 1}, "max_growth: expected a number above 1"),
        ({"max_length": 0}, "max_length"),
        ({"max_planes": 0}, "max_planes: expected a whole number from 1"),
        ({"patience": 1.5}, "patience"),
        ({"box_margin": -1}, "box_margin"),
        ({"colour": 1}, "unknown fields"),
    ],
)
def test_settings_say_what_they_expect(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        PropagationSettings.from_json(change)


def test_input_that_does_not_fit_is_refused() -> None:
    stack = session_of(np.zeros((3, 4, SIZE, SIZE), np.float32), "TZYX")
    mask = disc(5)
    cases: tuple[tuple[dict[int, Any], dict[str, Any], str], ...] = (
        ({}, {"plane": (0,)}, "at least one plane"),
        ({9: mask}, {"plane": (0,)}, "expected planes 0 to 3 along Z, got 9"),
        ({0: mask[:9]}, {"plane": (0,)}, "bool arrays of shape"),
        ({0: mask.astype(np.uint8)}, {"plane": (0,)}, "bool arrays"),
        ({0: mask & False}, {"plane": (0,)}, "expected pixels inside the plane 0"),
        ({0: Mask((99, 99), mask)}, {"plane": (0,)}, "expected pixels inside"),
        ({0: mask}, {}, "expected an index along each of 'T'"),
        ({0: mask}, {"plane": (5,)}, "got (5,)"),
        ({0: mask}, {"axis": "Q"}, "axis: expected one of"),
        ({0: mask}, {"plane": (0,), "guide": "memory"}, "has no memory of planes"),
    )
    for seeds, options, words in cases:
        with pytest.raises(InputError) as error:
            propagate(stack, seeds, **options)
        assert words in str(error.value)
    flat = session_of(np.zeros((SIZE, SIZE), np.float32), "YX")
    with pytest.raises(InputError, match="only a stack has planes to go to"):
        propagate(flat, {0: mask})


class _Memory:
    """Remembers what it is told; finds the bright regions under what it saw last."""

    def __init__(self, prompter: RememberingPrompter) -> None:
        self.prompter = prompter
        self.last: dict[int, Mask] = {}

    def add(self, index: int, embedding: Embedding, mask: Mask) -> None:
        self.last[index] = mask
        self.prompter.added.append((index, mask))

    def step(self, index: int, embedding: Embedding, *, reverse: bool = False) -> Tracked:
        self.prompter.steps.append((index, reverse))
        near = min(self.last, key=lambda k: abs(k - index))
        assert (near > index) == reverse or near in dict(self.prompter.added)
        regions, _ = ndimage.label(embedding.arrays[0][0] > 0.5)
        seen = self.last[near]
        under = np.unique(regions[seen.slices][seen.pixels])
        mask = Mask((0, 0), np.isin(regions, under[under > 0])).tight()
        if mask is None:
            return Tracked(Mask((0, 0), np.zeros((0, 0), bool)), 0.0, 0.1)
        self.last[index] = mask
        return Tracked(mask, 0.9, 0.95)


class RememberingPrompter(BrightnessPrompter):
    """`BrightnessPrompter` with a memory of planes."""

    def __init__(self, input_size: int = 64) -> None:
        super().__init__(input_size)
        self.added: list[tuple[int, Mask]] = []
        self.steps: list[tuple[int, bool]] = []

    def start_track(self, length: int | None = None) -> _Memory:
        return _Memory(self)


def test_a_model_with_memory_is_asked_from_memory() -> None:
    truth = ball()
    prompter = RememberingPrompter()
    session = session_of(truth.astype(np.float32), prompter=prompter)
    found = propagate(session, {18: truth[18], 22: truth[22]})
    assert iou(volume(found), truth) > 0.97
    assert prompter.decoded == []
    # All given masks are in the memory of either direction.
    assert [k for k, _ in prompter.added] == [18, 22, 18, 22]
    assert prompter.added[0][1].area == int(truth[18].sum())
    assert prompter.steps[:3] == [(19, False), (21, True), (20, False)]
    assert {reverse for k, reverse in prompter.steps if k < 18} == {True}
    assert found.sections[found.first].score == pytest.approx(0.9)


def test_memory_moves_its_window_with_the_object() -> None:
    truth = np.stack([disc(6, 40, 20 + 5.0 * t, size=200) for t in range(30)])
    prompter = RememberingPrompter(input_size=64)
    session = session_of(
        truth.astype(np.float32), "TYX", prompter=prompter, tile_size=64, overlap=32
    )
    found = propagate(session, {0: truth[0]})
    # Between two tiles it is seen at half the resolution.
    assert iou(volume(found), truth) > 0.93
    assert len(prompter.added) > 1


def test_memory_sees_masks_through_coarser_windows() -> None:
    truth = np.stack([disc(60, 100, 100, size=200)] * 4)
    prompter = RememberingPrompter(input_size=64)
    session = session_of(truth.astype(np.float32), prompter=prompter)
    found = propagate(session, {1: truth[1]})
    ((_, mask),) = dict(prompter.added).items()
    assert mask.area == pytest.approx(truth[1].sum() / 16, rel=0.05)
    assert iou(volume(found), truth) > 0.95
