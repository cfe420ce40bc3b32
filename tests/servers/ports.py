"""Ports and subnets that two test runs on one machine never share."""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Iterable

from servers import Unavailable

# Below Linux's range for outgoing connections (from 32768): a client's socket must not take the port of a server that restarts.
PORTS = range(15_000, 32_000)

_held: dict[str, socket.socket] = {}


def reserve(name: str) -> bool:
    """Take a name for this process; False if any process of the machine has it. It is given back by `release` or at death.

    An abstract Unix socket does it: the kernel forgets it with its process. Elsewhere than on Linux nothing is reserved.
    """
    if not sys.platform.startswith("linux"):
        return True
    if name in _held:
        return False
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(f"\0dray-tests-{name}")
    except OSError:
        holder.close()
        return False
    _held[name] = holder
    return True


def release(name: str) -> None:
    """Give a name back; nothing happens if this process does not hold it."""
    holder = _held.pop(name, None)
    if holder is not None:
        holder.close()


def free_port() -> int:
    """A TCP port that nobody listens on, reserved for this process until `release_port`."""
    for port in _shuffled(PORTS):
        if reserve(f"port-{port}"):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("0.0.0.0", port))
                    return port
                except OSError:
                    release(f"port-{port}")
    raise Unavailable(f"no port between {PORTS.start} and {PORTS.stop} is free on this machine")


def release_port(port: int) -> None:
    """Give a port of `free_port` back."""
    release(f"port-{port}")


def free_subnet(taken: str) -> int:
    """An N for which 10.213.N.0/24 is nobody's, reserved until `release_subnet`. `taken`: the text of `ip route`."""
    for number in _shuffled(range(1, 255)):
        if f"10.213.{number}." not in taken and reserve(f"subnet-{number}"):
            return number
    raise Unavailable("no subnet 10.213.N.0/24 is free on this machine")


def release_subnet(number: int) -> None:
    """Give a subnet of `free_subnet` back."""
    release(f"subnet-{number}")


def _shuffled(numbers: range) -> Iterable[int]:
    # Not `random`'s shared state: a test may have seeded it, and two runs with one seed would queue for the same ports.
    return random.SystemRandom().sample(numbers, len(numbers))
