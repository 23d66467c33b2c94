"""Of several drafts the one with the best score is proposed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.cost.report import estimate
from dse.errors import RunError
from dse.network.candidate import Candidate
from dse.screening.proxies import best_of, macs
from dse.search.explorers.explorers import Explorer, make_explorer
from dse.search.loop import search
from dse.search.run_folder import read_run
from dse.search.study.trial_log import read_study
from dse.space.space import Defaults, parse_space
from tests.helpers.explorers import NAMES, OBJECTIVES, end, log_in, space_for
from tests.helpers.searches import TINY, Watcher, settings

SPACE = parse_space(TINY, "tiny.yaml")


def candidate(channels: int, kernel: int = 1):  # type: ignore[no-untyped-def]
    return SPACE.build({"stages[0].channels": channels, "stages[0].kernel": kernel, "stages[1].channels": 8})


def test_the_best_of_those_that_fit() -> None:
    """By hand: the stem leaves 8x8x8, the stage 4x4 pixels of 8 * channels MACs each with a 1x1 kernel."""
    small, large = candidate(8), candidate(64)
    assert macs(large) > macs(candidate(16)) > macs(small)
    first = estimate(small.network).macs - estimate(candidate(8, 3).network).macs
    assert first == -4 * 4 * 8 * 8 * (9 - 1)
    drafts = [("none", None), ("small", small), ("middle", candidate(16)), ("large", large), ("again", large)]
    assert best_of(drafts, lambda one: True, set(), macs) == "large"
    assert best_of(drafts, lambda one: True, {large.id}, macs) == "middle"
    assert best_of(drafts, lambda one: one.id == small.id, {small.id}, macs) == "small"
    assert best_of(drafts, lambda one: False, set(), macs) == "none"
    assert best_of([], lambda one: True, set(), macs) is None


def explorer(name: str, folder: Path, screen: int, limit: float = 1e9) -> Explorer:
    log = log_in(folder, OBJECTIVES)
    fits = lambda one: macs(one) <= limit  # noqa: E731
    return make_explorer(name, log, space_for(name), Defaults(), 0, fits, screen, population=4)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_proposed_is_the_best_of_what_was_drawn(name: str, tmp_path: Path) -> None:
    """Also after a restart; and what was only drawn is nowhere written."""
    for start in (0, 3):
        one = explorer(name, tmp_path, screen=5)
        for number in range(start, start + 3):
            offered: list[Candidate] = []

            def fits(drawn, offered=offered) -> bool:  # type: ignore[no-untyped-def]
                offered.append(drawn)
                return True

            known = {record.id for record in one.log.records()}
            one.fits = fits
            proposal = one.propose()
            assert proposal
            assert proposal.number == number
            assert proposal.candidate
            assert name == "nni:gridsearch" or len(offered) >= 5
            new = [drawn for drawn in offered if drawn.id not in known]
            assert macs(proposal.candidate) == max(map(macs, new or offered))
            end(one.log, proposal)
    assert len(read_study(tmp_path)) == 6


def test_one_that_fits_is_preferred_to_any_that_does_not(tmp_path: Path) -> None:
    """Half of what optuna:random draws fits: with ten drafts a proposal always does, with one it does not."""
    one = explorer("optuna:random", tmp_path, screen=10, limit=40_000)
    found = []
    for _ in range(10):
        proposal = one.propose()
        assert proposal
        assert proposal.candidate
        found.append(macs(proposal.candidate))
        end(one.log, proposal)
    assert max(found) <= 40_000
    plain = explorer("optuna:random", tmp_path, screen=1, limit=40_000)
    alone = [proposal.candidate for _ in range(10) if (proposal := plain.propose())]
    assert max(macs(one) for one in alone if one) > 40_000


@pytest.mark.keras
def test_a_run_remembers_that_it_screens(tmp_path: Path) -> None:
    search(settings(tmp_path / "plain", trials=1), Watcher())
    assert "screen" not in read_run(tmp_path / "plain")["settings"]
    with pytest.raises(RunError, match="another screen: None, now 4"):
        search(settings(tmp_path / "plain", trials=1, screen=4), Watcher())
    summary = search(settings(tmp_path / "four", trials=1, screen=12, explorers={"grid": 1.0}), Watcher())
    assert read_run(tmp_path / "four")["settings"]["screen"] == 12
    (record,) = summary.records  # of the 12 candidates of the space the one with the most MACs
    assert record.params == {"stages[0].channels": 64, "stages[0].kernel": 3, "stages[1].channels": 16}
