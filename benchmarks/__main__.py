"""All benchmarks in one table: ``python -m benchmarks``."""

from __future__ import annotations

from . import (
    overhead,
    painting,
    sahi_peer,
    startup,
)
from ._common import Result, parse, show


def main() -> None:
    """Run one after the other, so that none disturbs another."""
    options = parse(__doc__)
    results: list[Result] = []
    for module in (painting, overhead, sahi_peer, startup):
        found = module.run(options)
        results += found if isinstance(found, list) else [found]
    show(results, options.output)


if __name__ == "__main__":
    main()
