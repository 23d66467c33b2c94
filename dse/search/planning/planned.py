"""The plan of one search: measured and made where it takes long or a time is given, and found again when it goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from dse._util.backend import choose_backend
from dse.data.datasets import Data
from dse.errors import RunError
from dse.search.observer import SearchObserver
from dse.search.planning.ledger import read_plan, write_plan
from dse.search.planning.plan import LEAST_EPOCHS, Planner, Work
from dse.search.planning.speed import Network, Speed, measure, sample
from dse.search.settings import Settings
from dse.search.workers.jobs import Pool

LONG = 600.0  # seconds, from which on a person wants to know before
MANY_IMAGES = 50_000  # trained on in all, below which no search is long
RATE = 1e9  # multiply-accumulates in a second of one core, forth and back; for the question whether to measure


@dataclass(frozen=True)
class Asked:
    """A search that may be planned."""

    settings: Settings
    data: Data
    observer: SearchObserver
    is_new: bool  # there is no run yet, so that its epochs may still be chosen
    has_trials: bool = False

    def planned(self, pool: Callable[[], Pool]) -> Settings:
        """The settings with what fits into their budget; says what is going to happen. Raises RunError.

        `pool` makes the workers when they are needed.
        """
        settings = self.settings
        trials = None if settings.trials_open else settings.trials
        asked = {"budget": settings.budget, "trials": trials, "repeats": settings.repeats}
        known = None if self.is_new else read_plan(settings.folder)  # one without a run is of another search
        if known and known.asked == asked:
            self.observer.note(f"plan: {known.text}")
            return self._with(known.networks, known.epochs)
        if not settings.budget and not known and (self.has_trials or not self._has_many_images()):
            return settings
        networks = sample(settings, settings.training_defaults(self.data))
        if not networks or not (settings.budget or known or self._is_long(networks)):
            return settings
        speed = known.speed if known else self._measured(networks, pool)
        if speed is None:
            return settings
        planner = Planner(self._work(), speed, [network.macs for network in networks], settings.space.size())
        epochs = round(sum(network.candidate.training.epochs for network in networks) / len(networks))
        if settings.budget:
            fewest = epochs if self._has_fixed_epochs else LEAST_EPOCHS
            plan = planner.within(settings.budget, epochs, trials, least_epochs=fewest)
        else:
            plan = planner.plan(settings.trials, epochs)
        write_plan(settings.folder, asked, plan, speed, known.took if known else {})
        self.observer.note(f"plan: {plan.text}")
        self.observer.note(f"time: {plan.time_text}")
        return self._with(plan.networks, plan.epochs)

    @property
    def _has_fixed_epochs(self) -> bool:
        settings = self.settings
        return not self.is_new or settings.epochs is not None or "training.epochs" in settings.space.domains

    def _measured(self, networks: list[Network], pool: Callable[[], Pool]) -> Speed | None:
        """How fast this machine is; None where that cannot be measured and need not be known. Raises RunError."""
        settings, note = self.settings, self.observer.note
        what = "networks of this space are" if settings.space.domains else "this network is"
        note(f"plan: measuring how fast {what} trained here")
        speed, reason = measure(networks, pool(), settings.folder, len(self.data.train), note)
        if speed is None:
            if settings.budget:
                raise RunError(f"`budget`: the first networks cannot be trained: {reason}")
            note(f"plan: none, the first networks cannot be trained: {reason}")
        return speed

    def _with(self, networks: int, epochs: int) -> Settings:
        """The settings with what a budget is enough for."""
        if not self.settings.budget:
            return self.settings
        settings = replace(self.settings, trials=networks)
        known = settings.training_defaults(self.data).training.epochs
        return settings if self._has_fixed_epochs or epochs == known else settings.with_epochs(epochs)

    def _work(self) -> Work:
        settings = self.settings
        test = len(self.data.test) if settings.scored is None else min(settings.scored, len(self.data.test))
        return Work(
            settings.rungs,
            len(self.data.train),
            len(self.data.validation),
            test if choose_backend() == "tensorflow" else 0,
            max(1, settings.workers, settings.at_once),
            len(os.sched_getaffinity(0)),
            settings.repeats,
        )

    def _images(self, epochs: float) -> float:
        settings = self.settings
        # The front that is trained again is no smaller than one network.
        trainings = settings.trials * settings.rungs.work + settings.repeats
        return trainings * epochs * len(self.data.train)

    def _has_many_images(self) -> bool:
        return self._images(self.settings.training_defaults(self.data).training.epochs) > MANY_IMAGES

    def _is_long(self, networks: list[Network]) -> bool:
        macs = sum(network.macs * network.candidate.training.epochs for network in networks) / len(networks)
        return self._images(1) * macs / RATE / self._work().workers > LONG
