"""What is shown and written when a search has ended: its front, plots of it, and bundles."""

from __future__ import annotations

import time
from pathlib import Path

import click

from dse._util.backend import choose_backend, is_installed
from dse.errors import DseError


def end_of_run(folder: Path, exporting: bool, test_images: int | None) -> None:
    """Shows the front, draws it, and exports what has no bundle yet. Raises DseError where nothing is complete."""
    from dse.cli.front_command import print_front
    from dse.cli.messages import note
    from dse.cli.plot_command import plot_run
    from dse.search.planning.ledger import time_text
    from dse.search.record import share_text
    from dse.search.run_folder import load_summary, read_run, run_boards

    if not load_summary(folder).count("complete"):
        raise DseError(f"{folder}: no trial is complete{_why(folder)}")
    boards = run_boards(folder)
    front = load_summary(folder).front()
    if front and front[0].share < 1:
        note(
            f"no network is trained in full yet: these are accuracies after {share_text(front[0].share)}; the same "
            "command goes on"
        )
    # Of several boards each has the limits that the search had on it: what is quick on one may be slow on another.
    limits = read_run(folder)["settings"].get("limits", {})
    print_front(folder, boards if len(boards) > 1 else [], as_json=False, by_board=limits)
    if is_installed("plotly") and is_installed("matplotlib"):
        for path in plot_run(folder):
            click.echo(f"plot: {path}")
    if choose_backend() != "tensorflow":
        note(
            f"accuracies are those in float: 'dse finish {folder}' converts and measures on a machine with TensorFlow, "
            "then exports"
        )
    elif exporting:
        _export(folder, test_images)
    if text := time_text(folder):
        note(f"time: {text}")


def _export(folder: Path, test_images: int | None) -> None:
    from dse.cli.messages import note
    from dse.export.runs import export_front
    from dse.search.planning.ledger import add_time

    began = time.monotonic()
    for exported in export_front(folder, test_images=test_images, note=note):
        scores = exported.report.accuracy
        click.echo(
            f"bundle: {exported.folder} (test accuracy: float {scores.float32.accuracy:.1%}, "
            f"int8 on TFLM {scores.tflm_int8.accuracy:.1%})"
        )
    add_time(folder, "export", time.monotonic() - began)


def _why(folder: Path) -> str:
    """Why the only trial of a run failed; of many, where to look."""
    from dse.search.run_folder import load_summary

    records = load_summary(folder).records
    if len(records) != 1:
        return f"; 'dse front {folder} --all' says why"
    return f": {records[0].reason}"
