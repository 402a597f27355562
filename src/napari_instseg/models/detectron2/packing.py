"""A wheel of Detectron2 without its compiled extension, from its source on PyPI.

The source's own ``setup.py`` wants torch, a C++ compiler and packages that are not needed. It is
run with a stand-in for torch that leaves these out; then all is packed under its real name.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

NAME = "detectron2"
VERSION = "0.6"
#: PyPI has the official 0.6 under this name only: the same files, without the C++ sources.
SOURCE = "pb1-detectron2"
SHA256 = "5d2e9e51e523ec72f6a31cca04b0a515492e9514b773a3d134cedc0677170b29"
#: What inference and training need of what it asks for; not the tools for export and plots.
REQUIRES = (
    "cloudpickle",
    "fvcore>=0.1.5.post20221221,<0.1.6",
    "iopath>=0.1.9,<0.2",
    "numpy",
    "omegaconf>=2.1",
    "pillow>=7.1",
    "pycocotools>=2.0.2",
    "pyyaml>=5.1",
    "tabulate",
    "termcolor>=1.1",
    "tqdm>4.29.0",
    "yacs>=0.1.8",
)
#: First words of the line of a wheel's WHEEL file that names its maker.
GENERATOR = "Generator: napari-instseg"
WHEEL = f"{NAME}-{VERSION}-py3-none-any.whl"
STAND_IN = '''\
"""Stands in for torch while Detectron2's setup.py runs, and keeps it from compiling."""
import sys
from types import SimpleNamespace

import setuptools

__version__ = "2.0"
version = SimpleNamespace(hip=None)
cuda = SimpleNamespace(is_available=lambda: False)
cpp_extension = SimpleNamespace(
    CUDA_HOME=None,
    ROCM_HOME=None,
    CppExtension=lambda *args, **options: None,
    CUDAExtension=lambda *args, **options: None,
    BuildExtension=None,
)
utils = SimpleNamespace(cpp_extension=cpp_extension)
sys.modules["torch.utils"] = utils
sys.modules["torch.utils.cpp_extension"] = cpp_extension
_start = setuptools.Distribution.__init__


def _start_without(self, attrs=None):
    attrs = dict(attrs or {})
    for name in ("cmdclass", "ext_modules", "extras_require", "install_requires"):
        attrs.pop(name, None)
    if "packages" in attrs:
        attrs["packages"] = [n for n in attrs["packages"] if n.split(".")[0] == "detectron2"]
        attrs["package_data"] = {
            "detectron2.model_zoo": ["configs/**/*.yaml", "configs/**/*.py"]
        }
    _start(self, attrs)


setuptools.Distribution.__init__ = _start_without
'''
DESCRIPTION = (
    "Facebook AI Research's library for object detection and segmentation, version 0.6, as in the\n"
    f"source distribution {SOURCE} {VERSION} on PyPI, without the compiled extension.\n"
    "Put together by napari-instseg.\n"
)


def pack(source: Path, folder: Path, maker: str) -> Path:
    """Pack the package as it was laid out by its own setup.py.

    Parameters
    ----------
    source : Path
        Folder that holds ``detectron2`` and its metadata.
    folder : Path
        Where to write the wheel.
    maker : str
        Version of this program, noted in the wheel.

    Returns
    -------
    Path
        The wheel.

    Raises
    ------
    FileNotFoundError
        If the source is not what it should be.
    """
    info = f"{NAME}-{VERSION}.dist-info"
    package = source / NAME
    if not (package / "__init__.py").is_file():
        raise FileNotFoundError(f"no {NAME}/__init__.py in {source}")
    if not any((package / "model_zoo" / "configs").rglob("*.yaml")):
        raise FileNotFoundError(f"no configs of the model zoo in {package}")
    contents = {
        file.relative_to(source).as_posix(): file.read_bytes()
        for file in sorted(package.rglob("*"))
        if file.is_file() and file.suffix != ".pyc"
    }
    for file in sorted(source.glob("*.dist-info/**/LICENSE*")):
        contents[f"{info}/{file.name}"] = file.read_bytes()
    contents[f"{info}/METADATA"] = _metadata().encode()
    contents[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\n{GENERATOR} {maker}\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ).encode()
    contents[f"{info}/RECORD"] = _record(contents, f"{info}/RECORD").encode()
    wheel = folder / WHEEL
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return wheel


def _metadata() -> str:
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {NAME}",
        f"Version: {VERSION}",
        "Summary: Object detection and segmentation (without its compiled extension)",
        "Home-page: https://github.com/facebookresearch/detectron2",
        "Author: FAIR",
        "License: Apache-2.0",
        "Requires-Python: >=3.7",
        *(f"Requires-Dist: {requirement}" for requirement in REQUIRES),
    ]
    return "\n".join(lines) + "\n\n" + DESCRIPTION


def _record(contents: dict[str, bytes], own: str) -> str:
    lines = []
    for name, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
        lines.append(f"{name},sha256={digest.decode()},{len(content)}")
    return "\n".join([*lines, f"{own},,"]) + "\n"
