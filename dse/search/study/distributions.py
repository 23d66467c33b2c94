"""What a space leaves open, as Optuna writes it down."""

from __future__ import annotations

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from dse.space.conditions import Value
from dse.space.domains import Choice, Domain, FloatRange


def distribution(domain: Domain) -> BaseDistribution:
    """A domain as Optuna has it."""
    match domain:
        case Choice():
            return CategoricalDistribution(list(domain.labels))
        case FloatRange():
            return FloatDistribution(domain.low, domain.high, log=domain.log)
        case _:
            return IntDistribution(domain.low, domain.high, step=domain.step)


def recorded(domain: Domain, value: Value) -> Value:
    """A value as it will be read back. Of values that Optuna takes for equal, such as 1 and True, it is the first."""
    known = distribution(domain)
    read: Value = known.to_external_repr(known.to_internal_repr(value))
    return read
