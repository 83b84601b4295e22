"""Which release a checkpoint is, by its contents; its files, wherever a configuration says that they are."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import vtune
from vtune import EngineError, VoiceError
from vtune.testing import made_clip
from vtune_indextts2 import part_loaders
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.config import read_config
from vtune_indextts2.gpt.conditioning import ConditioningEncoder
from vtune_indextts2.gpt.network import SemanticGPT
from vtune_indextts2.gpt.style_network import StyleGPT
from vtune_indextts2.options import IndexTTS2Options
from vtune_indextts2.releases.detection import is_own_name
from vtune_indextts2.semantic.half_rate_codec import HalfRateCodec
from vtune_indextts2.training_rows import collate, prepare

MakeBase = Callable[..., IndexTTS2Base]
SIGNS = ("gpt.number_text_tokens", "gpt.spk_cond_mode", "dataset.tokenizer_type", "dataset.bpe_model")


@pytest.fixture
def bare(tiny25: Path, tmp_path: Path) -> dict[str, Any]:
    """Return a configuration of IndexTTS-2.5 that says of itself that it is of 2.0, in an empty folder."""
    content: dict[str, Any] = yaml.safe_load((tiny25 / "config.yaml").read_text(encoding="utf-8"))
    return {**content, "version": 2.0, "dataset": {}}


def write(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "config.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "sign",
    [
        {"gpt": {"number_text_tokens": 60_509}},
        {"gpt": {"spk_cond_mode": "campplus"}},
        {"dataset": {"tokenizer_type": "tiktoken"}},
        {"dataset": {"bpe_model": "multilingual.tiktoken"}},
        {"version": 2.5},
    ],
    ids=str,
)
def test_one_sign_in_the_configuration_is_enough(sign: dict[str, Any], bare: dict[str, Any], tmp_path: Path) -> None:
    assert read_config(write(tmp_path, bare)).release == "2.0", "without a sign, the version is believed"
    for key, value in sign.items():
        bare[key] = {**bare[key], **value} if isinstance(value, dict) else value
    assert read_config(write(tmp_path, bare)).release == "2.5"


@pytest.mark.parametrize("file", ["codec.pth", "multilingual_zh_ja_yue_char_del.tiktoken", "other.tiktoken"])
def test_one_file_beside_it_is_enough(file: str, bare: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(b"x")
    assert read_config(write(tmp_path, bare)).release == "2.5"


def test_the_names_in_the_gpt_are_enough_and_weigh_more_than_files(
    bare: dict[str, Any], tiny: Path, tiny25: Path, tmp_path: Path
) -> None:
    os.symlink(tiny25 / "gpt.pth", tmp_path / "gpt.pth")
    assert read_config(write(tmp_path, bare)).release == "2.5"
    (tmp_path / "gpt.pth").unlink()
    os.symlink(tiny / "gpt.pth", tmp_path / "gpt.pth")
    (tmp_path / "codec.pth").write_bytes(b"x")  # left over beside IndexTTS-2
    assert read_config(write(tmp_path, bare)).release == "2.0"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\0" * 2048])
def test_a_damaged_gpt_decides_nothing(content: bytes, bare: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "gpt.pth").write_bytes(content)
    assert read_config(write(tmp_path, bare)).release == "2.0"
    (tmp_path / "codec.pth").write_bytes(b"x")
    assert read_config(write(tmp_path, bare)).release == "2.5"


@pytest.mark.parametrize("version", [1, 1.0, 1.5, "1.5.1", 3, "2.6"])
def test_another_release_is_refused_by_its_name(version: object, bare: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        read_config(write(tmp_path, {**bare, "version": version}))
    message = str(caught.value)
    assert f"is of IndexTTS {version}: this engine speaks IndexTTS-2 and IndexTTS-2.5" in message
    assert len(message.splitlines()) == 1


def test_the_sizes_follow_from_the_release(tiny25: Path) -> None:
    config = read_config(tiny25 / "config.yaml")
    assert (config.title, config.codes_per_second, config.latent_dims) == ("IndexTTS-2.5", 25, ())
    assert config.gpt.prefix == 3
    assert config.gpt.conditioning_shape == (192 + config.gpt.model_dim,)


def test_a_style_of_another_width_is_told(bare: dict[str, Any], tmp_path: Path) -> None:
    bare["s2mel"]["style_encoder"]["dim"] = 100
    with pytest.raises(EngineError, match=r"s2mel.style_encoder.dim is 100, the GPT's style_dim asks for 192"):
        read_config(write(tmp_path, {**bare, "version": 2.5}))


# Files


@pytest.fixture
def other(tiny25: Path, tmp_path: Path) -> Path:
    """Return a copy of the checkpoint made of links; tests may replace its files, and must not write into them."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny25, folder, copy_function=os.symlink)
    return folder


CONFIGURED = ("gpt_checkpoint", "s2mel_checkpoint", "w2v_stat", "emo_matrix", "spk_matrix")


@pytest.mark.parametrize("elsewhere", ["/cubefs/somebody/checkpoint_5000.pth", "../secret.pth", "gone/model.pth"])
def test_paths_of_another_machine_fall_back_to_the_usual_names(
    elsewhere: str, other: Path, tiny25: Path, make_base25: MakeBase, tmp_path: Path
) -> None:
    """A released file names paths of somebody's cluster; and a stranger's file must not name a file of this machine."""
    (tmp_path / "secret.pth").write_bytes(b"not a checkpoint")
    content = yaml.safe_load((tiny25 / "config.yaml").read_text(encoding="utf-8"))
    content = {**content, **dict.fromkeys(CONFIGURED, elsewhere), "version": 2.0, "dataset": {"bpe_model": elsewhere}}
    (other / "config.yaml").unlink()
    write(other, content)
    files = make_base25(base_model=str(other)).files
    names = [path.name for path in (files.gpt, files.s2mel, files.statistics, *files.emotions, files.tokenizer)]
    assert names == [
        "gpt.pth", "s2mel.pth", "wav2vec2bert_stats.pt", "feat2.pt", "feat1.pt",
        "multilingual_zh_ja_yue_char_del.tiktoken",
    ]  # fmt: skip
    assert all(path.parent == other for path in (files.gpt, files.s2mel, files.tokenizer, files.codec))


@pytest.mark.parametrize(
    ("name", "own"),
    [("gpt.pth", True), ("a/gpt.pth", True), ("/a/gpt.pth", False), ("../gpt.pth", False), ("", False), (3, False)],
)
def test_what_counts_as_a_name_of_the_checkpoint(name: object, own: bool) -> None:
    assert is_own_name(name) is own


def test_the_tokenizer_of_before_is_not_taken(other: Path, make_base25: MakeBase) -> None:
    (other / "bpe.model").write_bytes(b"left over")
    content = yaml.safe_load((other / "config.yaml").read_text(encoding="utf-8"))
    (other / "config.yaml").unlink()
    write(other, {**content, "dataset": {"bpe_model": "bpe.model"}})
    assert make_base25(base_model=str(other)).files.tokenizer.suffix == ".tiktoken"


def test_parts_are_found_where_the_released_software_keeps_them(other: Path, make_base25: MakeBase) -> None:
    cache = other / "hf_cache"
    cache.mkdir()
    for name in ("w2v-bert-2.0", "bigvgan"):
        (other / name).rename(cache / name)
    (other / "campplus" / "campplus_cn_common.bin").rename(cache / "campplus_cn_common.bin")
    (other / "campplus").rmdir()
    files = make_base25(base_model=str(other)).files
    assert files.semantic_model == str(cache / "w2v-bert-2.0")
    assert {path.parent for path in files.vocoder} == {cache / "bigvgan"}
    assert files.speaker_model == cache / "campplus_cn_common.bin"


def test_a_missing_codec_is_named(other: Path, make_base25: MakeBase) -> None:
    (other / "codec.pth").unlink()
    with pytest.raises(EngineError, match=r"engine_options.codec: .* has no codec.pth"):
        make_base25(base_model=str(other)).codec  # noqa: B018 # the property loads it


# Networks


def test_each_release_has_its_own_networks(make_base: MakeBase, make_base25: MakeBase) -> None:
    old, new = make_base(), make_base25()
    assert type(old.new_network()) is SemanticGPT
    assert type(new.new_network()) is StyleGPT
    assert type(old.conditioning_encoder) is ConditioningEncoder
    assert not isinstance(new.conditioning_encoder, ConditioningEncoder)
    assert isinstance(new.codec, HalfRateCodec)
    assert not len(new.s2mel.gpt_layer)


def test_a_left_over_projection_of_latents_is_ignored(
    make_base25: MakeBase, tiny25: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert "gpt_layer" in torch.load(tiny25 / "s2mel.pth", weights_only=True)["net"]
    make_base25().s2mel  # noqa: B018 # the property loads it
    assert not caplog.records


def test_the_codec_may_be_wrapped_or_not(tiny25: Path, make_base25: MakeBase, tmp_path: Path) -> None:
    config = make_base25().config
    tensors = torch.load(tiny25 / "codec.pth", weights_only=True)["model"]
    torch.save(tensors, tmp_path / "codec.pth")
    loaded = part_loaders.load_half_rate_codec(tmp_path / "codec.pth", config).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
    del tensors["up.weight"]
    torch.save(tensors, tmp_path / "codec.pth")
    with pytest.raises(EngineError, match=r"up\.weight"):
        part_loaders.load_half_rate_codec(tmp_path / "codec.pth", config)


# Fingerprints: nothing of one release is used for the other


def test_the_release_stands_in_the_fingerprint(make_base: MakeBase, make_base25: MakeBase) -> None:
    old, new = make_base().speaking_fingerprint, make_base25().speaking_fingerprint
    assert new["release"] == "IndexTTS-2.5"
    assert {"codec", "release"} == new.keys() - old.keys()


def test_features_of_one_release_never_count_for_the_other(
    make_base: MakeBase, make_base25: MakeBase, tiny: Path, tiny25: Path, tmp_path: Path
) -> None:
    engine = vtune.load_engine("indextts2")
    old, new = engine.features_fingerprint(make_base()), engine.features_fingerprint(make_base25())
    assert old["release"] != new["release"]
    clip = made_clip(22_050, 0.9, 0)
    before, after = engine.prepare_sample(make_base(), clip), engine.prepare_sample(make_base25(), clip)
    assert before["condition"].shape == (32, 32)
    assert after["condition"].shape == (192,)
    assert len(before["codes"]) // 2 == pytest.approx(len(after["codes"]), abs=1)


def test_a_voice_of_one_release_names_the_other(make_base: MakeBase, make_base25: MakeBase) -> None:
    engine = vtune.load_engine("indextts2")
    clips = [made_clip(22_050, 0.9, 0)]
    kept = engine.extract_conditioning(make_base(), clips)
    with pytest.raises(VoiceError, match=r"made with IndexTTS-2, but the base is of IndexTTS-2\.5"):
        list(engine.synthesize(make_base25(), make_base25().new_network(), "hello", kept, 0, {}))


# Training rows


def test_a_batch_has_each_row_s_language_and_style_and_emotion(make_base25: MakeBase) -> None:
    base = make_base25()
    clip = made_clip(22_050, 0.8, 0)
    english, chinese = prepare(base, clip), prepare(base, replace(made_clip(22_050, 0.9, 1), text="你好世界"))
    assert [row["language"].tolist() for row in (english, chinese)] == [[0], [1]]
    paired = {**english, "paired.condition": chinese["condition"], "paired.emotion": chinese["emotion"]}
    batch = collate(base, [english, chinese, paired])
    assert batch["languages"].tolist() == [0, 1, 0]
    told = batch["conditioning"].numpy()
    assert told.shape == (3, 192 + base.config.gpt.model_dim)
    for row, (style, emotion) in enumerate(((english, english), (chinese, chinese), (chinese, english))):
        assert np.array_equal(told[row, :192], style["condition"].astype(np.float32))
        assert np.array_equal(told[row, 192:], emotion["emotion"].astype(np.float32))


def test_rows_of_several_languages_are_the_same_alone_and_together(make_base25: MakeBase) -> None:
    base = make_base25()
    rows = [prepare(base, replace(made_clip(22_050, 0.8, 0), text=text)) for text in ("hello", "你好世界")]
    network = base.new_network().eval()
    batch = collate(base, rows)
    together = network(**batch)["logits"]
    alone = torch.cat([network(**collate(base, [row]))["logits"] for row in rows])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    swapped = network(**{**batch, "languages": batch["languages"].flip(0)})["logits"]
    assert not torch.allclose(together, swapped, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"language": "ja"}, "language is 'ja', but IndexTTS-2 speaks English and Chinese"),
        ({"duration_factor": 0.8}, "duration_factor is 0.8, but only IndexTTS-2.5"),
        ({"upstream_text": True}, "upstream_text is of IndexTTS-2.5"),
    ],
)
def test_what_only_the_later_release_has_is_told(make_base: MakeBase, options: dict[str, Any], says: str) -> None:
    with pytest.raises(EngineError, match=says):
        make_base(**options)


def test_what_is_wrong_with_an_option_is_no_reason_to_skip_a_clip(make_base25: MakeBase, tmp_path: Path) -> None:
    base = make_base25(glossary=tmp_path / "nowhere.yaml")
    with pytest.raises(EngineError, match=r"nowhere\.yaml cannot be read"):
        prepare(base, made_clip(22_050, 0.8, 0))


def test_a_tag_that_does_not_exist_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"there is no language 'zhen'; did you mean"):
        IndexTTS2Options.model_validate({"language": "zhen"})
    assert IndexTTS2Options.model_validate({"language": "EN"}).language == "en"
