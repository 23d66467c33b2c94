"""Intervals for measured shares."""

from __future__ import annotations

import math

Z95 = 1.959963984540054


def wilson(correct: int, total: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of `correct` out of `total` (Wilson 1927).

    >>> tuple(round(v, 4) for v in wilson(870, 1000))
    (0.8477, 0.8894)
    """
    if not total:
        return 0.0, 1.0
    share, z2 = correct / total, Z95 * Z95
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)  # rounding can lead beyond
