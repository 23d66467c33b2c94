"""Very many random candidates of a space, each with its whole cost: nothing is trained, nothing is built.

Candidates are drawn as `Space.sample` draws them, and their costs are those of `estimate`; both are remembered for
every block behind an input of every shape, so that most candidates cost a few look-ups and a memory plan.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple, TypeVar

import numpy as np

from dse.cost.metrics import BY_NAME
from dse.cost.tflm.planner import arena_bytes
from dse.errors import NetworkError
from dse.hardware.board_metrics import WORK, upper_ends
from dse.hardware.budget import Budget
from dse.network.blocks import Block
from dse.network.candidate import Candidate
from dse.network.head import Head
from dse.network.layers import Shape
from dse.screening.memo import Choices, Chooser, Uniform
from dse.screening.sections import Section, SectionCost, block_section, head_section, together
from dse.space.space import Defaults, Space, parse_space
from dse.space.template import Body

COLUMNS = SectionCost._fields[:-1]  # every cost that needs no board, and what an arena is computed from
IMPOSSIBLE = -1  # in every column of a candidate that describes no network
MAX_REMEMBERED = 200_000  # blocks and sections, about 2 KB each: with a real range hardly any comes again
CHUNK = 2_000  # candidates of one seed: what is drawn does not depend on how many processes draw
T = TypeVar("T")
_work = attrgetter(*WORK)


class Drawn(NamedTuple):
    """One random candidate: its image, the numbers of its blocks and of its head, and what they cost."""

    shape: Shape
    numbers: list[int]
    sections: list[Section] | None  # None where they describe no network


class Screening:
    """Draws candidates of a space."""

    def __init__(self, space: Space, defaults: Defaults = Defaults(), seed: int | tuple[int, ...] = 0) -> None:
        self._space, self._defaults, self._uniform = space, defaults, Uniform(seed)
        self._forget()

    def _forget(self) -> None:
        self._images = self._choices(lambda choose: self._space.image(choose, self._defaults))
        self._backbones = self._choices(self._space.backbone)
        self._widths = {name: self._choices(body.width) for name, body in self._space.bodies.items()}
        # By body and width. None where the values of a stage or of the head do not go together.
        self._stages: dict[tuple[str, float], list[Choices[tuple[int, ...] | None]]] = {}
        self._heads: dict[tuple[str, float], Choices[int | None]] = {}
        self._numbers: dict[Block | Head, int] = {}  # equal blocks have one number
        self._blocks: list[Block | Head] = []
        # input shape -> number of a block -> its section, or None where it does not fit
        self._sections: dict[Shape, dict[int, Section | None]] = {}

    def reseed(self, seed: int | tuple[int, ...]) -> None:
        """Begins another sequence; what has been costed stays known, unless it is very much."""
        self._uniform.reseed(seed)
        if len(self._blocks) + sum(map(len, self._sections.values())) > MAX_REMEMBERED:
            self._forget()

    def costs(self, count: int) -> Iterator[SectionCost | None]:
        """The cost of each of `count` random candidates; None for one that describes no network."""
        for _ in range(count):
            sections = self.draw().sections
            yield together(sections) if sections else None

    def draw(self) -> Drawn:
        """One random candidate."""
        image = shape = self._images.draw()
        backbone = self._backbones.draw()
        kind = backbone, self._widths[backbone].draw()
        if kind not in self._stages:
            self._stages[kind], self._heads[kind] = self._at_width(self._space.bodies[backbone], kind[1])
        stages = [stage.draw() for stage in self._stages[kind]]
        head = self._heads[kind].draw()
        if head is None or None in stages:
            return Drawn(image, [], None)
        numbers = [*(number for stage in stages if stage for number in stage), head]
        found: list[Section] = []
        for number in numbers:
            behind = self._sections.setdefault(shape, {})
            section = behind[number] if number in behind else self._cost(behind, number, shape)
            if section is None:
                return Drawn(image, numbers, None)
            found.append(section)
            shape = section.shape
        return Drawn(image, numbers, found)

    def candidate(self, drawn: Drawn) -> Candidate:
        """What was drawn, as a candidate; its training is the defaults'. Raises NetworkError when it is none."""
        if not drawn.numbers:
            raise NetworkError(self._space.name, "the drawn values do not go together")
        *blocks, head = (self._blocks[number] for number in drawn.numbers)
        assert isinstance(head, Head)
        stages = tuple(block for block in blocks if isinstance(block, Block))
        return Candidate.make(drawn.shape, self._defaults.classes, stages, head, self._defaults.training)

    def _cost(self, behind: dict[int, Section | None], number: int, shape: Shape) -> Section | None:
        block = self._blocks[number]
        try:
            if isinstance(block, Head):
                behind[number] = head_section(block, shape, self._defaults.classes)
            else:
                behind[number] = block_section(block, shape)
        except NetworkError:
            behind[number] = None
        return behind[number]

    def _at_width(self, body: Body, width: float) -> tuple[list[Choices[tuple[int, ...] | None]], Choices[int | None]]:
        def stage(index: int) -> Choices[tuple[int, ...] | None]:
            return self._choices(_or_none(lambda choose: tuple(map(self._number, body.stage(index, choose, width)))))

        head = self._choices(_or_none(lambda choose: self._number(body.head(choose, width))))
        return [stage(index) for index in range(body.num_stages)], head

    def _number(self, block: Block | Head) -> int:
        if block not in self._numbers:
            self._numbers[block] = len(self._blocks)
            self._blocks.append(block)
        return self._numbers[block]

    def _choices(self, make: Callable[[Chooser], T]) -> Choices[T]:
        return Choices(make, self._uniform)


def _or_none(make: Callable[[Chooser], T]) -> Callable[[Chooser], T | None]:
    """The same, with None for values that do not go together."""

    def made(choose: Chooser) -> T | None:
        try:
            return make(choose)
        except NetworkError:
            return None

    return made


@dataclass(frozen=True)
class Screened:
    """The costs of many candidates: a row for each, a column for each of COLUMNS and of WORK."""

    costs: np.ndarray  # (count, len(COLUMNS)) int64
    works: np.ndarray  # (count, len(WORK)) int64, for what depends on a board
    seed: int

    @property
    def possible(self) -> np.ndarray:
        """Which rows are networks, (count,)."""
        return np.asarray(self.costs[:, 0] != IMPOSSIBLE)

    def column(self, name: str, budget: Budget | None = None) -> np.ndarray:
        """One cost of every row, (count,), as `Budget.value` has it; latency and energy need a budget with a board."""
        if name == "arena_bytes":
            head, tail, starting = (self.column(f"arena_{part}_bytes") for part in ("head", "tail", "starting"))
            return arena_bytes(head, tail, starting, np.maximum)
        if budget and budget.board and BY_NAME[name].by_board:
            return upper_ends(name, self.works, budget.board, budget.runtime)
        return np.asarray(self.costs[:, COLUMNS.index(name)])


def screen(
    space: Space,
    defaults: Defaults = Defaults(),
    *,
    count: int,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> Screened:
    """The costs of `count` random candidates; the same for any number of processes.

    `progress` is told how many are done.
    """
    sizes = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
    costs = np.empty((count, len(COLUMNS) + len(WORK)), np.int64)
    done = 0
    if workers <= 1 or len(sizes) == 1:
        screening = Screening(space, defaults)
        for index, size in enumerate(sizes):
            costs[index * CHUNK : index * CHUNK + size] = _chunk(screening, (seed, index), size)
            done += size
            progress(done)
        return Screened(costs[:, : len(COLUMNS)], costs[:, len(COLUMNS) :], seed)
    context = multiprocessing.get_context("spawn")
    begun = (space.document.text, space.document.file, defaults)
    with ProcessPoolExecutor(min(workers, len(sizes)), context, _begin, begun) as pool:
        waiting = {pool.submit(_in_child, (seed, index), size): index for index, size in enumerate(sizes)}
        for future in as_completed(waiting):
            found = future.result()
            start = waiting[future] * CHUNK
            costs[start : start + len(found)] = found
            done += len(found)
            progress(done)
    return Screened(costs[:, : len(COLUMNS)], costs[:, len(COLUMNS) :], seed)


def candidate_of_row(space: Space, defaults: Defaults, seed: int, row: int) -> Candidate:
    """The candidate of one row of a `screen` with this seed. Raises NetworkError when it is none."""
    screening = Screening(space, defaults, (seed, row // CHUNK))
    drawn = screening.draw()
    for _ in range(row % CHUNK):
        drawn = screening.draw()
    return screening.candidate(drawn)


def _chunk(screening: Screening, seed: tuple[int, int], size: int) -> np.ndarray:
    screening.reseed(seed)
    none = (IMPOSSIBLE,) * (len(COLUMNS) + len(WORK))
    return np.array([(*cost[:-1], *_work(cost.work)) if cost else none for cost in screening.costs(size)], np.int64)


_of_this_process: list[Screening] = []


def _begin(text: str, file: str, defaults: Defaults) -> None:
    _of_this_process.append(Screening(parse_space(text, file), defaults))


def _in_child(seed: tuple[int, int], size: int) -> np.ndarray:
    return _chunk(_of_this_process[0], seed, size)
