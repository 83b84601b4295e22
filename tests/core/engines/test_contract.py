"""Mistakes that pluggy accepts silently are refused when the engine is loaded."""

from __future__ import annotations

import re

import numpy as np
import pytest

import vtune
from vtune.engines import load_engine
from vtune.errors import EngineError

CLIP = vtune.Clip("1", "anna", "hello", np.zeros(8, np.float32), 8000)
KEPT = vtune.Conditioning()


@pytest.fixture
def load(install, engine):
    """Install an engine whose source has been changed, and load it."""

    def change(old: str = "", new: str = "", *, more: str = "") -> vtune.Engine:
        assert old in engine
        install("acme", "vtune.engines", {"acme": "acme_engine"}, acme_engine=engine.replace(old, new, 1) + more)
        return load_engine("acme")

    return change


@pytest.fixture
def refusal(load):
    def told(*args: str, **kwargs: str) -> str:
        with pytest.raises(EngineError) as caught:
            load(*args, **kwargs)
        text = str(caught.value)
        assert len(text.splitlines()) == 1
        assert "engine 'acme' (acme 1.0)" in text
        return text

    return told


def test_a_hook_may_take_fewer_arguments_in_any_order(load):
    engine = load("def synthesize(text, seed)", "def synthesize(seed, text)")
    assert [len(piece.waveform) for piece in engine.synthesize("base", "model", "hello", KEPT, 7)] == [5, 7]
    assert engine.collate("base", [{"tokens": np.arange(2)}] * 3)["labels"].shape == (3, 2)


def test_functions_of_other_libraries_in_the_module_are_no_hooks(load):
    # builtin functions have no __dict__, and a mock has every attribute
    more = "from math import sqrt\nfrom os.path import join\nfrom unittest.mock import MagicMock\nmock = MagicMock()\n"
    assert load(more=more).info.sample_rate == 8000


def test_an_unknown_argument_is_refused_with_the_nearest(refusal):
    message = refusal("def prepare_sample(base, clip)", "def prepare_sample(base, clips)")
    assert "'prepare_sample' has no argument 'clips'; did you mean 'clip'? (it has: base, clip, extensions)" in message


def test_an_unknown_hook_is_refused_with_the_nearest(refusal):
    message = refusal(more="@vtune.hookimpl\ndef syntesize(text): ...\n")
    assert "there is no hook 'syntesize'; did you mean 'synthesize'?" in message


def test_an_unknown_hook_that_is_optional_is_let_be(load):
    assert load(more="@vtune.hookimpl(optionalhook=True)\ndef hook_of_tomorrow(text): ...\n").name == "acme"


def test_a_hook_may_have_another_name_in_the_module(load):
    engine = load(
        "@vtune.hookimpl\ndef synthesize(text, seed)",
        "@vtune.hookimpl(specname='synthesize')\ndef speak(text, seed)",
    )
    assert [len(piece.waveform) for piece in engine.synthesize("base", "model", "hello", KEPT, 7)] == [5, 7]


@pytest.mark.parametrize("hook", ["engine_info", "load_base", "collate", "synthesize"])
def test_a_missing_hook_is_named(refusal, hook):
    message = refusal(f"@vtune.hookimpl\ndef {hook}(", f"def {hook}(")
    assert f"lacks the hooks {hook}; every engine must implement them" in message


def test_a_module_without_any_hook_lacks_all_of_them(install):
    install("acme", "vtune.engines", {"acme": "acme_empty"}, acme_empty="")
    with pytest.raises(EngineError) as caught:
        load_engine("acme")
    assert (
        "lacks the hooks engine_info, load_base, prepare_sample, collate, build_lora_model, extract_conditioning, "
        "synthesize; every engine must implement them" in str(caught.value)
    )


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("(base, clip=None)", "hook 'prepare_sample' gives 'clip' a default, so it would never get a value"),
        ("(base, *, clip)", "hook 'prepare_sample' takes 'clip' by keyword only, so it would never get a value"),
        ("(base, *clip)", "hook 'prepare_sample' takes *clip; name the arguments"),
        ("(base, **more)", "hook 'prepare_sample' takes *more; name the arguments"),
    ],
)
def test_an_argument_that_pluggy_would_never_fill_is_refused(refusal, signature, message):
    assert message in refusal("def prepare_sample(base, clip)", f"def prepare_sample{signature}")


def test_a_wrapper_that_is_none_is_refused(refusal):
    message = refusal(more="@vtune.hookimpl(wrapper=True)\ndef fingerprint(base): return {}\n")
    assert "generator" in message


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("None", "engine_info returned None; it must return a vtune.EngineInfo"),
        ("{'sample_rate': 8000}", "engine_info returned {'sample_rate': 8000}; it must return a vtune.EngineInfo"),
        (
            "vtune.EngineInfo",
            "engine_info returned <class 'vtune.types.info.EngineInfo'>; it must return a vtune.EngineInfo",
        ),
        ("vtune.EngineInfo()", "engine_info failed: TypeError: "),
        ("1 / 0", "engine_info failed: ZeroDivisionError: division by zero"),
        ("vtune.EngineInfo('8 kHz', '1', Options)", "gives sample_rate '8 kHz'; it must be a whole number of Hz"),
        ("vtune.EngineInfo(True, '1', Options)", "gives sample_rate True; it must be a whole number of Hz"),
        ("vtune.EngineInfo(0, '1', Options)", "gives sample_rate 0; it must be Hz above 0"),
        ("vtune.EngineInfo(8000, 1, Options)", "gives features_version 1; it must be text"),
        ("vtune.EngineInfo(8000, '1', Options())", "gives options Options(size=1); it must be a subclass"),
        ("vtune.EngineInfo(8000, '1', dict)", "gives options <class 'dict'>; it must be a subclass"),
        ("vtune.EngineInfo(8000, '1', Options, lora={'rank': 3})", "gives lora {'rank': 3}; it must be LoraSettings"),
        ("vtune.EngineInfo(8000, '1', Options, lora_targets=['q'])", "gives lora_targets ['q']; it must be a mapping"),
        (
            "vtune.EngineInfo(8000, '1', Options, clips_as_recorded=1)",
            "gives clips_as_recorded 1; it must be true or false",
        ),
        (
            "vtune.EngineInfo(8000, '1', Options, features_by_network='yes')",
            "gives features_by_network 'yes'; it must be true or false",
        ),
        (
            "vtune.EngineInfo(8000, '1', Options, streaming_defaults={'sise': 1})",
            "streaming_defaults names 'sise', which the options do not have; did you mean 'size'?",
        ),
    ],
)
def test_an_engine_that_says_rubbish_of_itself_is_refused(refusal, answer, told):
    error = refusal("    return vtune.EngineInfo", f"    return {answer}\n    return vtune.EngineInfo")
    assert told in error


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (
            "1",
            "engine 'acme' (acme 1.0): option 'size' does not say what it affects; declare it as `size: ... = "
            "vtune.option(..., affects='training')`, with one or several of text, features, training, speech, "
            "sampling, runtime",
        ),
        ("vtune.option(1, affects=())", "option 'size' does not say what it affects"),
        (
            "vtune.option(1, affects='trainig')",
            "option 'size' affects 'trainig'; did you mean 'training'? (effects: text, features, training, "
            "speech, sampling, runtime)",
        ),
        ("vtune.option(1, affects='sampling')", "option 'size' affects sampling, but synthesize or convert"),
        (
            "vtune.option(1, affects=('sampling', 'runtime'))",
            "option 'size' affects sampling and runtime; a value of one request cannot be what the base is loaded",
        ),
    ],
)
def test_an_option_that_does_not_say_what_it_affects_is_refused(refusal, field, message):
    assert message in refusal('size: int = vtune.option(1, affects="training")', f"size: int = {field}")


def test_a_word_of_vtunes_own_passes_through_engine_info(load):
    with pytest.raises(EngineError, match=r"^install libfoo first$"):
        load("    return vtune.EngineInfo(", "    raise vtune.EngineError('install libfoo first')\n    return dict(")


@pytest.mark.parametrize(
    ("hook", "call"),
    [
        ("load_base", lambda engine: engine.load_base(engine.info.options(), "cpu", "float32")),
        ("prepare_sample", lambda engine: engine.prepare_sample({"size": 1}, CLIP)),
        ("collate", lambda engine: engine.collate("base", [])),
        ("build_lora_model", lambda engine: engine.build_lora_model("base", "lora")),
        ("extract_conditioning", lambda engine: engine.extract_conditioning("base", [])),
        ("synthesize", lambda engine: list(engine.synthesize("base", "model", "text", KEPT, 0))),
    ],
)
def test_a_hook_that_returns_none_is_told_when_it_is_called(load, hook, call):
    engine = load(more=f"@vtune.hookimpl\ndef {hook}(): return None\n")
    with pytest.raises(EngineError) as caught:
        call(engine)
    assert str(caught.value) == f"engine 'acme' (acme 1.0): hook {hook!r} returned None; it must return a value"


def test_features_without_the_promised_length_are_told(load):
    engine = load('return {"tokens":', 'return {"token":')
    with pytest.raises(EngineError, match="returned token, but engine_info names 'tokens' as the feature"):
        engine.prepare_sample({"size": 1}, CLIP)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [("vtune.SkipClip('2310 tokens')", vtune.SkipClip), ("MemoryError()", MemoryError),
     ("RuntimeError('CUDA out of memory')", RuntimeError), ("OSError(28, 'No space left', 'x')", OSError)],
)  # fmt: skip
def test_what_vtune_has_words_for_passes_through(load, raised, kind):
    engine = load('    return {"tokens"', f'    raise {raised}\n    return {{"tokens"')
    with pytest.raises(kind) as caught:
        engine.prepare_sample({"size": 1}, CLIP)
    assert type(caught.value) is kind


def test_what_else_a_hook_raises_is_told_with_engine_hook_and_line(load):
    engine = load('    return {"tokens"', '    raise KeyError("labels")\n    return {"tokens"')
    with pytest.raises(EngineError) as caught:
        engine.prepare_sample({"size": 1}, CLIP)
    assert re.fullmatch(
        r"engine 'acme' \(acme 1.0\): prepare_sample raised KeyError 'labels' at \w+.py:18", str(caught.value)
    )
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_a_generator_raises_later_is_told_too(load):
    engine = load("    yield vtune.Audio(np.full(seed", "    1 / 0\n    yield vtune.Audio(np.full(seed")
    pieces = engine.synthesize("base", "model", "hello", KEPT, 7)
    assert len(next(pieces).waveform) == 5
    with pytest.raises(EngineError, match=r"synthesize raised ZeroDivisionError division by zero at \w+.py:37"):
        next(pieces)


def test_the_line_that_is_told_is_the_engines_own_not_that_of_a_library(load):
    engine = load('    return {"tokens"', '    np.zeros(-1)\n    return {"tokens"')
    with pytest.raises(EngineError, match=r"raised ValueError negative dimensions are not allowed at \w+.py:18"):
        engine.prepare_sample({"size": 1}, CLIP)


def test_core_answers_for_the_hooks_that_an_engine_may_leave_out(load):
    engine = load()
    assert engine.fingerprint("base") == {}
    assert engine.footprint(engine.info.options(), vtune.LoraSettings(), 4) is None


def test_an_engine_goes_before_cores_defaults(load):
    engine = load(more="@vtune.hookimpl\ndef fingerprint(base): return {'weights': base}\n")
    assert engine.fingerprint("abc") == {"weights": "abc"}


def test_a_base_has_the_licence_of_the_engine_unless_the_engine_says_otherwise(load):
    answer = "vtune.Licence('Keep it.', 'mit') if base == 'x' else None"
    engine = load(more=f"@vtune.hookimpl\ndef base_licence(base): return {answer}\n")
    info = engine.info
    assert engine.licence("x") == vtune.Licence("Keep it.", licence_id="mit")
    assert engine.licence("y") == vtune.Licence(info.licence, info.licence_id, info.licence_name, info.licence_note)


@pytest.mark.parametrize(
    ("answer", "says"),
    [("'mit'", "must return a vtune.Licence or None"), ("vtune.Licence(3)", "gives terms 3; it must be a text")],
)
def test_a_licence_that_is_none_is_refused(load, answer, says):
    engine = load(more=f"@vtune.hookimpl\ndef base_licence(base): return {answer}\n")
    with pytest.raises(EngineError, match=f"base_licence.*{says}"):
        engine.licence("x")
