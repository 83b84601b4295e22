from __future__ import annotations

import logging
import sys

import pytest

import vtune
from vtune.engines import installed_engines, load_engine, load_recipe, load_users_engine, use_engine_file
from vtune.errors import EngineError, RecipeError, shown


def refusal(name: str) -> str:
    with pytest.raises(EngineError) as caught:
        load_engine(name)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_an_installed_engine_is_found_and_names_its_distribution(install, engine):
    install("acme-speech", "vtune.engines", {"acme": "acme_engine"}, acme_engine=engine)
    result = load_engine("acme")
    assert (result.name, result.origin) == ("acme", "acme-speech 1.0")
    assert result.info.options().size == 1


def test_the_messages_of_an_engine_are_shown_when_those_of_vtune_are(install, engine, tmp_path, monkeypatch):
    monkeypatch.setattr(logging.getLogger("vtune"), "level", logging.INFO)
    install("acme", "vtune.engines", {"acme": "acme_engine"}, acme_engine=engine)
    load_engine("acme")
    assert logging.getLogger("acme_engine.training").isEnabledFor(logging.INFO)

    file = tmp_path / "own_engine.py"
    file.write_text(engine)
    use_engine_file(file)
    load_engine(str(file))
    (name,) = (name for name in sys.modules if name.startswith("vtune_engine_file_own_engine_"))
    assert logging.getLogger(name).isEnabledFor(logging.INFO)


def test_an_engine_may_lie_in_a_package(install, engine, tmp_path):
    install("acme", "vtune.engines", {"acme": "acme_pack.inner.engine"})
    inner = tmp_path / "site" / "acme_pack" / "inner"
    inner.mkdir(parents=True)
    (inner / "engine.py").write_text(engine)
    assert load_engine("acme").info.sample_rate == 8000


def test_an_unknown_engine_suggests_the_nearest_and_lists_the_installed(install, engine):
    install("acme", "vtune.engines", {"acme": "acme_engine"}, acme_engine=engine)
    message = refusal("acmee")
    assert message.startswith("no engine 'acmee' is installed; did you mean 'acme'? (installed: acme, ")
    assert "toy" in message


@pytest.mark.parametrize("name", ["", " ", "x" * 10_000, "a\nb", "a\0b", "../toy", "toy ", "TOY", "\ud800"])
def test_a_name_that_is_no_engine_is_told_on_one_short_line(name):
    assert len(refusal(name)) < 300


def test_nothing_is_imported_to_know_what_is_installed(install):
    install("broken", "vtune.engines", {"broken": "broken_engine"}, broken_engine="raise RuntimeError('imported')")
    assert "broken" in installed_engines()
    assert "broken_engine" not in sys.modules


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_library_anywhere", "ModuleNotFoundError: No module named 'no_such_library_anywhere'"),
        ("from vtune import no_such_name", "ImportError: cannot import name 'no_such_name'"),
        ("raise RuntimeError('a driver\\n  is too old')", "RuntimeError: a driver is too old"),
        ("raise ValueError", "ValueError: "),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("x = 1 / 0", "ZeroDivisionError: division by zero"),
        ("\0", "source code string cannot contain null bytes"),
    ],
)
def test_an_engine_that_cannot_be_imported_says_why_and_who_ships_it(install, source, reason):
    install("acme-speech", "vtune.engines", {"acme": "acme_engine"}, acme_engine=source)
    message = refusal("acme")
    assert message.startswith("engine 'acme' (acme-speech 1.0) cannot be imported: ")
    assert reason in message
    assert message.endswith("; reinstall or uninstall it")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("acme_engine:Engine", "names 'acme_engine:Engine', which is not a module"),
        ("acme_engine:engine_info", "names 'acme_engine:engine_info', which is not a module"),
        ("acme_engine:nothing", "cannot be imported: AttributeError: "),
        ("acme_nothing", "cannot be imported: ModuleNotFoundError: No module named 'acme_nothing'"),
        ("not a module", "cannot be imported: "),
        ("", "cannot be imported: "),
    ],
)
def test_an_entry_point_must_name_a_module(install, engine, value, told):
    install("acme", "vtune.engines", {"acme": value}, acme_engine=engine + "class Engine: pass\n")
    error = refusal("acme")
    assert error.startswith("engine 'acme' (acme 1.0) ")
    assert told in error


def test_a_distribution_without_metadata_is_still_named_somehow(install, tmp_path):
    install("acme", "vtune.engines", {"acme": "acme_nothing"})
    (tmp_path / "site" / "acme-1.0.dist-info" / "METADATA").unlink()
    assert refusal("acme").startswith("engine 'acme' (unknown distribution) cannot be imported: ")


def test_two_distributions_with_one_name_are_a_clash_of_that_name_only(install, engine):
    install("acme-one", "vtune.engines", {"acme": "acme_a", "single": "acme_a"}, acme_a=engine)
    install("acme-two", "vtune.engines", {"acme": "acme_b"}, acme_b=engine)
    message = refusal("acme")
    assert message.startswith("engine 'acme' is offered by ")
    assert "acme-one 1.0" in message
    assert "acme-two 1.0" in message
    assert "uninstall" in message
    assert load_engine("single").origin == "acme-one 1.0"
    assert load_engine("toy").name == "toy"


def test_a_distribution_that_is_declared_twice_is_no_clash(install, engine, tmp_path, monkeypatch):
    install("acme", "vtune.engines", {"acme": "acme_engine"}, acme_engine=engine)
    info = tmp_path / "site" / "acme-1.0.dist-info"
    other = tmp_path / "other" / info.name
    other.mkdir(parents=True)
    for file in info.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    monkeypatch.syspath_prepend(str(other.parent))
    assert load_engine("acme").origin == "acme 1.0"


def test_a_broken_engine_disturbs_no_other(install, engine):
    install("broken", "vtune.engines", {"broken": "broken_engine"}, broken_engine="import no_such_library_anywhere")
    install("acme", "vtune.engines", {"acme": "acme_engine"}, acme_engine=engine)
    assert load_engine("acme").info.sample_rate == 8000
    assert "broken_engine" not in sys.modules


def test_each_engine_stands_alone_among_the_available_ones(install, engine):
    install("broken", "vtune.engines", {"broken": "broken_engine"}, broken_engine="import no_such_library_anywhere")
    install("one", "vtune.engines", {"clash": "acme_engine"}, acme_engine=engine)
    install("two", "vtune.engines", {"clash": "acme_engine", "fine": "acme_engine"})
    result = vtune.available_engines()
    assert list(result) == sorted(result)
    assert isinstance(result["broken"], EngineError)
    assert isinstance(result["clash"], EngineError)
    assert isinstance(result["fine"], vtune.Engine)
    assert isinstance(result["toy"], vtune.Engine)


def test_a_broken_engine_is_one_problem_of_the_recipe_that_names_it(install, tmp_path):
    install("broken", "vtune.engines", {"broken": "broken_engine"}, broken_engine="import no_such_library_anywhere")
    recipe = tmp_path / "r.yaml"
    recipe.write_text("voice: '?'\nengine: broken\ndata: [{source: x}]\nlora: {rank: x}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe)
    lines = [problem.removeprefix(f"{recipe}:").split(":")[0] for problem in caught.value.problems]
    assert lines == ["1", "2", "4"]
    assert "engine 'broken' (broken 1.0) cannot be imported" in caught.value.problems[1]


def test_an_engine_may_be_a_file(tmp_path, engine, monkeypatch):
    (tmp_path / "my_engine.py").write_text(engine)
    monkeypatch.chdir(tmp_path)
    result = load_users_engine("./my_engine.py")
    assert (result.name, result.origin) == ("./my_engine.py", str(tmp_path / "my_engine.py"))
    assert load_engine(str(tmp_path / "my_engine.py")).info.sample_rate == 8000


def test_two_files_of_one_name_are_two_engines(tmp_path, engine):
    for rate in (8000, 16000):
        (tmp_path / str(rate)).mkdir()
        (tmp_path / str(rate) / "mine.py").write_text(engine.replace("8000", str(rate)))
    rates = [load_users_engine(str(tmp_path / str(rate) / "mine.py")).info.sample_rate for rate in (8000, 16000)]
    assert rates == [8000, 16000]


def test_an_engine_file_beside_the_recipe_is_found_from_anywhere(tmp_path, engine, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "mine.py").write_text(engine)
    (folder / "r.yaml").write_text("voice: a\nengine: ./mine.py\nengine_options: {size: 3}\ndata: [{source: x}]\n")
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("project/r.yaml")
    assert recipe.engine_options.size == 3
    assert load_engine(recipe.engine).info.sample_rate == 8000
    monkeypatch.chdir(folder)
    assert load_recipe("r.yaml").engine == "./mine.py"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./gone.py", "there is no engine file './gone.py'"),
        ("x" * 300 + ".py", "there is no engine file 'xxx"),
        ("a\nb.py", r"there is no engine file 'a\nb.py'"),
        ("a\0b.py", r"there is no engine file 'a\x00b.py'"),
        (".py", "there is no engine file '.py'"),
    ],
)
def test_an_engine_file_that_is_not_there_is_told(name, message):
    with pytest.raises(EngineError) as caught:
        load_users_engine(name)
    assert str(caught.value).startswith(message)
    assert refusal(name).startswith(f"engine {shown(name)} is a Python file, which vtune runs only if you name it")


@pytest.mark.parametrize(
    "source", ["import no_such_library_anywhere", "def broken(:", "raise SystemExit(3)", "raise OSError('two\\nlines')"]
)
def test_an_engine_file_that_cannot_be_imported_says_why(tmp_path, source):
    path = tmp_path / "broken_file.py"
    path.write_text(source)
    use_engine_file(path)
    assert refusal(str(path)).startswith(f"engine file {path} cannot be imported: ")
    assert not [name for name in sys.modules if "broken_file" in name]
