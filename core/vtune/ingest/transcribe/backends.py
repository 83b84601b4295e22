"""Open the recogniser that a recipe chooses; a backend is imported only when it is chosen."""

from __future__ import annotations

from vtune.ingest.transcribe.number_words import NumberWordsRecogniser
from vtune.ingest.transcribe.recogniser import Recogniser
from vtune.recipe.model import TranscribeRecipe
from vtune.runtime.device import pick_device


def open_recogniser(settings: TranscribeRecipe) -> Recogniser:
    """Load the recogniser of a recipe.

    :raises VtuneError: the model does not exist, does not support the language, or needs an extra that is missing.
    """
    recogniser = _open_backend(settings)
    return NumberWordsRecogniser(recogniser, settings) if settings.numbers == "words" else recogniser


def _open_backend(settings: TranscribeRecipe) -> Recogniser:
    device = pick_device(settings.device)
    language = None if settings.language == "auto" else settings.language
    if settings.backend == "whisper":
        from vtune.ingest.transcribe.openai_whisper import OpenAIWhisper

        return OpenAIWhisper(settings.model, language, device, settings.numbers)
    if settings.backend == "faster-whisper":
        from vtune.ingest.transcribe.faster_whisper import FasterWhisper

        return FasterWhisper(settings.model, language, device, settings.numbers)
    from vtune.ingest.transcribe.hub_models import open_model

    return open_model(settings.model, language, device, settings.numbers)
