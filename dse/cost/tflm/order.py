"""The order of operators in which a graph needs least memory.

Where a network branches, which branch runs first decides what must be kept meanwhile. The graph is cut where a single
tensor is alive: what stands before and behind a cut does not meet, so each stretch is ordered by itself. Inside one,
every order is weighed by a search over the sets of operators that have run (two orders of one set leave the same
tensors alive, so only the better one goes on); of a stretch with too many such sets only the most promising go on.
"""

from __future__ import annotations

from dse.cost.tflm.build import MICROCONTROLLER
from dse.cost.tflm.graph import OperatorGraph
from dse.cost.tflm.planner import Lifetime, aligned, lifetimes
from dse.cost.tflm.scratch import scratch_bytes

MAX_SETS = 2_000  # of one size; exact up to here
MAX_WORK = 400_000  # sets of one size times the square of the operators: a long stretch gets fewer


def better_order(graph: OperatorGraph) -> list[int]:
    """The operators in an order with fewer bytes alive at the worst; a stretch stays as it is where that is best."""
    alive = {tensor.tensor: tensor for tensor in lifetimes(graph)}
    order: list[int] = []
    for start, end in _stretches(graph, alive):
        own = tuple(range(end - start))
        if end - start > 2 and _branches(graph, start, end):
            stretch = _Stretch(graph, alive, start, end)
            best = stretch.best()
            own = best if stretch.most(best) < stretch.most(own) else own
        order += [start + step for step in own]
    return order


def _stretches(graph: OperatorGraph, alive: dict[int, Lifetime]) -> list[tuple[int, int]]:
    """The graph cut before every operator that a single tensor reaches: (first operator, one past the last)."""
    num_steps = len(graph.operators)
    change = [0] * (num_steps + 1)
    for tensor in alive.values():
        if tensor.last > tensor.first:  # it is alive before the operators first + 1 to last
            change[tensor.first + 1] += 1
            change[tensor.last + 1] -= 1
    stretches, start, crossing = [], 0, 0
    for step in range(num_steps):
        crossing += change[step]
        if step and crossing == 1:
            stretches.append((start, step))
            start = step
    return [*stretches, (start, num_steps)]


def _branches(graph: OperatorGraph, start: int, end: int) -> bool:
    """Whether some operator does not read what the one before it writes, so that there is more than one order."""
    operators = graph.operators
    return any(not set(operators[s].inputs) & set(operators[s - 1].outputs) for s in range(start + 1, end))


class _Stretch:
    """The operators between two cuts, numbered from 0, and what any order of them keeps alive."""

    def __init__(self, graph: OperatorGraph, alive: dict[int, Lifetime], start: int, end: int) -> None:
        operators = graph.operators[start:end]
        made = {index: step for step, operator in enumerate(operators) for index in operator.outputs}
        self.size = end - start
        self.max_sets = max(10, min(MAX_SETS, MAX_WORK // self.size**2))
        self.needs = [{made[i] for i in operator.inputs if i in made} for operator in operators]
        self.writes = [sum(alive[i].num_bytes for i in operator.outputs) for operator in operators]
        readers: dict[int, set[int]] = {}
        for step, operator in enumerate(operators):
            for index in operator.inputs:
                if index in alive:
                    readers.setdefault(index, set()).add(step)
        # A kernel's scratch buffers are there while it runs.
        self.scratch = [
            sum(map(aligned, scratch_bytes(operator, graph.tensors, MICROCONTROLLER))) for operator in operators
        ]
        self.before = sum(alive[index].num_bytes for index in readers if index not in made)
        # By operator, what can be dropped behind it, if all others that read it have run: bytes, readers.
        self.dropped: list[list[tuple[int, set[int]]]] = [[] for _ in operators]
        for index, steps in readers.items():
            if alive[index].last < end:
                for step in steps:
                    self.dropped[step].append((alive[index].num_bytes, steps))

    def best(self) -> tuple[int, ...]:
        """The order with the lowest peak; the one nearest to the present order among equals."""
        # set of operators that have run -> most bytes alive so far, bytes alive now, their order
        states: dict[frozenset[int], tuple[int, int, tuple[int, ...]]] = {frozenset(): (0, self.before, ())}
        for _ in range(self.size):
            longer: dict[frozenset[int], tuple[int, int, tuple[int, ...]]] = {}
            for done, (most, alive, order) in states.items():
                for step in range(self.size):
                    if step in done or not self.needs[step] <= done:
                        continue
                    then = done | {step}
                    during = alive + self.writes[step]
                    state = (
                        max(most, during + self.scratch[step]),
                        during - self._dropped_by(step, then),
                        (*order, step),
                    )
                    if then not in longer or (state[0], state[2]) < (longer[then][0], longer[then][2]):
                        longer[then] = state
            if len(longer) > self.max_sets:
                longer = dict(sorted(longer.items(), key=lambda item: item[1])[: self.max_sets])
            states = longer
        ((_, _, order),) = states.values()
        return order

    def most(self, order: tuple[int, ...]) -> int:
        """Most bytes alive when the stretch runs in this order."""
        most, alive, done = 0, self.before, frozenset[int]()
        for step in order:
            done |= {step}
            alive += self.writes[step]
            most = max(most, alive + self.scratch[step])
            alive -= self._dropped_by(step, done)
        return most

    def _dropped_by(self, step: int, done: frozenset[int]) -> int:
        return sum(size for size, readers in self.dropped[step] if readers <= done)
