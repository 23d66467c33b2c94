"""Networks of the literature as spaces of size one, and their published figures held against what dse counts.

A verdict is worked out, unless the table of figures says that a document contradicts itself or that a figure cannot be
checked, and why. No formula is bent to hit a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dse._util.strict_yaml import load
from dse.errors import DseError, UnknownNameError
from dse.network.candidate import Candidate
from dse.network.layers import Network
from dse.references.figures import Figure, arithmetic, figures_of, number, parse_at
from dse.references.literature import LITERATURE
from dse.references.quantities import quantity
from dse.space.space import Defaults, Space, list_references, load_space

KINDS = ("exact", "rounds to it", "within", "inconsistent", "not identifiable", "not checkable")


@dataclass(frozen=True)
class Reference:
    """A network of the literature."""

    name: str
    space: Space

    def candidate(self, **values: Any) -> Candidate:
        """The network with its published number of classes; with other values at some places if any are given.

        A place is a path in the space's file, such as `width` or `stem.channels`; `classes` is one too. Raises
        FileError.
        """
        return only_network(self.space, **values)


@dataclass(frozen=True)
class Row:
    """One figure beside ours."""

    network: str
    source: str
    quantity: str
    published: str  # as it was printed
    ours: float | None  # None where there is nothing to compare with
    difference: float | None  # ours over published, less one
    verdict: str

    @property
    def kind(self) -> str:
        """The verdict without its figure and reason: one of KINDS."""
        return next(kind for kind in KINDS if self.verdict.startswith(kind))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: figures as numbers, and words where words were published."""
        try:
            published: float | str = number(self.published)[0]
        except ValueError:
            published = self.published
        return asdict(self) | {"published": published}


def reference_files() -> dict[str, Path]:
    """The shipped files of the reference networks by name."""
    return {path.stem: path for path in list_references()}


@lru_cache(maxsize=64)
def load_reference(name: str) -> Reference:
    """The reference network of that name. Raises UnknownNameError, FileError."""
    files = reference_files()
    if name not in files:
        raise UnknownNameError("reference network", name, files)
    return Reference(name, load_space(str(files[name])))


def load_network(what: str) -> Space:
    """A reference network by its bare name, else the space that the name or path means, as for `load_space`."""
    if what in LITERATURE:
        raise DseError(f"{what} is counted for published tables only, and is no space; dse reproduce {what} has it")
    return load_space(str(reference_files().get(what, what)))


def only_network(space: Space, **values: Any) -> Candidate:
    """The network of a space of size one, with the classes that its file names, else ten; `values` as for `Space.at`.

    `classes` is one of them too. Raises FileError, NetworkError.
    """
    classes = values.pop("classes", classes_of(space))
    here = space.at(**values) if values else space
    return here.sample(np.random.default_rng(0), Defaults(classes=int(classes)))[1]


def classes_of(space: Space) -> int:
    """The classes that the file of a network names, else ten."""
    return space.facts.classes if space.facts else Defaults().classes


def published_name(space: Space) -> str | None:
    """The reference network whose shipped file this space is; None for any other, and for a changed copy of one."""
    name = Path(space.document.file).stem
    shipped = reference_files()
    return name if name in shipped and load(shipped[name]).text == space.document.text else None


def reproduce(names: tuple[str, ...] = ()) -> Iterator[Row]:
    """Every published figure of these networks, or of all, with ours and a verdict. Raises UnknownNameError."""
    for figure in figures_of(names):
        ours = ours_of(figure)
        printed = ours is not None and number(figure.published)[0]
        yield Row(
            figure.network,
            figure.source,
            f"{figure.quantity} at {figure.at.replace('=', ' ')}" if figure.at else figure.quantity,
            figure.published,
            ours,
            ours / printed - 1 if ours is not None and printed else None,
            figure.verdict_on(ours),
        )


def ours_of(figure: Figure) -> float | None:
    """What dse has in place of a published figure; None where it takes a training or a board, or is said in words."""
    if figure.ours:
        return arithmetic(figure.ours)
    if figure.measured or " " in figure.quantity:
        return None
    return quantity(figure.quantity)(network_at(figure.network, figure.at))


@lru_cache(maxsize=256)
def network_at(name: str, at: str = "") -> Network:
    """A network of the literature, with other values at some places. Raises UnknownNameError, FileError."""
    if name in LITERATURE and not at:
        return LITERATURE[name]()
    return reference_at(name, at).network


@lru_cache(maxsize=1024)
def reference_at(name: str, at: str = "") -> Candidate:
    """A reference network with other values at some places. Raises UnknownNameError, FileError."""
    return load_reference(name).candidate(**parse_at(at))
