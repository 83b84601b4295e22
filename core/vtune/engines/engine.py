"""One engine, typed: core calls hooks only through this class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from vtune.engines.discovery import find_engine, import_file, import_plugin
from vtune.engines.plugin_manager import new_manager
from vtune.engines.single_file import is_engine_file, named_engine_file, use_engine_file
from vtune.engines.validation import engine_information, extension_models
from vtune.errors import EngineError, shown
from vtune.runtime.device import trim_heap
from vtune.toolkit.pauses import speakable_parts, with_pauses
from vtune.types import (
    Audio,
    Batch,
    Clip,
    Conditioning,
    EngineOptions,
    Features,
    Footprint,
    LoraSettings,
    TokenSampler,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vtune.contract.metrics import MetricMaker
    from vtune.recipe import Recipe


class Engine:
    """The hooks of one engine with its extensions; see ``vtune.contract.hookspecs`` for what each promises.

    ``name`` is what a recipe writes, ``origin`` the distribution that ships it.
    """

    def __init__(self, name: str, origin: str, manager: pluggy.PluginManager) -> None:
        self.name = name
        self.origin = origin
        self._manager = manager
        self._hook = manager.hook
        self.info = engine_information(manager, self._what)

    def load_base(self, options: EngineOptions, device: torch.device, dtype: torch.dtype) -> Any:
        """Return the engine's state."""
        base = self._hook.load_base(options=options, device=device, dtype=dtype)
        return self._answered("load_base", base)

    def fingerprint(self, base: Any) -> dict[str, str]:
        """Name every part that a voice needs to speak, with a hash of each."""
        hashes: dict[str, str] = self._hook.fingerprint(base=base)
        return hashes

    def features_fingerprint(self, base: Any) -> dict[str, str]:
        """Name every part that features depend on, with a hash of each."""
        further: dict[str, str] = self._hook.features_fingerprint(base=base)
        return {**self.fingerprint(base), **further}

    def prepare_sample(self, base: Any, clip: Clip) -> Features:
        """Encode one clip. :raises SkipClip: the clip does not fit the engine."""
        features: Features = self._answered("prepare_sample", self._hook.prepare_sample(base=base, clip=clip))
        trim_heap()  # the next clip has another length
        if self.info.length_feature not in features:
            raise EngineError(
                f"engine {self.name!r}: prepare_sample returned {', '.join(features) or 'nothing'}, but "
                f"engine_info names {self.info.length_feature!r} as the feature that has the length"
            )
        return features

    def collate(self, base: Any, features: Sequence[Features]) -> Batch:
        """Pad features into one batch."""
        batch: Batch = self._answered("collate", self._hook.collate(base=base, features=features))
        return batch

    def build_lora_model(self, base: Any, lora: LoraSettings) -> nn.Module:
        """Return a fresh PeftModel on the base's network."""
        model: nn.Module = self._answered("build_lora_model", self._hook.build_lora_model(base=base, lora=lora))
        return model

    def build_model(self, base: Any, lora: LoraSettings, method: str) -> nn.Module:
        """Return the model to train: the PeftModel, or for method ``full`` the network with all weights trainable."""
        model = self.build_lora_model(base, lora)
        if method != "full":
            return model
        network: nn.Module = model.unload()  # type: ignore[operator] # a PeftModel, by contract
        return network.requires_grad_(True)

    def extract_conditioning(self, base: Any, clips: Sequence[Clip]) -> Conditioning:
        """Return what a voice keeps beside its adapter in order to speak."""
        kept: Conditioning = self._answered(
            "extract_conditioning", self._hook.extract_conditioning(base=base, clips=clips)
        )
        return kept

    def mix_conditioning(self, base: Any, parts: Sequence[Conditioning], weights: Sequence[float]) -> Conditioning:
        """Combine the conditioning of the voices of a mix; the voice with the largest weight comes first."""
        mixed: Conditioning = self._hook.mix_conditioning(base=base, parts=parts, weights=weights)
        return mixed

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

        def speak_line(text: str, seed: int) -> Iterator[Audio]:
            answer = self._hook.synthesize(
                base=base, model=model, text=text, conditioning=conditioning, seed=seed, sampling=dict(sampling or {})
            )
            pieces: Iterator[Audio] = self._answered("synthesize", answer)
            return pieces

        return with_pauses(speak_line, text, seed, self.info.sample_rate)

    @property
    def can_batch(self) -> bool:
        """Whether the engine speaks several texts in one batch."""
        return bool(self._hook.synthesize_together.get_hookimpls())

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
        whole = [number for number, (text, _) in enumerate(lines) if speakable_parts(text) == [text]]
        if whole:
            answer = self._hook.synthesize_together(
                base=base, model=model, lines=[lines[number] for number in whole], conditioning=conditioning,
                sampling=dict(sampling or {}),
            )  # fmt: skip
            for index, pieces in self._answered("synthesize_together", answer):
                yield whole[index], pieces
        for number in sorted(set(range(len(lines))) - set(whole)):
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

        def speak_line(text: str, seed: int) -> Iterator[Audio]:
            answer = self._hook.synthesize_from_sampler(
                base=base, sampler=sampler, text=text, conditioning=conditioning, seed=seed, sampling=dict(sampling)
            )
            pieces: Iterator[Audio] = self._answered("synthesize_from_sampler", answer)
            return pieces

        return with_pauses(speak_line, text, seed, self.info.sample_rate)

    def require_sampler(self) -> None:
        """Check that the engine can speak with a server's tokens. :raises EngineError: it cannot."""
        if not self._hook.synthesize_from_sampler.get_hookimpls():
            raise EngineError(
                f"engine {self.name!r} speaks only in vtune's own process: no other server can sample from its network"
            )

    def footprint(
        self, options: EngineOptions, lora: LoraSettings, dtype_bytes: int, product_bytes: int | None = None
    ) -> Footprint | None:
        """Estimate what training needs of a machine.

        :param product_bytes: of a number in matrix products; default: ``dtype_bytes``.
        """
        footprint: Footprint | None = self._hook.footprint(
            options=options, lora=lora, dtype_bytes=dtype_bytes, product_bytes=product_bytes or dtype_bytes
        )
        return footprint

    def save_merged(self, base: Any, network: nn.Module, directory: Path) -> list[Path]:
        """Write a merged network."""
        written: list[Path] = self._hook.save_merged(base=base, network=network, directory=directory)
        return written

    def export_voice(self, base: Any, model: nn.Module, conditioning: Conditioning, directory: Path) -> list[Path]:
        """Write the adapter and the conditioning of a voice."""
        written: list[Path] = self._hook.export_voice(
            base=base, model=model, conditioning=conditioning, directory=directory
        )
        return written

    def trainer_callbacks(self, recipe: Recipe) -> list[Any]:
        """Return the callbacks of all extensions."""
        answers = self._hook.trainer_callbacks(recipe=recipe)
        strange = [answer for answer in answers if not isinstance(answer, list | tuple)]
        if strange:
            raise EngineError(f"an extension's trainer_callbacks returned {shown(strange[0])}, it must return a list")
        return [callback for several in answers for callback in several]

    def metrics(self, recipe: Recipe) -> dict[str, MetricMaker]:
        """Return the makers of the extensions' metrics by the names of their groups."""
        answers = self._hook.metrics(recipe=recipe)
        strange = [answer for answer in answers if not isinstance(answer, dict)]
        if strange:
            raise EngineError(f"an extension's metrics returned {shown(strange[0])}, it must return a dict")
        return {name: maker for several in answers for name, maker in several.items()}

    def extension_options(self) -> dict[str, type[EngineOptions]]:
        """Return the option models of the extensions by name."""
        return extension_models(self._manager)

    @property
    def _what(self) -> str:
        return f"engine {self.name!r} ({self.origin})"

    def _answered(self, hook: str, answer: Any) -> Any:
        if answer is None:
            raise EngineError(f"{self._what}: hook {hook!r} returned None; it must return a value")
        return answer


def load_engine(name: str) -> Engine:
    """Load one engine by the name that recipes and voices use.

    Other installed engines are not imported, so a broken one cannot disturb. A file (``./my_engine.py``) is imported
    only if the user has named it: see ``use_engine_file``.

    :raises EngineError: it is not installed, is a file that nobody named, clashes, cannot be imported or breaks the
        contract; one line.
    """
    if is_engine_file(name):
        path = named_engine_file(name)
        return Engine(name, str(path), new_manager(import_file(path), f"engine {name!r} ({path})"))
    installed = find_engine(name)
    module = import_plugin(installed, "engine")
    return Engine(name, installed.distribution, new_manager(module, f"engine {name!r} ({installed.distribution})"))


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
