"""What was published of networks of the literature: one table, `search_spaces/reference/published.csv`.

A row holds one figure as it was printed, its source, and what it is to be held against: a quantity that dse counts of
the network, or a piece of arithmetic on other printed figures. A row that says itself that its document contradicts
itself, or that a figure cannot be checked, says why.
"""

from __future__ import annotations

import ast
import csv
import math
import operator
import re
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dse._util.shipped import shipped_folder
from dse._util.strict_yaml import complaint
from dse.errors import FileError, UnknownNameError

FOLDER, FILE = "search_spaces", "reference/published.csv"
UNITS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "%": 0.01}
PRINTED = re.compile(r"([\d,]+)(?:\.(\d+))?\s*([kKMG%]?)(?:B|[smWJx]|ms)?")
# What takes more than counting, and why.
MEASURED = {
    "accuracy": "needs the full training",
    "accuracy_int8": "needs the full training",
    "latency": "needs the board",
    "ram_bytes": "needs the board",
}
Values = dict[str, str | int | float | bool]


class Figure(BaseModel):
    """One published figure. Without a verdict of its own, one is worked out."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    network: Annotated[str, Field(min_length=1)]
    at: str = ""  # where the network differs from its file: "width=0.5 classes=100"
    task: Literal["", "cifar10", "cifar100", "vww", "imagenet"] = ""
    source: Annotated[str, Field(min_length=1)]
    quantity: Annotated[str, Field(min_length=1)]
    published: Annotated[str, Field(min_length=1)]  # as it was printed
    ours: str = ""  # arithmetic on other figures, where it is no quantity of the network
    verdict: Literal["", "inconsistent", "not identifiable", "not checkable"] = ""
    why: str = ""

    @model_validator(mode="after")
    def _has_a_reason(self) -> Self:
        if self.verdict and not self.why:
            raise ValueError(f"a verdict of the table needs a reason: why is {self.published!r} {self.verdict}?")
        return self

    @property
    def measured(self) -> bool:
        """Whether the figure takes a training or a board, so that dse cannot count it."""
        return self.verdict == "not checkable" or (not self.verdict and not self.ours and self.quantity in MEASURED)

    def verdict_on(self, ours: float | None) -> str:
        """What is to be said of the figure beside ours."""
        if self.verdict:
            return f"{self.verdict}: {self.why}"
        if self.measured:
            return f"not checkable: {self.why or MEASURED[self.quantity]}"
        if ours is None:
            raise ValueError(f"nothing to hold {self.network} {self.quantity} {self.published!r} against")
        return verdict(self.published, ours) + (f": {self.why}" if self.why else "")


@cache
def load_figures() -> tuple[Figure, ...]:
    """Every published figure, in the order of the table. Raises FileError."""
    path = shipped_folder(FOLDER) / FILE
    figures = []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            try:
                figures.append(Figure.model_validate(row))
            except ValidationError as error:
                first = error.errors()[0]
                raise FileError(
                    f"{FOLDER}/{FILE}", reader.line_num, ".".join(map(str, first["loc"])), complaint(Figure, first)
                ) from None
    return tuple(figures)


def figures_of(names: tuple[str, ...]) -> list[Figure]:
    """The figures of these networks, or of all. Raises UnknownNameError."""
    figures = load_figures()
    known = {figure.network for figure in figures}
    for name in names:
        if name not in known:
            raise UnknownNameError("reference network", name, known)
    return [figure for figure in figures if not names or figure.network in names]


def parse_at(at: str) -> Values:
    """Values by their place in a space, as a row of the table writes them.

    >>> parse_at("width=0.5 head.features=1024 stem.scaled=false")
    {'width': 0.5, 'head.features': 1024, 'stem.scaled': False}
    """
    return {name: scalar(text) for name, _, text in (part.partition("=") for part in at.split())}


def number(text: str) -> tuple[float, float]:
    """A printed figure, and the worth of its last digit. Raises ValueError.

    >>> number("4.24 M"), number("1,846,930"), number("15 KB")
    ((4240000.0, 10000.0), (1846930.0, 1.0), (15000.0, 1000.0))
    """
    match = PRINTED.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no figure")
    whole, decimals, unit = match[1].replace(",", ""), match[2] or "", UNITS[match[3]]
    return float(f"{whole}.{decimals or 0}") * unit, unit * 10 ** -len(decimals)


def verdict(published: str, ours: float) -> str:
    """How near ours is to a printed figure.

    >>> verdict("569 M", 568_740_352), verdict("290 M", 290.68e6), verdict("4.24 M", 4_231_976)
    ('rounds to it', 'rounds to it (cut off)', 'within 0.2 %')
    """
    value, digit = number(published)
    if math.isclose(ours, value, rel_tol=1e-12):
        return "exact"
    if math.isclose(round(ours / digit), value / digit):
        return "rounds to it"
    if math.isclose(math.floor(ours / digit), value / digit):
        return "rounds to it (cut off)"
    return f"within {math.ceil(1000 * abs(ours / value - 1)) / 10:g} %"


def as_printed(ours: float, published: str) -> str:
    """Ours in the unit of the published figure, with two digits more; a whole number in full.

    >>> as_printed(568_740_352, "569 M"), as_printed(640.1, "700 ms"), as_printed(0.0306, "3.1 %")
    ('568.74 M', '640.10 ms', '3.060 %')
    """
    match = PRINTED.fullmatch(published)
    if not match:
        return f"{ours:,.6g}"
    unit = published[match.end(2) if match[2] else match.end(1) :].strip()
    amount, decimals = ours / UNITS[match[3]], len(match[2] or "")
    if amount == round(amount) and not decimals:
        return f"{amount:,.0f} {unit}".strip()
    return f"{amount:,.{decimals + 2}f} {unit}".strip()


# -- arithmetic on printed figures

OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.USub: operator.neg,
}  # fmt: skip
FUNCTIONS: dict[str, Callable[..., float]] = {"ceil": math.ceil, "floor": math.floor}


def arithmetic(text: str) -> float:
    """The value of a sum, difference, product, quotient or power of numbers. Raises ValueError.

    >>> arithmetic("ceil(32 * 32 * 32 / 116)"), arithmetic("(15.5 - 2**3) / 15")
    (283, 0.5)
    """
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError:
        raise ValueError(f"{text!r} is no arithmetic") from None


def _value(node: ast.AST) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(operand))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name](_value(argument))
        case _:
            raise ValueError(f"{ast.unparse(node)!r} is no arithmetic")


def scalar(text: str) -> Any:
    """A value as it is written on one line: a whole number, a number, true or false, or text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
