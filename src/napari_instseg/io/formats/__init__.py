"""Formats that label sets are exported to and imported from; see `registry.FORMATS`."""
