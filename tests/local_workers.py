"""Worker processes on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster


@contextmanager
def local_workers(count: int, threads: int = 1) -> Iterator[Client]:
    """Start so many workers with so many threads each; the client of their cluster."""
    with (
        LocalCluster(
            n_workers=count, threads_per_worker=threads, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
