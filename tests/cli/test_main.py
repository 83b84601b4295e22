from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import vtune as package
from vtune_cli.main import MODULES, VERBS

HEAVY = ("torch", "transformers", "numpy", "pydantic", "datasets", "peft")


def fresh(arguments: Sequence[str], path: Sequence[Path] = ()) -> tuple[int, str, str, set[str]]:
    """Run vtune in a new process; also return the modules that it imported."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('MODULES', *sys.modules, file=sys.stderr))\n"
        f"sys.argv = ['vtune', *{list(arguments)!r}]\n"
        "import vtune_cli\n"
        "vtune_cli.main(prog_name='vtune')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    errors, _, modules = done.stderr.rpartition("MODULES ")
    return done.returncode, done.stdout, errors, set(modules.split())


def test_help_lists_the_verbs_and_imports_none_of_them():
    status, out, errors, modules = fresh(["--help"])
    assert (status, errors) == (0, "")
    for verb, line in VERBS.items():
        assert f"  {verb} " in out
        assert line.split()[0] in out
    assert "click" in modules
    assert not modules & {"vtune", *HEAVY, *(f"vtune_cli.{MODULES.get(verb, verb)}" for verb in VERBS)}


def test_help_of_a_verb_imports_nothing_heavy():
    status, out, _, modules = fresh(["run", "--help"])
    assert status == 0
    assert "--launch" in out
    assert not modules & {"vtune", *HEAVY}


def test_a_recipe_for_an_unknown_engine_is_refused_without_torch(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("voice: a\nengine: tyo\ndata: [{source: x}]\n")
    status, _, errors, modules = fresh(["run", str(path)])
    assert status == 1
    assert errors.startswith(f"Error: {path}:2: no engine 'tyo' is installed; did you mean 'toy'?")
    assert len(errors.splitlines()) == 1
    assert "torch" not in modules


def test_a_recipe_is_checked_without_what_learns_or_reads_sound():
    status, out, errors, modules = fresh(["recipe", "check", "quickstart"])
    assert (status, errors) == (0, "")
    assert "no problems" in out
    assert not modules & {"torch", "transformers", "datasets", "peft", "av", "soundfile", "soxr", "scipy"}


def test_an_unknown_voice_is_refused_without_torch(tmp_path):
    voice = tmp_path / "voices" / "anna"
    voice.mkdir(parents=True)
    (voice / "adapter_config.json").write_text("{}")
    status, out, errors, modules = fresh(["say", "ana", "Hello.", "--voices", str(tmp_path / "voices")])
    assert (status, out) == (1, "")
    assert errors == f"Error: no voice 'ana' in {tmp_path / 'voices'}; did you mean 'anna'? (voices: anna)\n"
    assert not modules & {"torch", "transformers", "peft"}


def test_the_verbs_of_an_extension_are_listed_without_torch(tmp_path):
    info = tmp_path / "paint-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: paint\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vtune.plugins]\npaint = paint_extension\n")
    (tmp_path / "paint_extension.py").write_text(PAINT)
    status, out, _, modules = fresh(["--help"], [tmp_path])
    assert status == 0
    assert "paint" in out
    assert "torch" not in modules


PAINT = '''
import vtune

@vtune.hookimpl
def register_commands(cli):
    import click

    @cli.command()
    @click.argument("colour")
    def paint(colour):
        """Paint the voice."""
        if colour == "grey":
            raise vtune.VtuneError("grey is no colour")
        click.echo(f"painted {colour}")

    @cli.command()
    def run():
        """Take the place of vtune's own verb."""
'''


def test_every_verb_has_its_module_and_explains_itself(vtune):
    for verb in VERBS:
        result = vtune(verb, "--help")
        assert result.exit_code == 0
        assert result.output.startswith(f"Usage: main {verb} ")


def test_version_is_that_of_the_package(vtune):
    assert vtune("--version").output == f"vtune, version {package.__version__}\n"


@pytest.mark.parametrize(
    ("typo", "meant"), [("rnu", "run"), ("voice", "voices"), ("recipes", "recipe"), ("sya", "say")]
)
def test_a_typo_in_a_verb_suggests_the_nearest_and_exits_2(vtune, typo, meant):
    result = vtune(typo, "x.yaml")
    assert result.exit_code == 2
    assert f"There is no verb {typo!r}. Did you mean {meant!r}?" in result.stderr


def test_a_verb_like_no_other_is_refused_without_a_guess(vtune):
    result = vtune("qqqq")
    assert result.exit_code == 2
    assert result.stderr.endswith("There is no verb 'qqqq'.\n")


def test_an_unknown_option_exits_2(vtune):
    result = vtune("--no-such-option")
    assert result.exit_code == 2
    assert "No such option" in result.stderr


def test_an_extension_adds_its_verbs_to_the_help(vtune, install):
    install("paint", "vtune.plugins", PAINT)
    out = vtune("--help").output
    assert "paint" in out
    assert "Paint the voice." in out
    assert "Take the place" not in out
    assert out.count("  run ") == 1


def test_a_verb_of_an_extension_runs_and_its_mistakes_are_one_line(vtune, install):
    install("paint", "vtune.plugins", PAINT)
    assert vtune("paint", "red").output == "painted red\n"
    failed = vtune("paint", "grey")
    assert (failed.exit_code, failed.stderr) == (1, "Error: grey is no colour\n")
    assert vtune("paint").exit_code == 2
    assert "Did you mean 'paint'?" in vtune("piant").stderr


def test_an_extension_cannot_take_the_place_of_a_verb(vtune, install):
    install("paint", "vtune.plugins", PAINT)
    assert "--launch" in vtune("run", "--help").output


@pytest.mark.parametrize(
    "source", ["import no_such_library_anywhere", "raise SystemExit(7)", PAINT.replace("cli.", "c.")]
)
def test_a_broken_extension_does_not_cost_the_other_verbs(vtune, install, recipe, source):
    install("broken", "vtune.plugins", source)
    help_page = vtune("--help")
    assert help_page.exit_code == 0
    assert help_page.output.rstrip().splitlines()[-1].startswith("extension 'broken' (broken 1.0)")
    assert vtune("recipe", "list").exit_code == 0
    upload = vtune("upload")
    assert upload.exit_code == 2
    missing, reason = upload.stderr.splitlines()[-2:]
    assert missing.startswith("Error: There is no verb 'upload'.")
    assert reason.startswith("extension 'broken' (broken 1.0)")


def test_a_verb_that_another_has_is_told_with_both_owners(vtune, install):
    install("paint", "vtune.plugins", PAINT)
    install("rub", "vtune.plugins", PAINT)
    lines = vtune("--help").output.splitlines()
    assert "extension 'paint' (paint 1.0) adds the command 'run', which vtune has already" in lines
    assert (
        "extension 'rub' (rub 1.0) adds the command 'paint', which extension 'paint' (paint 1.0) has already" in lines
    )


def test_a_bug_keeps_its_traceback(vtune, install):
    install("paint", "vtune.plugins", PAINT.replace('click.echo(f"painted {colour}")', "1 / 0"))
    with pytest.raises(ZeroDivisionError):
        vtune("paint", "red")


def test_a_file_that_the_system_refuses_is_one_line(vtune, install):
    source = (
        "import click, vtune\n@vtune.hookimpl\ndef register_commands(cli):\n"
        "    cli.command('reach')(lambda: open('/nowhere/at/all'))\n"
    )
    install("reaching", "vtune.plugins", source)
    result = vtune("reach")
    assert result.exit_code == 1
    assert result.output == "Error: /nowhere/at/all: No such file or directory\n"


@pytest.mark.parametrize("error", ["RuntimeError('CUDA out of memory. Tried to allocate 2 GiB.')", "MemoryError()"])
def test_memory_that_runs_out_is_one_line_with_advice(vtune, install, error):
    source = (
        "import click, vtune\n@vtune.hookimpl\ndef register_commands(cli):\n"
        f"    @cli.command('fill')\n    def fill():\n        raise {error}\n"
    )
    install("filling", "vtune.plugins", source)
    result = vtune("fill")
    assert result.exit_code == 1
    assert result.output.startswith("Error: out of memory (")
    assert result.output.endswith("or use --device cpu\n")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("verb", ["run", "train"])
def test_launch_starts_the_verb_in_several_processes(vtune, recipe, monkeypatch, verb):
    launched = []

    def launch(command, processes):
        launched.append((command, processes))
        raise SystemExit(0)

    monkeypatch.setattr("vtune.runtime.distributed.launch.launch", launch)
    assert vtune(verb, str(recipe), "train.epochs=1", "--launch", "2").exit_code == 0
    assert launched == [([verb, str(recipe), "train.epochs=1", "train.world_size=2"], 2)]


def test_a_mistake_in_the_recipe_is_reported_before_processes_start(vtune, recipe):
    result = vtune("train", str(recipe), "train.epohcs=1", "--launch", "2")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "did you mean 'epochs'" in result.stderr
