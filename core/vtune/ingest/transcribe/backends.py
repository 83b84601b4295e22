"""Open the recogniser that a recipe chooses; a backend is imported only when it is chosen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

from vtune.contract.recognisers import Recogniser, RecogniserBackend, Transcript
from vtune.engines.contributions import Contribution, errors_of, extension_contributions, joined
from vtune.errors import EngineError, VtuneError, choices, shown
from vtune.ingest.transcribe.number_words import NumberWordsRecogniser
from vtune.recipe.data_sections import OWN_RECOGNISERS, TranscribeRecipe
from vtune.runtime.device import pick_device
from vtune.types import Waveform

logger = logging.getLogger(__name__)


def open_recogniser(settings: TranscribeRecipe) -> Recogniser:
    """Load the recogniser of a recipe.

    :raises VtuneError: the model does not exist, does not support the language, or needs an extra that is missing.
    """
    recogniser = find_backend(settings.backend).open(settings, _recogniser_device(settings.device))
    return NumberWordsRecogniser(recogniser, settings) if settings.numbers == "words" else recogniser


def _recogniser_device(name: str) -> Any:
    """Return the device of a recogniser: the processor in the place of GPUs that lack operations which they need."""
    device = pick_device(name)
    if device.type in ("cpu", "cuda"):
        return device
    _say_once(device.type)
    return pick_device("cpu")


@cache
def _say_once(kind: str) -> None:
    logger.warning("The recogniser runs on the processor: torch lacks some of its operations on %s", kind)


def recogniser_backends() -> dict[str, RecogniserBackend]:
    """Return every recogniser by name: vtune's own, and those of extensions.

    :raises EngineError: an extension is broken, or two recognisers have one name.
    """
    own = {backend.name: backend for backend in _OWN}
    added = extension_contributions("recognisers", RecogniserBackend)
    return joined(own, [Contribution(item.owner, _checked(item)) for item in added], "recognisers")


def find_backend(name: str) -> RecogniserBackend:
    """Return the recogniser of a name; those of extensions are imported only for other names than vtune's own.

    :raises VtuneError: there is none; suggests the nearest name.
    """
    own = {backend.name: backend for backend in _OWN}
    if name in own:
        return own[name]
    backends = recogniser_backends()
    if name not in backends:
        raise VtuneError(f"there is no recogniser {shown(name)}{choices(name, backends, 'recognisers')}")
    return backends[name]


def _checked(item: Contribution[RecogniserBackend]) -> RecogniserBackend:
    """Return the recogniser of an extension, whose errors and transcripts are checked."""
    backend, title = item.entry, f"{item.owner}: recogniser {item.entry.name!r}"

    def open_checked(settings: TranscribeRecipe, device: Any) -> Recogniser:
        with errors_of(title, backend.open).named("open"):
            return _CheckedRecogniser(backend.open(settings, device), title)

    return RecogniserBackend(backend.name, backend.description, open_checked, backend.version)


class _CheckedRecogniser:
    """The recogniser of an extension; an answer that is no list of transcripts is an error that names it."""

    def __init__(self, recogniser: Any, title: str) -> None:
        batch = getattr(recogniser, "batch", None)
        if not isinstance(batch, int) or batch < 1 or not callable(getattr(recogniser, "transcribe", None)):
            raise EngineError(
                f"{title}: open returned {shown(recogniser)}; it must return an object with `batch`, a whole number "
                "above 0, and `transcribe(sounds)`"
            )
        self.batch, self._recogniser, self._title = batch, recogniser, title
        self._errors = errors_of(title, type(recogniser))

    def transcribe(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Transcribe sounds, and check that each has a transcript."""
        with self._errors.named("transcribe"):
            transcripts = self._recogniser.transcribe(sounds)
        is_list = isinstance(transcripts, list | tuple) and all(isinstance(item, Transcript) for item in transcripts)
        if not is_list or len(transcripts) != len(sounds):
            raise EngineError(
                f"{self._title}: transcribe returned {shown(transcripts)} for {len(sounds)} sounds; it must return a "
                "vtune.contract.recognisers.Transcript for each"
            )
        return list(transcripts)


def _language(settings: TranscribeRecipe) -> str | None:
    return None if settings.language == "auto" else settings.language


def _open_whisper(settings: TranscribeRecipe, device: Any) -> Recogniser:
    from vtune.ingest.transcribe.openai_whisper import OpenAIWhisper

    return OpenAIWhisper(settings.model, _language(settings), device, settings.numbers)


def _open_faster_whisper(settings: TranscribeRecipe, device: Any) -> Recogniser:
    from vtune.ingest.transcribe.faster_whisper import FasterWhisper

    return FasterWhisper(settings.model, _language(settings), device, settings.numbers)


def _open_hub_model(settings: TranscribeRecipe, device: Any) -> Recogniser:
    from vtune.ingest.transcribe.hub_models import open_model

    return open_model(settings.model, _language(settings), device, settings.numbers)


_OWN = [
    RecogniserBackend(name, description, open_backend)
    for (name, description), open_backend in zip(
        OWN_RECOGNISERS.items(), (_open_whisper, _open_faster_whisper, _open_hub_model), strict=True
    )
]
