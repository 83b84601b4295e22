from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import vtune
from vtune.engines import load_engine, load_recipe, schema
from vtune.errors import RecipeError
from vtune.recipe import as_yaml, builtin_recipes, read_draft, recipe_schema

HEAD = "voice: a\nengine: toy\ndata: [{source: x}]\n"


@pytest.fixture(scope="module")
def judge() -> Draft202012Validator:
    made = schema()
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


def test_a_good_recipe_fits_the_schema(judge, write, good):
    judge.validate(read_draft(write(good)).data)


def test_the_recipes_that_come_with_vtune_fit_the_schema(judge):
    for path in builtin_recipes().values():
        judge.validate(read_draft(path).data)


@pytest.mark.parametrize(
    "text",
    [
        "train:\nlora:\nengine_options:\nextensions:\nconsent:\n",
        "lora: {targets: all, modules_to_save: []}\n",
        "train: {report_to: none}\n",
        "train: {max_steps: null, world_size: null}\n",
        "prepare: {max_seconds: null, target_loudness: -20.5}\n",
        "engine_options: {width: 4, pitch: 3}\n",
        "augment: {transforms: [{Shift: null}, {Gain: {p: 1}}]}\n",
    ],
)
def test_what_loads_fits_the_schema(judge, write, text):
    path = write(HEAD + text)
    load_recipe(path)
    judge.validate(read_draft(path).data)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "trian: {}\n",
        HEAD + "train: {epoch: 3}\n",
        HEAD + "train: {epochs: 0}\n",
        HEAD + "train: {epochs: true}\n",
        HEAD + "train: {method: both}\n",
        HEAD + "train: {validation: 1}\n",
        HEAD + "lora: {rank: 513}\n",
        HEAD + "lora: {targets: {}}\n",
        HEAD + "engine_options: {widht: 4}\n",
        HEAD + "engine_options: {width: 3}\n",
        HEAD + "engine_options: [4]\n",
        HEAD + "extensions: {nothing: {}}\n",
        HEAD + "augment: {transforms: [3]}\n",
        HEAD + "consent: {person: x}\n",
        HEAD.replace("toy", "tyo"),
        HEAD.replace("voice: a", "voice: a b"),
        HEAD.replace("[{source: x}]", "[]"),
        HEAD.replace("source", "sorce"),
        "voice: a\nengine: toy\n",
    ],
)
def test_what_does_not_load_does_not_fit_the_schema(judge, write, text):
    path = write(text)
    with pytest.raises(RecipeError):
        load_recipe(path)
    assert not judge.is_valid(read_draft(path).data)


def test_a_recipe_that_extends_another_may_lack_anything(judge):
    assert judge.is_valid({"extends": "other.yaml"})
    assert judge.is_valid({"extends": "other.yaml", "voice": "a"})
    assert not judge.is_valid({"extends": 3})


def test_an_engine_may_be_a_file(judge):
    assert judge.is_valid({"voice": "a", "engine": "./mine.py", "data": [{"source": "x"}]})


def test_each_engine_has_its_own_options():
    class Inner(vtune.EngineOptions):
        size: int = 1

    class One(vtune.EngineOptions):
        inner: Inner = Inner()

    class Two(vtune.EngineOptions):
        inner: str = ""

    toy = load_engine("toy").info
    made = recipe_schema(
        {
            "one/~ %": vtune.EngineInfo(sample_rate=1, features_version="1", options=One, lora=toy.lora),
            "two": vtune.EngineInfo(sample_rate=1, features_version="1", options=Two, lora=toy.lora),
        },
        {"inner": Inner},
    )
    Draft202012Validator.check_schema(made)
    judge = Draft202012Validator(made)
    recipe = {"voice": "a", "data": [{"source": "x"}]}
    assert judge.is_valid({**recipe, "engine": "one/~ %", "engine_options": {"inner": {"size": 2}}})
    assert not judge.is_valid({**recipe, "engine": "one/~ %", "engine_options": {"inner": {"size": "x"}}})
    assert not judge.is_valid({**recipe, "engine": "one/~ %", "engine_options": {"inner": "x"}})
    assert judge.is_valid({**recipe, "engine": "two", "engine_options": {"inner": "x"}})
    assert not judge.is_valid({**recipe, "engine": "two", "engine_options": {"inner": {"size": 2}}})
    assert judge.is_valid({**recipe, "engine": "two", "extensions": {"inner": {"size": 2}}})
    assert not judge.is_valid({**recipe, "engine": "two", "extensions": {"inner": {"size": "x"}}})


class Tree(vtune.EngineOptions):
    size: int = 1
    branch: Tree | None = None


class Odd(vtune.EngineOptions):
    sort: Callable[[int], int] | None = None


def test_options_that_hold_themselves_or_no_json_cost_the_others_nothing():
    made = recipe_schema({}, {"tree": Tree, "odd": Odd, "plain": vtune.EngineOptions})
    judge = Draft202012Validator(made)
    assert not judge.is_valid({"extends": "x", "extensions": {"tree": {"size": "x"}}})
    assert judge.is_valid({"extends": "x", "extensions": {"tree": {"branch": {"size": 3}}, "odd": {}}})
    assert not judge.is_valid({"extends": "x", "extensions": {"plain": {"any": 1}}})


def test_a_printed_recipe_loads_again_to_the_same_settings(write, good):
    recipe = load_recipe(write(good))
    again = load_recipe(write(as_yaml(recipe), "printed.yaml"))
    assert again == recipe
    assert again.settings() == recipe.settings()


def test_a_printed_recipe_states_every_default(write):
    printed = yaml.safe_load(as_yaml(load_recipe(write(HEAD))))
    assert printed["train"]["weight_decay"] == 0.0
    assert printed["engine_options"] == {
        "width": 16,
        "dropout": 0.0,
        "max_frames": 1000,
        "pace": 1.0,
        "pitch": 220.0,
        "codec_device": "cpu",
    }
    assert list(printed["lora"]) == ["rank", "alpha", "dropout", "rslora", "targets", "modules_to_save", "arguments"]


@pytest.mark.parametrize(
    "text",
    ["1e5", "5e-5", "-.5", "1.5e3", ".nAn", ".INF", "+.inf", "007", "null", "~", "no", "True", "1:30", "0x10", "<<"],
)  # fmt: skip
def test_a_text_that_looks_like_something_else_stays_a_text(write, text):
    recipe = load_recipe(write(HEAD + f"consent: {{person: '{text}', statement: '{text}'}}\n"))
    again = load_recipe(write(as_yaml(recipe), "printed.yaml"))
    assert again.consent.statement == text


def test_a_voice_may_be_called_like_a_number(write):
    recipe = load_recipe(write(HEAD.replace("voice: a", "voice: '1e3'")))
    assert load_recipe(write(as_yaml(recipe), "printed.yaml")).voice == "1e3"


TEXTS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")) | st.sampled_from("\n\t 0e-:#"))


@given(
    TEXTS.filter(bool),
    st.lists(TEXTS, max_size=3),
    st.dictionaries(TEXTS, TEXTS | st.floats(allow_nan=False) | st.booleans() | st.none(), max_size=3),
    st.floats(min_value=1e-300, max_value=1e300),
)
@settings(deadline=None, max_examples=60)
def test_any_settings_survive_being_printed(scratch, statement, sentences, arguments, rate):
    path = scratch / "original.yaml"
    path.write_text(HEAD)
    recipe = load_recipe(path)
    recipe = recipe.model_copy(
        update={
            "consent": vtune.recipe.ConsentRecipe(person="p", statement=statement),
            "evaluate": vtune.recipe.EvaluateRecipe(sentences=sentences),
            "train": vtune.recipe.TrainRecipe(arguments=arguments, learning_rate=rate),
        }
    )
    path.write_text(as_yaml(recipe), encoding="utf-8", newline="")
    assert load_recipe(path).settings() == recipe.settings()
