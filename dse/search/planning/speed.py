"""How fast this machine trains networks of a space: a few of them are trained on a few images, by the search's workers.

They stand at even places among the MACs of random networks that fit. Each has an epoch that only starts it and two that
are timed; what comes after the training is timed too. In between, time goes by the logarithm of the MACs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from dse.network.candidate import Candidate
from dse.search.costing import SpaceCosting
from dse.search.settings import Settings
from dse.search.surrogate.surrogate import SAMPLE, Surrogate
from dse.search.workers.events import TrialDone, TrialFailed, TrialNote, WorkerNote
from dse.search.workers.jobs import Job, Pool
from dse.space.space import Defaults

PLACES = (0.1, 0.4, 0.7, 0.95)  # among the networks by their MACs
FEWEST, MOST = 512, 4096  # images: the more the smaller a network is, since every epoch has its own seconds too
EPOCHS = 3


@dataclass(frozen=True)
class Network:
    """One of a space, and what it costs."""

    candidate: Candidate
    macs: float


@dataclass(frozen=True)
class Measured:
    """One network on this machine, in seconds."""

    macs: float
    start: float  # until its first step, and from its last one on
    image: float  # of an image in an epoch, validation included


@dataclass(frozen=True)
class Speed:
    """How fast networks of a space are trained."""

    measured: Sequence[Measured]  # by their MACs, at least one

    def image(self, macs: float) -> float:
        """Seconds for an image of an epoch."""
        return self._at(macs, [one.image for one in self.measured])

    def start(self, macs: float) -> float:
        """Seconds for a training without its epochs."""
        return self._at(macs, [one.start for one in self.measured])

    def _at(self, macs: float, seconds: list[float]) -> float:
        known = np.log([max(one.macs, 1.0) for one in self.measured])
        return float(np.exp(np.interp(np.log(max(macs, 1.0)), known, np.log(np.maximum(seconds, 1e-9)))))


def sample(settings: Settings, defaults: Defaults) -> list[Network]:
    """Random networks that fit, by their MACs."""
    costing = SpaceCosting(settings.space, defaults, settings.budgets, settings.values_of)
    surrogate = Surrogate(settings.space, costing, settings.task.objectives, settings.seed)
    found = []
    for sketch in surrogate.fitting(surrogate.rng(0, "plan"), SAMPLE):
        chosen = settings.space.build(sketch.assignment, defaults)
        found.append(Network(chosen, float(np.exp(sketch.known.sizes[0]))))
    return sorted(found, key=lambda network: network.macs)


def measure(
    networks: Sequence[Network], pool: Pool, folder: Path, images: int, note: Callable[[str], object]
) -> tuple[Speed | None, str]:
    """Train some of these networks for a moment; why one could not be, where none could.

    `images` are those of a whole epoch; `note` is told what a person should know of the workers.
    """
    checkpoints = folder.resolve() / "checkpoints" / "speed"  # workers have another folder to be in
    shutil.rmtree(checkpoints, ignore_errors=True)  # of one that was killed
    try:
        found, reason = _timed(networks, pool, checkpoints, images, note)
    finally:
        shutil.rmtree(checkpoints, ignore_errors=True)
    measured = sorted(found, key=lambda one: one.macs)
    return (Speed(measured) if measured else None), reason


def _timed(
    networks: Sequence[Network], pool: Pool, checkpoints: Path, images: int, note: Callable[[str], object]
) -> tuple[list[Measured], str]:
    """The networks that could be trained, and why the last one could not that could not."""
    places = dict.fromkeys(round(place * (len(networks) - 1)) for place in PLACES)
    chosen = {-1 - index: networks[place] for index, place in enumerate(places)}  # by numbers that no trial has
    shares = {number: _share(network.macs, networks[-1].macs, images) for number, network in chosen.items()}
    found, reason = list[Measured](), ""
    # The slowest first: the others fill the time beside it.
    waiting, running = sorted(chosen), set[int]()
    while waiting or running:
        while waiting and pool.free():
            number = waiting.pop(0)
            candidate, share = chosen[number].candidate, shares[number]
            short = candidate.training.model_copy(update={"epochs": EPOCHS, "pretrained": ""})
            text = replace(candidate, training=short).to_json()
            running.add(number)
            pool.submit(Job(number, text, checkpoints / str(number), images=share, validation_images=share))
        for event in pool.wait(0.5):
            match event:
                case TrialDone(number, _, seconds, epochs) if number in running:
                    running.discard(number)
                    epoch = median(np.diff(epochs)) if len(epochs) > 1 else seconds
                    start = max(0.0, seconds - len(epochs) * epoch)
                    found.append(Measured(chosen[number].macs, start, epoch / (shares[number] * images)))
                case TrialFailed(number, why) if number in running:
                    running.discard(number)
                    reason = why
                case WorkerNote(text) | TrialNote(_, text):
                    note(text)
    return found, reason


def _share(macs: float, largest: float, images: int) -> float:
    """Of all images, what a network is timed on."""
    count = min(MOST, max(FEWEST, FEWEST * largest / max(macs, 1.0)))
    return min(1.0, count / images)
