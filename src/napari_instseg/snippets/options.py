"""Settings as arguments of Python's functions and of commands: only those that are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..checked import Checked
from ..prompting.options import OWN_DEFAULTS
from ..settings import AS_TRAINED, Settings
from .text import number

#: Options that only count with another one.
OF_LINKS = ("link_overlap", "link_gap", "min_planes", "link_fill", "ortho")
OF_TRACKS = ("track_overlap", "track_gap", "track_split", "min_frames")
#: Fields whose options have other names, or are no plain values.
SPECIAL = ("channels", "limits", "percentiles", "diameter", "outputs", "colors")


def chosen(settings: Checked, default: Checked) -> dict[str, Any]:
    """Fields that differ from those of other settings of the same kind."""
    pairs = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return {name: value for name, value in pairs.items() if value != getattr(default, name)}


def of_settings(settings: Settings) -> dict[str, Any]:
    """What `segment` is given beside the image: fields that are not as they are by default.

    Examples
    --------
    >>> of_settings(Settings(diameter=30.0, link_gap=3))
    {'diameter': 30.0}
    """
    found = chosen(settings, Settings())
    for doing, names in (("link", OF_LINKS), ("track", OF_TRACKS)):
        if not getattr(settings, doing):
            found = {k: v for k, v in found.items() if k not in names}
    if not settings.track or settings.track_distance is None:
        found = {k: v for k, v in found.items() if not k.startswith("track_distance")}
    if isinstance(settings.diameter, str | None):
        found.pop("diameter_unit", None)
    return found


def of_session(options: Mapping[str, Any]) -> dict[str, Any]:
    """What `PromptSession` is given beside image and model: what is not as it is by default.

    Parameters
    ----------
    options : mapping
        Fields of `Settings`; sizes of tiles and a diameter count if they are there, since their
        defaults are the model's.

    Examples
    --------
    >>> of_session({"diameter": "auto", "diameter_unit": "um", "invert": False})
    {'diameter': 'auto'}
    """
    usual = {**Settings().to_json(), **OWN_DEFAULTS}
    found = {
        name: value
        for name, value in options.items()
        if name in ("tile_size", "overlap", "diameter") or value != usual[name]
    }
    if not isinstance(found.get("diameter"), float):
        found.pop("diameter_unit", None)
    return found


def words(given: Mapping[str, Any]) -> list[str]:
    """Fields of `Settings` as options of commands.

    Parameters
    ----------
    given : mapping
        As `of_settings` gives them; colours have no option.

    Examples
    --------
    >>> words({"diameter": 12.5, "diameter_unit": "um", "link": True, "channels": (0, 2)})
    ['--diameter', '12.5um', '--link', '--channel', '0,2']
    """
    found: list[str] = []
    for name, value in given.items():
        if name in SPECIAL:
            found += _special(name, given)
        elif name == "track_distance":
            found += ["--track-distance", number(value) + given.get("track_distance_unit", "px")]
        elif name in ("diameter_unit", "track_distance_unit"):
            continue
        elif isinstance(value, bool):
            found.append(f"--{'' if value else 'no-'}{name.replace('_', '-')}")
        else:
            text = number(value) if isinstance(value, float) else str(value)
            found += [f"--{name.replace('_', '-')}", text]
    return found


def _special(name: str, given: Mapping[str, Any]) -> list[str]:
    value = given[name]
    if name == "channels" and value is not None:
        return ["--channel", ",".join(map(str, value))]
    if name == "limits" and value is not None:
        # One word, since a minus at its begin would look like an option.
        return [f"--limits={','.join(map(number, pair))}" for pair in value]
    if name == "percentiles":
        return [f"--percentiles={','.join(map(number, value))}"]
    if name == "outputs":
        return ["--outputs", ",".join(value)]
    if name == "diameter":
        if value is None:
            return ["--diameter", "native"]
        if isinstance(value, str):
            return ["--diameter", "as-trained" if value == AS_TRAINED else value]
        return ["--diameter", number(value) + given.get("diameter_unit", "px")]
    return []


def remarks(given: Mapping[str, Any]) -> list[str]:
    """What commands cannot be told."""
    return ["colours of channels have no option"] if given.get("colors") else []


def comments(texts: list[str]) -> str:
    """Lines before a command."""
    return "".join(f"# {text}\n" for text in texts)
