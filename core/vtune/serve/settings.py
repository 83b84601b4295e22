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
    """Settings of a vLLM server that samples the tokens."""

    at_once: PositiveInt = Field(32, description="The number of requests that vLLM answers at the same time.")
    patience: PositiveFloat = Field(
        120.0, description="The number of seconds without a token after which vLLM counts as gone."
    )
    load: bool = Field(
        True,
        description="If true, vtune loads voices into vLLM on demand. If false, vtune asks for voices by their "
        "names, which each replica must know.",
    )
    voices: str | None = Field(
        None,
        description="The folder of voices as vLLM sees it, if vLLM runs on another machine. If it is null, the path "
        "is the same.",
    )
    command: str = Field("vllm", min_length=1, description="The program that vtune starts.")
    arguments: tuple[str, ...] = Field(
        (), description="Further arguments of the program, for example `[--dtype, bfloat16]`. They come last."
    )
    max_model_len: PositiveInt = Field(
        8192, description="The number of tokens in one sequence, prompt and sound together. The base has its own limit."
    )
    max_loras: PositiveInt = Field(8, description="The number of voices in one batch.")
    max_cpu_loras: PositiveInt = Field(64, description="The number of voices in memory.")
    start: PositiveFloat = Field(900.0, description="The number of seconds in which a started vLLM must be ready.")
    health_interval_seconds: PositiveFloat = Field(
        5.0, description="The number of seconds between two requests for `/health`."
    )
    hang_seconds: PositiveFloat = Field(
        60.0,
        description="The number of seconds without an answer from `/health` after which vtune restarts the vLLM that "
        "it started.",
    )
    restarts: NonNegativeInt = Field(
        5, description="The number of times that vtune restarts a vLLM that died, within `restart_window_seconds`."
    )
    restart_window_seconds: PositiveFloat = Field(
        1800.0, description="The number of seconds over which restarts are counted."
    )
    restart_wait_seconds: PositiveFloat = Field(
        1.0, description="The number of seconds before a restart. It is doubled after each counted restart, up to 60."
    )


class ServeSettings(Settings):
    """Aliases and limits of a server."""

    aliases: dict[str, str] = Field(
        default_factory=dict,
        description="Other names for voices and mixes, such as `alloy: jane`. A voice of that name takes precedence.",
    )
    preload: tuple[str, ...] | None = Field(
        None,
        description="The voices that are loaded when the server starts. If it is null, the first voice is loaded; "
        "`[]` loads none.",
    )
    models: tuple[str, ...] = Field(
        ("vtune", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"),
        min_length=1,
        description="The names that `/v1/models` lists. A request may use any name, because only its voice matters.",
    )
    open_lists: bool = Field(
        False,
        description="Whether voices and models are listed without an API key, for clients that send none for the "
        "lists.",
    )
    max_characters: PositiveInt = Field(
        4096, description="The number of characters that a text may have. The default is OpenAI's limit."
    )
    max_seconds: PositiveFloat = Field(
        600.0, description="The number of seconds of sound in one response. A longer response is cut off with an error."
    )
    turns: PositiveInt = Field(
        8,
        description="The number of requests that one base speaks at the same time: by turns, one piece each, or in "
        "one batch if "
        "the engine can.",
    )
    waiting: PositiveInt = Field(
        32, description="The number of requests that may wait for one base. Further requests get 503."
    )
    longest_wait: PositiveFloat = Field(
        300.0, description="The number of seconds that a request may wait for its turn before it gets 503."
    )
    answers: PositiveInt = Field(
        64,
        description="The number of responses that may be sent at the same time, also to slow clients. Further "
        "requests get 503.",
    )
    connections: PositiveInt = Field(
        512,
        description="The number of open connections, within the process's limit of open files. Further connections "
        "get 503.",
    )
    connections_per_client: PositiveInt = Field(
        64,
        description="The number of open connections from one address of another machine. Further connections get 503.",
    )
    proxies: tuple[str, ...] = Field(
        (),
        description="The addresses of proxies whose `X-Forwarded-For` is trusted: the log has the client's own "
        "address, and "
        "`connections_per_client` does not apply to these proxies.",
    )
    bases: PositiveInt = Field(
        1,
        description="The number of bases in memory. A new base replaces the least recently used base, and bases in "
        "demand take "
        "turns.",
    )
    adapters: PositiveInt = Field(16, description="The number of voices in memory for each base.")
    mix_voices: PositiveInt = Field(8, description="The number of voices that a mix may have. 1 turns mixes off.")
    stalled: PositiveFloat = Field(
        60.0, description="The number of seconds after which a client that reads nothing is disconnected."
    )
    drain_seconds: NonNegativeFloat = Field(
        10.0, description="The number of seconds that running responses have to finish when the server is stopped."
    )

    vllm: VllmSettings = Field(default_factory=VllmSettings, description="Settings of the backend vllm.")

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
