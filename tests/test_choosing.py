"""Limits that choose from raw masks: the same as if nothing had been chosen before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompters import BrightnessPrompter

from napari_instseg.instances import Mask
from napari_instseg.models.prompters import LoadedPrompter
from napari_instseg.promptable import Candidates
from napari_instseg.prompting import PromptSession
from napari_instseg.prompting.choosing import BACKGROUND, Choosing
from napari_instseg.prompting.everything_settings import BOXES, MASKS, EverythingSettings
from napari_instseg.prompting.picture_masks import PictureMasks
from napari_instseg.prompting.raw_masks import RawMasks
from napari_instseg.prompting.views import View


@pytest.fixture(scope="module")
def session() -> PromptSession:
    loaded = LoadedPrompter(BrightnessPrompter(), "test", "file", "0" * 64)
    image = np.zeros((2, 100, 90), np.float32)
    return PromptSession(
        image, loaded, cache=False, limits=((0, 1),), tile_size=64, overlap=24, axes="ZYX"
    )


def some_masks(view: View, random: np.random.Generator) -> PictureMasks:
    """Ellipses, some of them nested, some cut by an edge, one as large as the picture."""
    height, width = view.tile.shape
    rows, cols = np.mgrid[:height, :width]
    masks = [Mask((0, 0), np.ones((height, width), bool))]
    for _ in range(int(random.integers(8))):
        row, col, tall, wide = random.random(4) * (height, width, 12, 12) + (0, 0, 2, 2)
        masks.append(Mask((0, 0), ((rows - row) / tall) ** 2 + ((cols - col) / wide) ** 2 < 1))
    count = len(masks)
    numbers = np.arange(count)
    worth = np.round(random.uniform(0.5, 1, (2, count)), 2).astype(np.float32)
    found = Candidates((height, width), numbers, numbers * 0, *worth, tuple(masks))
    return PictureMasks.of(view, found)


def all_pictures(session: PromptSession, seed: int) -> tuple[PictureMasks, ...]:
    random = np.random.default_rng(seed)
    return tuple(
        some_masks(view, random)
        for plane in session.planes
        for level in range(session.levels)
        for view in session.views(plane, level)
    )


limits = st.fixed_dictionaries(
    {},
    optional={
        "min_predicted_iou": st.sampled_from([0.5, 0.7, 0.9, 1.0]),
        "min_stability": st.sampled_from([0.5, 0.8]),
        "min_area": st.sampled_from([0.0, 60.0]),
        "max_area": st.sampled_from([150.0, 500.0]),
        "nms": st.sampled_from([0.0, 0.4, 0.7, 1.0]),
        "nms_by": st.sampled_from([BOXES, MASKS]),
        "overlapping": st.booleans(),
    },
)


@given(st.integers(0, 1 << 16), limits)
def test_all_pictures_at_once_choose_as_each_alone(
    session: PromptSession, seed: int, given_limits: dict[str, Any]
) -> None:
    pictures = all_pictures(session, seed)
    px = [session.pyramid.px(picture.view.level) for picture in pictures]
    wanted = EverythingSettings(min_predicted_iou=0.6).replace(**given_limits)
    for picture, one, chosen in zip(pictures, px, Choosing(pictures, px)(wanted), strict=True):
        expected = picture.choose(wanted, one)
        if not wanted.overlapping:
            tile = picture.view.tile
            large = picture.areas[expected] > BACKGROUND * np.prod(tile.shape)
            around = (picture.bounds[expected] == tile.edges).all(axis=1)
            expected = expected[~(large | around)]
        assert chosen.tolist() == expected.tolist()


@given(st.integers(0, 1 << 16), st.lists(limits, min_size=2, max_size=5))
def test_what_was_chosen_before_changes_nothing(
    session: PromptSession, seed: int, moves: list[dict[str, Any]]
) -> None:
    settings = EverythingSettings(min_predicted_iou=0.6, min_stability=0.5)
    raw = RawMasks(session, settings, all_pictures(session, seed))
    for given_limits in moves:
        # A copy that has chosen nothing yet.
        fresh = RawMasks(session, settings, raw.pictures)
        again, anew = raw.filter(**given_limits), fresh.filter(**given_limits)
        np.testing.assert_array_equal(again.instances, anew.instances)
        assert again.table.equals(anew.table)
        own = replace(fresh, settings=settings.replace(**given_limits))
        np.testing.assert_array_equal(own.filter().instances, again.instances)
