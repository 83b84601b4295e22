"""Push an exported voice to the Hub: private unless the user says otherwise, in one commit, over vtune's files only."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vtune.errors import VoiceError, in_a_line, printable, shown
from vtune.export.publishable import publishable_files
from vtune.runtime.progress import logged_step

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)

RepoType = Literal["model", "space"]

_OWN_FILES = frozenset({"voice.json", "export.json", "voice/voice.json"})
"""A repository with one of these was pushed by vtune."""

_EMPTY_REPOSITORY = frozenset({".gitattributes", "README.md"})
"""What the Hub itself puts into a new repository."""


@dataclass(frozen=True, slots=True)
class HubTarget:
    """A repository to push to, looked at before anything is written.

    :param repository: ``owner/name``.
    :param exists: whether the repository is there already.
    :param private: whether the repository that exists is private.
    :param files: paths of the files in it.
    """

    repository: str
    repo_type: RepoType
    public: bool
    exists: bool = False
    private: bool = True
    files: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PushedVoice:
    """What was pushed: the page's address and the commit."""

    url: str
    commit: str
    private: bool

    def lines(self, repository: str, repo_type: RepoType) -> list[str]:
        """Return the lines that a user reads."""
        seen = "private: only you and those you invite see it" if self.private else "public: everybody sees it"
        use = [f"vtune say hub:{repository} 'Hello.'"] if repo_type == "model" else []
        return [f"{self.url} (commit {self.commit[:8]}; {seen})", *use]


def open_hub_target(repository: str, repo_type: RepoType, *, public: bool) -> HubTarget:
    """Look at the repository to push to, before the export's long work begins.

    :param repository: ``owner/name``, or a name alone for the user's own.
    :param public: whether the user asked for a public repository.
    :raises VoiceError: nobody is logged in, the Hub cannot be reached, the repository holds other files, or it is
        public and the user did not ask for that.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined] # it is exported, but not declared

    api = HfApi()
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise VoiceError(
            f"--push {shown(repository)}: a repository is owner/name, of letters, digits, '-', '_' and '.'"
        ) from error
    with _hub_errors(repository):
        user = str(api.whoami()["name"])
    name = repository if "/" in repository else f"{user}/{repository}"
    with _hub_errors(name):
        try:
            info: Any = api.repo_info(name, repo_type=repo_type)
        except RepositoryNotFoundError:
            return HubTarget(name, repo_type, public)
    files = frozenset(file.rfilename for file in info.siblings or ())
    target = HubTarget(name, repo_type, public, True, bool(info.private), files)
    _require_own(target)
    return target


def _require_own(target: HubTarget) -> None:
    if not target.files & _OWN_FILES and target.files - _EMPTY_REPOSITORY:
        raise VoiceError(
            f"{target.repository} holds other files than a voice ({shown(min(target.files - _EMPTY_REPOSITORY))}), and "
            "they are left alone; push to another name"
        )
    if not target.private and not target.public:
        raise VoiceError(
            f"{target.repository} is public, so everybody would hear this voice: say --public if that is what you "
            "want, or push to another name"
        )


def push(directory: Path, target: HubTarget, name: str) -> PushedVoice:
    """Upload every file of an exported folder in one commit; samples of an earlier push that are gone are deleted.

    A new repository is private until the commit is complete, and stays private unless the user asked for a public one.

    :param name: of the voice, for the commit's message.
    :raises VoiceError: the Hub refuses, or cannot be reached; what was pushed before stays as it was.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi()
    files = dict(publishable_files(directory))
    stale = sorted(path for path in target.files - files.keys() if path.rpartition("/")[0].endswith("samples"))
    operations: list[Any] = [CommitOperationAdd(path, content) for path, content in files.items()]
    operations += [CommitOperationDelete(path) for path in stale]
    sdk: dict[str, Any] = {"space_sdk": "gradio"} if target.repo_type == "space" else {}
    with _hub_errors(target.repository), logged_step(f"Pushing {name} to {target.repository}: {len(files)} files"):
        if not target.exists:
            api.create_repo(target.repository, repo_type=target.repo_type, private=True, exist_ok=True, **sdk)
        commit = api.create_commit(
            target.repository, operations, repo_type=target.repo_type, commit_message=f"{name}, a voice made by vtune"
        )
        if target.public and target.private:
            api.update_repo_settings(target.repository, repo_type=target.repo_type, private=False)
    return PushedVoice(_page(api, target), str(commit.oid), not target.public)


def _page(api: HfApi, target: HubTarget) -> str:
    kind = "spaces/" if target.repo_type == "space" else ""
    return f"{api.endpoint}/{kind}{target.repository}"


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """Turn every failure of the Hub's client into one line with advice."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    try:
        yield
    except VoiceError:
        raise
    except LocalTokenNotFoundError as error:
        raise VoiceError("--push needs a login of the Hub with the right to write: run 'hf auth login'") from error
    except HfHubHTTPError as error:
        raise VoiceError(_refusal(repository, error)) from error
    except Exception as error:  # the Hub's client lets errors of its HTTP library through, which differ by version
        raise VoiceError(
            f"{repository}: the Hub cannot be reached ({printable(in_a_line(error))[:160]}); check the connection, and "
            "run the same command again"
        ) from error


def _refusal(repository: str, error: Any) -> str:
    status = error.response.status_code if error.response is not None else 0
    if status == 401:
        return "the Hub does not accept the login: run 'hf auth login' with a token that has the right to write"
    if status == 403:
        return (
            f"{repository}: the Hub does not let this login write there (403): check the owner's name and the token's "
            "rights"
        )
    if status >= 500:
        return (
            f"{repository}: the Hub has a fault of its own ({status}): try again later "
            "(https://status.huggingface.co); nothing of an earlier push was changed"
        )
    # The client's text ends with advice for programmers: an address of the HTTP standard, the number of the request.
    message = getattr(error, "server_message", None) or str(error).partition("For more information")[0]
    why = printable(in_a_line(message))[:160]
    return f"{repository}: the Hub refuses ({status}, {why}); nothing of an earlier push was changed"
