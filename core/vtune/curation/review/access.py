"""Who may ask: those who know the token, through a name of this machine, from the review's own page."""

from __future__ import annotations

import hmac
import secrets
from email.message import Message
from http.cookies import CookieError, SimpleCookie

from vtune.runtime.hostnames import Names

HEADER = "X-Vtune-Token"


class Guard:
    """Checks requests of one server.

    :param host: that the server is bound to.
    """

    def __init__(self, host: str) -> None:
        self.token = secrets.token_urlsafe(24)
        self.names = Names(host)

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


def _cookie(header: str | None, name: str) -> str | None:
    try:
        found = SimpleCookie(header or "").get(name)
    except CookieError:
        return None
    return found.value if found else None
