"""The functions for the console: what menu and command line use, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from .cluster import DaskHands
from .file_run import FileRun, identify
from .hands import OWN_HANDS, Hands
from .inputs import as_image, as_in_recipe
from .io.run_folder import Existing, RunFolder
from .models.entry import LoadedModel
from .models.registry import load, load_for
from .ops.axes import Image
from .ortho import new_run
from .progress import Progress
from .remote import portable
from .result import RECIPE_SCHEMA
from .segmentation import Segmentation
from .segmenter import InputError
from .settings import Settings

if TYPE_CHECKING:
    from distributed import Client


def segment(
    image: Any,
    model: str | Path | LoadedModel | None = None,
    *,
    weights: str | Path | None = None,
    categories: str | Path | None = None,
    axes: str | None = None,
    spacing: Mapping[str, float] | None = None,
    recipe: Mapping[str, Any] | None = None,
    progress: bool = False,
    client: Client | None = None,
    folder: str | Path | None = None,
    **settings: Any,
) -> Segmentation:
    """Segment an image.

    Parameters
    ----------
    image : array, Image, path, or napari Image layer
        bool, integer or float pixels; NumPy, dask and Zarr arrays are read tile by tile.
    model : str, path or LoadedModel, optional
        A name that `models` lists, the path of a weights file or of a Detectron2 config, or
        what `load_model` gave; by default that of the recipe, else "nuclei".
    weights, categories : path, optional
        The checkpoint, and a file with the categories' names, that go with a Detectron2 config.
    axes : str, optional
        One letter a dimension, in any order, such as "ZYX", "CZTYX" or "YXS" (S = RGB samples).
        If it is not given: that of the recipe, if it is of this image, else what a file says,
        else a guess by the number of dimensions, which ``warnings`` of the result name; S where
        the last one is 3 or 4 long. Not for layers and `Image`, which have their own.
    spacing : mapping of str to float, optional
        µm per pixel by axis letter.
    recipe : mapping, optional
        A result's ``recipe``: its settings are used, but for those given here.
    progress : bool
        Show a progress bar.
    client : distributed.Client, optional
        Run on the workers of this Dask cluster, which load the model and open the image by
        themselves: by its path, Zarr store or dask graph. Other arrays are written to ``folder``
        first.
    folder : path, optional
        With ``client``: where workers keep results of tiles; all of them must see it. What is
        there of the same run is not done again; removed at the end. By default a temporary folder
        in the current one.
    **settings
        Fields of `Settings`, such as ``score_threshold=0.5`` or ``diameter=30``.

    Returns
    -------
    Segmentation

    Raises
    ------
    InputError
        If the image or a setting cannot be used.
    ModelError
        If the model cannot be used.
    ClusterError
        If the cluster's scheduler is gone, or workers die again and again.

    Examples
    --------
    >>> result = segment(image, score_threshold=0.6)  # doctest: +SKIP
    >>> result.instances.max(), len(result.table)  # doctest: +SKIP
    (127, 127)
    """
    chosen, loaded, hands = _chosen(model, weights, categories, recipe, settings, client)
    prepared = _prepared(image, axes, spacing, recipe)
    if hands is OWN_HANDS:
        run = new_run(prepared, loaded.segmenter, chosen, model=loaded.identity)
        _follow(run, prepared.name, progress)
        return run.result()
    identity = identify(prepared, loaded, chosen)
    with _shared(folder) as place, RunFolder(place, identity, existing="resume") as kept:
        run = new_run(
            *(portable(prepared, _path_of(image), kept.path), loaded.segmenter, chosen),
            model=loaded.identity,
            shelf=kept,
            hands=hands,
        )
        _follow(run, prepared.name, progress)
        result = replace(run.result(), image=prepared)
        kept.remove()
        return result


def segment_to(
    folder: str | Path,
    image: Any,
    model: str | Path | LoadedModel | None = None,
    *,
    stem: str = "",
    format: str | None = None,
    raw: bool = False,
    seams: bool = False,
    existing: Existing = "resume",
    weights: str | Path | None = None,
    categories: str | Path | None = None,
    axes: str | None = None,
    spacing: Mapping[str, float] | None = None,
    recipe: Mapping[str, Any] | None = None,
    progress: bool = False,
    client: Client | None = None,
    **settings: Any,
) -> list[Path]:
    """Segment an image of any size into files; go on where an earlier call was stopped.

    Parameters
    ----------
    folder : str or Path
        For the results; made if it is not there.
    image : array, Image, path, or napari Image layer
        See `segment`.
    stem, format, raw, seams
        See `Segmentation.save`. With "zarr", and without `link`, neither the image nor the label
        images are ever whole in memory.
    existing : {"resume", "refuse", "replace"}
        What to do about an unfinished run that is there. Finished results are replaced.
    model, weights, categories, axes, spacing, recipe, progress, client, **settings
        See `segment`; all workers must see ``folder``.

    Returns
    -------
    list of Path
        The files that were written; see `Segmentation.save`.

    Raises
    ------
    InputError
        If the image or a setting cannot be used, another run is writing there, or the unfinished
        run there is another one.
    ModelError
        If the model cannot be used.
    OSError
        If the folder cannot be written to; what was found is kept.

    Examples
    --------
    >>> labels, *_ = segment_to("results", "slide.ome.zarr", format="zarr")  # doctest: +SKIP
    >>> zarr.open_group(labels)["0"].shape  # doctest: +SKIP
    (16384, 16384)
    """
    chosen, loaded, hands = _chosen(model, weights, categories, recipe, settings, client)
    prepared = _prepared(image, axes, spacing, recipe)
    with FileRun(
        *(prepared, loaded, chosen, Path(folder).expanduser(), stem, format),
        existing=existing,
        path=_path_of(image),
        hands=hands,
        raw=raw,
        seams=seams,
    ) as run:
        _follow(run, prepared.name, progress)
        return run.save()[1]


def _chosen(
    model: str | Path | LoadedModel | None,
    weights: str | Path | None,
    categories: str | Path | None,
    recipe: Mapping[str, Any] | None,
    settings: dict[str, Any],
    client: Client | None,
) -> tuple[Settings, LoadedModel, Hands]:
    """Combine what was given, and load the model for those who do the work."""
    if recipe is not None:
        settings = {**recipe_settings(recipe), **settings}
    if model is not None:
        settings["model"] = model.name if isinstance(model, LoadedModel) else str(model)
    settings |= {
        name: str(path)
        for name, path in (("weights", weights), ("categories", categories))
        if path is not None
    }
    try:
        chosen = Settings.from_json(settings)
    except InputError as error:
        raise InputError(f"segment(): {error}") from error
    hands = OWN_HANDS if client is None else DaskHands(client)
    if isinstance(hands, DaskHands):
        if isinstance(model, LoadedModel):
            raise InputError("model: expected its name, since each worker loads its own")
        return chosen, hands.load(chosen), hands
    return chosen, model if isinstance(model, LoadedModel) else load_for(chosen), hands


@contextmanager
def _shared(folder: str | Path | None) -> Iterator[Path]:
    """The folder given, else a temporary one where workers most likely see it."""
    if folder is not None:
        yield Path(folder).expanduser()
        return
    with TemporaryDirectory(prefix=".napari-instseg-", dir=Path.cwd()) as own:
        yield Path(own)


def _path_of(image: Any) -> Path | None:
    """The file that workers can open by themselves, if that is what was given."""
    return Path(image).expanduser() if isinstance(image, (str, Path)) else None


def _prepared(
    image: Any,
    axes: str | None,
    spacing: Mapping[str, float] | None,
    recipe: Mapping[str, Any] | None,
) -> Image:
    """Read the image as was asked for, or as the recipe has it."""
    prepared = as_image(image, axes, spacing)
    if recipe is not None and axes is None and not isinstance(image, Image):
        return as_in_recipe(prepared, recipe)
    return prepared


def _follow(run: Iterable[Progress], name: str, shown: bool) -> None:
    """Do all steps of a run, with a bar if it is to be shown."""
    with tqdm(disable=not shown, unit="tile", desc=name) as bar:
        for step in run:
            bar.total = step.total
            bar.update(step.done - bar.n)


def recipe_settings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in a recipe.

    Raises
    ------
    InputError
        If the recipe has none, or was written by a newer version.
    """
    schema, settings = recipe.get("schema"), recipe.get("settings")
    if not isinstance(settings, Mapping) or not isinstance(schema, int):
        raise InputError("recipe: expected 'schema' and 'settings', as in a recipe.json of a run")
    if schema > RECIPE_SCHEMA:
        raise InputError(
            f"recipe: schema {schema} is newer than this version knows ({RECIPE_SCHEMA}); upgrade"
        )
    return dict(settings)


def load_model(
    name: str | Path = "nuclei",
    device: str = "auto",
    *,
    weights: str | Path | None = None,
    categories: str | Path | None = None,
    precision: str = "auto",
) -> LoadedModel:
    """Load a model once, to pass it to `segment` many times; see there for what it takes."""
    return load(
        str(name),
        device,
        precision=precision,
        weights=None if weights is None else str(weights),
        categories=None if categories is None else str(categories),
    )
