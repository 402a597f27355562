"""Segment Anything 2.1 behind the `PromptSegmenter` protocol, with its memory of planes.

The network is our own; names in its state dict, and numbers, are those of ``sam2`` 1.1.
"""
