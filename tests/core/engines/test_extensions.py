from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import vtune
from vtune.engines import engine_of, extension_watermarks, load_engine, load_recipe, schema
from vtune.errors import EngineError, RecipeError
from vtune_cli.extension_commands import extension_commands

TEXT = "voice: a\nengine: {engine}\ndata: [{{source: x}}]\nextensions: {{colours: {{{options}}}}}\n"


@pytest.fixture
def write(tmp_path):
    def make(options: str = "red: 3", engine: str = "acme"):
        path = tmp_path / "r.yaml"
        path.write_text(TEXT.format(engine=engine, options=options))
        return path

    return make


@pytest.fixture(autouse=True)
def acme(install, engine):
    install("acme", "vtune.engines", {"acme": "acme_engine"}, acme_engine=engine)


@pytest.fixture
def extend(install, extension):
    """Install an extension with some of its source replaced."""

    def make(old: str = "", new: str = "", *, more: str = "", name: str = "colours") -> None:
        assert old in extension
        module = f"{name}_extension"
        install(name, "vtune.plugins", {name: module}, **{module: extension.replace(old, new, 1) + more})

    return make


def refusal() -> str:
    with pytest.raises(EngineError) as caught:
        load_engine("acme").extension_options()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_an_extension_adds_a_section_of_the_recipe(extend, write):
    extend()
    recipe = load_recipe(write())
    assert recipe.extensions["colours"].red == 3
    assert recipe.settings()["extensions"] == {"colours": {"red": 3}}
    assert load_recipe(write(), ["~extensions"]).extensions["colours"].red == 1


def test_an_extension_is_called_in_training(extend, write):
    extend()
    extend('("colours"', '("shapes"', name="shapes")
    recipe = load_recipe(write())
    callbacks = load_engine("acme").trainer_callbacks(recipe)
    assert callbacks == [("colours of", recipe)] * 2


def test_the_schema_knows_the_sections_of_extensions(extend):
    extend()
    section = schema()["properties"]["extensions"]["anyOf"][0]["properties"]["colours"]["anyOf"][0]
    assert section["properties"]["red"] == {
        "affects": ["speech"], "default": 1, "title": "Red", "type": "integer",
    }  # fmt: skip


def test_a_bad_option_of_an_extension_is_told_beside_an_unknown_engine(extend, write):
    extend()
    path = write("rde: 3", engine="acmee")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    engine, option = caught.value.problems
    assert engine.startswith(f"{path}:2: no engine 'acmee' is installed; did you mean 'acme'?")
    assert option == f"{path}:4: unknown key 'rde' in section 'extensions.colours'; did you mean 'red'?"


@pytest.mark.parametrize("engine", ["acmee", "", "3"])
def test_an_installed_extension_is_never_called_missing(extend, write, engine):
    extend()
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(engine=engine))
    assert len(caught.value.problems) == 1


def test_an_extension_that_is_not_installed_is_a_problem(write):
    path = write()
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert caught.value.problems == (f"{path}:4: no extension 'colours' is installed (installed: none)",)


HOOK = "import vtune\n@vtune.hookimpl\ndef "


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import no_such_library_anywhere", "cannot be imported: ModuleNotFoundError: "),
        ("raise SystemExit(2)", "cannot be imported: SystemExit: 2; "),
        (
            HOOK + "trainer_calbacks(recipe): ...",
            "there is no hook 'trainer_calbacks'; did you mean 'trainer_callbacks'?",
        ),
        (HOOK + "trainer_callbacks(recipes): ...", "has no argument 'recipes'; did you mean 'recipe'?"),
        (HOOK + "trainer_callbacks(recipe=1): ...", "gives 'recipe' a default"),
        (
            HOOK + "extension_info(): return 'colours'",
            "extension_info returned 'colours'; it must return a vtune.ExtensionInfo",
        ),
        (HOOK + "extension_info(): return 1 / 0", "extension_info failed: ZeroDivisionError"),
        (HOOK + "extension_info(): return vtune.ExtensionInfo('x', dict)", "gives options <class 'dict'>; it must be"),
        (
            HOOK + "engine_info(): ...",
            "implements the hook 'engine_info', which would take the place of every engine's",
        ),
        (HOOK + "synthesize(text): ...", "implements the hook 'synthesize', which would take"),
        (HOOK + "fingerprint(): ...", "implements the hook 'fingerprint', which would take"),
        (HOOK.replace("impl", "impl(specname='collate')") + "x(): ...", "implements the hook 'collate', which would"),
    ],
)
def test_a_broken_extension_is_named_on_one_line(install, write, source, told):
    install("colours", "vtune.plugins", {"colours": "colours_extension"}, colours_extension=source)
    error = refusal()
    assert error.startswith("extension 'colours' (colours 1.0)")
    assert told in error
    path = write()
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert caught.value.problems == (f"{path}:2: {error}",)


def test_an_extension_may_wrap_an_engines_hook(extend):
    extend(more="@vtune.hookimpl(wrapper=True)\ndef fingerprint(base):\n    return {**(yield), 'seen': base}\n")
    assert load_engine("acme").fingerprint("x") == {"seen": "x"}


def test_two_extensions_that_want_one_section_are_told(extend):
    extend()
    extend(name="colors")
    assert "extension 'colors' (colors 1.0) has the section 'colours' too, uninstall one" in refusal()


def test_an_extension_may_have_the_name_of_an_engine(extend):
    extend(name="acme_too")
    extend('("colours"', '("shapes"', name="toy")
    assert set(load_engine("acme").extension_options()) == {"colours", "shapes"}
    assert set(load_engine("toy").extension_options()) == {"colours", "shapes"}


def test_two_entry_points_of_one_module_are_one_extension(install, extension, write):
    install("colours", "vtune.plugins", {"one": "colours_ext", "two": "colours_ext"}, colours_ext=extension)
    engine = load_engine("acme")
    assert list(engine.extension_options()) == ["colours"]
    assert len(engine.trainer_callbacks(load_recipe(write()))) == 1


def test_callbacks_that_are_no_list_are_told(extend, write):
    extend('return [("colours of", recipe)]', "return recipe.voice")
    with pytest.raises(EngineError, match="trainer_callbacks returned 'a'; it must return a list"):
        load_engine("acme").trainer_callbacks(load_recipe(write()))


def test_an_extension_without_callbacks_gives_none(extend, write):
    extend('return [("colours of", recipe)]', "return None")
    assert load_engine("acme").trainer_callbacks(load_recipe(write())) == []


VERB = """
@vtune.hookimpl
def register_commands(cli):
    import click
    cli.add_command(click.Command("{0}", help="Paint it."))
"""


def test_extensions_add_verbs_and_a_broken_one_costs_only_its_own(extend, install):
    install("aaa", "vtune.plugins", {"aaa": "aaa_extension"}, aaa_extension="import no_such_library_anywhere")
    extend(more=VERB.format("paint"))
    extend(more=VERB.format("x").replace("import click", "raise ValueError"), name="bbb")
    extend(more=VERB.format("rub"), name="zzz")
    extend(more=VERB.format("rub"), name="zzzz")
    extend(more=VERB.format("run"), name="zzzzz")
    added = extension_commands(["run"])
    assert sorted(added.commands) == ["paint", "rub"]
    broken, raising, twice, own = added.problems
    assert broken.startswith("extension 'aaa' (aaa 1.0) cannot be imported: ModuleNotFoundError: ")
    assert broken.endswith("; reinstall or uninstall it, or leave it out with VTUNE_BLOCK_PLUGINS=aaa")
    assert raising == "extension 'bbb' (bbb 1.0): register_commands raised ValueError at bbb_extension.py:16"
    assert twice == "extension 'zzzz' (zzzz 1.0) adds the command 'rub', which extension 'zzz' (zzz 1.0) has already"
    assert own == "extension 'zzzzz' (zzzzz 1.0) adds the command 'run', which vtune has already"


def test_options_of_an_extension_extend_the_recipes_types(extend, write):
    extend()
    assert isinstance(load_recipe(write()).extensions["colours"], vtune.EngineOptions)


def test_an_option_of_an_extension_cannot_affect_sampling(extend):
    extend('affects="speech"', 'affects=("speech", "sampling")')
    message = "option 'red' affects sampling, but no request can change an extension's option; write affects='speech'"
    assert message in refusal()


@pytest.mark.parametrize(
    ("effect", "changed"),
    [
        ("features", {"features", "training"}),
        ("training", {"training"}),
        ("speech", {"speech"}),
        ("runtime", set()),
    ],
)
def test_an_option_of_an_extension_counts_where_it_says(extend, write, effect, changed):
    from vtune.dataset.features.encode import base_key
    from vtune.pipeline import _made_from
    from vtune.training.train import _identity

    extend('affects="speech"', f'affects="{effect}"')
    engine = load_engine("acme")

    def keys(red: int) -> dict[str, Any]:
        recipe, same = load_recipe(write(f"red: {red}")), SimpleNamespace(fingerprint={}, identity="", num_processes=1)
        return {
            "features": base_key(recipe, engine, None),
            "training": _identity(SimpleNamespace(engine=engine, data=same, recipe=recipe, state=same)),
            "speech": _made_from(engine, recipe, {"key": "the adapter"}, "a"),
        }

    before, other = keys(1), keys(2)
    assert {name for name in before if before[name] != other[name]} == changed


def test_watermarks_of_all_extensions_are_asked_for_each_voice(extend):
    mark = "@vtune.hookimpl\ndef watermark(voice, sample_rate):\n    return lambda sound: (voice, sample_rate, sound)\n"
    extend(more=mark)
    extend('("colours"', '("shapes"', name="shapes")  # has none
    (watermark,) = extension_watermarks()("anna", 24_000)
    assert watermark("sound") == ("anna", 24_000, "sound")


def test_a_watermark_that_is_none_is_told(extend):
    extend(more="@vtune.hookimpl\ndef watermark(voice): return voice\n")
    with pytest.raises(EngineError, match="watermark returned 'anna'; it must return a function"):
        extension_watermarks()("anna", 24_000)


WRAPPED = """
@vtune.hookimpl(wrapper=True)
def {hook}():
    return (yield)
"""

REDDENED = """
@vtune.hookimpl(wrapper=True)
def fingerprint(extensions):
    return {**(yield), "red": str(extensions["colours"].red)}
"""


def test_an_opt_in_extension_takes_part_only_where_a_recipe_has_its_section(extend, write, tmp_path):
    extend('"colours", Options)', '"colours", Options, opt_in=True)', more=REDDENED)
    assert load_engine("acme").fingerprint("x") == {}
    with_section, without = load_recipe(write("red: 3")), load_recipe(write(), ["~extensions"])
    assert without.extensions == {}
    assert engine_of(with_section).fingerprint("x") == {"red": "3"}
    assert engine_of(without).fingerprint("x") == {}
    assert len(engine_of(with_section).trainer_callbacks(with_section)) == 1
    assert engine_of(without).trainer_callbacks(without) == []
    path = tmp_path / "null.yaml"
    path.write_text("voice: a\nengine: acme\ndata: [{source: x}]\nextensions: {colours: }\n")
    assert load_recipe(path).extensions["colours"].red == 1


def test_an_extension_of_every_run_sees_its_defaults_before_a_recipe_is_known(extend):
    extend(more=REDDENED)
    assert load_engine("acme").fingerprint("x") == {"red": "1"}


def test_an_option_without_a_default_needs_opt_in(extend, write):
    extend("vtune.option(1, ", "vtune.option(")
    assert "option 'red' has no default, so no recipe without it could be used; give it one, or declare" in refusal()
    extend("vtune.option(1, ", "vtune.option(", name="other")
    with pytest.raises(RecipeError):
        load_recipe(write())


@pytest.mark.parametrize(
    ("hook", "changed"),
    [
        ("prepare_sample", {"features", "training"}),
        ("load_base", {"features", "training"}),
        ("build_lora_model", {"training"}),
        ("synthesize", {"speech"}),
        ("mix_conditioning", {"speech"}),
        ("engine_info", set()),
    ],
)
def test_what_an_extension_wraps_is_made_again_with_it_and_with_its_next_version(extend, write, hook, changed):
    from vtune.engines import FEATURES_HOOKS, SPEECH_HOOKS, TRAINING_HOOKS

    hooks = {"features": FEATURES_HOOKS, "training": TRAINING_HOOKS, "speech": SPEECH_HOOKS}

    def keys() -> dict[str, Any]:
        recipe = load_recipe(write("red: 3"))
        engine = engine_of(recipe)
        return {name: engine.extension_identity(recipe.extensions, lambda _: {}, hooks[name]) for name in hooks}

    def changes(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
        return {name for name in hooks if before[name] != after[name]}

    extend()
    plain = keys()
    assert plain == {"features": {}, "training": {}, "speech": {}}, "an extension that makes nothing counts for nothing"
    extend('"colours"', '"shapes"', name="shapes", more=WRAPPED.format(hook=hook))
    wrapped = keys()
    assert changes(plain, wrapped) == changed
    extend('"colours", Options', '"lines", Options, version="2"', name="lines", more=WRAPPED.format(hook=hook))
    assert changes(wrapped, keys()) == changed
    assert [value["version"] for value in keys()[next(iter(changed), "speech")].values()] == ["2", "1"][
        : 2 * bool(changed)
    ]


def test_a_wrapper_around_speech_alone_is_not_passed_by(extend):
    together = "@vtune.hookimpl(wrapper=True)\ndef synthesize_together():\n    return (yield)\n"
    sampled = "@vtune.hookimpl(wrapper=True)\ndef synthesize_from_sampler():\n    return (yield)\n"
    orpheus = load_engine("orpheus")
    assert orpheus.can_batch
    orpheus.require_sampler()
    extend(more=WRAPPED.format(hook="synthesize"))
    orpheus = load_engine("orpheus")
    assert not orpheus.can_batch
    with pytest.raises(EngineError) as caught:
        orpheus.require_sampler()
    assert str(caught.value).startswith(
        "extension 'colours' (colours 1.0) wraps synthesize, but not synthesize_from_sampler, so it would not see"
    )
    extend('"colours"', '"shapes"', name="shapes", more=WRAPPED.format(hook="synthesize") + together + sampled)
    assert not load_engine("orpheus").can_batch, "the first one is still there"


def test_a_wrapper_around_every_hook_that_speaks_keeps_batches(extend):
    more = "".join(WRAPPED.format(hook=f"synthesize{kind}") for kind in ("", "_together", "_from_sampler"))
    extend(more=more)
    assert load_engine("orpheus").can_batch
    load_engine("orpheus").require_sampler()
    assert not load_engine("acme").can_batch, "a wrapper makes no hook"


def test_a_voice_speaks_with_the_values_that_still_fit(extend, make_voice, tmp_path, caplog):
    from vtune.voice_format.record import read_record
    from vtune.voices.extension_options import with_voice_extensions

    def values(saved: dict[str, Any] | None) -> dict[str, Any]:
        caplog.clear()
        kept = {"origin": "extension 'colours' (colours 0.9)", "options": saved, "wraps": []}
        record = read_record(voice).model_copy(
            update={"extensions": {} if saved is None else {"colours": ExtensionRecord(**kept)}}
        )
        extensions = with_voice_extensions(load_engine("toy"), record).extensions
        return {name: options.model_dump() for name, options in extensions.items()}

    from vtune.voice_format.record import ExtensionRecord

    voice = make_voice(tmp_path / "anna")
    extend()
    assert values({"red": 3}) == {"colours": {"red": 3}}
    assert values(None) == {"colours": {"red": 1}}
    assert not caplog.records
    assert values({"red": "dark", "green": 2}) == {"colours": {"red": 1}}
    (message,) = caplog.messages
    assert message.startswith(
        "voice anna was made with other options of extension 'colours' (colours 1.0) than it has now ("
    )
    assert message.endswith("); the voice speaks with defaults instead")
