"""Check requests to a local page: they need the token, a host name of this machine, and come from the page itself."""

from __future__ import annotations

import hmac
import secrets
from email.message import Message
from http.cookies import CookieError, SimpleCookie

from vtune.runtime.hostnames import ServerNames

TOKEN_HEADER = "X-Vtune-Token"


class AccessGuard:
    """Checks the requests to one server.

    :param host: the host that the server is bound to.
    """

    def __init__(self, host: str) -> None:
        self.token = secrets.token_urlsafe(24)
        self.names = ServerNames(host)

    def is_known(self, headers: Message, token: str, cookie: str) -> bool:
        """Tell whether a request has the token: in its URL, in a header, or in a cookie."""
        candidates = [token, headers.get(TOKEN_HEADER), _cookie(headers.get("Cookie"), cookie)]
        return any(
            hmac.compare_digest(candidate.encode(errors="replace"), self.token.encode())
            for candidate in candidates
            if candidate
        )

    @staticmethod
    def is_own(headers: Message) -> bool:
        """Tell whether a request comes from the server's own page, or from a program that is not a browser."""
        origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
        if site not in (None, "same-origin", "none"):
            return False
        return origin is None or origin.partition("://")[2] == headers.get("Host")


def _cookie(header: str | None, name: str) -> str | None:
    try:
        cookie = SimpleCookie(header or "").get(name)
    except CookieError:
        return None
    return cookie.value if cookie else None
