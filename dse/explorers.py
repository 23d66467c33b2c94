"""Explorers propose candidates into the study of a run.

Optuna's samplers are asked through the study. `random` draws by itself: it looks at up to `SCREENED` candidates
without writing anything down and proposes the first that fits, so a tight budget costs it nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dse.candidate import Candidate
from dse.errors import NetworkError, UnknownNameError
from dse.explorer_names import EXPLORERS
from dse.space import Defaults, Space
from dse.study import Proposal, Study

SCREENED = 1000

Fits = Callable[[Candidate], bool]


@dataclass
class Explorer:
    """Proposes trials of one kind; everything it knows is in the study."""

    name: str
    study: Study
    space: Space
    defaults: Defaults
    seed: int
    fits: Fits

    def propose(self) -> Proposal:
        """A new trial in the study."""
        if self.name != "random":
            return self.study.ask(self.name, self.seed, self.space, self.defaults)
        rng = np.random.default_rng((self.seed, len(self.study.records())))
        for _ in range(SCREENED):
            try:
                assignment, candidate = self.space.sample(rng, self.defaults)
            except NetworkError:
                continue
            if self.fits(candidate):
                break
        return self.study.enqueue(self.name, assignment, self.space, self.defaults)


def make_explorer(name: str, study: Study, space: Space, defaults: Defaults, seed: int, fits: Fits) -> Explorer:
    """The explorer of that name. Raises UnknownNameError."""
    if name not in EXPLORERS:
        raise UnknownNameError("explorer", name, EXPLORERS)
    return Explorer(name, study, space, defaults, seed, fits)
