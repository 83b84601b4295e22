"""Engines that do not tell the truth about their options: the kit names the option and what to write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vtune.engines import load_engine, load_users_engine
from vtune.testing import check_options, made_clip

CLIPS = [made_clip(8000, seconds, number) for number, seconds in enumerate((0.4, 0.6))]

ENGINE = """
import vtune
import vtune_toy
from vtune_toy import build_lora_model, collate, extract_conditioning, load_base, prepare_sample, synthesize

class Options(vtune_toy.ToyOptions):
    {field}

@vtune.hookimpl
def engine_info():
    return vtune.EngineInfo(8000, "1", Options, length_feature="labels", lora=vtune.LoraSettings(rank=4))
"""

KEEPS_AN_OPTION_OF_ITS_BASE = """
class Base(vtune_toy.ToyBase):
    def __init__(self, options, device, dtype):
        super().__init__(options, device, dtype)
        self.options = options.model_copy(update={"pitch": options.max_frames})

@vtune.hookimpl
def load_base(options, device, dtype):
    return Base(options, device, dtype)
"""

IGNORES_SAMPLING = """
@vtune.hookimpl
def synthesize(base, model, text, conditioning, seed, sampling):
    return vtune_toy.synthesize(base, model, text, conditioning, seed, {})
"""


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[..., str]:
    def check(field: str, more: str = "") -> str:
        path = tmp_path / "lying.py"
        path.write_text(ENGINE.format(field=field) + more)
        with pytest.raises(AssertionError) as caught:
            check_options(load_users_engine(str(path)), {}, CLIPS)
        return str(caught.value)

    return check


@pytest.mark.parametrize(
    ("field", "more", "message"),
    [
        (
            "max_frames: int = vtune.option(1000, affects='speech', ge=1)",
            "",
            "The option 'max_frames' declares that it affects speech, but prepare_sample returns other features when "
            "it is 1 instead of 1000. Write affects=('speech', 'features') in the declaration of 'max_frames'.",
        ),
        (
            "dropout: float = vtune.option(0.0, affects='runtime', lt=1)",
            "",
            "The option 'dropout' declares that it affects runtime, but the loss of a batch changes when it is 0.5 "
            "instead of 0.0. Write affects=('runtime', 'training') in the declaration of 'dropout'.",
        ),
        (
            "pace: float = vtune.option(1.0, affects='runtime')",
            "",
            "The option 'pace' declares that it affects runtime, but extract_conditioning keeps something else when it "
            "is 0.25 instead of 1.0. Write affects=('runtime', 'speech') in the declaration of 'pace'.",
        ),
        (
            "pitch: float = vtune.option(220.0, affects='speech')",
            "",
            "synthesize reads the option 'pitch' of the base, which affects speech: a server speaks voices that differ "
            "in it with one base. Keep the value in the conditioning, or declare that the option also affects "
            "'sampling' (and take it from there) or 'runtime'.",
        ),
        (
            "pass",
            KEEPS_AN_OPTION_OF_ITS_BASE,
            "The option 'max_frames' declares that it affects features, but synthesize speaks otherwise with the same "
            "adapter and conditioning when it is 1 instead of 1000. Write affects=('features', 'runtime') in the "
            "declaration of 'max_frames'.",
        ),
        (
            "pass",
            IGNORES_SAMPLING,
            "The option 'pitch' declares that it affects sampling, but synthesize speaks otherwise with "
            "sampling={'pitch': 55.0} than with a base that has this value. Take the value from `sampling`: "
            "sampling.get('pitch', base.options.pitch).",
        ),
    ],
)
def test_an_option_that_affects_what_it_does_not_declare_is_named(
    refusal: Callable[..., str], field: str, more: str, message: str
) -> None:
    assert refusal(field, more) == message


def test_a_text_whose_other_values_are_not_known_is_changed_to_the_given_one(tmp_path: Path) -> None:
    path = tmp_path / "lying.py"
    path.write_text(
        ENGINE.format(field="words: str = vtune.option('yes', affects='runtime')")
        + """
@vtune.hookimpl
def extract_conditioning(base, clips):
    kept = vtune_toy.extract_conditioning(base, clips)
    return vtune.Conditioning(kept.tensors, {"words": base.options.words})
"""
    )
    engine = load_users_engine(str(path))
    check_options(engine, {}, CLIPS)
    with pytest.raises(AssertionError, match=r"The option 'words' .* extract_conditioning keeps something else"):
        check_options(engine, {}, CLIPS, changes={"words": "no"})


def test_a_key_that_forgets_an_option_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vtune.testing.option_effects.training_values", lambda options: {})
    message = r"The option 'width' affects runtime and training, but another value changes the key of runtime\."
    with pytest.raises(AssertionError, match=message):
        check_options(load_engine("toy"), {}, CLIPS)
