"""Small random VITS voices in every format of a base, made in well under a second.

They speak noise; their shapes and files are those of published voices. The ONNX file of `write_piper_pair` holds all
weights as torch's exporter writes them, but only nodes that use weights, so nothing can run it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vtune_vits.base import VitsBase
from vtune_vits.bases.names import WITHOUT_DURATION_POSTERIOR, WITHOUT_POSTERIOR, piper_name
from vtune_vits.network.settings import VitsSettings, VocoderSettings
from vtune_vits.network.voice import VitsNetwork, new_network
from vtune_vits.options import VitsOptions

PHONEMES = "_^$ !'(),-.:;?abcdefhijklmnopqrstuvwxyzæçðøŋœɐɑɒɔəɚɛɜɡɣɪɫɬɲɹɾʁʃʊʌʒʔˈˌːʲθᵻ" + "\u0303\u0329"
"""What espeak-ng writes for English and German, after Piper's three symbols of order."""

LETTERS = " abcdefghijklmnopqrstuvwxyz'-_"

MEDIUM = VocoderSettings(first_channels=32)
"""Shapes of Piper's quality "medium", with an eighth of the channels; 256 samples a frame."""

HIGH = VocoderSettings(
    residual_type=1,
    upsample_rates=(8, 8, 2, 2),
    upsample_kernels=(16, 16, 4, 4),
    residual_kernels=(3, 7, 11),
    residual_dilations=((1, 3, 5),) * 3,
    first_channels=32,
)
"""Shapes of Piper's quality "high", and of every model of transformers, with a sixteenth of the channels."""


LOUDNESS = 1.5
"""Factor of the vocoder's random weights, which without it let a signal of constant height through."""


def small_settings(**changes: Any) -> VitsSettings:
    """Return the settings of a voice with about 100,000 parameters; ``changes`` are fields of `VitsSettings`."""
    settings = VitsSettings(
        vocab_size=len(PHONEMES) + 3,
        hidden_size=16,
        flow_size=8,
        layers=2,
        ffn_size=32,
        flow_layers=2,
        posterior_layers=2,
        vocoder=MEDIUM,
    )
    return replace(settings, **changes)


def small_network(settings: VitsSettings | None = None, seed: int = 0) -> VitsNetwork:
    """Return a random network in which no weight is zero and the vocoder is loud: every part changes the sound."""
    network = new_network(settings or small_settings(), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
        for parameter in network.decoder.parameters():
            parameter *= LOUDNESS if parameter.ndim > 1 else 1 / LOUDNESS
    return network.eval()


def piper_json(settings: VitsSettings, **changes: Any) -> dict[str, Any]:
    """Return the JSON of a Piper voice with these settings; ``changes`` replace entries."""
    speakers = {f"speaker {number}": number for number in range(settings.speakers)} if settings.speakers > 1 else {}
    content = {
        "audio": {"sample_rate": settings.sample_rate, "quality": "small"},
        "espeak": {"voice": "en-us"},
        "inference": {
            "noise_scale": settings.noise_scale,
            "length_scale": settings.length_scale,
            "noise_w": settings.noise_scale_w,
        },
        "phoneme_type": "espeak",
        "phoneme_map": {},
        "phoneme_id_map": {phoneme: [number] for number, phoneme in enumerate(PHONEMES)},
        "num_symbols": settings.vocab_size,
        "num_speakers": settings.speakers,
        "speaker_id_map": speakers,
        "piper_version": "1.0.0",
        "language": {"code": "en_US", "family": "en", "region": "US"},
    }
    return {**content, **changes}


def write_piper_pair(folder: Path, network: VitsNetwork | None = None, **changes: Any) -> Path:
    """Write ``small.onnx`` and ``small.onnx.json`` and return the path of the first.

    :param changes: entries of the JSON that are replaced.
    """
    import onnx

    network = network or small_network()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small.onnx"
    onnx.save(piper_graph(network), str(path))
    path.with_name("small.onnx.json").write_text(json.dumps(piper_json(network.settings, **changes)), "utf-8")
    return path


def piper_graph(network: VitsNetwork) -> Any:
    """Return an ONNX model with the network's weights, named as torch's exporter names those of a Piper voice.

    Weights of the flow's WaveNets have no telling names, and the affine flow of the durations holds ``exp(-logs)``.
    Parts that only learning needs are not there.
    """
    from onnx import helper, numpy_helper

    tensors = piper_tensors(network, (*WITHOUT_POSTERIOR, *WITHOUT_DURATION_POSTERIOR))
    nodes, initialisers = [], []

    def add(name: str, tensor: torch.Tensor) -> str:
        initialisers.append(numpy_helper.from_array(tensor.numpy(), name))
        return name

    logs = tensors.pop("dp.flows.0.logs", None)
    if logs is not None:
        nodes.append(helper.make_node("Mul", ["x", add("/scale", torch.exp(-logs))], ["y"], name="/dp/flows.0/Mul"))
    modules = {piper_name(f"{name}.weight").removesuffix(".weight"): module for name, module in _convolutions(network)}
    for module_name, module in modules.items():
        if f"{module_name}.weight" not in tensors:
            continue
        weight = tensors.pop(f"{module_name}.weight")
        inputs = ["x", add(f"onnx::{len(nodes)}" if ".enc." in module_name else f"{module_name}.weight", weight)]
        if module.bias is not None:
            inputs.append(add(f"{module_name}.bias", tensors.pop(f"{module_name}.bias")))
        kind = "ConvTranspose" if isinstance(module, torch.nn.ConvTranspose1d) else "Conv"
        nodes.append(
            helper.make_node(
                kind,
                inputs,
                [f"y{len(nodes)}"],
                name=f"/{module_name.replace('.enc', '/enc').replace('.', '/', 1)}/{kind}",
                dilations=list(module.dilation),
                strides=list(module.stride),
            )
        )
    for name, tensor in tensors.items():
        add(name, tensor)
    nodes = [*nodes, helper.make_node("Identity", ["input"], ["output"])]
    ends = [helper.make_tensor_value_info(name, 7, [1, None]) for name in ("input", "output")]
    graph = helper.make_graph(nodes, "small voice", ends[:1], ends[1:], initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])


def piper_tensors(network: VitsNetwork, without: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    """Return a network's weights by their names in Piper's files; attention is made of convolutions there."""
    return {
        piper_name(name): tensor.detach()[..., None] if "_proj.weight" in name and tensor.ndim == 2 else tensor.detach()
        for name, tensor in network.state_dict().items()
        if not name.startswith(without)
    }


def write_piper_checkpoint(folder: Path, network: VitsNetwork | None = None, **changes: Any) -> Path:
    """Write ``small.ckpt`` and ``config.json`` as Piper's training does, and return the path of the first.

    Weights that Piper normalises are stored as scale and direction; a path of the computer that trained the voice
    stands among the settings, as in checkpoints of Piper's first versions.

    :param changes: entries of the JSON that are replaced.
    """
    network = network or small_network()
    folder.mkdir(parents=True, exist_ok=True)
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in piper_tensors(network).items():
        if name.endswith(".weight") and any(part in name for part in (".enc.", "dec.ups.", "dec.resblocks.")):
            base = f"model_g.{name}"
            weights[f"{base}_g"] = tensor.flatten(1).norm(dim=1).view(-1, *[1] * (tensor.ndim - 1))
            weights[f"{base}_v"] = 2 * tensor
        else:
            weights[f"model_g.{name}"] = tensor
    weights["model_d.discriminators.1.conv_post.bias"] = torch.zeros(1)
    shapes = network.settings.vocoder
    settings = {
        "batch_size": 16,
        "sample_rate": network.settings.sample_rate,
        "num_symbols": network.settings.vocab_size,
        "num_speakers": network.settings.speakers,
        "resblock": str(shapes.residual_type),
        "resblock_kernel_sizes": shapes.residual_kernels,
        "resblock_dilation_sizes": shapes.residual_dilations,
        "upsample_rates": shapes.upsample_rates,
        "upsample_kernel_sizes": shapes.upsample_kernels,
        "dataset": [Path("/home/someone/dataset.jsonl")],
    }
    path = folder / "small.ckpt"
    torch.save({"epoch": 3, "global_step": 99, "state_dict": weights, "hyper_parameters": settings}, path)
    (folder / "config.json").write_text(json.dumps(piper_json(network.settings, **changes)), "utf-8")
    return path


def write_transformers_folder(folder: Path, network: VitsNetwork | None = None, **tokenizer: Any) -> Path:
    """Write the folder of a ``VitsModel`` that reads letters, as MMS-TTS does, and return its path.

    :param network: one with the residual blocks of type 1; transformers has no other.
    :param tokenizer: entries of ``tokenizer_config.json`` that are replaced.
    """
    network = network or small_network(small_settings(vocoder=HIGH, sample_rate=16000))
    model = transformers_model(network)
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(LETTERS)}), "utf-8")
    settings = {
        "add_blank": True,
        "is_uroman": False,
        "language": "eng",
        "normalize": True,
        "pad_token": "_",
        "phonemize": False,
        "tokenizer_class": "VitsTokenizer",
        "unk_token": "<unk>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, **tokenizer}), "utf-8")
    return folder


def transformers_model(network: VitsNetwork) -> Any:
    """Return a ``VitsModel`` with a copy of the network's weights, where it has weights as scale and direction."""
    from transformers import VitsModel

    model = VitsModel(network.settings.config()).eval()
    tensors = network.state_dict()
    for name in [name for name in model.state_dict() if name.endswith("parametrizations.weight.original0")]:
        module_name = name.removesuffix(".parametrizations.weight.original0")
        weight = tensors.pop(f"{module_name}.weight")
        tensors[name] = weight.flatten(1).norm(dim=1).view(-1, 1, 1)
        tensors[name.removesuffix("0") + "1"] = weight
    model.load_state_dict(tensors)
    return model


def new_base(path: Path, **options: Any) -> VitsBase:
    """Return the state of the engine for a base, with engine options."""
    return VitsBase(VitsOptions.model_validate({"base_model": str(path), **options}), torch.device("cpu"))


def _convolutions(network: VitsNetwork) -> list[tuple[str, Any]]:
    kinds = (torch.nn.Conv1d, torch.nn.ConvTranspose1d)
    return [(name, module) for name, module in network.named_modules() if isinstance(module, kinds)]
