"""The kit itself: the toy engine keeps every rule, and each way to use the kit tells the same."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sabotage import SABOTAGES

from vtune.errors import EngineError
from vtune.testing import check_engine, conformance_tests, engine_outcomes
from vtune.testing.rule import all_rules, rules_named
from vtune.testing.time_limit import TimeLimitReached, call_within

pytest_plugins = ["pytester"]

test_the_toy_engine_keeps = conformance_tests("toy")


def broken(name: str) -> str:
    return next(sabotage.engine for sabotage in SABOTAGES if sabotage.name == name)


def test_rules_are_named_and_explained_and_stand_behind_their_causes() -> None:
    seen: set[str] = set()
    for rule in all_rules().values():
        assert set(rule.after) <= seen, rule.name
        assert rule.promise.endswith("."), rule.name
        assert "\n" not in rule.promise, rule.name
        assert rule.why.endswith("."), rule.name
        assert rule.change, rule.name
        seen.add(rule.name)


def test_a_rule_is_checked_with_those_before_it() -> None:
    assert list(rules_named(("base-loads",))) == [
        "engine-imports", "hooks-match-the-contract", "info-is-valid", "base-loads",
    ]  # fmt: skip
    with pytest.raises(EngineError, match=r"no rule 'base-load'; did you mean 'base-loads'"):
        rules_named(("base-load",))


def test_what_follows_from_a_failure_is_not_checked_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(broken("random features"))
    result = {outcome.rule: outcome for outcome in engine_outcomes(str(path), rules=["encoding-is-free-of-order"])}
    assert result["encoding-repeats"].status == "fail"
    assert result["encoding-is-free-of-order"].status == "not checked"
    assert result["encoding-is-free-of-order"].remark == "encoding-repeats failed"


def test_one_call_raises_every_paragraph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "broken.py"
    path.write_text(broken("slow info") + "\ndel fingerprint\n")
    few = rules_named(("info-is-instant", "fingerprint-names-the-base"))
    monkeypatch.setattr("vtune.testing.conformance.all_rules", lambda: few)
    with pytest.raises(AssertionError) as caught:
        check_engine(str(path), {}, tmp_path)
    text = str(caught.value)
    assert f"breaks 2 of {len(few)} rules" in text
    assert "info-is-instant: engine_info took 0.7 s" in text
    assert "fingerprint-names-the-base: fingerprint returned no part." in text
    assert text.count("Why it matters: ") == text.count("What to change: ") == 2


def test_a_test_of_three_lines_has_one_item_for_each_rule(pytester: pytest.Pytester) -> None:
    (pytester.path / "broken.py").write_text(broken("slow info"))
    pytester.makepyfile(
        test_it="""
        import vtune.testing
        test_contract = vtune.testing.conformance_tests("broken.py", "values")
        """,
        conftest="""
        import pytest
        @pytest.fixture
        def values():
            return {"width": 4}
        """,
    )
    result = pytester.runpytest(
        "-k", "imports or hooks-match or info or streaming-defaults", "-p", "no:cacheprovider", "-rs"
    )
    result.assert_outcomes(passed=3, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["info-is-instant: engine_info took 0.7 s; 0.5 s are allowed."])


def test_a_function_that_hangs_is_stopped_and_one_that_waits_is_left_behind() -> None:
    def spin() -> None:
        while True:
            pass

    for function in (spin, lambda: time.sleep(5)):
        started = time.perf_counter()
        with pytest.raises(TimeLimitReached):
            call_within(0.3, function)
        assert time.perf_counter() - started < 4
    assert call_within(5, lambda: 3) == 3


FILES_ENGINE = """
import vtune, vtune_toy
from pathlib import Path
from vtune_toy import build_lora_model, collate, extract_conditioning, prepare_sample, synthesize

class Options(vtune_toy.ToyOptions):
    base_model: str = vtune.option(affects="runtime")

@vtune.hookimpl
def engine_info():
    return vtune.EngineInfo(8000, "1", Options, length_feature="labels", lora=vtune.LoraSettings(rank=4))

@vtune.hookimpl
def load_base(options, device, dtype):
    return vtune_toy.load_base(options, device, dtype)

@vtune.hookimpl
def fingerprint(base):
    path = Path(base.options.base_model) / "model.safetensors"
    return {"network": HASH}
"""


@pytest.mark.parametrize(
    ("hash_code", "seen"),
    [
        ("vtune.toolkit.hash_file(path)", None),
        ("str(path.stat().st_size)", "A changed byte in model.safetensors did not change the fingerprint."),
        ("str(path)", "With a copy of the folder under 'base_model', the fingerprint is another one"),
    ],
)
def test_the_fingerprint_follows_the_content_of_files(tmp_path: Path, hash_code: str, seen: str | None) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(range(100)))
    path = tmp_path / "engine.py"
    path.write_text(FILES_ENGINE.replace("HASH", hash_code))
    *_, outcome = engine_outcomes(str(path), {"base_model": str(folder)}, rules=["fingerprint-follows-the-files"])
    assert (outcome.status, outcome.seen[: len(seen or "")]) == (("fail", seen) if seen else ("pass", ""))


def test_an_export_target_whose_package_is_missing_is_not_tried(tmp_path: Path) -> None:
    path = tmp_path / "engine.py"
    begin = "def write(voice, directory):\n"
    path.write_text(broken("export target that rounds").replace(begin, f"{begin}    import no_such_package\n"))
    *_, outcome = engine_outcomes(str(path), rules=["export-targets-write-the-voice"])
    assert outcome.status == "skipped"
    assert outcome.remark.startswith("--to npz was not tried: ")
    assert "no_such_package" in outcome.remark
