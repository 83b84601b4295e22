"""Mixes of voices: the syntax, the adapters, the conditioning, and the consents."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.numpy import load_file
from safetensors.torch import save_file

import vtune
from vtune import pipeline
from vtune.errors import VoiceError
from vtune.evaluation import Scores
from vtune.export.card import card_text, voice_form
from vtune.export.mixed_voice import write_mixed_voice
from vtune.recipe import Recipe
from vtune.runtime.paths import VoiceFolder
from vtune.types import Conditioning
from vtune.voice_format.record import list_voices, read_conditioning, read_record
from vtune.voice_format.weights import add_network, save_weights
from vtune.voices.mixing import MixTerm, find_parts, mix_text, open_mix, open_named, parse_mix
from vtune.voices.mixing.adapters import add_up, compress
from vtune.voices.speech import LoadedVoice, open_voice

Make = Callable[..., VoiceFolder]

ANNA = {"person": "Anna", "statement": "I agree."}
PATTERNS = {"rank_pattern": {"inner": 7}, "alpha_pattern": {"(in|out)er": 2.5}}
BEN = {"person": "Ben", "statement": "Mix me."}


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory, make_voice: Make) -> Path:
    """Write voices whose adapters have nothing in common but the base. Tests must not write into them."""
    folder = tmp_path_factory.mktemp("made") / "voices"
    make_voice(folder / "anna", seed=1, consent=ANNA)
    make_voice(folder / "ben", seed=2, seconds=2.0, lora={"rank": 6, "alpha": 3}, consent=BEN)
    make_voice(folder / "root", seed=3, lora={"rank": 9, "alpha": 6, "rslora": True})
    make_voice(folder / "half", seed=4, lora={"rank": 2, "targets": ["outer"]})
    make_voice(folder / "read", seed=5, lora={"rank": 3, "targets": ["letters", "inner"]})
    make_voice(folder / "wide", seed=6, engine_options={"width": 32})
    return folder


@pytest.fixture(scope="module")
def shaped(voices: Path, tmp_path_factory: pytest.TempPathFactory, make_voice: Make) -> Path:
    """Write two of those voices, and voices that were trained with ``lora.arguments``. Tests must not write into
    them."""
    folder = tmp_path_factory.mktemp("shaped") / "voices"
    for name in ("anna", "half"):
        shutil.copytree(voices / name, folder / name)
    make_voice(folder / "patterned", seed=7, lora={"alpha": 6, "rslora": True, "arguments": PATTERNS})
    make_voice(folder / "narrow", seed=8, lora={"rank": 3, "arguments": {"exclude_modules": ["outer"]}})
    make_voice(folder / "dora", seed=9, lora={"arguments": {"use_dora": True}})
    make_voice(folder / "biased", seed=10, lora={"arguments": {"lora_bias": True}})
    return folder


def sound(voice: LoadedVoice, text: str = "hello there", **further: Any) -> np.ndarray:
    return np.concatenate([piece.waveform for piece in voice.stream(text, **further)])


def refusal(call: Callable[..., Any], *arguments: Any, **further: Any) -> str:
    with pytest.raises(VoiceError) as caught:
        call(*arguments, **further)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def deltas(folder: Path) -> dict[str, np.ndarray]:
    """Return what an adapter adds to each weight, from the files as PEFT defines them, without vtune's code."""
    config = json.loads((folder / "adapter_config.json").read_text())
    scale = config["lora_alpha"] / (math.sqrt(config["r"]) if config["use_rslora"] else config["r"])
    tensors = load_file(folder / "adapter_model.safetensors")
    result = {}
    for name, down in tensors.items():
        if "lora_A" in name or "lora_embedding_A" in name:
            up = tensors[name.replace("lora_A", "lora_B").replace("lora_embedding_A", "lora_embedding_B")]
            module = name.split(".lora_")[0].removeprefix("base_model.model.")
            result[module] = scale * up.astype(np.float64) @ down.astype(np.float64)
    return result


def weighted(voices: Path, weights: dict[str, float]) -> dict[str, np.ndarray]:
    """Return the weighted sum of the voices' changes of each weight."""
    total: dict[str, Any] = {}
    for name, weight in weights.items():
        for module, delta in deltas(voices / name).items():
            total[module] = total.get(module, 0) + weight * delta
    return total


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for module, delta in expected.items():
        np.testing.assert_allclose(found[module], delta, rtol=1e-5, atol=1e-6, err_msg=module)


@torch.no_grad()
def logits(network: Any) -> torch.Tensor:
    letters = torch.arange(40)[None] + 60
    before = torch.arange(40)[None] % 32
    answer: torch.Tensor = network.eval()(letters=letters, before=before)["logits"]
    return answer


# The words


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("anna", [(1, "anna")]),
        ("0.7*anna+0.3*ben", [(0.7, "anna"), (0.3, "ben")]),
        ("  0.7 * anna\t+ben ", [(0.7, "anna"), (1, "ben")]),
        ("2*2+2", [(2, "2"), (1, "2")]),
        (".5*a+5.*b+1e-2*c+1E1*d", [(0.5, "a"), (5, "b"), (0.01, "c"), (10, "d")]),
        ("0*a+00.50*b", [(0, "a"), (0.5, "b")]),
        ("0.5*./my voices/anna + /srv/v-1/ben", [(0.5, "./my voices/anna"), (1, "/srv/v-1/ben")]),
        ("""0.5*"./c++/anna" + '2*"b"'""", [(0.5, "./c++/anna"), (1, '2*"b"')]),
        ("Ünal + 0.5*李", [(1, "Ünal"), (0.5, "李")]),
    ],
)
def test_a_mix_is_weights_and_names(text: str, terms: list[tuple[float, str]]) -> None:
    assert parse_mix(text) == tuple(MixTerm(weight, name) for weight, name in terms)


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("", 1, "a name is missing"),
        ("   ", 4, "a name is missing"),
        ("+anna", 1, "a name is missing"),
        ("anna+", 6, "a name is missing"),
        ("anna++ben", 6, "a name is missing"),
        ("0.7*+ben", 5, "a name is missing after '*'"),
        ("0.7*", 5, "a name is missing after '*'"),
        ("*anna", 1, "a name is missing"),
        ("anna+''", 6, "a name is missing between the quotes"),
        ("a + x*anna", 5, "'x' before '*' is not a number"),
        ("anna*0.7", 1, "'anna' before '*' is not a number"),
        ("1_0*anna", 1, "'1_0' before '*' is not a number"),
        ("nan*anna", 1, "'nan' before '*' is not a number"),
        ("inf*anna", 1, "'inf' before '*' is not a number"),
        ("١*anna", 1, "'١' before '*' is not a number"),
        ("anna + -0.3*ben", 8, "the weight '-0.3' is negative; a mix lies between its voices"),
        ("100.5*anna", 1, "the weight '100.5' is above 100"),
        ("1e999*anna", 1, "the weight '1e999' is above 100"),
        ("0.5*0.5*anna", 8, "'+' is missing before '*'"),
        ("anna 'ben'", 6, "'+' is missing before \"'ben'\""),
        ("0.5*'anna+ben", 5, "the quote ' is never closed"),
    ],
)
def test_what_is_no_mix_is_told_with_its_place(text: str, place: int, why: str) -> None:
    message = refusal(parse_mix, text)
    assert message.startswith(f"mix {' '.join(repr(text).split())}, character {place}: {why}")


NAMES = st.text(min_size=1).filter(lambda name: not ('"' in name and "'" in name))


@given(st.lists(st.builds(MixTerm, st.floats(0, 100), NAMES), min_size=1))
def test_what_is_written_reads_back(terms: list[MixTerm]) -> None:
    assert parse_mix(mix_text(terms)) == tuple(terms)


@given(st.text() | st.text(alphabet="0.5e-*+ab'\" "))
def test_any_text_is_a_mix_or_a_line_that_says_why_not(text: str) -> None:
    try:
        terms = parse_mix(text)
    except VoiceError:
        refusal(parse_mix, text)
        return
    assert parse_mix(mix_text(terms)) == terms
    written = ((text[term.place - 1 :], term.name) for term in terms)
    assert all(rest.startswith((name, f'"{name}"', f"'{name}'")) for rest, name in written)
    assert all(0 <= term.weight <= 100 for term in terms)


# Which voices


def test_voices_are_found_by_name_and_path_heaviest_first(voices: Path, tmp_path: Path) -> None:
    shutil.copytree(voices / "ben", tmp_path / "c++" / "ben")
    parts = find_parts(f"0.2*anna + 0.5*'{tmp_path}/c++/ben' + 0*half + .5*root", voices, {})
    assert [(part.weight, part.folder.path.name) for part in parts] == [(0.5, "ben"), (0.5, "root"), (0.2, "anna")]


def test_a_voice_with_the_name_of_a_mix_is_that_voice(voices: Path, tmp_path: Path) -> None:
    shutil.copytree(voices / "anna", tmp_path / "0.5*x+y")
    assert open_named("0.5*x+y", tmp_path).record.name == "anna"
    (part,) = find_parts("0.5*x+y", tmp_path, {})
    assert (part.weight, part.record.name) == (1.0, "anna")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5*anna+0.5*bne", "character 14: no voice 'bne' in {}; did you mean 'ben'? (voices: anna, ben, "),
        ("anna+0.5*{}/anna", "is named twice; add up its weights"),
        ("0*anna+0*ben", "every weight is 0"),
        ("anna+wide", "voice 'wide' was trained on another network than 'anna'"),
    ],
)
def test_voices_that_cannot_be_mixed_are_named(voices: Path, text: str, message: str) -> None:
    assert message.format(voices) in refusal(open_named, text.format(voices), voices)


def test_a_name_that_is_no_mix_is_told_as_for_any_voice(voices: Path) -> None:
    assert refusal(open_named, "bne", voices).startswith(f"no voice 'bne' in {voices}; did you mean 'ben'?")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"method": "full"}, "voice 'odd' was fully fine-tuned, and 'anna' is an adapter; voices of both methods"),
        (
            {"lora": {"rank": 4, "alpha": 8, "modules_to_save": ["inner"]}},
            "voice 'odd' has whole modules beside its ada",
        ),
        ({"engine": "orpheus"}, "voice 'anna' is of engine 'toy', 'odd' of 'orpheus'; only voices of one engine"),
        (
            {"fingerprint": {"network": "width 16", "codec": "new"}},
            "voice 'odd' was trained on another codec than 'anna'",
        ),
        ({"engine_options": {"base_model": "other"}}, "trained on base_model None, 'odd' on 'other'; if these are the"),
        ({"lora": {"rank": 5, "alpha": 8}}, "inner.lora_A.weight is not half of a pair of rank 5"),
    ],
)
def test_a_voice_that_does_not_go_with_the_others_is_refused(
    voices: Path, tmp_path: Path, record: dict[str, Any], message: str
) -> None:
    shutil.copytree(voices / "anna", tmp_path / "anna")
    odd = VoiceFolder(tmp_path / "odd")
    shutil.copytree(voices / "ben", odd.path)
    odd.record.write_text(json.dumps({**json.loads(odd.record.read_text()), **record}))
    if "lora" in record:
        lora_config = {"r": record["lora"]["rank"], "lora_alpha": 8, "lora_dropout": 0, "use_rslora": False}
        lora_config |= {"modules_to_save": record["lora"].get("modules_to_save")}
        odd.adapter_config.write_text(json.dumps({**json.loads(odd.adapter_config.read_text()), **lora_config}))
    assert message in refusal(open_named, "anna+odd", tmp_path)
    assert message in refusal(
        write_mixed_voice, "anna+0*odd" if "pair" not in message else "anna+odd", "both", tmp_path
    )
    assert not (tmp_path / "both").exists()


def test_bases_of_two_names_are_taken_for_one_when_the_user_says_which(voices: Path, tmp_path: Path) -> None:
    for name in ("anna", "ben"):
        shutil.copytree(voices / name, tmp_path / name)
        record = json.loads((tmp_path / name / "voice.json").read_text())
        record["engine_options"]["base_model"] = f"/models/{name}"
        (tmp_path / name / "voice.json").write_text(json.dumps(record))
    assert "--set base_model=" in refusal(find_parts, "anna+ben", tmp_path, {})
    assert len(find_parts("anna+ben", tmp_path, {"base_model": "/models/anna"})) == 2


@pytest.mark.parametrize("harm", ["gone", "cut", "half", "foreign"])
def test_a_part_that_is_damaged_is_one_line(voices: Path, tmp_path: Path, harm: str) -> None:
    for name in ("anna", "ben"):
        shutil.copytree(voices / name, tmp_path / name)
    path = tmp_path / "ben" / "adapter_model.safetensors"
    tensors = {name: torch.from_numpy(array) for name, array in load_file(path).items()}
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif harm == "half":
        del tensors["base_model.model.inner.lora_B.weight"]
        save_file(tensors, path)
    else:
        save_file({**tensors, "base_model.model.nose.lora_A.weight": torch.zeros(6, 1),
                   "base_model.model.nose.lora_B.weight": torch.zeros(1, 6)}, path)  # fmt: skip
    assert {"gone": "is missing", "cut": "cannot be loaded", "half": "not half of a pair", "foreign": "nose"}[
        harm
    ] in refusal(open_named, "anna+ben", tmp_path)


# Fully fine-tuned voices


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, make_voice: Make) -> Path:
    """Write voices without adapters, whose every weight differs from the base. Tests must not write into them."""
    folder = tmp_path_factory.mktemp("full") / "voices"
    make_voice(folder / "anna", seed=1, method="full", consent=ANNA, servable=False)
    make_voice(folder / "ben", seed=2, method="full", consent=BEN, servable=False)
    return folder


def weights_of(voice: LoadedVoice) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().astype(np.float64) for name, tensor in voice.model.state_dict().items()}


@pytest.mark.parametrize(
    "mix", [{"anna": 0.7}, {"anna": 0.25, "ben": 0.5}, {"anna": 1.0, "ben": 1.0}, {"anna": 1.3}, {"ben": 1.0}]
)
def test_the_change_of_each_weight_is_the_weighted_sum_of_the_changes(full: Path, mix: dict[str, float]) -> None:
    base = weights_of(open_voice(VoiceFolder(full / "anna"), untuned=True))
    files = {name: load_file(full / name / "model.safetensors") for name in mix}
    mixed = weights_of(open_named("+".join(f"{weight}*{name}" for name, weight in mix.items()), full))
    for name, of_base in base.items():
        changes = [weight * (files[voice][name].astype(np.float64) - of_base) for voice, weight in mix.items()]
        np.testing.assert_allclose(mixed[name], of_base + sum(changes), atol=1e-6)
        assert mix == {"ben": 1.0} or not np.allclose(mixed[name], files[next(iter(mix))][name], atol=1e-3)


def test_the_base_of_a_mix_is_the_base(full: Path) -> None:
    base = weights_of(open_voice(VoiceFolder(full / "anna"), untuned=True))
    mixed = weights_of(open_named("0.7*anna", full, untuned=True))
    assert all(np.array_equal(mixed[name], tensor) for name, tensor in base.items())


def test_a_mix_of_whole_networks_is_a_voice_of_its_own(full: Path, tmp_path: Path) -> None:
    shutil.copytree(full, tmp_path / "voices")
    named = open_named("0.5*anna+0.25*ben", tmp_path / "voices")
    record = write_mixed_voice("0.5*anna+0.25*ben", "both", tmp_path / "voices")
    shutil.rmtree(tmp_path / "voices" / "anna")
    written = open_named("both", tmp_path / "voices")
    assert np.array_equal(sound(written), sound(named))
    assert (record.method, record.mix.rank if record.mix else 0) == ("full", None)
    card = (tmp_path / "voices" / "both" / "README.md").read_text()
    assert "changed by the weighted sum of the changes" in card
    assert "rank" not in card.partition("weighted sum")[2].partition("\n## ")[0]
    again = open_named("0.5*both", tmp_path / "voices")
    assert not np.array_equal(sound(again), sound(written))


def test_tensors_that_two_modules_share_are_added_once(tmp_path: Path) -> None:
    """A network may have one tensor under two names; its file has the tensor under one of them."""

    class Tied(torch.nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.embed, self.head = torch.nn.Embedding(3, 2), torch.nn.Linear(2, 3, bias=False)
            self.head.weight = self.embed.weight
            self.register_buffer("steps", torch.tensor(7))
            torch.nn.init.constant_(self.embed.weight, value)

    save_weights(Tied(2.0), tmp_path)
    network = Tied(1.0)
    network.steps += 1
    add_network(network, tmp_path, 0.5)
    assert torch.equal(network.head.weight.detach(), torch.full((3, 2), 2.0))
    assert network.steps == 8
    (tmp_path / "other").mkdir()
    save_weights(torch.nn.Linear(2, 3), tmp_path / "other")
    assert "5 tensors differ: embed.weight" in refusal(add_network, Tied(1.0), tmp_path / "other", 0.5)


@pytest.mark.parametrize("harm", ["gone", "cut", "foreign"])
def test_a_network_that_is_damaged_is_one_line(full: Path, tmp_path: Path, harm: str) -> None:
    shutil.copytree(full, tmp_path / "voices")
    path = tmp_path / "voices" / "ben" / "model.safetensors"
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:200])
    else:
        save_file({"nose": torch.zeros(6)}, path)
    expected = {"gone": "is missing", "cut": "cannot be loaded", "foreign": "does not fit the base"}[harm]
    assert expected in refusal(write_mixed_voice, "anna+ben", "both", tmp_path / "voices")
    assert not (tmp_path / "voices" / "both").exists()


def test_a_mix_of_whole_networks_has_no_rank(full: Path) -> None:
    assert "has no rank; leave out --rank 3" in refusal(open_mix, find_parts("anna", full, {}), rank=3)


# The adapters


MIXES = [
    {"anna": 0.7, "ben": 0.3},
    {"anna": 1.2, "root": 0.4, "ben": 0.01},
    {"half": 0.5, "ben": 0.5},
    {"read": 0.25, "half": 0.75},
    {"root": 2.0},
]


def said(weights: dict[str, float]) -> str:
    return "+".join(f"{weight}*{name}" for name, weight in weights.items())


@pytest.mark.parametrize("weights", MIXES, ids=said)
def test_each_weight_changes_by_the_weighted_sum(voices: Path, tmp_path: Path, weights: dict[str, float]) -> None:
    """The file is compared with a sum by hand, and the network's answers with a base to which the sum was added by
    hand.
    """
    shutil.copytree(voices, tmp_path / "voices")
    record = write_mixed_voice(said(weights), "mixed", tmp_path / "voices")
    expected = weighted(voices, weights)
    same(deltas(tmp_path / "voices" / "mixed"), expected)
    assert record.lora["rank"] == sum(read_record(VoiceFolder(voices / name)).lora["rank"] for name in weights)

    by_hand = (
        vtune.load_engine("toy")
        .load_base(vtune.load_engine("toy").info.options(), torch.device("cpu"), torch.float32)
        .network()
    )
    fresh = logits(by_hand)
    state = by_hand.state_dict()
    for module, delta in expected.items():
        change = delta.T if module == "letters" else delta  # PEFT keeps an embedding's factors the other way round
        state[f"{module}.weight"] += torch.from_numpy(change).float()
    changed = logits(by_hand)
    assert (changed - fresh).abs().max() > 0.01
    for voice in (open_named(said(weights), voices), open_voice(VoiceFolder(tmp_path / "voices" / "mixed"))):
        torch.testing.assert_close(logits(voice.model), changed, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(logits(voice.model.merge_and_unload()), changed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weights", [{"patterned": 0.5, "anna": 0.75}, {"narrow": 1.0, "half": 0.5}, {"narrow": 0.5}])
def test_ranks_scales_and_modules_of_their_own_are_mixed_exactly(shaped: Path, weights: dict[str, float]) -> None:
    """The expected change is what PEFT itself merges into the base for each voice."""

    def merged(name: str) -> dict[str, torch.Tensor]:
        network: Any = open_voice(VoiceFolder(shaped / name)).model
        folded: dict[str, torch.Tensor] = network.merge_and_unload().state_dict()
        return folded

    base: Any = open_voice(VoiceFolder(shaped / "anna"), untuned=True).model
    total = {name: weight.double() for name, weight in base.unload().state_dict().items()}
    before = dict(total)
    for name, weight in weights.items():
        total = {key: value + weight * (merged(name)[key] - before[key]) for key, value in total.items()}
    mix: Any = open_named(mix_text(MixTerm(weight, name) for name, weight in weights.items()), shaped).model
    result = mix.merge_and_unload().state_dict()
    for key, value in total.items():
        torch.testing.assert_close(result[key].double(), value, rtol=1e-5, atol=1e-6, msg=key)


def test_a_narrow_mix_is_written_and_read_back(shaped: Path, tmp_path: Path) -> None:
    shutil.copytree(shaped, tmp_path / "voices")
    record = write_mixed_voice("0.5*narrow+0.5*patterned", "both", tmp_path / "voices")
    assert record.servable
    assert record.lora["rank"] == 3 + 7
    assert open_named("both", tmp_path / "voices")


@pytest.mark.parametrize(
    ("name", "what"), [("dora", "a DoRA adapter"), ("biased", "an adapter with biases (lora_bias)")]
)
def test_an_adapter_that_is_no_product_is_refused_by_name(shaped: Path, name: str, what: str) -> None:
    message = refusal(open_named, f"anna+{name}", shaped)
    assert message.startswith(
        f"voice {name!r} is {what}, and such adapters cannot be added up; merge it to use it alone"
    )


@settings(max_examples=25)
@given(st.dictionaries(st.sampled_from(["anna", "ben", "root", "half", "read"]), st.floats(0.01, 3), min_size=1))
def test_any_weights_add_up(voices: Path, weights: dict[str, float]) -> None:
    mixed = add_up(find_parts(said(weights), voices, {}))
    expected = weighted(voices, weights)
    for module, delta in expected.items():
        kind = "lora_embedding_{}" if module == "letters" else "lora_{}.weight"
        down, up = (mixed[f"base_model.model.{module}.{kind.format(side)}"].double().numpy() for side in "AB")
        np.testing.assert_allclose(up @ down, delta, rtol=1e-4, atol=1e-5)


def test_the_sum_is_that_of_peft(voices: Path, tmp_path: Path) -> None:
    """PEFT's own way to concatenate adapters gives the expected sum where alpha alone scales them."""
    network = open_voice(VoiceFolder(voices / "anna"), untuned=True).base.network()
    model = PeftModel.from_pretrained(network, voices / "anna", adapter_name="anna")
    model.load_adapter(voices / "ben", adapter_name="ben")
    model.add_weighted_adapter(["anna", "ben"], [0.7, 0.3], "mixed", combination_type="cat")
    ours = open_named("0.7*anna+0.3*ben", voices).model
    for name in ("inner", "outer"):
        theirs = getattr(model.base_model.model, name).get_delta_weight("mixed")
        torch.testing.assert_close(getattr(ours.base_model.model, name).get_delta_weight("default"), theirs)


def test_nothing_of_another_voice_is_the_voice_itself(voices: Path) -> None:
    alone = open_voice(VoiceFolder(voices / "anna"))
    for text in ("1.0*anna+0.0*ben", "0*root + anna", "1*anna"):
        mix = open_named(text, voices)
        torch.testing.assert_close(logits(mix.model), logits(alone.model), rtol=0, atol=1e-6)
        assert np.array_equal(mix.conditioning.tensors["pace"], alone.conditioning.tensors["pace"])
        assert np.array_equal(sound(mix, seed=3), sound(alone, seed=3))
    assert not np.array_equal(sound(open_named("anna+ben", voices)), sound(alone))


def test_an_untuned_mix_is_the_base(voices: Path) -> None:
    base = open_voice(VoiceFolder(voices / "anna"), untuned=True)
    mix, without = (open_named("0.7*anna+0.3*ben", voices, untuned=untuned) for untuned in (False, True))
    assert np.array_equal(sound(mix, untuned=True), sound(without))
    assert torch.equal(logits(without.model), logits(base.model))
    assert not np.array_equal(sound(mix), sound(without))
    assert np.array_equal(sound(open_named("anna+0*ben", voices), untuned=True), sound(base))


def test_two_voices_of_one_training_mix_to_that_adapter(voices: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(voices / "anna", tmp_path / name)
    mixed = open_named("0.4*one+0.6*two", tmp_path)
    torch.testing.assert_close(logits(mixed.model), logits(open_voice(VoiceFolder(voices / "anna")).model))


# Squeezed


@pytest.mark.parametrize("rank", [1, 3, 10, 12])
def test_a_squeezed_adapter_is_the_nearest_and_says_how_near(voices: Path, rank: int) -> None:
    """The expected adapter is NumPy's SVD of each full product."""
    weights = {"anna": 0.7, "ben": 0.3, "read": 0.2}
    expected = weighted(voices, weights)
    smaller, error = compress(add_up(find_parts(said(weights), voices, {})), rank)
    lost = total = 0.0
    for module, delta in expected.items():
        kind = "lora_embedding_{}" if module == "letters" else "lora_{}.weight"
        down, up = (smaller[f"base_model.model.{module}.{kind.format(side)}"].double().numpy() for side in "AB")
        assert down.shape[0] == up.shape[1] == rank
        values = np.linalg.svd(delta, compute_uv=False)
        left_out = np.square(values[rank:]).sum()
        assert np.square(delta - up @ down).sum() == pytest.approx(left_out, rel=1e-3, abs=1e-9)
        lost, total = lost + left_out, total + np.square(values).sum()
    assert error == pytest.approx(math.sqrt(lost / total), rel=1e-4, abs=1e-6)
    assert (error > 0.01) == (rank < 10)  # each module has 4 + 6, or 3


def test_a_rank_that_changes_nothing_squeezes_nothing(voices: Path) -> None:
    parts = find_parts("0.7*anna+0.3*ben", voices, {})
    full_rank, same_rank, more = (open_mix(parts, rank=rank) for rank in (None, 10, 500))
    assert [voice.record.lora["rank"] for voice in (full_rank, same_rank, more)] == [10, 10, 10]
    squeezed = open_mix(parts, rank=4)
    assert squeezed.record.lora["rank"] == 4
    assert squeezed.record.mix is not None
    assert 0 < squeezed.record.mix.error < 1
    assert (logits(squeezed.model) - logits(full_rank.model)).abs().max() > 0


def test_more_rank_than_a_voice_may_have_is_told_with_the_way_out(make_voice: Make, tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        make_voice(tmp_path / name, seed=seed, lora={"rank": 300})
    message = refusal(write_mixed_voice, "one+two", "both", tmp_path)
    assert "rank 600, which is too high for a voice (input should be less than or equal to 512)" in message
    assert message.endswith("; choose a lower rank with --rank")
    assert write_mixed_voice("one+two", "both", tmp_path, rank=16).lora["rank"] == 16
    assert len(sound(open_voice(VoiceFolder(tmp_path / "both"))))
    assert len(sound(open_named("one+two", tmp_path)))


# What is kept


def mixed_conditioning(*kept: Conditioning, weights: list[float]) -> Conditioning:
    return vtune.load_engine("toy").mix_conditioning(None, kept, weights)


def test_floats_of_one_shape_are_averaged_and_all_else_is_the_heaviests() -> None:
    first = Conditioning(
        {
            "style": np.array([1, 2], dtype=np.float32),
            "half": np.array([1], dtype=np.float16),
            "codes": np.array([1, 2]),
            "mel": np.zeros((3, 2), dtype=np.float32),
            "mine": np.ones(1, dtype=np.float32),
            "table": np.array([0.1, 1 / 3], dtype=np.float32),
        },
        {"voice": "first"},
    )
    second = Conditioning(
        {
            **first.tensors,
            "style": np.array([2, 4], dtype=np.float32),
            "half": np.array([2], dtype=np.float16),
            "codes": np.array([3, 4]),
            "mel": np.ones((4, 2), dtype=np.float32),
            "theirs": np.ones(1, dtype=np.float32),
        },
        {"voice": "second", "more": "x"},
    )
    del second.tensors["mine"]
    mixed = mixed_conditioning(first, second, weights=[0.75, 0.25])
    assert mixed.strings == {"voice": "first"}
    assert mixed.tensors.keys() == first.tensors.keys()
    np.testing.assert_allclose(mixed.tensors["style"], [1.25, 2.5])
    np.testing.assert_allclose(mixed.tensors["half"], [1.25])
    assert {name: array.dtype for name, array in mixed.tensors.items()} == {
        name: array.dtype for name, array in first.tensors.items()
    }
    for name in ("codes", "mel", "mine", "table"):
        assert np.array_equal(mixed.tensors[name], first.tensors[name]), name


def test_what_has_no_mean_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "vtune")
    long, short = (Conditioning({"mel": np.zeros(size, dtype=np.float32)}) for size in (4, 3))
    mixed_conditioning(long, short, weights=[0.5, 0.5])
    assert caplog.messages == [
        "conditioning: mel cannot be averaged; the mix takes it from the voice with the largest weight"
    ]


def test_weights_of_the_conditioning_add_up_to_one(voices: Path) -> None:
    """Weights above 1 scale the adapters up, but not the pace."""
    pace = {
        name: read_conditioning(voices / name / "conditioning.safetensors").tensors["pace"] for name in ("anna", "ben")
    }
    for text in ("0.75*anna+0.25*ben", "3*anna+1*ben", "0.03*anna+0.01*ben"):
        result = open_named(text, voices).conditioning.tensors["pace"]
        np.testing.assert_allclose(result, 0.75 * pace["anna"] + 0.25 * pace["ben"], rtol=1e-6)


def test_options_that_differ_are_the_heaviests_and_told(
    make_voice: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "vtune")
    make_voice(tmp_path / "low", seed=1, engine_options={"pitch": 110.0})
    make_voice(tmp_path / "high", seed=2, engine_options={"pitch": 440.0})
    assert open_named("0.4*low+0.6*high", tmp_path).base.options.pitch == 440
    assert "the voices differ in pitch; the mix has them from high" in caplog.messages
    caplog.clear()
    write_mixed_voice("low+high", "both", tmp_path, options={"pitch": 220.0})
    assert caplog.messages == [
        "the weights add up to 2, so the mix exaggerates its voices; weights that add up to 1 give their mean"
    ]
    assert open_voice(VoiceFolder(tmp_path / "both")).base.options.pitch == 220


# A voice of its own


@pytest.fixture
def mixed(voices: Path, tmp_path: Path) -> VoiceFolder:
    shutil.copytree(voices, tmp_path / "voices")
    write_mixed_voice("0.7*anna+0.3*ben", "both", tmp_path / "voices")
    return VoiceFolder(tmp_path / "voices" / "both")


def test_a_mix_is_a_voice_without_the_voices_it_was_made_of(mixed: VoiceFolder, voices: Path, tmp_path: Path) -> None:
    assert {path.name for path in mixed.path.iterdir()} == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "conditioning.safetensors", "voice.json",
    }  # fmt: skip
    assert "both" in [voice.name for voice in list_voices(mixed.path.parent)]
    alone = VoiceFolder(mixed.path.rename(tmp_path / "alone"))
    shutil.rmtree(tmp_path / "voices")
    assert np.array_equal(sound(open_voice(alone)), sound(open_named("0.7*anna+0.3*ben", voices)))


def test_plain_peft_loads_it(mixed: VoiceFolder) -> None:
    network = open_voice(mixed, untuned=True).base.network()
    model = PeftModel.from_pretrained(network, mixed.path)
    config = model.peft_config["default"]
    assert (config.r, config.lora_alpha, config.use_rslora) == (10, 10, False)
    torch.testing.assert_close(logits(model), logits(open_voice(mixed).model))


def test_the_record_tells_parts_weights_and_consents(mixed: VoiceFolder) -> None:
    record = read_record(mixed)
    assert (record.name, record.method, record.servable, record.lora["rank"]) == ("both", "lora", True, 10)
    assert record.mix is not None
    assert (record.mix.rank, record.mix.error) == (10, 0.0)
    assert [(part.voice, part.weight, part.consent) for part in record.mix.parts] == [
        ("anna", 0.7, ANNA),
        ("ben", 0.3, BEN),
    ]
    assert len({part.adapter for part in record.mix.parts}) == 2
    assert record.consent == {"person": "Anna, Ben", "statement": "Anna: I agree. Ben: Mix me."}


def test_consent_is_stated_only_where_every_part_states_it(voices: Path) -> None:
    assert open_named("0.7*anna+0.3*root", voices).record.consent is None
    assert open_named("0.7*anna+0*root", voices).record.consent == {"person": "Anna", "statement": "Anna: I agree."}


def test_a_mix_can_be_mixed_and_remembers_all_of_it(mixed: VoiceFolder, voices: Path) -> None:
    record = write_mixed_voice("0.5*both+0.5*root", "more", mixed.path.parent)
    assert record.consent is None
    assert record.mix is not None
    inner = read_record(VoiceFolder(mixed.path.parent / "more")).mix.parts[0].mix  # type: ignore[union-attr]
    assert inner is not None
    assert [part.voice for part in inner.parts] == ["anna", "ben"]
    same(deltas(mixed.path.parent / "more"), weighted(voices, {"anna": 0.35, "ben": 0.15, "root": 0.5}))


def test_the_card_tells_what_it_is_made_of(mixed: VoiceFolder) -> None:
    card = mixed.card.read_text()
    assert "Anna, Ben. Anna: I agree. Ben: Mix me." in card
    assert "Mixed, not trained" in card
    assert "| `anna` | 0.7 | `" in card
    assert "## Data" not in card
    assert "Toys are free." in card
    silent = open_named("ben+root", mixed.path.parent).record
    assert "**Not stated** for `root`" in card_text(silent, {}, Scores(), voice_form(silent))
    squeezed = open_mix(find_parts("ben+root", mixed.path.parent, {}), rank=2).record
    assert squeezed.mix is not None
    squeezed_card = card_text(squeezed, {}, Scores(), voice_form(squeezed))
    assert f"LoRA rank 15, squeezed to 2: {squeezed.mix.error:.1%} of it are left out." in squeezed_card


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "-a", "a\n", "x" * 65])
def test_a_name_that_no_voice_can_have_is_refused(voices: Path, name: str) -> None:
    assert "cannot be named" in refusal(write_mixed_voice, "anna+ben", name, voices)


def test_nothing_is_written_over(mixed: VoiceFolder) -> None:
    before = mixed.record.read_bytes()
    assert "exists already" in refusal(write_mixed_voice, "anna+root", "both", mixed.path.parent)
    assert mixed.record.read_bytes() == before


def test_a_failure_leaves_no_half_voice(voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(voices, tmp_path / "voices")
    monkeypatch.setattr("vtune.export.mixed_voice.write_card", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_mixed_voice("anna+ben", "both", tmp_path / "voices")
    assert {path.name for path in (tmp_path / "voices").iterdir()} == {path.name for path in voices.iterdir()}


def test_trained_voices_mix(toy: Callable[..., Recipe], speech: Callable[..., Path], tmp_path: Path) -> None:
    """Two voices are trained with the whole pipeline and mixed."""
    for name, first, consent in (("low", 0, ANNA), ("high", 50, BEN)):
        source = str(speech(name, count=4, first=first))
        pipeline.run(toy(voice=name, data=[{"source": source}], consent=consent, train={"learning_rate": 0.1}))
    record = write_mixed_voice("0.5*low+0.5*high", "middle", tmp_path / "voices")
    assert record.consent is not None
    same(deltas(tmp_path / "voices/middle"), weighted(tmp_path / "voices", {"low": 0.5, "high": 0.5}))
    assert len(sound(open_voice(VoiceFolder(tmp_path / "voices" / "middle"))))
