"""A model that a command was given, whatever kind it is of, with its price and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from dse.cost.report import CostReport
    from dse.cost.tflm.graph import OperatorGraph
    from dse.network.candidate import Candidate
    from dse.space.space import Space


C_SOURCES = (".h", ".cc", ".c", ".cpp")


class Part(NamedTuple):
    """An operator of a file, or a layer of a candidate."""

    name: str
    kind: str
    output: str  # its shape, as 1x16x16x8
    params: int
    macs: int


@dataclass(frozen=True)
class Priced:
    """A model, what it costs, and of what it consists."""

    title: str
    key: dict[str, str]  # what names it in JSON
    report: CostReport
    parts: tuple[Part, ...]


def price(what: str, *, quiet: bool = False) -> Priced | Space:
    """A file, a candidate or a reference network with its price; a space that leaves something open as it is.

    Unless `quiet`, a line on stderr says what a file was taken for. Raises DseError.
    """
    from dse.errors import FileError
    from dse.tflite.sources import SUFFIXES, look_into

    path = Path(what)
    # Other names may be those of spaces and networks that ship with dse.
    is_file = path.is_file() or path.suffix in (*SUFFIXES, ".keras", ".json", *C_SOURCES)
    found = look_into(path) if is_file else None
    if found and found.kind == "text" and path.suffix in C_SOURCES:
        raise FileError(what, None, "", "holds no array of a .tflite model")
    match found.kind if found else "text":
        case "tflite":
            assert found
            if found.about and not quiet:
                click.echo(f"{found.about}, {len(found.content):,} bytes", err=True)
            return _tflite(what, found.content)
        case "keras":
            from dse.quantization.saved_model import int8_of_keras

            content = int8_of_keras(path)
            if not quiet:
                click.echo(f"{what}: converted to int8 with random images, as dse would export it", err=True)
            return _tflite(what, content)
        case "candidate":
            from dse.network.candidate import load_candidate

            candidate = load_candidate(path)
            return _candidate(f"candidate {candidate.id}", candidate)
        case _:
            from dse.references.networks import load_network, only_network

            space = load_network(what)
            if space.domains:
                return space
            return _candidate(f"{space.name}: {space.about}" if space.about else space.name, only_network(space))


def _tflite(what: str, content: bytes) -> Priced:
    from dse.cost.report import estimate_graph
    from dse.errors import FileError, OperatorError
    from dse.tflite.reader import read_tflite

    graph = read_tflite(content, what)
    try:
        report = estimate_graph(graph, len(content))
    except OperatorError as error:
        raise FileError(what, None, "", str(error)) from None
    return Priced(what, {"model": what}, report, _operators(graph))


def _operators(graph: OperatorGraph) -> tuple[Part, ...]:
    from dse.cost.macs import kernel_tensors, macs_of

    parts = []
    for number, operator in enumerate(graph.operators):
        shape = _shape(graph.tensors[operator.outputs[0]].shape) if operator.outputs else ""
        params = sum(graph.tensors[index].num_elements for index in kernel_tensors(operator, graph.tensors))
        parts.append(Part(str(number), operator.kind, shape, params, macs_of(operator, graph.tensors)))
    return tuple(parts)


def _candidate(title: str, candidate: Candidate) -> Priced:
    from dse.cost.formulas import layer_costs
    from dse.cost.report import estimate

    parts = tuple(
        Part(layer.name, type(layer).__name__, _shape(layer.shape), cost.params, cost.macs)
        for layer, cost in layer_costs(candidate.network)
        if cost.params or cost.macs
    )
    return Priced(title, {"id": candidate.id}, estimate(candidate.network), parts)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
