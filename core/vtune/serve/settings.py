"""What a server may be told in a file of its own: aliases and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from vtune.errors import RecipeError, VtuneError, first_problem, nearest, shown
from vtune.recipe.parse import read_yaml
from vtune.types import Settings


class VllmSettings(Settings):
    """A vLLM server, where one draws the tokens."""

    at_once: PositiveInt = Field(32, description="requests that are spoken at once")
    patience: PositiveFloat = Field(120.0, description="seconds without a token after which it is taken for gone")
    load: bool = Field(
        True, description="load voices on demand; false: ask for them by their own names, which every replica knows"
    )
    voices: str | None = Field(
        None, description="the folder of voices as a server that runs elsewhere sees it; default: as it is seen here"
    )
    command: str = Field("vllm", min_length=1, description="the program that is started")
    arguments: tuple[str, ...] = Field((), description="further ones, say [--dtype, bfloat16]; they come last")
    max_model_len: PositiveInt = Field(8192, description="tokens of one row, prompt and sound, as far as the base goes")
    max_loras: PositiveInt = Field(8, description="voices that are spoken with in one batch")
    max_cpu_loras: PositiveInt = Field(64, description="voices that are kept in memory")
    start: PositiveFloat = Field(900.0, description="seconds in which it must be ready")
    health_interval_seconds: PositiveFloat = Field(5.0, description="seconds between two looks at its /health")
    hang_seconds: PositiveFloat = Field(
        60.0, description="seconds without an answer from /health after which one that was started is ended and started"
    )
    restarts: NonNegativeInt = Field(
        5, description="times within restart_window_seconds that one that was started is started again after it died"
    )
    restart_window_seconds: PositiveFloat = Field(1800.0, description="seconds in which deaths are counted")
    restart_wait_seconds: PositiveFloat = Field(
        1.0, description="seconds before it is started again; doubled for each death that counts, 60 at most"
    )


class ServeSettings(Settings):
    """Aliases and limits of a server."""

    aliases: dict[str, str] = Field(
        default_factory=dict, description="further names of voices and mixes: 'alloy: jane'; a voice's own name wins"
    )
    preload: tuple[str, ...] | None = Field(
        None, description="voices that are loaded when the server starts; default: the first one, [] for none"
    )
    models: tuple[str, ...] = Field(
        ("vtune", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"),
        min_length=1,
        description="names that /v1/models lists; a request may call the model anything, the voice decides",
    )
    open_lists: bool = Field(
        False, description="voices and models are listed without a key, for clients that ask for them without one"
    )
    max_characters: PositiveInt = Field(4096, description="of one text; OpenAI's limit")
    max_seconds: PositiveFloat = Field(600.0, description="of sound in one answer; a longer one is broken off")
    turns: PositiveInt = Field(
        8, description="requests that one base speaks in turn, a piece each, or side by side where the engine can"
    )
    waiting: PositiveInt = Field(32, description="requests that wait for one base; more are refused with 503")
    longest_wait: PositiveFloat = Field(
        300.0, description="seconds that a request waits for its turn; then it is refused with 503"
    )
    answers: PositiveInt = Field(
        64, description="answers on their way to clients, however slowly they take them; more are refused with 503"
    )
    connections: PositiveInt = Field(
        512, description="open connections, as far as the process's limit of open files goes; more are refused with 503"
    )
    connections_per_client: PositiveInt = Field(
        64, description="open connections from one address of another machine; more are refused with 503"
    )
    proxies: tuple[str, ...] = Field(
        (),
        description="addresses of proxies whose X-Forwarded-For is believed: the log has the client's own address, and "
        "connections_per_client does not apply to them",
    )
    bases: PositiveInt = Field(
        1, description="bases in memory; the one that was longest unused makes room, and bases in demand take turns"
    )
    adapters: PositiveInt = Field(16, description="voices in memory beside one base")
    mix_voices: PositiveInt = Field(8, description="voices in one mix; 1 for no mixes")
    stalled: PositiveFloat = Field(60.0, description="seconds after which a client that takes nothing is let go")
    drain_seconds: NonNegativeFloat = Field(
        10.0, description="seconds that answers on their way have to finish when the server is stopped"
    )

    vllm: VllmSettings = Field(default_factory=VllmSettings, description="for the back end vllm")

    @model_validator(mode="after")
    def _each_turn_has_its_voice(self) -> Self:
        if self.adapters < self.turns:
            raise ValueError(f"adapters {self.adapters} is less than turns {self.turns}, and each may be another voice")
        return self


def read_settings(path: Path) -> ServeSettings:
    """Read a server's settings from YAML. :raises VtuneError: it cannot be read, or a key is wrong; one line."""
    try:
        data = read_yaml(path)
    except RecipeError as error:
        raise VtuneError(error.problems[0]) from error
    if data is not None and not isinstance(data, dict):
        raise VtuneError(f"{path}: settings are a mapping of keys to values, found {shown(data)}")
    try:
        return ServeSettings.model_validate(data or {})
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            *above, key = map(str, first["loc"])
            fields = (VllmSettings if above else ServeSettings).model_fields
            raise VtuneError(f"{path}: there is no key {'.'.join([*above, key])!r}{nearest(key, fields)}") from error
        raise VtuneError(f"{path}: {first_problem(error)}") from error
