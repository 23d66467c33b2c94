"""Bundles of a whole run: which trials to export, with which data, and all of them checked.

TensorFlow is imported when the first trial is converted, and kept quiet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dse._util.quiet import quiet_tensorflow
from dse.data.datasets import Data, load_data
from dse.errors import DataError, DseError, ExportError, RunError, TrialError
from dse.export.bundle import Bundle, Exported, Note, list_bundles, read_bundle
from dse.export.report import read_report
from dse.hardware.boards import Board
from dse.network.training import QatSettings
from dse.search.record import TrialRecord
from dse.search.run_folder import bundle_folder, data_location, load_summary, read_run, run_boards, run_task
from dse.search.summary import Summary

OF_WEIGHTS = ("accuracy_float", "accuracy_int8")  # on the validation images; with other weights they are others


def export_run(
    run: Path,
    *,
    trials: Iterable[int] | None = None,
    boards: Sequence[Board] = (),
    data: str | None = None,
    out: Path | None = None,
    test_images: int | None = None,
    qat: QatSettings | None = None,
    note: Note = lambda text: None,
) -> list[Exported]:
    """Export trials of a run by their numbers, or those on its front, with the data that the run was made with.

    `boards` are those to report on, the run's own where none is given; `data` is where the images are, `out` the folder
    of the bundles, `test_images` how many to score on. Raises RunError, DataError, and ExportError for trials that
    cannot be exported, when all others are.
    """
    summary = load_summary(run)
    records = summary.front() if trials is None else [_trial(run, summary, number) for number in trials]
    if not records:
        return []
    loaded = data_of_run(run, data)
    boards = boards or run_boards(run)
    quiet_tensorflow()
    from dse.export.export import export

    exported, problems = [], []
    for record in records:
        folder = out / record.id if out else None
        try:
            one = export(run, record, loaded, boards, folder=folder, test_images=test_images, qat=qat, note=note)
        except (ExportError, TrialError) as error:
            problems.append(f"trial {record.number} ({record.id}): {error}")
        else:
            exported.append(one)
    if problems:
        raise ExportError("; ".join(problems) + f"; {len(exported)} other bundle(s) were written")
    return exported


def _trial(run: Path, summary: Summary, number: int) -> TrialRecord:
    if number >= len(summary.records):
        raise RunError(f"{run}: no trial {number}; there are {len(summary.records)}, from 0")
    return summary.records[number]


def export_front(run: Path, *, test_images: int | None = None, note: Note = lambda text: None) -> list[Exported]:
    """Export the trials on the front that have no bundle yet; returns all bundles of the front."""
    front = load_summary(run).front()
    missing = [record.number for record in front if not _is_exported(run, record, test_images)]
    export_run(run, trials=missing, test_images=test_images, note=note)
    folders = [bundle_folder(run, record.id) for record in front]
    return [Exported(folder, read_report(folder)) for folder in folders]


def data_of_run(run: Path, location: str | None) -> Data:
    """The images that a run was made with, from where they are now. Raises RunError for others."""
    description = read_run(run)
    loaded = load_data(run_task(run), location or data_location(run))
    if loaded.digest != description["settings"]["data_sha256"]:
        raise RunError(
            f"{run} was made with {description['data']['source']}, these images are others: {loaded.source}; "
            "name the folder with `data`"
        )
    return loaded


def _is_exported(run: Path, record: TrialRecord, test_images: int | None) -> bool:
    """Whether a bundle of the weights that a trial has now is there, scored on as many images."""
    try:
        report = read_report(bundle_folder(run, record.id))
    except DseError:  # none, a broken one, or one of an older format
        return False
    if any(report.validation.get(name) != record.values.get(name) for name in OF_WEIGHTS):
        return False  # the network was trained on since
    asked = report.test_images if test_images is None and not report.partial else test_images
    return report.test_images == asked


def check_bundles(
    path: Path, *, data: str | None = None, without_data: bool = False, note: Note = lambda text: None
) -> Iterator[tuple[Path, list[str]]]:
    """Every bundle at a path with what differs from its report, as soon as it is checked.

    `path` is a bundle, a folder of some, or a run; `data` is where the images are. Raises RunError where there is none.
    """
    quiet_tensorflow()
    from dse.export.check import check_bundle

    loaded: dict[str, Data] = {}
    for folder in list_bundles(path):
        try:
            bundle = read_bundle(folder)
            problems = check_bundle(bundle, None if without_data else _data_for(bundle, data, loaded), note)
        except DseError as error:
            problems = [str(error)]
        yield folder, problems


def _data_for(bundle: Bundle, location: str | None, loaded: dict[str, Data]) -> Data:
    """The images that a bundle was measured on, kept in `loaded` by task. Raises DataError for others."""
    task, measured_on = bundle.report.task, bundle.report.data
    key = task.model_dump_json()
    data = loaded[key] = loaded.get(key) or load_data(task, location)
    if data.digest != measured_on.sha256:
        raise DataError(
            f"it was measured on {measured_on.source!a}, these images are others: {data.source}; "
            "name the folder with `data`, or leave the accuracies out with `without_data`"
        )
    return data
