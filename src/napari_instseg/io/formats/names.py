"""Names of images as names of files, and the other way round."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from ...segmenter import InputError

#: Signs that some file system does not take, and line ends.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]+')
#: Names that Windows keeps for devices.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
#: Of a stem, B as UTF-8: systems take 255 with what comes before and after.
LONGEST = 180
#: What `plane_suffix` makes, one axis of it.
_PLANE = re.compile(r"(.+)_[a-z]\d{4,}")


def file_stem(name: str) -> str:
    """Make a file's name without ending of any text; letters of all scripts stay.

    Examples
    --------
    >>> file_stem("../slide 3: größe*"), file_stem("..")
    ('slide 3_ größe_', 'image')
    """
    text = _FORBIDDEN.sub("_", name.encode("utf-8", "replace").decode("utf-8"))
    cut = text.encode("utf-8")[:LONGEST].decode("utf-8", "ignore")
    stem = cut.strip(". ").lstrip("_.") or "image"
    return f"_{stem}" if _DEVICES.fullmatch(stem) else stem


class Names:
    """Gives each image a file name of its own."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        # Stems of stacks of which names that are taken could be planes.
        self._stacks: set[str] = set()

    def of(self, name: str) -> str:
        """Return a stem that was not given before, in any case of letters.

        Nor is it that of a plane of a stem given before, or the other way round.
        """
        stem = file_stem(name)
        free, number = stem, 2
        while not self._is_free(free.casefold()):
            free, number = f"{stem}_{number}", number + 1
        self._taken.add(free.casefold())
        self._stacks.update(_stacks_of(free.casefold()))
        return free

    def _is_free(self, stem: str) -> bool:
        given = stem in self._taken or stem in self._stacks
        return not given and self._taken.isdisjoint(_stacks_of(stem))


def _stacks_of(stem: str) -> Iterator[str]:
    """Stems of stacks, a plane of which could be called so."""
    while found := _PLANE.fullmatch(stem):
        stem = found[1]
        yield stem


def plane_suffix(axes: str, shape: tuple[int, ...], index: tuple[int, ...]) -> str:
    """What the file name of a plane ends in.

    Examples
    --------
    >>> plane_suffix("TZYX", (2, 120), (1, 7)), plane_suffix("YX", (), ())
    ('_t0001_z0007', '')
    """
    return "".join(
        f"_{axis.lower()}{i:0{max(4, len(str(size - 1)))}d}"
        for axis, size, i in zip(axes, shape, index, strict=False)
    )


def inner_path(text: object) -> PurePosixPath:
    """Read the name of a file in a data set.

    Returns
    -------
    PurePosixPath
        Relative, without any "..".

    Raises
    ------
    InputError
        If it is none, or leads out of the data set's folder.
    """
    if not isinstance(text, str) or not text or "\x00" in text:
        raise InputError(f"file_name: expected a file's name, got {text!r:.80}")
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise InputError(f"file_name: expected a path within the folder, got {text!r:.80}")
    return path
