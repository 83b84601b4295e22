"""The engine as a whole: the contract, what it refuses, and how other software reads its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

import vtune
import vtune_orpheus.checkpoints
from vtune.testing import check_engine, made_clip
from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.memory_footprint import estimate
from vtune_orpheus.options import OrpheusOptions
from vtune_orpheus.tiny_checkpoint import CODEC_CONFIG, build

RATE = 24_000


@pytest.fixture(scope="module")
def engine() -> vtune.Engine:
    return vtune.load_engine("orpheus")


def speaking(base: OrpheusBase, engine: vtune.Engine) -> tuple[Any, vtune.Conditioning]:
    model = engine.build_lora_model(base, engine.info.lora).eval()
    return model, engine.extract_conditioning(base, [made_clip(RATE, 1.0, 0)])


def wake(model: Any) -> None:
    """Fill a fresh adapter with random numbers, so that it changes something."""
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)


def test_orpheus_keeps_the_contract(tiny: Path, tmp_path: Path) -> None:
    check_engine("orpheus", {"base_model": str(tiny), "max_new_tokens": 35}, tmp_path)


def test_llamas_licence_binds_orpheus_and_not_nano(tiny: Path, engine: vtune.Engine) -> None:
    def licence_of(base_model: str) -> vtune.Licence:
        base = OrpheusBase(OrpheusOptions(base_model=base_model), torch.device("cpu"), torch.float32)
        return engine.licence(base)

    assert licence_of(str(tiny)).licence_id == "llama3.2"
    assert "Llama 3.2 Community License" in licence_of(str(tiny)).terms
    by_path = str(Path(vtune_orpheus.checkpoints.__file__).parent / "nano")
    for name in ("nano", by_path):
        licence = licence_of(name)
        assert licence.licence_id == "apache-2.0"
        assert "No weight of it derives from Llama" in licence.terms
        assert "research only" in licence.terms


def test_the_small_checkpoint_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        build(tmp_path / name, hidden=16, layers=1)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"config.json", "model.safetensors", "tokenizer.json"}
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_an_adapter_loads_with_plain_peft_and_speaks_the_same(
    base: OrpheusBase, engine: vtune.Engine, tiny: Path, tmp_path: Path
) -> None:
    model, conditioning = speaking(base, engine)
    wake(model)
    engine.export_voice(base, model, conditioning, tmp_path)
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny), tmp_path).eval()
    ids = torch.randint(0, base.config.vocab_size, (1, 20))
    with torch.no_grad():
        tuned = model(input_ids=ids)["logits"]
        assert torch.equal(tuned, plain(input_ids=ids)["logits"])
        with model.disable_adapter():
            assert not torch.allclose(tuned, model(input_ids=ids)["logits"])


def test_an_adapter_is_one_that_vllm_takes(base: OrpheusBase, engine: vtune.Engine, tmp_path: Path) -> None:
    """vLLM's PEFTHelper and weight loader require: no full modules, no DoRA, no bias, a known rank, known names."""
    model, conditioning = speaking(base, engine)
    engine.export_voice(base, model, conditioning, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["modules_to_save"] is None
    assert config["use_dora"] is False
    assert config["bias"] == "none"
    assert config["init_lora_weights"] is True
    assert config["r"] in {1, 8, 16, 32, 64, 128, 256, 320, 512}
    linear = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert set(config["target_modules"]) == linear
    with safe_open(str(tmp_path / "adapter_model.safetensors"), "pt") as file:
        names = set(file.keys())
    expected = {
        f"base_model.model.model.layers.{layer}.{block}.{module}.lora_{side}.weight"
        for layer in range(2)
        for block, modules in (("self_attn", ATTENTION), ("mlp", MLP))
        for module in modules
        for side in "AB"
    }
    assert names == expected


ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")


@pytest.mark.parametrize(
    ("targets", "count"), [(("all",), 14), (("attention",), 8), (("mlp",), 6), ((r".*layers\.1\.mlp\..*",), 3)]
)
def test_targets_are_presets_or_patterns(
    base: OrpheusBase, engine: vtune.Engine, targets: tuple[str, ...], count: int
) -> None:
    model = engine.build_lora_model(base, vtune.LoraSettings(rank=2, alpha=4, targets=targets))
    assert sum("lora_A" in name for name, _ in model.named_parameters()) == count


def test_a_target_that_matches_nothing_lists_what_there_is(base: OrpheusBase, engine: vtune.Engine) -> None:
    with pytest.raises(vtune.TrainingError) as caught:
        engine.build_lora_model(base, vtune.LoraSettings(targets=("q_porj", "k_proj")))
    message = str(caught.value)
    assert "'q_porj' matches no module; did you mean 'q_proj'?" in message
    assert "matched: k_proj" in message
    assert "down_proj (2)" in message
    assert "\n" not in message


def test_each_piece_of_a_long_text_says_how_it_ended(make_base: Any, engine: vtune.Engine) -> None:
    base = make_base(max_new_tokens=21, max_chars=30)
    model, conditioning = speaking(base, engine)
    text = "This is a first sentence here. This is a second sentence."
    pieces = list(engine.synthesize(base, model, text, conditioning, 0))
    assert sum(piece.ending is not None for piece in pieces) == 2
    assert pieces[-1].ending is not None


def test_sound_arrives_while_it_is_still_being_made(make_base: Any, engine: vtune.Engine) -> None:
    base = make_base(max_new_tokens=140)
    model, conditioning = speaking(base, engine)
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    model.register_forward_hook(count)
    with torch.inference_mode():
        next(engine.synthesize(base, model, "one two three four five six", conditioning, 0))
    assert calls < 60


def test_reference_clips_stand_before_the_prompt(make_base: Any, engine: vtune.Engine) -> None:
    from vtune_orpheus.conditioning import prompt_of

    base = make_base(reference_clips=2)
    clips = [made_clip(RATE, 0.4, 0), made_clip(RATE, 0.3, 1), made_clip(RATE, 0.5, 2)]
    kept = engine.extract_conditioning(base, clips)
    assert sorted(kept.tensors) == ["reference_0", "reference_1"]
    rows = [engine.prepare_sample(base, clip)["input_ids"] for clip in clips[:2]]
    assert np.array_equal(kept.tensors["reference_0"], rows[0])
    plain = prompt_of(make_base(), engine.extract_conditioning(make_base(), clips), "hello")
    assert prompt_of(base, kept, "hello") == [*rows[0].tolist(), *rows[1].tolist(), *plain]


def test_conditioning_holds_what_synthesis_needs(base: OrpheusBase, engine: vtune.Engine) -> None:
    strings = engine.extract_conditioning(base, [made_clip(RATE, 1.0, 0)]).strings
    assert strings["voice"] == "someone"
    assert json.loads(strings["layout"])["codebook"] == 32
    assert json.loads(strings["fingerprint"]) == engine.fingerprint(base)
    assert float(strings["seconds_per_character"]) == pytest.approx(1.0 / len("one two three"), abs=1e-4)


def test_the_fingerprint_names_the_part_that_changed(
    base: OrpheusBase, tiny: Path, make_base: Any, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    shutil.rmtree(other / "snac")
    donor = tmp_path / "donor"
    donor.mkdir()
    build(donor, hidden=32, layers=2, codec={**CODEC_CONFIG, "encoder_dim": 4, "codebook_size": 32}, seed=1)
    shutil.copytree(donor / "snac", other / "snac")
    before, after = base.fingerprint(), make_base(base_model=str(other)).fingerprint()
    assert [part for part in before if before[part] != after[part]] == ["codec"]


def test_a_merged_checkpoint_loads_in_plain_transformers(
    base: OrpheusBase, engine: vtune.Engine, make_base: Any, tmp_path: Path
) -> None:
    model, _ = speaking(base, engine)
    wake(model)
    ids = torch.randint(0, base.config.vocab_size, (1, 20))
    with torch.no_grad():
        tuned = model(input_ids=ids)["logits"]
        engine.save_merged(base, model.merge_and_unload(), tmp_path)
        plain = AutoModelForCausalLM.from_pretrained(tmp_path).eval()(input_ids=ids)["logits"]
    torch.testing.assert_close(plain, tuned, atol=1e-5, rtol=1e-4)
    assert AutoTokenizer.from_pretrained(tmp_path).get_vocab() == base.tokenizer.get_vocab()
    # It is a checkpoint for this engine too, with its own codec.
    assert make_base(base_model=str(tmp_path)).fingerprint() == base.fingerprint()


@pytest.mark.parametrize(("quantization", "says"), [("4bit", "qlora"), ("8bit", "qlora")])
def test_quantisation_without_bitsandbytes_names_the_extra(make_base: Any, quantization: str, says: str) -> None:
    with pytest.raises(vtune.EngineError, match=says):
        make_base(quantization=quantization)


def test_quantisation_without_a_gpu_says_so(make_base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real_find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: real_find_spec("json") if name == "bitsandbytes" else real_find_spec(name),
    )
    with pytest.raises(vtune.EngineError, match="needs a CUDA GPU"):
        make_base(quantization="4bit")


def test_a_checkpoint_that_is_not_there_is_one_line() -> None:
    with pytest.raises(vtune.EngineError, match=r"there is no folder '\./nowhere'"):
        OrpheusBase(OrpheusOptions(base_model="./nowhere"), torch.device("cpu"), torch.float32)


def test_a_folder_that_is_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    base = OrpheusBase(OrpheusOptions(base_model=str(tmp_path)), torch.device("cpu"), torch.float32)
    with pytest.raises(vtune.EngineError, match="cannot be loaded") as caught:
        _ = base.tokenizer
    assert "\n" not in str(caught.value)


def test_codec_weights_of_another_shape_are_one_line(tiny: Path, tmp_path: Path, make_base: Any) -> None:
    folder = tmp_path / "bent"
    shutil.copytree(tiny, folder)
    config = json.loads((folder / "snac" / "config.json").read_text())
    (folder / "snac" / "config.json").write_text(json.dumps({**config, "encoder_dim": 8}))
    with pytest.raises(vtune.EngineError, match=r"does not fit its config\.json"):
        _ = make_base(base_model=str(folder)).codec


def test_a_codec_published_as_a_pickle_of_tensors_loads(
    tiny: Path, tmp_path: Path, base: OrpheusBase, make_base: Any
) -> None:
    folder = tmp_path / "published"
    shutil.copytree(tiny, folder)
    (folder / "snac" / "model.safetensors").unlink()
    torch.save(base_codec_state(make_base), folder / "snac" / "pytorch_model.bin")
    clip = made_clip(RATE, 0.5, 0)
    for mine, theirs in zip(
        base.encode(clip.waveform), make_base(base_model=str(folder)).encode(clip.waveform), strict=True
    ):
        assert torch.equal(mine, theirs)


def base_codec_state(make_base: Any) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = make_base().codec.state_dict()  # fresh: no decoder has replaced its noise
    return state


def test_the_footprint_counts_what_the_model_has(base: OrpheusBase, engine: vtune.Engine, tiny: Path) -> None:
    lora = vtune.LoraSettings(rank=4, alpha=8)
    model = engine.build_lora_model(base, lora)
    footprint = estimate(OrpheusOptions(base_model=str(tiny)), lora, 4, engine.info.lora_targets)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert footprint.trainable == trainable
    assert footprint.parameters == sum(p.numel() for p in model.parameters()) - trainable


def test_the_footprint_of_the_released_shape_is_the_published_one(tmp_path: Path, engine: vtune.Engine) -> None:
    shape = {
        "model_type": "llama", "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28,
        "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 156940,
        "tie_word_embeddings": True,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(shape))
    footprint = estimate(OrpheusOptions(base_model=str(tmp_path)), engine.info.lora, 2, engine.info.lora_targets)
    assert footprint.parameters == pytest.approx(3_300.9e6, rel=1e-4)
    assert footprint.trainable == 32 * 1_519_616
    assert footprint.tokens_per_second == pytest.approx(82.03, abs=0.01)
    assert footprint.token_flops == pytest.approx(13.5e9, rel=0.01)
