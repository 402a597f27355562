"""What the readers of this folder share."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path

from ...segmenter import ModelError

#: Whatever damaged or made-up bytes make a reader raise.
DAMAGE = (
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    # Of an escape that is none, where warnings are errors.
    DeprecationWarning,
)


def says(error: BaseException) -> str:
    """Give an error's text, or its kind if it has none."""
    return str(error) or type(error).__name__


def check_is_file(path: Path) -> None:
    """Raise ModelError unless there is a file."""
    if not path.is_file():
        raise ModelError(f"expected a file at {path}; there is none")
