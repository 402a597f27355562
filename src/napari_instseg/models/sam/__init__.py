"""Segment Anything, MobileSAM, micro-sam's models, and the small one in the package."""
