"""Settings: every range, every unknown field, and the way to JSON and back."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_instseg.segmenter import InputError
from napari_instseg.settings import OUTPUTS, Settings

CHOICES = {
    "model": "mine.yaml",
    "weights": "mine.pth",
    "categories": "names.txt",
    "outputs": ("semantic", "instances"),
    "score_threshold": 0.25,
    "channels": (2, 0),
    "colors": ((1.0, 0.0, 0.5), (0.0, 1.0, 0.0)),
    "percentiles": (1.0, 99.0),
    "limits": ((0.0, 4095.0), (-1.5, 2.0)),
    "invert": True,
    "diameter": 12.5,
    "diameter_unit": "um",
    "link": True,
    "link_overlap": 0.4,
    "link_waists": False,
    "link_gap": 2,
    "min_planes": 3,
    "link_fill": True,
    "ortho": True,
    "track": True,
    "track_distance": 7.5,
    "track_distance_unit": "um",
    "track_overlap": 0.25,
    "track_gap": 3,
    "track_split": True,
    "min_frames": 4,
    "tile_size": 512,
    "overlap": 64,
    "batch_size": 4,
    "device": "cpu",
    "precision": "float32",
}


def test_json_there_and_back_keeps_every_field() -> None:
    settings = Settings.from_json(CHOICES)
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    assert settings.to_json() == CHOICES
    assert Settings().to_json().keys() == CHOICES.keys()


@given(
    score=st.floats(0, 1),
    channels=st.none() | st.lists(st.integers(0, 30), min_size=1).map(tuple),
    diameter=st.none() | st.just("auto") | st.floats(0.5, 5000),
    tile=st.integers(64, 8192),
)
def test_json_keeps_any_value(
    score: float, channels: tuple[int, ...] | None, diameter: float | str | None, tile: int
) -> None:
    settings = Settings(
        score_threshold=score,
        channels=channels,
        diameter=diameter,
        tile_size=tile,
        overlap=tile // 2,
    )
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_numpy_values_become_plain_ones() -> None:
    values = {
        "score_threshold": np.float32(0.5),
        "channels": np.array([0, 1]),
        "limits": np.array([[0, 10], [1, 20]], np.uint16),
        "tile_size": np.int64(128),
        "overlap": np.uint8(16),
        "diameter": np.float16(8),
    }
    settings = Settings.from_json(values)
    assert settings.channels == (0, 1)
    assert settings.limits == ((0, 10), (1, 20))
    assert json.loads(json.dumps(settings.to_json()))["limits"] == [[0, 10], [1, 20]]


def test_unknown_fields_are_named() -> None:
    with pytest.raises(InputError, match=r"unknown fields \['score', 'tilesize'\]; expected"):
        Settings.from_json({"tilesize": 3, "score": 0.5, "model": "nuclei"})


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("outputs", [(), ("labels",), ("instances", "labels"), "instances"], [OUTPUTS[:1]]),
        ("score_threshold", [-0.01, 1.01, math.nan, "0.5", None], [0, 1, 0.5]),
        (
            "percentiles",
            [(-1, 99), (0, 101), (50, 50), (99, 1), (1,), (1, 2, 3), 5, None],
            [(0, 100)],
        ),
        (
            "limits",
            [
                ((1, 1),),
                ((0, 5), (2, 1)),
                (0, 4095),
                ((1, 2, 3),),
                ((0, math.inf),),
                ((math.nan, 1),),
            ],
            [None, ((0, 1),)],
        ),
        ("channels", [(-1,), (0, -2), 1, (), (0.5,)], [None, (0,), (3, 1)]),
        (
            "colors",
            [((1, 0),), ((0, 0, 2),), ((0, -0.1, 0),), ("red",), 3],
            [None, ((1, 0.5, 0),)],
        ),
        (
            "diameter",
            [0, -3, math.nan, math.inf, "big", "", (3,)],
            [None, "auto", 0.5, 30],
        ),
        ("diameter_unit", ["mm", "", None], ["px", "um"]),
        ("link", ["yes", 1, None], [True, False]),
        ("link_overlap", [0, -0.1, 1.1, math.nan, "0.3", None], [0.01, 1, 0.3]),
        ("link_gap", [-1, 0.5, None], [0, 10]),
        ("min_planes", [0, -1, 2.5, None], [1, 100]),
        ("link_fill", ["no", 0, None], [True, False]),
        ("link_waists", ["no", 0, None], [True, False]),
        ("track", ["yes", 1, None], [True, False]),
        ("track_distance", [0, -1, math.nan, math.inf, "far", (3,)], [None, 0.5, 30]),
        ("track_distance_unit", ["mm", "", None], ["px", "um"]),
        ("track_overlap", [-0.1, 1.1, math.nan, "0.3", None], [0, 1, 0.3]),
        ("track_gap", [-1, 0.5, None], [0, 10]),
        ("track_split", ["no", 0, None], [True, False]),
        ("min_frames", [0, -1, 2.5, None], [1, 100]),
        ("tile_size", [63, 0, -1024, "big", 99.5], [64 * 4, 4096]),
        ("overlap", [-1, 513, None, 0.5], [0, 512]),
        ("batch_size", [-1, 1.5], [0, 1, 64]),
    ],
)
def test_every_range(name: str, bad: list[Any], good: list[Any]) -> None:
    for value in good:
        assert getattr(Settings(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(InputError, match=rf"^{name}: expected .*, got "):
            Settings(**{name: value})


def test_overlap_may_be_half_a_tile_and_no_more() -> None:
    assert Settings(tile_size=129, overlap=64).overlap == 64
    with pytest.raises(InputError, match="overlap: expected 0 to half of tile_size, got 65"):
        Settings(tile_size=129, overlap=65)


def test_replace_checks_again_and_leaves_the_original() -> None:
    settings = Settings()
    assert settings.replace(tile_size=256).tile_size == 256
    assert settings.tile_size == 1024
    with pytest.raises(InputError, match="tile_size"):
        settings.replace(tile_size=8)
    with pytest.raises(FrozenInstanceError):
        settings.tile_size = 8  # type: ignore[misc]
