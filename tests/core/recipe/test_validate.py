from __future__ import annotations

import pytest
from pydantic import Field, model_validator

import vtune
from vtune.engines import load_recipe
from vtune.errors import RecipeError
from vtune.recipe import ExtensionKeys, check_recipe, read_draft

NO_ENGINE = "voice: a\ndata: [{source: x}]\n"
HEAD = "voice: a\nengine: toy\ndata: [{source: x}]\n"


class Colours(vtune.EngineOptions):
    red: int = 1
    shade: float = Field(0.5, ge=0)
    depth: int | None = 4


def test_a_good_recipe_is_typed_throughout(write, good):
    recipe = load_recipe(write(good))
    assert (recipe.voice, recipe.engine) == ("someone", "toy")
    assert (recipe.engine_options.width, recipe.engine_options.pitch) == (8, 180.5)
    assert [(source.source, source.voice, source.weight) for source in recipe.data] == [
        ("recordings/one", "first", 1.0),
        ("recordings/two", None, 2.0),
    ]
    assert recipe.train.learning_rate == 0.00005
    assert recipe.train.report_to == ["none"]
    assert recipe.evaluate.sentences == ["Say it: 'plainly'.", "No more of this."]


def test_what_the_recipe_leaves_out_of_lora_is_the_engines_choice(write):
    lora = load_recipe(write(HEAD + "lora: {dropout: 0.1}\n")).lora
    assert (lora.rank, lora.alpha, lora.dropout) == (4, 8, 0.1)  # 4 and 8 are what vtune_toy says


def test_a_section_with_nothing_in_it_has_its_defaults(write):
    bare = load_recipe(write(HEAD))
    empty = load_recipe(write(HEAD + "train:\nlora:\nengine_options:\nextensions:\nconsent:\nprepare: {}\n"))
    assert empty.settings() == bare.settings()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("trian: {}\n", "unknown key 'trian'; did you mean 'train'?"),
        ("train: {epoch: 1}\n", "unknown key 'epoch' in section 'train'; did you mean 'epochs'?"),
        ("lora: {rnak: 1}\n", "unknown key 'rnak' in section 'lora'; did you mean 'rank'?"),
        ("engine_options: {widht: 5}\n", "unknown key 'widht' in section 'engine_options'; did you mean 'width'?"),
        ("epochs: 3\n", "unknown key 'epochs'; move it to section 'train'"),
        ("width: 3\n", "unknown key 'width'; move it to section 'engine_options'"),
        ("prepare: {max_steps: 3}\n", "unknown key 'max_steps' in section 'prepare'; move it to section 'train'"),
        ("train: {rank: 3}\n", "unknown key 'rank' in section 'train'; move it to section 'lora'"),
        ("train: {engine: toy}\n", "unknown key 'engine' in section 'train'; move it to the top level of the recipe"),
        ("encode: {pitch: 5}\n", "unknown key 'pitch' in section 'encode'; move it to section 'engine_options'"),
        ("weight: 2\n", "unknown key 'weight'; move it to section 'data'"),
        ("lora: {epoch: 1}\n", "unknown key 'epoch' in section 'lora'; did you mean 'epochs' in section 'train'?"),
        ("encode: {zzzz: 1}\n", "unknown key 'zzzz' in section 'encode' (valid keys: processes, cache)"),
        (
            "evaluate: {during: 4}\n",
            "unknown key 'during' in section 'evaluate'; its name is now 'checkpoint_sentences'",
        ),
        ("evaluate: {judges: []}\n", "unknown key 'judges' in section 'evaluate'; its name is now 'metrics'"),
        ("seed: 1\n", "unknown key 'seed'; move it to section 'augment' or section 'train' or section 'evaluate'"),
    ],
)
def test_an_unknown_key_is_told_what_was_meant_or_where_it_belongs(problems, text, problem):
    assert problems(HEAD + text) == [f"r.yaml:4: {problem}"]


def test_an_unknown_key_of_a_source_names_the_item(problems):
    assert problems("voice: a\nengine: toy\ndata:\n  - source: x\n  - source: y\n    wieght: 2\n") == [
        "r.yaml:6: unknown key 'wieght' in section 'data.1'; did you mean 'weight'?"
    ]


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        ("train: {epochs: many}", "train.epochs", "'many'"),
        ("train: {epochs: -1}", "train.epochs", "-1"),
        ("train: {epochs: .nan}", "train.epochs", "nan"),
        ("train: {epochs: 1e999}", "train.epochs", "inf"),
        ("train: {epochs: [1]}", "train.epochs", "[1]"),
        ("train: {epochs:}", "train.epochs", "null"),
        ("train: {epochs: true}", "train.epochs", "true"),
        ("train: {early_stopping: true}", "train.early_stopping", "true"),
        ("train: {seed: 1e400}", "train.seed", "inf"),
        ("train: {seed: 99999999999999999999}", "train.seed", "1e+20"),
        ("train: {batch_size: 1.5}", "train.batch_size", "1.5"),
        ("train: {method: lroa}", "train.method", "'lroa'"),
        ("train: {validation: 1}", "train.validation", "1"),
        ("train: {report_to: {}}", "train.report_to", "{}"),
        ("train: {arguments: 3}", "train.arguments", "3"),
        ("lora: {rank: 0}", "lora.rank", "0"),
        ("lora: {targets: []}", "lora.targets", "[]"),
        ("lora: 8", "lora", "8"),
        ("augment: {transforms: [3]}", "augment.transforms.0", "3"),
        ("augment: {transforms: [{Shift: 3}]}", "augment.transforms.0.Shift", "3"),
        ("evaluate: {sentences: hello}", "evaluate.sentences", "'hello'"),
        ("evaluate: {sentences: [1]}", "evaluate.sentences.0", "1"),
        ("folders: {runs: 3}", "folders.runs", "3"),
        ("extensions: [a]", "extensions", "['a']"),
        ("engine_options: {width: 2}", "engine_options.width", "2"),
        ("engine_options: {width:}", "engine_options.width", "null"),
        ("engine_options: {pitch: high}", "engine_options.pitch", "'high'"),
    ],
)
def test_a_wrong_value_is_told_with_its_place_and_what_was_found(problems, text, path, found):
    (problem,) = problems(f"{HEAD}{text}\n")
    assert problem.startswith(f"r.yaml:4: '{path}' must ")
    assert f", found {found}" in problem


@pytest.mark.parametrize("text", ["engine_options: [1]", "engine_options: words"])
def test_engine_options_must_be_a_section(problems, text):
    (problem,) = problems(f"{HEAD}{text}\n")
    assert problem.startswith("r.yaml:4: 'engine_options' must be a section (keys with values), found ")


def test_what_is_found_is_shortened(problems):
    (problem,) = problems(f"{HEAD}train: {{method: {'x' * 5000}}}\n")
    assert len(problem) < 200


def test_missing_keys_are_told_by_file(problems):
    assert problems("engine: toy\n") == ["r.yaml: 'voice' is missing", "r.yaml: 'data' is missing"]


def test_a_missing_key_of_a_section_has_the_line_of_the_section(problems):
    assert problems(HEAD + "\nconsent:\n  person: x\n") == ["r.yaml:5: 'consent.statement' is missing"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (NO_ENGINE, "r.yaml: 'engine' is missing"),
        (NO_ENGINE + "engine:\n", "r.yaml:3: 'engine' is missing"),
        (NO_ENGINE + "engine: ''\n", "r.yaml:3: 'engine' must not be empty, found ''"),
        (NO_ENGINE + "engine: 3\n", "r.yaml:3: 'engine' must be text, found 3; put it in quotes"),
        (NO_ENGINE + "engine: [toy]\n", "r.yaml:3: 'engine' must be text, found ['toy']"),
        (NO_ENGINE + "engine: tyo\n", "r.yaml:3: no engine 'tyo' is installed; did you mean 'toy'? (insta"),
    ],
)
def test_an_engine_that_is_not_named_well_is_one_problem(problems, text, problem):
    (result,) = problems(text)
    assert result.startswith(problem)


def test_all_problems_are_told_at_once_in_the_order_of_the_file(problems):
    text = """\
extensions: {nothing: {}}
train:
  epchs: 3
  learning_rate: fast
voice: "a b"
engine_options: {pitch: x}

lora: {rank: 1000}
data: []
engine: toi
"""
    result = problems(text)
    # the options of an engine that is not there cannot be judged
    assert [problem.split(":")[1] for problem in result] == ["1", "3", "4", "5", "8", "9", "10"]
    with_engine = problems(text.replace("toi", "toy"))
    assert [problem.split(":")[1] for problem in with_engine] == ["1", "3", "4", "5", "6", "8", "9"]


@pytest.fixture
def check(write):
    """Check a recipe with an extension that was made for the test."""

    def load(text):
        return check_recipe(
            read_draft(write(HEAD + text)), vtune.load_engine("toy").info, ExtensionKeys({"colours": Colours})
        )

    return load


def test_options_of_an_extension_are_typed(check):
    assert check("extensions: {colours: {red: 3}}\n").extensions["colours"] == Colours(red=3)


@pytest.mark.parametrize("text", ["", "extensions: {}\n", "extensions: {colours:}\n"])
def test_an_extension_that_the_recipe_leaves_out_has_its_defaults(check, text):
    assert check(text).extensions["colours"] == Colours()


def test_null_reaches_an_option_that_takes_it(check):
    assert check("extensions: {colours: {depth: null}}\n").extensions["colours"].depth is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{colors: {}}", "no extension 'colors' is installed; did you mean 'colours'? (installed: colours)"),
        ("{colours: {rde: 1}}", "unknown key 'rde' in section 'extensions.colours'; did you mean 'red'?"),
        ("{colours: {rank: 1}}", "unknown key 'rank' in section 'extensions.colours'; move it to section 'lora'"),
        ("{colours: {shade: -1}}", "'extensions.colours.shade' must be 0 or more, found -1"),
        ("{colours: 3}", "'extensions.colours' must be a section (keys with values), found 3"),
    ],
)
def test_problems_of_an_extension_are_problems_of_the_recipe(check, tmp_path, text, problem):
    with pytest.raises(RecipeError) as caught:
        check(f"extensions: {text}\n")
    assert caught.value.problems == (f"{tmp_path / 'r.yaml'}:4: {problem}",)


def test_a_check_over_several_options_stays_on_one_line(write):
    class Pair(vtune.EngineOptions):
        low: int = 1
        high: int = 2

        @model_validator(mode="after")
        def _ordered(self):
            if self.low > self.high:
                raise ValueError("low is above high;\nswap them")
            return self

    draft = read_draft(write(HEAD + "extensions: {pair: {low: 3}}\n"))
    with pytest.raises(RecipeError) as caught:
        check_recipe(draft, vtune.load_engine("toy").info, ExtensionKeys({"pair": Pair}))
    (problem,) = caught.value.problems
    assert problem.endswith("'extensions.pair': low is above high; swap them")
    assert len(problem.splitlines()) == 1


def test_thousands_of_unknown_keys_are_told_to_an_end(problems):
    assert 50 <= len(problems(HEAD + "".join(f"key{n}: 1\n" for n in range(5000)))) <= 200
