"""Structured pruning: which channels of a candidate to take away so that it keeps to a limit, as a smaller candidate.

One step after another takes a few channels from the width that saves most for what it loses: the saving is of the cost
that is limited, the loss the importance of the channels that would go. Every step leads to a candidate of the grammar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.cost.metrics import METRICS
from dse.cost.report import CostReport, estimate
from dse.errors import DseError, NetworkError
from dse.network.candidate import Candidate, layer_prefix
from dse.pruning.channels import ChannelClasses, is_narrower, sizes

STEPS = 16  # into which the channels of a width are divided
LEAST = 8  # of which at least the one in so many is kept
TARGETS = {metric.name: metric.pruned for metric in METRICS if metric.pruned}  # what a limit counts

Width = tuple[int | None, str]  # the number of a block, or None for the head, and the key that counts channels


@dataclass(frozen=True)
class Pruned:
    """A smaller candidate and what it costs."""

    candidate: Candidate
    cost: CostReport
    lost: float  # the share of all importance that went


def prune(
    candidate: Candidate,
    importance: Mapping[str, np.ndarray],
    target: str,
    limit: int,
    progress: Callable[[int], None] = lambda value: None,
) -> Pruned:
    """The candidate with fewer channels, so that its cost `target` (one of TARGETS) is at most `limit`.

    `importance` is as for `kept_channels`. Raises DseError when the candidate cannot become so small.
    """
    classes = ChannelClasses(candidate.network)
    ranked = {
        kind: np.sort(np.sum([importance[name] for name in members], axis=0))
        for kind, members in classes.members().items()
    }
    before = sizes(candidate.network)

    def lost(smaller: Candidate) -> float:
        after = sizes(smaller.network)
        return sum(float(values[: before[kind] - after[kind]].sum()) for kind, values in ranked.items())

    groups = _groups(candidate, classes)
    now, cost, gone = candidate, estimate(candidate.network), 0.0
    while getattr(cost, target) > limit:
        progress(getattr(cost, target))
        best: tuple[tuple[float, float], Candidate, CostReport, float] | None = None
        for group in groups:
            smaller = _step(candidate, now, group)
            if smaller is None or not is_narrower(candidate.network, smaller.network, classes):
                continue
            costs, total = estimate(smaller.network), lost(smaller)
            price = max(total - gone, 1e-12)
            saved = (getattr(cost, target) - getattr(costs, target)) / price
            # Where one step alone does not lower the arena, the one that makes the tensors smaller that set it.
            alive = sum(size for _, size in cost.peak_tensors) - _now(costs, cost)
            score = (saved, alive / price if target == "arena_bytes" else 0.0)
            if best is None or score > best[0]:
                best = (score, smaller, costs, total)
        if best is None or max(best[0]) <= 0:
            raise DseError(
                f"candidate {candidate.id} cannot be pruned to {limit:,} {TARGETS[target]}: it still has "
                f"{getattr(cost, target):,} where nothing more can go, as every width keeps at least an eighth"
            )
        _, now, cost, gone = best
    everything = sum(float(values.sum()) for values in ranked.values())
    return Pruned(now, cost, gone / everything)


def _now(costs: CostReport, before: CostReport) -> int:
    """Bytes of the tensors that were alive at the peak, as they are now; of those alive no more, nothing."""
    after = dict(costs.peak_tensors)
    return sum(after.get(name, 0) for name, _ in before.peak_tensors) or sum(after.values())


def _groups(candidate: Candidate, classes: ChannelClasses) -> list[list[Width]]:
    """The widths that change together, because their channels belong together."""
    owners: dict[str, list[Width]] = {}
    for width, layers in _widths(candidate):
        for name in layers:
            owners.setdefault(classes.of(name), []).append(width)
    groups: list[set[Width]] = []
    for members in owners.values():
        joined = set(members)
        for group in [group for group in groups if group & joined]:
            joined |= group
            groups.remove(group)
        groups.append(joined)
    return [sorted(group, key=str) for group in groups]


def _widths(candidate: Candidate) -> Iterator[tuple[Width, list[str]]]:
    """Every width with the convolutions whose output channels it counts."""
    names = {layer.name for layer in candidate.network}
    parts: list[tuple[int | None, str, Any]] = [
        (index, layer_prefix(index, block), block) for index, block in enumerate(candidate.blocks)
    ]
    for index, prefix, part in [*parts, (None, "head", candidate.head)]:
        for key, layers in part.channel_layers.items():
            found = [f"{prefix}_{layer}" for layer in layers if f"{prefix}_{layer}" in names]
            if found and getattr(part, key):
                yield (index, key), found


def _step(whole: Candidate, now: Candidate, group: list[Width]) -> Candidate | None:
    """The candidate with one step fewer channels in all widths of a group; None where too few would be left."""
    blocks, head = list(now.blocks), now.head
    for index, key in group:
        part, first = (head, whole.head) if index is None else (blocks[index], whole.blocks[index])
        size, at_first = getattr(part, key), getattr(first, key)
        smaller = size - max(1, at_first // STEPS)
        if smaller < max(1, at_first // LEAST):
            return None
        changed = part.model_copy(update={key: smaller})
        if index is None:
            head = changed  # type: ignore[assignment]
        else:
            blocks[index] = changed  # type: ignore[assignment]
    try:
        return Candidate.make(now.input_shape, now.classes, tuple(blocks), head, now.training)
    except NetworkError:
        return None
