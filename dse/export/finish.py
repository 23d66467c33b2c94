"""What a search without TensorFlow left open: the int8 accuracy of its trials, which takes TensorFlow's converter."""

from __future__ import annotations

from pathlib import Path

from dse._util.backend import choose_backend
from dse._util.files import locked
from dse._util.quiet import quiet_tensorflow
from dse.data.datasets import Data
from dse.data.images import as_input
from dse.errors import ExportError, RunError
from dse.export.bundle import Note
from dse.export.runs import data_of_run
from dse.network.candidate import Candidate
from dse.search.frames import write_trials
from dse.search.record import TrialRecord
from dse.search.run_folder import load_summary, model_folder, place_of, run_task
from dse.search.study.trial_log import TrialLog
from dse.training.sources import WEIGHTS


def unfinished(run: Path) -> list[TrialRecord]:
    """The trials of a run whose accuracy is not yet that of the int8 file, though its task wants that; those that
    repeat another are among them. Raises RunError."""
    if run_task(run).accuracy != "int8":
        return []
    trained = [record for record in load_summary(run).records if "accuracy_float" in record.values]
    return [record for record in trained if "accuracy_int8" not in record.values]


def finish_run(run: Path, data: str | None = None, note: Note = lambda text: None) -> int:
    """Convert and evaluate what is open in a run, and record it; how many trials that were.

    Each is recorded as soon as it is known, so that what is stopped goes on where it was. A network that cannot be
    converted has failed. `data` is where the images are. Raises RunError, DataError.
    """
    with locked(run):
        records = unfinished(run)
        if not records:
            return 0
        if (backend := choose_backend()) != "tensorflow":
            raise RunError(f"{run}: int8 files are made by TensorFlow, and Keras computes with {backend} here")
        images = data_of_run(run, data)
        quiet_tensorflow()
        log = TrialLog(place_of(run), list(run_task(run).objectives))
        try:
            _convert(run, records, images, log, note)
        finally:
            write_trials(run, log.records())
        return len(records)


def _convert(run: Path, records: list[TrialRecord], images: Data, log: TrialLog, note: Note) -> None:
    known: dict[str, float | str] = {}  # accuracy, or why there is none, by candidate
    for count, record in enumerate(records, 1):
        candidate = record.candidate
        assert candidate is not None  # it was trained
        if record.id not in known:
            known[record.id] = _int8_accuracy(run, candidate, images)
        found = known[record.id]
        at = f"{count} of {len(records)}: trial {record.number}"
        if isinstance(found, str):
            log.amend_failed(record.number, found)
            note(f"{at}: {found}")
        else:
            log.amend(record.number, {"accuracy": found, "accuracy_int8": found})
            note(f"{at}: float {record.values['accuracy_float']:.2%}, int8 {found:.2%}")


def _int8_accuracy(run: Path, candidate: Candidate, data: Data) -> float | str:
    from dse.search.workers.trial import int8_accuracy
    from dse.training.weights import load_weights

    weights = model_folder(run, candidate.id) / WEIGHTS
    if not weights.is_file():
        raise RunError(f"{weights} is missing: the weights that were trained, which belong to the run")
    training, validation = (as_input(part, candidate.input_shape) for part in (data.train, data.validation))
    try:
        model = load_weights(candidate, weights)
        return int8_accuracy(candidate, model, training, validation)
    except ExportError as error:
        return str(error)
