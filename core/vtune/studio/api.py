"""The requests of the page and their answers: a model each, and a function that writes a recipe or adds a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from vtune.errors import VtuneError, shown
from vtune.studio import commands
from vtune.studio.layout import checked_name
from vtune.studio.recipe_writer import Answers, problems_of, recipe_text, write_recipe
from vtune.studio.workshop import Workshop

Line = Annotated[str, Field(max_length=2_000, pattern=r"^[^\n\r\x00]*$")]
Source = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^[^\n\r\x00-][^\n\r\x00]*$")]


class StudioRequest(BaseModel):
    """Base of all requests: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class EmptyRequest(StudioRequest):
    """A request without anything."""


class JobRequest(StudioRequest):
    """A request about one job."""

    number: int


class VoiceRequest(StudioRequest):
    """A request about one voice."""

    project: Line


class SourceRequest(VoiceRequest):
    """A request about recordings: a folder, a table, or ``hub:owner/name``."""

    source: Source


class CutRequest(SourceRequest):
    """A request to cut recordings and to write down what is said.

    :param model: size or path of a Whisper.
    """

    language: Annotated[str, Field(pattern=r"^[a-z]{2,8}$")] = "en"
    model: Source = "medium"


class RecipeRequest(SourceRequest):
    """The answers that a recipe is written from."""

    engine: Line
    template: Line = ""
    base: Line = ""
    language: Annotated[str, Field(pattern=r"^([a-z]{2,8})?$")] = ""
    person: Line = ""
    statement: Line = ""


class TextRequest(VoiceRequest):
    """A recipe as the user edited it."""

    text: str = Field(max_length=50_000)


class SayRequest(VoiceRequest):
    """A text to speak."""

    text: Annotated[str, Field(min_length=1, max_length=4_096)]
    seed: int = Field(0, ge=0)


class CompareRequest(VoiceRequest):
    """Texts for the blind test; none takes those of the held-out recordings."""

    texts: list[Line] = Field([], max_length=50)


class ExportRequest(VoiceRequest):
    """A voice for other software."""

    target: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    directory: Source


class PushRequest(VoiceRequest):
    """A voice for the Hub."""

    repository: Annotated[str, Field(pattern=r"^[\w.][\w.-]*(/[\w.][\w.-]*)?$")]
    target: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")] = "voice"
    public: bool = False


def _added(workshop: Workshop, words: list[str], project: str, ok_codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
    job = workshop.queue.add(words, checked_name(project), ok_codes)
    return {"job": job.number, "command": job.command}


def _examine(workshop: Workshop, request: SourceRequest) -> dict[str, Any]:
    words = commands.examine(workshop.folder, request.project, request.source)
    return _added(workshop, words, request.project, (0, 1))


def _cut(workshop: Workshop, request: CutRequest) -> dict[str, Any]:
    _added(workshop, commands.cut(workshop.folder, request.project, request.source), request.project)
    words = commands.transcribe(workshop.folder, request.project, request.language, request.model)
    return {**_added(workshop, words, request.project), "source": f"clips/{request.project}"}


def _recipe(workshop: Workshop, request: RecipeRequest) -> dict[str, Any]:
    path = workshop.folder.recipe(request.project)
    answers = Answers(
        voice=request.project, engine=request.engine, template=request.template, source=request.source,
        base=request.base, language=request.language, person=request.person, statement=request.statement,
    )  # fmt: skip
    text = recipe_text(answers)
    if path.exists() and not workshop.wrote(path):
        raise VtuneError(f"{path.name} was edited since the page wrote it, and is kept: edit the recipe below")
    problems = write_recipe(path, text)
    workshop.note(path)
    return {"file": path.name, "text": text, "problems": problems}


def _recipe_text(workshop: Workshop, request: TextRequest) -> dict[str, Any]:
    path = workshop.folder.recipe(request.project)
    return {"file": path.name, "text": request.text, "problems": write_recipe(path, request.text)}


def _on_recipe(verb: str) -> Callable[[Workshop, VoiceRequest], dict[str, Any]]:
    def add(workshop: Workshop, request: VoiceRequest) -> dict[str, Any]:
        path = workshop.folder.recipe(request.project)
        if request.project != commands.QUICKSTART:
            if not path.is_file():
                raise VtuneError(f"there is no recipe {shown(path.name)} yet; write it in the step before")
            if problems := problems_of(path):
                raise VtuneError(problems[0])
        return _added(workshop, commands.on_recipe(verb, workshop.folder, request.project), request.project)

    return add


def _say(workshop: Workshop, request: SayRequest) -> dict[str, Any]:
    number = workshop.next_spoken()
    words = commands.say(workshop.folder, request.project, request.text, request.seed, number)
    return {**_added(workshop, words, request.project), "sound": f"/sound/spoken/{number}"}


def _compare(workshop: Workshop, request: CompareRequest) -> dict[str, Any]:
    texts = [text for text in request.texts if text.strip()]
    return _added(workshop, commands.compare(workshop.folder, request.project, texts), request.project)


def _export(workshop: Workshop, request: ExportRequest) -> dict[str, Any]:
    return _added(workshop, commands.export(request.project, request.target, request.directory), request.project)


def _push(workshop: Workshop, request: PushRequest) -> dict[str, Any]:
    words = commands.push(request.project, request.repository, request.target, public=request.public)
    return _added(workshop, words, request.project)


def _stop(workshop: Workshop, request: JobRequest) -> dict[str, Any]:
    workshop.queue.stop(request.number)
    return {}


def _again(workshop: Workshop, request: JobRequest) -> dict[str, Any]:
    return {"job": workshop.queue.again(request.number).number}


ACTIONS: dict[str, tuple[type[Any], Callable[[Workshop, Any], dict[str, Any]]]] = {
    "look": (SourceRequest, lambda workshop, request: workshop.look(request.source)),
    "examine": (SourceRequest, _examine),
    "cut": (CutRequest, _cut),
    "recipe": (RecipeRequest, _recipe),
    "recipe-text": (TextRequest, _recipe_text),
    "plan": (VoiceRequest, _on_recipe("plan")),
    "run": (VoiceRequest, _on_recipe("run")),
    "review": (SourceRequest, lambda workshop, request: {"url": workshop.review(request.source)}),
    "say": (SayRequest, _say),
    "evaluate": (VoiceRequest, lambda w, request: _added(w, commands.evaluate(request.project), request.project)),
    "compare": (CompareRequest, _compare),
    "serve": (EmptyRequest, lambda workshop, _: _added(workshop, commands.serve(), "all-voices")),
    "export": (ExportRequest, _export),
    "push": (PushRequest, _push),
    "stop": (JobRequest, _stop),
    "again": (JobRequest, _again),
}
"""Request model and function of each action. To add one, add its request, its function, and an entry here."""


def run_action(workshop: Workshop, action: str, body: bytes) -> dict[str, Any]:
    """Run one action and return the answer for the page.

    :param action: key of ``ACTIONS``.
    :param body: the request as JSON.
    :raises ValidationError: the request is not valid. VtuneError: the action is not possible.
    """
    model, function = ACTIONS[action]
    return function(workshop, model.model_validate_json(body))
