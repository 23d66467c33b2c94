"""Every exception that dse raises for a cause that its user can mend.

DseError                 one message; the command line prints it and exits with 2
├── FileError            a YAML file is wrong: file, line, key, what came, what was expected
│   ├── FileErrors           several things are wrong in it, one line for each
│   └── ImpossibleError      no candidate of the space in it is a network
├── UnknownNameError     no such space, board, task, explorer, block, trial; says the nearest
├── BoardError           a board has no figures for what was asked of it, such as its latency
├── OperatorError        a model file has operators whose cost is not known
├── NetworkError         these values describe no network (stride below 1x1, groups that do not divide)
├── DataError            images are missing, incomplete or not in a known layout
├── TrialError           this candidate could not be finished: recorded as failed, the run goes on
│   └── TornCheckpointError  a checkpoint was cut off while it was written
├── ExportError          a file that would not run on the device is refused
└── RunError             nothing sensible can follow: the run stops
    └── NothingFitsError no candidate of the space fits the budget (exit code 3)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# A message names a parameter as Python does, in backticks: "`trial_timeout` 0 leaves no time". The command line shows
# its option there (`cli.messages`). Nothing else in a message stands in backticks.
PARAMETER = re.compile(r"`([a-z]\w*)`")


MOST_NAMES = 20  # that a message lists


class DseError(Exception):
    """A cause that the user can mend; `exit_code` is what the command line returns."""

    exit_code = 2


class FileError(DseError):
    """A file is wrong, at a line and a key.

    >>> str(FileError("space.yaml", 14, "stages[2]", "unknown key 'repeat'"))
    "space.yaml:14: stages[2]: unknown key 'repeat'"
    """

    def __init__(self, file: str, line: int | None, key: str, problem: str) -> None:
        self.file, self.line, self.key, self.problem = file, line, key, problem
        where = file if line is None else f"{file}:{line}"
        super().__init__(f"{where}: {key}: {problem}" if key else f"{where}: {problem}")


class FileErrors(FileError):
    """Several things are wrong in a file: `errors` are in the order of their lines; the first is where it points to."""

    def __init__(self, errors: Iterable[FileError]) -> None:
        self.errors = sorted(errors, key=lambda error: error.line or 0)
        first = self.errors[0]
        super().__init__(first.file, first.line, first.key, first.problem)
        self.args = ("\n".join(dict.fromkeys(map(str, self.errors))),)

    @classmethod
    def of(cls, errors: Iterable[FileError]) -> FileError:
        """One error for all of them: itself where there is one."""
        every = [inner for error in errors for inner in (error.errors if isinstance(error, FileErrors) else [error])]
        return every[0] if len(every) == 1 else cls(every)


class ImpossibleError(FileError):
    """None of the candidates of a space that were tried is a network."""


class UnknownNameError(DseError):
    """A name that is not known; the message lists the known ones and the nearest.

    >>> str(UnknownNameError("board", "imxrt1061", ["imxrt1060", "nano33ble"]))
    "unknown board 'imxrt1061', did you mean 'imxrt1060'? known: imxrt1060, nano33ble"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        hint = did_you_mean(name, names)
        if len(names) > MOST_NAMES:  # those that are most like it
            shown = difflib.get_close_matches(name, names, MOST_NAMES, 0.0)
            text = f"{', '.join(sorted(shown))} and {len(names) - MOST_NAMES} more"
        else:
            text = ", ".join(names) or "none"
        super().__init__(f"unknown {kind} {name!r}{hint} known: {text}")


class NetworkError(DseError):
    """Values that describe no network; `where` is the place, such as 'stages[2]'."""

    def __init__(self, where: str, problem: str) -> None:
        self.where, self.problem = where, problem
        super().__init__(f"{where}: {problem}" if where else problem)


class BoardError(DseError):
    """A cost was asked for that depends on a board, and is not known of this one, or there is none."""


class OperatorError(DseError):
    """Operators that cannot be counted, and so would be counted as zero: some of which TFLM has none, and others.

    >>> str(OperatorError(["TILE"], ["SVDF"]))
    'TFLM has no operator TILE; dse cannot price SVDF, which TFLM has'
    """

    def __init__(self, lacking: Iterable[str], unpriced: Iterable[str]) -> None:
        self.unknown = [*lacking, *unpriced]
        parts = []
        if lacking := list(lacking):
            parts.append(f"TFLM has no operator {', '.join(lacking)}")
        if unpriced := list(unpriced):
            parts.append(f"dse cannot price {', '.join(unpriced)}, which TFLM has")
        super().__init__("; ".join(parts))


class DataError(DseError):
    """Images are missing, incomplete, or not in a layout that dse reads."""


class TrialError(DseError):
    """A candidate could not be finished; the message is the recorded reason."""


class TornCheckpointError(TrialError):
    """A checkpoint was cut off while it was written: the training has to begin anew."""


class ExportError(DseError):
    """A converted file would not run on the device as it should."""


class RunError(DseError):
    """Nothing sensible can follow."""


class NothingFitsError(RunError):
    """No candidate of the space fits the budget."""

    exit_code = 3


def unread(error: Exception) -> str:
    """Why a file could not be read, without its name.

    >>> unread(FileNotFoundError(2, "No such file or directory", "a.json"))
    'cannot be read: No such file or directory'
    """
    if isinstance(error, UnicodeDecodeError):
        return "cannot be read: it is no UTF-8 text"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known name as the middle of a sentence, or only its punctuation.

    >>> did_you_mean("repeat", ["repeats", "stride"])
    ", did you mean 'repeats'?"
    >>> did_you_mean("zzz", ["repeats"])
    ';'
    """
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ";"
