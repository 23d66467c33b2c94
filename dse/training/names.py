"""The names of the arithmetics in which a training can be computed, without Keras: see `arithmetic.py`."""

from __future__ import annotations

from typing import Literal, get_args

Arithmetic = Literal["plain", "fused", "bf16"]
Asked = Literal["auto", Arithmetic]
ASKED: tuple[str, ...] = get_args(Asked)
