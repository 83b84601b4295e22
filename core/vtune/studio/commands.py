"""The words of each command that the page runs or shows; nothing else is ever run."""

from __future__ import annotations

from collections.abc import Mapping

from vtune.studio.layout import StudioFolder, checked_name

QUICKSTART = "quickstart"


def examine(folder: StudioFolder, project: str, source: str) -> list[str]:
    """Find out what recordings are, and what is wrong with them."""
    reports = {kind: folder.relative(folder.findings(project, kind)) for kind in ("json", "html")}
    return ["doctor", source, "--json", reports["json"], "--html", reports["html"]]


def cut(folder: StudioFolder, project: str, source: str) -> list[str]:
    """Cut recordings into clips."""
    return ["prepare", source, folder.relative(folder.clips(project))]


def transcribe(folder: StudioFolder, project: str, language: str, model: str) -> list[str]:
    """Write down what is said in the clips."""
    return ["transcribe", folder.relative(folder.clips(project)), "--language", language, "--model", model]


def review(source: str) -> list[str]:
    """Listen to clips and correct their words."""
    return ["review", source]


def on_recipe(verb: str, folder: StudioFolder, project: str) -> list[str]:
    """Plan or run the recipe of a voice."""
    name = QUICKSTART if project == QUICKSTART else folder.relative(folder.recipe(project))
    return [verb, name]


def say(folder: StudioFolder, project: str, text: str, seed: int, number: int) -> list[str]:
    """Speak a text."""
    out = folder.relative(folder.spoken(number))
    return ["say", checked_name(project), "--seed", str(seed), "--out", out, "--", text]  # a text is never an option


def evaluate(project: str) -> list[str]:
    """Score a voice against its base."""
    return ["evaluate", checked_name(project)]


def compare(folder: StudioFolder, project: str, texts: list[str]) -> list[str]:
    """Let a voice and its base speak the same texts, for the blind test."""
    spoken = [word for text in texts for word in ("--text", text)]
    return ["compare", checked_name(project), *spoken, "--out", folder.relative(folder.comparison(project))]


def serve() -> list[str]:
    """Serve every voice of the folder."""
    return ["serve", "--port", "0"]


def export(project: str, target: str, directory: str) -> list[str]:
    """Write a voice for other software."""
    return ["export", checked_name(project), directory, "--to", target]


def push(project: str, repository: str, target: str, *, public: bool) -> list[str]:
    """Put a voice on the Hub."""
    return ["export", checked_name(project), "--to", target, "--push", repository, *(["--public"] if public else [])]


def shown(folder: StudioFolder, project: str, source: str) -> Mapping[str, list[str]]:
    """Return the command of each step, for the page to show before anything is run."""
    name = source or "RECORDINGS"
    return {
        "examine": ["doctor", name],
        "cut": cut(folder, project, name),
        "transcribe": ["transcribe", folder.relative(folder.clips(project))],
        "review": review(name),
        "recipe": ["recipe", "check", folder.relative(folder.recipe(project))],
        "plan": on_recipe("plan", folder, project),
        "run": on_recipe("run", folder, project),
        "evaluate": evaluate(project),
        "compare": ["compare", project, "--out", f"comparisons/{project}"],
        "say": ["say", project, "TEXT"],
        "serve": ["serve"],
        "export": ["export", project, "DIRECTORY", "--to", "TARGET"],
        "push": ["export", project, "--push", "OWNER/NAME"],
    }
