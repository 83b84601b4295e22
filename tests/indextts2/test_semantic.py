"""w2v-BERT's features from good and bad files, and the codec's choice of codes."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel
from transformers.utils import logging as transformers_logging

from vtune import EngineError
from vtune_indextts2.semantic.codec import SemanticCodec
from vtune_indextts2.semantic.features import SemanticEncoder
from vtune_indextts2.waveform.filterbank import filter_bank

WIDTH, DEPTH, LAYERS = 16, 3, 2
PADDING = 0.25


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a checkpoint of three layers in half precision, and its statistics, as files are published."""
    folder = tmp_path_factory.mktemp("released")
    torch.manual_seed(0)
    model = Wav2Vec2BertModel(
        Wav2Vec2BertConfig(hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=2, intermediate_size=24)
    )
    model.half().save_pretrained(folder / "w2v")
    SeamlessM4TFeatureExtractor(padding_value=PADDING).save_pretrained(folder / "w2v")
    torch.save({"mean": noise(WIDTH), "var": 0.5 + noise(WIDTH, seed=1).abs()}, folder / "stats.pt")
    return folder


@pytest.fixture(scope="module")
def encoder(released: Path) -> SemanticEncoder:
    return SemanticEncoder.load(str(released / "w2v"), released / "stats.pt", LAYERS)


def test_features_are_a_hidden_state_of_the_whole_network_normalised(released: Path, encoder: SemanticEncoder) -> None:
    full_model = Wav2Vec2BertModel.from_pretrained(released / "w2v", dtype=torch.float32)
    stats = torch.load(released / "stats.pt", weights_only=True)
    waveform = noise(9000)
    with torch.no_grad():
        features, mask = encoder.input_features([waveform])
        hidden = full_model(features, attention_mask=mask, output_hidden_states=True).hidden_states[LAYERS]
    got = encoder.encode(waveform)
    assert got.dtype == torch.float32
    assert not got.requires_grad
    assert torch.equal(got, (hidden - stats["mean"]) / stats["var"].sqrt())


def test_loading_says_nothing_and_leaves_transformers_as_it_was(
    released: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def state() -> tuple[int, bool]:
        return transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()

    before = state()
    SemanticEncoder.load(str(released / "w2v"), released / "stats.pt", 1)
    with pytest.raises(EngineError):
        SemanticEncoder.load(str(released), released / "stats.pt", 1)
    assert state() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("samples", [[560], [720], [4000], [4160, 4000], [8080, 560, 3000]])
def test_input_features_are_kaldis_filter_bank_by_clip_in_pairs(encoder: SemanticEncoder, samples: list[int]) -> None:
    clips = [noise(n, seed=n) for n in samples]
    got, mask = encoder.input_features(clips)
    assert mask.dtype == torch.int64
    longest = max(1 + (n - 400) // 160 for n in samples)
    assert got.shape == (len(clips), -(-longest // 2), 160)
    for clip, pairs, known in zip(clips, got, mask, strict=True):
        bank = filter_bank(clip * 32768)
        expected = torch.full((2 * len(pairs), 80), PADDING)
        expected[: len(bank)] = (bank - bank.mean(dim=0)) / (bank.var(dim=0) + 1e-7).sqrt()
        torch.testing.assert_close(pairs.reshape(-1, 80), expected, rtol=0, atol=2e-3)
        assert known.tolist() == [int(2 * pair + 1 < len(bank)) for pair in range(len(pairs))]


def test_silence_gives_numbers_and_too_little_sound_is_refused(encoder: SemanticEncoder) -> None:
    assert encoder.encode(torch.zeros(16_000)).isfinite().all()
    assert encoder.encode(noise(560)).isfinite().all()
    with pytest.raises(ValueError, match="559 samples are too few: semantic features take at least 560"):
        encoder.input_features([noise(4000), noise(559)])


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "w2v" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "w2v" / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def edit_preprocessor(folder: Path, **changes: object) -> None:
    path = folder / "w2v" / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def save_stats(folder: Path, stats: object) -> None:
    torch.save(stats, folder / "stats.pt")


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


KEPT = "encoder.layers.1.ffn1.output_dense.bias"
ONES = torch.ones(WIDTH)

BROKEN: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no folder": (lambda f: shutil.rmtree(f / "w2v"), ("there is no folder", "w2v")),
    "empty folder": (lambda f: (shutil.rmtree(f / "w2v"), (f / "w2v").mkdir()), ("is not w2v-BERT", "nothing")),
    "another model": (lambda f: edit_config(f, model_type="bert"), ("is not w2v-BERT", "bert", "wav2vec2-bert")),
    "no json": (lambda f: (f / "w2v" / "config.json").write_text("{"), ("config.json cannot be read",)),
    "a list": (lambda f: (f / "w2v" / "config.json").write_text("[]"), ("config.json cannot",)),
    "no activation": (lambda f: edit_config(f, hidden_act="loud"), ("cannot be loaded", "loud")),
    "wrong config": (lambda f: edit_config(f, hidden_size="wide"), ("hidden_size",)),
    "too few layers": (lambda f: edit_config(f, num_hidden_layers=1), ("has 1 layers, 2 are needed",)),
    "no preprocessor": (
        lambda f: (f / "w2v" / "preprocessor_config.json").unlink(),
        ("preprocessor_config.json cannot be read",),
    ),
    "another filter bank": (lambda f: edit_preprocessor(f, num_mel_bins=40), ("'num_mel_bins': 40", "takes", "80")),
    "no padding value": (lambda f: edit_preprocessor(f, padding_value=None), ("padding_value None, should be a",)),
    "no weights": (lambda f: (f / "w2v" / "model.safetensors").unlink(), ("model.safetensors",)),
    "cut off": (lambda f: cut_short(f / "w2v" / "model.safetensors"), ("its weights are damaged",)),
    "missing": (lambda f: edit_tensors(f, lambda t: t.pop(KEPT)), ("1 missing: " + KEPT,)),
    "misshapen": (
        lambda f: edit_tensors(f, lambda t: t.update({KEPT: torch.zeros(5)})),
        (f"1 of another shape: {KEPT} is [5], should be [{WIDTH}]",),
    ),
    "adapter on top": (
        lambda f: (edit_config(f, add_adapter=True), edit_tensors(f, lambda t: t.update({"adapter.layers.0": ONES}))),
        ("w2v-BERT: 1 unexpected: adapter.layers.0",),
    ),
    "unexpected": (lambda f: edit_tensors(f, lambda t: t.update({"lm_head": ONES})), ("1 unexpected: lm_head",)),
    "many": (
        lambda f: edit_tensors(f, lambda t: t.update({f"more.{n:02}": ONES.clone() for n in range(20)})),
        ("20 unexpected: more.00", "more.04, ..."),
    ),
    "no stats": (lambda f: (f / "stats.pt").unlink(), ("there is no file", "stats.pt")),
    "stats cut off": (lambda f: cut_short(f / "stats.pt"), ("stats.pt",)),
    "a bare tensor": (lambda f: save_stats(f, ONES), ("stats.pt", "Tensor")),
    "other names": (lambda f: save_stats(f, {"mean": ONES, "std": ONES}), ("holds mean, std", "mean and var")),
    "another width": (lambda f: save_stats(f, {"mean": ONES[:5], "var": ONES}), ("mean is [5]", f"[{WIDTH}]")),
    "no variance": (lambda f: save_stats(f, {"mean": ONES, "var": ONES * 0}), ("not above 0",)),
    "no number": (lambda f: save_stats(f, {"mean": ONES * float("nan"), "var": ONES}), ("not finite",)),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_wrong_with_the_files_is_one_line_that_names_it(
    broken: str, released: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    breaking, named = BROKEN[broken]
    folder = tmp_path / "released"
    shutil.copytree(released, folder)
    breaking(folder)
    with pytest.raises(EngineError) as caught:
        SemanticEncoder.load(str(folder / "w2v"), folder / "stats.pt", LAYERS)
    message = str(caught.value)
    assert "\n" not in message
    for part in named:
        assert part in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["w2v-bert-2.0", "./a/b", "/no/such", "~/models", "a/b/c"])
def test_a_name_that_can_be_no_hub_id_is_not_looked_for_there(name: str, released: Path) -> None:
    with pytest.raises(EngineError, match=r"there is no folder .* and the name is not a Hub id"):
        SemanticEncoder.load(name, released / "stats.pt", LAYERS)


def test_what_is_not_needed_may_be_absent(released: Path, tmp_path: Path) -> None:
    shutil.copytree(released, tmp_path / "released")
    above = f"encoder.layers.{LAYERS}."

    def cut(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith(above) or name == "masked_spec_embed"]:
            del tensors[name]

    edit_tensors(tmp_path / "released", cut)
    small = SemanticEncoder.load(str(tmp_path / "released" / "w2v"), released / "stats.pt", LAYERS)
    full_encoder = SemanticEncoder.load(str(released / "w2v"), released / "stats.pt", LAYERS)
    assert torch.equal(small.encode(noise(5000)), full_encoder.encode(noise(5000)))


@pytest.fixture(scope="module")
def codec() -> SemanticCodec:
    torch.manual_seed(0)
    codec = SemanticCodec(30, 12, 4, vocos_dim=10, vocos_intermediate_dim=14, vocos_num_layers=2)
    for name, tensor in codec.state_dict().items():
        if name.endswith("gamma"):
            tensor.copy_(1 + torch.rand_like(tensor))
    return codec.eval().requires_grad_(False)


def test_the_codecs_encoder_is_its_convolutions_norms_and_layers(codec: SemanticCodec) -> None:
    w = {name: tensor.double().numpy() for name, tensor in codec.encoder.state_dict().items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-6)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def around(x: np.ndarray) -> np.ndarray:
        """Return seven neighbours of each frame, ``[T, 7, C]``, with silence beyond the ends."""
        padded = np.pad(x, ((3, 3), (0, 0)))
        return np.stack([padded[frame : frame + 7] for frame in range(len(x))])

    features = 10 * noise(1, 9, 12)
    x = np.einsum("tkc,dck->td", around(features[0].double().numpy()), w["0.embed.weight"]) + w["0.embed.bias"]
    x = norm(x, "0.norm")
    for block in ("0.convnext.0", "0.convnext.1"):
        y = np.einsum("tkc,ck->tc", around(x), w[f"{block}.dwconv.weight"][:, 0]) + w[f"{block}.dwconv.bias"]
        y = linear(norm(y, f"{block}.norm"), f"{block}.pwconv1")
        y = linear(y * (1 + np.vectorize(math.erf)(y / math.sqrt(2))) / 2, f"{block}.pwconv2")
        x = x + w[f"{block}.gamma"] * y
    expected = linear(norm(x, "0.final_layer_norm"), "1")
    np.testing.assert_allclose(codec.encode(features)[0].numpy(), expected, atol=2e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 10**6))
def test_a_code_is_the_one_at_the_smallest_angle_and_speaks_at_its_own_length(
    codec: SemanticCodec, frames: int, clips: int, seed: int
) -> None:
    x = noise(clips, frames, 12, seed=seed) * 10
    codes, embedding = codec.quantize(x)
    assert codes.dtype == torch.int64
    only = codec.quantizer.only
    projected = codec.encode(x).double().numpy() @ only.in_project.weight[..., 0].double().numpy().T
    projected += only.in_project.bias.double().numpy()
    book = only.codebook.weight.double().numpy()
    lengths = np.linalg.norm(projected, axis=-1, keepdims=True) * np.linalg.norm(book, axis=-1)
    cosines = projected @ book.T / lengths
    chosen = np.take_along_axis(cosines, codes.numpy()[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(chosen, cosines.max(axis=-1), atol=1e-5)
    expected = book[codes.numpy()] @ only.out_project.weight[..., 0].double().numpy().T
    expected += only.out_project.bias.double().numpy()
    np.testing.assert_allclose(embedding.numpy(), expected, atol=1e-5)
    assert torch.equal(codec.lookup(codes), embedding)


def test_a_frame_hears_three_more_frames_to_each_side_with_each_convolution(codec: SemanticCodec) -> None:
    x = noise(1, 41, 12) * 10
    changed = x.clone()
    changed[:, 20] += 1
    differs = (codec.encode(changed) - codec.encode(x)).abs().amax(dim=-1)[0] > 1e-6
    reach = 3 * (1 + 2)  # embedding, two blocks
    assert differs.nonzero()[:, 0].tolist() == list(range(20 - reach, 20 + reach + 1))


def test_the_codec_computes_where_its_tensors_are() -> None:
    with torch.device("meta"):
        codec = SemanticCodec()
    codes, embedding = codec.quantize(torch.zeros(2, 50, 1024, device="meta"))
    assert codes.shape == (2, 50)
    assert embedding.shape == codec.lookup(codes).shape == (2, 50, 1024)
