"""The folder of a run: what lies where, and run.yaml, which says what the run is made of."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dse._util.files import write_atomic
from dse._util.strict_yaml import load
from dse.errors import FileError, RunError
from dse.hardware.boards import Board
from dse.search.study.database import Place
from dse.search.study.trial_log import read_study
from dse.search.summary import Summary
from dse.tasks import Task

# What holds on this machine only, and is no part of the record: where the images are, and the study if not in study.db.
LOCAL = "local.yaml"


def model_folder(run: Path, candidate_id: str) -> Path:
    """Where a run keeps a trained candidate."""
    return run / "models" / candidate_id


def bundle_folder(run: Path, candidate_id: str) -> Path:
    """Where the bundle of a candidate lies."""
    return run / "bundles" / candidate_id


def settle(folder: Path, wanted: dict[str, Any], location: str | None, storage: str | None = None) -> Place:
    """Writes run.yaml, or compares its settings with those asked for now. Raises RunError.

    `location` is where the images are on this machine, `storage` the address of the database; without one it stays
    where it is. Returns the place of the study.
    """
    path, place = folder / "run.yaml", study_place(folder)
    refuse_strange(folder)
    if storage:
        # Many runs may share a database, and two folders a name.
        new = f"dse-{folder.resolve().name[:400]}-{uuid.uuid4().hex[:8]}"
        asked = Place.named(storage, place.name if place else new)
        if path.exists() and str(place) != str(asked):
            where = place or folder / "study.db"
            raise RunError(f"{folder}: the study of this run is in {where}, not in {asked}; choose another `out`")
        place = asked  # with another password, perhaps
    if not path.exists():
        write_atomic(path, yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True, width=110))
    _compare(folder, wanted)
    if location not in (None, "sample"):
        location = str(Path(str(location)).resolve())
    local = {"data": location} | ({"storage": place.url, "study": place.name} if place else {})
    write_atomic(folder / LOCAL, yaml.safe_dump(local, width=10_000), mode=0o600 if place else 0o644)
    return place or Place.in_folder(folder)


def refuse_strange(folder: Path) -> None:
    """Raises RunError for a folder that has a study and is no run."""
    if not (folder / "run.yaml").exists() and (folder / "study.db").exists():
        raise RunError(f"{folder}: there is a study.db but no run.yaml; choose another `out`")


MOST_TOLD = 4  # settings in a message
# What a person changed, where a checksum stands for it.
NAMES = {
    "data_sha256": "images (data_sha256)",
    "space_sha256": "space, or with other settings of training (space_sha256)",
}


def _compare(folder: Path, wanted: dict[str, Any]) -> None:
    """Raises RunError, with the settings that differ."""
    found, asked = _flat(read_run(folder)["settings"]), _flat(wanted["settings"])
    told = []
    for key in dict.fromkeys([*asked, *found]):
        if found.get(key) != asked.get(key):
            short = _checksum if key.endswith("sha256") else _short
            told.append(f"{NAMES.get(key, key)}: {short(found.get(key))}, now {short(asked.get(key))}")
    if told:
        more = f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
        raise RunError(
            f"{folder} was made with other settings: {'; '.join(told[:MOST_TOLD])}{more}; "
            "repeat the first command to go on, or choose another `out`"
        )


def _flat(value: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{before}{key}.") if isinstance(inner, dict) else {f"{before}{key}": inner}
    return flat


def _checksum(value: Any) -> str:
    return str(value)[:12]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 80 else text[:77] + "..."


def read_run(folder: Path) -> dict[str, Any]:
    """run.yaml of a run. Raises RunError when the folder is no run."""
    path = folder / "run.yaml"
    if not path.is_file():
        raise RunError(f"{folder}: no run.yaml, so this is no run; a run is a folder that dse search wrote")
    try:
        value = load(path).value
    except FileError as error:
        raise RunError(str(error)) from None
    try:
        Task.model_validate(value["settings"]["task"])
        boards = [Board.model_validate(board) for board in value["boards"]]
        complete = {"boards", "space", "data_sha256"} <= set(value["settings"]) and "source" in value["data"]
        complete = complete and [board.name for board in boards] == value["settings"]["boards"]
    except (TypeError, KeyError, ValidationError):
        complete = False
    if not complete:
        raise RunError(f"{path}: not the description of a run")
    return dict(value)


def load_summary(folder: Path) -> Summary:
    """How the run in a folder stands. Raises RunError."""
    run = read_run(folder)
    return Summary(list(run["settings"]["task"]["objectives"]), read_study(folder, place_of(folder)))


def data_location(folder: Path) -> str | None:
    """Where the search was told that the images are; None for the default place, or on another machine."""
    return _local(folder).get("data")


def study_place(folder: Path) -> Place | None:
    """Where the study of a run is when it is not in its folder."""
    local = _local(folder)
    return Place(local["storage"], local["study"]) if {"storage", "study"} <= local.keys() else None


def place_of(folder: Path) -> Place:
    """Where the study of a run is, or would be."""
    return study_place(folder) or Place.in_folder(folder)


def _local(folder: Path) -> dict[str, str]:
    path = folder / LOCAL
    value = load(path).value if path.is_file() else {}
    return {key: text for key, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}


def run_boards(folder: Path) -> list[Board]:
    """The boards of a run, as they were described when it began. Raises RunError."""
    return [Board.model_validate(board) for board in read_run(folder)["boards"]]


def run_task(folder: Path) -> Task:
    """The task of a run. Raises RunError."""
    return Task.model_validate(read_run(folder)["settings"]["task"])
