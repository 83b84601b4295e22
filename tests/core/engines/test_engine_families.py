"""What engines of other families need: prepared texts, planned lengths, times of words, conversion, and missing
abilities."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from click.testing import CliRunner

import vtune
from vtune import pipeline
from vtune.engines import engine_recipes, load_recipe, use_engine_file
from vtune.engines.engine import TEXT_OPTIONS_KEY
from vtune.errors import EngineError, RecipeError, VoiceError
from vtune.recipe import find_recipe
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import read_conditioning
from vtune.voices.mixing import open_named
from vtune.voices.speech import open_voice
from vtune_cli import main

ENGINE = """
from pathlib import Path

import numpy as np
import torch
import vtune
import vtune_toy
from vtune_toy import load_base, fingerprint, collate, build_lora_model

SEEN = Path(__file__).with_suffix(".seen")


class Options(vtune_toy.ToyOptions):
    language: str = vtune.option("en", affects=("text", "sampling"), description="The language of the texts.")
    lexicon: dict[str, str] = vtune.option({}, affects="text", description="Words that are read otherwise.")


@vtune.hookimpl
def engine_info():
    return vtune.EngineInfo(
        sample_rate=8000, features_version="1", options=Options, lora=vtune.LoraSettings(rank=4, alpha=8),
        lora_targets={"all": ("inner", "outer")}, length_feature="labels", SUPPORTS
    )


@vtune.hookimpl
def prepare_text(text, options):
    if "unspeakable" in text:
        raise vtune.SkipClip("the word 'unspeakable' has no phonemes")
    for word, replacement in options["lexicon"].items():
        text = text.replace(word, replacement)
    return f"{options['language']}:{text}"


def note(hook, text):
    with SEEN.open("a") as file:
        file.write(f"{hook} {text}\\n")


@vtune.hookimpl
def prepare_sample(base, clip):
    note("encode", clip.text)
    return vtune_toy.prepare_sample(base, clip)


@vtune.hookimpl
def extract_conditioning(base, clips):
    note("keep", clips[0].text)
    return vtune_toy.extract_conditioning(base, clips)


@vtune.hookimpl
def synthesize(base, model, text, conditioning, seed, sampling):
    note("speak", text)
    spoken = text.partition(":")[2]
    words = spoken.split()
    for index, word in enumerate(words):
        ending = vtune.Ending.PLANNED if index == len(words) - 1 else None
        times = (vtune.WordTime(word, 0.1, 0.4),)
        yield vtune.Audio(np.full(4000, 0.1, np.float32), 8000, ending, times)


@vtune.hookimpl
def convert(base, model, audio, conditioning, seed, sampling):
    yield vtune.Audio((audio.waveform * 0.5).astype(np.float32), 8000, vtune.Ending.PLANNED)
"""


@pytest.fixture
def planned(tmp_path: Path, toy_recipe: Callable[..., Path]) -> Callable[..., VoiceFolder]:
    """Train a voice with the engine above."""

    def make(supports: str = "", **sections: object) -> VoiceFolder:
        path = tmp_path / "planned.py"
        path.write_text(ENGINE.replace("SUPPORTS", supports))
        use_engine_file(path)
        recipe = load_recipe(toy_recipe(engine=str(path), clips=3, **{"train": {"max_steps": 1}, **sections}))
        (voice,) = pipeline.run(recipe)
        return voice

    return make


def seen(tmp_path: Path, hook: str) -> list[str]:
    lines = (tmp_path / "planned.seen").read_text().splitlines()
    return [text for name, _, text in (line.partition(" ") for line in lines) if name == hook]


def test_texts_are_prepared_alike_in_training_and_in_speaking(planned, tmp_path):
    voice = planned(engine_options={"language": "de", "lexicon": {"there": "theah"}})
    assert {text.partition(":")[0] for text in seen(tmp_path, "encode") + seen(tmp_path, "keep")} == {"de"}
    assert "de:hello theah" in seen(tmp_path, "speak")
    kept = json.loads(read_conditioning(voice.conditioning).strings[TEXT_OPTIONS_KEY])
    assert kept == {"language": "de", "lexicon": {"there": "theah"}}

    (tmp_path / "planned.seen").write_text("")
    opened = open_voice(voice)
    list(opened.stream("hello there"))
    list(opened.stream("hello there", sampling={"language": "nl"}))
    list(open_voice(voice, options={"lexicon": {}}).stream("hello there"))
    list(open_named(f"0.5*{voice.path}", voice.path.parent).stream("hello there"))
    assert seen(tmp_path, "speak") == ["de:hello theah", "nl:hello theah", "de:hello there", "de:hello theah"]


def test_another_lexicon_encodes_and_trains_again(planned, tmp_path):
    planned()
    before = len(seen(tmp_path, "encode"))
    planned(engine_options={"lexicon": {"one": "wan"}})
    assert len(seen(tmp_path, "encode")) == 2 * before


def test_a_text_that_cannot_be_prepared_is_said_in_one_line(planned):
    opened = open_voice(planned())
    with pytest.raises(VoiceError, match="'an unspeakable word' cannot be spoken: the word 'unspeakable' has no phon"):
        list(opened.stream("an unspeakable word"))


def test_a_planned_ending_is_no_stop(planned):
    voice = planned(evaluate={"clips": 2, "metrics": ["delivery"]}, train={"max_steps": 1, "validation": 0.4})
    scores = json.loads(voice.scores.read_text())
    assert "duration_ratio" in json.dumps(scores)
    assert "stop_rate" not in json.dumps(scores["systems"])
    assert "themselves" not in voice.card.read_text()


def test_word_times_count_from_the_start_of_the_whole_sound(planned, tmp_path):
    voice = planned()
    spoken = vtune.Voice.load(voice.path).say("one two\n* * *\nthree")
    assert [(time.word, round(time.start, 3)) for time in spoken.words] == [("one", 0.1), ("two", 0.6), ("three", 2.1)]
    out = tmp_path / "out.wav"
    arguments = ["say", str(voice.path), "one two", "--out", str(out), "--engine-file", str(tmp_path / "planned.py")]
    result = CliRunner().invoke(main, [*arguments, "--word-times"])
    assert result.exit_code == 0, result.output
    assert json.loads(out.with_suffix(".words.json").read_text()) == [
        {"word": "one", "start": 0.1, "end": 0.4},
        {"word": "two", "start": 0.6, "end": 0.9},
    ]


def test_a_recording_is_converted(planned, tmp_path):
    voice = planned()
    recording = tmp_path / "in.wav"
    sound = np.sin(np.arange(16000) / 20).astype(np.float32) * 0.5
    soundfile.write(recording, sound, 16000)
    out = tmp_path / "out.wav"
    arguments = [str(voice.path), str(recording), "--out", str(out), "--engine-file", str(tmp_path / "planned.py")]
    result = CliRunner().invoke(main, ["convert", *arguments])
    assert result.exit_code == 0, result.output
    written, rate = soundfile.read(out)
    assert (rate, len(written)) == (8000, 8000)  # one second, at the rate of the engine
    assert np.sqrt(np.mean(written**2)) == pytest.approx(0.5 * np.sqrt(np.mean(sound**2)), rel=0.02)
    assert vtune.Voice.load(voice.path).convert(recording).ending == vtune.Ending.PLANNED


def test_an_engine_that_does_not_convert_says_so(trained_voice, tmp_path):
    soundfile.write(tmp_path / "in.wav", np.zeros(800), 8000)
    with pytest.raises(EngineError, match="engine 'toy' only speaks texts: it has no hook 'convert'"):
        vtune.Voice.load(trained_voice().path).convert(tmp_path / "in.wav")


def test_what_an_engine_does_not_support_is_said_before_it_is_tried(planned, tmp_path):
    voice = planned("supports=frozenset({'text', 'streaming'})")
    with pytest.raises(EngineError, match="does not support mixing: it cannot speak with the mean of several voices"):
        open_named("0.5*someone+0.5*other", shutil.copytree(voice.path, voice.path.with_name("other")).parent)
    for verb in (
        ["merge", str(voice.path), str(tmp_path / "m")],
        [
            "export",
            str(voice.path),
            str(tmp_path / "m"),
            "--to",
            "merged",
            "--without-consent",
            "I have the right to publish this voice",
        ],
    ):
        result = CliRunner().invoke(main, [*verb, "--engine-file", str(tmp_path / "planned.py")])
        assert result.exit_code == 1
        assert "does not support merging: it cannot fold an adapter into its base" in result.output
    with pytest.raises(RecipeError, match=r"recipe.yaml:\d+: engine .* does not support full: it cannot train all wei"):
        planned("supports=frozenset({'text'})", train={"method": "full"})


def test_an_engine_without_texts_makes_voices_that_convert(planned, tmp_path):
    supports = "supports=frozenset({'mixing'})"
    with pytest.raises(RecipeError, match="does not support text: it cannot speak sentences; set \\[\\]"):
        planned(supports)
    voice = planned(supports, evaluate={"sentences": []})
    with pytest.raises(EngineError, match="does not support text: it cannot speak a text; use vtune convert"):
        list(open_voice(voice).stream("hello"))
    soundfile.write(tmp_path / "in.wav", np.zeros(800), 8000)
    assert len(vtune.Voice.load(voice.path).convert(tmp_path / "in.wav").waveform) == 800


def test_engines_bring_recipes(install, engine, tmp_path):
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "acme_voice.yaml").write_text(
        "# A voice of acme\n" + yaml.safe_dump({"voice": "a", "engine": "acme", "data": [{"source": "x"}]})
    )
    source = engine.replace(
        'length_feature="tokens"', f'length_feature="tokens", recipes=__import__("pathlib").Path({str(folder)!r})'
    )
    install("acme", "vtune.engines", {"acme": "acme_engine"}, acme_engine=source)
    assert engine_recipes()["acme_voice"] == (folder / "acme_voice.yaml", "acme")
    assert load_recipe("acme_voice").engine == "acme"
    assert (
        "acme_voice               A voice of acme (comes with engine acme)"
        in CliRunner().invoke(main, ["recipe", "list"]).output
    )
    with pytest.raises(RecipeError, match="did you mean 'acme_voice'"):
        load_recipe("acme_voise")
    with pytest.raises(RecipeError):
        find_recipe("acme_voice")

    install("acme2", "vtune.engines", {"acme2": "acme2_engine"}, acme2_engine=source)
    with pytest.raises(RecipeError, match="engines 'acme' and 'acme2' both bring a recipe 'acme_voice'"):
        load_recipe("acme_voice")
