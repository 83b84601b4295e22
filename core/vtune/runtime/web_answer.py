"""Ask a web server as the client of the Hub does: through the same proxies and with the same certificates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """What a web server answered.

    :param status: of HTTP, 0 if nobody answered; ``problem`` then says why.
    """

    status: int
    body: str = ""
    problem: str = ""


def ask_web(url: str, token: str = "", seconds: float = 10.0) -> WebAnswer:
    """Get a URL; whatever goes wrong is part of the answer.

    :param token: is sent to the server of this URL alone.
    """
    # huggingface_hub brings requests, httpx or httpx2, each with errors of its own: its session is the same for all.
    from huggingface_hub import get_session

    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        response = get_session().get(url, headers=headers, timeout=seconds)
    except Exception as problem:
        return WebAnswer(0, problem=f"{type(problem).__name__}: {problem}"[:160])
    return WebAnswer(response.status_code, response.text[:2000])
