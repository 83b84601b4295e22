"""What a voice can be compared with: its base, its checkpoints, other voices, mixes, a recording used as a prompt.

Names as people type them: ``ann``, ``base``, ``ann@40``, ``ann@best``, ``0.7*ann+0.3*ben``, ``prompt:clip.wav``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vtune import audio
from vtune.errors import VoiceError, listed
from vtune.evaluation import BASE, System, system_of
from vtune.runtime.paths import RunFolder, VoiceFolder
from vtune.training import checkpoints
from vtune.types import Clip, Conditioning
from vtune.voice_format.record import find_voice, read_record, voice_or_none
from vtune.voice_format.weights import load_weights
from vtune.voices.mixing import find_parts, looks_like_mix, open_named
from vtune.voices.speech import LoadedVoice

PROMPT = "prompt:"

LABELS = {"lora": "lora", "full": "finetuned"}
"""Part of the file names of the voice that a comparison is about, by its training method."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One system of a comparison.

    :param name: as it was typed; of a path its last part, where that is different from all others.
    :param label: part of file names: ``base``, ``lora``, ``finetuned``, or the name without special characters.
    :param opens: voice or mix that is loaded, looked up in the folder ``voices``.
    :param untuned: whether it speaks without what the training learned.
    :param weights: weights of a checkpoint that are loaded instead of the voice's own.
    :param prompt: recording whose voice is imitated.
    """

    name: str
    label: str
    opens: str
    voices: Path
    untuned: bool = False
    weights: Path | None = None
    prompt: Path | None = None

    @property
    def is_voice(self) -> bool:
        """Whether it is the finished voice that the comparison is about: the sentences of its training are known."""
        return self.label in LABELS.values()


def contestants(names: Sequence[str], voices: Path, runs: Path) -> list[Contestant]:
    """Resolve the names that a user typed; ``base`` and ``prompt:`` belong to the first voice.

    :raises VoiceError: there is no such voice, checkpoint or recording; suggests the nearest.
    """
    first = first_voice(names, voices)
    repeated = next((name for name in names if list(names).count(name) > 1), None)
    if repeated is not None:
        raise VoiceError(f"{repeated} is named twice; name each voice once")
    resolved = [_resolve(name, first, voices, runs) for name in names]
    ends = [_end_of(contestant.name) for contestant in resolved]
    return [
        replace(contestant, name=end) if ends.count(end) == 1 else contestant
        for contestant, end in zip(resolved, ends, strict=True)
    ]


def _end_of(name: str) -> str:
    return name if name.startswith(PROMPT) or looks_like_mix(name) else Path(name).name


def first_voice(names: Sequence[str], voices: Path) -> VoiceFolder:
    """Find the voice that a comparison is about: the first one; of a mix, its heaviest part.

    :raises VoiceError: no voice is named, or the voice does not exist.
    """
    for name in names:
        if name != BASE and not name.startswith(PROMPT):
            return _folder_of(name, voices)
    raise VoiceError(f"name a voice: {listed(names)} is no voice but a base, and a base needs a voice")


def _folder_of(name: str, voices: Path) -> VoiceFolder:
    if voice_or_none(name, voices) is None and looks_like_mix(name):
        return find_parts(name, voices, {})[0].folder
    return find_voice(name if voice_or_none(name, voices) else name.partition("@")[0], voices)


def _resolve(name: str, first: VoiceFolder, voices: Path, runs: Path) -> Contestant:
    own = str(first.path)
    if name == BASE:
        return Contestant(name, BASE, own, voices, untuned=True)
    if name.startswith(PROMPT):
        path = Path(name.removeprefix(PROMPT)).expanduser()
        if not path.is_file():
            raise VoiceError(f"{name}: there is no recording {path}")
        return Contestant(name, plain(path.stem), own, voices, untuned=True, prompt=path)
    folder = _folder_of(name, voices)
    if voice_or_none(name, voices) is None:
        if looks_like_mix(name):
            return Contestant(name, plain(name), name, voices)
        step = name.partition("@")[2]
        return Contestant(name, plain(name), str(folder.path), voices, weights=_checkpoint(folder, step, runs))
    if folder != first:
        return Contestant(name, plain(folder.name), str(folder.path), voices)
    return Contestant(name, LABELS[read_record(folder).method], own, voices)


def _checkpoint(folder: VoiceFolder, step: str, runs: Path) -> Path:
    """Find a checkpoint of the training that made the voice, by its step."""
    facts = read_record(folder).training
    training = RunFolder(runs / folder.name).checkpoints / str(facts.get("key", ""))
    paths = {str(number): path for number, path in checkpoints.complete_checkpoints(training)}
    if step == "best":
        step = str(facts.get("best_step", ""))
    if step not in paths:
        raise VoiceError(
            f"{folder.name}@{step}: no checkpoint of that step in {training} (there: {listed(paths, step)})"
        )
    return paths[step]


def checkpoint_names(record: Mapping[str, Any], runs: Path) -> list[str]:
    """Return the names of a voice's checkpoints that are still there: ``ann@40``, ``ann@best``.

    :param record: what ``voice.json`` says, with the name of the voice's folder.
    """
    name, facts = record["name"], record["training"]
    training = RunFolder(runs / name).checkpoints / str(facts.get("key", ""))
    steps = [str(number) for number, _ in checkpoints.complete_checkpoints(training)] if facts.get("key") else []
    best = [f"{name}@best"] if str(facts.get("best_step", "")) in steps else []
    return [*(f"{name}@{step}" for step in steps), *best]


def plain(name: str) -> str:
    """Replace the characters of a name that do not belong into a file name."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "voice"


@contextmanager
def opened(
    contestant: Contestant, device: str = "auto", options: Mapping[str, Any] | None = None, *, name: str | None = None
) -> Iterator[System]:
    """Load a contestant as a system that speaks; its memory is free again afterwards.

    :param name: name of the system; default: the contestant's.
    """
    voice = open_named(contestant.opens, contestant.voices, device, options=options, untuned=contestant.untuned)
    if contestant.weights is not None:
        load_weights(voice.model, contestant.weights)
    if contestant.prompt is not None:
        voice = _prompted(voice, contestant.prompt)
    yield system_of(name or contestant.name, voice)


def _prompted(voice: LoadedVoice, path: Path) -> LoadedVoice:
    """Replace a voice's conditioning by that of one recording."""
    rate = audio.rate_of(path) if voice.engine.info.clips_as_recorded else voice.sample_rate
    waveform = audio.read(path, rate)
    kept = voice.engine.extract_conditioning(voice.base, [Clip("prompt", voice.record.name, "", waveform, rate)])
    kept = voice.engine.keep_text_options(kept, voice.conditioning)
    conditioning = Conditioning(kept.tensors, {**kept.strings, "vtune.clips": path.name})
    return LoadedVoice(voice.engine, voice.base, voice.model, conditioning, voice.record)
