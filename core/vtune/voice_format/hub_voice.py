"""Fetch a voice from the Hub: ``hub:owner/name``, a stranger's voice of which only data files are taken.

Only the files that speaking needs are downloaded, each of a kind that runs no code, and only after their sizes are
known. The commit is looked up once, so that all files are of one version. What the files hold is checked where they are
read, as for every voice.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vtune.errors import VoiceError, in_a_line, printable, shown
from vtune.runtime.paths import VoiceFolder
from vtune.runtime.untrusted import MAX_TEXT_BYTES

logger = logging.getLogger(__name__)

HUB_PREFIX = "hub:"
"""What the name of a voice on the Hub begins with."""

VOICE_FILES = (
    "voice.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "model.safetensors",
    "conditioning.safetensors",
    "recipe.yaml",
    "scores.json",
    "README.md",
    "LICENCE-NOTE.md",
)
"""The only files of a repository that are downloaded."""

MAX_WEIGHTS_BYTES = 20_000_000_000
"""Bytes of the weights of one voice; the largest full fine-tuning of this project's engines writes 13 GB."""

_NAME = re.compile(r"([\w.-]+)/([\w.-]+?)(?:@([\w./-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class HubName:
    """The name of a voice on the Hub.

    :param repository: ``owner/name``.
    :param revision: branch, tag or commit; None for the main branch.
    """

    repository: str
    revision: str | None = None


def is_hub_name(name: str) -> bool:
    """Return whether a text names one voice on the Hub; a mix of such voices does not."""
    return name.startswith(HUB_PREFIX) and _NAME.fullmatch(name[len(HUB_PREFIX) :]) is not None


def parse_hub_name(name: str) -> HubName:
    """Parse ``hub:owner/name`` or ``hub:owner/name@revision``. :raises VoiceError: the text is something else."""
    match = _NAME.fullmatch(name.removeprefix(HUB_PREFIX)) if name.startswith(HUB_PREFIX) else None
    if match is None or ".." in name:
        raise VoiceError(
            f"{shown(name)} is no voice on the Hub: write hub:owner/name, or hub:owner/name@revision for one version"
        )
    return HubName(f"{match[1]}/{match[2]}", match[3])


@lru_cache(maxsize=64)
def fetch_hub_voice(name: str) -> VoiceFolder:
    """Download a voice from the Hub into the Hub's cache, or find it there, and return its folder.

    Without a connection, or with ``HF_HUB_OFFLINE=1``, the version in the cache is used.
    One process looks once, so all that it does is done with one version.

    :param name: ``hub:owner/name`` with or without ``@revision``.
    :raises VoiceError: the repository cannot be reached, is not a voice, or has a file of an impossible size.
    """
    from huggingface_hub import snapshot_download

    hub_name = parse_hub_name(name)
    commit = _checked_commit(hub_name)
    try:
        path = snapshot_download(
            hub_name.repository,
            revision=commit or hub_name.revision or _newest_in_cache(hub_name.repository),
            allow_patterns=list(VOICE_FILES),
            local_files_only=commit is None,
        )
    except Exception as error:  # the Hub's client lets errors of its HTTP library through, which differ by version
        raise _unreachable(hub_name, error) from error
    folder = VoiceFolder(Path(path))
    if not folder.record.is_file():
        raise _no_voice(hub_name, ())
    return folder


def _checked_commit(hub_name: HubName) -> str | None:
    """Return the commit after a look at the sizes of its files; None if the Hub cannot be reached.

    :raises VoiceError: the repository does not exist, is not a voice, or has a file of an impossible size.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = HfApi().model_info(hub_name.repository, revision=hub_name.revision, files_metadata=True)
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code >= 500:
            logger.warning("the Hub answers with an error (%s); using the voice in the cache", in_a_line(error)[:100])
            return None
        raise _unreachable(hub_name, error) from error
    except Exception as error:  # no connection: see above
        logger.info("the Hub cannot be reached (%s); using the voice in the cache", in_a_line(error)[:100])
        return None
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    if "voice.json" not in sizes:
        raise _no_voice(hub_name, tuple(sizes))
    total = _require_sizes(hub_name, sizes)
    logger.info(
        "%s at commit %s: %.1f MB. Treated as a stranger's voice: it runs no code, and vtune cannot check the consent "
        "that it states", hub_name.repository, str(info.sha)[:8], total / 1e6,
    )  # fmt: skip
    return str(info.sha)


def _newest_in_cache(repository: str) -> str | None:
    """Return the commit of a repository that was downloaded last; None if there is none."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cached = [repo for repo in scan_cache_dir().repos if (repo.repo_type, repo.repo_id) == ("model", repository)]
    except CacheNotFound:
        return None
    revisions = [revision for repo in cached for revision in repo.revisions]
    return max(revisions, key=lambda revision: revision.last_modified).commit_hash if revisions else None


def _require_sizes(hub_name: HubName, sizes: Mapping[str, int]) -> int:
    """Return the bytes to download. :raises VoiceError: a file is larger than any voice's."""
    total = 0
    for file in VOICE_FILES:
        limit = MAX_WEIGHTS_BYTES if file.endswith(".safetensors") else MAX_TEXT_BYTES
        size = sizes.get(file, 0)
        if size > limit:
            raise VoiceError(
                f"hub:{hub_name.repository}: {file} has {size:,} bytes, at most {limit:,} are allowed; nothing was "
                "downloaded"
            )
        total += size
    return total


def _no_voice(hub_name: HubName, files: tuple[str, ...]) -> VoiceError:
    instead = "the repository has no voice.json"
    if "voice/voice.json" in files:
        instead = "the repository is an export for other software; its maker can push the voice itself (--to voice)"
    return VoiceError(f"hub:{hub_name.repository} is no voice of vtune: {instead}")


def _unreachable(hub_name: HubName, error: Exception) -> VoiceError:
    return VoiceError(
        f"hub:{hub_name.repository}{_at(hub_name)} cannot be downloaded ({printable(_first_line(error))[:160]}); check "
        "the name, and for a private or gated voice run 'hf auth login'"
    )


def _at(hub_name: HubName) -> str:
    return f"@{hub_name.revision}" if hub_name.revision else ""


def _first_line(error: Any) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    reasons = {401: "401, it does not exist or needs a login", 403: "403, no access", 404: "404, it does not exist"}
    return reasons.get(status, in_a_line(error)) if isinstance(status, int) else in_a_line(error)
