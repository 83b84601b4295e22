"""A web server is asked through the client that huggingface_hub brings, whichever that is."""

from __future__ import annotations

import pytest
from fake_hub import TOKEN, FakeHub, serving

from vtune.runtime.web_answer import ask_web


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def test_a_server_answers_with_its_status_and_the_token_reaches_it() -> None:
    with serving(FakeHub()) as hub:
        assert ask_web(f"{hub.url}/api/whoami-v2", TOKEN).status == 200
        assert ask_web(f"{hub.url}/api/whoami-v2").status == 401


def test_a_server_that_is_not_there_is_a_problem_and_no_error() -> None:
    answer = ask_web("http://127.0.0.1:9/", seconds=2)

    assert answer.status == 0
    assert "Error" in answer.problem
