"""Numbers to text and text to numbers. The only place where that happens."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from dse.errors import DseError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_MILLIJOULES = {"uJ": 1e-3, "mJ": 1.0, "J": 1e3}  # a capital M would be mega
_BYTES = _FACTORS | {"b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def bytes_text(num_bytes: float) -> str:
    """Bytes in binary units.

    >>> bytes_text(65536), bytes_text(512), bytes_text(3 * 2**20), bytes_text(2.5 * 2**30)
    ('64.0 KiB', '512 B', '3.0 MiB', '2.5 GiB')
    """
    if abs(num_bytes) < 1024:
        return f"{num_bytes:.0f} B"
    if abs(num_bytes) < 1024**2:
        return f"{num_bytes / 1024:.1f} KiB"
    if abs(num_bytes) < 1024**3:
        return f"{num_bytes / 1024**2:.1f} MiB"
    return f"{num_bytes / 1024**3:.1f} GiB"


def count_text(count: float) -> str:
    """A count in decimal units.

    >>> count_text(171946), count_text(12_501_632), count_text(512)
    ('171.9 k', '12.50 M', '512')
    """
    if abs(count) < 1000:
        return f"{count:.0f}"
    if abs(count) < 10**6:
        return f"{count / 1000:.1f} k"
    return f"{count / 10**6:.2f} M"


def duration_text(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration_text(42.3), duration_text(605), duration_text(7322), duration_text(1200)
    ('42 s', '10 min 5 s', '2 h 2 min', '20 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 >= 60 else "")


def milliseconds_text(milliseconds: float) -> str:
    """A latency to three digits, in seconds from one second on.

    >>> milliseconds_text(0.1234), milliseconds_text(491.2), milliseconds_text(8140.0)
    ('0.123 ms', '491 ms', '8.14 s')
    """
    return f"{milliseconds:.3g} ms" if milliseconds < 999.5 else f"{milliseconds / 1000:.3g} s"


def millijoules_text(millijoules: float) -> str:
    """An energy to three digits, in joules from one joule on.

    >>> millijoules_text(22.78), millijoules_text(1070.0)
    ('22.8 mJ', '1.07 J')
    """
    return f"{millijoules:.3g} mJ" if millijoules < 999.5 else f"{millijoules / 1000:.3g} J"


def share_text(share: float) -> str:
    """A share in per cent.

    >>> share_text(0.7125)
    '71.25%'
    """
    return f"{share:.2%}"


def parse_duration(text: str) -> float:
    """Seconds from '90', '30m', '1h30m'. Raises DseError.

    >>> parse_duration("30m"), parse_duration("1h30m"), parse_duration("90")
    (1800.0, 5400.0, 90.0)
    """
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
        raise DseError(f"{text!r} is no duration; expected seconds or a form such as 30m or 1h30m")
    return sum(float(value) * _SECONDS[unit] for value, unit in re.findall(r"([\d.]+)([smhd])", text))


def parse_share(text: str) -> float | None:
    """The share in '50%', above 0 and below 1; None for what has no per cent. Raises DseError.

    >>> parse_share("12.5%"), parse_share("50k")
    (0.125, None)
    """
    if not text.strip().endswith("%"):
        return None
    match = re.fullmatch(r"\d{1,2}(?:\.\d{1,15})?", text.strip()[:-1].strip())
    if not match or not float(match[0]):
        raise DseError(f"{text[:40]!r} is no share; expected a number such as 50%, above 0 and below 100")
    return float(match[0]) / 100


def parse_count(text: str) -> int:
    """A whole number from '200000', '200k', '1.5M'. Raises DseError.

    >>> parse_count("200k"), parse_count("1.5M")
    (200000, 1500000)
    """
    return _amount(text, _FACTORS, "200000, 200k or 1.5M")


def parse_bytes(text: str) -> int:
    """Bytes from '200000', '200k', '1.5MB', '256KiB'. Raises DseError.

    >>> parse_bytes("200kB"), parse_bytes("1.5M"), parse_bytes("256KiB"), parse_bytes("3GiB")
    (200000, 1500000, 262144, 3221225472)
    """
    return _amount(text, _BYTES, "200000, 200kB, 1.5MB or 256KiB")


def parse_milliseconds(text: str) -> float:
    """Milliseconds from '100ms', '1.5s', '250us'. Raises DseError.

    >>> parse_milliseconds("100ms"), parse_milliseconds("1.5 s"), parse_milliseconds("250us")
    (100.0, 1500.0, 0.25)
    """
    return _with_unit("latency", text, _MILLISECONDS, "100ms or 1.5s")


def parse_millijoules(text: str) -> float:
    """Millijoules from '5mJ', '0.5J', '800uJ'. Raises DseError.

    >>> parse_millijoules("5mJ"), parse_millijoules("0.5J"), parse_millijoules("800uJ")
    (5.0, 500.0, 0.8)
    """
    return _with_unit("energy", text, _MILLIJOULES, "5mJ or 0.5J")


def _with_unit(what: str, text: str, factors: dict[str, float], examples: str) -> float:
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([a-zA-Z]+)", text.strip())
    amount = float(match[1]) * factors.get(match[2], 0.0) if match else 0.0
    if not amount:
        raise DseError(f"invalid {what} {text[:40]!r}: expected a number above 0 with its unit, such as {examples}")
    return amount


def _amount(text: str, factors: dict[str, int], examples: str) -> int:
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([a-z]*)", text.strip().lower().replace("_", ""))
    amount = round(float(match[1]) * factors[match[2]]) if match and match[2] in factors else 0
    if amount < 1:
        raise DseError(f"{text[:40]!r} is no amount; expected a number such as {examples}")
    return amount


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts: how it is read from text, and written."""

    name: str
    text: Callable[[float], str]
    parse: Callable[[str], float]  # raises DseError
    whole: bool = True  # a whole number

    def figure(self, value: float) -> str:
        """A value in full, without its unit.

        >>> COUNT.figure(12345.0), MILLISECONDS.figure(12345.5)
        ('12,345', '12,345.5')
        """
        return f"{int(value):,}" if self.whole else f"{value:,.6g}"


COUNT = Unit("", count_text, parse_count)
BYTES = Unit("bytes", bytes_text, parse_bytes)
MILLISECONDS = Unit("ms", milliseconds_text, parse_milliseconds, whole=False)
MILLIJOULES = Unit("mJ", millijoules_text, parse_millijoules, whole=False)
SHARE = Unit("share", share_text, float, whole=False)
