"""Addresses of this machine that no other machine reaches, and the ports on which servers for browsers listen."""

from __future__ import annotations

import ipaddress
import socket

from dse.errors import RunError

HOST = "127.0.0.1"
PORT = 8080
TRIED = 20  # ports, when none was asked for


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and reached from it alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("10.0.0.5")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def listen(port: int | None) -> socket.socket:
    """A socket that listens on a port of 127.0.0.1; without one, on 8080 or the next free one. Raises RunError."""
    for candidate in [port] if port else range(PORT, PORT + TRIED):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a port rests a minute after its use
            listener.bind((HOST, candidate))
            listener.listen(64)
            return listener
        except OSError as error:
            listener.close()
            problem = error.strerror
    ports = f"port {port}" if port else f"ports {PORT} to {PORT + TRIED - 1}"
    raise RunError(f"{ports} of {HOST} cannot be used ({problem}); choose another port")


def address(listener: socket.socket) -> str:
    """What to type into a browser."""
    return f"http://{HOST}:{listener.getsockname()[1]}/"


def free_port(port: int | None) -> int:
    """A port as `listen` would choose it, for a server that must open it itself. Raises RunError."""
    with listen(port) as listener:
        return int(listener.getsockname()[1])
