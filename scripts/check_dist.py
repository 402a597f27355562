"""Check that the wheel and the sdist in a folder hold all that the program needs at run time.

Usage: ``python scripts/check_dist.py dist``
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

#: Patterns inside ``napari_instseg/``; each must match at least one file.
NEEDED = (
    "__init__.py",
    "napari.yaml",
    "py.typed",
    "models/data/*.safetensors",
    "models/data/*.md",
    "models/data/*.png",
    "models/data/*.json",
    "data/*",
)
#: Never in a distribution.
UNWANTED = ("*.pyc", "*/__pycache__/*", "*.ipynb", "*/.*")
#: PyPI refuses files above 100 MB; the weights may take 20 MB.
MAX_BYTES = 40_000_000


def names_in(path: Path) -> list[str]:
    """List the regular files of a wheel or an sdist."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if not name.endswith("/")]
    with tarfile.open(path) as archive:
        return [member.name for member in archive.getmembers() if member.isfile()]


def problems_of(path: Path) -> list[str]:
    """Say what is missing in a distribution, or should not be there."""
    names = names_in(path)
    if path.suffix == ".whl":
        package = "napari_instseg/"
    else:
        package = path.name.removesuffix(".tar.gz") + "/src/napari_instseg/"
    inside = [name.removeprefix(package) for name in names if name.startswith(package)]
    found = [
        f"no {pattern}" for pattern in NEEDED if not any(fnmatch(name, pattern) for name in inside)
    ]
    found += [
        f"holds {name}"
        for name in names
        if any(fnmatch(name, pattern) for pattern in UNWANTED) and not name.endswith("/.gitignore")
    ]
    if not any(name.endswith("LICENSE") for name in names):
        found.append("no LICENSE")
    if path.stat().st_size > MAX_BYTES:
        found.append(f"{path.stat().st_size:,} bytes, more than {MAX_BYTES:,}")
    return found


def main() -> int:
    """Check every distribution in the folder given; return the exit status."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "dist")
    paths = sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")])
    if len(paths) != 2:
        print(f"expected one wheel and one sdist in {folder}, found {[p.name for p in paths]}")
        return 1
    status = 0
    for path in paths:
        problems = problems_of(path)
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {len(names_in(path))} files")
        for problem in problems:
            print(f"  {problem}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
