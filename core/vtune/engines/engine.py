"""One engine, typed: core calls hooks only through this class."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from vtune.contract.exports import ExportTarget
from vtune.contract.hookspecs import HOOK_SECTIONS
from vtune.contract.imports import ImportedVoice, VoiceToImport
from vtune.engines import answers
from vtune.engines import defaults as default_hooks
from vtune.engines.contributions import Contribution, contributions, plugin_answers
from vtune.engines.discovery import find_engine, import_file, import_plugin
from vtune.engines.hook_errors import HookErrors
from vtune.engines.plugin_manager import Hooks, new_manager, plugin_modules
from vtune.engines.single_file import is_engine_file, named_engine_file, use_engine_file
from vtune.engines.sound_checks import checked, longest_speech
from vtune.engines.validation import LoadedExtension, engine_information, loaded_extensions
from vtune.errors import EngineError, SkipClip, VoiceError, shown
from vtune.runtime.device import trim_heap
from vtune.toolkit.pauses import speakable_parts, with_pauses
from vtune.types import (
    Audio,
    Batch,
    Capability,
    Clip,
    Conditioning,
    EngineOptions,
    Features,
    Footprint,
    Licence,
    LoraSettings,
    TokenSampler,
    TrainingPart,
    TrainingStep,
)
from vtune.types.options import sampling_names, text_defaults, text_names, text_values
from vtune.types.tensors import as_stored

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vtune.contract.metrics import MetricMaker
    from vtune.recipe import Recipe

TEXT_OPTIONS_KEY = "vtune.text"
"""Key of a conditioning's strings under which a voice keeps the options that ``prepare_text`` needs, as JSON."""


FEATURES_HOOKS = ("load_base", *HOOK_SECTIONS["Prepare the data"])
TRAINING_HOOKS = (*FEATURES_HOOKS, *HOOK_SECTIONS["Train"])
SPEECH_HOOKS = (*HOOK_SECTIONS["Make the voice"], *HOOK_SECTIONS["Speak"])
"""Hooks that make features, an adapter and a finished voice; a wrapper around one of them counts for what it makes."""


class Engine:
    """The hooks of one engine with its extensions; see ``vtune.contract.hookspecs`` for what each promises.

    ``name`` is what a recipe writes, ``origin`` the distribution that ships it. ``extensions`` are the options of the
    extensions that wrap its hooks; see ``with_extensions``.
    """

    def __init__(self, name: str, origin: str, manager: pluggy.PluginManager) -> None:
        self.name = name
        self.origin = origin
        self._manager = manager
        self._errors = HookErrors(self._what, plugin_modules(manager))
        self.info = engine_information(manager, self._what)
        self._extensions = loaded_extensions(manager)
        self._activate(
            {info.name: info.options() for item in self._extensions if (info := item.info) and not info.opt_in}
        )

    def with_extensions(self, extensions: Mapping[str, EngineOptions]) -> Engine:
        """Return this engine with the extensions' options of a recipe or a voice, which their wrappers get.

        Opt-in extensions without options there take no part.
        """
        engine = copy(self)
        engine._activate(extensions)
        return engine

    def named_errors(self, action: str) -> AbstractContextManager[None]:
        """Name the engine, an action and the line of code in the errors of a block that come from the engine's files.

        :param action: what vtune does with the engine's code outside of hooks: ``training the model``.
        """
        return self._errors.named_if_own(action)

    def _activate(self, extensions: Mapping[str, EngineOptions]) -> None:
        self.extensions: Mapping[str, EngineOptions] = dict(extensions)
        self._active = [
            item for item in self._extensions if not item.info or not item.info.opt_in or item.info.name in extensions
        ]
        inactive = [item.plugin for item in self._extensions if item not in self._active]
        self._hook = Hooks(self._manager, inactive)

    def load_base(self, options: EngineOptions, device: torch.device, dtype: torch.dtype) -> Any:
        """Return the engine's state."""
        with self._errors.named("load_base"):
            base = self._hook.load_base(options=options, device=device, dtype=dtype)
        return self._answered("load_base", base)

    def licence(self, base: Any) -> Licence:
        """Return the licence of a base: what the engine says of the base, otherwise what it says of all bases."""
        with self._errors.named("base_licence"):
            answer = self._hook.base_licence(base=base, extensions=self.extensions)
        info = self.info
        return answers.licence(answer, self.title("base_licence")) or Licence(
            info.licence, info.licence_id, info.licence_name, info.licence_note
        )

    def fingerprint(self, base: Any) -> dict[str, str]:
        """Name every part that a voice needs to speak, with a hash of each."""
        hashes: dict[str, str] = answers.hashes(self._call("fingerprint", base=base), self.title("fingerprint"))
        return hashes

    def features_fingerprint(self, base: Any) -> dict[str, str]:
        """Name every part that features depend on, with a hash of each."""
        further = answers.hashes(self._call("features_fingerprint", base=base), self.title("features_fingerprint"))
        return {**self.fingerprint(base), **further}

    def prepare_text(self, base: Any, text: str, options: Mapping[str, Any]) -> str:
        """Turn a text into what the network reads.

        :param options: values of the options that affect the text, by name.
        :raises SkipClip: the engine cannot prepare the text.
        """
        result = self._call("prepare_text", base=base, text=text, options=dict(options))
        if not isinstance(result, str) or not result:
            raise EngineError(
                f"{self.title('prepare_text')} returned {shown(result)} for {shown(text)}; it must return a text that "
                "is not empty"
            )
        return result

    def prepare_sample(self, base: Any, clip: Clip, options: EngineOptions | None = None) -> Features:
        """Prepare the text of one clip and encode the clip.

        :param options: of the recipe, for ``prepare_text``; default: the engine's defaults.
        :raises SkipClip: the clip does not fit the engine.
        """
        clip = self._with_prepared_text(base, clip, options)
        features = self._call("prepare_sample", base=base, clip=clip)
        trim_heap()  # the next clip has another length
        return answers.features(features, self.info.length_feature, self.title("prepare_sample"))

    def collate(self, base: Any, features: Sequence[Features]) -> Batch:
        """Pad features into one batch."""
        rows = [as_stored({"lot": answers.FIXED_LOT, **row}) for row in features]
        batch = self._call("collate", base=base, features=rows)
        return answers.batch(batch, len(rows), self.title("collate"))

    def build_lora_model(self, base: Any, lora: LoraSettings) -> nn.Module:
        """Return a fresh PeftModel on the base's network."""
        model: nn.Module = answers.peft_model(
            self._call("build_lora_model", base=base, lora=lora), self.title("build_lora_model")
        )
        return model

    def build_model(self, base: Any, lora: LoraSettings, method: str) -> nn.Module:
        """Return the model to train: the PeftModel, or for method ``full`` the network with all weights trainable."""
        model = self.build_lora_model(base, lora)
        if method != "full":
            return model
        network: nn.Module = model.unload()  # type: ignore[operator] # a PeftModel, by contract
        return network.requires_grad_(True)

    def training_parts(self, base: Any, model: nn.Module) -> dict[str, TrainingPart]:
        """Return the modules that are trained beside the adapter, by name."""
        parts = self._call("training_parts", base=base, model=model)
        return answers.training_parts(parts, self.title("training_parts"))

    @property
    def trains_parts(self) -> bool:
        """Whether the engine trains modules beside the adapter."""
        return self._implements("training_parts")

    def optimizers(
        self, base: Any, model: nn.Module, parts: Mapping[str, nn.Module], learning_rates: Mapping[str, float]
    ) -> dict[str, torch.optim.Optimizer]:
        """Return the engine's further optimizers by name."""
        arguments = {"parts": dict(parts), "learning_rates": dict(learning_rates)}
        optimizers = self._call("optimizers", base=base, model=model, **arguments)
        return answers.optimizers(optimizers, self.title("optimizers"))

    @property
    def has_training_step(self) -> bool:
        """Whether the engine learns from a batch by itself instead of from one loss."""
        return self._implements("training_step")

    def training_step(self, base: Any, model: nn.Module, batch: Batch, step: TrainingStep) -> dict[str, torch.Tensor]:
        """Learn from one batch with several losses; only for engines with ``has_training_step``."""
        numbers = self._call("training_step", base=base, model=model, batch=batch, step=step)
        return answers.logged_numbers(numbers, self.title("training_step"))

    def extract_conditioning(
        self, base: Any, clips: Sequence[Clip], options: EngineOptions | None = None
    ) -> Conditioning:
        """Return what a voice keeps beside its adapter in order to speak, with the options that its texts need.

        :param options: of the recipe, for ``prepare_text``; default: the engine's defaults.
        """
        prepared = [self._with_prepared_text(base, clip, options) if clip.text else clip for clip in clips]
        kept = self._call("extract_conditioning", base=base, clips=prepared)
        return self.with_text_options(
            answers.conditioning(kept, self.title("extract_conditioning")), self._text_options(options)
        )

    def with_text_options(self, conditioning: Conditioning, values: Mapping[str, Any]) -> Conditioning:
        """Return a conditioning that keeps other values of options that affect the text."""
        if not values:
            return conditioning
        kept = {**_kept_text_options(conditioning), **values}
        return Conditioning(conditioning.tensors, {**conditioning.strings, TEXT_OPTIONS_KEY: json.dumps(kept)})

    def keep_text_options(self, conditioning: Conditioning, source: Conditioning) -> Conditioning:
        """Return a conditioning that keeps the text options of another conditioning."""
        return self.with_text_options(conditioning, _kept_text_options(source))

    def mix_conditioning(self, base: Any, parts: Sequence[Conditioning], weights: Sequence[float]) -> Conditioning:
        """Combine the conditioning of the voices of a mix; the voice with the largest weight comes first."""
        mixed = self._call("mix_conditioning", base=base, parts=parts, weights=weights)
        return self.keep_text_options(answers.conditioning(mixed, self.title("mix_conditioning")), parts[0])

    def synthesize(
        self,
        base: Any,
        model: nn.Module,
        text: str,
        conditioning: Conditioning,
        seed: int,
        sampling: Mapping[str, Any] | None = None,
    ) -> Iterator[Audio]:
        """Speak, piece by piece; lines without a letter or a digit are pauses."""
        self.require("text", "speak a text; use vtune convert")
        arguments = {"base": base, "model": model, "conditioning": conditioning}
        return self._with_pauses("synthesize", text, seed, sampling or {}, arguments)

    @property
    def can_batch(self) -> bool:
        """Whether the engine speaks several texts in one batch.

        Not if an extension wraps ``synthesize`` alone: its wrapper would not see texts that are spoken in a batch.
        """
        return self._implements("synthesize_together") and not self._bypassed("synthesize_together")

    def _bypassed(self, hook: str) -> list[str]:
        """Return the extensions that wrap ``synthesize``, but not another hook that speaks in its place."""
        return [item.title for item in self._active if "synthesize" in item.wraps and hook not in item.wraps]

    def synthesize_together(
        self,
        base: Any,
        model: nn.Module,
        lines: Sequence[tuple[str, int]],
        conditioning: Conditioning,
        sampling: Mapping[str, Any] | None = None,
    ) -> Iterator[tuple[int, list[Audio]]]:
        """Speak several texts in one batch, each with its seed; only for engines with ``can_batch``.

        Lines without a letter or a digit are pauses, as in ``synthesize``.
        """
        self.require("text", "speak texts; use vtune convert")
        options = self._spoken_text_options(conditioning, sampling or {})
        whole_lines = [number for number, (text, _) in enumerate(lines) if speakable_parts(text) == [text]]
        if whole_lines:
            prepared = [(self._spoken(base, lines[number][0], options), lines[number][1]) for number in whole_lines]
            results = self._pieces(
                "synthesize_together", base=base, model=model, lines=prepared, conditioning=conditioning,
                sampling=dict(sampling or {}),
            )  # fmt: skip
            title, done = self.title("synthesize_together"), set[int]()
            for result in results:
                index, pieces = answers.spoken_line(result, len(whole_lines), done, title)
                done.add(index)
                longest = longest_speech(lines[whole_lines[index]][0])
                yield whole_lines[index], list(checked(pieces, title, self.info.sample_rate, longest))
            answers.require_all_spoken(done, len(whole_lines), title)
        for number in sorted(set(range(len(lines))) - set(whole_lines)):
            text, seed = lines[number]
            yield number, list(self.synthesize(base, model, text, conditioning, seed, sampling))

    def synthesize_from_sampler(
        self,
        base: Any,
        sampler: TokenSampler,
        text: str,
        conditioning: Conditioning,
        seed: int,
        sampling: Mapping[str, Any],
    ) -> Iterator[Audio]:
        """Speak with tokens that a server samples. :raises EngineError: the engine cannot."""
        self.require_sampler()
        arguments = {"base": base, "sampler": sampler, "conditioning": conditioning}
        return self._with_pauses("synthesize_from_sampler", text, seed, sampling, arguments)

    def require_sampler(self) -> None:
        """Check that a server of language models can sample for this engine. :raises EngineError: no server can."""
        if not self._implements("synthesize_from_sampler"):
            raise EngineError(
                f"engine {self.name!r} speaks only in vtune's own process: no other server can sample from its network"
            )
        bypassed = self._bypassed("synthesize_from_sampler")
        if bypassed:
            raise EngineError(
                f"{bypassed[0]} wraps synthesize, but not synthesize_from_sampler, so it would not see speech that "
                "another server samples; use --backend in-process, or leave the extension out"
            )

    def require_convert(self) -> None:
        """Check that the engine converts recordings into a voice. :raises EngineError: the engine only speaks texts."""
        if not self._implements("convert"):
            raise EngineError(
                f"engine {self.name!r} only speaks texts: it has no hook 'convert', so it cannot convert a recording"
            )

    def convert(
        self,
        base: Any,
        model: nn.Module,
        audio: Audio,
        conditioning: Conditioning,
        seed: int,
        sampling: Mapping[str, Any] | None = None,
    ) -> Iterator[Audio]:
        """Say what a recording says with the voice, piece by piece. :raises EngineError: the engine cannot."""
        self.require_convert()
        pieces = self._pieces(
            "convert", base=base, model=model, audio=audio, conditioning=conditioning, seed=seed,
            sampling=dict(sampling or {}),
        )  # fmt: skip
        longest = longest_speech("") + 2 * audio.seconds
        return checked(pieces, self.title("convert"), self.info.sample_rate, longest)

    @property
    def measures_network(self) -> bool:
        """Whether the engine measures its network on texts."""
        return self._implements("measure_network")

    def measure_network(
        self, base: Any, model: nn.Module, text: str, conditioning: Conditioning, seed: int
    ) -> dict[str, float]:
        """Measure the network on a text; finite numbers by name."""
        spoken = self._spoken(base, text, self._spoken_text_options(conditioning, {}))
        numbers = self._call(
            "measure_network", base=base, model=model, text=spoken, conditioning=conditioning, seed=seed
        )
        return answers.network_numbers(numbers, self.title("measure_network"))

    def require(self, capability: Capability, action: str) -> None:
        """Check that the engine supports something.

        :param action: what the user wants, in words: ``merge an adapter into its base``.
        :raises EngineError: the engine does not support it.
        """
        if capability not in self.info.supports:
            raise EngineError(f"engine {self.name!r} does not support {capability}: it cannot {action}")

    def footprint(
        self, options: EngineOptions, lora: LoraSettings, dtype_bytes: int, product_bytes: int | None = None
    ) -> Footprint | None:
        """Estimate what training needs of a machine.

        :param product_bytes: of a number in matrix products; default: ``dtype_bytes``.
        """
        with self._errors.named("footprint"):
            footprint = self._hook.footprint(
                options=options, lora=lora, dtype_bytes=dtype_bytes, product_bytes=product_bytes or dtype_bytes
            )
        return answers.footprint(footprint, self.title("footprint"))

    def save_merged(self, base: Any, network: nn.Module, directory: Path) -> list[Path]:
        """Write a merged network."""
        written = self._call("save_merged", base=base, network=network, directory=directory)
        return answers.files(written, self.title("save_merged"))

    def require_import(self) -> None:
        """Check that the engine takes voices of other software. :raises EngineError: it takes none."""
        if not self._implements("import_voice"):
            raise EngineError(
                f"engine {self.name!r} imports no voices of other software: it has no hook 'import_voice'"
            )

    def import_voice(self, base: Any, source: VoiceToImport) -> ImportedVoice:
        """Read a voice that other software trained. :raises EngineError: the engine takes none."""
        self.require_import()
        answer = self._call("import_voice", base=base, source=source)
        return answers.imported_voice(answer, self.title("import_voice"))

    def export_voice(self, base: Any, model: nn.Module, conditioning: Conditioning, directory: Path) -> list[Path]:
        """Write the adapter and the conditioning of a voice."""
        written = self._call("export_voice", base=base, model=model, conditioning=conditioning, directory=directory)
        return answers.files(written, self.title("export_voice"))

    def trainer_callbacks(self, recipe: Recipe) -> list[Any]:
        """Return the callbacks of all extensions."""
        return [item.entry for item in contributions(self._hook, "trainer_callbacks", object, recipe=recipe)]

    def metrics(self, recipe: Recipe) -> list[tuple[str, str, MetricMaker]]:
        """Return each extension's metrics: the extension as errors name it, the name of the group, and the maker."""
        return [
            (owner, name, maker)
            for owner, makers in plugin_answers(self._hook, "metrics", dict, recipe=recipe)
            for name, maker in makers.items()
        ]

    def export_targets(self) -> list[Contribution[ExportTarget]]:
        """Return the targets of ``vtune export`` that the engine and the extensions add."""
        return contributions(self._hook, "export_targets", ExportTarget)

    def extension_options(self) -> dict[str, type[EngineOptions]]:
        """Return the option models of the extensions by name."""
        return {item.info.name: item.info.options for item in self._extensions if item.info}

    def installed_extensions(self) -> list[LoadedExtension]:
        """Return every extension, those that take no part included."""
        return list(self._extensions)

    def active_extensions(self) -> list[LoadedExtension]:
        """Return the extensions that take part."""
        return list(self._active)

    def extension_identity(
        self,
        extensions: Mapping[str, EngineOptions],
        values: Callable[[EngineOptions], dict[str, Any]],
        hooks: Collection[str],
    ) -> dict[str, Any]:
        """Return what something that was made owes to the extensions, by the name of each.

        :param extensions: the options of a recipe.
        :param values: returns the values of the options that it depends on.
        :param hooks: the hooks that made it; a wrapper around one of them counts with its extension's version.
        """
        identity = {}
        for item in self.with_extensions(extensions).active_extensions():
            options = extensions.get(item.info.name) if item.info else None
            depends = values(options) if options is not None else {}
            wraps = bool(item.wraps & set(hooks))
            if depends or wraps:
                identity[item.key] = {"version": item.info.version if item.info and wraps else "", "options": depends}
        return identity

    @property
    def _what(self) -> str:
        return f"engine {self.name!r} ({self.origin})"

    def title(self, hook: str) -> str:
        """Return how errors name this engine and one of its hooks."""
        return f"{self._what}: {hook}"

    def _implements(self, hook: str) -> bool:
        """Tell whether an engine implements an optional hook; wrappers of extensions and core's defaults do not."""
        return any(
            not implementation.wrapper and implementation.plugin is not default_hooks
            for implementation in getattr(self._hook, hook).get_hookimpls()
        )

    def _call(self, hook: str, **arguments: Any) -> Any:
        """Call a hook with a base. :raises EngineError: the hook raises or returns None; names the line of code."""
        with self._errors.named(hook):
            answer = getattr(self._hook, hook)(**arguments, extensions=self.extensions)
        return self._answered(hook, answer)

    def _pieces(self, hook: str, **arguments: Any) -> Iterator[Any]:
        return self._errors.pieces(hook, answers.iterable(self._call(hook, **arguments), self.title(hook)))

    def _answered(self, hook: str, answer: Any) -> Any:
        if answer is None:
            raise EngineError(f"{self._what}: hook {hook!r} returned None; it must return a value")
        return answer

    def _text_options(self, options: EngineOptions | None) -> dict[str, Any]:
        return text_defaults(self.info.options) if options is None else text_values(options)

    def _with_prepared_text(self, base: Any, clip: Clip, options: EngineOptions | None) -> Clip:
        return replace(clip, text=self.prepare_text(base, clip.text, self._text_options(options)))

    def _spoken_text_options(self, conditioning: Conditioning, sampling: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options for ``prepare_text``: those of the voice, changed by those of one request."""
        names = set(text_names(self.info.options))
        if not names:
            return {}
        both = names & set(sampling_names(self.info.options))
        kept = {name: value for name, value in _kept_text_options(conditioning).items() if name in names}
        defaults = text_defaults(self.info.options)
        return {**defaults, **kept, **{name: value for name, value in sampling.items() if name in both}}

    def _with_pauses(
        self, hook: str, text: str, seed: int, sampling: Mapping[str, Any], arguments: Mapping[str, Any]
    ) -> Iterator[Audio]:
        """Speak the lines of a text by a hook, each prepared and its sound checked; the others are pauses.

        :param arguments: the other arguments of the hook, base and conditioning among them.
        """
        options = self._spoken_text_options(arguments["conditioning"], sampling)

        def speak_line(text: str, seed: int) -> Iterator[Audio]:
            spoken = self._spoken(arguments["base"], text, options)
            pieces = self._pieces(hook, text=spoken, seed=seed, sampling=dict(sampling), **arguments)
            return checked(pieces, self.title(hook), self.info.sample_rate, longest_speech(text))

        return with_pauses(speak_line, text, seed, self.info.sample_rate)

    def _spoken(self, base: Any, text: str, options: Mapping[str, Any]) -> str:
        """Prepare a text that is to be spoken. :raises VoiceError: the engine cannot prepare it."""
        try:
            return self.prepare_text(base, text, options)
        except SkipClip as reason:
            raise VoiceError(f"{shown(text)} cannot be spoken: {reason}") from reason


def _kept_text_options(conditioning: Conditioning) -> dict[str, Any]:
    """Read the options that a voice keeps for its texts. :raises VoiceError: the options are damaged."""
    text = conditioning.strings.get(TEXT_OPTIONS_KEY, "{}")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise VoiceError(f"the voice's conditioning.safetensors says {TEXT_OPTIONS_KEY} {shown(text)}, expected JSON")
    return values


def load_engine(name: str) -> Engine:
    """Load one engine by the name that recipes and voices use.

    Other installed engines are not imported, so a broken one cannot disturb. A file (``./my_engine.py``) is imported
    only if the user has named it: see ``use_engine_file``.

    :raises EngineError: the engine is not installed, is a file that nobody named, clashes, cannot be imported or breaks
        the contract; one line.
    """
    if is_engine_file(name):
        path = named_engine_file(name)
        return Engine(name, str(path), new_manager(import_file(path), f"engine {name!r} ({path})"))
    installed = find_engine(name)
    module = import_plugin(installed, "engine")
    return Engine(name, installed.distribution, new_manager(module, installed.title("engine"), installed.needs))


def load_users_engine(name: str) -> Engine:
    """Load the engine that a person has typed: an installed one, or a file, which they answer for by typing it.

    :raises EngineError: see ``load_engine`` and ``use_engine_file``.
    """
    if is_engine_file(name):
        use_engine_file(name)
    return load_engine(name)


def import_engine_files(paths: Sequence[Path]) -> None:
    """Let a worker process run its parent's engine files, and know their classes before any is sent to it."""
    for path in paths:
        use_engine_file(path)
        import_file(path)
