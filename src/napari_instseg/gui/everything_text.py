"""What the Segment everything dock would do, to be written as text."""

from __future__ import annotations

from math import inf

import napari.layers

from ..ops.axes import Image
from ..prompting.everything_settings import EverythingSettings
from ..segmenter import InputError
from ..settings import Settings
from ..snippets.everything import Everything
from .everything_form import EverythingForm
from .everything_worker import Detector
from .limits_form import LAYER


def described(form: EverythingForm) -> Everything:
    """Return what a run would do, to be written as text.

    Raises
    ------
    InputError
        If choices do not fit together.
    """
    image, settings = form.image(), form.settings()
    plane, region = form.part(image)
    usual = EverythingSettings.for_model(form.model.entry().habits, {})
    return Everything(
        settings.model,
        {**form.more.values(), "outputs": settings.outputs},
        _asked(form, image, plane, region),
        usual,
        form.refine_settings(),
        (plane,) if plane else None,
        region,
    )


def _asked(
    form: EverythingForm,
    image: Image,
    plane: tuple[int, ...] | None,
    region: tuple[slice, slice] | None,
) -> EverythingSettings | Settings | str:
    """A grid within the limits, a detector, or code that gives the labels of a layer."""
    if form.kind() == LAYER:
        layer = form.objects.layer()
        if not isinstance(layer, napari.layers.Labels):
            raise InputError("expected a Labels layer: only its objects can be written as text")
        return f"viewer.layers[{layer.name!r}].data"
    source = form.prompts(image, plane, region)
    if isinstance(source, Detector):
        return source.settings
    if not isinstance(source, EverythingSettings):
        raise InputError("expected a grid of points, a detector, or a Labels layer")
    limits = form.limits.value()
    largest = None if limits.max_area == inf else limits.max_area
    return source.replace(min_area=limits.min_area, max_area=largest)
