"""The page learns of each engine as soon as it is known, and without a network it does not wait for the Hub."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from waiting import until

from vtune.studio import choice_list
from vtune.studio.choice_list import ChoiceList, hub_answers
from vtune.studio.choices import engine_choices

SLOW = """
import os, pathlib, sys, time
print('{"engine": "first", "offline": "%s"}' % os.environ.get("HF_HUB_OFFLINE", ""), flush=True)
print("a library says hello", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.01)
print('{"engine": "second"}', flush=True)
sys.exit(CODE)
"""


@pytest.mark.parametrize("code", [0, 3])
def test_choices_come_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(choice_list, "PROGRAM", [sys.executable, "-c", SLOW.replace("CODE", str(code))])
    monkeypatch.setattr(choice_list, "hub_answers", lambda: False)
    asked = ChoiceList(tmp_path)

    until(lambda: asked.data()["choices"])
    assert asked.data() == {"choices": [{"engine": "first", "offline": "1"}], "complete": False, "problem": None}
    (tmp_path / "go").touch()
    until(lambda: asked.data()["complete"])
    assert [choice["engine"] for choice in asked.data()["choices"]] == ["first", "second"]
    problem = f"the list is not complete: its process ended with code {code}" if code else None
    assert asked.data()["problem"] == problem


def test_a_list_that_nobody_waits_for_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice_list, "PROGRAM", [sys.executable, "-c", SLOW])
    monkeypatch.setattr(choice_list, "hub_answers", lambda: True)
    asked = ChoiceList(tmp_path)
    until(lambda: asked.data()["choices"])

    asked.close()

    assert asked.data()["complete"]


def test_a_hub_that_nobody_reaches_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    assert not hub_answers()


def test_each_choice_says_what_it_costs_or_why_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vtune.studio.choices.builtin_recipes", dict)
    monkeypatch.setattr("vtune.studio.choices.engine_recipes", dict)
    monkeypatch.setattr("vtune.studio.choices.available_engines", lambda: ["toy", "absent"])

    toy, absent = engine_choices()

    assert (toy.engine, toy.fits, toy.because) == ("toy", None, "the engine gives no estimate")
    assert toy.licence
    assert absent.fits is None
    assert "absent" in absent.because
