"""Read files from strangers: their data comes back, and nothing in them runs.

`read_pickle`, `read_torch` and `read_yaml` raise `ModelError` for whatever is not plain data.
"""

from .files import DAMAGE
from .pickles import read_pickle
from .tensors import is_zip, read_torch
from .yamls import read_yaml

__all__ = ["DAMAGE", "is_zip", "read_pickle", "read_torch", "read_yaml"]
