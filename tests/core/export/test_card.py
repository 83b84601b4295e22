"""The Hub can read the card, and every number on the card stands in a file beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from vtune.evaluation import Scores, read_scores
from vtune.export.card import CardFiles, Form, card_text, voice_form
from vtune.recipe.parse import read_draft
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import VoiceRecord, read_record


@pytest.fixture(scope="module")
def scored(trained_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    folder = trained_voice(engine_options={"max_frames": 45})  # two clips are longer
    assert read_scores(folder.scores).texts
    return folder


@pytest.fixture
def make_card(scored: VoiceFolder) -> Callable[..., ModelCard]:
    """Make the voice's card with parts of its record changed."""

    def make(
        form: Form | None = None, note: bool = False, language: str | None = None,
        samples: tuple[tuple[int, str], ...] = (), source: str | None = None, **changes: Any,
    ) -> ModelCard:  # fmt: skip
        record = read_record(scored).model_copy(update=changes)
        settings = read_draft(scored.recipe).data
        if language is not None:
            settings = {**settings, "transcribe": {"language": language}}
        if source is not None:
            settings = {**settings, "data": [{"source": source}]}
        files = CardFiles(note, samples)
        return ModelCard(card_text(record, settings, read_scores(scored.scores), form or voice_form(record), files))

    return make


def test_every_number_on_the_card_stands_in_a_file_beside_it(scored: VoiceFolder) -> None:
    card = scored.card.read_text(encoding="utf-8")
    record, scores = (json.loads(path.read_text()) for path in (scored.record, scored.scores))
    recipe = yaml.safe_load(scored.recipe.read_text())
    facts, lora, ledger = record["training"], record["lora"], record["ledger"]
    # voice.json
    expected = [
        f"Made by vtune {record['vtune']} ({record['created'][:10]}); speaks at {record['sample_rate']} Hz",
        f"LoRA, rank {lora['rank']}, alpha {lora['alpha']:g}, dropout {lora['dropout']:g}, ",
        f"{facts['steps']} steps over {facts['clips']} rows, {facts['precision']}",
        f"| loss | training loss {facts['loss']:.3f} on average; "
        "validation loss " + ", ".join(f"{row['eval_loss']:.3f} at step {row['step']}" for row in facts["curve"]),
        f"| fingerprint of network | `{record['fingerprint']['network']}` |",
        f"| fingerprint of the data | `{facts['data']}` |",
        f"{ledger['seconds']['train'] / 60:.1f} minutes of speech in {ledger['clips']['train']} clips were trained on.",
    ]
    for row in facts["curve"]:
        step = f"**{row['step']}**" if row["step"] == facts["best_step"] else row["step"]
        expected.append(f"| {step} | {row['eval_loss']:.3f} |")
    for status, count in ledger["clips"].items():
        expected.append(f"| {status} | {count} | {ledger['seconds'][status] / 60:.1f} |")
    for reason, count in ledger["reasons"].items():
        expected.append(f"- {reason}: {count}")
    # recipe.yaml
    train = recipe["train"]
    expected += [
        f"learning rate {float(train['learning_rate']):g}, {train['scheduler']}, {float(train['epochs']):g} epoch(s), "
        f"batch {train['batch_size']} x {train['gradient_accumulation']} x {facts['processes']} process(es)",
        *(f"url: samples/{number:02d}.wav" for number in range(1, len(recipe["evaluate"]["sentences"]) + 1)),
        *(f"\n{number}. {text}" for number, text in enumerate(recipe["evaluate"]["sentences"], 1)),
    ]
    # scores.json
    expected.append(f"{len(scores['texts'])} sentences that the voice was not trained on;")
    assert [score["spec"]["name"] for score in scores["scores"] if score["spec"]["headline"]]
    for score in scores["scores"]:
        if score["spec"]["headline"]:
            means, interval = score["means"], score["intervals"].get("voice")
            systems = [*scores["systems"], "recording"]
            cells = [_shown(means.get(system), score["spec"]["unit"]) for system in systems]
            expected.append(
                f"| {score['spec']['title']} | {' | '.join(cells)} | {_spread(interval, score['spec']['unit'])} |"
            )
            value = f"value: {round(means['voice'], 4)}"
            assert value in card
            card = card.replace(value, "", 1)
    for text in expected:
        assert text in card, text
        card = card.replace(text, "", 1)
    card = card.replace("voice - base (95 %)", "")
    assert not re.findall(r".*\d.*", card)


def _shown(mean: float | None, unit: str) -> str:
    if mean is None:
        return "-"
    return f"{100 * mean:.1f} %" if unit == "%" else f"{mean:.2f} {unit}".strip()


def _spread(interval: list[float] | None, unit: str) -> str:
    if interval is None:
        return ""
    low, high = (100 * end if unit == "%" else end for end in interval)
    return f"{low:+.2f} to {high:+.2f} {unit}".strip()


def test_the_hub_reads_the_head(scored: VoiceFolder) -> None:
    card = ModelCard.load(scored.card)
    data = card.data
    assert (data.library_name, data.pipeline_tag, data.language) == ("peft", "text-to-speech", "en")
    assert (data.license, data.license_name) == ("other", "licence-of-toy")
    assert data.tags == ["text-to-speech", "vtune", "toy", "lora"]
    assert data.get("base_model") is None
    assert data.model_name == "someone"
    scores = {score["spec"]["name"]: score for score in json.loads(scored.scores.read_text())["scores"]}
    assert {result.metric_type for result in data.eval_results} <= scores.keys()
    for result in data.eval_results:
        assert result.metric_value == round(scores[result.metric_type]["means"]["voice"], 4)
        assert result.task_type == "text-to-speech"
    assert ModelCard(str(card)).data.to_dict() == data.to_dict()  # what it writes, it reads


def test_a_base_on_the_hub_is_linked(make_card: Callable[..., ModelCard]) -> None:
    options = {"base_model": "canopylabs/orpheus-3b-0.1-ft"}
    data = make_card(engine_options=options, licence_id="llama3.2").data
    assert (data.base_model, data.base_model_relation) == (options["base_model"], "adapter")
    assert (data.license, data.license_name) == ("llama3.2", None)
    merged = make_card(Form("One merged model", "finetune", "transformers", "", "voice/"), engine_options=options)
    assert (merged.data.base_model_relation, merged.data.library_name) == ("finetune", "transformers")
    assert "`voice/scores.json`" in merged.text


@pytest.mark.parametrize(
    "base", ["./models/orpheus", "/models/orpheus", "nano", "a/b/c", "~/x", "", "a--b/c", "tests/x.git"]
)
def test_a_base_that_is_no_hub_id_is_not_linked(make_card: Callable[..., ModelCard], base: str) -> None:
    data = make_card(engine_options={"base_model": base}).data
    assert data.get("base_model") is None
    assert data.get("base_model_relation") is None


def test_a_folder_here_is_no_hub_id(
    make_card: Callable[..., ModelCard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert make_card(engine_options={"base_model": "models/orpheus"}).data.get("base_model") == "models/orpheus"
    (tmp_path / "models/orpheus").mkdir(parents=True)
    assert make_card(engine_options={"base_model": "models/orpheus"}).data.get("base_model") is None


def test_a_licence_that_the_hub_does_not_know_is_named_and_linked(make_card: Callable[..., ModelCard]) -> None:
    data = make_card(note=True, licence_name="bilibili-model-use-licence").data
    assert (data.license, data.license_name, data.license_link) == (
        "other", "bilibili-model-use-licence", "LICENCE-NOTE.md",
    )  # fmt: skip
    assert "`LICENCE-NOTE.md` says what must go with it." in make_card(note=True).text
    assert make_card(licence="").text.count("## Licence") == 0


@pytest.mark.parametrize(
    ("language", "shown"), [("de", "de"), ("no", "no"), ("yue", "yue"), ("auto", None), ("german", None)]
)
def test_the_language_is_a_code_or_nothing(
    make_card: Callable[..., ModelCard], language: str, shown: str | None
) -> None:
    assert make_card(language=language).data.get("language") == shown


def test_consent_comes_before_use(make_card: Callable[..., ModelCard]) -> None:
    text = make_card().text
    assert "A tone. Tones need not be asked." in text
    assert text.index("## Whose voice") < text.index("## Use")
    assert "for that which the consent above covers" in text
    without = make_card(consent=None).text
    assert "Do not publish this voice before that is settled." in without
    assert "Trying out in private" in without
    form = Form("A LoRA adapter", "adapter", "peft", "", overridden="It was exported all the same.")
    answered = make_card(form, consent=None).text
    assert "**Not stated.**" in answered
    assert "It was exported all the same." in answered
    assert "It is not for" in answered


def test_a_fully_fine_tuned_voice_is_no_adapter(make_card: Callable[..., ModelCard]) -> None:
    card = make_card(method="full", engine_options={"base_model": "a/b"})
    assert (card.data.library_name, card.data.base_model_relation) == ("transformers", "finetune")
    assert "lora" not in card.data.tags
    assert "| method | every weight |" in card.text
    assert "The adapter" not in card.text


def test_a_record_of_an_earlier_version_still_makes_a_card(scored: VoiceFolder) -> None:
    kept = json.loads(scored.record.read_text())
    del kept["licence_id"], kept["licence_name"], kept["training"]["data"]
    record = VoiceRecord.model_validate(kept)
    text = card_text(record, read_draft(scored.recipe).data, Scores(), voice_form(record))
    assert "fingerprint of the data" not in text
    assert "## Scores" not in text
    assert ModelCard(text).data.license == "other"


def test_a_name_in_a_command_stays_a_name(make_card: Callable[..., ModelCard]) -> None:
    text = make_card(name="ann; touch ran\n#").text
    assert "vtune say 'ann; touch ran\\n#' 'Hello" in text
    assert "vtune say ann" not in text


def test_the_head_lists_samples_that_the_hub_plays(make_card: Callable[..., ModelCard], scored: VoiceFolder) -> None:
    sentences = yaml.safe_load(scored.recipe.read_text())["evaluate"]["sentences"]
    card = make_card(samples=((1, "samples/01.wav"), (9, "samples/09.wav")))  # there is no ninth sentence
    (widget,) = card.data.to_dict()["widget"]
    assert widget == {"text": sentences[0], "output": {"url": "samples/01.wav"}}
    real = ModelCard(scored.card.read_text(encoding="utf-8")).data.to_dict()["widget"]
    assert [entry["text"] for entry in real] == sentences
    assert all((scored.path / entry["output"]["url"]).is_file() for entry in real)


def test_the_head_names_data_sets_of_the_hub_only(make_card: Callable[..., ModelCard]) -> None:
    assert make_card(source="hub:owner/tapes").data.datasets == ["owner/tapes"]
    assert make_card(source="../tapes").data.datasets is None


def test_a_space_has_the_head_of_a_space(make_card: Callable[..., ModelCard]) -> None:
    form = Form("A Space", "adapter", "gradio", "", "voice/", space=True)
    head = make_card(form, engine_options={"base_model": "owner/base"}).data.to_dict()
    assert (head["sdk"], head["app_file"], head["models"]) == ("gradio", "app.py", ["owner/base"])
    assert "pipeline_tag" not in head
