"""Whisper in transformers: several sounds at once, language and words read off one encoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vtune.errors import VtuneError, choices
from vtune.ingest.transcribe.hub_models import inputs_of, logprobs_of
from vtune.ingest.transcribe.recogniser import Transcript
from vtune.types import Waveform

if TYPE_CHECKING:
    import torch

_NO_SPEECH = ("<|nospeech|>", "<|nocaptions|>")


class HubWhisper:
    """A Whisper model of transformers.

    :param language: code; None lets the model tell.
    :raises VtuneError: the model does not know the language.
    """

    def __init__(self, model: Any, processor: Any, language: str | None, name: str) -> None:
        self._model, self._processor, self._language = model, processor, language
        config = model.generation_config
        several = getattr(config, "is_multilingual", False) and getattr(config, "lang_to_id", None)
        self._languages: dict[str, int] = (
            {key.strip("<|>"): value for key, value in config.lang_to_id.items()} if several else {}
        )
        if language is not None and language not in (self._languages or {"en"}):
            known = self._languages or {"en": 0}
            raise VtuneError(
                f"{name!r} knows no language {language!r}{choices(language, known, 'it knows')}; give one, or 'auto'"
            )
        ids = processor.tokenizer.convert_tokens_to_ids(list(_NO_SPEECH))
        self._silence = next((i for i in ids if i is not None and i != processor.tokenizer.unk_token_id), None)
        self.batch = 16 if model.device.type == "cuda" else 4

    def hear(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Write down what is said in each."""
        import torch

        with torch.inference_mode():
            encoded = self._model.get_encoder()(inputs_of(self._processor, self._model, sounds)["input_features"])
            first = self._first(encoded)
            languages = self._told(first)
            asked: dict[str, Any] = {}
            if self._languages:
                asked = {"language": [self._language or code for code, _ in languages], "task": "transcribe"}
            out = self._model.generate(
                encoder_outputs=encoded, return_timestamps=False, return_dict_in_generate=True, output_scores=True,
                **asked,
            )  # fmt: skip
        texts = self._processor.batch_decode(out.sequences, skip_special_tokens=True)
        silent = first[:, self._silence].tolist() if self._silence is not None else [None] * len(sounds)
        return [
            Transcript(" ".join(text.split()), *told, logprob, none)
            for text, told, logprob, none in zip(texts, languages, logprobs_of(self._model, out), silent, strict=True)
        ]

    def _first(self, encoded: Any) -> torch.Tensor:
        """Return the probabilities of the token that follows the start, ``[B, V]``: of languages, and of no speech."""
        import torch

        start = torch.full(
            (len(encoded.last_hidden_state), 1), self._model.generation_config.decoder_start_token_id,
            device=self._model.device,
        )  # fmt: skip
        logits = self._model(encoder_outputs=encoded, decoder_input_ids=start, use_cache=False).logits[:, -1]
        first: torch.Tensor = logits.float().softmax(-1)
        return first

    def _told(self, first: torch.Tensor) -> list[tuple[str | None, float | None]]:
        if not self._languages:
            return [(None, None)] * len(first)
        codes = list(self._languages)
        share = first[:, list(self._languages.values())]
        surest, places = (share / share.sum(-1, keepdim=True)).max(-1)
        return [(codes[place], sure) for place, sure in zip(places.tolist(), surest.tolist(), strict=True)]
