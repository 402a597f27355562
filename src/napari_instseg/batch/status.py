"""What has become of an input, in a file beside its results."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io.atomic import write_text

#: Name of the file, after the name of the input's results and a "_".
STATUS = "status.json"
SCHEMA = 1
#: WAITING and SKIPPED are never written. RUNNING that lasts is of a run that died; STOPPED has
#: results up to where the user stopped it.
WAITING, RUNNING, DONE, STOPPED, FAILED, SKIPPED = STATUSES = (
    *("waiting", "running", "done"),
    *("stopped", "failed", "skipped"),
)


@dataclass(frozen=True, slots=True)
class Status:
    """What a status file says.

    Parameters
    ----------
    status : {"running", "done", "stopped", "failed"}
    input : Path
        The image, as an absolute path.
    error : str
    count : int
        Of objects, 0 unless done or stopped.
    seconds : float
        Of work.
    """

    status: str
    input: Path
    error: str = ""
    count: int = 0
    seconds: float = 0.0

    def is_of(self, path: Path) -> bool:
        """Whether it tells of this input, or of one that is no longer where it was."""
        return self.input == Path(os.path.realpath(path)) or not self.input.exists()


def status_path(folder: Path, name: str) -> Path:
    """Name the status file of an input by the name of its results."""
    return folder / f"{name}_{STATUS}"


def write_status(folder: Path, name: str, values: Mapping[str, Any]) -> None:
    """Write a status file, whole or not at all; the folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"schema": SCHEMA, **values}, indent=2, ensure_ascii=False)
    write_text(status_path(folder, name), text + "\n")


def read_status(folder: Path, name: str) -> Status | None:
    """Read a status file; None if there is none, or it is not one."""
    try:
        values = json.loads(status_path(folder, name).read_text(encoding="utf-8"))
        return Status(
            str(values["status"]),
            Path(values["input"]),
            str(values.get("error") or ""),
            int(values.get("count") or 0),
            float(values.get("seconds") or 0),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
