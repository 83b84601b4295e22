"""The contract between vtune and an engine: one hook an operation, the first answer that is not None counts.

An engine is a module of ``@vtune.hookimpl`` functions. Its state is whatever ``load_base`` returns: every later
hook receives it as ``base``. A hook may take fewer arguments than its specification has, never more, and none with
a default (pluggy would never fill it). Never return None: it means "ask the next plugin", and there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click
    import torch
    from torch import nn

    from vtune.contract.metrics import MetricMaker
    from vtune.recipe import Recipe
    from vtune.types import (
        Audio,
        Batch,
        Clip,
        Conditioning,
        EngineInfo,
        EngineOptions,
        ExtensionInfo,
        Features,
        Footprint,
        LoraSettings,
        TokenSampler,
        Watermark,
    )

PROJECT = "vtune"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

REQUIRED = (
    "engine_info",
    "load_base",
    "prepare_sample",
    "collate",
    "build_lora_model",
    "extract_conditioning",
    "synthesize",
)
"""Hooks that every engine must implement; core has a default for each of the others."""


@hookspec(firstresult=True)
def engine_info() -> EngineInfo:
    """Say what the engine is. Must be instant: no weights, no network, no torch."""


@hookspec(firstresult=True)
def load_base(options: EngineOptions, device: torch.device, dtype: torch.dtype) -> Any:
    """Return the engine's state: tokenizer, codec and frozen network, each loaded on first use.

    :param options: an instance of ``EngineInfo.options``.
    :param device: of the network; codecs may have an option of their own.
    :param dtype: of the network that LoRA adapts; codecs and vocoders stay float32.
    :raises vtune.EngineError: files are missing or do not belong together.
    """


@hookspec(firstresult=True)
def fingerprint(base: Any) -> dict[str, str]:
    """Name every part that a voice needs to speak as it was trained, each with a hash of its content.

    Kept with features (they are encoded anew when it changes) and in the voice (speaking is refused, naming the
    part, when it differs). Should cost a read of the files, not a load of the weights. Optional; default: ``{}``.
    """


@hookspec(firstresult=True)
def features_fingerprint(base: Any) -> dict[str, str]:
    """Name further parts that only ``prepare_sample`` uses, in the same way; a voice speaks without them.

    Optional; default: ``{}``.
    """


@hookspec(firstresult=True)
def prepare_sample(base: Any, clip: Clip) -> Features:
    """Encode one clip into arrays without padding; the same clip gives the same arrays, bit for bit.

    :param clip: waveform float32 ``[samples]`` mono at ``EngineInfo.sample_rate`` (or as recorded, if it says so).
    :returns: arrays of integers or floats by name; the one named ``EngineInfo.length_feature`` has the length.
    :raises vtune.SkipClip: the clip does not fit; the reason has the numbers. Never cut a clip to make it fit.
    """


@hookspec(firstresult=True)
def collate(base: Any, features: Sequence[Features]) -> Batch:
    """Pad features into one batch of CPU tensors ``[B, ...]``, on the right, labels to ignore -100.

    A clip must get the same loss in any batch: mask the padding. Targets are the tensor ``labels``, and others whose
    names end in ``_labels`` where an engine has several kinds.
    """


@hookspec(firstresult=True)
def build_lora_model(base: Any, lora: LoraSettings) -> nn.Module:
    """Return a fresh ``peft.PeftModel`` on the base's network (``vtune.attach_lora`` makes one).

    ``model(**batch)["loss"]`` is a float32 scalar, the mean over all labels; with the keyword
    ``num_items_in_batch`` the sum divided by it. An engine with several kinds of labels gets a dictionary of counts
    by name there, and adds up the means of its kinds in its own proportions. ``model(**batch)["metrics"]`` may hold
    tensors ``[sum, count]`` by name, whose means over steps and processes are logged beside the loss. ``"logits"`` may
    be left out beside a loss, if the model gives them when it is asked without ``labels``.
    Only the adapter has gradients. Fresh, it speaks as the base.
    Each call returns a new adapter; an earlier one may be gone.
    """


@hookspec(firstresult=True)
def extract_conditioning(base: Any, clips: Sequence[Clip]) -> Conditioning:
    """Keep what synthesis needs of this voice beside the adapter.

    :param clips: of one voice, best first, at the rate that ``prepare_sample`` gets them.
    """


@hookspec(firstresult=True)
def mix_conditioning(base: Any, parts: Sequence[Conditioning], weights: Sequence[float]) -> Conditioning:
    """Put together what synthesis needs of a voice that is a mix of others.

    :param parts: what each of them keeps, the heaviest first.
    :param weights: of the parts, above 0; their sum is 1.

    Optional; default: tensors of floats that every part has in one shape are averaged by weight, everything else is the
    heaviest part's. Implement it where such a mean would mean nothing: of sound frame by frame, say.
    """


@hookspec(firstresult=True)
def synthesize(
    base: Any, model: nn.Module, text: str, conditioning: Conditioning, seed: int, sampling: Mapping[str, Any]
) -> Iterator[Audio]:
    """Speak ``text``, yielding sound as it is ready; the last piece of each utterance carries its ending.

    :param model: in eval mode; core calls this inside ``disable_adapter()`` to hear the untuned engine.
    :param seed: the same seed gives the same sound on the same machine.
    :param sampling: options of ``EngineInfo.sampling_options`` that this utterance has instead of the voice's; valid.
    :returns: pieces at ``EngineInfo.sample_rate``; joined, nothing is lost or doubled.
    """


@hookspec(firstresult=True)
def synthesize_together(
    base: Any,
    model: nn.Module,
    lines: Sequence[tuple[str, int]],
    conditioning: Conditioning,
    sampling: Mapping[str, Any],
) -> Iterator[tuple[int, list[Audio]]]:
    """Speak several texts side by side, where that is quicker and nobody waits for the first sound.

    :param lines: texts, each with its seed.
    :returns: places in ``lines`` as they are done, each once, with the pieces of its sound. They are what
        ``synthesize`` gives for that text and seed, up to how sums of floats round in another order.

    Optional; without it, texts are spoken one after another.
    """


@hookspec(firstresult=True)
def synthesize_from_sampler(
    base: Any, draw: TokenSampler, text: str, conditioning: Conditioning, seed: int, sampling: Mapping[str, Any]
) -> Iterator[Audio]:
    """Speak as ``synthesize`` does, with tokens that a server of language models draws: ``vtune serve --backend vllm``.

    The server has the network and the voice's adapter; the base here must not load its network for this. While
    ``draw`` waits for a token, other utterances of this base may go on, never at the same instant. Without chance
    (temperature 0) both hooks give the same sound, up to what two implementations of a network differ.

    :param draw: takes a ``vtune.SamplingRequest``, yields the ids as they are drawn.

    Optional, for engines whose network is a causal language model of transformers'; without it, vtune says that the
    engine speaks in process only.
    """


@hookspec(firstresult=True)
def footprint(options: EngineOptions, lora: LoraSettings, dtype_bytes: int, product_bytes: int) -> Footprint | None:
    """Estimate what training asks of a machine, from configuration files alone.

    :param dtype_bytes: of a number of the loaded weights.
    :param product_bytes: of a number that products are made in: 2 under autocast, also where weights have 4.

    Optional; default: None, and ``vtune plan`` says that the engine gives no estimate.
    """


@hookspec(firstresult=True)
def save_merged(base: Any, network: nn.Module, directory: Path) -> list[Path]:
    """Write the merged network (LoRA folded in) so that the field's own loaders read the folder.

    Optional; default: ``network.save_pretrained`` in safetensors.
    """


@hookspec(firstresult=True)
def export_voice(base: Any, model: nn.Module, conditioning: Conditioning, directory: Path) -> list[Path]:
    """Write what the voice folder ships beside the card: the adapter and the conditioning.

    Optional; default: a PEFT adapter at the folder's root and ``conditioning.safetensors``.
    """


@hookspec
def extension_info() -> ExtensionInfo:
    """Declare a section of the recipe (extensions only)."""


@hookspec
def trainer_callbacks(recipe: Recipe) -> list[Any]:
    """Add ``transformers.TrainerCallback`` objects to the loop (extensions only).

    A callback that is also an ``ExportableState`` of transformers gets its state back when a stopped run goes on.
    """


@hookspec
def metrics(recipe: Recipe) -> dict[str, MetricMaker]:
    """Add metrics that speech is measured by, by the name of their group (extensions only).

    A maker is a class with ``specs``, the ``vtune.contract.metrics.MetricSpec`` of each number that it measures. It is
    called with the ``vtune.contract.metrics.TestSet`` and the recipe, and returns a ``vtune.contract.metrics.Metric``,
    or raises ``VtuneError`` with the reason why it cannot be measured: the others are measured all the same. A group
    with the name of one of vtune's takes its place. Each of the metrics may stand under ``evaluate.selection``.
    """


@hookspec
def watermark(voice: str, sample_rate: int) -> Watermark:
    """Mark what ``vtune serve`` speaks before it is encoded and sent (extensions only).

    Asked once for each answer; what it returns is called with every piece of that answer's sound in order, ``float32
    [samples]`` in [-1, 1], and returns a piece of the same length. If it raises, the answer is broken off: no sound
    leaves unmarked. Where several extensions answer, each marks what the one before it returned.

    :param voice: as it is listed, or the text of a mix.
    :param sample_rate: Hz of the sound.
    """


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add verbs to the command line (extensions only). Import heavy things inside the verb."""
