"""Settings that count where a model is prompted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..promptable import PromptSegmenter
from ..segmenter import InputError
from ..settings import AS_TRAINED, AUTO, Settings

#: Fields of `Settings` that count here.
FIELDS = (
    *("channels", "colors", "percentiles", "limits", "invert", "tile_size", "overlap"),
    *("diameter", "diameter_unit", "device", "precision", "outputs", "score_threshold"),
)
#: What was asked about is shown, whatever its score.
OWN_DEFAULTS: dict[str, Any] = {"outputs": ("instances",), "score_threshold": 0.0}
#: Stands for a tile size that is not known yet, px.
ANY_SIZE = 1 << 20


def read_settings(model: str, given: Mapping[str, Any]) -> Settings:
    """Check what is known before the model is loaded; `complete` chooses the sizes.

    Raises
    ------
    InputError
        If a field does not count here, or its value is not good.
    """
    unknown = sorted(set(given) - set(FIELDS))
    if unknown:
        raise InputError(f"settings: unknown fields {unknown}; expected some of {sorted(FIELDS)}")
    if given.get("diameter") == AS_TRAINED:
        raise InputError(
            "diameter: a promptable model resizes each tile as in its training, always; expected "
            "a number or None (native) instead of 'as trained'"
        )
    # Before the model is loaded, any tile will do.
    start = {"model": model, "tile_size": ANY_SIZE, "overlap": 0, **OWN_DEFAULTS}
    return Settings.from_json({**start, **given})


def complete(settings: Settings, prompter: PromptSegmenter, given: Mapping[str, Any]) -> Settings:
    """Choose the sizes that were not given."""
    tile_size = given.get("tile_size", prompter.input_size)
    usual = None if prompter.diameter is None else AUTO
    return settings.replace(
        tile_size=tile_size,
        overlap=given.get("overlap", tile_size // 4),
        diameter=given.get("diameter", usual),
    )
