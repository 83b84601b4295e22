from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, PositiveInt, ValidationError

import vtune
from vtune.types import Settings, effects_of
from vtune.types.options import features_values, runtime_values, sampling_names, speech_values, training_values


class Inner(Settings):
    depth: int = 1


class Options(vtune.EngineOptions):
    frames: PositiveInt = vtune.option(10, affects="features", le=20, description="The budget.")
    rate: Annotated[float, Field(ge=0)] = vtune.option(0.5, affects="training")
    clips: int = vtune.option(1, affects=("speech", "sampling"))
    beams: int = vtune.option(2, affects="sampling")
    kernel: str = vtune.option("auto", affects=("training", "runtime"))
    inner: Inner = vtune.option(Inner(), affects="runtime")
    names: list[str] = vtune.option(default_factory=lambda: ["a"], affects="features")


def test_each_key_takes_its_options_from_what_the_fields_declare():
    options = Options()
    assert features_values(options) == {"frames": 10, "names": ["a"]}
    assert training_values(options) == {"frames": 10, "rate": 0.5, "kernel": "auto", "names": ["a"]}
    assert speech_values(options) == {"clips": 1}
    assert runtime_values(options) == {"kernel": "auto", "inner": {"depth": 1}}
    assert sampling_names(Options) == ["clips", "beams"]
    assert features_values(vtune.EngineOptions()) == {}


def test_an_option_is_a_field_of_pydantic_with_its_constraints_and_its_effects_in_the_schema():
    for wrong in ({"frames": 21}, {"frames": 0}, {"rate": -1}, {"inner": {"width": 1}}):
        with pytest.raises(ValidationError):
            Options.model_validate(wrong)
    schema = Options.model_json_schema()["properties"]
    assert schema["frames"]["affects"] == ["features"]
    assert schema["frames"]["description"] == "The budget."
    assert schema["kernel"]["affects"] == ["training", "runtime"]


def test_a_plain_field_declares_nothing():
    class Plain(vtune.EngineOptions):
        size: int = 1
        other: int = Field(1, json_schema_extra={"affects": "features"})

    assert effects_of(Plain, "size") == effects_of(Plain, "other") == []
    assert effects_of(Options, "clips") == ["speech", "sampling"]
