"""The database of a study: Optuna's tables, written a whole trial at a time.

Optuna itself commits once for every suggested value and reads back before each of them: a hundred milliseconds for a
candidate with thirty open values. Here a proposal is one transaction and an ending another, so a killed process leaves
either all of it or nothing. The tables are Optuna's own, at the version that it checks when it opens them: its
dashboard and `optuna.load_study` read them as ever.

SQLite keeps its rollback journal and waits for the disk: two commits per trial cost little, no file is left beside
study.db when nothing is written (folders of runs are copied and committed), and a power cut loses nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import optuna
import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from dse.errors import RunError
from dse.search.study._optuna_internals import (
    PARAMS,
    STUDIES,
    STUDY_SYSTEM,
    SYSTEM,
    TRIALS,
    USER,
    VALUES,
    stored_value,
)
from dse.search.study.distributions import distribution
from dse.space.conditions import Value
from dse.space.domains import Domain

STUDY_NAME = "dse"
OWN = "study.db"  # the database in the folder of a run
Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Place:
    """Where a study is: a database, and the name of the study among those that it may hold."""

    url: str
    name: str = STUDY_NAME

    @classmethod
    def in_folder(cls, folder: Path) -> Place:
        """The study in results/<name>/study.db, whatever characters the name has."""
        return cls(sqlalchemy.URL.create("sqlite", database=str(folder / OWN)).render_as_string())

    @classmethod
    def named(cls, url: str, name: str) -> Place:
        """A study at an address that a person gave; its tables are made. Raises RunError when it cannot be reached."""
        with suppress(SQLAlchemyError):
            known = sqlalchemy.make_url(url)
            if known.get_backend_name() == "sqlite":
                if known.database in (None, "", ":memory:"):
                    raise RunError(f"`storage` {url}: expected a file, as in sqlite:////home/me/studies.db")
                # The run may be read from another folder than it was made from.
                url = known.set(database=str(Path(str(known.database)).resolve())).render_as_string()
        place = cls(url, name)
        try:
            place.open()
        except Exception as error:
            raise RunError(f"`storage`: {place} cannot be opened: {why(error, url)}") from None
        return place

    def __str__(self) -> str:
        return shown(self.url)

    def address(self) -> sqlalchemy.URL:
        """The address of the database with the driver that dse[postgresql] installs."""
        url = sqlalchemy.make_url(self.url)
        return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url

    def open(self) -> optuna.storages.RDBStorage:
        """The database; its tables are made when they are missing."""
        # A server may have closed the connection while a candidate was trained.
        return optuna.storages.RDBStorage(
            self.address().render_as_string(hide_password=False), engine_kwargs={"pool_pre_ping": True}
        )


class Database:
    """One study in a database. Only one process may write into it."""

    def __init__(self, place: Place, directions: Sequence[Direction], objectives: list[str]) -> None:
        self.shown = str(place)
        try:
            self._storage = place.open()
            self._study = optuna.create_study(
                study_name=place.name, storage=self._storage, directions=directions, load_if_exists=True
            )
            self._study_id = self._storage.get_study_id_from_name(place.name)
        except Exception as error:  # SQLAlchemy, Optuna and drivers raise many kinds here
            raise RunError(f"{self.shown}: the study cannot be opened: {why(error, place.url)}") from None
        if self._study.metric_names != objectives:
            self._study.set_metric_names(objectives)

    def trials(self) -> list[FrozenTrial]:
        """Every trial, in order."""
        return self._study.get_trials(deepcopy=False)

    def trial_ids(self) -> list[int]:
        """The id of every trial in the database, by its number."""
        of_study = sqlalchemy.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == self._study_id)
        with self._transaction() as connection:
            return list(connection.execute(of_study.order_by(TRIALS.c.number)).scalars())

    def system_attrs(self) -> dict[str, Any]:
        """What Optuna's samplers keep for the whole study."""
        return dict(self._storage.get_study_system_attrs(self._study_id))

    def add(
        self,
        number: int,
        params: Mapping[str, Value],
        domains: Mapping[str, Domain],
        user_attrs: Mapping[str, Any],
        system_attrs: Mapping[str, Any],
        study_attrs: Mapping[str, Any],
    ) -> int:
        """Writes a running trial, and what changed of the study's attributes. Returns the trial's id in the database.

        Raises RunError when another process has taken its number.
        """
        with self._transaction() as connection:
            # The first two take the locks, of PostgreSQL and of SQLite: what is read next stays so.
            connection.execute(
                sqlalchemy.select(STUDIES.c.study_id).where(STUDIES.c.study_id == self._study_id).with_for_update()
            )
            inserted = connection.execute(
                TRIALS.insert().values(
                    study_id=self._study_id, number=number, state=TrialState.RUNNING, datetime_start=_now()
                )
            )
            trial_id = int(inserted.inserted_primary_key[0])  # type: ignore[index]
            before = connection.execute(
                sqlalchemy.select(TRIALS.c.number)
                .where(TRIALS.c.study_id == self._study_id, TRIALS.c.trial_id < trial_id)
                .order_by(TRIALS.c.trial_id.desc())
                .limit(1)
            ).scalar()
            if number != (0 if before is None else before + 1):
                raise RunError(f"{self.shown}: another process writes into the study of this run")
            rows = []
            for name, value in params.items():
                known = distribution(domains[name])
                rows.append(
                    {
                        "trial_id": trial_id,
                        "param_name": name,
                        "param_value": known.to_internal_repr(value),
                        "distribution_json": distribution_to_json(known),
                    }
                )
            _insert(connection, PARAMS, rows)
            _insert(connection, USER, _attributes(trial_id, user_attrs))
            _insert(connection, SYSTEM, _attributes(trial_id, system_attrs))
            for key, value in study_attrs.items():
                here = (STUDY_SYSTEM.c.study_id == self._study_id) & (STUDY_SYSTEM.c.key == key)
                text = json.dumps(value)
                if not connection.execute(STUDY_SYSTEM.update().where(here).values(value_json=text)).rowcount:
                    connection.execute(STUDY_SYSTEM.insert().values(study_id=self._study_id, key=key, value_json=text))
        return trial_id

    def end(
        self,
        trial_id: int,
        state: TrialState,
        values: list[float],
        user_attrs: Mapping[str, Any],
        system_attrs: Mapping[str, Any],
    ) -> None:
        """Writes all that makes a trial a record; one that has ended already is left as it is."""
        with self._transaction() as connection:
            open_ = (TRIALS.c.trial_id == trial_id) & TRIALS.c.state.in_([TrialState.RUNNING, TrialState.WAITING])
            ended = connection.execute(TRIALS.update().where(open_).values(state=state, datetime_complete=_now()))
            if not ended.rowcount:
                return
            _insert(connection, USER, _attributes(trial_id, user_attrs))
            _insert(connection, SYSTEM, _attributes(trial_id, system_attrs))
            _insert(connection, VALUES, _values(trial_id, values))

    def rewrite(
        self, trial_id: int, state: TrialState, values: list[float], key: str, changes: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Writes over a trial that has ended, which Optuna itself leaves alone: other values, and changes of a mapping,
        its user attribute `key`; that mapping as it is then."""
        of_trial = (USER.c.trial_id == trial_id) & (USER.c.key == key)
        with self._transaction() as connection:
            # The first takes the locks, as in `add`.
            connection.execute(TRIALS.update().where(TRIALS.c.trial_id == trial_id).values(state=state))
            known = connection.execute(sqlalchemy.select(USER.c.value_json).where(of_trial)).scalar_one()
            attribute = dict(json.loads(known)) | dict(changes)
            connection.execute(USER.update().where(of_trial).values(value_json=json.dumps(attribute)))
            connection.execute(VALUES.delete().where(VALUES.c.trial_id == trial_id))
            _insert(connection, VALUES, _values(trial_id, values))
        return attribute

    def _transaction(self) -> _Transaction:
        return _Transaction(self._storage.engine, self.shown)


class _Transaction:
    """A connection whose work is committed whole or not at all. Raises RunError when the database refuses."""

    def __init__(self, engine: sqlalchemy.Engine, shown: str) -> None:
        self._begun = engine.begin()
        self._shown = shown

    def __enter__(self) -> sqlalchemy.Connection:
        try:
            return self._begun.__enter__()
        except SQLAlchemyError as error:
            raise self._refused(error) from None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self._begun.__exit__(kind, error, trace)
        except SQLAlchemyError as again:
            error = again
        if isinstance(error, SQLAlchemyError):
            raise self._refused(error) from None

    def _refused(self, error: SQLAlchemyError) -> RunError:
        text = " ".join(str(getattr(error, "orig", None) or error).split())
        return RunError(f"{self._shown}: the study cannot be written: {text}")


def _insert(connection: sqlalchemy.Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    if rows:  # without any, SQLAlchemy would write a row of defaults
        connection.execute(table.insert(), rows)


def _attributes(trial_id: int, attrs: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attrs.items()]


def _values(trial_id: int, values: Sequence[float]) -> list[dict[str, Any]]:
    return [{"trial_id": trial_id, "objective": n} | stored_value(value) for n, value in enumerate(values)]


def _now() -> datetime:
    """As Optuna stores times: of UTC, without saying so."""
    return datetime.now(UTC).replace(tzinfo=None)


class _ReadOnlyConnection(sqlite3.Connection):
    """A connection that refuses to change its database.

    NOTE: not SQLite's mode=ro, which cannot roll back what a killed search was just writing, and fails then.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.execute("PRAGMA query_only = ON")


class ReadOnlyStorage(optuna.storages.RDBStorage):
    """The database of a study, to be read; whatever would change it raises. Raises RunError when there is none."""

    def __init__(self, place: Place) -> None:
        self.place = place
        url, options = place.address(), dict[str, Any]()
        if url.get_backend_name() == "sqlite":
            path = Path(str(url.database))
            if not path.is_file():
                if path.name == OWN:
                    what = "so this is no run; a run is a folder that dse search wrote"
                    raise RunError(f"{path.parent}: no {OWN}, {what}")
                raise RunError(f"{place}: there is no such file, which should hold the study of a run")
            # Neither the file nor tables in it: that would race with a search that is just creating them.
            url = sqlalchemy.URL.create(
                "sqlite", database=f"file:{quote(str(path.resolve()))}", query={"mode": "rw", "uri": "true"}
            )
            options = {"factory": _ReadOnlyConnection}
        elif url.get_backend_name() == "postgresql":
            options = {"options": "-c default_transaction_read_only=on"}
        try:
            super().__init__(
                url.render_as_string(hide_password=False),
                engine_kwargs={"connect_args": options, "pool_pre_ping": True},
                skip_table_creation=True,
            )
            self.study_id = self.get_study_id_from_name(place.name)
        except Exception as error:  # SQLAlchemy, Optuna and drivers raise many kinds here
            raise RunError(f"{place}: not the study of a run: {why(error, place.url)}") from None


def read_trials(place: Place) -> list[FrozenTrial]:
    """The trials of a study, without changing it. Raises RunError."""
    storage = ReadOnlyStorage(place)
    try:
        return storage.get_all_trials(storage.study_id, deepcopy=False)
    except Exception as error:
        raise RunError(f"{place}: not the study of a run: {why(error, place.url)}") from None
    finally:
        storage.engine.dispose()


def shown(url: str) -> str:
    """An address of a database as a message may show it: without the password, and a file by its path."""
    try:
        known = sqlalchemy.make_url(url)
    except SQLAlchemyError:
        return "`storage`"
    hidden = known.difference_update_query(["password"]) if "password" in known.query else known
    if known.get_backend_name() == "sqlite":
        return known.database or url
    return hidden.render_as_string(hide_password=True)


def why(error: Exception, url: str) -> str:
    """The reason in one line, without the password that a driver may repeat."""
    try:
        known = sqlalchemy.make_url(url)
    except SQLAlchemyError:
        return "came no address of a database, expected one such as postgresql://user:password@host/name"
    if isinstance(error, ImportError):
        missing = error.__cause__ or error.__context__ or error
        extra = ": pip install 'dse[postgresql]'" if known.get_backend_name() == "postgresql" else ""
        return f"the Python package of its driver is not installed ({missing}){extra}"
    if isinstance(error, sqlalchemy.exc.NoSuchModuleError):
        return f"SQLAlchemy knows no database {known.drivername!r}; expected sqlite, postgresql, mysql"
    inner: BaseException = error.__cause__ or error
    text = " ".join(str(getattr(inner, "orig", None) or inner).split())
    for secret in (known.password, known.query.get("password")):
        text = text.replace(str(secret), "***") if secret else text
    return text
