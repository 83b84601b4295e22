"""The requests of the review page and their answers: requests as models, clips as plain data."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from vtune.curation.review.clips import ReviewClip
from vtune.curation.review.review import Review
from vtune.dataset.sources.fragments import without_neighbours


class ReviewRequest(BaseModel):
    """Base of all requests: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class NoClipRequest(ReviewRequest):
    """A request without a clip."""


class ClipRequest(ReviewRequest):
    """A request about one clip.

    :param clip: number of the clip.
    """

    clip: int


class SeenClipRequest(ClipRequest):
    """A request about a clip as the listener saw it.

    :param was: the words that the listener saw; None skips this check.
    """

    was: str | None = None


class WordsRequest(SeenClipRequest):
    """A request to change the words of a clip."""

    text: str


class SplitRequest(SeenClipRequest):
    """A request to split a clip.

    :param at: seconds at which to cut.
    :param first: words of the first half; ``second`` those of the second half.
    """

    at: float
    first: str
    second: str


def _words(review: Review, request: WordsRequest) -> int | None:
    has_row = review.clip(request.clip).state == "kept"
    review.set_words(request.clip, request.text, request.was)
    return request.clip if has_row else None


def _approve(review: Review, request: SeenClipRequest) -> int | None:
    review.approve(request.clip, request.was)
    return request.clip


def _doubt(review: Review, request: ClipRequest) -> int | None:
    review.doubt(request.clip)
    return request.clip


def _drop(review: Review, request: ClipRequest) -> int | None:
    review.drop(request.clip)
    return request.clip


def _restore(review: Review, request: ClipRequest) -> int | None:
    review.restore(request.clip)
    return request.clip


def _split(review: Review, request: SplitRequest) -> dict[str, Any]:
    first, _ = review.split(request.clip, request.at, (request.first, request.second), request.was)
    return {"go": first}


def _undo(review: Review, request: NoClipRequest) -> dict[str, Any]:
    number = review.undo()
    return {"go": number} if number is not None else {"message": "There is nothing to undo"}


def _reread(review: Review, request: NoClipRequest) -> dict[str, Any]:
    review.read()
    return {"go": 0}


REVIEW_ACTIONS: dict[str, tuple[type[Any], Callable[[Review, Any], int | dict[str, Any] | None]]] = {
    "words": (WordsRequest, _words),
    "approve": (SeenClipRequest, _approve),
    "doubt": (ClipRequest, _doubt),
    "drop": (ClipRequest, _drop),
    "restore": (ClipRequest, _restore),
    "split": (SplitRequest, _split),
    "undo": (NoClipRequest, _undo),
    "reread": (NoClipRequest, _reread),
}
"""Request model and function of each action. If a function returns a number, the page updates only this clip.

To add an action, add its request, its function and an entry here.
"""


def run_action(review: Review, action: str, body: bytes) -> dict[str, Any]:
    """Run one action, and return the answer for the page.

    :param action: key of ``REVIEW_ACTIONS``.
    :param body: the request as JSON.
    :raises ValidationError: the request is not valid.
    :raises VtuneError: the action is not possible.
    """
    model, function = REVIEW_ACTIONS[action]
    result = function(review, model.model_validate_json(body))
    if isinstance(result, int):
        return {"clip": clip_data(review, review.clip(result)), "undo": review.undoable()}
    return {**(result or {"go": 0}), "undo": review.undoable()}


def review_data(review: Review, *, flagged: bool) -> dict[str, Any]:
    """Return all clips, and the other data that the page needs."""
    clips = review.clips()
    return {
        "title": clips.root.name or str(clips.root),
        "description": clips.description,
        "flagged": flagged,
        "clips": [clip_data(review, clip) for clip in list(clips.listed)],
        "undo": review.undoable(),
    }


def clip_data(review: Review, clip: ReviewClip) -> dict[str, Any]:
    """Return one clip as plain data for the page, without any path outside the source's folder."""
    root = review.clips().root
    audio = without_neighbours(clip.audio)
    name = os.path.relpath(audio, root) if clip.there else audio
    return {
        "n": clip.number,
        "name": name if not name.startswith("..") else os.path.basename(audio),
        "state": clip.state,
        "place": "" if clip.file is None else clip.file.name + (f":{clip.line}" if clip.in_table else ""),
        "text": clip.text,
        "flags": clip.flags,
        "problem": clip.problem,
        "seconds": clip.seconds,
        "there": clip.there,
        "approved": clip.approved,
        "edited": clip.edited,
    }
