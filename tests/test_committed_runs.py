"""Runs of earlier versions: every trial is found with the id that it had, and they read, plot and are written as before."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from dse.network.candidate import load_candidate
from dse.plots.front import draw_figure, front_data
from dse.search.frames import trials_frame
from dse.search.run_folder import load_summary, run_boards
from dse.search.summary import on_board
from tests.helpers.paths import RESULTS

RUNS = sorted(path.parent for path in RESULTS.glob("*/study.db"))


def stored_ids(run: Path) -> list[str]:
    """The ids of the trials' candidates as they stand in the database, past everything of ours."""
    with sqlite3.connect(f"file:{run / 'study.db'}?mode=ro", uri=True) as database:
        rows = database.execute(
            "select value_json from trial_user_attributes where key = 'id' order by trial_id"
        ).fetchall()
    return [json.loads(text) for (text,) in rows]


def test_there_are_runs() -> None:
    assert len(RUNS) >= 7
    assert sum(len(stored_ids(run)) for run in RUNS) >= 52


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_ids_are_those_that_were_stored(run: Path) -> None:
    records = [record for record in load_summary(run).records if record.candidate]
    assert [record.id for record in records] == stored_ids(run)
    assert [record.candidate.id for record in records if record.candidate] == stored_ids(run)
    for folder in (run / "models").glob("*"):
        assert load_candidate(folder / "candidate.json").id == folder.name


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_run_reads_and_plots_as_it_did(run: Path) -> None:
    summary = load_summary(run)
    assert trials_frame(summary.records).to_csv(index=False) == (run / "trials.csv").read_text(encoding="utf-8")
    assert summary.front()
    for board in run_boards(run):
        found = on_board(summary.records, board)
        assert {record.number for record in found} <= {record.number for record in summary.records}
    assert draw_figure(front_data(summary.records, summary.objectives, run.name)).data
