"""The functions for the console: what menu and command line use, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from .cluster import DaskHands
from .file_run import identify
from .inputs import as_image
from .io.run_folder import RunFolder
from .models.entry import LoadedModel
from .models.registry import load, load_for
from .ops.axes import Image
from .pipeline import Run
from .remote import portable
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
        One letter a dimension, such as "ZYX", "CYX" or "YXS" (S = RGB samples); guessed by
        the number of dimensions if not given, with S where the last one is 3 or 4 long. Not for
        layers and `Image`, which have their own.
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
    prepared = as_image(image, axes, spacing)
    with ExitStack() as stack:
        if client is None:
            loaded = model if isinstance(model, LoadedModel) else load_for(chosen)
            run = Run(prepared, loaded.segmenter, chosen, model=loaded.identity)
        else:
            if isinstance(model, LoadedModel):
                raise InputError("model: expected its name, since each worker loads its own")
            path = Path(image) if isinstance(image, (str, Path)) else None
            run = stack.enter_context(_on_cluster(client, prepared, path, chosen, folder))
        bar = stack.enter_context(tqdm(disable=not progress, unit="tile", desc=prepared.name))
        for step in run:
            bar.total = step.total
            bar.update(step.done - bar.n)
        return replace(run.result(), image=prepared)


@contextmanager
def _on_cluster(
    client: Client, image: Image, path: Path | None, settings: Settings, folder: str | Path | None
) -> Iterator[Run]:
    """Prepare a run on a cluster; remove what it has kept in files if it comes to its end."""
    hands = DaskHands(client)
    model = hands.load(settings)
    with ExitStack() as stack:
        if folder is None:
            own = TemporaryDirectory(prefix=".napari-instseg-", dir=Path.cwd())
            folder = stack.enter_context(own)
        identity = identify(image, model, settings)
        files = stack.enter_context(RunFolder(Path(folder), identity, existing="resume"))
        sent = portable(image, path, files.path)
        yield Run(sent, model.segmenter, settings, model=model.identity, shelf=files, hands=hands)
        files.remove()


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
    if schema > 1:
        raise InputError(f"recipe: schema {schema} is newer than this version knows (1); upgrade")
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
