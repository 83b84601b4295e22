"""A format in which speech leaves vtune: the name, and what encodes the sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from vtune.types.sound import Waveform


class Encoder(Protocol):
    """Encodes mono sound piece by piece to the bytes of one file."""

    def add(self, waveform: Waveform) -> bytes:
        """Encode one piece; return the bytes that can be written now, possibly none."""
        ...

    def end(self) -> bytes:
        """Return the rest of the file."""
        ...

    def with_length(self, file: bytes) -> bytes:
        """Return the finished file with its length in the header, if the format's header has a length."""
        ...


@dataclass(frozen=True, slots=True, config=ConfigDict(strict=True, arbitrary_types_allowed=True))
class AudioFormat:
    """A format in which speech leaves vtune; each module of ``vtune.audio.formats`` declares one as ``FORMAT``.

    :param name: the ``response_format`` of a request, and the ending of a file: small letters and digits.
    :param media_type: MIME type, as HTTP headers name it.
    :param description: a few words for help texts and docs.
    :param encoder: makes a new ``Encoder`` for a sample rate in Hz and a comment, which may be empty.
    :param has_length: the header says how long the file is, so the header can only be written at the end.
    :param sample_rates: Hz that the format can have; empty if any.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]{1,20}$")]
    media_type: Annotated[str, Field(pattern=r"^[\x21-\x7e]+/[\x20-\x7e]+$")]
    description: str
    encoder: Callable[[int, str], Encoder]
    has_length: bool = False
    sample_rates: tuple[Annotated[int, Field(gt=0)], ...] = ()

    def rate_for(self, sample_rate: int) -> int:
        """Return the sample rate in Hz that sound of a sample rate is written at: the same or the next higher one."""
        if not self.sample_rates or sample_rate in self.sample_rates:
            return sample_rate
        return min((rate for rate in self.sample_rates if rate > sample_rate), default=max(self.sample_rates))
