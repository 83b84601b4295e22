"""Who may ask: those who know the token, through a name of this machine, from the review's own page."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from email.message import Message
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

HEADER = "X-Vtune-Token"


class Guard:
    """Checks requests of one server.

    :param host: that the server is bound to.
    """

    def __init__(self, host: str) -> None:
        self.token = secrets.token_urlsafe(24)
        self.local = is_loopback(host)
        self._names = {"localhost"} if self.local else {"localhost", host.lower(), socket.gethostname().lower()}

    def is_called(self, host: str) -> bool:
        """Tell whether a ``Host`` header names this server; any other name may be one that was rebound to it.

        The port may be another: that of a tunnel.
        """
        name = _name(host)
        return name in self._names or is_loopback(name) or (not self.local and _is_address(name))

    def is_known(self, headers: Message, token: str, cookie: str) -> bool:
        """Tell whether a request has the token: in its address, in a header, or in a cookie."""
        given = [token, headers.get(HEADER), _cookie(headers.get("Cookie"), cookie)]
        return any(hmac.compare_digest(one.encode(errors="replace"), self.token.encode()) for one in given if one)

    @staticmethod
    def is_own(headers: Message) -> bool:
        """Tell whether a request that changes something comes from the review's own page, or from no page at all."""
        origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
        if site not in (None, "same-origin", "none"):
            return False
        return origin is None or origin.partition("://")[2] == headers.get("Host")


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address can only be this machine."""
    if host == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


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


def _cookie(header: str | None, name: str) -> str | None:
    try:
        found = SimpleCookie(header or "").get(name)
    except CookieError:
        return None
    return found.value if found else None
