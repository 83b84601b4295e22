"""The engine as a whole: the contract, its sizes, and which fingerprint changes with which file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import yaml
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import vtune
from vtune.testing import check_engine, engine_outcomes, made_clip
from vtune_indextts2 import nano_checkpoint
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.memory_footprint import estimate
from vtune_indextts2.options import IndexTTS2Options

RATE = 22_050

MakeBase = Callable[..., IndexTTS2Base]


@pytest.fixture(scope="module")
def engine() -> vtune.Engine:
    return vtune.load_engine("indextts2")


@pytest.fixture(params=["tiny", "tiny25"])
def either(request: pytest.FixtureRequest) -> Path:
    """Return a small checkpoint of each release in turn."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


# Most of the code is that of both releases, and 2.5 has more parts.
@pytest.mark.slow
@pytest.mark.parametrize("release", [pytest.param("tiny", marks=pytest.mark.proof), "tiny25"])
def test_indextts2_keeps_the_contract(release: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    options = {
        "base_model": str(request.getfixturevalue(release)),
        "normaliser": "basic",
        "max_codes": 20,
        "flow_steps": 2,
    }
    check_engine("indextts2", options, tmp_path)


JOINED, AVERAGED = {"reference": "join", "prompt": "self"}, {"reference": "average", "beams": 2}


@pytest.mark.parametrize(
    ("release", "options"),
    [
        ("tiny", JOINED),
        ("tiny25", AVERAGED),
        pytest.param("tiny", AVERAGED, marks=pytest.mark.proof),
        pytest.param("tiny25", JOINED, marks=pytest.mark.proof),
    ],
)
def test_it_keeps_the_contract_with_other_options(
    release: str, options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    usual = {
        "base_model": str(request.getfixturevalue(release)),
        "normaliser": "basic",
        "max_codes": 10,
        "flow_steps": 1,
    }
    clips = [
        made_clip(rate, seconds, index)
        for index, (rate, seconds) in enumerate([(8000, 0.9), (44_100, 1.2), (16_000, 0.5)])
    ]
    rules = ["num-items-in-batch-is-used", "exported-voice-speaks-alike", "mixing-uses-the-weights"]
    outcomes = list(engine_outcomes("indextts2", {**usual, **options}, rules=rules, clips=clips))
    assert {outcome.status for outcome in outcomes} <= {"pass", "skipped"}, [
        outcome.paragraph for outcome in outcomes if outcome.status == "fail"
    ]


# The small checkpoint


@pytest.mark.parametrize("release", ["2.0", "2.5"])
def test_the_small_checkpoint_is_the_same_bytes_every_time(release: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        nano_checkpoint.build(tmp_path / name, width=32, layers=1, release=release)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) == 14
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_building_it_leaves_the_callers_random_numbers_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    nano_checkpoint.build(tmp_path, width=32, layers=1)
    assert torch.equal(torch.rand(4), expected)


def test_nano_is_built_once_into_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_base: MakeBase
) -> None:
    asked = huggingface_hub.cached_assets_path
    monkeypatch.setattr(huggingface_hub, "cached_assets_path", lambda *names: asked(*names, assets_dir=tmp_path))
    built: list[Path] = []
    build = nano_checkpoint.build

    def count(folder: Path, **settings: Any) -> None:
        built.append(folder)
        build(folder, **settings)

    monkeypatch.setattr(nano_checkpoint, "build", count)
    first, second = make_base(base_model="nano"), make_base(base_model="nano")
    assert first.speaking_fingerprint == second.speaking_fingerprint
    assert len(built) == 1
    assert make_base(base_model="nano-2.5").config.title == "IndexTTS-2.5"
    assert make_base(base_model="nano").config.title == "IndexTTS-2"
    assert len(built) == 2
    assert Path(first.files.checkpoint).is_relative_to(tmp_path)
    assert f"nano-{nano_checkpoint.NANO_VERSION}" in first.files.checkpoint


# Sizes


TARGETS = ("all", "attention", "attention+mlp", "attention+mlp+heads", "heads")


def test_every_preset_is_tried(engine: vtune.Engine) -> None:
    assert set(engine.info.lora_targets) == set(TARGETS)


@pytest.mark.parametrize(
    ("targets", "arguments"),
    [
        *((targets, {}) for targets in (*TARGETS, r".*\.1\.mlp\..*", "c_attn")),
        ("all", {"use_dora": True}),
        ("attention+mlp+heads", {"lora_bias": True, "rank_pattern": {"mel_head": 2}}),
        ("all", {"layers_to_transform": [1], "use_dora": True}),
        ("all", {"exclude_modules": ["mlp.c_proj"], "rank_pattern": {r"h\.0\..*": 3}}),
    ],
)
def test_the_footprint_counts_what_the_model_has(
    targets: str, arguments: dict[str, Any], make_base: MakeBase, engine: vtune.Engine, either: Path
) -> None:
    lora = vtune.LoraSettings(rank=4, alpha=8, targets=(targets,), arguments=arguments)
    model = engine.build_lora_model(make_base(base_model=str(either)), lora)
    footprint = engine.footprint(IndexTTS2Options(base_model=str(either)), lora, 2)
    assert footprint is not None
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    total = sum(parameter.numel() for parameter in model.parameters())
    assert (footprint.trainable, footprint.parameters) == (trainable, total - trainable)
    assert footprint.tensors == sum(parameter.requires_grad for parameter in model.parameters())
    assert footprint.weight_bytes == 2 * footprint.parameters


@pytest.mark.parametrize(
    ("targets", "per_rank"),
    [
        (("attention+mlp",), 491_520),
        (("all",), 491_520),
        (("heads",), 22_755),
        (("attention+mlp+heads",), 491_520 + 22_755),
        (("attention",), 24 * (1280 + 3840 + 1280 + 1280)),
    ],
)
@pytest.mark.parametrize("rank", [1, 8, 16])
def test_an_adapter_of_the_released_shape_has_the_published_size(
    targets: tuple[str, ...], per_rank: int, rank: int, released: Path, engine: vtune.Engine
) -> None:
    lora = vtune.LoraSettings(rank=rank, targets=targets)
    footprint = estimate(IndexTTS2Options(base_model=str(released)), lora, 2, engine.info.lora_targets)
    assert footprint.trainable == rank * per_rank


def test_the_network_of_the_released_shape_has_the_published_size(released: Path, engine: vtune.Engine) -> None:
    """Blocks of 472.3 million parameters; tables and heads of 12,001 text rows, 8,194 codes, 602 and 1,818
    positions.
    """
    footprint = engine.footprint(IndexTTS2Options(base_model=str(released)), engine.info.lora, 2)
    assert footprint is not None
    width = 1280
    layer = (width * 3 * width + 3 * width) + (width * width + width) + 2 * (4 * width * width) + 5 * width + 4 * width
    blocks = 24 * layer + 2 * width
    assert blocks == pytest.approx(472.3e6, rel=1e-4)
    rest = 2 * (12_001 + 8_194) * width + 12_001 + 8_194 + (602 + 1_818 + 2) * width + 2 * width
    assert footprint.parameters == blocks + rest
    assert footprint.tokens_per_second == 50


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write ``config.yaml`` with the published sizes, without weights."""
    encoder = {"output_size": 512, "input_layer": "conv2d2", "perceiver_mult": 2}
    content = {
        "gpt": {
            "model_dim": 1280, "layers": 24, "heads": 20, "max_mel_tokens": 1815, "max_text_tokens": 600,
            "number_text_tokens": 12_000, "number_mel_codes": 8_194, "start_mel_token": 8_192,
            "stop_mel_token": 8_193, "start_text_token": 0, "stop_text_token": 1,
            "condition_type": "conformer_perceiver",
            "condition_module": {**encoder, "linear_units": 2048, "attention_heads": 8, "num_blocks": 6},
            "emo_condition_module": {**encoder, "linear_units": 1024, "attention_heads": 4, "num_blocks": 4},
        },
        "semantic_codec": {
            "codebook_size": 8192, "hidden_size": 1024, "codebook_dim": 8, "vocos_dim": 384,
            "vocos_intermediate_dim": 2048, "vocos_num_layers": 12,
        },
        "s2mel": {
            "preprocess_params": {"sr": 22_050, "spect_params": {"n_mels": 80, "fmax": "None"}},
            "style_encoder": {"dim": 192},
            "length_regulator": {"channels": 512, "in_channels": 1024, "sampling_ratios": [1, 1, 1, 1]},
            "DiT": {"hidden_dim": 512, "num_heads": 8, "depth": 13, "in_channels": 80, "content_dim": 512},
            "wavenet": {"hidden_dim": 512, "num_layers": 8, "kernel_size": 5, "dilation_rate": 1},
        },
        "emo_num": [3, 17, 2, 8, 4, 5, 10, 24],
        "gpt_checkpoint": "gpt.pth", "s2mel_checkpoint": "s2mel.pth", "w2v_stat": "wav2vec2bert_stats.pt",
        "spk_matrix": "feat1.pt", "emo_matrix": "feat2.pt", "version": 2.0,
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("released")
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return folder


# Adapters


def test_an_adapter_has_peft_s_names_for_the_checkpoint_s_modules(
    make_base: MakeBase, engine: vtune.Engine, tmp_path: Path
) -> None:
    base = make_base()
    model = engine.build_lora_model(base, engine.info.lora)
    engine.export_voice(base, model, vtune.Conditioning({}, {"a": "b"}), tmp_path)
    with safe_open(str(tmp_path / "adapter_model.safetensors"), "pt") as file:
        names = set(file.keys())
    assert names == {
        f"base_model.model.gpt.h.{layer}.{module}.lora_{side}.weight"
        for layer in range(2)
        for module in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
        for side in "AB"
    }
    # Beside the official tensors, these names are found as they are.
    official = torch.load(base.files.gpt, weights_only=True)["model"]
    for name in names:
        assert name.removeprefix("base_model.model.").rsplit(".lora_", 1)[0] + ".weight" in official


def test_an_adapter_loads_with_plain_peft(make_base: MakeBase, engine: vtune.Engine, tmp_path: Path) -> None:
    base = make_base()
    model = engine.build_lora_model(base, engine.info.lora).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    engine.export_voice(base, model, vtune.Conditioning({}, {"a": "b"}), tmp_path)
    plain = PeftModel.from_pretrained(base.new_network(), tmp_path).eval()
    batch = engine.collate(base, [engine.prepare_sample(base, made_clip(RATE, 0.8, 0))])
    with torch.no_grad():
        assert torch.equal(model(**batch)["logits"], plain(**batch)["logits"])


def test_each_network_is_one_of_its_own(make_base: MakeBase) -> None:
    base = make_base()
    first, second = base.new_network(), base.new_network()
    with torch.no_grad():
        first.mel_head.bias.add_(1)
    assert not torch.equal(first.mel_head.bias, second.mel_head.bias)
    assert torch.equal(second.mel_head.bias, base.new_network().mel_head.bias)


def test_training_lets_go_of_what_only_listens(make_base: MakeBase, engine: vtune.Engine) -> None:
    base = make_base()
    engine.prepare_sample(base, made_clip(RATE, 0.8, 0))
    listening = ("semantic", "codec", "conditioning_encoder")
    assert all(part in base.__dict__ for part in listening)
    kept = engine.extract_conditioning(base, [made_clip(RATE, 0.8, 0)])
    assert "speaker_model" in base.__dict__
    speaking = base.s2mel
    base.new_network()
    assert not any(part in base.__dict__ for part in (*listening, "speaker_model"))
    assert base.s2mel is speaking
    again = engine.extract_conditioning(base, [made_clip(RATE, 0.8, 0)])  # and it comes back when asked for
    assert all((again.tensors[name] == array).all() for name, array in kept.tensors.items())


# Which change is noticed


@pytest.fixture
def other(tiny: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny, folder)
    return folder


def change(path: Path) -> None:
    """Return another network of the same shape, in which every number is a little larger."""

    def larger(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: larger(inner) for name, inner in value.items()}
        return value * 1.01 + 0.01 if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    if path.suffix == ".safetensors":
        save_file(larger(load_file(str(path))), str(path))
    elif path.suffix in {".yaml", ".json"}:
        path.write_text(f"{path.read_text()}\n")
    elif path.suffix == ".model":
        path.write_bytes(path.read_bytes() + b"\0")
    else:
        torch.save(larger(torch.load(path, weights_only=True)), path)


SPEAKING = {
    "gpt.pth": "network",
    "s2mel.pth": "s2mel",
    "bigvgan/bigvgan_generator.pt": "vocoder",
    "bigvgan/config.json": "vocoder",
    "bpe.model": "tokenizer",
    "config.yaml": "config.yaml",
}
LISTENING = {
    "w2v-bert-2.0/config.json": "semantic_model",
    "w2v-bert-2.0/model.safetensors": "semantic_model",
    "w2v-bert-2.0/preprocessor_config.json": "semantic_model",
    "semantic_codec/model.safetensors": "codec",
    "wav2vec2bert_stats.pt": "statistics",
}


def differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    assert before.keys() == after.keys()
    return [part for part in before if before[part] != after[part]]


@pytest.mark.parametrize("file", SPEAKING)
def test_another_part_for_speaking_is_named(file: str, other: Path, make_base: MakeBase, engine: vtune.Engine) -> None:
    change(other / file)
    changed = make_base(base_model=str(other))
    assert differing(engine.fingerprint(make_base()), engine.fingerprint(changed)) == [SPEAKING[file]]


@pytest.mark.parametrize("file", [*LISTENING, "campplus/campplus_cn_common.bin"])
def test_another_part_for_listening_is_no_other_base_for_a_voice(
    file: str, other: Path, make_base: MakeBase, engine: vtune.Engine
) -> None:
    change(other / file)
    changed = make_base(base_model=str(other))
    assert engine.fingerprint(changed) == engine.fingerprint(make_base())


@pytest.mark.parametrize("file", LISTENING)
def test_another_part_for_listening_encodes_anew(
    file: str, other: Path, make_base: MakeBase, engine: vtune.Engine
) -> None:
    change(other / file)
    changed = make_base(base_model=str(other))
    before, after = (engine.features_fingerprint(base) for base in (make_base(), changed))
    assert differing(before, after) == [LISTENING[file]]


def test_another_normaliser_or_glossary_encodes_anew(
    make_base: MakeBase, engine: vtune.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = engine.features_fingerprint(make_base())
    glossary = tmp_path / "terms.yaml"
    glossary.write_text("M.2: M dot two\n")
    with_terms = engine.features_fingerprint(make_base(glossary=glossary))
    assert with_terms.keys() - usual.keys() == {"glossary"}
    glossary.write_text("M.2: M point two\n")
    assert differing(with_terms, engine.features_fingerprint(make_base(glossary=glossary))) == ["glossary"]
    monkeypatch.setattr("vtune_indextts2.text.basic.BasicEngine.identity", "basic 99")
    assert differing(usual, engine.features_fingerprint(make_base())) == ["normaliser"]


def test_a_glossary_that_is_not_there_is_one_line(make_base: MakeBase, engine: vtune.Engine, tmp_path: Path) -> None:
    with pytest.raises(vtune.EngineError, match=r"glossary .*terms\.yaml cannot be read") as caught:
        engine.features_fingerprint(make_base(glossary=tmp_path / "terms.yaml"))
    assert "\n" not in str(caught.value)


def test_options_that_only_speak_change_no_fingerprint(make_base: MakeBase, engine: vtune.Engine) -> None:
    usual = engine.features_fingerprint(make_base())
    for options in ({"temperature": 0}, {"beams": 3}, {"reference": "join"}, {"emo_source": "mix"}, {"dropout": 0.0}):
        assert engine.features_fingerprint(make_base(**options)) == usual


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", -1), ("top_p", 0), ("top_p", 1.5), ("beams", 0), ("beams", 11), ("mel_pos_offset", 2),
        ("emotion_weights", [1, 2]), ("emotion_weights", [1.5] * 8), ("reference_seconds", 0), ("flow_steps", 0),
        ("guidance", -0.1), ("segment_tokens", 7), ("dropout", 1), ("normaliser", "nemo"), ("emotion_strength", 3),
        ("base_model", ""), ("max_codes", True), ("tempreature", 1),
    ],
)  # fmt: skip
def test_options_outside_their_range_are_refused(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=option):
        IndexTTS2Options.model_validate({option: value})
