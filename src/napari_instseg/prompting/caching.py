"""Where embeddings are kept on disk, and how many.

Environment variables that a user may set:

- ``NAPARI_INSTSEG_CACHE``: the folder for downloads; embeddings go to ``embeddings`` in it.
- ``NAPARI_INSTSEG_EMBEDDINGS_GB``: the most that they may take there, GB; 0 keeps none.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from ..io.embeddings import LIMIT, EmbeddingCache
from ..models import downloads
from ..segmenter import InputError

LIMIT_GB = "NAPARI_INSTSEG_EMBEDDINGS_GB"
FOLDER = "embeddings"


def embeddings_folder() -> Path:
    """Folder for embeddings; it may not exist yet."""
    models = downloads.cache_folder()
    # By default, downloads have a folder of their own beside this one.
    return (models if os.environ.get(downloads.CACHE, "").strip() else models.parent) / FOLDER


def limit_bytes() -> int:
    """Most bytes that embeddings may take.

    Raises
    ------
    InputError
        If the environment has something else than a number.
    """
    text = os.environ.get(LIMIT_GB, "").strip()
    if not text:
        return LIMIT
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise InputError(f"{LIMIT_GB}: expected a number of GB such as 5, got {text!r}")
    return int(limit * 1e9)


def users_cache() -> EmbeddingCache:
    """The cache that all sessions share."""
    return EmbeddingCache(embeddings_folder(), limit_bytes())
