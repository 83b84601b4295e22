"""The settings file of a server: aliases and limits."""

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
    """A vLLM server that draws the tokens."""

    at_once: PositiveInt = Field(32, description="requests that speak at the same time")
    patience: PositiveFloat = Field(120.0, description="seconds without a token after which the server counts as gone")
    load: bool = Field(
        True,
        description="true: load voices on demand; false: ask for voices by their own names, which every replica knows",
    )
    voices: str | None = Field(
        None,
        description="the folder of voices as vLLM sees it, where vLLM runs on another machine; default: the same path",
    )
    command: str = Field("vllm", min_length=1, description="the program that vtune starts")
    arguments: tuple[str, ...] = Field(
        (), description="further arguments of the program, for example [--dtype, bfloat16]; they come last"
    )
    max_model_len: PositiveInt = Field(
        8192, description="tokens of one sequence, prompt and sound, within the limit of the base"
    )
    max_loras: PositiveInt = Field(8, description="voices in one batch")
    max_cpu_loras: PositiveInt = Field(64, description="voices in memory")
    start: PositiveFloat = Field(900.0, description="seconds in which a started vLLM must be ready")
    health_interval_seconds: PositiveFloat = Field(5.0, description="seconds between two requests for /health")
    hang_seconds: PositiveFloat = Field(
        60.0, description="seconds without an answer from /health after which a vLLM that vtune started is restarted"
    )
    restarts: NonNegativeInt = Field(
        5, description="restarts within restart_window_seconds of a vLLM that vtune started and that died"
    )
    restart_window_seconds: PositiveFloat = Field(1800.0, description="seconds over which restarts are counted")
    restart_wait_seconds: PositiveFloat = Field(
        1.0, description="seconds before a restart; doubled for each restart that counts, 60 at most"
    )


class ServeSettings(Settings):
    """Aliases and limits of a server."""

    aliases: dict[str, str] = Field(
        default_factory=dict,
        description="other names for voices and mixes: 'alloy: jane'; a voice's own name goes first",
    )
    preload: tuple[str, ...] | None = Field(
        None, description="voices to load when the server starts; default: the first voice, [] for none"
    )
    models: tuple[str, ...] = Field(
        ("vtune", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"),
        min_length=1,
        description="names that /v1/models lists; a request may use any name, because the voice decides what speaks",
    )
    open_lists: bool = Field(
        False, description="list voices and models without a key, for clients that ask for the lists without one"
    )
    max_characters: PositiveInt = Field(4096, description="characters of one text; the default is OpenAI's limit")
    max_seconds: PositiveFloat = Field(
        600.0, description="seconds of sound in one response; a longer response is cut with an error"
    )
    turns: PositiveInt = Field(
        8, description="requests that one base speaks by turns, one piece each, or in one batch if the engine can"
    )
    waiting: PositiveInt = Field(32, description="requests that may wait for one base; further requests get 503")
    longest_wait: PositiveFloat = Field(
        300.0, description="seconds that a request may wait for its turn before it gets 503"
    )
    answers: PositiveInt = Field(
        64, description="responses that may be sent at the same time, also to slow clients; further requests get 503"
    )
    connections: PositiveInt = Field(
        512, description="open connections, within the process's limit of open files; further connections get 503"
    )
    connections_per_client: PositiveInt = Field(
        64, description="open connections from one address of another machine; further connections get 503"
    )
    proxies: tuple[str, ...] = Field(
        (),
        description="addresses of proxies whose X-Forwarded-For is trusted: the log has the client's own address, and "
        "connections_per_client does not apply to the proxies",
    )
    bases: PositiveInt = Field(
        1,
        description="bases in memory; a new base replaces the least recently used one, and bases in demand take turns",
    )
    adapters: PositiveInt = Field(16, description="voices in memory for each base")
    mix_voices: PositiveInt = Field(8, description="voices that a mix may have; 1 turns mixes off")
    stalled: PositiveFloat = Field(60.0, description="seconds after which a client that reads nothing is disconnected")
    drain_seconds: NonNegativeFloat = Field(
        10.0, description="seconds that running responses have to finish when the server is stopped"
    )

    vllm: VllmSettings = Field(default_factory=VllmSettings, description="settings of the backend vllm")

    @model_validator(mode="after")
    def _each_turn_has_its_voice(self) -> Self:
        if self.adapters < self.turns:
            raise ValueError(f"adapters {self.adapters} is less than turns {self.turns}, and each may be another voice")
        return self


def read_settings(path: Path) -> ServeSettings:
    """Read a server's settings from YAML. :raises VtuneError: the file cannot be read, or a key is wrong."""
    try:
        data = read_yaml(path)
    except RecipeError as error:
        raise VtuneError(error.problems[0]) from error
    if data is not None and not isinstance(data, dict):
        raise VtuneError(f"{path}: expected a mapping of keys to values, found {shown(data)}")
    try:
        return ServeSettings.model_validate(data or {})
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            *above, key = map(str, first["loc"])
            fields = (VllmSettings if above else ServeSettings).model_fields
            raise VtuneError(f"{path}: there is no key {'.'.join([*above, key])!r}{nearest(key, fields)}") from error
        raise VtuneError(f"{path}: {first_problem(error)}") from error
