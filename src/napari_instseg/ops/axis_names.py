"""What the dimensions of an image mean: letters, and what each is known from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..segmenter import InputError

#: Sides shorter than this (px) are not taken for rows or columns of a colour picture.
SMALLEST_RGB = 5
#: What an axis may be known from, as it is said to the user.
CHOSEN = "chosen by you"
LABELS = "from the layer's axis labels"
OME = "from OME metadata"
IMAGEJ = "from ImageJ metadata"
FILE = "from the file's metadata"
GUESSED = "guessed from the number of dimensions"

#: What axes mean that make planes or channels; every other letter means `SEPARATE`.
MEANINGS = {"Z": "z-stack", "T": "time-lapse", "C": "channels", "Y": "rows", "X": "columns"}
SEPARATE = "separate images"
#: Letters for separate images, the usual one first.
SEPARATE_LETTERS = "PQRUVW"

#: What people call axes, in lower case, and the letter that it stands for.
WORDS = {
    **dict.fromkeys(("y", "row", "rows", "height"), "Y"),
    **dict.fromkeys(("x", "col", "column", "columns", "width"), "X"),
    **dict.fromkeys(("z", "depth", "section", "sections", "plane", "planes"), "Z"),
    **dict.fromkeys(("t", "time", "frame", "frames"), "T"),
    **dict.fromkeys(("c", "ch", "channel", "channels", "wavelength"), "C"),
    **dict.fromkeys(("p", "pos", "position", "positions", "site", "field", "fov"), "P"),
    **dict.fromkeys(("scene", "scenes", "well", "wells", "image", "images"), "P"),
}


@dataclass(frozen=True, slots=True)
class NamedAxes:
    """Letters of axes, and what they are known from.

    Parameters
    ----------
    letters : str
        One a dimension; see `Image`.
    sources : mapping of str to str
        What each letter is known from, `GUESSED` for a guess; those that a user gave are left
        out.
    """

    letters: str
    sources: Mapping[str, str] = field(default_factory=dict)


def meaning(letter: str) -> str:
    """Say in words what an axis is.

    Examples
    --------
    >>> meaning("T"), meaning("Q")
    ('time-lapse', 'separate images')
    """
    return MEANINGS.get(letter, SEPARATE)


def letters_of(names: Sequence[object]) -> tuple[str, ...]:
    """Find the letters that names stand for; "" for names without a known meaning.

    The same letter twice says nothing: then all are "".

    Examples
    --------
    >>> letters_of(("Time", "-2", "row", "column"))
    ('T', '', 'Y', 'X')
    >>> letters_of(("y", "row", "x"))
    ('', '', '')
    """
    letters = tuple(WORDS.get(str(name).strip().lower(), "") for name in names)
    known = [letter for letter in letters if letter]
    return letters if len(set(known)) == len(known) else ("",) * len(letters)


def free_letter(taken: Sequence[str] | str) -> str:
    """Return the first letter for separate images that is not taken."""
    rest = SEPARATE_LETTERS + "ABDEFGHJKLMNO"
    return next(letter for letter in rest if letter not in taken)


def name_axes(
    count: int, hints: Sequence[tuple[Sequence[str], str]] = (), *, rgb: bool = False
) -> NamedAxes:
    """Name axes by all that is known of them, and guess the rest.

    Parameters
    ----------
    count : int
        Number of dimensions, 2 or more, without RGB samples.
    hints : sequence of (letters, source)
        The surest first: a letter a dimension, "" where nothing is known; and what it is known
        from. Those for another number of dimensions do not count, nor letters that would leave
        no dimension for Y or X.
    rgb : bool
        RGB samples follow, as S; then channels are separate images.

    Returns
    -------
    NamedAxes
        What is left open becomes X and Y from the last dimension on, then Z, T, and separate
        images; where three or more dimensions are left, and nothing is known of any of them, C
        comes before Z: TZCYX.

    Examples
    --------
    >>> name_axes(4, [(("T", "", "", ""), LABELS)]).letters
    'TZYX'
    >>> name_axes(3).sources["Z"]
    'guessed from the number of dimensions'
    """
    named, sources = [""] * count, {}
    for letters, source in hints:
        if len(letters) != count:
            continue
        for i, hint in enumerate(letters):
            letter = free_letter(named) if rgb and hint == "C" else hint
            if letter and not named[i] and letter not in named and _leaves_room(named, letter):
                named[i], sources[letter] = letter, source
    unused = _unused(named, rgb)
    for i in reversed(range(count)):
        if not named[i]:
            named[i] = next(unused)
            sources[named[i]] = GUESSED
    return NamedAxes("".join(named) + "S" * rgb, sources)


def _leaves_room(named: Sequence[str], letter: str) -> bool:
    """Whether there is a dimension for each of Y and X, once another has this letter."""
    missing = [a for a in "YX" if a not in named and a != letter]
    return list(named).count("") > len(missing)


def _unused(named: Sequence[str], rgb: bool) -> Iterator[str]:
    """Letters for what is left open, from the last dimension on."""
    with_channels = not rgb and len(named) >= 5 and set(named) <= {"", "Y", "X"}
    order = "XY" + ("CZT" if with_channels else "ZT")
    taken = list(named)
    yield from (letter for letter in order if letter not in taken)
    taken += order
    while True:
        taken.append(free_letter(taken))
        yield taken[-1]


def looks_rgb(shape: Sequence[int]) -> bool:
    """Whether an array of unknown axes is taken for a colour picture: 3 or 4 samples last.

    Examples
    --------
    >>> looks_rgb((64, 64, 3)), looks_rgb((64, 64, 4)), looks_rgb((64, 3, 3)), looks_rgb((9, 3))
    (True, True, False, False)
    """
    return len(shape) > 2 and shape[-1] in (3, 4) and min(shape[-3:-1]) >= SMALLEST_RGB


def guess_axes(shape: Sequence[int]) -> NamedAxes:
    """Guess axes by the number of dimensions: YX, ZYX, TZYX or TZCYX, then S for RGB.

    Raises
    ------
    InputError
        If there are fewer than 2 or more than 5 dimensions (without the samples).

    Examples
    --------
    >>> guess_axes((5, 64, 64)).letters, guess_axes((64, 64, 3)).letters
    ('ZYX', 'YXS')
    """
    rgb = looks_rgb(shape)
    count = len(shape) - rgb
    if not 2 <= count <= 5:
        raise InputError(f"expected 2 to 5 dimensions, got shape {tuple(shape)}; name its axes")
    return name_axes(count, rgb=rgb)
