"""Voices for Piper: the pair of files, read back by vtune as a base, by Piper itself, and by sherpa-onnx."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from small_voice import HIGH, small_network, small_settings, write_piper_checkpoint, write_piper_pair
from small_voice import write_transformers_folder as write_transformers

from vtune import VoiceError, VtuneError
from vtune_vits.bases import open_base
from vtune_vits.export import piper
from vtune_vits.network.noise import SpeakingNoise
from vtune_vits.network.speaking import SpokenStyle
from vtune_vits.network.voice import new_network

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SPEAKERS = {"speakers": 3, "speaker_size": 6}
BASES = {
    "medium": lambda folder: write_piper_pair(folder),
    "high": lambda folder: write_piper_pair(folder, small_network(small_settings(vocoder=HIGH))),
    "checkpoint": lambda folder: write_piper_checkpoint(folder),
    "transformers": lambda folder: write_transformers(folder),
    "speakers": lambda folder: write_piper_pair(folder, small_network(small_settings(**SPEAKERS))),
}


def differences(pairs) -> list[float]:
    return [
        float(
            np.abs(np.asarray(pair.found) - np.asarray(pair.expected)).max() / np.abs(np.asarray(pair.expected)).max()
        )
        for pair in pairs
    ]


def quiet(**changes: float) -> SpokenStyle:
    return SpokenStyle(**{"noise_scale": 0.0, "noise_scale_w": 0.0, "length_scale": 1.0, **changes})


@pytest.mark.parametrize("kind", BASES)
def test_a_voice_of_every_kind_of_base_is_read_back_with_its_own_sound(kind, open_voice_of, tmp_path):
    voice = open_voice_of(BASES[kind](tmp_path / "base"))
    (tmp_path / "out").mkdir()
    piper.write(voice, tmp_path / "out")
    pairs = list(piper.compare(voice, tmp_path / "out"))
    assert len(pairs) == 2 * len(voice.sentences)
    assert max(differences(pairs)) < 1e-4


@pytest.mark.parametrize("kind", BASES)
def test_an_exported_voice_is_a_base_with_the_same_sound(kind, open_voice_of, tmp_path):
    """The written pair, opened as a base of another training, speaks what the voice spoke."""
    options = {"speaker": 2} if kind == "speakers" else {}
    voice = open_voice_of(BASES[kind](tmp_path / "base"), **options)
    (tmp_path / "out").mkdir()
    piper.write(voice, tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.onnx")
    base = open_base(str(path))
    network = new_network(base.settings).eval()
    base.load(network)
    ids = voice.batches[0]["input_ids"][0]
    with torch.inference_mode():
        expected = voice.model.speak(ids, quiet(), options.get("speaker", 0), SpeakingNoise(0)).waveform
        sound = network.speak(ids, quiet(), 0, SpeakingNoise(0)).waveform
    assert (sound - expected).abs().max() < 1e-4 * expected.abs().max()
    assert base.settings.sample_rate == voice.base.settings.sample_rate
    again = base.text.begin + base.text.blank + base.text.symbols["a"] + base.text.blank + base.text.end
    text = voice.base.text
    blank = text.blank if text.begin or text.blank_first else ()
    assert again == text.begin + blank + text.symbols["a"] + text.blank + text.end


def test_the_voices_own_speaker_is_number_0_of_the_file(open_voice_of, tmp_path):
    voice = open_voice_of(BASES["speakers"](tmp_path / "base"), speaker="speaker 2")
    (tmp_path / "out").mkdir()
    piper.write(voice, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "en_US-anna-medium.onnx.json").read_text())
    assert config["num_speakers"] == 3
    assert config["speaker_id_map"] == {"anna": 0, "speaker 1": 1, "speaker 0": 2}
    assert max(differences(piper.compare(voice, tmp_path / "out"))) < 1e-4


def test_a_file_with_other_weights_differs(open_voice_of, tmp_path):
    voice = open_voice_of(BASES["medium"](tmp_path / "base"))
    (tmp_path / "out").mkdir()
    piper.write(voice, tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.onnx")
    model = onnx.load(path)
    weight = next(item for item in model.graph.initializer if item.name == "flow.flows.0.pre.weight")
    changed = onnx.numpy_helper.to_array(weight) * np.float32(1.05)
    weight.CopyFrom(onnx.numpy_helper.from_array(changed, weight.name))
    onnx.save(model, path)
    assert max(differences(piper.compare(voice, tmp_path / "out"))) > piper.TOLERANCE


def test_the_json_has_the_facts_of_the_voice(open_voice_of, tmp_path):
    base = write_piper_pair(tmp_path / "base", espeak={"voice": "de"}, language={"code": "de_DE"})
    voice = open_voice_of(base, noise_scale=0.4, length_scale=1.2)
    (tmp_path / "out").mkdir()
    piper.write(voice, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "de_DE-anna-medium.onnx.json").read_text())
    assert config["audio"] == {"sample_rate": 22_050, "quality": "medium"}
    assert config["espeak"] == {"voice": "de"}
    assert config["language"] == {"code": "de_DE", "family": "de", "region": "DE"}
    assert config["inference"] == {"noise_scale": 0.4, "length_scale": 1.2, "noise_w": 0.8}
    assert config["phoneme_type"] == "espeak"
    assert (config["num_speakers"], config["speaker_id_map"]) == (1, {})
    assert config["num_symbols"] == voice.base.settings.vocab_size
    base_config = json.loads((tmp_path / "base" / "small.onnx.json").read_text())
    assert config["phoneme_id_map"] == base_config["phoneme_id_map"]


def test_another_language_of_the_voice_is_the_language_of_the_file(open_voice_of, tmp_path):
    voice = open_voice_of(BASES["medium"](tmp_path / "base"), language="en-gb-x-rp")
    (tmp_path / "out").mkdir()
    piper.write(voice, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "en_GB-anna-medium.onnx.json").read_text())
    assert config["espeak"] == {"voice": "en-gb-x-rp"}


def test_the_model_card_says_whose_voice_it_is_and_that_its_speech_is_synthetic(open_voice_of, tmp_path, caplog):
    voice = open_voice_of(BASES["medium"](tmp_path / "base"), lexicon={"Kathleen": "kath leen"})
    (tmp_path / "out").mkdir()
    with caplog.at_level(logging.INFO):
        piper.write(voice, tmp_path / "out")
    card = (tmp_path / "out" / "MODEL_CARD").read_text()
    for text in ("Anna Example. She agreed in writing.", "The licence of the test.", "no person has said", "22,050 Hz"):
        assert text in card
    assert "The 1 words of the voice's lexicon are not part of this file." in card
    assert "real-time factor" in caplog.text


def test_eight_bits_take_a_quarter_of_the_size_and_hardly_change_the_sound(open_voice_of, tmp_path, caplog):
    wide = small_settings(hidden_size=64, flow_size=32, ffn_size=256)
    voice = open_voice_of(write_piper_pair(tmp_path / "base", small_network(wide)))
    sizes = {}
    for name, write in (("exact", piper.write), ("int8", piper.write_int8)):
        (tmp_path / name).mkdir()
        write(voice, tmp_path / name)
        (path,) = (tmp_path / name).glob("*.onnx")
        model = onnx.load(path)
        sizes[name] = sum(len(item.raw_data) for item in model.graph.initializer if not item.name.startswith("dp."))
    assert sizes["int8"] < 0.35 * sizes["exact"]
    pairs = list(piper.compare_int8(voice, tmp_path / "int8"))
    shares = differences(pairs)
    assert 1e-3 < shares[0] <= 0.5 / 127 + 1e-6  # half a level
    assert max(shares[1:]) < 1e-4


def test_eight_bits_leave_the_durations_alone(open_voice_of, tmp_path):
    voice = open_voice_of(BASES["medium"](tmp_path / "base"))
    (tmp_path / "out").mkdir()
    piper.write_int8(voice, tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.onnx")
    rounded = {node.output[0] for node in onnx.load(path).graph.node if node.op_type == "DequantizeLinear"}
    assert rounded
    assert not [name for name in rounded if name.startswith("dp.")]


def test_the_extra_is_named_where_onnx_is_missing(open_voice_of, tmp_path, monkeypatch):
    voice = open_voice_of(BASES["checkpoint"](tmp_path / "base"))
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(VtuneError, match=r"extra 'vits'"):
        piper.write(voice, tmp_path)


def test_a_base_that_reads_latin_letters_is_refused_in_one_line(open_voice_of, tmp_path):
    base = write_transformers(tmp_path / "base", is_uroman=True)
    voice = open_voice_of(base)
    with pytest.raises(VoiceError, match=r"^--to piper: the base reads texts in Latin letters \(uroman\)[^\n]*$"):
        piper.write(voice, tmp_path)


class TestPiperItself:
    """The unmodified program, which is no part of vtune, speaks the exported pair."""

    @pytest.mark.parametrize("kind", ["medium", "high", "speakers"])
    def test_piper_speaks_what_the_voice_speaks(self, kind, open_voice_of, tmp_path):
        piper_tts = pytest.importorskip("piper")
        voice = open_voice_of(BASES[kind](tmp_path / "base"), **({"speaker": 1} if kind == "speakers" else {}))
        (tmp_path / "out").mkdir()
        piper.write(voice, tmp_path / "out")
        (path,) = (tmp_path / "out").glob("*.onnx")
        spoken_by_piper = piper_tts.PiperVoice.load(path)
        style = piper_tts.SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False)
        for text in ("Hello world.", "What is this, then?"):
            (chunk,) = spoken_by_piper.synthesize(text, style)
            ids = torch.tensor(chunk.phoneme_ids)
            with torch.inference_mode():
                spoken = voice.model.speak(ids, quiet(), 1 if kind == "speakers" else 0, SpeakingNoise(0))
            expected = spoken.waveform.numpy().clip(-1, 1)
            assert chunk.sample_rate == 22_050
            assert chunk.audio_float_array.shape == expected.shape
            assert np.abs(chunk.audio_float_array - expected).max() < 1e-3 * np.abs(expected).max()

    def test_piper_finds_the_times_of_phonemes(self, open_voice_of, tmp_path):
        piper_tts = pytest.importorskip("piper")
        voice = open_voice_of(BASES["medium"](tmp_path / "base"))
        (tmp_path / "out").mkdir()
        piper.write(voice, tmp_path / "out")
        (path,) = (tmp_path / "out").glob("*.onnx")
        spoken_by_piper = piper_tts.PiperVoice.load(path, include_alignments=True)
        (chunk,) = spoken_by_piper.synthesize("Hello world.", include_alignments=True)
        assert sum(part.num_samples for part in chunk.phoneme_alignments) == len(chunk.audio_float_array)

    def test_piper_reads_letters_as_the_tokenizer_of_transformers_does(self, open_voice_of, tmp_path):
        piper_tts = pytest.importorskip("piper")
        transformers = pytest.importorskip("transformers")
        base = write_transformers(tmp_path / "base")
        voice = open_voice_of(base)
        (tmp_path / "out").mkdir()
        piper.write(voice, tmp_path / "out")
        (path,) = (tmp_path / "out").glob("*.onnx")
        spoken_by_piper = piper_tts.PiperVoice.load(path)
        tokenizer = transformers.AutoTokenizer.from_pretrained(base)
        for text in ("Hello World", "it's a long-lost day"):
            (symbols,) = spoken_by_piper.phonemize(text)
            assert spoken_by_piper.phonemes_to_ids(symbols) == tokenizer(text)["input_ids"]
        (chunk,) = spoken_by_piper.synthesize("hello")
        assert len(chunk.audio_float_array)


def test_sherpa_onnx_finds_its_facts_and_symbols(open_voice_of, tmp_path):
    voice = open_voice_of(BASES["medium"](tmp_path / "base"))
    (tmp_path / "out").mkdir()
    piper.write(voice, tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.onnx")
    facts = {item.key: item.value for item in onnx.load(path).metadata_props}
    assert facts == {
        "model_type": "vits", "comment": "piper", "language": "en_US", "voice": "en-us", "has_espeak": "1",
        "n_speakers": "1", "sample_rate": "22050",
    }  # fmt: skip
    config = json.loads(path.with_name(f"{path.name}.json").read_text())
    lines = (tmp_path / "out" / "tokens.txt").read_text(encoding="utf-8").split("\n")
    assert lines[:4] == ["_ 0", "^ 1", "$ 2", "  3"]
    assert len(lines) - 1 == len(config["phoneme_id_map"])


SHERPA = """
import sys
import numpy as np, sherpa_onnx as sherpa

model, tokens, phonemes, out = sys.argv[1:]
vits = sherpa.OfflineTtsVitsModelConfig(model=model, tokens=tokens, noise_scale=0.0, noise_scale_w=0.0)
speaker = sherpa.OfflineTts(sherpa.OfflineTtsConfig(model=sherpa.OfflineTtsModelConfig(vits=vits)))
request = sherpa.GenerationConfig()
request.phoneme_codepoints = [[ord(phoneme) for phoneme in phonemes]]
spoken = speaker.generate("Hello world.", request)
assert spoken.sample_rate == 22_050
np.save(out, np.array(spoken.samples))
"""


def test_sherpa_onnx_speaks_what_piper_speaks(open_voice_of, tmp_path):
    if find_spec("sherpa_onnx") is None or version("sherpa-onnx") < "2":
        pytest.skip("sherpa-onnx from version 2 takes phonemes")
    piper_tts = pytest.importorskip("piper")
    voice = open_voice_of(BASES["medium"](tmp_path / "base"))
    (tmp_path / "out").mkdir()
    piper.write(voice, tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.onnx")
    style = piper_tts.SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False)
    (chunk,) = piper_tts.PiperVoice.load(path).synthesize("Hello world.", style)
    # In a process of its own: sherpa-onnx and piper-tts each bring espeak-ng, and one process with both crashes.
    arguments = [str(path), str(path.parent / "tokens.txt"), "".join(chunk.phonemes), str(tmp_path / "spoken.npy")]
    subprocess.run([sys.executable, "-c", SHERPA, *arguments], check=True)
    spoken = np.load(tmp_path / "spoken.npy")
    assert np.abs(spoken.clip(-1, 1) - chunk.audio_float_array).max() < 1e-5


FILTERED = {"vocoder": "source_filter", "vocoder_steps": 2}


@pytest.mark.parametrize("kind", ["medium", "speakers"])
def test_a_voice_of_source_and_filters_is_read_back_with_its_own_sound(kind, open_voice_of, tmp_path):
    voice = open_voice_of(BASES[kind](tmp_path / "base"), **FILTERED)
    (tmp_path / "out").mkdir()
    piper.write(voice, tmp_path / "out")
    pairs = list(piper.compare(voice, tmp_path / "out"))
    assert len(pairs) == 3 * len(voice.sentences)
    assert max(differences(pairs)) < 2e-4


def test_a_file_with_source_and_filters_is_refused_as_a_base(open_voice_of, tmp_path):
    voice = open_voice_of(BASES["medium"](tmp_path / "base"), **FILTERED)
    (tmp_path / "out").mkdir()
    piper.write(voice, tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.onnx")
    with pytest.raises(VtuneError, match=r"vocoder of source and filters.* cannot be a base"):
        open_base(str(path))
