"""The process of one contender: ``python -m benchmarks._child MODULE FUNCTION OPTIONS``."""

from __future__ import annotations

import importlib
import json
import sys

from ._common import median
from ._processes import Meter

if __name__ == "__main__":
    module, function, options = sys.argv[1:]
    meter = Meter()
    extras = getattr(importlib.import_module(module), function)(meter, **json.loads(options))
    found = {
        "seconds": median(meter.seconds),
        "cpu_seconds": median(meter.cpu_seconds),
        "memory": max(meter.highest, meter.peak()) - meter.before,
        "extras": extras or {},
    }
    print(json.dumps(found), flush=True)
