"""The console's way out to other programs' formats, and back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .io.formats.engine import Exported, read_sets, write_sets
from .label_set import LabelSet
from .result import Result
from .segmenter import InputError

if TYPE_CHECKING:
    import napari.layers

#: What can be exported.
Source: TypeAlias = "Result | LabelSet | napari.layers.Labels | str | Path"


def export(
    source: Source | Iterable[Source],
    path: str | Path,
    format: str | None = None,
    *,
    replace: bool = True,
    **options: Any,
) -> Exported:
    """Write objects in a format of other programs.

    Parameters
    ----------
    source : Result, LabelSet, napari Labels layer, path, or several of these
        A path is what `read_labels` reads.
    path : str or Path
        A file or folder, see ``napari-instseg export --help``.
    format : str, optional
        Such as "coco"; None goes by the path's ending.
    replace : bool
        Files that are there; False: refuse.
    **options
        The format's own.

    Returns
    -------
    Exported
        ``paths``, and ``notes`` on what the format cannot hold.

    Raises
    ------
    InputError
        If there is no such format or option, something does not fit into it, or a file must not
        be replaced.
    OSError
        If the files cannot be written. In both cases nothing is; of several images in OME-Zarr,
        those before the one that fails are.

    Examples
    --------
    >>> nis.export(result, "cells.json", "coco", masks="polygons")  # doctest: +SKIP
    """
    one_thing = isinstance(source, str) or hasattr(source, "__array__")
    several: Any = source if isinstance(source, Iterable) and not one_thing else ()
    sets = (found for one in several or (source,) for found in label_sets_of(one))
    return write_sets(sets, Path(path).expanduser(), format, replace=replace, **options)


def label_sets_of(source: Any) -> Iterable[LabelSet]:
    """Take what a user calls a result or labels as label sets.

    Raises
    ------
    InputError
        If it is none of what `export` takes.
    """
    if isinstance(source, LabelSet):
        return (source,)
    if isinstance(source, Result):
        return (source.label_set,)
    if isinstance(source, (str, Path)):
        return read_sets(Path(source).expanduser())
    if hasattr(source, "_type_string"):
        from .gui.label_layers import label_set_of

        return (label_set_of(None, source),)
    if hasattr(source, "__array__"):
        raise InputError("expected labels as LabelSet.from_labels(array), got a mere array")
    raise InputError(
        "expected a result, a LabelSet, a napari Labels layer or a path, got "
        f"{type(source).__name__}"
    )


def read_labels(
    path: str | Path, format: str | None = None, **options: Any
) -> LabelSet | list[LabelSet]:
    """Read objects from a result, a label image, or a file of another program.

    Parameters
    ----------
    path : str or Path
        A folder of results, the recipe or label image of one, ``folder/stem``, or a file in one
        of the formats of `export`.
    format : str, optional
        None looks what it is.
    **options
        The format's own.

    Returns
    -------
    LabelSet, or list of LabelSet
        A list if there is not exactly one image.

    Raises
    ------
    InputError
        If there is nothing, it is damaged, or of no known format; the message names the file.
    """
    found = list(read_sets(Path(path).expanduser(), format, **options))
    return found[0] if len(found) == 1 else found
