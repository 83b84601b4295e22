"""The recognisers with a tiny random model of each kind: they keep their promises whatever the weights are."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper

from vtune.errors import VtuneError
from vtune.ingest.transcribe import Transcript, open_recogniser
from vtune.recipe.data_sections import TranscribeRecipe


def recipe(model: Path | str, **more: Any) -> TranscribeRecipe:
    return TranscribeRecipe(model=str(model), device="cpu", **more)


@pytest.fixture
def sounds(babble: Callable[..., np.ndarray]) -> list[np.ndarray]:
    return [babble(1.0), babble(2.5, 1), babble(27, 2)]


def numbers(heard: Transcript) -> list[float]:
    values = (heard.logprob, heard.no_speech, heard.language_probability)
    return [math.nan if value is None else value for value in values]


def approx(heard: Transcript) -> Any:
    return heard.text, heard.language, pytest.approx(numbers(heard), 1e-3, nan_ok=True)


def same(first: list[Transcript], second: list[Transcript]) -> bool:
    return [approx(transcript) for transcript in first] == [
        (transcript.text, transcript.language, numbers(transcript)) for transcript in second
    ]


class TestOpenAIWhisper:
    def test_a_batch_hears_what_is_heard_one_by_one(self, whisper_file, sounds) -> None:
        recogniser = open_recogniser(recipe(whisper_file(multilingual=True)))
        together = recogniser.transcribe(sounds)
        assert same(together, [transcript for sound in sounds for transcript in recogniser.transcribe([sound])])
        assert same(together, recogniser.transcribe(sounds)), "and hears the same again"
        assert all(
            transcript.text and transcript.logprob < 0 and 0 <= transcript.no_speech <= 1 for transcript in together
        )

    def test_language_is_told_whatever_was_asked(self, whisper_file, sounds) -> None:
        path = whisper_file(multilingual=True)
        asked, detected = (
            open_recogniser(recipe(path, language=code)).transcribe(sounds[:1])[0] for code in ("de", "auto")
        )
        model = whisper.load_model(str(path))
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(sounds[0]))
        _, probabilities = model.detect_language(mel)
        best = max(probabilities, key=probabilities.__getitem__)
        assert asked.language == detected.language == best
        assert detected.language_probability == pytest.approx(probabilities[best], rel=1e-3)

    def test_words_are_those_of_whisper_itself(self, whisper_file, sounds, monkeypatch: pytest.MonkeyPatch) -> None:
        from vtune.ingest.transcribe import openai_whisper

        monkeypatch.setattr(openai_whisper, "MIN_LOGPROB", -math.inf)
        monkeypatch.setattr(openai_whisper, "MAX_COMPRESSION_RATIO", math.inf)
        path = whisper_file(multilingual=False)
        (transcript,) = open_recogniser(recipe(path, numbers="digits")).transcribe(sounds[:1])
        options = whisper.DecodingOptions(language="en", without_timestamps=True, fp16=False)
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(sounds[0]))
        alone = whisper.decode(whisper.load_model(str(path)), mel, options)
        assert transcript.text == alone.text.strip()
        assert transcript.logprob == pytest.approx(alone.avg_logprob, rel=1e-3)
        assert transcript.language is None, "a model of one language tells none"

    def test_a_failed_try_is_made_again_with_beams_and_the_better_one_wins(
        self, whisper_file, sounds, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from vtune.ingest.transcribe import openai_whisper

        recogniser = open_recogniser(recipe(whisper_file(multilingual=False)))
        second = recogniser.transcribe(sounds[:2])
        monkeypatch.setattr(openai_whisper, "MIN_LOGPROB", -math.inf)
        monkeypatch.setattr(openai_whisper, "MAX_COMPRESSION_RATIO", math.inf)
        first = recogniser.transcribe(sounds[:2])
        assert all(b.logprob >= a.logprob for a, b in zip(first, second, strict=True))

    @pytest.mark.parametrize(
        ("language", "multilingual", "message"),
        [
            ("xx", True, "does not know language 'xx'"),
            ("de", False, "only knows English"),
            ("germn", True, "did you mean 'german'"),
        ],
    )
    def test_a_language_that_it_does_not_know_is_one_line(self, whisper_file, language, multilingual, message) -> None:
        with pytest.raises(VtuneError, match=message) as caught:
            open_recogniser(recipe(whisper_file(multilingual=multilingual), language=language))
        assert "\n" not in str(caught.value)

    def test_names_of_languages_are_codes(self, whisper_file, sounds) -> None:
        by_name, by_code = (
            open_recogniser(recipe(whisper_file(multilingual=True), language=code)).transcribe(sounds[:1])
            for code in ("German", "de")
        )
        assert same(by_name, by_code)

    def test_a_size_that_cannot_be_downloaded_says_that_a_path_works(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import urllib.error
        import urllib.request

        def no_network(*_: object) -> None:
            raise urllib.error.URLError("no network")

        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setattr(urllib.request, "urlopen", no_network)
        with pytest.raises(VtuneError, match=r"'medium' cannot be downloaded .*no network.*path") as caught:
            open_recogniser(recipe("medium"))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04", None])
    def test_a_file_that_is_no_checkpoint_is_one_line(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "model.pt"
        if content is None:
            torch.save({"weights": torch.zeros(3)}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(VtuneError, match="not a checkpoint of openai-whisper") as caught:
            open_recogniser(recipe(path))
        assert "\n" not in str(caught.value)

    def test_a_name_that_is_nothing_suggests_the_nearest(self) -> None:
        with pytest.raises(VtuneError, match="did you mean 'medium'"):
            open_recogniser(recipe("mediun"))


@pytest.fixture(scope="module")
def hub_letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny random Wav2Vec2 with a CTC head."""
    import transformers

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("hub_letters")
    vocabulary = {c: n for n, c in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefgh"])}
    (path / "vocab.json").write_text(__import__("json").dumps(vocabulary))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(path / "vocab.json"))
    config = transformers.Wav2Vec2Config(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8, 8), conv_stride=(10, 32), conv_kernel=(10, 32), num_feat_extract_layers=2, pad_token_id=0,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, initializer_range=1.0,
    )  # fmt: skip
    transformers.Wav2Vec2ForCTC(config).save_pretrained(path)
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=False)
    transformers.Wav2Vec2Processor(extractor, tokenizer).save_pretrained(path)
    return path


class TestTransformers:
    def test_whisper_in_a_batch_hears_what_is_heard_one_by_one(self, hub_whisper: Path, sounds) -> None:
        recogniser = open_recogniser(recipe(hub_whisper, backend="transformers", language="auto"))
        together = recogniser.transcribe(sounds)
        assert same(together, [transcript for sound in sounds for transcript in recogniser.transcribe([sound])])
        assert all(
            transcript.text and transcript.logprob < 0 and 0 <= transcript.no_speech <= 1 for transcript in together
        )
        assert {transcript.language for transcript in together} <= {"en", "de"}
        assert all(0.5 <= transcript.language_probability <= 1 for transcript in together), "the surer of two"

    def test_whispers_words_and_probability_are_those_of_generate_itself(self, hub_whisper: Path, sounds) -> None:
        import transformers

        (transcript,) = open_recogniser(
            recipe(hub_whisper, backend="transformers", language="de", numbers="digits")
        ).transcribe(sounds[:1])
        model = transformers.WhisperForConditionalGeneration.from_pretrained(hub_whisper)
        processor = transformers.WhisperProcessor.from_pretrained(hub_whisper)
        mel = processor(sounds[0], sampling_rate=16_000, return_tensors="pt").input_features
        out = model.generate(mel, language="de", task="transcribe")
        assert transcript.text == " ".join(processor.decode(out[0], skip_special_tokens=True).split())
        # The probability, by one pass over the finished text; before words, Whisper bars nothing here.
        start = torch.tensor([[model.config.decoder_start_token_id]])
        with torch.no_grad():
            first = model(mel, decoder_input_ids=start).logits[0, -1].softmax(-1)
        assert transcript.no_speech == pytest.approx(
            first[processor.tokenizer.convert_tokens_to_ids("<|nospeech|>")].item(), rel=1e-3
        )

    def test_a_ctc_model_tells_letters_and_their_probability(self, hub_letters: Path, sounds) -> None:
        import transformers

        (transcript,) = open_recogniser(recipe(hub_letters, backend="transformers")).transcribe(sounds[:1])
        model = transformers.Wav2Vec2ForCTC.from_pretrained(hub_letters).eval()
        values = (sounds[0] - sounds[0].mean()) / np.sqrt(sounds[0].var() + 1e-7)
        with torch.no_grad():
            chances = model(torch.from_numpy(values)[None]).logits[0].softmax(-1)
        path = chances.argmax(-1).tolist()
        tokens = [token for token in path if token not in (1, 2, 3)]  # transformers takes these out before it groups
        letters = [token for n, token in enumerate(tokens) if token and (n == 0 or tokens[n - 1] != token)]
        names = ["", "", "", "", " ", *"abcdefgh"]
        assert transcript.text == " ".join("".join(names[letter] for letter in letters).split())
        expected = np.mean([math.log(chances[n, token]) for n, token in enumerate(path) if token])
        assert transcript.logprob == pytest.approx(expected, rel=1e-3)
        assert transcript.language is transcript.no_speech is None

    def test_any_other_model_that_writes_words_tells_them_and_their_probability(
        self, hub_moonshine: Path, sounds
    ) -> None:
        import transformers

        first, again = open_recogniser(recipe(hub_moonshine, backend="transformers", numbers="digits")).transcribe(
            [sounds[0], sounds[0]]
        )
        assert same([first], [again])
        model = transformers.MoonshineForConditionalGeneration.from_pretrained(hub_moonshine).eval()
        processor = transformers.AutoProcessor.from_pretrained(hub_moonshine)
        inputs = processor([sounds[0]], sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            tokens = model.generate(**inputs, max_new_tokens=40)
            # By one pass over the finished text instead of word after word.
            chances = model(**inputs, decoder_input_ids=tokens[:, :-1]).logits[0].log_softmax(-1)
        assert first.text == " ".join(processor.batch_decode(tokens, skip_special_tokens=True)[0].split())
        mean = chances.gather(-1, tokens[0, 1:, None]).mean().item()
        assert first.logprob == pytest.approx(mean, rel=1e-3)

    def test_a_language_that_it_does_not_know_is_one_line(self, hub_whisper: Path) -> None:
        with pytest.raises(VtuneError, match="does not know language 'fr'"):
            open_recogniser(recipe(hub_whisper, backend="transformers", language="fr"))

    @pytest.mark.parametrize("config", [None, "{", "{}", '{"model_type": "nothing"}', '{"model_type": "gpt2"}'])
    def test_a_folder_that_is_no_recogniser_is_one_line(self, tmp_path: Path, config: str | None) -> None:
        if config is not None:
            (tmp_path / "config.json").write_text(config)
        with pytest.raises(VtuneError) as caught:
            open_recogniser(recipe(tmp_path, backend="transformers"))
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_hub_id_that_cannot_be_had_is_one_line(self) -> None:
        with pytest.raises(VtuneError, match="nobody/nothing") as caught:
            open_recogniser(recipe("nobody/nothing", backend="transformers"))
        assert "\n" not in str(caught.value)


class TestFasterWhisper:
    def test_without_the_extra_it_is_one_line_that_names_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "faster_whisper", None)
        with pytest.raises(VtuneError, match="extra 'faster-whisper'"):
            open_recogniser(recipe("base", backend="faster-whisper"))

    @pytest.mark.parametrize("model", ["nobody/nothing", "."])
    def test_a_model_that_is_none_is_one_line(self, model: str, tmp_path: Path, monkeypatch) -> None:
        pytest.importorskip("faster_whisper")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(VtuneError, match="faster-whisper cannot load") as caught:
            open_recogniser(recipe(model, backend="faster-whisper"))
        assert "\n" not in str(caught.value)

    def test_segments_become_one_text_with_what_is_known_of_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """faster-whisper is replaced, because a CTranslate2 model cannot be made without weights."""
        from types import ModuleType, SimpleNamespace

        asked: dict[str, Any] = {}

        class Model:
            supported_languages = ("en", "de")

            def __init__(self, name: str, **more: Any) -> None:
                asked.update(more, name=name)

            def transcribe(self, sound: np.ndarray, **more: Any) -> tuple[Any, Any]:
                asked.update(more)
                parts = [(" Hello there,", -0.2, 0.1), (" friend.", -0.4, 0.3)] if sound.any() else []
                segments = (SimpleNamespace(text=t, avg_logprob=p, no_speech_prob=n) for t, p, n in parts)
                return segments, SimpleNamespace(language="de", language_probability=0.75)

        module = ModuleType("faster_whisper")
        module.WhisperModel = Model  # type: ignore[attr-defined]
        monkeypatch.setitem(__import__("sys").modules, "faster_whisper", module)
        recogniser = open_recogniser(recipe("base", backend="faster-whisper", language="auto"))
        speech, none = recogniser.transcribe([np.ones(9, np.float32), np.zeros(9, np.float32)])
        assert speech.text == "Hello there, friend."
        assert (speech.language, speech.language_probability, speech.no_speech) == ("de", 0.75, 0.1)
        assert speech.logprob == pytest.approx((12 * -0.2 + 7 * -0.4) / 19)
        assert none.text == ""
        assert asked["condition_on_previous_text"] is False
        assert asked["compute_type"] == "int8"
        with pytest.raises(VtuneError, match="does not know language 'fr'"):
            open_recogniser(recipe("base", backend="faster-whisper", language="fr"))


def test_without_a_gpu_cuda_is_one_line(whisper_file, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(VtuneError, match="no NVIDIA or AMD GPU"):
        open_recogniser(TranscribeRecipe(model=str(whisper_file(multilingual=True)), device="cuda"))
