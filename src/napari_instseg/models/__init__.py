"""The models, one framework a file; called as a function, it lists them.

``napari_instseg.models()`` is public, and importing any module in this folder binds the folder
to that same name: so the folder itself is what can be called.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class _CallablePackage(ModuleType):
    def __call__(self) -> pd.DataFrame:
        """List the models: name, title, description, needs ("" if ready), license."""
        from .registry import table

        return table()


sys.modules[__name__].__class__ = _CallablePackage
