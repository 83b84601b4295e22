"""The page and the table of a study, from invented trials."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.engines import load_recipe
from vtune.evaluation import MetricSpec
from vtune.runtime.paths import VoiceFolder, write_text
from vtune.tune.charts import BOTTOM, LEFT, RIGHT, TOP, Axis, Dot, bars, dots
from vtune.tune.dimensions import Choice, Range
from vtune.tune.page import write_page
from vtune.tune.paths import StudyFolder
from vtune.tune.report import StudyReport
from vtune.tune.space import Space
from vtune.tune.trials import State, Trial

SPACE = Space(
    {"train.learning_rate": Range(1e-5, 1e-2, log=True), "lora.targets": Choice(("all", "[inner, outer]"))},
    own={"train.learning_rate": 1e-3, "lora.targets": "all"},
)


def trial(number: int, rate: float, quality: float | None, **further: Any) -> Trial:
    targets = "all" if number % 2 == 0 else "[inner, outer]"
    metrics = {} if quality is None else {"quality": quality, "wer": 1 - quality}
    state = State.DONE if quality is not None else State.FAILED
    return Trial(
        number, further.pop("state", state), {"train.learning_rate": rate, "lora.targets": targets}, quality, metrics,
        60.4, **further,
    )  # fmt: skip


@pytest.fixture
def found(tmp_path: Path) -> StudyReport:
    trials = [
        trial(0, 1e-3, 0.6), trial(1, 1e-5, 0.4), trial(2, 2e-4, 0.8),
        trial(3, 9e-3, None, reason="loss became <nan> & worse"),
        trial(4, 5e-3, None, state=State.PRUNED, reason="after 1 of 3 epochs: eval_loss 4"),
    ]  # fmt: skip
    study_folder = StudyFolder(tmp_path / "study")
    for number in (0, 1, 2):
        folder = VoiceFolder(study_folder.voices(number) / "anna")
        folder.path.mkdir(parents=True)
        write_text(folder.adapter_config, "{}")
        write_text(folder.page, "<p>listen")
    specs = [MetricSpec("quality", "quality", "high"), MetricSpec("wer", "wrong words", "low", "%")]
    shares = {"train.learning_rate": 0.75, "lora.targets": 0.25}
    return StudyReport(
        "anna", study_folder, SPACE, "quality", trials, specs, shares, ("vtune", "run", "my recipe.yaml", "a.b=[1, 2]")
    )


def test_the_table_is_ranked_and_every_trial_is_accounted_for(found: StudyReport) -> None:
    lines = list(found.lines())
    rows = [line.split() for line in lines[:4]]
    assert rows[0] == ["place", "trial", "quality", "wer", "learning_rate", "targets", "seconds"]
    assert [row[:4] for row in rows[1:]] == [
        ["1", "2", "0.80", "20.0"], ["2", "0", "0.60", "40.0"], ["3", "1", "0.40", "60.0"],
    ]  # fmt: skip
    assert len({len(line) for line in lines[:4]}) == 1
    assert lines[4].startswith("trial 3: failed: loss became")
    assert lines[5].startswith("trial 4: pruned after 1 of 3 epochs: eval_loss 4; train.learning_rate=0.005")
    assert lines[6] == "best: trial 2: quality 0.80, wer 20.0 %"


def test_the_command_can_be_pasted(found: StudyReport, toy_recipe: Callable[..., Path]) -> None:
    assert shlex.split(found.best_command) == [
        "vtune", "run", "my recipe.yaml", "a.b=[1, 2]", "train.learning_rate=0.0002", "lora.targets=all",
    ]  # fmt: skip
    recipe = load_recipe(toy_recipe(), shlex.split(found.best_command)[4:])
    assert recipe.train.learning_rate == 2e-4


def test_a_line_says_what_became_of_a_trial(found: StudyReport) -> None:
    assert found.result_line(2) == "trial 2: quality 0.80, wer 20.0 % (60 s); the best so far"
    assert found.result_line(4) == (
        "trial 4: pruned after 1 of 3 epochs: eval_loss 4 (60 s); the best is trial 2: quality 0.80, wer 20.0 %"
    )
    assert found.settings(found.trials[0]).endswith("lora.targets=all (the recipe as it is)")


def test_keys_are_shortened_where_they_stay_apart(found: StudyReport) -> None:
    assert list(found.keys.values()) == ["learning_rate", "targets"]
    two = Space({"augment.seed": Range(1, 2), "train.seed": Range(1, 2), "lora.rank": Range(1, 2)})
    other = StudyReport("a", found.study_folder, two, "quality", [], [], {}, ())
    assert list(other.keys.values()) == ["augment.seed", "train.seed", "rank"]


def test_the_page_works_from_the_disk(found: StudyReport, browser: Any) -> None:
    write_page(found)
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda entry: wrong.append(entry.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith("file:") else None)
    page.goto(found.study_folder.page.absolute().as_uri())
    assert not wrong
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("tbody tr").count() == 3
    assert page.locator("tbody tr.first td").nth(1).inner_text() == "2"
    assert page.locator("figure").count() == 2 + 2
    assert page.locator("rect").count() == 2
    assert page.locator("figure").nth(1).locator("circle").count() == 5
    assert "loss became <nan> & worse" in page.locator("li.failed").inner_text()
    page.locator("tbody tr.first a").click()
    assert page.locator("p").inner_text() == "listen"
    context.close()
    assert not wrong


def test_every_trial_is_a_dot_where_it_belongs(found: StudyReport) -> None:
    write_page(found)
    page = found.study_folder.page.read_text()
    pictures = [ElementTree.fromstring(quoted(part)) for part in page.split("<figure>")[1:]]
    by_rate = next(picture for picture in pictures if picture.get("aria-label") == "quality by train.learning_rate")
    across = {number: float(dot.get("cx", "")) for dot in circles(by_rate) if (number := dot[0].text or "")}
    up = {dot[0].text or "": float(dot.get("cy", "")) for dot in circles(by_rate)}
    assert len(across) == 3
    ranked = [next(text for text in across if text.startswith(f"trial {number}:")) for number in (1, 2, 0)]
    assert [across[text] for text in ranked] == sorted(across.values())
    ranked = [next(text for text in across if text.startswith(f"trial {number}:")) for number in (2, 0, 1)]
    assert [up[text] for text in ranked] == sorted(up.values())


def circles(picture: ElementTree.Element) -> list[ElementTree.Element]:
    return [element for element in picture if element.tag.endswith("circle")]


def quoted(part: str) -> str:
    """Add quotes to the attributes of an SVG, which HTML may omit and XML requires."""
    svg = part[part.index("<svg") : part.index("</svg>") + 6]
    for attribute in ("role=img", "text-anchor=end", "text-anchor=middle", "class=grid", "class=base", "class=best"):
        name, value = attribute.split("=")
        svg = svg.replace(f" {attribute}", f' {name}="{value}"')
    return svg


spans = st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))


@given(spans, st.booleans())
def test_an_axis_keeps_its_numbers_and_a_few_round_ticks_inside(span: tuple[float, float], is_integer: bool) -> None:
    low, high = span[0], span[0] + span[1]
    axis = Axis.over([low, high], is_integer=is_integer)
    assert LEFT < axis.coordinate(low, LEFT, RIGHT) <= axis.coordinate(high, LEFT, RIGHT) < RIGHT
    ticks = [axis.coordinate(number, BOTTOM, TOP) for number, _ in axis.ticks()]
    assert len(ticks) <= 8
    assert all(TOP - 0.1 <= tick <= BOTTOM + 0.1 for tick in ticks)
    assert is_integer or len(ticks) >= 2


@given(st.floats(-7, 3), st.floats(0.4, 8))
def test_decades_are_as_far_apart_as_decades(power: float, decades: float) -> None:
    axis = Axis(10**power, 10 ** (power + decades), log=True)
    assert axis.coordinate(10 ** (power + decades / 2), 0, 100) == pytest.approx(50, abs=0.1)
    assert 1 <= len(axis.ticks()) <= 10


def test_equal_numbers_and_single_trials_have_a_picture() -> None:
    axis = Axis.over([0.0])
    assert "circle" in dots(axis, Axis.over([0.5, 0.5]), [Dot(0.0, 0.5, "done", "x")], "x", [(0.0, 0.5)])
    assert "0%" in bars({"a": 1.0, "b" * 40: 0.0}, "x")
