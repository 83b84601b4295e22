"""Where the parts of a checkpoint lie: each in a folder or on the Hub, by one option of its own."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from vtune import EngineError
from vtune.toolkit import fetch_file, folder_or_hub_id
from vtune_indextts2.config import TOKENIZER_FILES, Config, read_config
from vtune_indextts2.options import IndexTTS2Options
from vtune_indextts2.releases.detection import CODEC_FILE, TOKENIZER_SUFFIX, ReleaseName, is_own_name
from vtune_indextts2.text.new_pieces import missing_pieces, parts_of, with_pieces
from vtune_indextts2.text.tokens import load_tokenizer

NANO_NAMES: dict[str, ReleaseName] = {"nano": "2.0", "nano-2.5": "2.5"}
"""Small checkpoints that vtune builds itself, each of one release."""

CACHE_FOLDER = "hf_cache"
"""Where the software of IndexTTS-2.5 puts the parts that it downloads, inside the checkpoint."""

EMOTION_FOLDER = "qwen0.6bemo4-merge"
"""The folder of the language model that reads emotions, inside the checkpoint."""

SEMANTIC_SOURCE = ("w2v-bert-2.0", "facebook/w2v-bert-2.0")
CODEC_SOURCE = ("semantic_codec", "amphion/MaskGCT")
SPEAKER_SOURCE = ("campplus", "funasr/campplus")
SPEAKER_FILE = "campplus_cn_common.bin"
VOCODER_SOURCE = ("bigvgan", "nvidia/bigvgan_v2_22khz_80band_256x")
"""Each part's folder in a checkpoint that holds everything, and where it is published."""

PART_SOURCES = (SEMANTIC_SOURCE, CODEC_SOURCE, SPEAKER_SOURCE, VOCODER_SOURCE)


class CheckpointFiles:
    """The files of one checkpoint; nothing is fetched before it is asked for."""

    def __init__(self, options: IndexTTS2Options) -> None:
        self._options = options

    @cached_property
    def checkpoint(self) -> str:
        """Folder or Hub id of the checkpoint itself."""
        release = NANO_NAMES.get(self._options.base_model)
        if release is None:
            return folder_or_hub_id(self._options.base_model, "base_model")
        from vtune_indextts2.nano_checkpoint import nano_checkpoint

        return str(nano_checkpoint(release))

    @cached_property
    def config(self) -> Config:
        """What ``config.yaml`` says, with the pieces that were appended to the tokenizer."""
        config, pieces = self.published_config, self.new_pieces
        if not pieces:
            return config
        tokens = config.gpt.number_text_tokens + len(pieces)
        return config.model_copy(update={"gpt": config.gpt.model_copy(update={"number_text_tokens": tokens})})

    @cached_property
    def published_config(self) -> Config:
        """What ``config.yaml`` says."""
        return read_config(self._required(self.checkpoint, ("config.yaml",), "base_model"))

    @cached_property
    def new_pieces(self) -> list[str]:
        """The pieces of ``new_tokens`` that the tokenizer of the checkpoint does not have.

        :raises EngineError: the checkpoint is of a release whose vocabulary needs none.
        """
        if not self._options.new_tokens:
            return []
        if self.published_config.release != "2.0":
            raise EngineError(
                "new_tokens is of IndexTTS-2; the vocabulary of IndexTTS-2.5 writes every language, so leave it out "
                "and set language"
            )
        return missing_pieces(self._published_tokenizer(), self._options.new_tokens)

    @property
    def new_piece_parts(self) -> list[list[int]]:
        """For each new piece, the ids that the tokenizer of the checkpoint writes it with."""
        if not self.new_pieces:
            return []
        tokenizer = self._published_tokenizer()
        return [parts_of(tokenizer, piece) for piece in self.new_pieces]

    def load_tokenizer(self) -> SentencePieceProcessor:
        """Read the SentencePiece model, and append the new pieces."""
        tokenizer = self._published_tokenizer()
        return with_pieces(tokenizer, self.new_pieces) if self.new_pieces else tokenizer

    def _published_tokenizer(self) -> SentencePieceProcessor:
        return load_tokenizer(self.tokenizer, self.published_config.gpt.number_text_tokens)

    @property
    def gpt(self) -> Path:
        """The GPT with its conditioning encoders."""
        return self._configured(self.published_config.gpt_checkpoint, "gpt.pth")

    @property
    def s2mel(self) -> Path:
        """Flow, length regulator and, of IndexTTS-2, projection of the latents."""
        return self._configured(self.published_config.s2mel_checkpoint, "s2mel.pth")

    @property
    def tokenizer(self) -> Path:
        """The SentencePiece model, or the vocabulary of IndexTTS-2.5."""
        name, usual = self.published_config.bpe_model, TOKENIZER_FILES[self.published_config.release]
        if self.published_config.release == "2.0":
            return self._configured(name, usual)
        if not name.endswith(TOKENIZER_SUFFIX):  # the bpe.model of IndexTTS-2 still lies there and is not used
            name = usual
        others = sorted(path.name for path in Path(self.checkpoint).glob(f"*{TOKENIZER_SUFFIX}"))
        return self._configured(name, usual, *others)

    @property
    def statistics(self) -> Path:
        """Mean and variance of the semantic features."""
        return self._configured(self.published_config.w2v_stat, "wav2vec2bert_stats.pt")

    @property
    def emotions(self) -> tuple[Path, Path]:
        """The tables of emotion vectors and of their speakers."""
        return (
            self._configured(self.published_config.emo_matrix, "feat2.pt"),
            self._configured(self.published_config.spk_matrix, "feat1.pt"),
        )

    @property
    def emotion_model(self) -> Path:
        """The folder of the language model that reads emotions. :raises EngineError: it is not on this machine."""
        given = self._options.emotion_model
        folder = Path(given) if given is not None else Path(self.checkpoint) / EMOTION_FOLDER
        if not (folder / "config.json").is_file():
            raise EngineError(
                f"emotion_text needs the small language model of IndexTTS-2, and {folder} is not its folder; download "
                f"{EMOTION_FOLDER}/ of IndexTeam/IndexTTS-2 and name it as engine_options.emotion_model"
            )
        return folder

    @property
    def semantic_model(self) -> str:
        """Folder or Hub id of w2v-BERT, which transformers loads by itself."""
        return self._folder(self._options.semantic_model, SEMANTIC_SOURCE, "semantic_model")

    @property
    def semantic_files(self) -> tuple[Path, ...]:
        """All that w2v-BERT's features depend on, for hashing."""
        names = ("config.json", "preprocessor_config.json", "model.safetensors")
        return tuple(self._required(self.semantic_model, (name,), "semantic_model") for name in names)

    @property
    def codec(self) -> Path:
        """The weights of the semantic codec; IndexTTS-2.5 has its own."""
        if self.published_config.release == "2.5":
            folder = self._options.codec
            return self._required(
                folder_or_hub_id(folder, "codec") if folder else self.checkpoint, (CODEC_FILE,), "codec"
            )
        folder = self._folder(self._options.codec, CODEC_SOURCE, "codec")
        return self._required(folder, ("semantic_codec/model.safetensors", "model.safetensors"), "codec")

    @property
    def speaker_model(self) -> Path:
        """The weights of CAMPPlus."""
        cached = Path(self.checkpoint) / CACHE_FOLDER / SPEAKER_FILE
        if self._options.speaker_model is None and cached.is_file():
            return cached
        folder = self._folder(self._options.speaker_model, SPEAKER_SOURCE, "speaker_model")
        return self._required(folder, (SPEAKER_FILE,), "speaker_model")

    @property
    def vocoder(self) -> tuple[Path, Path]:
        """Configuration and weights of BigVGAN."""
        folder = self._folder(self._options.vocoder, VOCODER_SOURCE, "vocoder")
        return (
            self._required(folder, ("config.json",), "vocoder"),
            self._required(folder, ("bigvgan_generator.pt",), "vocoder"),
        )

    @property
    def vocoder_config(self) -> Path | None:
        """Return the configuration of a BigVGAN that is on this machine; None if it is still on the Hub."""
        path = Path(self._folder(self._options.vocoder, VOCODER_SOURCE, "vocoder")) / "config.json"
        return path if path.is_file() else None

    def own(self, file: str) -> Path:
        """Return a file of the checkpoint. :raises EngineError: there is none."""
        return self._required(self.checkpoint, (file,), "base_model")

    def _configured(self, name: str, *usual: str) -> Path:
        """Return a file that ``config.yaml`` names, or the usual one where it names a path of another machine."""
        names = tuple(dict.fromkeys([name, *usual])) if is_own_name(name) else usual
        return self._required(self.checkpoint, names, "base_model")

    def _folder(self, given: str | None, part: tuple[str, str], option: str) -> str:
        folder, published = part
        if given is not None:
            return folder_or_hub_id(given, option)
        for beside in (Path(self.checkpoint) / folder, Path(self.checkpoint) / CACHE_FOLDER / folder):
            if beside.is_dir():
                return str(beside)
        return published

    @staticmethod
    def _required(folder: str, names: tuple[str, ...], option: str) -> Path:
        for name in names:
            path = fetch_file(folder, name)
            if path is not None:
                return path
        raise EngineError(f"engine_options.{option}: {folder} has no {' or '.join(names)}")
