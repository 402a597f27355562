"""Detectron2 behind the `Segmenter` protocol: installing, importing, reading, running it.

Only this folder imports Detectron2, and always through `bridges.load`.
"""
