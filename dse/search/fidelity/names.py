"""How the trainings of a search may be cut; light to import, for the command line."""

from __future__ import annotations

from typing import Literal, get_args

Fidelity = Literal["full", "halving", "halving:data"]
FIDELITIES = get_args(Fidelity)
