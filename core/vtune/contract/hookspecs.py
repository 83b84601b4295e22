"""The contract between vtune and an engine: one hook for each operation.

An engine is a module of ``@vtune.hookimpl`` functions. Its state is whatever ``load_base`` returns; every later hook
receives the state as ``base``. A hook may take fewer arguments than its specification has, never more, and none with
a default, because pluggy would never fill it. A hook of an engine must not return None: pluggy then asks the next
plugin, and there is no other.

Every hook with a ``base`` may also take ``extensions``: the options of each extension's section of the recipe by the
name of the extension, for wrappers that an extension puts around the hooks of engines.

What a hook raises is told to the user with the name of the engine, the hook, and the line of code; a ``VtuneError`` is
told as it is.

A run has one process (rank) for each GPU, and more processes if ``encode.processes`` is above 1. "Each rank" below
means that every process calls the hook, "the first rank" that one process does. No two threads call hooks with one
``base`` at once.
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

    from vtune.contract.exports import ExportTarget
    from vtune.contract.imports import ImportedVoice, VoiceToImport
    from vtune.contract.metrics import MetricMaker
    from vtune.contract.recognisers import RecogniserBackend
    from vtune.contract.tables import TableReader
    from vtune.recipe import Recipe
    from vtune.types import (
        Audio,
        AudioFormat,
        Batch,
        Clip,
        Conditioning,
        EngineInfo,
        EngineOptions,
        ExtensionInfo,
        Features,
        Footprint,
        Licence,
        LoraSettings,
        TokenSampler,
        TrainingPart,
        TrainingStep,
        Watermark,
    )

PROJECT = "vtune"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

REQUIRED_HOOKS = (
    "engine_info",
    "load_base",
    "prepare_sample",
    "collate",
    "build_lora_model",
    "extract_conditioning",
    "synthesize",
)
"""Hooks that every engine must implement; core has a default for each of the others."""

HOOK_SECTIONS = {
    "Describe and load the engine": (
        "engine_info",
        "load_base",
        "base_licence",
        "fingerprint",
        "features_fingerprint",
        "footprint",
    ),
    "Prepare the data": ("prepare_text", "prepare_sample", "collate"),
    "Train": ("build_lora_model", "training_parts", "optimizers", "training_step"),
    "Make the voice": ("extract_conditioning", "mix_conditioning", "import_voice", "export_voice", "save_merged"),
    "Speak": ("synthesize", "synthesize_together", "synthesize_from_sampler", "convert", "measure_network"),
    "Extensions": (
        "extension_info",
        "trainer_callbacks",
        "metrics",
        "table_formats",
        "audio_formats",
        "recognisers",
        "export_targets",
        "watermark",
        "register_commands",
    ),
}
"""The hooks in the order in which a run needs them; the reference page has these headings."""


# Describe and load the engine


@hookspec(firstresult=True)
def engine_info() -> EngineInfo:
    """Describe the engine: sample rate, options, presets for LoRA, licence.

    Return at once: read no file, use no network, and import torch inside the other hooks.

    Called once whenever the engine is loaded: by each command that needs it (``vtune engines`` and ``vtune recipe
    check`` too), on each rank and in each encoding process.

    Example::

        @vtune.hookimpl
        def engine_info():
            return vtune.EngineInfo(sample_rate=24_000, features_version="1", options=MyOptions)
    """


@hookspec(firstresult=True)
def load_base(options: EngineOptions, device: torch.device, dtype: torch.dtype) -> Any:
    """Return the engine's state: tokenizer, codec and frozen network, each loaded at its first use.

    :param options: an instance of ``EngineInfo.options``.
    :param device: of the network; a codec may have a device option of its own.
    :param dtype: of the network that LoRA adapts; codecs and vocoders stay float32.
    :raises vtune.EngineError: files are missing or do not belong together.

    Called once in a run on each rank, once in each encoding process (there with the CPU and float32), and whenever a
    voice is opened. ``vtune serve`` calls it once for voices whose ``runtime`` options and ``fingerprint`` are the
    same.

    Example::

        @vtune.hookimpl
        def load_base(options, device, dtype):
            return MyBase(options, device, dtype)  # its parts are functools.cached_property
    """


@hookspec(firstresult=True)
def base_licence(base: Any, extensions: Mapping[str, EngineOptions]) -> Licence | None:
    """State the licence of one base, for an engine whose bases have different licences.

    The voice's card, its record and its licence note state this licence in place of the one in ``engine_info``.

    Called when a voice, a mix or an export is written. Optional; default: None, the licence in ``engine_info``.

    Example::

        @vtune.hookimpl
        def base_licence(base):
            return vtune.Licence("Keep the notice.", licence_id="apache-2.0") if base.is_ours else None
    """


@hookspec(firstresult=True)
def fingerprint(base: Any, extensions: Mapping[str, EngineOptions]) -> dict[str, str]:
    """Name every part that a voice needs to speak as it was trained, each with a hash of its content.

    The hashes are kept with the features, which are encoded again when one changes, and in the voice, which refuses to
    speak with other parts and names them. Read the files for this, but do not load the weights.

    Called on each rank before encoding and after it, and whenever a voice is opened. Optional; default: ``{}``.
    See also ``features_fingerprint``.

    Example::

        @vtune.hookimpl
        def fingerprint(base):
            return {"network": vtune.toolkit.hash_file(base.weights), "codec": vtune.toolkit.hash_file(base.codec_file)}
    """


@hookspec(firstresult=True)
def features_fingerprint(base: Any, extensions: Mapping[str, EngineOptions]) -> dict[str, str]:
    """Name further parts that only ``prepare_sample`` uses, each with a hash; a voice speaks without them.

    Called on each rank and in each encoding process before encoding. Optional; default: ``{}``. See also
    ``fingerprint``.

    Example::

        @vtune.hookimpl
        def features_fingerprint(base):
            return {"normaliser": base.normaliser.version}
    """


@hookspec(firstresult=True)
def footprint(options: EngineOptions, lora: LoraSettings, dtype_bytes: int, product_bytes: int) -> Footprint | None:
    """Estimate what a training needs of a machine, from configuration files alone.

    :param dtype_bytes: bytes of one number of the loaded weights.
    :param product_bytes: bytes of one number in matrix products: 2 under autocast, even if the weights have 4.

    Called by ``vtune plan`` and ``vtune doctor``, and on each rank before a run and before its training.
    Optional; default: None, and ``vtune plan`` says that the engine gives no estimate.

    Example::

        @vtune.hookimpl
        def footprint(options, lora, dtype_bytes):
            return vtune.Footprint(
                parameters=3_000_000_000,
                trainable=1_500_000 * lora.rank,
                tensors=392,
                tokens_per_second=82,
                tokens_per_clip=20,
                weight_bytes=3_000_000_000 * dtype_bytes,
                token_bytes=2_000_000,
                token_bytes_checkpointed=250_000,
                token_flops=18e9,
            )
    """


# Prepare the data


@hookspec(firstresult=True)
def prepare_text(base: Any, text: str, options: Mapping[str, Any], extensions: Mapping[str, EngineOptions]) -> str:
    """Turn a text into what the network reads: normalised words, or phonemes.

    :param text: of a clip, or to be spoken; never empty.
    :param options: the values of the options that declare ``affects="text"`` by name: in training those of the recipe,
        in speaking those that the voice was trained with, or those of the request if the option also declares
        ``"sampling"``. Read such options here and not from the base.
    :returns: text; the same text and options give the same result.
    :raises vtune.SkipClip: the text of a clip cannot be prepared; the clip is left out with this reason. In speaking,
        the reason is the error of the request.

    Called before ``prepare_sample`` and ``extract_conditioning``, whose clips have the prepared text, and before each
    of ``synthesize``, ``synthesize_together`` and ``synthesize_from_sampler``. Speech is compared with the text as it
    was before. Optional; default: the text as it is.

    Example::

        @vtune.hookimpl
        def prepare_text(base, text, options):
            return base.phonemes(text, options["language"])
    """


@hookspec(firstresult=True)
def prepare_sample(base: Any, clip: Clip, extensions: Mapping[str, EngineOptions]) -> Features:
    """Encode one clip into arrays without padding; the same clip gives the same arrays, bit for bit.

    :param clip: waveform float32 ``[samples]``, mono, at ``EngineInfo.sample_rate``, or at the rate of its recording if
        ``EngineInfo.clips_as_recorded`` is set.
    :returns: arrays of integers or floats by name; the array ``EngineInfo.length_feature`` has the length of the clip.
    :raises vtune.SkipClip: the clip does not fit; give the reason with its numbers. Never cut a clip to make it fit.

    Called once for each clip (and each augmented copy) whose features are not stored yet. The clips are shared among
    ranks and encoding processes. Options that the result depends on must declare ``affects="features"``.

    Example::

        @vtune.hookimpl
        def prepare_sample(base, clip):
            codes = base.encode(clip.waveform)  # int64 [T]
            if len(codes) > base.options.max_tokens:
                raise vtune.SkipClip(f"{len(codes)} tokens, more than max_tokens {base.options.max_tokens}")
            return {"input_ids": np.concatenate([base.tokenize(clip.text), codes])}
    """


@hookspec(firstresult=True)
def collate(base: Any, features: Sequence[Features], extensions: Mapping[str, EngineOptions]) -> Batch:
    """Pad features into one batch of CPU tensors ``[B, ...]``, on the right; labels to ignore are -100.

    A clip must have the same loss in every batch, so mask the padding. The targets are the tensor ``labels``, and, for
    an engine with several kinds of targets, further tensors whose names end in ``_labels``. An engine whose targets are
    no tokens (a spectrogram, a waveform) returns ``items`` in their place: int64 ``[B]``, how many targets each clip
    has, such as its frames.

    :param features: what ``prepare_sample`` returned for each clip of the batch, with ``EngineInfo.paired_features``
        of another clip where the engine declares them. Each row also has ``lot``, a random number in [0, 1) (float64,
        no axes): drawn anew for each row in each epoch of a training, and always the same in validation. A loss with
        randomness (noise, a random segment) takes its randomness from there: put the lots into the batch, and draw with
        ``vtune.toolkit.normal`` or ``uniform`` in the model.

    Called on each rank for each of its batches, in training and in validation.

    Example::

        @vtune.hookimpl
        def collate(features):
            rows = [torch.as_tensor(row["input_ids"]) for row in features]
            ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # [B, T]
            labels = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
            return {"input_ids": ids, "attention_mask": labels.ne(-100).long(), "labels": labels}
    """


# Train


@hookspec(firstresult=True)
def build_lora_model(base: Any, lora: LoraSettings, extensions: Mapping[str, EngineOptions]) -> nn.Module:
    """Return a new ``peft.PeftModel`` on the base's network; ``vtune.attach_lora`` makes one.

    ``model(**batch)["loss"]`` is a float32 scalar, the mean over all labels (or ``items``); with the keyword
    ``num_items_in_batch`` it is their sum divided by that number. An engine with several kinds of labels gets a
    dictionary of counts by name there, and adds up the means of its kinds in its own proportions. In eval mode, the
    same batch always has the same loss. ``model(**batch)["metrics"]`` may hold tensors ``[sum, count]`` by name, whose
    means over steps and processes are logged beside the loss. ``"logits"`` may be
    missing beside a loss if the model returns them when it is called without ``labels``.

    Only the adapter, and the parts that ``training_parts`` names, have gradients. A new adapter changes nothing. Each
    call returns a new adapter on a network of its own; the earlier model may be gone.

    Called once in a training on each rank, and whenever a voice is opened, exported or merged.

    Example::

        @vtune.hookimpl
        def build_lora_model(base, lora):
            return vtune.attach_lora(base.new_network(), lora, engine_info().lora_targets)
    """


@hookspec(firstresult=True)
def training_parts(base: Any, model: nn.Module, extensions: Mapping[str, EngineOptions]) -> Mapping[str, TrainingPart]:
    """Return the modules that are trained beside the adapter and do not belong to the voice, by name.

    Examples are discriminators (modules of their own) and a posterior encoder or a depth head (modules inside the
    model). They are saved in the checkpoints, but not in the voice, so speech must not depend on them.

    :param model: what ``build_lora_model`` has returned, or the network if all its weights are trained.
    :returns: parts whose tensors belong neither to the adapter nor to another part.

    Called once in a training on each rank, after ``build_lora_model``. Optional; default: none. See also
    ``optimizers`` and ``training_step``.

    Example::

        @vtune.hookimpl
        def training_parts(base, model):
            return {"discriminator": vtune.TrainingPart(Discriminator(), learning_rate=1e-4)}
    """


@hookspec(firstresult=True)
def optimizers(
    base: Any,
    model: nn.Module,
    parts: Mapping[str, nn.Module],
    learning_rates: Mapping[str, float],
    extensions: Mapping[str, EngineOptions],
) -> Mapping[str, torch.optim.Optimizer]:
    """Return further optimizers by name, each of whole parts; for ``training_step``.

    The adapter, and the parts that no further optimizer holds, belong to the recipe's optimizer, which is called
    ``main``. Further optimizers follow the recipe's learning rate schedule and gradient clipping.

    :param parts: the modules of ``training_parts``, on the device of the training.
    :param learning_rates: the learning rate of each part: the recipe's, or else the part's own.

    Called once in a training on each rank. Optional; default: none.

    Example::

        @vtune.hookimpl
        def optimizers(parts, learning_rates):
            rate = learning_rates["discriminator"]
            return {"discriminator": torch.optim.AdamW(parts["discriminator"].parameters(), lr=rate, betas=(0.8, 0.99))}
    """


@hookspec(firstresult=True)
def training_step(
    base: Any, model: nn.Module, batch: Batch, step: TrainingStep, extensions: Mapping[str, EngineOptions]
) -> Mapping[str, torch.Tensor]:
    """Learn from one batch with several losses; for engines whose training is more than one loss of the model.

    :param model: in train mode, under autocast if the training is in half precision.
    :param batch: on the device of the training.
    :param step: gives the parts and the progress; ``step.optimize(loss, "discriminator")`` lets an optimizer learn.
    :returns: numbers to log by name, as scalars without gradients; ``"loss"`` must be among them.

    Called on each rank for each of its training batches. Optional; without it, the recipe's optimizer learns from
    ``model(**batch)["loss"]``, which is the validation loss in either case.

    Example::

        @vtune.hookimpl
        def training_step(model, batch, step):
            output, judge = model(**batch), step.parts["discriminator"]
            step.optimize(real_or_made_loss(judge, batch["mel"], output["mel"].detach()), "discriminator")
            loss = output["loss"] + 0.1 * made_loss(judge, output["mel"])
            step.optimize(loss)
            return {"loss": loss.detach()}
    """


# Make the voice


@hookspec(firstresult=True)
def extract_conditioning(base: Any, clips: Sequence[Clip], extensions: Mapping[str, EngineOptions]) -> Conditioning:
    """Return what a voice keeps beside its adapter in order to speak.

    :param clips: of one voice, the best clip first, at the sample rate that ``prepare_sample`` gets.

    Called on the first rank: once for each voice after training, and once for each voice earlier if its checkpoints are
    measured or if there are several voices. These share an adapter, so a recipe whose voices have the same result is
    refused before the training. Options that the result depends on must declare ``affects="speech"``. See also
    ``mix_conditioning``.

    Example::

        @vtune.hookimpl
        def extract_conditioning(base, clips):
            return vtune.Conditioning({"speaker": base.speaker_embedding(clips[0])}, {"voice": clips[0].voice})
    """


@hookspec(firstresult=True)
def mix_conditioning(
    base: Any, parts: Sequence[Conditioning], weights: Sequence[float], extensions: Mapping[str, EngineOptions]
) -> Conditioning:
    """Combine the conditioning of several voices into that of their mix.

    :param parts: the conditioning of each voice, the voice with the largest weight first.
    :param weights: one for each part, above 0; their sum is 1.

    Called once whenever a mix is opened (``vtune say "0.7*anna+0.3*ben"``, ``vtune mix``, ``vtune serve``), in one
    process. Optional; default: floating-point tensors that every part has in one shape are averaged by weight,
    everything else is taken from the first part. Implement it where such a mean has no meaning, such as for sound frame
    by frame.

    Example::

        @vtune.hookimpl
        def mix_conditioning(parts, weights):
            return parts[0]  # speak with the reference of the voice that has the largest weight
    """


@hookspec(firstresult=True)
def import_voice(base: Any, source: VoiceToImport, extensions: Mapping[str, EngineOptions]) -> ImportedVoice:
    """Read a voice that other software trained: what it learned, and what it speaks with.

    vtune fills the network with the returned weights, lets it speak, checks that the weights change what it answers,
    and writes a voice folder.

    :param source: the file or folder that the user named, and the further files of the voice.
    :returns: weights by the names of this engine's network, with the conditioning.
    :raises vtune.VoiceError: the engine does not know the layout, a file is missing, or the voice belongs to another
        base; says what was found, and what to do.

    Called once by ``vtune import``, in one process. Read files with ``vtune.toolkit.read_tensors``, which runs no code
    of theirs. Optional; without it, vtune says that the engine imports no voices. See also ``export_targets``, for the
    way back.

    Example::

        from vtune.contract.imports import ImportedVoice


        @vtune.hookimpl
        def import_voice(base, source):
            lora, weights = base.read_adapter(source.path)
            speaker = base.speaker_embedding(source.reference)
            kept = vtune.Conditioning({"speaker": speaker})
            return ImportedVoice("an adapter of Acme TTS", weights, kept, [source.path], lora)
    """


@hookspec(firstresult=True)
def export_voice(
    base: Any, model: nn.Module, conditioning: Conditioning, directory: Path, extensions: Mapping[str, EngineOptions]
) -> list[Path]:
    """Write the adapter and the conditioning of a voice into its folder.

    :returns: the files that were written.

    Called on the first rank once for each voice after training, and by ``vtune export`` and ``vtune mix``.
    Optional; default: a PEFT adapter at the folder's root and ``conditioning.safetensors``. See also
    ``extract_conditioning``.

    Example::

        @vtune.hookimpl
        def export_voice(base, model, conditioning, directory):
            model.save_pretrained(directory)
            return base.write_conditioning(conditioning, directory / "conditioning.safetensors")
    """


@hookspec(firstresult=True)
def save_merged(base: Any, network: nn.Module, directory: Path, extensions: Mapping[str, EngineOptions]) -> list[Path]:
    """Write the merged network, with the adapter folded in, so that other software can load the folder.

    :returns: the files that were written.

    Called once by ``vtune merge`` and by the export targets that need a whole network, in one process.
    Optional; default: ``network.save_pretrained`` in safetensors. See also ``export_voice``.

    Example::

        @vtune.hookimpl
        def save_merged(base, network, directory):
            network.save_pretrained(directory)
            base.tokenizer.save_pretrained(directory)
            return sorted(directory.iterdir())
    """


# Speak


@hookspec(firstresult=True)
def synthesize(
    base: Any,
    model: nn.Module,
    text: str,
    conditioning: Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
    extensions: Mapping[str, EngineOptions],
) -> Iterator[Audio]:
    """Speak a text: yield sound as soon as it is ready; the last piece of each utterance carries its ending.

    :param model: in eval mode; vtune calls this hook inside ``disable_adapter()`` to hear the untuned engine.
    :param seed: the same seed gives the same sound on the same machine.
    :param sampling: checked values of options that declare ``affects="sampling"``; each takes the place of the base's
        value for this utterance.
    :returns: pieces of sound at ``EngineInfo.sample_rate``; the joined pieces have no gap and no overlap. vtune checks
        every piece: float32, one axis, finite, within [-1, 1].

    Read no options from the base but those that affect ``sampling`` or ``runtime``: voices that differ in other options
    may share the base.

    Called for each text that is spoken: on the first rank for samples and scores, in one process by ``vtune say``, and
    by ``vtune serve`` for each request, where several utterances of one base take turns between their pieces. See also
    ``synthesize_together`` and ``synthesize_from_sampler``.

    Example::

        @vtune.hookimpl
        def synthesize(base, model, text, conditioning, seed, sampling):
            temperature = sampling.get("temperature", base.options.temperature)
            codes = base.generate(model, text, conditioning, seed, temperature)
            yield vtune.Audio(base.decode(codes), 24_000, vtune.Ending.END_TOKEN)
    """


@hookspec(firstresult=True)
def synthesize_together(
    base: Any,
    model: nn.Module,
    lines: Sequence[tuple[str, int]],
    conditioning: Conditioning,
    sampling: Mapping[str, Any],
    extensions: Mapping[str, EngineOptions],
) -> Iterator[tuple[int, list[Audio]]]:
    """Speak several texts in one batch, where this is faster and nobody waits for the first sound.

    :param lines: the texts, each with its seed.
    :returns: for each text, as soon as it is done, its index in ``lines`` and the pieces of its sound. They are what
        ``synthesize`` gives for that text and seed, up to how floating-point sums round in another order.

    Called on the first rank to measure a voice or a checkpoint, and by ``vtune evaluate`` and ``vtune compare``.
    Optional; without it, texts are spoken one after another. See also ``synthesize``.

    Example::

        @vtune.hookimpl
        def synthesize_together(base, model, lines, conditioning, sampling):
            for index, codes in base.generate_batch(model, lines, conditioning, sampling):
                yield index, [vtune.Audio(base.decode(codes), 24_000, vtune.Ending.END_TOKEN)]
    """


@hookspec(firstresult=True)
def synthesize_from_sampler(
    base: Any,
    sampler: TokenSampler,
    text: str,
    conditioning: Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
    extensions: Mapping[str, EngineOptions],
) -> Iterator[Audio]:
    """Speak as ``synthesize`` does, with tokens that a server of language models samples.

    The server has the network and the voice's adapter, so the base must not load its network for this. While
    ``sampler`` waits for a token, other utterances of this base may continue, but never at the same instant. With
    temperature 0 both hooks give the same sound, up to the difference between two implementations of a network.

    :param sampler: takes a ``vtune.SamplingRequest`` and yields the token ids as they are sampled.

    Called by ``vtune serve --backend vllm`` for each request, in the server's process. Optional, for engines whose
    network is a causal language model of transformers; without it, vtune says that the engine speaks only in vtune's
    own process. See also ``synthesize``.

    Example::

        @vtune.hookimpl
        def synthesize_from_sampler(base, sampler, text, conditioning, seed, sampling):
            request = vtune.SamplingRequest(base.tokenize(text), seed, max_tokens=1200, stop=[base.end])
            yield vtune.Audio(base.decode(list(sampler(request))), 24_000, vtune.Ending.END_TOKEN)
    """


@hookspec(firstresult=True)
def convert(
    base: Any,
    model: nn.Module,
    audio: Audio,
    conditioning: Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
    extensions: Mapping[str, EngineOptions],
) -> Iterator[Audio]:
    """Say what a recording says with the voice: voice conversion, without a text.

    :param audio: the recording, float32 ``[samples]``, mono, at ``EngineInfo.sample_rate``.
    :param sampling: as for ``synthesize``.
    :returns: pieces of sound, as ``synthesize`` yields them.

    Called by ``vtune convert`` and ``vtune.Voice.convert``. Optional; without it, vtune says that the engine only
    speaks texts.

    Example::

        @vtune.hookimpl
        def convert(base, model, audio, conditioning, seed):
            content = base.content_encoder(audio.waveform)  # [T, D]
            yield vtune.Audio(base.vocoder(model, content, conditioning), 24_000, vtune.Ending.PLANNED)
    """


@hookspec(firstresult=True)
def measure_network(
    base: Any,
    model: nn.Module,
    text: str,
    conditioning: Conditioning,
    seed: int,
    extensions: Mapping[str, EngineOptions],
) -> Mapping[str, float]:
    """Measure the network on a text where its sound alone does not tell, such as how far it answers to an emotion.

    :param model: in eval mode; vtune calls this hook inside ``disable_adapter()`` to measure the untuned engine.
    :param seed: the same seed gives the same numbers on the same machine.
    :returns: finite numbers by name; none where nothing can be measured. They are in ``Utterance.numbers`` of the
        text, where a metric of the engine reads them; see ``metrics``.

    Called on the first rank for the first few texts of each evaluation and of each checkpoint, for the voice and for
    its base, and by ``vtune evaluate`` and ``vtune compare`` for each of the systems; only if a metric is measured that
    is not vtune's own. Optional; default: no numbers.

    Example::

        @vtune.hookimpl
        def measure_network(base, model, text, conditioning, seed):
            return {"entropy": base.mean_entropy(model, text, conditioning, seed)}
    """


# Extensions


@hookspec
def extension_info() -> ExtensionInfo:
    """Declare an extension's own section of the recipe (extensions only).

    Called whenever a recipe is checked, in each process. Each option declares what it affects, as those of engines do.
    With ``opt_in=True`` the extension's wrappers, metrics and callbacks take part only in runs whose recipe has the
    section; hooks that get no recipe are called all the same.

    Example::

        class Options(vtune.EngineOptions):
            project: str = vtune.option("", affects="runtime", description="Name of the project in the tracker.")


        @vtune.hookimpl
        def extension_info():
            return vtune.ExtensionInfo("tracker", Options)
    """


@hookspec
def trainer_callbacks(recipe: Recipe) -> list[Any]:
    """Add ``transformers.TrainerCallback`` objects to the training (extensions, and an engine for its own trainings).

    A callback that is also an ``ExportableState`` of transformers gets its state back when a stopped run is resumed.

    Called once before each training on each rank.

    Example::

        @vtune.hookimpl
        def trainer_callbacks(recipe):
            return [TrackerCallback(recipe.extensions["tracker"].project)]
    """


@hookspec
def metrics(recipe: Recipe) -> dict[str, MetricMaker]:
    """Add metrics that speech is measured by, by the name of their group (extensions, and an engine for its voices).

    A maker is a class with ``specs``, the ``vtune.contract.metrics.MetricSpec`` of each number that it measures. It is
    called with the ``vtune.contract.metrics.TestSet`` and the recipe, and returns a ``vtune.contract.metrics.Metric``,
    or raises ``VtuneError`` with the reason why it cannot be measured: the others are measured all the same. A group
    with the name of one of vtune's takes its place; else each metric has a name that no other has. Each of the metrics
    may stand under ``evaluate.selection``.

    Called on every rank when a run begins, to check the names in the recipe, and again before speech is measured: on
    the main process, once for the checkpoints of a training and once for the finished voice.

    Example::

        @vtune.hookimpl
        def metrics(recipe):
            return {"breath": BreathMetric}
    """


@hookspec
def table_formats() -> list[TableReader]:
    """Add formats of tables that say which recording has which words (extensions only).

    Such a table is found in a folder, or named in a recipe, as those of vtune's own formats are; it is read and never
    edited. The name of a format must be new.

    Called once in each process that reads recordings, with no recipe: a format is there for every run.

    Example::

        from vtune.contract.tables import TableReader, TableRow


        def read(path):
            for line, text in enumerate(path.read_text("utf-8").splitlines(), 1):
                name, _, words = text.partition(" = ")
                yield TableRow(audio=name, text=words, line=line)


        @vtune.hookimpl
        def table_formats():
            return [TableReader("lines with an equals sign", (".eq",), read)]
    """


@hookspec
def audio_formats() -> list[AudioFormat]:
    """Add formats in which speech leaves vtune (extensions only).

    The name is a ``response_format`` of ``vtune serve`` and a file ending of ``vtune say``. It must be new.

    Called once in each process that writes or sends sound.

    Example::

        @vtune.hookimpl
        def audio_formats():
            return [vtune.AudioFormat("ulaw", "audio/basic", "G.711 for telephones", UlawEncoder, sample_rates=(8000,))]
    """


@hookspec
def recognisers() -> list[RecogniserBackend]:
    """Add speech recognisers, which a recipe chooses with ``transcribe.backend`` (extensions only).

    Called once in each process that checks a recipe or recognises speech; return at once, and import slow modules in
    ``RecogniserBackend.open``. The name must be new.

    Example::

        from vtune.contract.recognisers import RecogniserBackend


        @vtune.hookimpl
        def recognisers():
            return [RecogniserBackend("acme", "Acme's recogniser of English", open_acme)]
    """


@hookspec
def export_targets() -> list[ExportTarget]:
    """Add targets of ``vtune export VOICE --to NAME`` (engines and extensions).

    The targets of an engine are for its own voices, those of an extension for all voices. Each target writes files,
    reads them back, and gives pairs of numbers: what the voice's network computes and what the files compute. vtune
    compares the numbers, and keeps nothing if they differ.

    Called once by each ``vtune export``, after the voice's record is read.

    Example::

        from vtune.contract.exports import ExportTarget


        @vtune.hookimpl
        def export_targets():
            return [ExportTarget("onnx", "the acoustic model as ONNX", write_onnx, compare_onnx, tolerance=1e-3)]
    """


@hookspec
def watermark(voice: str, sample_rate: int) -> Watermark:
    """Return what marks the sound of one answer of ``vtune serve`` before it is encoded and sent (extensions only).

    The returned function is called with every piece of that answer's sound in order, float32 ``[samples]`` in [-1, 1],
    and returns a piece of the same length. If it raises, the answer is broken off, so no sound leaves unmarked. If
    several extensions answer, each marks what the extension before it returned.

    :param voice: its name in the list of voices, or the text of a mix.
    :param sample_rate: Hz of the sound.

    Called once for each answer, in the server's process.

    Example::

        @vtune.hookimpl
        def watermark(voice, sample_rate):
            return Marker(key="secret", sample_rate=sample_rate).mark
    """


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add commands to the command line (extensions only); import slow modules inside the command.

    Called once by each ``vtune`` command, before its arguments are read.

    Example::

        @vtune.hookimpl
        def register_commands(cli):
            cli.command("upload")(upload)
    """
