"""Utterances and clips of synthesised noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vtune.evaluation import MetricResult, MetricSpec, Ratio, Scores, TestSet, Utterance, score
from vtune.evaluation.report import write_page
from vtune.recipe import Recipe
from vtune.types import Clip, Ending

RATE = 16_000
PHONE = {"width": 390, "height": 800}
OWN = ("file:", "data:", "blob:")


def noise(seconds: float, seed: int = 0, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE)).astype(np.float32)


def tone(hertz: float, seconds: float = 0.5, level: float = 0.1) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.fixture
def clip() -> Callable[..., Clip]:
    def make(text: str, seconds: float = 2.5, seed: int = 0, sound: Any = None) -> Clip:
        return Clip(text, "someone", text, noise(seconds, seed) if sound is None else sound, RATE)

    return make


@pytest.fixture
def utterance() -> Callable[..., Utterance]:
    def make(text: str, system: str = "voice", *, seconds: float = 2.5, seed: int = 0, **further: Any) -> Utterance:
        further = {"ending": Ending.END_TOKEN, "took": 0.1, "first": 0.05, **further}
        return Utterance(text, seed, system, further.pop("sound", noise(seconds, seed + 100)), RATE, **further)

    return make


class Told:
    """A metric with given results: numbers by metric and the recognised words, for each system and text."""

    specs = (
        MetricSpec("wer", "wrong words", "low", "%", headline=True),
        MetricSpec("speaker_similarity", "similarity to the recordings", "high", headline=True),
        MetricSpec("speaking_rate", "speaking rate", "neither", "letters/s"),
    )

    def __init__(self, values: Mapping[tuple[str, str], tuple[Mapping[str, float], str]]) -> None:
        self.found = values

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        rows = [self.found.get((utterance.system, utterance.text), ({}, utterance.text)) for utterance in utterances]
        columns = {
            spec.name: [Ratio(row[spec.name]) if spec.name in row else None for row, _ in rows] for spec in self.specs
        }
        return MetricResult(
            columns, {"heard": [recognised for _, recognised in rows]}, {"speaker_similarity": {"impostors": 0.5}}
        )


@dataclass(frozen=True)
class Page:
    """A page that was written, and what it was written from."""

    path: Path
    scores: Scores
    utterances: Sequence[Utterance]
    test_set: TestSet


@pytest.fixture
def listen(toy: Callable[..., Recipe], tmp_path: Path) -> Callable[..., Page]:
    """Write a page; each utterance is another tone."""

    def make(
        texts: Sequence[str] = ("one and two", "three and four", "five and six"),
        systems: Sequence[str] = ("voice", "base"),
        *,
        seeds: int = 1,
        recordings: bool = True,
        found: Mapping[tuple[str, str], tuple[Mapping[str, float], str]] | None = None,
        sound: Callable[[str, int, str], np.ndarray] = lambda text, seed, system: tone(
            200 + 37 * len(text) + 10 * seed + len(system)
        ),
        title: str = "someone",
    ) -> Page:
        utterances = [
            Utterance(text, seed, system, sound(text, seed, system), RATE, Ending.END_TOKEN)
            for text in texts
            for seed in range(seeds)
            for system in systems
        ]
        clips = [Clip(text, "someone", text, tone(150 + len(text)), RATE) for text in texts] if recordings else []
        test_set = TestSet(texts, clips)
        scores = score(utterances, test_set, toy(), {"told": lambda *_: Told(found or {})}, systems[-1])
        path = tmp_path / "listen.html"
        write_page(path, title, scores, utterances, test_set)
        return Page(path, scores, utterances, test_set)

    return make


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page as on a phone; the test fails if the page asks another host or breaks its own policy."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def go(path: Path, script: str = "", **further: Any) -> Any:
        contexts.append(browser.new_context(viewport=PHONE, **further))
        page = contexts[-1].new_page()
        if script:
            page.add_init_script(script)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(OWN) else None)
        page.on("console", lambda entry: wrong.append(entry.text) if entry.type in ("error", "warning") else None)
        page.goto(path.absolute().as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def page(visit: Callable[..., Any], listen: Callable[..., Any]) -> Any:
    return visit(listen().path)
