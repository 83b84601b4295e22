"""Turn a text into the token ids that the network reads."""

from __future__ import annotations

from sentencepiece import SentencePieceProcessor

from vtune.toolkit import is_speakable
from vtune_indextts2.text.glossary import Glossary
from vtune_indextts2.text.normalisers import TextEngine
from vtune_indextts2.text.segments import split
from vtune_indextts2.text.spacing import spaced
from vtune_indextts2.text.spoken_form import SpokenForm


class Frontend:
    """Turns texts into token ids with a tokenizer, a text engine and, if given, a glossary."""

    def __init__(self, tokenizer: SentencePieceProcessor, engine: TextEngine, glossary: Glossary | None = None) -> None:
        self.tokenizer = tokenizer
        self.engine = engine
        self._spoken_form = SpokenForm(engine, glossary)

    def normalise(self, text: str) -> str:
        """Return the text as it is spoken, in the language that the text is in; see ``SpokenForm``."""
        return self._spoken_form.normalise(text)

    def pieces(self, text: str) -> list[str]:
        """Return the tokenizer's pieces; a single character stays unchanged."""
        spoken = text if len(text.strip()) == 1 else spaced(self.normalise(text))
        # SentencePiece takes no lone surrogates, which a command line may hold.
        pieces: list[str] = self.tokenizer.encode(spoken.encode("utf-8", "replace").decode("utf-8"), out_type=str)
        return pieces

    def resolve(self, text: str, tag: str, usual: str | None = None) -> str:
        """Return an empty tag: IndexTTS-2 has no tags, and reads a text in the language that it is in."""
        return ""

    def row(self, tag: str) -> None:
        """Return None: the GPT of IndexTTS-2 has no rows of languages."""
        return

    def identity(self, tag: str = "") -> str:
        """Return name and version of the text engine, which is the same for both languages."""
        return self.engine.identity

    def tokenize(self, text: str, tag: str = "") -> list[int]:
        """Return the ids of the pieces; unknown pieces get the id 2."""
        return self._ids(self.pieces(text))

    def segments(self, text: str, longest: int, quick: int = 0, repeat_apostrophe: bool = False) -> list[list[int]]:
        """Return ids in segments of at most ``longest``; see :func:`vtune_indextts2.text.segments.split`."""
        pieces = self.pieces(text)
        ids = self._ids(pieces)
        return [[ids[index] for index in segment] for segment in split(pieces, longest, quick, repeat_apostrophe)]

    def spoken_segments(self, text: str, longest: int, quick: int = 0, tag: str = "") -> list[list[int]]:
        """Return segments like ``segments``.

        A segment without a letter or a digit, which cannot be read out, is an empty list.
        """
        pieces = self.pieces(text)
        ids = self._ids(pieces)
        segments = split(pieces, longest, quick)
        speakable = [is_speakable("".join(pieces[index] for index in segment)) for segment in segments]
        return [
            [ids[index] for index in segment] if can else [] for segment, can in zip(segments, speakable, strict=True)
        ]

    def _ids(self, pieces: list[str]) -> list[int]:
        ids: list[int] = self.tokenizer.piece_to_id(pieces)
        return ids
