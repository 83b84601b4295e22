"""Errors as clients get them: OpenAI's error object, which never says more than a client needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse

from vtune.errors import VtuneError, in_a_line
from vtune.serve.failures import (
    BusyError,
    StoppingError,
    UnknownVoiceError,
    UpstreamError,
    VoiceBrokenError,
    VoiceReplacedError,
)


class HttpError(Exception):
    """A response with an error instead of sound.

    :param param: the field of the request that is wrong.
    :param code: a short name of the error, for programs.
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
        """Return the HTTP response."""
        return JSONResponse(self.body(), self.status, self.headers)


def http_error_of(error: BaseException) -> HttpError:
    """Return what a client is told about an error; details that it must not know stay in the log."""
    match error:
        case HttpError():
            return error
        case UnknownVoiceError():
            return HttpError(404, str(error), param="voice", code="voice_not_found")
        case BusyError():
            return HttpError(503, str(error), code="busy", headers={"Retry-After": str(error.retry_after)})
        case UpstreamError():
            headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            return HttpError(error.status, error.client_message, code=error.code, headers=headers)
        case StoppingError():
            return HttpError(503, str(error), code="stopping", headers={"Retry-After": "10"})
        case VoiceReplacedError():
            return HttpError(503, str(error), param="voice", code="voice_replaced", headers={"Retry-After": "1"})
        case VoiceBrokenError():
            return HttpError(500, "this voice cannot be loaded; the server's log says why", code="voice_broken")
        case VtuneError():
            return HttpError(400, in_a_line(error))
        case _:
            return HttpError(500, "this is a bug in vtune; the server's log has its traceback")


def http_error_of_body(errors: Sequence[Any]) -> HttpError:
    """Return the first of pydantic's errors about a body, with its field."""
    first = errors[0]
    if first["type"] == "json_invalid":
        problem = first.get("ctx", {}).get("error", first["msg"])
        return HttpError(400, f"the body is not JSON: {problem}", code="json_invalid")
    keys = [str(part) for part in first["loc"] if part != "body"]
    if not keys:
        return HttpError(400, f"the body: {first['msg']}")
    return HttpError(400, f"{keys[0]}: {first['msg']}", param=keys[0], code=str(first["type"]))
