"""An image that is asked about: embeddings once, prompts many times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..inputs import as_image
from ..instances import Instances, Mask
from ..io.embeddings import EmbeddingCache
from ..label_set import LabelSet
from ..models import prompters
from ..models.prompters import LoadedPrompter
from ..ops.intensity import used_channels
from ..progress import Progress
from ..promptable import Embedding, PromptSegmenter
from ..provenance import versions
from ..segmentation import Segmentation
from ..segmenter import Category, computing
from ..sizing import find_diameter, zoom_to
from . import geometry
from .answering import Answer, Answering
from .caching import users_cache
from .embedder import Embedder
from .image_views import ImageViews
from .measuring import measure_diameter
from .options import complete, read_settings
from .prompts import Prompt, read_prompts
from .views import View

if TYPE_CHECKING:
    from .propagation import Propagated

OBJECT = Category(1, "object")


class PromptSession(ImageViews):
    """Asks a promptable model about the objects of an image.

    What is looked at is encoded first, tile by tile, and kept in memory and on disk; then each
    answer takes a moment. Coordinates are (row, col) in px of the plane, continuous: pixel (r, c)
    covers r to r + 1, and its centre is r + 0.5.

    Parameters
    ----------
    image : array, Image, path, or napari Image layer
        bool, integer or float pixels; of a lazy array, only what is looked at is read.
    model : str, path or LoadedPrompter
        A name that ``napari-instseg models --task prompts`` lists, the path of a checkpoint of
        Segment Anything, or what `models.prompters.load` gave.
    axes : str, optional
        One letter a dimension; see `segment`.
    spacing : mapping of str to float, optional
        µm per pixel by axis letter.
    cache : bool or EmbeddingCache
        Whether embeddings are kept on disk, in the user's folder, or in which.
    **settings
        Fields of `Settings` named in `options.FIELDS`. ``tile_size`` is the model's own picture
        size if not given, ``overlap`` a quarter of that, and ``diameter`` "auto" if the model
        knows a size: the objects are measured in a few places first. All objects are shown,
        whatever their score.

    Raises
    ------
    InputError
        If the image or a setting cannot be used.
    ModelError
        If the model cannot be used.

    Examples
    --------
    >>> session = PromptSession(image)  # doctest: +SKIP
    >>> session.segment(points=[(120, 80)]).masks[0].area  # doctest: +SKIP
    412
    """

    def __init__(
        self,
        image: Any,
        model: str | Path | LoadedPrompter = "sam-nuclei",
        *,
        axes: str | None = None,
        spacing: Mapping[str, float] | None = None,
        cache: bool | EmbeddingCache = True,
        **settings: Any,
    ) -> None:
        # None stands for the default in all but the diameter, of which it is a value.
        given = {k: v for k, v in settings.items() if v is not None or k == "diameter"}
        name = model.name if isinstance(model, LoadedPrompter) else str(model)
        asked = read_settings(name, given)
        prepared = as_image(image, axes, spacing)
        # What cannot be used is found before the model is loaded.
        used_channels(prepared, asked)
        if not isinstance(model, LoadedPrompter):
            model = prompters.load(name, asked.device, precision=asked.precision)
        self.loaded = model
        chosen = complete(asked, model.prompter, given)
        disk = users_cache() if cache is True else cache or None
        native = ImageViews(prepared, chosen)

        def measure(own: float) -> float:
            embedder = Embedder(native.pictures, model, chosen.precision, disk)
            return measure_diameter(native, embedder.get, model.prompter)

        own = model.prompter.diameter
        diameter = find_diameter(chosen, own, prepared.spacing, measure)
        self._diameter = None if diameter is None or np.isnan(diameter) else diameter
        zoom = 1.0
        if own is not None and self._diameter is not None:
            zoom = zoom_to(own, self._diameter, chosen.model)
        super().__init__(prepared, chosen, zoom, native.mapping)
        self._embedder = Embedder(self.pictures, model, chosen.precision, disk)
        self._answering = Answering(self.pyramid, self._embedder, model.prompter)

    # ----------------------------------------------------------------------------- what there is

    @property
    def prompter(self) -> PromptSegmenter:
        """The model."""
        return self.loaded.prompter

    @property
    def details(self) -> dict[str, Any]:
        """What names the model and all that was found out, for a recipe."""
        resolved = {
            **computing(self.prompter),
            "limits": [list(pair) for pair in self.mapping.limits],
            "tile_size": self.settings.tile_size,
            "overlap": self.settings.overlap,
            "level_0": list(self.pyramid.resampling.target),
        }
        if self._diameter is not None:
            resolved["diameter_px"] = self._diameter
        return {"model": self.loaded.identity, "resolved": resolved, "versions": self._versions}

    @cached_property
    def _versions(self) -> dict[str, str]:
        # Read from many files: too slow for each answer to other limits.
        return versions()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know, such as that embeddings cannot be kept."""
        cache = self._embedder.cache
        return (cache.problem,) if cache is not None and cache.problem else ()

    def to_logits(self, view: View, mask: Mask) -> NDArray[np.float32]:
        """Make a mask (px of the plane) a prompt in a view; see `promptable.Prompts`."""
        return geometry.to_logits(self.pyramid, view, mask, geometry.Grid.of(self.prompter))

    # -------------------------------------------------------------------------------- embeddings

    def embedding(self, view: View, *, keep: bool = True) -> Embedding:
        """Return what the encoder makes of a view: from memory, from disk, or new.

        May be called from several threads. With ``keep`` false, it does not come to stay in
        memory.
        """
        return self._embedder.get(view, keep=keep)

    def has(self, view: View) -> bool:
        """Whether `embedding` answers at once; reads no pixels, so False for a new view."""
        return self._embedder.has(view)

    def prepare(self, views: Iterable[View]) -> Iterator[Progress]:
        """Make embeddings ahead of time, one a step; leave the loop to cancel."""
        return self._embedder.prepare(views)

    def forget(self) -> None:
        """Say that pixels of the image have changed; tiles where none did are found again."""
        self._embedder.forget()

    # ----------------------------------------------------------------------------------- answers

    def segment(
        self,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
        *,
        plane: int | Sequence[int] | None = None,
        candidates: bool = False,
        multimask: bool | None = None,
    ) -> Instances:
        """Segment objects that prompts point at, one or many in one call.

        Parameters
        ----------
        points : sequence of (row, col), or one such sequence for each object
        labels : sequence of int, or one such sequence for each object
            1: the point is on the object (the default), 0: it is not.
        box : (row_min, col_min, row_max, col_max), or (N, 4)
        mask : (H, W) bool array or Mask, or N of these
            About where the object is.
        plane : int or sequence of int, optional
            Index along each plane axis of the image; not for a single plane.
        candidates : bool
            Give three masks an object, those of one side by side, the best first.
        multimask : bool, optional
            Whether the model sees an ambiguous prompt and chooses the best of three masks; by
            default so for a lone click.

        Returns
        -------
        Instances
            In px of the plane and in the order of the prompts; scores are the predicted IoU. An
            object of which nothing was found has a mask without pixels.

        Raises
        ------
        InputError
            If prompts do not fit each other or the image; says which.

        Notes
        -----
        Each prompt is answered in the finest tile that shows all of it. Where the answer to
        clicks reaches an edge of its tile, they are asked again at the next coarser level, so
        that objects larger than a tile are found, too.
        """
        answers = self.candidates(
            read_prompts(points, labels, box, mask),
            plane,
            multimask=True if candidates else multimask,
        )
        found = [one for answer in answers for one in (answer if candidates else answer[:1])]
        return Instances.create(
            self.plane_shape,
            [candidate.mask for candidate in found],
            scores=[candidate.score for candidate in found],
        )

    def candidates(
        self,
        prompts: Sequence[Prompt],
        plane: int | Sequence[int] | None = None,
        *,
        multimask: bool | None = None,
        reach: int | None = None,
    ) -> list[Answer]:
        """Answer prompts with all that the model offers; what a viewer needs.

        Parameters
        ----------
        prompts : sequence of Prompt
            A further click corrects an answer if the prompt has all clicks and, as ``previous``,
            the candidate: it is then decoded in that one's view, if that shows the click.
        plane : int or sequence of int, optional
        multimask : bool, optional
            See `segment`.
        reach : int, optional
            How many levels coarser to look, at most, where an answer is cut by its tile: 0 for a
            preview, which may not wait. All that are worth it if not given.

        Returns
        -------
        list of tuple of Candidate
            One tuple a prompt, at least one candidate each, the best first.

        Raises
        ------
        InputError
            If a prompt lies outside the image.
        """
        checked = [prompt.within(self.plane_shape) for prompt in prompts]
        return self._answering.answer(checked, self.plane(plane), multimask, reach)

    def draw(self, prompts: Sequence[Mapping[str, Any]]) -> LabelSet:
        """Segment objects of all planes by prompts as recipes hold them.

        Parameters
        ----------
        prompts : sequence of mapping
            One an object, with some of ``points`` ((row, col) each), ``labels``, ``box``,
            ``plane`` and ``category``; all keys are fields of `requests.Request`. With ``index``,
            its label, objects are painted in the order in which they are listed.

        Returns
        -------
        LabelSet

        Raises
        ------
        InputError
            If a prompt does not fit the image, or a key is unknown.

        Examples
        --------
        >>> session.draw([{"index": 1, "points": [(8.5, 8.5)]}])  # doctest: +SKIP
        """
        from .asked import draw

        return draw(self, prompts)

    def everything(
        self,
        *,
        region: tuple[slice, slice] | None = None,
        planes: Sequence[tuple[int, ...]] | None = None,
        **settings: Any,
    ) -> Segmentation:
        """Segment all objects that the model finds by itself.

        Parameters
        ----------
        region : (slice, slice), optional
            Rows and columns (half-open, px) to look at.
        planes : sequence of tuple of int, optional
            Index of the planes to look at; None takes all.
        **settings
            Fields of `EverythingSettings`.
        """
        # What is built on sessions is imported when it is used.
        from .everything import everything

        return everything(self, region=region, planes=planes, **settings)

    def refine(self, what: Any, *, kind: str | None = None, **settings: Any) -> Segmentation:
        """Draw objects anew, each from a prompt; category and score stay.

        Parameters
        ----------
        what : Segmentation, path or array
            Objects; or a label image's file; or labels, boxes or points, see `RefineRun`.
        kind : {"labels", "boxes", "points"}, optional
            What an array is, where its shape leaves that open.
        **settings
            Fields of `RefineSettings`.
        """
        from .refine import refine

        return refine(self, what, kind=kind, **settings)

    def propagate(
        self,
        seeds: Mapping[int, Mask | NDArray[np.bool_]],
        axis: str | None = None,
        plane: Sequence[int] = (),
        **settings: Any,
    ) -> Propagated:
        """Follow one object through a stack.

        Parameters
        ----------
        seeds : mapping of int to Mask or (H, W) bool array
            The object on one plane or more, by index along the axis.
        axis : str, optional
            Letter of a plane axis of the image; None takes the only one, or Z.
        plane : sequence of int
            Index along each of the other plane axes.
        **settings
            Fields of `PropagationSettings`.
        """
        from .propagation import propagate

        return propagate(self, seeds, axis, tuple(plane), **settings)

    def segmentation(
        self,
        found: Mapping[tuple[int, ...], Instances],
        *,
        categories: tuple[Category, ...] = (OBJECT,),
        details: Mapping[str, Any] | None = None,
        warnings: Sequence[str] = (),
        complete: bool = True,
        **settings: Any,
    ) -> Segmentation:
        """Make the result that all paths share.

        Parameters
        ----------
        found : mapping of plane index to Instances
            Planes that are not in it have no objects; masks without pixels are left out.
        categories : tuple of Category
        details : mapping, optional
            What the recipe says beside `details`, such as the prompts.
        warnings : sequence of str
        complete : bool
            False if the run was cancelled.
        **settings
            Fields of `Settings` that differ from the session's.
        """
        raw = tuple(
            _with_pixels(found.get(plane, Instances.empty(self.plane_shape)))
            for plane in self.planes
        )
        return Segmentation(
            raw,
            self.image,
            categories,
            self.settings.replace(**settings),
            {**self.details, **(details or {})},
            # A detector may have noted the same of the image.
            warnings=tuple(dict.fromkeys((*self.image.notes, *warnings, *self.warnings))),
            complete=complete,
        )


def _with_pixels(instances: Instances) -> Instances:
    kept = [i for i, mask in enumerate(instances.masks) if mask.pixels.any()]
    return instances.take(kept)
