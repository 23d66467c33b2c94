"""How many networks a search trains, for how long, and how much time that takes; or what fits into a time.

The time is that of the trainings, shared out among the workers, of the last one that others wait for, of other seeds of
the front, and of the export. Which networks will be trained is not known: they are taken to lie evenly over the
logarithm of their MACs, as the first ones of `bayes` do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dse._util.units import duration_text
from dse.errors import RunError
from dse.search.fidelity.rungs import FACTOR, Rungs, epochs_of
from dse.search.planning.speed import Speed

PLACES = 24
ENDS = (0.02, 0.98)  # of the MACs of random networks, between which those of a search lie
SHARE = 0.9  # of a time that is given, for what is planned
LEAST_NETWORKS, MOST_NETWORKS = 9, 5000
LEAST_EPOCHS = 3
ON_FRONT = 0.25  # of the networks that are trained in full
# Multiply-accumulates in a second of one core, measured on Zen 4 with a network of 12.4 million: LiteRT, the same with
# reference kernels, and TensorFlow Lite Micro, which takes all cores.
LITERT, LITERT_REFERENCE, TFLM = 2.7e9, 0.75e9, 0.3e9


@dataclass(frozen=True)
class Work:
    """What a search is asked for, as far as its time depends on it."""

    rungs: Rungs
    images: int  # of an epoch
    validation: int
    test: int  # images that bundles are scored on; 0 without an export
    workers: int
    cores: int
    repeats: int = 0


@dataclass(frozen=True)
class Plan:
    """What a search is going to do; its times in seconds."""

    networks: int
    epochs: int
    search: float
    export: float
    steps: list[tuple[int, str]] = field(default_factory=list)  # how many networks, until when they are trained
    repeats: int = 0

    @property
    def text(self) -> str:
        """As a sentence."""
        (first, until), *later = self.steps
        parts = [f"{first} network{'s' if first != 1 else ''} {until}"]
        parts += [f"the best {count} of them {until}" for count, until in later]
        if self.repeats:
            parts.append(f"{self.repeats} more seed{'s' if self.repeats > 1 else ''} of the front")
        return ", ".join(parts)

    @property
    def time_text(self) -> str:
        """How long that takes."""
        export = f", then {duration_text(_rounded(self.export))} for the export" if self.export else ""
        return f"about {duration_text(_rounded(self.search))}{export}"


class Planner:
    """Plans for one space on one machine."""

    def __init__(self, work: Work, speed: Speed, macs: Sequence[float], most: float = MOST_NETWORKS) -> None:
        """`macs` are those of random networks, `most` as many as there are at most."""
        self._most = int(min(most, MOST_NETWORKS))
        low, high = np.quantile(np.log(np.maximum(macs, 1.0)), ENDS)
        self._macs = [float(value) for value in np.exp(np.linspace(low, high, PLACES))]
        self._work, self._speed = work, speed

    def plan(self, networks: int, epochs: int) -> Plan:
        """What so many networks take, with whole trainings of so many epochs."""
        networks = min(networks, self._most)
        work, steps = self._work, self._steps(networks)
        whole = self._mean(lambda macs: epochs * work.images * self._speed.image(macs))
        start = self._mean(lambda macs: self._speed.start(macs) + work.validation * macs / LITERT)
        each = [start + part.epochs * part.images / epochs * whole for part in work.rungs.parts(epochs)]
        seconds = sum(count * one for (count, _), one in zip(steps, each, strict=True))
        # The other workers have nothing left to do while the last step of the last network is trained.
        waited = each[-1] * (1 - 1 / work.workers)
        full = steps[-1][0]
        on_front = full if len(steps) > 1 else max(1, math.ceil(ON_FRONT * full))
        again = work.repeats * on_front * (start + whole)
        export = self._mean(self._export) * on_front
        return Plan(
            networks,
            epochs,
            (seconds + again) / work.workers + waited,
            export,
            [(count, self._until(epochs, share)) for count, share in steps],
            work.repeats,
        )

    def within(
        self, seconds: float, epochs: int, networks: int | None = None, least_epochs: int = LEAST_EPOCHS
    ) -> Plan:
        """The most networks, or the given number, that this time is enough for, with fewer epochs where it must be.

        Raises RunError where it is not enough for anything.
        """
        least = networks or LEAST_NETWORKS
        fewest = min(epochs, least_epochs)
        fewer = next((one for one in range(epochs, fewest, -1) if self._fits(self.plan(least, one), seconds)), fewest)
        plan = self.plan(least, fewer)
        if not self._fits(plan, seconds):
            raise RunError(
                f"`budget` {duration_text(seconds)} is too little: {plan.text} take {plan.time_text} here; expected "
                "more time, fewer images, or smaller networks"
            )
        if networks:
            return plan
        low, high = min(least, self._most), self._most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._fits(self.plan(middle, fewer), seconds) else (low, middle - 1)
        return self.plan(low, fewer)

    def _fits(self, plan: Plan, seconds: float) -> bool:
        return plan.search + plan.export <= SHARE * seconds

    def _steps(self, networks: int) -> list[tuple[int, float]]:
        """How many networks come to each step, and its share of the training."""
        found, count = [], networks
        for share in self._work.rungs.shares:
            found.append((count, share))
            count = -(-count // FACTOR)
        return found

    def _until(self, epochs: int, share: float) -> str:
        """As in "20 networks for 2 epochs"."""
        if self._work.rungs.fidelity == "halving:data":
            return f"on {round(self._work.images * share):,} images"
        count = epochs_of(epochs, share)
        return f"for {count} epoch{'s' if count != 1 else ''}"

    def _export(self, macs: float) -> float:
        work = self._work
        return work.test * macs * (1 / LITERT_REFERENCE + 1 / (TFLM * work.cores))

    def _mean(self, of: Callable[[float], float]) -> float:
        """Over the networks."""
        return float(np.mean([of(macs) for macs in self._macs]))


def _rounded(seconds: float) -> float:
    """To what can be said before it is known: a minute, from ten minutes on five.

    >>> _rounded(47), _rounded(400), _rounded(5_000)
    (60, 420, 5100)
    """
    step = 60 if seconds < 600 else 300
    return step * max(1, round(seconds / step))
