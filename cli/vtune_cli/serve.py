"""``vtune serve``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import base_options, engine_options, voices_option
from vtune_cli.output import echo


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True,
    help="Address to serve at. An address that other machines can reach needs API keys.",
)  # fmt: skip
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port; 0 takes a free port.",
)
@click.option(
    "--backend", default="in-process", show_default=True, metavar="in-process|vllm|URL",
    help="Where speech is computed: in this process, with any engine; vllm starts a vLLM; URL names a running vLLM.",
)  # fmt: skip
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="YAML file with aliases and limits.")
@click.option(
    "--keys", type=click.Path(dir_okay=False, path_type=Path),
    help="File of API keys, one per line. VTUNE_API_KEYS may hold further keys, separated by commas.",
)  # fmt: skip
@click.option("--log-text", is_flag=True, help="Log the texts that are spoken.")
@base_options
@voices_option
def serve(
    host: str, port: int, backend: str, config: Path | None, keys: Path | None, log_text: bool, device: str,
    options: tuple[str, ...], folder: Path,
) -> None:  # fmt: skip
    """Serve every voice of a folder over HTTP with OpenAI's speech API.

    --voices may also name voices of the Hub, separated by commas: hub:owner/anna,hub:owner/ben.
    """
    from vtune.serve import serve as serve_voices
    from vtune.serve.hub_voices import voices_folder

    def started(url: str) -> None:
        echo(url)
        echo("Press Ctrl-C to end; voices that are added or removed are noticed")

    with voices_folder(str(folder)) as opened:
        serve_voices(
        opened, host=host, port=port, backend=backend, config=config, keys=keys, device=device,
        options=engine_options(options), log_text=log_text, started=started,
    )  # fmt: skip
