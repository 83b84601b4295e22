from __future__ import annotations

import copy
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.engines import load_recipe
from vtune.errors import RecipeError
from vtune.recipe import apply_overrides, read_draft

TEXT = "voice: a\nengine: toy\ndata:\n  - source: x\n  - source: y\n  - source: z\ntrain:\n  epochs: 2\nencode:\n"


@pytest.fixture
def draft(write):
    return read_draft(write(TEXT))


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("voice=b", ["voice"], "b"),
        ("train.epochs=5", ["train", "epochs"], 5),
        ("train.learning_rate=5e-5", ["train", "learning_rate"], 5e-5),
        ("train.report_to=[a, b]", ["train", "report_to"], ["a", "b"]),
        ("lora={rank: 3, alpha: 6}", ["lora"], {"rank": 3, "alpha": 6}),
        ("lora.rank=4", ["lora", "rank"], 4),
        ("encode.processes=2", ["encode", "processes"], 2),
        ("train.arguments.adam_beta2=0.9", ["train", "arguments", "adam_beta2"], 0.9),
        ("data.1.source=w", ["data", 1, "source"], "w"),
        ("data.1.voice=w", ["data", 1, "voice"], "w"),
        ("data.2={source: w}", ["data", 2], {"source": "w"}),
        ("data.3={source: w}", ["data", 3], {"source": "w"}),
        ("data.3.source=w", ["data", 3, "source"], "w"),
        ("prepare.max_seconds=", ["prepare", "max_seconds"], None),
        ("consent.statement='a=b.c'", ["consent", "statement"], "a=b.c"),
        ("consent.statement=no", ["consent", "statement"], "no"),
        (" train.epochs =5", ["train", "epochs"], 5),
    ],
)
def test_setting_changes_that_value_and_no_other(draft, override, path, value):
    expected = copy.deepcopy(draft.data)
    node = expected
    for part, following in itertools.pairwise(path):
        if isinstance(node, list) and part == len(node):
            node.append({})
        elif isinstance(node, dict) and node.get(part) is None:
            node[part] = [] if isinstance(following, int) else {}
        node = node[part]
    if isinstance(node, list) and path[-1] == len(node):
        node.append(None)
    node[path[-1]] = value
    apply_overrides(draft, [override])
    assert draft.data == expected
    assert draft.origin(tuple(path)) == f"override {override!r}"


@pytest.mark.parametrize("override", ["~train", "~train.epochs", "~data.0", "~data.2.source", "~encode"])
def test_removing_takes_that_value_and_no_other(draft, override):
    expected = copy.deepcopy(draft.data)
    *parents, last = [int(part) if part.isdigit() else part for part in override[1:].split(".")]
    node = expected
    for part in parents:
        node = node[part]
    del node[last]
    apply_overrides(draft, [override])
    assert draft.data == expected


def test_overrides_are_applied_in_their_order(draft):
    apply_overrides(draft, ["lora.rank=3", "~lora", "lora.alpha=2", "data.3.source=new", "~data.0"])
    assert draft.data["lora"] == {"alpha": 2}
    assert [item["source"] for item in draft.data["data"]] == ["y", "z", "new"]


def test_items_behind_a_removed_one_keep_their_lines(write, tmp_path):
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(TEXT.replace("source: z", "sorce: z")), ["~data.0"])
    assert caught.value.problems == (
        f"{tmp_path / 'r.yaml'}:6: 'data.1.source' is missing",
        f"{tmp_path / 'r.yaml'}:6: unknown key 'sorce' in section 'data.1'; did you mean 'source'?",
    )


def test_a_bad_value_is_blamed_on_its_override(write):
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(TEXT), ["train={epochs: many, bacth_size: 2}", "engine_options.width=9999", "lora.rnk=1"])
    assert caught.value.problems == (
        "override 'train={epochs: many, bacth_size: 2}': 'train.epochs' must be a number, found 'many'",
        "override 'train={epochs: many, bacth_size: 2}': unknown key 'bacth_size' in section 'train'; "
        "did you mean 'batch_size'?",
        "override 'engine_options.width=9999': 'engine_options.width' must be 256 or less, found 9999",
        "override 'lora.rnk=1': unknown key 'rnk' in section 'lora'; did you mean 'rank'?",
    )


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("epochs", "write key=value to set or ~key to remove"),
        ("=3", "the key has an empty part; write a key such as train.epochs"),
        ("train..epochs=3", "the key has an empty part; write a key such as train.epochs"),
        ("~", "the key has an empty part; write a key such as train.epochs"),
        (".=", "the key has an empty part; write a key such as train.epochs"),
        ("voice.name=x", "'voice' has the value 'a' and no keys"),
        ("data.0.source.x=3", "'data.0.source' has the value 'x' and no keys"),
        ("data.4={source: w}", "'data' is a list of 3 items; write an item number from 0 to 3, found '4'"),
        ("data.5.source=w", "'data' is a list of 3 items; write an item number from 0 to 3, found '5'"),
        ("data.source=w", "'data' is a list of 3 items; write an item number from 0 to 3, found 'source'"),
        ("data.-1.source=w", "'data' is a list of 3 items; write an item number from 0 to 3, found '-1'"),
        ("data.²=w", "'data' is a list of 3 items; write an item number from 0 to 3, found '²'"),
        ("~data.3", "there is no 'data.3' to remove"),
        ("~lora.rank", "there is no 'lora.rank' to remove"),
        ("~voice.a", "there is no 'voice.a' to remove"),
        ("~data.source", "there is no 'data.source' to remove"),
        ("lora=[1, 2", "not YAML: expected ',' or ']', but got '<stream end>', found '[1, 2'"),
        (
            "lora=!!python/name:os.system",
            "YAML tags are not allowed; remove 'tag:yaml.org,2002:python/name:os.system'",
        ),
        ("lora=\t{", "there is a tab character; indent YAML with spaces"),
        ("voice=\udcff", "the character U+DCFF is not allowed in text; remove it"),
    ],
)
def test_an_override_that_cannot_be_applied_says_why(draft, override, text):
    with pytest.raises(RecipeError) as caught:
        apply_overrides(draft, [override])
    assert caught.value.problems == (f"override {override!r}: {text}",)


def test_every_override_that_fails_is_told(draft):
    with pytest.raises(RecipeError) as caught:
        apply_overrides(draft, ["a", "train.epochs=1", "~b"])
    assert len(caught.value.problems) == 2


def test_a_place_of_thousands_of_digits_is_no_crash(draft):
    for override in (f"data.{'9' * 5000}=x", f"data.{'9' * 5000}.source=x", f"~data.{'9' * 5000}"):
        with pytest.raises(RecipeError) as caught:
            apply_overrides(draft, [override])
        assert len(caught.value.problems[0]) < 300


def test_an_override_can_give_everything_that_a_file_lacks(write):
    recipe = load_recipe(write("{}\n"), ["voice=a", "engine=toy", "data=[{source: x}]", "engine_options.width=5"])
    assert (recipe.voice, recipe.data[0].source, recipe.engine_options.width) == ("a", "x", 5)


KEYS = st.sampled_from(["voice", "data", "train", "epochs", "0", "1", "9", "source", "-1", "", "x", "~", "٣"])


@given(
    st.lists(
        st.builds(
            lambda path, mark, value: "~" * mark + ".".join(path) + "=" * (not mark) + value,
            st.lists(KEYS, min_size=1, max_size=4),
            st.booleans(),
            st.sampled_from(["", "1", "x", "[1]", "{a: 1}", "[", "~", "null"]) | st.text(max_size=5),
        ),
        max_size=5,
    )
)
@settings(deadline=None, max_examples=200)
def test_any_overrides_apply_or_are_told_on_one_line_each(scratch, overrides):
    path = scratch / "overridden.yaml"
    path.write_text(TEXT)
    try:
        apply_overrides(read_draft(path), overrides)
    except RecipeError as error:
        for problem in error.problems:
            assert problem.startswith("override '") or problem.startswith('override "')
            assert len(problem.splitlines()) == 1
