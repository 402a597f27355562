"""A truth, and a prediction with every kind of error."""

from __future__ import annotations

from helpers import draw

TRUTH = draw("""
    AAAA.BBBB.CC.DD....E
    AAAA.BBBB.CC.DD....E
    ...............FFFFF
    ...............FFFFF
""")
FOUND = draw("""
    GGGG.HHII.JJJJJ....K
    GGGG.HHII.JJJJJ.....
    ..............LLLLLL
    MM............LLLLLL
""")
