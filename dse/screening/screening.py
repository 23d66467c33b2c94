"""Very many random candidates of a space, each with its whole cost: nothing is trained, nothing is built.

Candidates are drawn as `Space.sample` draws them, and their costs are those of `estimate`; both are remembered for
every block behind an input of every shape, so that most candidates cost a few look-ups and a memory plan.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import NamedTuple, TypeVar

import numpy as np

from dse.cost.metrics import BY_NAME
from dse.cost.tflm.build import MICROCONTROLLER, Build
from dse.cost.tflm.planner import arena_bytes
from dse.errors import NetworkError
from dse.hardware.board_metrics import WORK, upper_ends
from dse.hardware.budget import Budget
from dse.network.blocks import Block
from dse.network.candidate import Candidate
from dse.network.head import Head
from dse.network.layers import Shape
from dse.screening.memo import Memo, Uniform
from dse.screening.sections import Section, SectionCost, block_section, head_section, together
from dse.space.conditions import Assignment, Node
from dse.space.space import Defaults, Space, parse_space
from dse.space.template import Body, open_of

# Every cost that needs no board, and what an arena is computed from.
COLUMNS = tuple(name for name in SectionCost._fields if name not in ("work", "build", "sections", "plan"))
IMPOSSIBLE = -1  # in every column of a candidate that describes no network
MAX_REMEMBERED = 200_000  # blocks and sections, about 2 KB each: with a real range hardly any comes again
CHUNK = 2_000  # candidates of one seed: what is drawn does not depend on how many processes draw
T = TypeVar("T")
_costs, _work = attrgetter(*COLUMNS), attrgetter(*WORK)


class Part:
    """A block or a head, and what it costs behind inputs of different shapes: None where it does not fit."""

    __slots__ = ("block", "sections")

    def __init__(self, block: Block | Head) -> None:
        self.block = block
        self.sections: dict[Shape, Section | None] = {}

    def behind(self, shape: Shape, classes: int) -> Section | None:
        """Its cost behind an input of this shape, found once."""
        try:
            if isinstance(self.block, Head):
                self.sections[shape] = head_section(self.block, shape, classes)
            else:
                self.sections[shape] = block_section(self.block, shape)
        except NetworkError:
            self.sections[shape] = None
        return self.sections[shape]


def sections_of(parts: Sequence[Part], shape: Shape, classes: int) -> list[Section] | None:
    """The sections of a network of these parts behind an image of this shape; None where one does not fit."""
    found: list[Section] = []
    for part in parts:
        if isinstance(part.block, Block) and part.block.does_nothing(shape):
            continue
        section = part.sections[shape] if shape in part.sections else part.behind(shape, classes)
        if section is None:
            return None
        found.append(section)
        shape = section.shape
    return found


class Drawn(NamedTuple):
    """One random candidate: its image, its blocks and head, and what they cost."""

    shape: Shape
    parts: list[Part]  # none where the drawn values do not go together
    sections: list[Section] | None  # None where they describe no network


class Screening:
    """Draws candidates of a space."""

    def __init__(
        self,
        space: Space,
        defaults: Defaults = Defaults(),
        seed: int | tuple[int, ...] = 0,
        library: Build = MICROCONTROLLER,
    ) -> None:
        self._space, self._defaults, self._uniform = space, defaults, Uniform(seed)
        self._library = library
        self._forget()

    def _forget(self) -> None:
        template = self._space.template
        given = self._defaults.input_shape
        self._images = self._memo(template.image_nodes, lambda values: template.image(values, given))
        self._backbones = self._memo(open_of([template.backbone]), lambda values: str(template.backbone.of(values)))
        self._widths = {name: self._width(body) for name, body in template.bodies.items()}
        # By body and width; the head is the last. None where values do not go together.
        self._bodies: dict[tuple[str, float], list[Memo[list[Part] | None]]] = {}
        self._parts: dict[Block | Head, Part] = {}  # of equal blocks there is one

    def reseed(self, seed: int | tuple[int, ...]) -> None:
        """Begins another sequence; what has been costed stays known, unless it is very much."""
        self._uniform.reseed(seed)
        if len(self._parts) + sum(len(part.sections) for part in self._parts.values()) > MAX_REMEMBERED:
            self._forget()

    def costs(self, count: int) -> Iterator[SectionCost | None]:
        """The cost of each of `count` random candidates; None for one that describes no network."""
        for _ in range(count):
            sections = self.draw().sections
            yield together(sections, self._library) if sections else None

    def draw(self) -> Drawn:
        """One random candidate."""
        image = self._images.draw()
        backbone = self._backbones.draw()
        kind = backbone, self._widths[backbone].draw()
        if kind not in self._bodies:
            self._bodies[kind] = self._at_width(self._space.template.bodies[backbone], kind[1])
        parts: list[Part] = []
        fits_together = True
        for memo in self._bodies[kind]:  # all of them, so that the next candidate does not depend on this one
            if (drawn := memo.draw()) is None:
                fits_together = False
            else:
                parts += drawn
        if not fits_together:
            return Drawn(image, [], None)
        return Drawn(image, parts, sections_of(parts, image, self._defaults.classes))

    def candidate(self, drawn: Drawn) -> Candidate:
        """What was drawn, as a candidate; its training is the defaults'. Raises NetworkError when it is none."""
        if not drawn.parts:
            raise NetworkError(self._space.name, "the drawn values do not go together")
        *blocks, head = (part.block for part in drawn.parts)
        assert isinstance(head, Head)
        stages = tuple(block for block in blocks if isinstance(block, Block))
        return Candidate.make(
            drawn.shape, self._defaults.classes, stages, head, self._defaults.training.with_settings({})
        )

    def _width(self, body: Body) -> Memo[float]:
        return self._memo(open_of([body.width]), lambda values: float(body.width.of(values)))

    def _at_width(self, body: Body, width: float) -> list[Memo[list[Part] | None]]:
        stages = [
            self._parts_of(stage.nodes, partial(stage.build, width=width, divisor=body.divisor))
            for stage in body.stages
        ]
        return [*stages, self._parts_of(body.head.nodes, lambda values: [body.build_head(values, width)])]

    def _parts_of(
        self, nodes: Sequence[Node], build: Callable[[Assignment], Sequence[Block | Head]]
    ) -> Memo[list[Part] | None]:
        def made(values: Assignment) -> list[Part] | None:
            try:
                return [self._parts.setdefault(block, Part(block)) for block in build(values)]
            except NetworkError:
                return None

        return self._memo(nodes, made)

    def _memo(self, nodes: Sequence[Node], make: Callable[[Assignment], T]) -> Memo[T]:
        return Memo(nodes, make, self._uniform)


@dataclass(frozen=True)
class Screened:
    """The costs of many candidates: a row for each, a column for each of COLUMNS and of WORK."""

    costs: np.ndarray  # (count, len(COLUMNS)) int64, with the first library
    works: np.ndarray  # (count, len(WORK)) int64, for what depends on a board
    arenas: np.ndarray  # (count, others) int64, bytes of the arena with the other libraries
    seed: int
    libraries: tuple[Build, ...] = (MICROCONTROLLER,)

    @property
    def possible(self) -> np.ndarray:
        """Which rows are networks, (count,)."""
        return np.asarray(self.costs[:, 0] != IMPOSSIBLE)

    def column(self, name: str, budget: Budget | None = None) -> np.ndarray:
        """One cost of every row, (count,), as `Budget.value` has it; latency and energy need a budget with a board.

        Without a budget the arena is that with the first library.
        """
        if name == "arena_bytes" and budget and (which := self.libraries.index(budget.library)):
            return np.asarray(self.arenas[:, which - 1])
        if name == "arena_bytes":
            head, tail, starting = (self.column(f"arena_{part}_bytes") for part in ("head", "tail", "starting"))
            return arena_bytes(head, tail, starting, np.maximum)
        if budget and budget.board and BY_NAME[name].by_board:
            return upper_ends(name, self.works, budget.board, budget.build)
        return np.asarray(self.costs[:, COLUMNS.index(name)])


def screen(
    space: Space,
    defaults: Defaults = Defaults(),
    *,
    count: int,
    seed: int = 0,
    workers: int = 1,
    libraries: tuple[Build, ...] = (MICROCONTROLLER,),
    progress: Callable[[int], None] = lambda done: None,
) -> Screened:
    """The costs of `count` random candidates; the same for any number of processes.

    `libraries` are those of TFLM whose arenas are wanted; `progress` is told how many are done.
    """
    sizes = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
    costs = np.empty((count, len(COLUMNS) + len(WORK) + len(libraries) - 1), np.int64)
    done = 0
    if workers <= 1 or len(sizes) == 1:
        screening = Screening(space, defaults, library=libraries[0])
        for index, size in enumerate(sizes):
            costs[index * CHUNK : index * CHUNK + size] = _chunk(screening, (seed, index), size, libraries)
            done += size
            progress(done)
        return _screened(costs, seed, libraries)
    context = multiprocessing.get_context("spawn")
    begun = (space.document.text, space.document.file, defaults, libraries)
    with ProcessPoolExecutor(min(workers, len(sizes)), context, _begin, begun) as pool:
        waiting = {pool.submit(_in_child, (seed, index), size): index for index, size in enumerate(sizes)}
        for future in as_completed(waiting):
            found = future.result()
            start = waiting[future] * CHUNK
            costs[start : start + len(found)] = found
            done += len(found)
            progress(done)
    return _screened(costs, seed, libraries)


def _screened(costs: np.ndarray, seed: int, libraries: tuple[Build, ...]) -> Screened:
    figures, works, arenas = np.split(costs, [len(COLUMNS), len(COLUMNS) + len(WORK)], axis=1)
    return Screened(figures, works, arenas, seed, libraries)


def candidate_of_row(space: Space, defaults: Defaults, seed: int, row: int) -> Candidate:
    """The candidate of one row of a `screen` with this seed. Raises NetworkError when it is none."""
    screening = Screening(space, defaults, (seed, row // CHUNK))
    drawn = screening.draw()
    for _ in range(row % CHUNK):
        drawn = screening.draw()
    return screening.candidate(drawn)


def _chunk(screening: Screening, seed: tuple[int, int], size: int, libraries: tuple[Build, ...]) -> np.ndarray:
    screening.reseed(seed)
    others = libraries[1:]
    none = (IMPOSSIBLE,) * (len(COLUMNS) + len(WORK) + len(others))
    rows = [
        (*_costs(cost), *_work(cost.work), *(cost.on(library).arena_bytes for library in others)) if cost else none
        for cost in screening.costs(size)
    ]
    return np.array(rows, np.int64)


_of_this_process: list[tuple[Screening, tuple[Build, ...]]] = []


def _begin(text: str, file: str, defaults: Defaults, libraries: tuple[Build, ...]) -> None:
    _of_this_process.append((Screening(parse_space(text, file), defaults, library=libraries[0]), libraries))


def _in_child(seed: tuple[int, int], size: int) -> np.ndarray:
    screening, libraries = _of_this_process[0]
    return _chunk(screening, seed, size, libraries)
