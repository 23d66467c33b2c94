"""Of several drafts the one that is expected to better the front most is proposed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.cost.report import estimate
from dse.errors import RunError
from dse.network.candidate import Candidate
from dse.search.explorers.base import FIRST
from dse.search.explorers.explorers import Explorer, make_explorer
from dse.search.loop import search
from dse.search.run_folder import read_run
from dse.search.study.trial_log import read_study
from dse.search.summary import cost_values
from dse.space.space import Defaults
from tests.helpers.explorers import NAMES, OBJECTIVES, log_in, space_for
from tests.helpers.searches import Watcher, settings


def macs(candidate: Candidate) -> int:
    return estimate(candidate.network).macs


def explorer(name: str, folder: Path, best_of: int, limit: float = 1e9) -> Explorer:
    log = log_in(folder, OBJECTIVES)
    fits = lambda one: macs(one) <= limit  # noqa: E731
    return make_explorer(name, log, space_for(name), Defaults(), 0, fits, best_of, population=4)


def proposed(one: Explorer) -> Candidate:
    """A proposal, which reaches the more the larger its MACs are."""
    proposal = one.propose()
    assert proposal
    assert proposal.candidate
    values = cost_values(estimate(proposal.candidate.network))
    one.log.tell_complete(proposal.number, values | {"accuracy": 0.2 + 1e-7 * values["macs"]}, {})
    return proposal.candidate


@pytest.mark.parametrize("name", [one for one in NAMES if one.values != ("nni:gridsearch",)])  # which offers one only
def test_what_is_proposed_is_the_best_of_what_was_drawn(name: str, tmp_path: Path) -> None:
    """Also after a restart; and what was only drawn is nowhere written."""
    one = explorer(name, tmp_path, best_of=1)
    for _ in range(FIRST):
        proposed(one)
    for number in range(FIRST, FIRST + 2):
        one = explorer(name, tmp_path, best_of=5)
        offered: list[Candidate] = []

        def fits(drawn, offered=offered) -> bool:  # type: ignore[no-untyped-def]
            offered.append(drawn)
            return True

        one.fits = fits
        records = one.log.records()
        known = {record.id for record in records}
        proposal = one.propose()
        assert proposal
        assert proposal.number == number
        assert len(offered) >= 5
        new = [drawn for drawn in offered if drawn.id not in known] or offered
        outlook, by_id = one.surrogate.outlook(records), {}
        for drawn in new:
            (choice,) = [a for a, c in one.space.candidates() if c.architecture == drawn.architecture][:1]
            rate = drawn.training.learning_rate
            chosen = {**choice, "training.learning_rate": rate} if "training.learning_rate" in choice else choice
            by_id[drawn.id] = outlook.gains(one.surrogate.sketches([chosen]))[0]
        assert proposal.candidate
        assert by_id[proposal.candidate.id] == pytest.approx(max(by_id.values()))
        one.log.tell_failed(number, "no reason")
    assert len(read_study(tmp_path)) == FIRST + 2


def test_one_that_fits_is_preferred_to_any_that_does_not(tmp_path: Path) -> None:
    """Half of what optuna:random draws fits: with ten drafts a proposal always does, with one it does not."""
    one = explorer("optuna:random", tmp_path, best_of=10, limit=40_000)
    assert max(macs(proposed(one)) for _ in range(FIRST + 4)) <= 40_000
    (tmp_path / "plain").mkdir()
    plain = explorer("optuna:random", tmp_path / "plain", best_of=1, limit=40_000)
    assert max(macs(proposed(plain)) for _ in range(10)) > 40_000


@pytest.mark.keras
def test_a_run_remembers_it(tmp_path: Path) -> None:
    search(settings(tmp_path / "plain", trials=1), Watcher())
    assert "best_of" not in read_run(tmp_path / "plain")["settings"]
    with pytest.raises(RunError, match="settings: best_of: None, now 4"):
        search(settings(tmp_path / "plain", trials=1, best_of=4), Watcher())
