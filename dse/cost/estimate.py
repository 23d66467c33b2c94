"""Network to `CostReport`: parameters, MACs, arena, flash; and whether that fits a `Budget`.

Exactness: parameters and MACs are exact. `arena_head_bytes` is TFLM's greedy plan over the operators on paper.
`arena_tail_bytes` and `flash_bytes` are estimates, with constants fitted to converted candidates of every family.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import Any

from dse.cost.boards import Board
from dse.cost.formulas import layer_costs
from dse.cost.memory import greedy_plan, lifetimes
from dse.cost.operators import Operator, lower
from dse.network import Network

# Bytes beside the kernels, fitted to 80 converted candidates of both shipped spaces with biases and batch norms as
# training leaves them. Largest error there: 1.5 % of the file (median 0.2 %), 1.3 % of the tail on a 64-bit host.
FLASH_BASE, FLASH_CHANNEL = 1802, 28.1
FLASH_OPERATOR = {"CONV_2D": 765, "DEPTHWISE_CONV_2D": 1091}
FLASH_OTHER_OPERATOR = 165
TAIL_BASE, TAIL_CHANNEL = 909, 8
TAIL_OPERATOR = {"CONV_2D": 253, "DEPTHWISE_CONV_2D": 234}
TAIL_OTHER_OPERATOR = 138


@dataclass(frozen=True, slots=True)
class CostReport:
    """What one network costs. Bytes are of the int8 deployment, on a 64-bit host an upper bound for the target."""

    params: int  # as Keras counts them, running statistics included
    trainable_params: int
    deployed_params: int  # batch norm folded: int8 kernels and int32 biases
    macs: int
    arena_head_bytes: int
    arena_tail_bytes: int
    flash_bytes: int
    peak_operator: str
    operators: dict[str, int]

    @property
    def arena_bytes(self) -> int:
        """Head and tail together."""
        return self.arena_head_bytes + self.arena_tail_bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"arena_bytes": self.arena_bytes}


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper limits; None is no limit."""

    params: int | None = None
    macs: int | None = None
    arena_bytes: int | None = None
    flash_bytes: int | None = None

    @classmethod
    def of_board(cls, board: Board, **limits: int | None) -> Budget:
        """What the board allows, and the user's own limits where they are stricter."""
        given = {"arena_bytes": board.arena_bytes, "flash_bytes": board.model_bytes}
        for name, limit in limits.items():
            if limit is not None:
                given[name] = min(limit, given.get(name, limit))
        return cls(**given)

    def limits(self) -> dict[str, int]:
        """The limits that are set, by the name of what they limit."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    def violations(self, cost: CostReport) -> dict[str, float]:
        """By how much every limit is broken, relative to it; negative where there is room."""
        return {name: getattr(cost, name) / limit - 1 for name, limit in self.limits().items()}

    def excess(self, cost: CostReport) -> float:
        """By how much the limit that is broken most is broken, relative to it; at most 0 when the network fits."""
        return max(self.violations(cost).values(), default=0.0)

    def exceeded_by(self, cost: CostReport) -> list[str]:
        """One sentence for every limit that is broken; empty when the network fits."""
        return [
            f"{name} {getattr(cost, name):,} > {limit:,}"
            for name, limit in self.limits().items()
            if getattr(cost, name) > limit
        ]


def estimate(network: Network) -> CostReport:
    """The cost of a network on any board."""
    costs = [cost for _, cost in layer_costs(network)]
    operators = lower(network)
    num_input_bytes = network.input_shape[0] * network.input_shape[1] * network.input_shape[2]
    plan = greedy_plan(lifetimes(operators, network.layers[0].name, num_input_bytes))
    return CostReport(
        params=sum(cost.params for cost in costs),
        trainable_params=sum(cost.trainable for cost in costs),
        deployed_params=sum(op.weights + op.channels for op in operators),
        macs=sum(cost.macs for cost in costs),
        arena_head_bytes=plan.head_bytes,
        arena_tail_bytes=_tail(operators),
        flash_bytes=_flash(operators),
        peak_operator=f"{operators[plan.peak_operator].kind} {operators[plan.peak_operator].output}",
        operators=dict(sorted(Counter(op.kind for op in operators).items())),
    )


def _flash(operators: list[Operator]) -> int:
    return round(
        FLASH_BASE
        + sum(
            FLASH_OPERATOR.get(op.kind, FLASH_OTHER_OPERATOR) + op.weights + FLASH_CHANNEL * op.channels
            for op in operators
        )
    )


def _tail(operators: list[Operator]) -> int:
    return TAIL_BASE + sum(
        TAIL_OPERATOR.get(op.kind, TAIL_OTHER_OPERATOR) + TAIL_CHANNEL * op.channels for op in operators
    )
