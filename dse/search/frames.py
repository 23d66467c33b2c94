"""The trials of a run as a table for pandas: a row per trial, a column per value and per open value of the space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dse._util.files import write_atomic
from dse.search.record import TrialRecord

if TYPE_CHECKING:
    import pandas


def trials_frame(records: list[TrialRecord]) -> pandas.DataFrame:
    """Number, outcome, explorer, id, reason, seconds, the share of its training where that was cut, then every value,
    then the chosen settings."""
    import pandas

    return pandas.DataFrame(
        [
            {
                "trial": record.number,
                "outcome": record.outcome,
                "explorer": record.explorer,
                "id": record.id,
                "reason": record.reason,
                "seconds": record.seconds,
                **({"share": record.share} if record.share < 1 else {}),
                **({"arithmetic": record.arithmetic} if record.arithmetic else {}),
                **record.values,
                **record.params,
            }
            for record in records
        ]
    )


def write_trials(folder: Path, records: list[TrialRecord]) -> None:
    """Writes trials.csv into the folder of a run."""
    write_atomic(folder / "trials.csv", trials_frame(records).to_csv(index=False))
