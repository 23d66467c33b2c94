"""Values as C++ text."""

from __future__ import annotations

from collections.abc import Iterable

PER_ROW = 24


def rows(values: Iterable[int]) -> str:
    """Whole numbers as the inside of an array.

    >>> rows(b"TFL3")
    '    84,70,76,51,'
    """
    texts = [str(value) for value in values]
    return "\n".join("    " + ",".join(texts[start : start + PER_ROW]) + "," for start in range(0, len(texts), PER_ROW))


def float_text(value: float) -> str:
    """A number that is the same float again, and a floating one to C too.

    >>> float_text(1 / 255), float_text(2.0)
    ('0.00392156863', '2.0')
    """
    text = f"{value:.9g}"
    return text if "." in text or "e" in text else text + ".0"


def string_text(text: str) -> str:
    r"""A string literal; what is not plain ASCII stands as the bytes of its UTF-8.

    >>> print(string_text('a "b"'), string_text("käse"))
    "a \"b\"" "k\303\244se"
    """
    plain = {ord('"'): '\\"', ord("\\"): "\\\\", ord("?"): "\\?"}  # ?? would begin a trigraph
    return '"' + "".join(plain.get(b, chr(b) if 32 <= b < 127 else f"\\{b:03o}") for b in text.encode()) + '"'
