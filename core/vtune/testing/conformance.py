"""Check every promise of the contract between vtune and an engine, with a small base on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vtune.engines import Engine, load_users_engine
from vtune.errors import SkipClip
from vtune.runtime.paths import VoiceFolder
from vtune.testing.made_clip import made_clip
from vtune.testing.option_effects import check_options
from vtune.training import guards
from vtune.types import Audio, Batch, Clip, Conditioning, Features, Waveform, join_audio
from vtune.voice_format.record import read_conditioning, write_conditioning
from vtune.voice_format.weights import load_weights, save_weights
from vtune.voices.speech import Speaker

CLIP_SECONDS = (0.9, 1.7, 0.5)
"""Lengths of the clips that the kit makes; they are unequal, so that padding has an effect."""


def check_engine(
    name: str,
    options: Mapping[str, Any],
    folder: Path,
    clips: Sequence[Clip] | None = None,
    seed: int = 0,
    option_changes: Mapping[str, Any] | None = None,
) -> None:
    """Put an engine through every promise of ``vtune.contract.hookspecs``, on the CPU in float32.

    :param options: of the engine: a tiny checkpoint, small budgets.
    :param folder: an empty folder to write into.
    :param clips: three or more clips of unequal length; default: rising tones with made-up words.
    :param option_changes: another valid value by option, for options of texts and folders; see ``check_options``.
    :raises AssertionError: a promise is broken; says which.
    :raises EngineError: the engine does not load.
    """
    engine = load_users_engine(name)
    base = engine.load_base(engine.info.options.model_validate(dict(options)), torch.device("cpu"), torch.float32)
    clips = clips or [made_clip(engine.info.sample_rate, seconds, index) for index, seconds in enumerate(CLIP_SECONDS)]
    features = check_features(engine, base, clips)
    batch = check_batch(engine, base, features)
    torch.manual_seed(seed)
    model = check_fresh_model(engine, base, batch)
    difference = check_loss_alone(engine, base, model, features)
    assert difference < 1e-4, f"padding changes the loss by {difference:.2e}: mask it"
    check_gradients(engine, model, batch)
    check_saving(engine, base, model, batch, folder / "adapter")
    conditioning = check_conditioning(engine, base, clips, folder)
    check_mixing(engine, base, conditioning)
    check_speech(engine, base, model, conditioning, seed)
    if engine.can_batch:
        check_together(engine, base, model, conditioning, seed)
    check_export(engine, base, model, conditioning, folder / "voice")
    check_options(engine, options, clips, seed, option_changes)


def check_features(engine: Engine, base: Any, clips: Sequence[Clip]) -> list[Features]:
    """The same clip gives the same arrays, without padding, of a kind that Arrow holds; the fingerprint is stable."""
    parts = engine.features_fingerprint(base)
    assert parts == engine.features_fingerprint(base), "fingerprint differs between two calls"
    encoded = []
    for clip in clips:
        try:
            first, second = engine.prepare_sample(base, clip), engine.prepare_sample(base, clip)
        except SkipClip as reason:
            raise AssertionError(f"prepare_sample refuses the clip {clip.id!r}: {reason}") from reason
        for feature, array in first.items():
            assert isinstance(array, np.ndarray), f"feature {feature!r} is no numpy array"
            kind = array.dtype.kind
            assert kind == "i" or array.dtype in (np.float16, np.float32), f"feature {feature!r} is {array.dtype}"
            assert np.array_equal(array, second[feature]), f"feature {feature!r} differs between two encodings"
        encoded.append(first)
    lengths = [len(row[engine.info.length_feature]) for row in encoded]
    order = np.argsort([clip.seconds for clip in clips])
    assert np.all(np.diff(np.asarray(lengths)[order]) >= 0), "a longer clip has fewer tokens"
    return encoded


def check_batch(engine: Engine, base: Any, features: Sequence[Features]) -> Batch:
    """Batches are CPU tensors ``[B, ...]`` of one row a clip."""
    batch = engine.collate(base, features)
    for name, tensor in batch.items():
        assert isinstance(tensor, torch.Tensor), f"batch[{name!r}] is no tensor"
        assert tensor.device.type == "cpu", f"batch[{name!r}] is not on the CPU"
        assert len(tensor) == len(features), f"batch[{name!r}] has {len(tensor)} rows for {len(features)} clips"
    assert "labels" in batch, "a batch needs 'labels', -100 where nothing is to be learned"
    return batch


def check_fresh_model(engine: Engine, base: Any, batch: Batch) -> nn.Module:
    """A fresh adapter changes nothing, and only it is trainable."""
    model = engine.build_lora_model(base, engine.info.lora)
    guards.check_trainable(model)
    with_adapter = guards.probe_logits(model, batch)
    with model.disable_adapter():  # type: ignore[operator] # a PeftModel, by contract
        without = guards.probe_logits(model, batch)
    assert torch.equal(with_adapter, without), "a fresh adapter already changes what the model answers"
    return model


def check_loss_alone(engine: Engine, base: Any, model: nn.Module, features: Sequence[Features]) -> float:
    """The loss of a batch is the mean over its labels of what its clips lose alone; returns the difference."""
    model.eval()
    with torch.no_grad():
        together = float(model(**engine.collate(base, features))["loss"])
        alone = [engine.collate(base, [row]) for row in features]
        names = [name for name in alone[0] if name == "labels" or name.endswith("_labels")]
        counts = {name: torch.stack([batch[name].ne(-100).sum() for batch in alone]).sum() for name in names}
        if len(names) > 1:
            return abs(together - sum(float(model(**batch, num_items_in_batch=counts)["loss"]) for batch in alone))
        shares = [float(batch["labels"].ne(-100).sum() / counts["labels"]) for batch in alone]
        return abs(together - sum(share * float(model(**b)["loss"]) for share, b in zip(shares, alone, strict=True)))


def check_gradients(engine: Engine, model: nn.Module, batch: Batch) -> None:
    """The loss is one finite float32 number, and after two steps every tensor of the adapter has had a gradient."""
    parameters = guards.adapter_parameters(model)
    optimizer = torch.optim.SGD(parameters.values(), lr=0.1)
    silent = set(parameters)
    model.train()
    for _ in range(2):
        loss = model(**batch)["loss"]
        assert loss.ndim == 0, f"the loss has shape {tuple(loss.shape)}, it must be a scalar"
        assert loss.dtype == torch.float32, f"the loss is {loss.dtype}, it must be float32"
        assert torch.isfinite(loss), "the loss is not finite"
        loss.backward()
        silent -= {name for name, p in parameters.items() if p.grad is not None and bool(p.grad.count_nonzero())}
        optimizer.step()
        optimizer.zero_grad()
    assert not silent, f"never had a gradient: {', '.join(sorted(silent)[:5])}"
    model.eval()


def check_saving(engine: Engine, base: Any, model: nn.Module, batch: Batch, folder: Path) -> None:
    """Saved and loaded into another fresh model, the adapter answers the same."""
    folder.mkdir()
    before = guards.probe_logits(model, batch)
    save_weights(model, folder)
    guards.check_reloads(model, folder, batch)
    reloaded = engine.build_lora_model(base, engine.info.lora)
    load_weights(reloaded, folder)
    assert torch.equal(guards.probe_logits(reloaded, batch), before), (
        "an adapter that was saved and loaded answers differently"
    )


def check_conditioning(engine: Engine, base: Any, clips: Sequence[Clip], folder: Path) -> Conditioning:
    """Conditioning comes back from its file as it went in."""
    kept = engine.extract_conditioning(base, clips)
    path = folder / "conditioning.safetensors"
    write_conditioning(kept, path)
    back = read_conditioning(path)
    assert dict(back.strings) == dict(kept.strings), "strings of the conditioning changed in its file"
    for name, array in kept.tensors.items():
        assert np.array_equal(back.tensors[name], array), f"tensor {name!r} of the conditioning changed in its file"
    return back


def check_mixing(engine: Engine, base: Any, conditioning: Conditioning) -> None:
    """A voice mixed with itself keeps what it keeps."""
    mixed = engine.mix_conditioning(base, [conditioning, conditioning], [0.75, 0.25])
    assert dict(mixed.strings) == dict(conditioning.strings), "strings of the conditioning changed in a mix with itself"
    assert mixed.tensors.keys() == conditioning.tensors.keys(), "a mix with itself has other tensors"
    for name, array in conditioning.tensors.items():
        assert mixed.tensors[name].dtype == array.dtype, f"tensor {name!r} is {mixed.tensors[name].dtype} in a mix"
        equal = np.allclose(mixed.tensors[name], array, rtol=1e-5, atol=1e-6)
        assert equal, f"tensor {name!r} of the conditioning changed in a mix with itself"


def check_speech(engine: Engine, base: Any, model: nn.Module, conditioning: Conditioning, seed: int) -> None:
    """Speech is finite, in range, at the right rate, the same for the same seed, and says how it ended."""
    text = "A line to speak. And one more."
    speaker = Speaker(engine, base, model, conditioning)
    first = list(speaker.speak(text, seed))
    assert first, "synthesize yields nothing"
    for piece in first:
        assert piece.sample_rate == engine.info.sample_rate, f"sound at {piece.sample_rate} Hz"
        assert piece.waveform.dtype == np.float32, f"sound is {piece.waveform.dtype}, not float32"
        assert np.isfinite(piece.waveform).all(), "sound is not finite"
        assert np.abs(piece.waveform).max(initial=0) <= 1, "sound is louder than full scale"
    assert first[-1].ending is not None, "the last piece does not say how the utterance ended"
    assert len(_joined(first)), "there is no sound"
    again = _joined(list(speaker.speak(text, seed)))
    assert np.array_equal(_joined(first), again), "the same seed gave another sound"
    assert list(speaker.speak(text, seed, untuned=True)), "the untuned base is silent"


def check_together(engine: Engine, base: Any, model: nn.Module, conditioning: Conditioning, seed: int) -> None:
    """Several texts at once are each spoken once, as they are alone."""
    texts = ("Yes.", "A line to speak. And one more.", "A longer line of made up words.")
    lines = [(text, seed + index) for index, text in enumerate(texts)]
    done = list(Speaker(engine, base, model, conditioning).speak_batch(lines))
    assert sorted(index for index, _ in done) == list(range(len(lines))), "synthesize_together leaves texts out"
    for index, pieces in done:
        alone = list(Speaker(engine, base, model, conditioning).speak(*lines[index]))
        endings, expected = ([piece.ending for piece in several if piece.ending] for several in (pieces, alone))
        assert endings == expected, f"text {index} ends otherwise together with others: {endings}, not {expected}"
        together, single = _joined(pieces), _joined(alone)
        assert together.shape == single.shape, f"text {index} has {len(together)} samples together, {len(single)} alone"
        assert np.allclose(together, single, atol=1e-4), f"text {index} sounds otherwise together with others"


def check_export(engine: Engine, base: Any, model: nn.Module, conditioning: Conditioning, folder: Path) -> None:
    """An exported voice is a PEFT adapter at its root, beside its conditioning; no pickles."""
    folder.mkdir()
    written = engine.export_voice(base, model, conditioning, folder)
    voice = VoiceFolder(folder)
    assert written, "export_voice names no file"
    assert voice.adapter_config.is_file(), "export_voice wrote no adapter_config.json at the folder's root"
    assert voice.conditioning.is_file(), "export_voice wrote no conditioning.safetensors"
    pickles = [path.name for path in folder.rglob("*") if path.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt"}]
    assert not pickles, f"export_voice wrote pickles: {', '.join(pickles)}"


def _joined(pieces: Sequence[Audio]) -> Waveform:
    return join_audio(pieces).waveform
