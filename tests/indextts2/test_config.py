"""Mistakes in ``config.yaml`` and in the files beside it are reported in one line that names the file."""

from __future__ import annotations

import copy
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

from vtune import EngineError
from vtune_indextts2 import nano_checkpoint
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.config import read_config
from vtune_indextts2.gpt.conditioning import ConditioningEncoder
from vtune_indextts2.gpt.network import SemanticGPT, SemanticGPTConfig
from vtune_indextts2.s2mel.network import S2Mel
from vtune_indextts2.semantic.codec import SemanticCodec

MakeBase = Callable[..., IndexTTS2Base]


def refusal(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(EngineError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 600
    return message


@pytest.fixture(scope="module")
def content(tiny: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((tiny / "config.yaml").read_text())
    return loaded


@pytest.fixture
def written(content: dict[str, Any], tmp_path: Path) -> Callable[..., Path]:
    """Write a config.yaml with some keys changed (``gpt.heads``); a value of ``...`` leaves the key out."""

    def write(changes: dict[str, Any] | None = None) -> Path:
        changed = copy.deepcopy(content)
        for key, value in (changes or {}).items():
            *sections, last = key.split(".")
            section = changed
            for name in sections:
                section = section[name]
            if value is ...:
                del section[last]
            else:
                section[last] = value
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps(changed))  # which is YAML, and quickly written
        return path

    return write


# config.yaml


def test_sizes_come_from_the_file(written: Callable[..., Path], content: dict[str, Any]) -> None:
    config = read_config(written())
    gpt = content["gpt"]
    assert config.gpt.text_rows == gpt["number_text_tokens"] + 1
    assert config.gpt.text_positions == gpt["max_text_tokens"] + 2
    assert config.gpt.mel_positions == gpt["max_mel_tokens"] + 3
    assert config.gpt.prefix == 34
    assert config.latent_dims == (gpt["model_dim"], 256, 128, content["semantic_codec"]["hidden_size"])
    assert config.semantic_layers == 2
    assert config.mel.sample_rate == 22_050
    assert config.mel.bins == 80


def test_what_only_the_published_model_has_are_the_defaults(written: Callable[..., Path]) -> None:
    gone = ("semantic_layers", "gpt.emo_perceiver_dim", "version", "dataset", "s2mel.preprocess_params.sr")
    config = read_config(written({key: ... for key in gone}))
    assert config.semantic_layers == 17
    assert config.gpt.emo_perceiver_dim == 1024
    assert config.bpe_model == "bpe.model"
    assert config.mel.sample_rate == 22_050


def test_keys_that_only_training_reads_are_left_alone(written: Callable[..., Path]) -> None:
    changes = {"qwen_emo_path": "qwen/", "gpt.train_solo_embeddings": False, "s2mel.DiT.expand_ratio": 1.0}
    assert read_config(written(changes)) == read_config(written())


@pytest.mark.parametrize(("fmax", "read"), [("None", None), (None, None), (8000, 8000.0), ("8000", 8000.0)])
def test_the_highest_frequency_may_be_none_in_two_ways(
    written: Callable[..., Path], fmax: object, read: object
) -> None:
    assert read_config(written({"s2mel.preprocess_params.spect_params.fmax": fmax})).mel.fmax == read


@pytest.mark.parametrize("version", [2, 2.0, "2.0", "2"])
def test_the_version_may_be_written_in_any_way(written: Callable[..., Path], version: object) -> None:
    read_config(written({"version": version}))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"version": 1.5}, "IndexTTS 1.5"),
        ({"version": 1.0}, "IndexTTS 1.0"),
        ({"version": ..., "gpt.emo_condition_module": ..., "s2mel": ...}, "IndexTTS 1"),
        ({"version": 1.5, "gpt.emo_condition_module": ..., "s2mel": ...}, "IndexTTS 1.5"),
        ({"version": 3}, "IndexTTS 3"),
    ],
)
def test_another_version_is_called_by_its_name(
    written: Callable[..., Path], changes: dict[str, Any], found: str
) -> None:
    path = written(changes)
    assert refusal(read_config, path).startswith(f"{path} is of {found}: this engine speaks IndexTTS-2")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no section 'gpt'"),
        ("- 1\n- 2\n", "has no section 'gpt'"),
        ("just words", "has no section 'gpt'"),
        ("gpt: 3", "has no section 'gpt'"),
        ("gpt: [1", "cannot be read"),
        ("a: b: c", "cannot be read"),
        ("gpt: !!python/object/apply:os.getcwd []", "cannot be read"),
        ("\0\1\2", "cannot be read"),
        (b"\xff\xfe\xfa", "cannot be read"),
    ],
)
def test_what_is_no_such_file_is_told(tmp_path: Path, text: str | bytes, says: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    message = refusal(read_config, path)
    assert message.startswith(str(path))
    assert says in message


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"s2mel": ...}, "has no section 's2mel'"),
        ({"s2mel": 3}, "has no section 's2mel'"),
        ({"gpt.layers": ...}, "gpt.layers: Field required"),
        ({"gpt.layers": 0}, "gpt.layers: "),
        ({"gpt.condition_type": "perceiver"}, "gpt.condition_type: "),
        ({"s2mel.DiT.depth": "deep"}, "s2mel.DiT.depth: "),
        ({"s2mel.preprocess_params.sr": "fast"}, "s2mel.preprocess_params.sr: "),
        ({"s2mel.preprocess_params.sr": None}, "s2mel.preprocess_params.sr: "),
        ({"s2mel.preprocess_params.spect_params.hop_length": -1}, "s2mel.preprocess_params.spect_params.hop_length: "),
        ({"s2mel.preprocess_params.spect_params": 3}, "s2mel.preprocess_params.spect_params: "),
        ({"semantic_codec": ...}, "semantic_codec: Field required"),
        ({"gpt_checkpoint": ...}, "gpt_checkpoint: Field required"),
        ({"emo_num": "many"}, "emo_num: "),
        (
            {"semantic_codec.codebook_size": 100},
            "semantic_codec.codebook_size is 100, gpt.start_mel_token asks for 256",
        ),
        ({"gpt.number_mel_codes": 300}, "gpt.number_mel_codes is 300, gpt.stop_mel_token asks for 258"),
        ({"semantic_codec.hidden_size": 32}, "semantic_codec.hidden_size is 32"),
        ({"s2mel.DiT.in_channels": 100}, "s2mel.DiT.in_channels is 100, spect_params.n_mels asks for 80"),
        ({"s2mel.length_regulator.channels": 16}, "s2mel.length_regulator.channels is 16"),
        ({"gpt.heads": 5}, "gpt.model_dim is 32, which 5 heads cannot share"),
        ({"s2mel.DiT.num_heads": 3}, "s2mel.DiT.hidden_dim is 32, which 3 heads cannot share"),
    ],
)
def test_a_key_that_is_wrong_is_named(written: Callable[..., Path], changes: dict[str, Any], says: str) -> None:
    path = written(changes)
    message = refusal(read_config, path)
    assert message.startswith(str(path))
    assert says in message


def keys(section: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in section.items():
        yield above + name
        if isinstance(value, dict):
            yield from keys(value, f"{above}{name}.")


@pytest.mark.parametrize("odd", [..., None, "x", 7], ids=repr)
def test_any_key_may_hold_anything_without_another_error(
    written: Callable[..., Path], content: dict[str, Any], odd: object
) -> None:
    """A configuration that is accepted can be built: the shapes of the networks are then compared with those of the
    files.
    """
    for key in keys(content):
        path = written({key: odd})
        try:
            config = read_config(path)
        except EngineError:
            refusal(read_config, path)
            continue
        with torch.device("meta"):
            if key.startswith("gpt."):
                SemanticGPT(SemanticGPTConfig(settings=config.gpt.model_dump()))
                ConditioningEncoder(config.gpt)
            elif key.startswith("s2mel."):
                S2Mel(config.s2mel, config.latent_dims)
            elif key.startswith("semantic_codec."):
                SemanticCodec(**config.semantic_codec.model_dump())


# The files beside it


USES: dict[str, Callable[[IndexTTS2Base], object]] = {
    "config.yaml": lambda base: base.config,
    "gpt.pth": lambda base: base.new_network(),
    "s2mel.pth": lambda base: base.s2mel,
    "bpe.model": lambda base: base.frontend,
    "wav2vec2bert_stats.pt": lambda base: base.semantic,
    "feat1.pt": lambda base: base.emotions,
    "feat2.pt": lambda base: base.emotions,
    "w2v-bert-2.0/config.json": lambda base: base.semantic,
    "w2v-bert-2.0/model.safetensors": lambda base: base.semantic,
    "w2v-bert-2.0/preprocessor_config.json": lambda base: base.semantic,
    "semantic_codec/model.safetensors": lambda base: base.codec,
    "campplus/campplus_cn_common.bin": lambda base: base.speaker_model,
    "bigvgan/config.json": lambda base: base.vocoder,
    "bigvgan/bigvgan_generator.pt": lambda base: base.vocoder,
}
"""Every file of a complete checkpoint, and the code that reads it first."""


@pytest.fixture
def other(tiny: Path, tmp_path: Path) -> Path:
    """Return a copy of the checkpoint made of links: tests may replace its files, and must not write into them."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny, folder, copy_function=os.symlink)
    return folder


def put(folder: Path, name: str, data: bytes) -> None:
    (folder / name).unlink()
    (folder / name).write_bytes(data)


def test_the_list_of_files_is_whole(tiny: Path) -> None:
    assert sorted(USES) == sorted(str(path.relative_to(tiny)) for path in tiny.rglob("*") if path.is_file())


@pytest.mark.parametrize("slot", USES)
def test_a_wrong_file_in_any_place_is_named(slot: str, tiny: Path, other: Path, make_base: MakeBase) -> None:
    """Each file of the checkpoint is put in the place of each other file."""
    # What describes nothing that is asked for is taken for an extractor with the usual settings.
    harmless = {("w2v-bert-2.0/preprocessor_config.json", "w2v-bert-2.0/config.json")}
    for donor in USES:
        if donor != slot and (slot, donor) not in harmless:
            (other / slot).unlink()
            (other / slot).symlink_to(tiny / donor)
            message = refusal(lambda: USES[slot](make_base(base_model=str(other))))
            # transformers reads w2v-BERT's folder as one.
            assert str(other / "w2v-bert-2.0" if "w2v" in slot and "/" in slot else other / slot) in message, donor


@pytest.mark.parametrize("slot", USES)
@pytest.mark.parametrize("damage", ["half", "empty", "text"])
def test_a_damaged_file_in_any_place_is_named(
    slot: str, damage: str, tiny: Path, other: Path, make_base: MakeBase
) -> None:
    content = (tiny / slot).read_bytes()
    put(other, slot, {"half": content[: len(content) // 2], "empty": b"", "text": b"hello there\n" * 50}[damage])
    message = refusal(lambda: USES[slot](make_base(base_model=str(other))))
    assert str(other) in message


@pytest.mark.parametrize("slot", USES)
def test_a_missing_file_is_named_with_its_option(slot: str, other: Path, make_base: MakeBase) -> None:
    (other / slot).unlink()
    message = refusal(lambda: USES[slot](make_base(base_model=str(other))))
    if slot.startswith("w2v-bert-2.0/"):
        assert str(other / "w2v-bert-2.0") in message
    else:
        folder = Path(slot).parent
        option = {"semantic_codec": "codec", "campplus": "speaker_model", "bigvgan": "vocoder"}.get(
            str(folder), "base_model"
        )
        assert message.startswith(f"engine_options.{option}: {other / folder} has no ")
        assert Path(slot).name in message


@pytest.mark.parametrize(
    ("folder", "published", "use"),
    [
        ("w2v-bert-2.0", "facebook/w2v-bert-2.0", lambda base: base.semantic),
        ("semantic_codec", "amphion/MaskGCT", lambda base: base.codec),
        ("campplus", "funasr/campplus", lambda base: base.speaker_model),
        ("bigvgan", "nvidia/bigvgan_v2_22khz_80band_256x", lambda base: base.vocoder),
    ],
)
def test_a_folder_that_is_not_there_is_looked_for_on_the_hub(
    folder: str, published: str, use: Callable[..., object], other: Path, make_base: MakeBase
) -> None:
    shutil.rmtree(other / folder)
    assert published in refusal(use, make_base(base_model=str(other)))


@pytest.mark.parametrize("name", ["./nowhere", "nowhere", "/a/b/c", "a/b/c"])
def test_a_checkpoint_that_is_neither_folder_nor_hub_id_is_told(name: str, make_base: MakeBase) -> None:
    message = refusal(lambda: make_base(base_model=name).config)
    assert message.startswith(f"engine_options.base_model: there is no folder {name!r}")


def test_a_checkpoint_that_the_hub_does_not_give_is_told(make_base: MakeBase) -> None:
    assert "'nobody/nothing'" in refusal(lambda: make_base(base_model="nobody/nothing").config)


@pytest.mark.parametrize(
    ("option", "use"),
    [
        ("semantic_model", lambda base: base.semantic),
        ("codec", lambda base: base.codec),
        ("speaker_model", lambda base: base.speaker_model),
        ("vocoder", lambda base: base.vocoder),
    ],
)
def test_an_option_that_names_nothing_is_named(option: str, use: Callable[..., object], make_base: MakeBase) -> None:
    message = refusal(lambda: use(make_base(**{option: "./nowhere"})))
    assert message.startswith(f"engine_options.{option}: there is no folder './nowhere'")


def test_parts_may_lie_anywhere(other: Path, tmp_path: Path, make_base: MakeBase) -> None:
    """Each part has its option; the codec lies in a separate folder, as in its own repository."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "MaskGCT").mkdir(parents=True)
    shutil.move(other / "semantic_codec", elsewhere / "MaskGCT")
    for folder in ("w2v-bert-2.0", "campplus", "bigvgan"):
        shutil.move(other / folder, elsewhere)
    base = make_base(
        base_model=str(other), semantic_model=str(elsewhere / "w2v-bert-2.0"), codec=str(elsewhere / "MaskGCT"),
        speaker_model=str(elsewhere / "campplus"), vocoder=str(elsewhere / "bigvgan"),
    )  # fmt: skip
    assert (base.speaking_fingerprint, base.features_fingerprint) == (
        make_base().speaking_fingerprint,
        make_base().features_fingerprint,
    )
    assert base.semantic
    assert base.codec
    assert base.speaker_model
    assert base.vocoder


def test_files_have_the_names_that_the_config_gives(content: dict[str, Any], other: Path, make_base: MakeBase) -> None:
    names = {"gpt_checkpoint": "gpt-tuned.pth", "s2mel_checkpoint": "flow.pth", "w2v_stat": "stats.pt"}
    for key, name in names.items():
        (other / content[key]).rename(other / name)
    (other / "bpe.model").rename(other / "pieces.model")
    put(other, "config.yaml", yaml.safe_dump({**content, **names, "dataset": {"bpe_model": "pieces.model"}}).encode())
    base = make_base(base_model=str(other))
    assert base.new_network()
    assert base.s2mel
    assert base.semantic
    assert base.frontend


# Files of the right kind that belong to another checkpoint


def change(folder: Path, file: str, **changes: Any) -> None:
    put(folder, file, json.dumps({**json.loads((folder / file).read_text()), **changes}).encode())


def donor(tmp_path: Path, **sizes: int) -> Path:
    folder = tmp_path / "donor"
    folder.mkdir()
    nano_checkpoint.build(folder, **sizes)
    return folder


def test_a_gpt_of_another_size_names_its_tensors(other: Path, tmp_path: Path, make_base: MakeBase) -> None:
    wider = donor(tmp_path, width=48, layers=2)
    put(other, "gpt.pth", (wider / "gpt.pth").read_bytes())
    base = make_base(base_model=str(other))
    message = refusal(base.new_network)
    assert "of another shape: " in message
    assert "48" in message
    assert "of another shape: " in refusal(lambda: base.conditioning_encoder)
    put(other, "s2mel.pth", (wider / "s2mel.pth").read_bytes())
    assert "gpt_layer.0.weight is [256, 48], should be [256, 32]" in refusal(lambda: base.s2mel)
    put(other, "feat2.pt", (wider / "feat2.pt").read_bytes())
    assert f"{other / 'feat2.pt'} holds vectors of 48" in refusal(lambda: base.emotions)


def test_a_gpt_with_fewer_layers_names_what_is_missing(other: Path, tmp_path: Path, make_base: MakeBase) -> None:
    put(other, "gpt.pth", (donor(tmp_path, width=32, layers=1) / "gpt.pth").read_bytes())
    message = refusal(make_base(base_model=str(other)).new_network)
    assert "missing: gpt.h." in message
    assert "of another shape" not in message


def test_a_tokenizer_of_another_size_is_told(other: Path, make_base: MakeBase, tmp_path: Path) -> None:
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(nano_checkpoint.TOKENIZER_PHRASES),
        model_prefix=str(tmp_path / "small"), model_type="bpe", vocab_size=70,
        bos_id=0, eos_id=1, unk_id=2, minloglevel=2,
    )  # fmt: skip
    put(other, "bpe.model", (tmp_path / "small.model").read_bytes())
    message = refusal(lambda: make_base(base_model=str(other)).frontend)
    assert "bpe.model has 70 pieces, config.yaml says 90" in message


def test_a_codec_with_other_codes_is_told(other: Path, make_base: MakeBase) -> None:
    from safetensors.torch import load_file, save

    tensors = load_file(str(other / "semantic_codec/model.safetensors"))
    name = "quantizer.quantizers.0.codebook.weight"
    put(other, "semantic_codec/model.safetensors", save({**tensors, name: tensors[name][:200].clone()}))
    message = refusal(lambda: make_base(base_model=str(other)).codec)
    assert f"{name} is [200, 8], should be [256, 8]" in message


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_mels": 100}, "a vocoder for 100 mel bins at 22050 Hz, hop 256; the checkpoint makes 80"),
        ({"sampling_rate": 24_000}, "80 mel bins at 24000 Hz"),
        ({"hop_size": 512, "upsample_rates": [8, 4, 2, 2, 2, 2]}, "hop 512"),
        ({"hop_size": 300}, "upsample_rates multiply to 256, hop_size is 300"),
        ({"activation": "snake"}, "activation"),
        ({"upsample_initial_channel": 128}, "of another shape"),
    ],
)
def test_a_vocoder_for_other_mel_is_told(changes: dict[str, Any], says: str, other: Path, make_base: MakeBase) -> None:
    change(other, "bigvgan/config.json", **changes)
    assert says in refusal(lambda: make_base(base_model=str(other)).vocoder)


@pytest.mark.parametrize(
    ("hidden", "layers", "says"),
    [(32, 3, "mean is [64], the features are [32]"), (64, 1, "has 1 layers, 2 are needed")],
)
def test_another_w2v_bert_is_told(
    hidden: int, layers: int, says: str, other: Path, make_base: MakeBase, tmp_path: Path
) -> None:
    model = Wav2Vec2BertModel(
        Wav2Vec2BertConfig(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=32)
    )
    model.save_pretrained(tmp_path / "w2v")
    for name in ("config.json", "model.safetensors"):
        put(other, f"w2v-bert-2.0/{name}", (tmp_path / "w2v" / name).read_bytes())
    assert says in refusal(lambda: make_base(base_model=str(other)).semantic)


def test_features_of_a_width_that_the_gpt_does_not_read_are_told(
    other: Path, make_base: MakeBase, tmp_path: Path
) -> None:
    """The width and the statistics fit each other, and do not fit the checkpoint."""
    model = Wav2Vec2BertModel(
        Wav2Vec2BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    )
    model.save_pretrained(tmp_path / "w2v")
    for name in ("config.json", "model.safetensors"):
        put(other, f"w2v-bert-2.0/{name}", (tmp_path / "w2v" / name).read_bytes())
    (other / "wav2vec2bert_stats.pt").unlink()
    torch.save({"mean": torch.zeros(32), "var": torch.ones(32)}, other / "wav2vec2bert_stats.pt")
    message = refusal(lambda: make_base(base_model=str(other)).semantic)
    assert message == f"{other / 'w2v-bert-2.0'} gives 32 features, but the GPT reads 64"


@pytest.mark.parametrize(
    ("feat1", "feat2", "says"),
    [
        ((73, 192), (73, 40), "feat2.pt holds vectors of 40 numbers, but the checkpoint has 32"),
        ((73, 100), (73, 32), "feat1.pt holds vectors of 100 numbers, but the checkpoint has 192"),
        ((73, 32), (73, 192), "holds vectors of"),
        ((70, 192), (70, 32), "73"),
        ((73, 192), (72, 32), "72"),
        ((73,), (73, 32), "feat1.pt does not hold one table of vectors"),
        ((73, 192, 1), (73, 32), "feat1.pt does not hold one table of vectors"),
    ],
)
def test_emotion_tables_that_do_not_fit_are_told(
    feat1: tuple[int, ...], feat2: tuple[int, ...], says: str, other: Path, make_base: MakeBase
) -> None:
    for name, shape in (("feat1.pt", feat1), ("feat2.pt", feat2)):
        (other / name).unlink()
        torch.save(torch.randn(shape), other / name)
    assert says in refusal(lambda: make_base(base_model=str(other)).emotions)


@pytest.mark.parametrize(
    ("statistics", "says"),
    [
        ({"mean": torch.zeros(64)}, "holds mean where mean and var should be"),
        ({"mean": torch.zeros(64), "var": torch.zeros(64)}, "var not above 0"),
        ({"mean": torch.full((64,), torch.nan), "var": torch.ones(64)}, "not finite"),
        ({"mean": torch.zeros(3), "var": torch.ones(3)}, "mean is [3], the features are [64]"),
    ],
)
def test_statistics_that_cannot_be_used_are_told(
    statistics: dict[str, torch.Tensor], says: str, other: Path, make_base: MakeBase
) -> None:
    (other / "wav2vec2bert_stats.pt").unlink()
    torch.save(statistics, other / "wav2vec2bert_stats.pt")
    assert says in refusal(lambda: make_base(base_model=str(other)).semantic)


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))


@pytest.mark.parametrize(
    "text",
    [
        BOMB + "gpt: *a29\n",
        "gpt: &gpt\n  again: *gpt\n",
        "gpt: " + "[" * 100_000,
        "gpt:\n" + "".join(f"{' ' * n}a:\n" for n in range(1, 300)),
        "gpt: {model_dim: '" + "x" * 50_000_000 + "'}",
        "gpt: {model_dim: '" + "x" * 900_000 + "'}",
        "gpt: {model_dim: " + "9" * 900_000 + "}",
        "? [" * 1_000,
        "gpt: !!python/object/apply:os.system [id]",
    ],
    ids=["bomb", "circle", "deep list", "deep map", "50 MB", "long text", "long number", "deep keys", "tag"],
)
def test_a_configuration_made_to_exhaust_is_refused_at_once(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    begun = time.process_time()
    assert refusal(read_config, tmp_path / "config.yaml").isprintable()
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("kind", ["FIFO", "device"])
def test_a_configuration_that_never_ends_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "config.yaml"
    os.mkfifo(path) if kind == "FIFO" else path.symlink_to("/dev/zero")
    assert f"it is a {kind}" in refusal(read_config, path)
