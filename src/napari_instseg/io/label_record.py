"""What lies beside a result's label image on disk, and has to follow when that is edited."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..ops.axes import ArrayLike
from ..segmenter import InputError
from ..settings import OUTPUTS, ZARR
from .records import RECIPE, SUFFIXES, TABLE, read_table, write_recipe, write_table
from .zarr import is_zarr_data, read_label_pyramid


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """The other files of a result whose instances are in OME-Zarr.

    Parameters
    ----------
    folder : Path
    prefix : str
        That their names begin with.
    """

    folder: Path
    prefix: str

    @classmethod
    def of(cls, instances: ArrayLike) -> LabelRecord | None:
        """Find those of a label image; None if it is not named like one of a result."""
        if not is_zarr_data(instances):
            return None
        array: Any = instances
        root = getattr(array.store, "root", None)
        end = OUTPUTS[0] + SUFFIXES[ZARR]
        path = None if root is None else Path(root, array.path).parent
        if path is None or not path.name.endswith(end):
            return None
        return cls(path.parent, path.name.removesuffix(end))

    def _path(self, name: str) -> Path:
        return self.folder / (self.prefix + name)

    def arrays(self, shape: tuple[int, ...]) -> dict[str, ArrayLike]:
        """The other label images that are in OME-Zarr and as large, by output."""
        found: dict[str, ArrayLike] = {}
        for output in OUTPUTS[1:]:
            pyramid = read_label_pyramid(self._path(output + SUFFIXES[ZARR]))
            if pyramid is not None and tuple(pyramid.levels[0].shape) == shape:
                found[output] = pyramid.levels[0]
        return found

    def completed(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add the stuff that only the table on disk has: a layer of instances does not list it."""
        whole = self.table()
        if whole is None:
            return table
        missing = whole[~whole["is_thing"].astype(bool) & ~whole["index"].isin(table["index"])]
        if not len(missing):
            return table
        parts = [part for part in (table, missing) if len(part)]
        return pd.concat(parts, ignore_index=True)[missing.columns.union(table.columns, sort=False)]

    def table(self) -> pd.DataFrame | None:
        """Read the table; None if there is none."""
        return read_table(self._path(TABLE)) if self._path(TABLE).is_file() else None

    def recipe(self) -> dict[str, Any] | None:
        """Read the recipe; None if there is none.

        Raises
        ------
        InputError
            If it is damaged.
        """
        path = self._path(RECIPE)
        if not path.is_file():
            return None
        try:
            recipe = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as a recipe in JSON ({error})") from error
        return dict(recipe) if isinstance(recipe, dict) else None

    def log(self) -> bytes | None:
        """Read the recipe's file, which each edit changes; None if there is none."""
        path = self._path(RECIPE)
        return path.read_bytes() if path.is_file() else None

    def write(
        self, table: pd.DataFrame, recipe: Mapping[str, Any], keep: Callable[[Path], None]
    ) -> None:
        """Bring table and recipe in line, where there are some.

        Parameters
        ----------
        table, recipe
        keep : callable
            Called with each file before it is changed.

        Raises
        ------
        OSError
            If they cannot be written.
        """
        if self._path(TABLE).is_file():
            keep(self._path(TABLE))
            write_table(self._path(TABLE), table)
        if self._path(RECIPE).is_file():
            keep(self._path(RECIPE))
            write_recipe(self._path(RECIPE), recipe)
