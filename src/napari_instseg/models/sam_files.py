"""Tell Segment Anything's files from others by the names of their tensors, without torch.

Nothing is unpickled: a name stands in a pickle as plain bytes.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

#: The families, as in `entry.FAMILIES`.
SAM, SAM2 = "SAM", "SAM 2"
#: Bytes in which names are looked for: where a file has no table of contents, its begin.
LIMIT = 16 << 20
#: Parts of names that only one family has, the more telling first.
_MARKS = (
    (SAM2, (b"sam_mask_decoder.", b"image_encoder.trunk.")),
    (SAM, (b"mask_decoder.transformer.",)),
)


def family_of(path: Path) -> str | None:
    """Return `SAM` or `SAM2`, or None if the file is of neither (or cannot be read).

    Parameters
    ----------
    path : Path
        A checkpoint of torch (.pth, .pt, or without a suffix), or safetensors.

    Notes
    -----
    Only a hint of who should read it: the reader checks every tensor.
    """
    try:
        names = _names(path)
    except (OSError, zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError):
        return None
    for family, marks in _MARKS:
        if any(mark in names for mark in marks):
            return family
    return None


def _names(path: Path) -> bytes:
    """Return bytes of the file that hold the tensors' names."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            pickles = [i for i in archive.infolist() if i.filename.endswith("data.pkl")]
            with archive.open(pickles[0] if pickles else "data.pkl") as file:
                return file.read(LIMIT)
    with path.open("rb") as file:
        return file.read(LIMIT)
