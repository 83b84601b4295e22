"""The body of a request for speech: OpenAI's fields, and some fields of vtune's own."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError

from vtune.engines import audio_formats
from vtune.errors import choices, shown

SAMPLING_FIELDS = ("temperature", "top_p", "repetition_penalty")
"""Fields that are sampling options of the engine."""
NUMBER_FIELDS = ("speed", "seed", *SAMPLING_FIELDS)
"""Fields with numbers that some clients send as text."""


def _require_format(name: str) -> str:
    """Refuse a response format that neither vtune nor an extension has."""
    formats = audio_formats()
    if name not in formats:
        problem = f"there is no response format {shown(name)}{choices(name, formats, 'formats')}"
        raise PydanticCustomError("literal_error", "{problem}", {"problem": problem})
    return name


class _FormatNames:
    """Writes the names of the formats into the schema when it is asked for: extensions are not imported before."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        formats = audio_formats()
        described = "; ".join(f"{name}: {audio_format.description}" for name, audio_format in formats.items())
        return {"type": "string", "enum": list(formats), "description": described}


ResponseFormat = Annotated[str, AfterValidator(_require_format), _FormatNames()]


class VoiceId(BaseModel):
    """A voice as an object, which OpenAI's client may send."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: str = Field(min_length=1)


class SpeechRequest(BaseModel):
    """The body of ``POST /v1/audio/speech``.

    Unknown fields are ignored and named in a header of the response, ``null`` counts as missing, a number may be text.
    """

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    input: str = Field(min_length=1, description="The text to speak.")
    voice: Annotated[str, Field(min_length=1)] | VoiceId = Field(
        description="A voice, an alias, or a mix such as 0.7*anna+0.3*ben."
    )
    model: str = Field("vtune", description="Any name: all names mean the same model, and only the voice matters.")
    response_format: ResponseFormat = "mp3"
    stream_format: Literal["audio", "sse"] = "audio"
    stream: bool = Field(
        False,
        description="Send WAV and FLAC while the sound is made, without its length. Other formats are always sent "
        "like this.",
    )
    speed: float = Field(1.0, ge=0.25, le=4, description="The speed of speech, at the same pitch.")
    instructions: str | None = Field(None, description="Accepted from OpenAI's client, and ignored.")
    seed: int | None = Field(
        None, ge=0, lt=2**32, description="The same seed gives the same sound. If it is null, the seed is random."
    )
    temperature: float | None = Field(None, ge=0, le=10, description="A sampling option, for this request only.")
    top_p: float | None = Field(None, gt=0, le=1, description="A sampling option, for this request only.")
    repetition_penalty: float | None = Field(
        None, gt=0, le=100, description="A sampling option, for this request only."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_leniently(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = {name: value for name, value in data.items() if value is not None}
        return given | {name: _number(given[name]) for name in NUMBER_FIELDS if name in given}

    @property
    def is_whole(self) -> bool:
        """Whether the sound is sent when all of it is made, as a file whose header has its length."""
        is_streamed = self.stream or "stream_format" in self.model_fields_set
        return audio_formats()[self.response_format].has_length and not is_streamed

    @property
    def voice_name(self) -> str:
        """The name of the voice, sent as text or as an object."""
        return self.voice if isinstance(self.voice, str) else self.voice.id

    @property
    def sampling(self) -> dict[str, Any]:
        """Sampling options of the engine for this request only."""
        return {name: value for name in SAMPLING_FIELDS if (value := getattr(self, name)) is not None}

    @property
    def ignored_fields(self) -> list[str]:
        """Names of fields that were sent and are ignored, as far as a header can hold them."""
        ignored = ["instructions"] if self.instructions else []
        return ignored + [name for name in self.model_extra or {} if name.isascii() and name.isidentifier()][:20]


def _number(value: Any) -> Any:
    """Return the number that a text holds; return anything else unchanged, for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        with suppress(ValueError):
            return kind(value)
    return value
