"""``vtune export``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from vtune.export.targets import TARGETS
from vtune_cli.arguments import base_options, engine_options, voices_option
from vtune_cli.output import echo

PUSHED_TARGET = "voice"
"""What ``--push`` writes if the user names no target."""


@click.command()
@click.argument("voice")
@click.argument("directory", type=click.Path(path_type=Path), required=False)
@click.option(
    "--to", "target", metavar="TARGET",
    help="; ".join(f"{name}: {target.description}" for name, target in TARGETS.items()) + "; or a target of the "
    "voice's engine or of an extension, which `vtune plugins` lists. With --push the default is "
    f"{PUSHED_TARGET}.",
)  # fmt: skip
@click.option(
    "--dtype", type=click.Choice(sorted({dtype for target in TARGETS.values() for dtype in target.dtypes})),
    help="Format of the weights; default: the target's own, bf16 for a merged model that plain transformers loads.",
)  # fmt: skip
@click.option(
    "--push", "repository", metavar="OWNER/NAME",
    help="Upload the result to the Hub, to a private repository; a target space becomes a Space. DIRECTORY may be "
    "left out then.",
)  # fmt: skip
@click.option("--public", is_flag=True, help="With --push: publish, so that everybody can hear and download the voice.")
@click.option(
    "--without-consent", metavar="SENTENCE",
    help="Export a voice that states no consent, on your own responsibility; the error says which sentence to give.",
)  # fmt: skip
@base_options
@voices_option
def export(
    voice: str, directory: Path | None, target: str | None, dtype: str | None, repository: str | None, public: bool,
    without_consent: str | None, device: str, options: tuple[str, ...], folder: Path,
) -> None:  # fmt: skip
    """Write VOICE into DIRECTORY in a format of other software, with a model card, and push it to the Hub if asked.

    The files are read back and must answer as the voice does.
    """
    if public and repository is None:
        raise click.UsageError("--public needs --push OWNER/NAME")
    if repository is None and (directory is None or target is None):
        raise click.UsageError("give DIRECTORY and --to TARGET, or --push OWNER/NAME")
    from vtune.export.export import ExportRequest, export_and_push
    from vtune.export.export import export as export_voice
    from vtune.voice_format.record import find_voice

    found = find_voice(voice, folder)
    with ExitStack() as stack:
        # The last part of the name becomes the folder's, which the card's commands name.
        name = (repository or "voice").rpartition("/")[2]
        directory = directory or Path(stack.enter_context(TemporaryDirectory(prefix="vtune-push-"))) / name
        if repository is None:
            exported = export_voice(
                found, directory, str(target),
                dtype=dtype, without_consent=without_consent, device=device, options=engine_options(options),
            )  # fmt: skip
            lines = list(exported.lines())
        else:
            request = ExportRequest(
                found, directory, target or PUSHED_TARGET, dtype, without_consent, device, engine_options(options)
            )
            lines = export_and_push(request, repository, public=public)
    for line in lines:
        echo(line)
