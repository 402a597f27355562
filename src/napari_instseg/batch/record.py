"""What a batch was begun with, in its folder: another session can go on with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..io.atomic import write_text
from ..settings import Settings

#: Also a recipe: it has "schema" and "settings".
RECORD = "batch.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Record:
    """What there is to do: images, and how they are read and written; see `jobs.plan`.

    Parameters
    ----------
    paths : tuple of Path
    axes : str, optional
        As of `io.images.read_image`.
    format : {"tiff", "zarr"}, optional
    """

    paths: tuple[Path, ...]
    axes: str | None = None
    format: str | None = None


def write_record(output: Path, record: Record, settings: Settings) -> None:
    """Write what a batch is begun with; the folder is made if it is not there."""
    batch = {
        "inputs": [str(path.resolve()) for path in record.paths],
        "axes": record.axes,
        "format": record.format,
    }
    values = {"schema": SCHEMA, "settings": settings.to_json(), "batch": batch}
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(values, indent=2, ensure_ascii=False)
    write_text(output / RECORD, text + "\n")


def read_record(output: Path) -> Record | None:
    """Read what a batch was begun with; None if there was none, or the file is damaged."""
    try:
        batch = json.loads((output / RECORD).read_text(encoding="utf-8"))["batch"]
        return Record(tuple(map(Path, _texts(batch["inputs"]))), batch["axes"], batch["format"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _texts(values: Sequence[object]) -> list[str]:
    return [str(value) for value in values]
