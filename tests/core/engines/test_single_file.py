"""A Python file may be an engine only if the user named it; a file that only a voice or a run names is never
imported."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from vtune.engines import (
    engine_files,
    import_engine_files,
    load_engine,
    load_foreign_recipe,
    load_recipe,
    use_engine_file,
)
from vtune.engines.single_file import came_with
from vtune.errors import EngineError, RecipeError


@pytest.fixture
def project(tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a current folder with an engine file that writes a mark when it is executed."""
    folder = tmp_path / "project"
    write_engine(folder / "mine.py", engine)
    monkeypatch.chdir(folder)
    return folder


def write_engine(path: Path, engine: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n{engine}")


def write_recipe(path: Path, engine: str = "./mine.py", **further: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = {"voice": "a", "engine": engine, "data": "[{source: x}]", **further}
    path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items() if value))
    return path


def ran(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.ran"))


def refusal(recipe: Path | str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, overrides)
    (message,) = caught.value.problems
    assert "runs only if you name it" in message or "no engine file" in message
    return message


def test_a_file_runs_when_the_users_own_recipe_names_it(project):
    recipe = load_recipe(write_recipe(Path("r.yaml")))
    assert (recipe.engine, ran(project)) == ("./mine.py", ["mine.ran"])
    assert load_engine("./mine.py").info.sample_rate == 8000


def test_a_file_runs_when_the_user_types_it_over_the_recipes_engine(project):
    assert load_recipe(write_recipe(Path("r.yaml"), "toy"), ["engine=./mine.py"]).engine == "./mine.py"
    assert ran(project) == ["mine.ran"]


def test_a_file_that_nobody_named_never_runs(project):
    with pytest.raises(EngineError, match=r"^engine './mine.py' is a Python file.*--engine-file PATH/mine.py$"):
        load_engine("./mine.py")
    assert ran(project) == []


def test_a_recipe_that_is_only_looked_at_runs_no_file_until_the_user_names_it(project):
    recipe = write_recipe(Path("r.yaml"))
    with pytest.raises(
        RecipeError, match=r"^r.yaml:2: engine './mine.py' is a Python file, which vtune runs only if you name it"
    ):
        load_foreign_recipe(recipe)
    assert ran(project) == []
    use_engine_file("mine.py")
    assert load_foreign_recipe(recipe).engine == "./mine.py"
    assert ran(project) == ["mine.ran"]


FOREIGN = {
    "voice.json": "voices/x/voice.json",
    "adapter": "voices/x/adapter_config.json",
    "merged": "voices/x/model.safetensors",
    "run": "voices/x/ledger.jsonl",
    "young run": "voices/x/checkpoints/one/identity.json",
    "run that has begun": "voices/x/.lock",
}


@pytest.mark.parametrize("mark", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("below", ["", "deeper/still/"])
def test_a_recipe_in_somebodys_folder_runs_no_file(project, engine, mark, below):
    Path(mark).parent.mkdir(parents=True)
    Path(mark).touch()
    write_recipe(Path("voices/x/recipe.yaml"), "toy")
    write_engine(Path(f"voices/x/{below}mine.py"), engine)
    refusal(write_recipe(Path(f"voices/x/{below}r.yaml")))
    refusal(write_recipe(Path(f"voices/x/{below}r.yaml"), str(project / "mine.py")))
    assert ran(project) == []


def test_a_recipe_in_the_hubs_cache_runs_no_file(project, engine):
    folder = Path("hub/models--stranger--voice/snapshots/abc")
    write_engine(folder / "mine.py", engine)
    refusal(write_recipe(folder / "r.yaml"))
    assert ran(project) == []


@pytest.fixture
def voice(project: Path, engine: str) -> Path:
    """Write a stranger's voice folder that contains an engine file."""
    folder = project / "voices" / "x"
    write_engine(folder / "evil.py", engine)
    (folder / "voice.json").touch()
    return folder


def test_the_users_recipe_inherits_no_file_from_a_voice(project, voice):
    write_recipe(voice / "recipe.yaml", "evil.py")
    for name in ("evil.py", "voices/x/evil.py", "mine.py"):
        write_recipe(voice / "recipe.yaml", name)
        refusal(write_recipe(Path("r.yaml"), "", extends="voices/x/recipe.yaml"))
        refusal(write_recipe(Path("deeper.yaml"), "", extends="r.yaml"))
    assert ran(project) == []
    # What the user's own recipe says over it is the user's.
    assert load_recipe(write_recipe(Path("r.yaml"), "./mine.py", extends="voices/x/recipe.yaml")).engine == "./mine.py"
    write_recipe(Path("r.yaml"), "", extends="voices/x/recipe.yaml")
    assert load_recipe("r.yaml", ["engine=./mine.py"]).engine == "./mine.py"
    assert ran(project) == ["mine.ran"]


def test_the_users_recipe_inherits_a_file_from_another_of_the_users(project):
    write_recipe(Path("below/base.yaml"), "../mine.py")
    assert load_recipe(write_recipe(Path("r.yaml"), "", extends="below/base.yaml")).engine.endswith("mine.py")
    assert ran(project) == ["mine.ran"]


@pytest.mark.parametrize("engine_name", ["voices/x/evil.py", "link/evil.py", "linked.py"])
def test_the_users_recipe_runs_no_file_that_lies_in_a_voice(project, voice, engine_name):
    (project / "link").symlink_to(voice)
    (project / "linked.py").symlink_to(voice / "evil.py")
    refusal(write_recipe(Path("r.yaml"), engine_name))
    refusal(write_recipe(Path("r.yaml"), "toy"), f"engine={engine_name}")
    assert ran(project) == []


def test_a_linked_recipe_is_where_it_leads_and_where_it_lies(project, voice):
    write_recipe(voice / "recipe.yaml", "mine.py")
    (project / "r.yaml").symlink_to(voice / "recipe.yaml")
    refusal("r.yaml")
    write_recipe(project / "own.yaml")
    (voice / "own.yaml").symlink_to(project / "own.yaml")
    refusal(voice / "own.yaml")
    assert ran(project) == []


def test_the_current_folder_is_no_place_for_the_engine_of_a_recipe_that_lies_elsewhere(project, voice, monkeypatch):
    (voice / "evil.py").rename(voice / "mine.py")
    write_recipe(project / "r.yaml")
    monkeypatch.chdir(voice)
    load_recipe(project / "r.yaml")
    assert ran(project) == ["mine.ran"]
    (project / "mine.py").unlink()
    monkeypatch.setattr("vtune.engines.single_file._named", [])
    refusal(project / "r.yaml")
    assert ran(project) == ["mine.ran"]


def test_a_file_in_a_voice_runs_when_the_user_names_that_very_file(project, voice):
    use_engine_file(voice / "evil.py")
    assert load_engine("anything/evil.py").info.sample_rate == 8000
    assert ran(project) == ["voices/x/evil.ran"]


def test_another_file_of_the_same_name_is_not_the_one_that_was_named(project, voice):
    (voice / "evil.py").rename(voice / "mine.py")
    use_engine_file("mine.py")
    load_engine("voices/x/mine.py")
    assert ran(project) == ["mine.ran"]


def test_of_two_named_files_the_path_decides_and_else_the_last(project, engine):
    for rate in (8000, 16000):
        write_engine(Path(f"{rate}/two.py"), engine.replace("8000", str(rate)))
        use_engine_file(f"{rate}/two.py")
    rates = [load_engine(name).info.sample_rate for name in ("8000/two.py", "16000/two.py", "gone/two.py")]
    assert rates == [8000, 16000, 16000]


@pytest.mark.parametrize("name", ["mine.txt", "mine", "mine.py/", "."])
def test_what_is_no_python_file_cannot_be_named(project, name):
    with pytest.raises(EngineError, match="is not an engine file"):
        use_engine_file(name)


def test_a_worker_process_may_run_what_its_parent_may(project):
    options = load_recipe(write_recipe(Path("r.yaml"), data="[{source: x}]")).engine_options
    assert load_engine("./mine.py").info.options is type(options), "it was imported twice"
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=import_engine_files, initargs=(engine_files(),)) as pool:
        assert pool.submit(engine_files).result() == (project / "mine.py",)
        assert pool.submit(repr, options).result() == repr(options)


def test_a_file_that_was_changed_is_another_engine(project, engine):
    use_engine_file("mine.py")
    assert load_engine("mine.py").info.sample_rate == 8000
    write_engine(Path("mine.py"), engine.replace("8000", "16000"))
    assert load_engine("mine.py").info.sample_rate == 16000


def test_a_folder_of_the_users_own_is_nobody_elses(project):
    for name in ("r.yaml", "config.json", "recipe.yaml", "weights.safetensors"):
        Path(name).touch()
    Path("runs").mkdir()
    assert came_with(Path("r.yaml")) is None
    Path("voice.json").touch()
    assert came_with(Path("r.yaml")) == f"the voice folder {project}"


def test_a_project_inside_a_voice_folder_says_which(project):
    Path("voice.json").touch()
    assert f"it comes with the voice folder {project}, which somebody else may have made" in refusal(
        write_recipe(Path("r.yaml"))
    )
    use_engine_file("mine.py")
    assert load_recipe("r.yaml").engine == "./mine.py"
