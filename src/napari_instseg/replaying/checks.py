"""Whether an image and a model are those of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..inputs import as_image
from ..ops.axes import Image
from ..provenance import versions
from ..result import describe_input
from ..segmenter import ModelError

#: What a run chooses by the machine it is on.
CHOSEN = ("device", "precision", "tile_size")


def image_for(recipe: Mapping[str, Any], image: Any, axes: str | None = None) -> Image:
    """Read an image as a recipe has it: with its axes, if they fit, and exactly its pixel sizes.

    An `Image` says itself what it is, and is left as it is.

    Parameters
    ----------
    recipe : mapping
    image, axes
        See `replay`.
    """
    found = as_image(image, axes)
    then = recipe.get("input")
    if isinstance(image, Image) or not isinstance(then, Mapping):
        return found
    known = str(then.get("axes", ""))
    if axes is None and then.get("shape") == list(found.data.shape) and known != found.axes:
        found = replace(found, axes=known, sources={})
    if "spacing_um" not in then:
        return found
    return replace(found, spacing=_sizes(then, found.axes))


def different(recipe: Mapping[str, Any], image: Image) -> list[str]:
    """Say in what an image differs from that of a recipe; older recipes know less of it."""
    then, now = recipe.get("input"), describe_input(image)
    if not isinstance(then, Mapping):
        return []
    found = [
        f"{key}: expected {then[key]}, got {now[key]}"
        for key in ("shape", "dtype", "axes")
        if key in then and then[key] != now[key]
    ]
    if "spacing_um" in then:
        sizes = [_sizes(one, image.axes) for one in (then, now)]
        if sizes[0] != sizes[1]:
            found.append(f"spacing_um: expected {sizes[0]}, got {sizes[1]}")
    digest = then.get("sample_sha256")
    if not found and digest and digest != now["sample_sha256"]:
        short = str(digest)[:12], now["sample_sha256"][:12]
        found = [f"its pixels: expected a sample with SHA-256 {short[0]}..., got {short[1]}..."]
    return found


def _sizes(told: Mapping[str, Any], axes: str) -> dict[str, float]:
    """Pixel sizes that a recipe tells, of the axes that there are."""
    sizes = told["spacing_um"] or {}
    return {axis: size for axis, size in sizes.items() if axis in axes}


def check_model(then: object, now: Mapping[str, str]) -> None:
    """Check that a model is that of a recipe.

    Raises
    ------
    ModelError
        If its weights, or its config, are others; names both.
    """
    if not isinstance(then, Mapping):
        return
    for key, what in (("sha256", "weights"), ("config_sha256", "config")):
        wanted, found = then.get(key), now.get(key)
        if wanted and wanted != found:
            raise ModelError(
                f"the model {now.get('name')!r}: expected the {what} of the recipe "
                f"({then.get('file', '')}, SHA-256 {wanted[:12]}...), got others "
                f"({now.get('file', '')}, SHA-256 {(found or 'unknown')[:12]}...); run its "
                "settings with segment(recipe=...), or --recipe, if that is what you want"
            )


def unlike_run(recipe: Mapping[str, Any], details: Mapping[str, Any]) -> list[str]:
    """What a run had to choose otherwise than that of a recipe.

    Parameters
    ----------
    recipe : mapping
    details : mapping
        Of the result that is there now.
    """
    then, now = recipe.get("resolved"), details.get("resolved")
    if not (isinstance(then, Mapping) and isinstance(now, Mapping)):
        return []
    return [
        f"{key}: then {then[key]}, now {now[key]}, so labels may differ"
        for key in CHOSEN
        if key in then and key in now and then[key] != now[key]
    ]


def unlike(recipe: Mapping[str, Any]) -> list[str]:
    """What else may make a difference."""
    notes, then, now = [], recipe.get("versions"), versions()
    if isinstance(then, Mapping):
        others = [
            f"{name} {then[name]} (now {now.get(name, 'not there')})"
            for name in then
            if then[name] != now.get(name)
        ]
        if others:
            notes.append(f"made with other versions, so labels may differ: {', '.join(others)}")
    told = recipe.get("input")
    if not (isinstance(told, Mapping) and told.get("sample_sha256")):
        notes.append("an older recipe, which does not say by which pixels the image is known")
    if recipe.get("complete") is False:
        notes.append("the run was stopped before its end; now it is done to the end")
    return notes
