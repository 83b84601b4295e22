"""IndexTTS-2.5 in the real pipeline: a voice that speaks without a reference, in several languages and at any speed."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from indextts2_runs import Made, run_recipe, spoken
from safetensors.torch import load_file

from vtune.errors import VoiceError
from vtune.export.consent import CONSENT_SENTENCE
from vtune.export.export import export
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import read_record
from vtune.voices.speech import open_voice
from vtune_cli.main import main
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.speaker_reference import speaker_of

Run = Callable[..., list[VoiceFolder]]


@pytest.fixture(scope="module")
def run(speakers: Path, tiny25: Path) -> Run:
    return partial(run_recipe, speakers, tiny25)


@pytest.fixture(scope="module")
def made(made25: Made) -> Made:
    return made25


def command(made: Made, *arguments: str) -> Any:
    return CliRunner().invoke(main, [*arguments, "--voices", str(made.folder.path.parent)])


# Training


def test_what_the_voice_keeps(made: Made) -> None:
    voice = open_voice(made.folder)
    shapes = {name: array.shape for name, array in voice.conditioning.tensors.items()}
    assert set(shapes) == {"spk_cond_emb", "emo_cond_emb", "style", "ref_mel", "prompt_condition", "emotion"}
    assert (shapes["style"], shapes["emotion"]) == ((1, 192), (1, 32))
    assert voice.conditioning.strings["language"] == "en"
    assert voice.conditioning.strings["release"] == "IndexTTS-2.5"
    fingerprint = read_record(made.folder).fingerprint
    assert set(fingerprint) == {"network", "s2mel", "vocoder", "tokenizer", "config.yaml", "codec", "release"}
    assert "IndexTTS-2.5" in made.folder.card.read_text()
    assert "IndexTTS-2.5" in (made.folder.path / "LICENCE-NOTE.md").read_text()


def test_speaking_needs_no_encoder(made: Made) -> None:
    voice = open_voice(made.folder)
    assert spoken(voice, "hello there", seed=1).size
    listening = {"semantic", "conditioning_encoder", "speaker_model"}
    assert not listening & voice.base.__dict__.keys()


def test_every_weight_may_be_trained_the_speaker_s_projection_and_the_language_s_row_too(
    run: Run, tmp_path: Path, make_base25: Callable[..., IndexTTS2Base]
) -> None:
    (folder,) = run(tmp_path, train={"method": "full", "learning_rate": 1e-3, "epochs": 1})
    assert read_record(folder).method == "full"
    old, new = make_base25().new_network().state_dict(), open_voice(folder).model.state_dict()
    assert not torch.equal(old["spk_emb_proj.weight"], new["spk_emb_proj.weight"])
    changed = (old["lang_embedding.weight"] != new["lang_embedding.weight"]).any(dim=1)
    moved = (old["lang_embedding.weight"] - new["lang_embedding.weight"]).abs().amax(dim=1)
    assert moved.argmax() == 0, "the clips are English, so row 0 moves farthest"
    assert changed[0]


def test_heads_may_be_adapted(run: Run, tmp_path: Path) -> None:
    (folder,) = run(tmp_path, lora={"rank": 2, "alpha": 4, "targets": "attention+mlp+heads"}, train={"epochs": 1})
    names = load_file(folder.path / "adapter_model.safetensors")
    assert {"mel_head", "text_head"} <= {name.split(".")[-3] for name in names}


def test_two_voices_of_one_training_each_get_a_folder_and_mix(run: Run, speakers: Path, tmp_path: Path) -> None:
    data = [{"source": str(speakers / name), "voice": name} for name in ("someone", "another")]
    folders = run(tmp_path, data=data, engine_options={"reference": "average"}, train={"epochs": 1})
    assert [folder.name for folder in folders] == ["someone", "another"]
    styles = [open_voice(folder).conditioning.tensors["style"] for folder in folders]
    assert not np.array_equal(*styles)
    voices = str(folders[0].path.parent)
    result = CliRunner().invoke(main, ["mix", "0.25*someone+0.75*another", "--name", "both", "--voices", voices])
    assert result.exit_code == 0, result.output
    mixed = open_voice(VoiceFolder(Path(voices) / "both")).conditioning.tensors["style"]
    np.testing.assert_allclose(mixed, 0.25 * styles[0] + 0.75 * styles[1], rtol=1e-5, atol=1e-6)


def test_a_clip_in_another_script_is_listed_with_its_reason(run: Run, speakers: Path, tmp_path: Path) -> None:
    source = tmp_path / "data"
    (source / "clips").mkdir(parents=True)
    lines = ["filename,text"]
    for number in range(3):
        sound, rate = soundfile.read(speakers / "someone" / "clips" / f"{number}.wav")
        soundfile.write(source / "clips" / f"{number}.wav", sound, rate)
        lines.append(f"{number}.wav,{'你好世界' if number == 1 else 'hello there'}")
    (source / "transcripts.csv").write_text("\n".join(lines), encoding="utf-8")
    run(tmp_path, data=[{"source": str(source)}], engine_options={"language": "en"}, train={"epochs": 1})
    ledger = (tmp_path / "runs" / "someone" / "ledger.jsonl").read_text()
    reasons = [json.loads(line).get("reason") for line in ledger.splitlines()]
    assert sum("4 of 4 letters are CJK" in (reason or "") for reason in reasons) == 1


# Speaking


@pytest.fixture(scope="module")
def voice(made: Made) -> Any:
    return open_voice(made.folder, options={"temperature": 0})


def test_speed_stretches_the_sound_and_not_the_codes(voice: Any) -> None:
    usual, fast, slow = (
        len(spoken(voice, "hello there", sampling={"duration_factor": factor})) for factor in (1.0, 0.5, 2.0)
    )
    hop = 256
    codes = round(usual / hop / 3.44)
    assert usual == int(2 * codes * 1.72) * hop
    assert fast == int(2 * codes * 1.72 * 0.5) * hop
    assert slow == int(2 * codes * 1.72 * 2.0) * hop


def test_another_language_gives_another_row(voice: Any) -> None:
    first, second = (speaker_of(voice.base, voice.conditioning, tag=tag).language for tag in ("en", "es"))
    assert (first, second) == (0, 3)
    english = spoken(voice, "no", sampling={"language": "en"})
    spanish = spoken(voice, "no", sampling={"language": "es"})
    assert english.shape != spanish.shape or not np.array_equal(english, spanish)


def test_segments_come_one_by_one(voice: Any) -> None:
    text = "One day. Two days! Three days? " * 8
    pieces = list(voice.stream(text, sampling={"segment_tokens": 24}))
    assert len(pieces) > 4
    assert all(np.isfinite(piece.waveform).all() for piece in pieces)


EMOTIONS: list[dict[str, Any]] = [
    {"emotion_weights": (0.0, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)},
    {"emotion_weights": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.8, 0.0)},
    {"emotion_strength": 0.0},
]


def test_an_emotion_stands_beside_the_style_and_changes_the_codes(voice: Any) -> None:
    """The sound of a code does not depend on the emotion, so the emotion is heard where it changes codes."""
    texts = ("hello", "hello there", "the river runs past the mill")
    usual = [spoken(voice, text) for text in texts]
    told = speaker_of(voice.base, voice.conditioning, tag="en").conditioning[0]
    for emotion in EMOTIONS:
        options = voice.base.options.model_copy(update=emotion)
        asked = speaker_of(voice.base, voice.conditioning, options, tag="en").conditioning[0]
        assert torch.equal(asked[:192], told[:192])
        assert not torch.allclose(asked[192:], told[192:], atol=1e-3)
        sounds = [spoken(voice, text, sampling=emotion) for text in texts]
        assert not all(map(np.array_equal, sounds, usual)), emotion


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("language=zhen", "there is no language 'zhen'; did you mean"),
        ("language=ja", "language is 'ja', but 5 of 5 letters are LATIN in 'Hello'"),
        ("duration_factor=3", "duration_factor"),
    ],
)
def test_an_option_that_cannot_be_set_is_one_line(made: Made, tmp_path: Path, option: str, says: str) -> None:
    result = command(made, "say", "someone", "Hello", "--out", str(tmp_path / "out.wav"), "--set", option)
    assert result.exit_code == 1
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_base_of_the_other_release_is_refused(made: Made, tiny: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out.wav")
    result = command(made, "say", "someone", "Hello", "--out", out, "--set", f"base_model={tiny}")
    assert result.exit_code == 1
    assert "was trained on another" in result.stderr
    assert "release" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_compare_hears_the_voice_and_its_base(made: Made, tmp_path: Path) -> None:
    out = str(tmp_path / "comparison")
    result = command(made, "compare", "someone", "base", "--text", "hello there", "--out", out)
    assert result.exit_code == 0, result.output
    assert list(Path(out).rglob("*.wav"))


# Merging and exports


def test_exports_are_read_back(made: Made, tmp_path: Path) -> None:
    adapter = export(made.folder, tmp_path / "peft", "peft", without_consent=CONSENT_SENTENCE)
    assert adapter.result.compared.difference == 0
    whole = export(made.folder, tmp_path / "merged", "merged", without_consent=CONSENT_SENTENCE)
    assert whole.result.compared.difference < 1e-4
    assert (tmp_path / "merged" / "codec.pth").is_file()


def test_software_for_llamas_is_refused_by_the_network_s_name(made: Made, tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match=r"engine 'indextts2': .*\(StyleGPT\)"):
        export(made.folder, tmp_path / "out", "gguf-ready", without_consent=CONSENT_SENTENCE)
