"""Find the voices of a mix, and refuse those that cannot be added up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtune.engines import load_engine
from vtune.errors import VoiceError, shown
from vtune.recipe import LoraRecipe
from vtune.runtime.paths import VoiceFolder
from vtune.toolkit.hub import hash_file
from vtune.types import LoraSettings
from vtune.voice_format.record import PartRecord, VoiceRecord, find_voice, read_record, voice_or_none
from vtune.voice_format.weights import ADAPTER_FILE, readable
from vtune.voices.mixing.expression import MixTerm, mix_error, parse_mix

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MixPart:
    """A voice of a mix, with its weight, its folder and its record."""

    term: MixTerm
    folder: VoiceFolder
    record: VoiceRecord

    @property
    def name(self) -> str:
        """The voice's name as the user typed it."""
        return self.term.name

    @property
    def weight(self) -> float:
        """The factor with which the voice's change of the base is added."""
        return self.term.weight

    @property
    def is_full(self) -> bool:
        """Whether the voice is a whole network in place of an adapter."""
        return self.record.method == "full"

    @property
    def lora(self) -> LoraSettings:
        """The shape of the voice's adapter."""
        return LoraRecipe.model_validate(self.record.lora).settings()

    def settings(self) -> PartRecord:
        """Return the entry of this voice in the record of a mix. :raises VoiceError: its weights cannot be read."""
        trained = self.folder.weights if self.is_full else self.folder.path / ADAPTER_FILE
        with readable(trained):
            adapter = hash_file(trained)
        return PartRecord(
            voice=self.folder.path.resolve().name,
            weight=self.weight,
            adapter=adapter,
            consent=self.record.consent,
            mix=self.record.mix,
        )


def find_parts(text: str, voices: Path, options: Mapping[str, Any]) -> list[MixPart]:
    """Find the voices that a mix names, the heaviest first; a text that names a voice is a mix of that voice alone.

    Voices of weight 0 are held to the same rules and then left out.

    :param voices: the folder in which names are looked up.
    :param options: engine options that the mix will have, whatever the voices have.
    :raises VoiceError: the text is no mix, a voice is missing, damaged or named twice (with the character), or the
        voices cannot be mixed (with their names and what differs).
    """
    terms = (MixTerm(1.0, text, 1),) if voice_or_none(text, voices) else parse_mix(text)
    return gather(text, terms, lambda name: find_voice(name, voices), options)


def gather(
    text: str, terms: Iterable[MixTerm], find: Callable[[str], VoiceFolder], options: Mapping[str, Any]
) -> list[MixPart]:
    """Find the voices of a mix by any rule; see ``find_parts``.

    :param text: the text of the terms, for errors.
    :param find: returns the folder of a name; raises ``VoiceError`` if there is no such voice.
    """
    parts: dict[Path, MixPart] = {}
    for term in terms:
        try:
            folder = find(term.name)
        except VoiceError as error:
            raise mix_error(text, term.place, error) from error
        key = folder.path.resolve()
        if key in parts:
            raise mix_error(text, term.place, f"voice {shown(term.name)} is named twice; add up its weights")
        parts[key] = part = MixPart(term, folder, read_record(folder))
        _require_a_sum(part)
        _require_same_base(part, next(iter(parts.values())), options)
    if len(parts) > 1:
        load_engine(next(iter(parts.values())).record.engine).require("mixing", "speak with the mean of several voices")
    audible = sorted((part for part in parts.values() if part.weight > 0), key=lambda part: -part.weight)
    if not audible:
        raise VoiceError(f"mix {shown(text)}: every weight is 0; 'vtune say VOICE --base' speaks with the base alone")
    return audible


def log_differences(parts: Sequence[MixPart], options: Mapping[str, Any]) -> None:
    """Log which engine options the parts do not share, and weights that add up to more than one voice.

    :param parts: the heaviest first.
    """
    settings = [{**part.record.engine_options, **options} for part in parts]
    differ = [name for name in settings[0] if any(setting.get(name) != settings[0][name] for setting in settings)]
    if differ:
        logger.info("the voices differ in %s; the mix has them from %s", ", ".join(differ), parts[0].name)
    total = sum(part.weight for part in parts)
    if total > 1.5:
        logger.warning(
            "the weights add up to %g, so the mix exaggerates its voices; weights that add up to 1 give their mean",
            total,
        )


def combined_consent(consents: Sequence[Mapping[str, str] | None]) -> dict[str, str] | None:
    """Return who is heard in a mix and what each person agreed to; None unless every voice of the mix states a
    consent.
    """
    stated = [consent for consent in consents if consent is not None]
    if len(stated) < len(consents):
        return None
    people = dict.fromkeys(consent["person"] for consent in stated)
    statements = dict.fromkeys(f"{consent['person']}: {consent['statement']}" for consent in stated)
    return {"person": ", ".join(people), "statement": " ".join(statements)}


def _require_a_sum(part: MixPart) -> None:
    if part.is_full:
        return
    full_modules = part.record.lora.get("modules_to_save")
    if full_modules:
        raise VoiceError(
            f"voice {part.name!r} has whole modules beside its adapter ({', '.join(map(str, full_modules))}), which "
            "cannot be added up; train it without lora.modules_to_save to mix it"
        )
    for argument, kind in _NOT_A_SUM.items():
        if part.lora.arguments.get(argument):
            raise VoiceError(
                f"voice {part.name!r} is {kind}, and such adapters cannot be added up; merge it to use it alone "
                f"('vtune merge'), or train it without lora.arguments.{argument} to mix it"
            )


_NOT_A_SUM = {"use_dora": "a DoRA adapter", "lora_bias": "an adapter with biases (lora_bias)"}
"""Arguments of adapters whose change of a weight is no product of two matrices."""


def _require_same_base(part: MixPart, first: MixPart, options: Mapping[str, Any]) -> None:
    if part.record.engine != first.record.engine:
        raise VoiceError(
            f"voice {first.name!r} is of engine {first.record.engine!r}, {part.name!r} of {part.record.engine!r}; "
            "only voices of one engine can be mixed"
        )
    if part.is_full != first.is_full:
        full, adapted = (part, first) if part.is_full else (first, part)
        raise VoiceError(
            f"voice {full.name!r} was fully fine-tuned, and {adapted.name!r} is an adapter; voices of both methods "
            "cannot be mixed"
        )
    ours, theirs = first.record.fingerprint, part.record.fingerprint
    differ = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if differ:
        raise VoiceError(
            f"voice {part.name!r} was trained on another {' and '.join(differ)} than {first.name!r}; "
            "only voices of one base can be mixed"
        )
    # A fingerprint may know a network by its shape alone; then the name is what tells two bases apart.
    first_base, part_base = (voice.record.engine_options.get("base_model") for voice in (first, part))
    if part_base != first_base and "base_model" not in options:
        raise VoiceError(
            f"voice {first.name!r} was trained on base_model {shown(first_base)}, {part.name!r} on {shown(part_base)}; "
            "if these are the same weights, say where they lie: --set base_model=..."
        )
