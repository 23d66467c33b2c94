"""A whole search at its smallest: what is left of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.search.run_folder import load_summary, model_folder
from dse.search.study.trial_log import read_study


@pytest.mark.smoke
def test_a_search_leaves_two_trained_trials(finished_run: Path) -> None:
    summary = load_summary(finished_run)
    assert summary.records == read_study(finished_run)
    complete = [record for record in summary.records if record.outcome == "complete"]
    assert len({record.id for record in complete}) == len(complete) == 2
    assert summary.front()
    for record in complete:
        assert 0 <= record.values["accuracy"] <= 1
        assert len(record.history["loss"]) == 1
        assert (model_folder(finished_run, record.id) / "model.weights.h5").is_file()
