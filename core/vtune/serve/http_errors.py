"""What a client is told when something is wrong: OpenAI's error object, and never more than it needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse

from vtune.errors import VtuneError, in_a_line
from vtune.serve.failures import BrokenError, BusyError, StoppingError, UnknownVoiceError, UpstreamError


class Refusal(Exception):
    """An answer that is no sound.

    :param param: the field that is wrong.
    :param code: a word for programs.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.headers = status, param, code, dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the error object."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """Return the answer."""
        return JSONResponse(self.body(), self.status, self.headers)


def refusal_of(error: BaseException) -> Refusal:
    """Turn what went wrong into what a client is told; whatever it must not know stays in the log."""
    match error:
        case Refusal():
            return error
        case UnknownVoiceError():
            return Refusal(404, str(error), param="voice", code="voice_not_found")
        case BusyError():
            return Refusal(503, str(error), code="busy", headers={"Retry-After": str(error.retry_after)})
        case UpstreamError():
            headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            return Refusal(error.status, error.told, code=error.code, headers=headers)
        case StoppingError():
            return Refusal(503, str(error), code="stopping", headers={"Retry-After": "10"})
        case BrokenError():
            return Refusal(500, "this voice cannot be loaded; the server's log says why", code="voice_broken")
        case VtuneError():
            return Refusal(400, in_a_line(error))
        case _:
            return Refusal(500, "vtune has a mistake here; the server's log says which")


def refusal_of_body(errors: Sequence[Any]) -> Refusal:
    """Turn pydantic's complaints about a body into an answer: the first of them, with its field."""
    first = errors[0]
    if first["type"] == "json_invalid":
        said = first.get("ctx", {}).get("error", first["msg"])
        return Refusal(400, f"the body is no JSON: {said}", code="json_invalid")
    place = [str(part) for part in first["loc"] if part != "body"]
    if not place:
        return Refusal(400, f"the body: {first['msg']}")
    return Refusal(400, f"{place[0]}: {first['msg']}", param=place[0], code=str(first["type"]))
