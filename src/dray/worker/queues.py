"""Which queue comes first: strictly in order, by weight, or all in turn."""

from __future__ import annotations

import random

from dray.errors import ConfigurationError


class QueueOrder:
    """Gives, for each claim, the queues in the order to look. None stands for every queue there is."""

    def __init__(self, weights: dict[str, int] | None, *, strict: bool = False, seed: int | None = None) -> None:
        self.weights = weights
        self.strict = strict
        self._random = random.Random(seed)

    def next(self) -> tuple[str, ...] | None:
        """The order for the next claim. By weight: a queue of weight 3 comes first three times as often as one of weight 1."""
        if self.weights is None:
            return None
        if self.strict or len(self.weights) == 1:
            return tuple(self.weights)
        # Efraimidis and Spirakis 2006: sorting by u ** (1 / weight) draws without replacement in proportion to the weights.
        keys = {name: self._random.random() ** (1 / weight) for name, weight in self.weights.items()}
        return tuple(sorted(keys, key=keys.__getitem__, reverse=True))

    def describe(self) -> str:
        """For people."""
        if self.weights is None:
            return "all"
        return ", ".join(name if self.strict else f"{name}:{weight}" for name, weight in self.weights.items())


def parse_queues(text: str | None) -> QueueOrder:
    """`"mail:3,default:1"` is weighted, `"mail,default"` strict (served in this order), None all. Raises ConfigurationError."""
    if text is None or text.strip() in ("", "*"):
        return QueueOrder(None)
    weights: dict[str, int] = {}
    weighted = False
    for part in text.split(","):
        name, colon, weight = part.strip().partition(":")
        if not name:
            raise ConfigurationError(
                f"--queues {text!r}: there is an empty name; write mail:3,default:1 (by weight) or mail,default (strict)."
            )
        if name in weights:
            raise ConfigurationError(f"--queues {text!r}: {name!r} is there twice; name it once.")
        if colon:
            weighted = True
            if not weight.isdigit() or int(weight) < 1:
                raise ConfigurationError(
                    f"--queues {text!r}: the weight of {name!r} is {weight!r}; use a whole number of at least 1."
                )
        weights[name] = int(weight) if colon else 1
    return QueueOrder(weights, strict=not weighted)
