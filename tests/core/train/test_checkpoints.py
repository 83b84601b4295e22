from __future__ import annotations

from pathlib import Path

from vtune.train import checkpoints


def write(folder: Path, step: int) -> Path:
    written = checkpoints.aside_of(folder) / f"checkpoint-{step}"
    written.mkdir(parents=True)
    (written / "optimizer.pt").write_bytes(b"x" * 100)
    (written / "trainer_state.json").write_text("{}")
    return checkpoints.complete(written, folder)


def test_the_newest_complete_checkpoint_is_found(tmp_path: Path) -> None:
    for step in (5, 10, 100):
        write(tmp_path, step)
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-100"


def test_nothing_stays_aside(tmp_path: Path) -> None:
    write(tmp_path, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-5"]


def test_a_checkpoint_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, 5)
    for step, harm in ((10, "remove"), (20, "truncate"), (30, "no list")):
        place = write(tmp_path, step)
        if harm == "remove":
            (place / "optimizer.pt").unlink()
        elif harm == "truncate":
            (place / "optimizer.pt").write_bytes(b"x")
        else:
            (place / checkpoints.MANIFEST).unlink()
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-5"


def test_no_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path / "nowhere") is None
