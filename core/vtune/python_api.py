"""What a Python program does with vtune: run a recipe, load a voice, let the voice speak and measure it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtune import pipeline
from vtune.audio import synthetic_note, write_speech
from vtune.engines import audio_format_of, load_recipe
from vtune.errors import VoiceError
from vtune.evaluation import Evaluation, evaluate, tuned_and_base
from vtune.evaluation.compare import first_voice, gather_test_set, recipe_of
from vtune.recipe import Recipe
from vtune.types import Audio, join_audio
from vtune.voice_format.record import VoiceRecord
from vtune.voices.mixing import open_named
from vtune.voices.speech import LoadedVoice


def run(
    recipe: str | Path | Recipe,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    callbacks: Sequence[Any] = (),
) -> list[Voice]:
    """Make every voice of a recipe, as ``vtune run`` does. A run that was stopped continues from there.

    ``vtune.run("jane.yaml", {"train.epochs": 5})`` trains five epochs, whatever the file says.

    :param recipe: a recipe file, the name of a built-in recipe, or a recipe from ``vtune.load_recipe``.
    :param overrides: values by their keys in the recipe, or texts as on the command line (``"train.epochs=5"``).
    :param callbacks: further callbacks of ``transformers.Trainer``.
    :returns: one voice for each speaker in the data. Each loads its network when it speaks for the first time.
    :raises VtuneError: the recipe, the data or the machine does not allow it; one line that says what to do.
    """
    if isinstance(recipe, Recipe):
        if overrides:
            raise TypeError(
                "overrides need the name of a recipe; give the overrides of a loaded recipe to vtune.load_recipe"
            )
    else:
        recipe = load_recipe(recipe, overrides)
    voices = pipeline.run(recipe, callbacks=callbacks)
    return [_voice_of(str(folder.path), folder.path.parent, recipe.train.device) for folder in voices]


def _voice_of(name: str, voices: Path, device: str) -> Voice:
    return Voice(name, voices, lambda: open_named(name, voices, device))


@dataclass(frozen=True, slots=True)
class SpokenAudio(Audio):
    """What a voice has said: ``waveform`` (float32 ``[samples]``), ``sample_rate`` in Hz, how it ended, and the times
    of its ``words`` in seconds if the engine knows them.

    :param voice: name of the voice, which a saved file notes.
    """

    voice: str = ""

    def save(self, path: str | Path) -> Path:
        """Write a sound file with a note that the speech is synthetic; return its path.

        The ending chooses the format: ``hello.wav`` (16-bit samples), ``hello.mp3``, ``hello.flac``, ...
        """
        path = Path(path)
        write_speech(path, audio_format_of(path), [self], self.sample_rate, synthetic_note(self.voice))
        return path


class Voice:
    """A voice that speaks: ``vtune.Voice.load("jane").say("Hello.").save("hello.wav")``."""

    def __init__(self, name: str, voices: Path, load: Callable[[], LoadedVoice]) -> None:
        self._name = name
        self._voices = voices
        self._load = load
        self._loaded: LoadedVoice | None = None

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        voices: str | Path = "voices",
        device: str = "auto",
        precision: str = "auto",
        options: Mapping[str, Any] | None = None,
    ) -> Voice:
        """Load a voice with its base.

        :param name: a name in ``voices``, the path of a voice folder, or a mix such as ``"0.7*anna+0.3*ben"``.
        :param voices: the folder in which names are looked up.
        :param device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``xpu``.
        :param precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        :param options: engine options that differ from training, such as ``{"base_model": "/models/orpheus"}``.
        :raises VoiceError: there is no such voice (suggests the nearest name), or it does not fit its base.
        """
        voice = cls(str(name), Path(voices), lambda: open_named(str(name), Path(voices), device, precision, options))
        voice._opened()
        return voice

    def __repr__(self) -> str:
        return f"<vtune.Voice {self._name}>"

    @property
    def name(self) -> str:
        """The voice's name, or the mix expression."""
        return self.record.name

    @property
    def sample_rate(self) -> int:
        """Samples per second of what the voice says, in Hz."""
        return self._opened().sample_rate

    @property
    def record(self) -> VoiceRecord:
        """The facts of the voice: engine, training, consent, licence."""
        return self._opened().record

    def say(self, text: str, *, seed: int = 0, untuned: bool = False, **sampling: Any) -> SpokenAudio:
        """Speak a text and return all of its sound.

        :param seed: the same seed gives the same sound.
        :param untuned: speak with the base instead, without what the training learned.
        :param sampling: the engine's sampling options for this text alone, such as ``temperature=0.4``.
        :raises VoiceError: the text has no letter and no digit, or the engine has no such sampling option.
        """
        sound = join_audio(list(self.stream(text, seed=seed, untuned=untuned, **sampling)))
        return self._spoken(sound)

    def convert(self, recording: str | Path, *, seed: int = 0, untuned: bool = False, **sampling: Any) -> SpokenAudio:
        """Say what a recording says with this voice: voice conversion, for engines that offer it.

        :param recording: a sound file of any kind; the other parameters are those of ``say``.
        :raises EngineError: the engine only speaks texts. DataError: the recording cannot be read.
        """
        pieces = self._opened().convert_file(Path(recording), seed, untuned=untuned, sampling=sampling)
        return self._spoken(join_audio(list(pieces)))

    def _spoken(self, sound: Audio) -> SpokenAudio:
        return SpokenAudio(sound.waveform, sound.sample_rate, sound.ending, sound.words, self.name)

    def stream(self, text: str, *, seed: int = 0, untuned: bool = False, **sampling: Any) -> Iterator[Audio]:
        """Speak a text and yield its sound piece by piece, as each is ready; the pieces join without gaps.

        The parameters are those of ``say``.
        """
        opened = self._opened()
        if untuned and opened.record.method == "full":
            raise VoiceError(
                f"voice {self.name!r} was fully fine-tuned, so it holds no untuned base; "
                "'vtune say --base' loads the base alone"
            )
        return opened.stream(text, seed, untuned=untuned, sampling=sampling)

    def evaluate(self, texts: Sequence[str] = (), *, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Evaluation:
        """Score the voice against its untuned base, as ``vtune evaluate`` does.

        ``voice.evaluate().scores`` holds every metric.

        :param texts: what is spoken; default: the words of the held-out clips.
        :param overrides: changes of the recipe's ``evaluate`` section, as for ``vtune.run``.
        :raises DataError: there are neither held-out clips nor texts.
        :raises VoiceError: the voice keeps no recipe.
        """
        opened = self._opened()
        folder = first_voice([self._name], self._voices)
        recipe = recipe_of(folder, overrides)
        systems = tuned_and_base(opened, adapter=opened.record.method == "lora")
        return evaluate(opened.engine, systems, gather_test_set(folder, recipe, texts), recipe)

    def _opened(self) -> LoadedVoice:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded
