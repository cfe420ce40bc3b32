"""Hosts that can be cut off from the network: Linux network namespaces on a bridge. Needs root and iproute2.

What is cut off here is gone as in an unplugged machine: no FIN, no RST, no acknowledgement. The machine itself, and with
it every server that listens on the bridge's address, is the other end.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from servers import Unavailable, ports, session

_numbers = itertools.count(1)


class Network:
    """A bridge with an address of this machine on it; `host` adds hosts. Usable in a `with`.

    address: where servers listen that the hosts shall reach (`Cluster(..., listen=network.address)`).
    Raises Unavailable without root, without `ip`, and where the kernel forbids it (many containers).
    """

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise Unavailable("network namespaces need root")
        if shutil.which("ip") is None:
            raise Unavailable("network namespaces need `ip`: install iproute2")
        self._tag = f"{_base36(os.getpid())}n{next(_numbers)}"  # names of interfaces have at most 15 characters
        self._bridge = f"dray{self._tag}"
        self._subnet = ports.free_subnet(_ip("-4 route show table all"))
        self.address = f"10.213.{self._subnet}.1"
        self.hosts: dict[str, Host] = {}
        session.record("link", self._bridge)
        try:
            _ip(
                "-batch -",
                f"link add {self._bridge} type bridge\naddr add {self.address}/24 dev {self._bridge}\nlink set {self._bridge} up",
            )
        except Unavailable:
            self.close()
            raise

    def host(self, name: str) -> Host:
        """Add a host; `name` is its own within this network."""
        if name in self.hosts:
            raise ValueError(f"the network has a host {name!r} already")
        number = len(self.hosts) + 2
        host = Host(name, f"10.213.{self._subnet}.{number}", f"dray-{self._tag}-{name}", f"d{self._tag}v{number}")
        self.hosts[name] = host
        host._join(self._bridge, self.address)
        return host

    def close(self) -> None:
        """Kill what runs on the hosts and remove everything; a second call does nothing."""
        for host in self.hosts.values():
            host._remove()
        self.hosts.clear()
        session.remove_link(self._bridge)
        ports.release_subnet(self._subnet)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Host:
    """A host of a `Network`, with `address` as its own. Made by `Network.host`."""

    def __init__(self, name: str, address: str, namespace: str, link: str) -> None:
        self.name = name
        self.address = address
        self._namespace = namespace
        self._link = link
        self._processes: list[subprocess.Popen[Any]] = []

    def run(self, argv: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on the host; `options` are those of subprocess.Popen. It is killed when the network is closed.

        The process is the program itself, no shell or wrapper around it: its pid and signals are the program's.
        """
        process = subprocess.Popen(["ip", "netns", "exec", self._namespace, *argv], **options)
        self._processes.append(process)
        session.record_process(process.pid, signal.SIGKILL)
        return process

    def cut(self) -> None:
        """Unplug the host: nothing it sends arrives, nothing reaches it, and nobody is told."""
        _ip(f"link set {self._link} down")

    def mend(self) -> None:
        """Plug the host in again; what TCP still wants to send gets through."""
        _ip(f"link set {self._link} up")

    def _join(self, bridge: str, gateway: str) -> None:
        session.record("namespace", self._namespace)
        session.record("link", self._link)
        inside = f"-n {self._namespace}"
        _ip(
            "-batch -",
            f"netns add {self._namespace}\nlink add {self._link} type veth peer name eth0 netns {self._namespace}\n"
            f"link set {self._link} master {bridge} up",
        )
        _ip(
            f"{inside} -batch -",
            f"link set lo up\naddr add {self.address}/24 dev eth0\nlink set eth0 up\nroute add default via {gateway}",
        )

    def _remove(self) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
        session.remove_namespace(self._namespace)
        session.remove_link(self._link)


def _ip(arguments: str, batch: str | None = None) -> str:
    done = subprocess.run(["ip", *arguments.split()], input=batch, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"`ip {arguments}` does not work here: {' '.join(done.stderr.split())}")
    return done.stdout


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
    return text
