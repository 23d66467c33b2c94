"""Trained networks that a training begins with or learns from, read where the search runs and sent to its workers."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dse._util.files import write_atomic
from dse.errors import DataError, unread
from dse.network.candidate import Candidate, load_candidate

IMAGENET = "imagenet"  # the weights of keras.applications, which it downloads
MAX_BYTES = 512 << 20
CANDIDATE, WEIGHTS = "candidate.json", "model.weights.h5"  # in the folder of a trained candidate


@dataclass(frozen=True)
class WeightSource:
    """A trained network as bytes: a `.keras` file, or the weights of a candidate; neither for `imagenet`."""

    name: str
    content: bytes
    candidate: str = ""  # its JSON

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(self.candidate.encode() + b"\0" + self.content).hexdigest()


def source_name(name: str | Path) -> str:
    """How a network is written down: as it was named, but below the current folder without the way there."""
    path = Path(name)
    return (
        path.relative_to(Path.cwd()).as_posix() if path.is_absolute() and path.is_relative_to(Path.cwd()) else str(name)
    )


def write_trained(folder: Path, candidate: Candidate, weights: bytes) -> None:
    """Leaves a trained candidate in a folder, as `read_source` finds it."""
    write_atomic(folder / CANDIDATE, candidate.to_json() + "\n")
    write_atomic(folder / WEIGHTS, weights)


def read_source(name: str) -> WeightSource:
    """The network of that name: a .keras file, the folder of a trained candidate, `imagenet`. Raises DataError."""
    path = Path(name)
    if name == IMAGENET and not path.exists():
        return WeightSource(name, b"")
    if path.is_dir():
        missing = [part for part in (CANDIDATE, WEIGHTS) if not (path / part).is_file()]
        if missing:
            raise DataError(f"{name}: no trained candidate, {' and '.join(missing)} missing; expected RUN/models/ID")
        return WeightSource(name, _content(path / WEIGHTS), load_candidate(path / CANDIDATE).to_json())
    if path.is_file() and not zipfile.is_zipfile(path):
        raise DataError(f"{name}: not a Keras model (.keras): it is no zip archive")
    return WeightSource(name, _content(path))


def read_sources(names: Iterable[str]) -> dict[str, WeightSource]:
    """The networks of these names, each once. Raises DataError."""
    return {name: read_source(name) for name in dict.fromkeys(names)}


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: more than {MAX_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: {unread(error)}; expected a .keras file, the folder of a trained candidate (RUN/models/ID), or, "
            f"to begin with, {IMAGENET}"
        ) from None
