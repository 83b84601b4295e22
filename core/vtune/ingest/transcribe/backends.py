"""The recognisers that a recipe can choose from; each is imported when it is chosen."""

from __future__ import annotations

from vtune.ingest.transcribe.recogniser import Recogniser
from vtune.recipe.model import TranscribeRecipe
from vtune.runtime.device import pick_device


def open_recogniser(settings: TranscribeRecipe) -> Recogniser:
    """Load the recogniser of a recipe.

    :raises VtuneError: a model that is not there, a language that it does not know, an extra that is not installed.
    """
    device = pick_device(settings.device)
    language = None if settings.language == "auto" else settings.language
    if settings.backend == "whisper":
        from vtune.ingest.transcribe.openai_whisper import OpenAIWhisper

        return OpenAIWhisper(settings.model, language, device)
    if settings.backend == "faster-whisper":
        from vtune.ingest.transcribe.faster_whisper import FasterWhisper

        return FasterWhisper(settings.model, language, device)
    from vtune.ingest.transcribe.hub_models import open_model

    return open_model(settings.model, language, device)
