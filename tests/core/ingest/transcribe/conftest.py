"""Speech made of bursts of noise, recognisers whose answers are given, and tiny random models on disk."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from vtune.ingest.transcribe import TranscribeReport, Transcript, transcribe_folder
from vtune.recipe.data_sections import TranscribeRecipe
from vtune.types import Waveform

RATE = 16_000

SPECIAL = [
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
]  # fmt: skip


def _babble(seconds: float, seed: int = 0) -> Waveform:
    times = np.arange(round(seconds * RATE)) / RATE
    swell = np.clip(np.sin(2 * np.pi * 5 * times), 0, None) ** 2
    noise = np.random.default_rng(seed).normal(0, 0.2, len(times))
    edges = np.zeros(round(0.3 * RATE))
    return np.concatenate([edges, noise * swell, edges]).clip(-1, 1).astype(np.float32)


@pytest.fixture
def babble() -> Callable[..., Waveform]:
    """Make sound that a level meter takes for speech: noise that swells five times a second, in silence."""
    return _babble


class Fake:
    """Gives one answer for each sound, from a list; after the list, its words say how long the sound is."""

    def __init__(self, *answers: Transcript | str, batch: int = 3) -> None:
        self.batch = batch
        self.sounds: list[Waveform] = []
        self._answers = list(answers)

    def transcribe(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        assert 0 < len(sounds) <= self.batch
        transcripts = []
        for sound in sounds:
            self.sounds.append(sound)
            answer = self._answers.pop(0) if self._answers else f"this is sound number {len(self.sounds)}"
            transcripts.append(Transcript(answer, logprob=-0.2, no_speech=0.01) if isinstance(answer, str) else answer)
        return transcripts


@pytest.fixture
def settings() -> TranscribeRecipe:
    return TranscribeRecipe(model="fake", device="cpu")


@pytest.fixture
def fake() -> type[Fake]:
    return Fake


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of recordings by name: babble, a given sound, or given bytes of a file."""

    def make(*names: str, name: str = "clips", **others: Waveform | bytes) -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for number, recording in enumerate(names):
            _put(root / recording, _babble(1.0, number))
        for stem, content in others.items():
            _put(root / f"{stem}.wav", content)
        return root

    return make


def _put(path: Path, content: Waveform | bytes) -> None:
    """Write a recording, or bytes that are no recording."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with path.open("wb") as file:  # whose name need not be text
            soundfile.write(file, content, RATE, format=path.suffix[1:])


@pytest.fixture
def go(settings: TranscribeRecipe) -> Callable[..., TranscribeReport]:
    """Transcribe with a recogniser whose answers are given."""

    def run(folder: Path, *answers: Transcript | str, recogniser: Any = None, **more: Any) -> TranscribeReport:
        return transcribe_folder(
            folder, more.pop("settings", settings), recogniser=recogniser or Fake(*answers), **more
        )

    return run


@pytest.fixture
def put() -> Callable[[Path, Waveform | bytes], None]:
    """Write a recording, or bytes that are no recording."""
    return _put


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _journal(table: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in table.with_suffix(".heard.jsonl").read_text().splitlines()]


@pytest.fixture
def rows_of() -> Callable[[Path], list[dict[str, str]]]:
    """Read a table with the csv module."""
    return _rows


@pytest.fixture
def journal_of() -> Callable[[Path], list[dict[str, Any]]]:
    """Read the journal beside a table."""
    return _journal


@pytest.fixture(scope="session")
def whisper_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Save a tiny random model of openai-whisper, multilingual or English only."""

    def make(*, multilingual: bool) -> Path:
        from whisper.model import ModelDimensions, Whisper

        torch.manual_seed(0)
        words = 51865 if multilingual else 51864
        dims = ModelDimensions(80, 1500, 16, 2, 1, words, 32, 16, 2, 1)
        model = Whisper(dims)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
        path = tmp_path_factory.mktemp("whisper") / ("tiny.pt" if multilingual else "tiny.en.pt")
        torch.save({"dims": vars(dims), "model_state_dict": model.state_dict()}, path)
        return path

    return make


@pytest.fixture(scope="session")
def hub_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny random Whisper of transformers with a tokenizer of single letters."""
    import transformers

    torch.manual_seed(0)
    letters = [chr(code) for code in range(33, 127)] + ["Ġ", "Ċ"]
    tokenizer = transformers.WhisperTokenizer(vocab={c: n for n, c in enumerate(letters)}, merges=[])
    tokenizer.add_tokens(SPECIAL, special_tokens=True)
    ids = dict(zip(SPECIAL, tokenizer.convert_tokens_to_ids(SPECIAL), strict=True))
    start, end = ids["<|startoftranscript|>"], ids["<|endoftext|>"]
    tokens = {"decoder_start_token_id": start, "eos_token_id": end, "pad_token_id": end, "bos_token_id": end}
    config = transformers.WhisperConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_target_positions=32, init_std=0.5,
        **tokens,
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config)
    model.generation_config = transformers.GenerationConfig(max_length=32, **tokens)
    model.generation_config.is_multilingual = True
    model.generation_config.lang_to_id = {code: ids[code] for code in ("<|en|>", "<|de|>")}
    model.generation_config.task_to_id = {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")}
    model.generation_config.no_timestamps_token_id = ids["<|notimestamps|>"]
    path = tmp_path_factory.mktemp("hub_whisper")
    model.save_pretrained(path)
    transformers.WhisperProcessor(transformers.WhisperFeatureExtractor(), tokenizer).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def hub_moonshine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny random Moonshine, which takes no language and has no fixed window."""
    import tokenizers
    import transformers

    torch.manual_seed(0)
    vocabulary = {word: number for number, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", *"abcdef12"])}
    letters = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=letters, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    config = transformers.MoonshineConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=16, encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1, encoder_num_attention_heads=2, decoder_num_attention_heads=2,
        decoder_start_token_id=1, bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.8,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("hub_moonshine")
    transformers.MoonshineForConditionalGeneration(config).save_pretrained(path)
    transformers.Wav2Vec2Processor(transformers.Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(path)
    return path
