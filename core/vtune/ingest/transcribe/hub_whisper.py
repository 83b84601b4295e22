"""Recognise speech with Whisper in transformers: a batch of sounds is encoded once for both language and words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vtune.contract.recognisers import Transcript
from vtune.errors import VtuneError, choices
from vtune.ingest.transcribe.hub_inference import inputs_of, logprobs_of, tokens_to_suppress
from vtune.ingest.transcribe.numerals import decode_numerals_in_words
from vtune.recipe.data_sections import NumberStyle
from vtune.types import Waveform

if TYPE_CHECKING:
    import torch

_NO_SPEECH = ("<|nospeech|>", "<|nocaptions|>")


class HubWhisper:
    """A Whisper model of transformers.

    :param language: code of the language; None lets the model detect it.
    :param numbers: "words" decodes texts with numerals again, without the tokens of numerals.
    :raises VtuneError: the model does not support the language.
    """

    def __init__(
        self, model: Any, processor: Any, language: str | None, name: str, numbers: NumberStyle = "words"
    ) -> None:
        self._model, self._processor, self._language, self._numbers = model, processor, language, numbers
        config = model.generation_config
        multilingual = getattr(config, "is_multilingual", False) and getattr(config, "lang_to_id", None)
        self._languages: dict[str, int] = (
            {key.strip("<|>"): value for key, value in config.lang_to_id.items()} if multilingual else {}
        )
        if language is not None and language not in (self._languages or {"en"}):
            known_languages = self._languages or {"en": 0}
            raise VtuneError(
                f"{name!r} does not know language {language!r}{choices(language, known_languages, 'it knows')}; "
                "give one of them, or 'auto'"
            )
        ids = processor.tokenizer.convert_tokens_to_ids(list(_NO_SPEECH))
        self._silence = next(
            (token for token in ids if token is not None and token != processor.tokenizer.unk_token_id), None
        )
        self.batch = 16 if model.device.type == "cuda" else 4

    def transcribe(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Transcribe each sound."""
        import torch

        with torch.inference_mode():
            encoded = self._model.get_encoder()(inputs_of(self._processor, self._model, sounds)["input_features"])
            first_probabilities = self._first_probabilities(encoded)
            languages = self._detect_languages(first_probabilities)
            codes = [self._language or code for code, _ in languages]
            decoded = self._generate(encoded.last_hidden_state, codes)
            count = len(sounds)
            silences = first_probabilities[:, self._silence].tolist() if self._silence is not None else [None] * count
            transcripts = [
                Transcript(text, *detected, logprob, no_speech)
                for (text, logprob), detected, no_speech in zip(decoded, languages, silences, strict=True)
            ]
            if self._numbers == "digits":
                return transcripts
            return decode_numerals_in_words(
                transcripts,
                lambda indices: [
                    Transcript(text, logprob=logprob)
                    for text, logprob in self._generate(
                        encoded.last_hidden_state[indices],
                        [codes[index] for index in indices],
                        suppress_tokens=self._suppressed_tokens,
                    )
                ],
            )

    def _generate(
        self, encoded: torch.Tensor, codes: Sequence[str | None], **options: Any
    ) -> list[tuple[str, float | None]]:
        """Return the text and the mean log probability for each row of the encoder's output ``[B, T, C]``."""
        from transformers.modeling_outputs import BaseModelOutput

        if self._languages:
            options |= {"language": list(codes), "task": "transcribe"}
        out = self._model.generate(
            encoder_outputs=BaseModelOutput(encoded), return_timestamps=False, return_dict_in_generate=True,
            output_scores=True, **options,
        )  # fmt: skip
        texts = self._processor.batch_decode(out.sequences, skip_special_tokens=True)
        return [
            (" ".join(text.split()), logprob)
            for text, logprob in zip(texts, logprobs_of(self._model, out), strict=True)
        ]

    @cached_property
    def _suppressed_tokens(self) -> list[int]:
        return tokens_to_suppress(self._model, self._processor)

    def _first_probabilities(self, encoded: Any) -> torch.Tensor:
        """Return the probabilities of the token after the start token, ``[B, V]``: languages and "no speech"."""
        import torch

        start = torch.full(
            (len(encoded.last_hidden_state), 1), self._model.generation_config.decoder_start_token_id,
            device=self._model.device,
        )  # fmt: skip
        logits = self._model(encoder_outputs=encoded, decoder_input_ids=start, use_cache=False).logits[:, -1]
        probabilities: torch.Tensor = logits.float().softmax(-1)
        return probabilities

    def _detect_languages(self, first_probabilities: torch.Tensor) -> list[tuple[str | None, float | None]]:
        if not self._languages:
            return [(None, None)] * len(first_probabilities)
        codes = list(self._languages)
        languages = first_probabilities[:, list(self._languages.values())]
        best, indices = (languages / languages.sum(-1, keepdim=True)).max(-1)
        return [(codes[index], value) for index, value in zip(indices.tolist(), best.tolist(), strict=True)]
