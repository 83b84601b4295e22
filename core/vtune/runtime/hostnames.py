"""Names and addresses of a server, and which of them can only be this machine."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit


class ServerNames:
    """The names by which clients may call one server.

    :param host: name or address that the server is bound to.
    """

    def __init__(self, host: str) -> None:
        self.local = is_loopback(host)
        self._names = {"localhost"} if self.local else {"localhost", host.lower(), socket.gethostname().lower()}

    def include(self, host: str) -> bool:
        """Tell whether a ``Host`` header names this server; another name may come from an attack by DNS rebinding.

        The port is not compared, because a tunnel has a port of its own.
        """
        name = _name(host)
        return name in self._names or is_loopback(name) or (not self.local and _is_address(name))


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address can only be this machine."""
    if host == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def server_url(host: str, port: int) -> str:
    """Return the URL of a server, for a browser."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
