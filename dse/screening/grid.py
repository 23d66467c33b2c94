"""A space on a grid: one network for every combination of some of its values, with what each costs.

The values of `width` and `resolution` that were published come with a reference network; those of a value that the
space leaves open are its domain; any other place of a space can be given values too. What else a space leaves open has
its first value.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from dse._util.strict_yaml import path_text
from dse.cost.report import CostReport, estimate
from dse.errors import DseError, FileError, ImpossibleError, NetworkError, did_you_mean
from dse.network.candidate import Candidate
from dse.references.figures import Figure, load_figures, scalar
from dse.references.networks import classes_of, published_name, reference_at
from dse.space.compile import BODY_KEYS
from dse.space.conditions import first
from dse.space.domains import FloatRange
from dse.space.space import REFERENCE_KEY, Defaults, Space

MAX_POINTS = 1000


@dataclass(frozen=True)
class GridPoint:
    """One network of a grid, or why there is none."""

    values: dict[str, Any]  # by their place in the space
    candidate: Candidate | None
    cost: CostReport | None
    problem: str = ""
    others: dict[str, Any] = field(default_factory=dict)  # what else is open, by its place: its first value


def parse_axes(space: Space, texts: Iterable[str]) -> dict[str, list[Any]]:
    """Places of a space with their values, from texts such as 'width' and 'width=0.5,1.0'. Raises DseError."""
    axes: dict[str, list[Any]] = {}
    parts = [part for given in texts for part in _split(given)]
    # Whose widths `width` means is said by the backbone, wherever it comes.
    backbone = next(
        (_axis(space, text, None)[1][0] for text in parts if text.split("=")[0].strip() == "backbone"), None
    )
    for text in parts:
        place, values = _axis(space, text, backbone)
        if place in axes:
            raise DseError(f"`grid` {text}: {place} has been given values already; put all of them into one `grid`")
        axes[place] = values
    return axes


def _split(text: str) -> list[str]:
    """Several places in one text, of which the last may have values.

    >>> _split("width,resolution=48,96")
    ['width', 'resolution=48,96']
    """
    names, given, values = text.partition("=")
    *first, last = names.split(",")
    return [*first, last + given + values]


def _axis(space: Space, text: str, backbone: str | None) -> tuple[str, list[Any]]:
    name, given, values = text.partition("=")
    place = plain(name)
    if not place or (given and not all(part.strip() for part in values.split(","))):
        raise DseError(f"`grid` {text}: expected KEY or KEY=a,b,c, as in `grid` width=0.5,1.0")
    if place.split(".")[0] == REFERENCE_KEY:
        raise DseError(f"`grid` {text}: {REFERENCE_KEY} is about the network, and no value of it")
    if given:
        also = [name for name in values.split(",") if plain(name).split(".")[0] in (*space.tree, *BODY_KEYS)]
        if also:
            raise DseError(f"`grid` {text}: values come last, as in `grid` {also[0]},{text.replace(f',{also[0]}', '')}")
        return place, [scalar(value.strip()) for value in values.split(",")]
    facts = space.facts
    published: dict[str, list[Any]] = {"width": facts.widths, "resolution": facts.resolutions} if facts else {}
    if published.get(place):
        return place, published[place]
    domain = space.domains.get(dotted(space.place(place, backbone)))
    if domain is None or isinstance(domain, FloatRange):
        known = [place for place in published if published[place]] + list(space.domains)
        known += [name for name in BODY_KEYS if dotted(space.place(name, backbone)) in space.domains]
        raise DseError(
            f"`grid` {text}: no values are known there{did_you_mean(dotted(place), known)} "
            f"give some, as in `grid` {text}=0.5,1.0"
        )
    return place, list(islice(domain.values(), MAX_POINTS + 1))


def plain(place: str) -> str:
    """A place with points only.

    >>> plain("stages[0].kernel"), plain("stages.0.kernel")
    ('stages.0.kernel', 'stages.0.kernel')
    """
    return re.sub(r"\[(\d+)\]", r".\1", place.strip())


def dotted(place: str) -> str:
    """A plain place as a space names its open values.

    >>> dotted("stages.0.kernel"), dotted("width")
    ('stages[0].kernel', 'width')
    """
    return path_text(tuple(int(part) if part.isdecimal() else part for part in place.split(".")))


def open_text(space: Space, shown: int = 4) -> str:
    """What a space leaves open, as a part of a sentence."""
    names = list(space.domains)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{', '.join(names[:shown])}{more} {'are' if len(names) > 1 else 'is'} open"


def grid(space: Space, axes: dict[str, list[Any]], defaults: Defaults | None = None) -> list[GridPoint]:
    """A network for every combination, or why there is none. Raises DseError.

    Without `defaults` they have the classes that the space's file names, else ten. What is refused: too many
    combinations, and values that no network can have.
    """
    count = math.prod(len(values) for values in axes.values())
    if count > MAX_POINTS:
        raise DseError(f"the grid has {count:,} points, expected at most {MAX_POINTS:,}")
    defaults = defaults or Defaults(classes=classes_of(space))
    points = []
    for combination in itertools.product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        try:
            here = space.at(**values)
            chosen = here.choose(first, defaults)
            candidate = chosen.unwrap()
            points.append(GridPoint(values, candidate, estimate(candidate.network), others=chosen.assignment))
        except (ImpossibleError, NetworkError) as error:
            points.append(GridPoint(values, None, None, str(error)))
        except FileError as error:  # not the file is wrong, which has been read without the values
            raise FileError("`grid`", None, error.key, error.problem) from None
    return points


def accuracies(space: Space) -> dict[str, dict[str, Figure]]:
    """What was published of the networks of a reference: accuracies by the network's architecture and their kind."""
    name = published_name(space)
    found: dict[str, dict[str, Figure]] = {}
    for figure in load_figures():
        if figure.network == name and figure.quantity.startswith("accuracy"):
            found.setdefault(reference_at(name, figure.at).architecture, {})[figure.quantity] = figure
    return found
