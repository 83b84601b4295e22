"""The exported graph computes what the network computes, for texts and batches that nobody traced it with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from vtune_vits.network.noise import SpeakingNoise
from vtune_vits.network.settings import DurationSettings, SourceFilterSettings, VitsSettings, VocoderSettings
from vtune_vits.network.speaking import SpokenStyle
from vtune_vits.network.voice import VitsNetwork, new_network

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

MEDIUM = VocoderSettings(
    upsample_rates=(4, 4),
    upsample_kernels=(8, 8),
    residual_kernels=(3, 5),
    residual_dilations=((1, 2), (2, 6)),
    first_channels=16,
)
HIGH = VocoderSettings(
    residual_type=1,
    upsample_rates=(4, 2, 2),
    upsample_kernels=(8, 4, 4),
    residual_kernels=(3, 7),
    residual_dilations=((1, 3, 5), (1, 3, 5)),
    first_channels=16,
)
SMALL = VitsSettings(
    vocab_size=30, hidden_size=16, flow_size=12, layers=2, ffn_size=32, spectrogram_bins=17, posterior_layers=2,
    vocoder=MEDIUM,
)  # fmt: skip


def settings(**changes: object) -> VitsSettings:
    return VitsSettings(**{**SMALL.__dict__, **changes})  # type: ignore[arg-type]


VOICES = {
    "medium": SMALL,
    "high": settings(vocoder=HIGH),
    "several speakers": settings(speakers=3, speaker_size=5),
    "several speakers, one duration each": settings(speakers=3, speaker_size=5, stochastic_durations=False),
    "other shapes": settings(
        heads=4, window=2, ffn_kernel=4, flow_steps=2, flow_layers=2, wavenet_dilation=2,
        durations=DurationSettings(flows=3, bins=6, tail_bound=3.0, layers=2),
    ),
}  # fmt: skip
FILTERS = SourceFilterSettings(width=16, blocks=2, pitch_width=8, pitch_blocks=1, kernel=3)
VOICES |= {
    "source and filters": settings(source_filter=FILTERS),
    "source and filters, several speakers": settings(source_filter=FILTERS, speakers=3, speaker_size=5),
}
STYLE = SpokenStyle(noise_scale=0.0, noise_scale_w=0.0, length_scale=1.7)


def random_voice(shapes: VitsSettings) -> VitsNetwork:
    """Return a network in which every part matters: the parts that start as the identity get random weights too."""
    network = new_network(shapes).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network


def tolerance(voice: str) -> float:
    """Return the allowed difference as a share of the peak: a pulse train adds up the rounding errors of the pitch."""
    return 2e-3 if VOICES[voice].source_filter else 1e-4


def run(model: object, ids: torch.Tensor, lengths: list[int], scales: tuple[float, ...], speakers: list[int]) -> list:
    """Speak with ONNX Runtime; a graph with inputs for noise gets no noise."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {"input": ids.numpy(), "input_lengths": np.array(lengths), "scales": np.array(scales, np.float32)}
    if any(value.name == "sid" for value in session.get_inputs()):
        inputs["sid"] = np.array(speakers)
    return session.run(None, inputs)


@pytest.mark.parametrize("voice", VOICES)
def test_the_graph_speaks_single_texts_of_any_length_as_the_network_does(voice):
    from vtune_vits.export.piper_graph import piper_graph

    network = random_voice(VOICES[voice])
    style = replace(STYLE, contrast=1.3 if VOICES[voice].source_filter else 1.0)
    model = piper_graph(network, style.contrast)
    speaker = VOICES[voice].speakers - 1
    for length in (1, 2, 3, 9, 40):
        ids = torch.randint(0, 30, (length,), generator=torch.Generator().manual_seed(length))
        with torch.no_grad():
            expected = network.speak(ids, style, speaker, SpeakingNoise(0)).waveform.numpy()
        (sound,) = run(model, ids[None], [length], (0.0, STYLE.length_scale, 0.0), [speaker])
        assert sound.shape == (1, 1, 1, len(expected))
        assert np.abs(sound[0, 0, 0] - expected).max() < tolerance(voice) * np.abs(expected).max()


@pytest.mark.parametrize("voice", VOICES)
def test_the_graph_speaks_a_batch_of_texts_of_different_lengths(voice):
    from vtune_vits.export.piper_graph import piper_graph

    network = random_voice(VOICES[voice])
    lengths = torch.tensor([9, 4, 6])
    mask = torch.arange(9) < lengths[:, None]
    ids = torch.randint(1, 30, (3, 9), generator=torch.Generator().manual_seed(3)) * mask
    speakers = torch.tensor([2, 0, 1])
    with torch.no_grad():
        embedding = network.embed(speakers)
        reading = network.read(ids, mask)
        logs = network.predict_log_durations(reading.hidden, mask, embedding, torch.zeros(3, 2, 9))
        durations = ((1.3 * logs.exp()).ceil() * mask).long()
        frames = durations.sum(1)
        prior = torch.zeros(3, reading.means.shape[1], int(frames.max()))
        for row, means in enumerate(reading.means):
            prior[row, :, : frames[row]] = means.repeat_interleave(durations[row], dim=1)
        frame_mask = torch.arange(int(frames.max())) < frames[:, None]
        expected = network.decode(network.from_prior(prior, frame_mask, embedding), embedding).numpy()
    (sound,) = run(piper_graph(network), ids, lengths.tolist(), (0.0, 1.3, 0.0), speakers.tolist())
    assert sound.shape == (3, 1, 1, expected.shape[1])
    assert np.abs(sound[:, 0, 0] - expected).max() < tolerance(voice) * np.abs(expected).max()


def test_noise_goes_through_the_graph_as_through_the_network():
    """With the graph's random numbers replaced by inputs, sound with noise equals that of the network."""
    from vtune_vits.export.piper_graph import piper_graph

    network = random_voice(SMALL)
    model = piper_graph(network)
    noise_names = {}
    for node in list(model.graph.node):
        if node.op_type == "RandomNormalLike":
            noise_names[node.output[0]] = "latents" if noise_names else "durations"
            model.graph.input.append(onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None))
            model.graph.node.remove(node)
    length, style = 12, SpokenStyle(noise_scale=0.6, noise_scale_w=0.9, length_scale=1.0)
    ids = torch.randint(0, 30, (length,), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        spoken = network.speak(ids, style, 0, SpeakingNoise(7))
    noises = SpeakingNoise(7)
    drawn = {
        "durations": noises.durations(length)[None].numpy(),
        "latents": noises.latents(*spoken.latents.shape)[None].numpy(),
    }
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {name: drawn[kind].astype(np.float32) for name, kind in noise_names.items()}
    scales = np.array([style.noise_scale, style.length_scale, style.noise_scale_w], np.float32)
    (sound,) = session.run(
        None, {**inputs, "input": ids[None].numpy(), "input_lengths": np.array([length]), "scales": scales}
    )
    assert sorted(noise_names.values()) == ["durations", "latents"]
    assert np.abs(sound[0, 0, 0] - spoken.waveform.numpy()).max() < 1e-4 * float(spoken.waveform.abs().max())


def test_the_graph_draws_other_noise_each_time():
    from vtune_vits.export.piper_graph import piper_graph

    model = piper_graph(random_voice(SMALL))
    ids = torch.arange(20)[None]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {"input": ids.numpy(), "input_lengths": np.array([20]), "scales": np.array([0.6, 1, 0], np.float32)}
    first, second = (session.run(None, inputs)[0] for _ in range(2))
    assert np.abs(first - second).max() > 0.01 * np.abs(first).max()


def test_the_graph_has_the_interface_of_pipers_own_files():
    """Names, types and opset as in the voices that Piper publishes (read from en_US-joe-medium)."""
    from vtune_vits.export.piper_graph import piper_graph

    model = piper_graph(random_voice(VOICES["several speakers"]))
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    integer, real = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    assert kinds == {"input": integer, "input_lengths": integer, "scales": real, "sid": integer}
    assert [value.name for value in model.graph.output] == ["output"]
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 15)]
    assert sum(node.op_type == "Ceil" for node in model.graph.node) == 1
    names = {initializer.name for initializer in model.graph.initializer}
    assert {"enc_p.emb.weight", "dp.flows.0.m", "flow.flows.6.enc.in_layers.3.weight", "dec.conv_post.weight"} <= names
    nodes = {node.name for node in model.graph.node}
    assert {"/flow/flows.6/enc/in_layers.0/Conv", "/dec/ups.0/ConvTranspose", "/dec/resblocks.0/convs.0/Conv"} <= nodes


def test_the_graph_leaves_out_what_speaking_does_not_use():
    from vtune_vits.export.piper_graph import piper_graph

    names = {initializer.name for initializer in piper_graph(random_voice(SMALL)).graph.initializer}
    assert not [name for name in names if name.startswith(("enc_q.", "dp.post_", "dp.flows.1."))]
