"""A part of a recording equals a slice of the whole recording, and its edges are at quiet positions near its times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune import audio
from vtune.audio import RecordingPart, parts
from vtune.errors import DataError

RATE = 16_000


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    parts.forget_open_recording()


def sound_of(*spans: tuple[float, float], seconds: float, noise: float = 1e-3) -> np.ndarray:
    """Return loud noise in the spans, and a noise floor elsewhere."""
    generator = np.random.default_rng(1)
    sound = generator.normal(0, noise, round(seconds * RATE)) if noise else np.zeros(round(seconds * RATE))
    for start, end in spans:
        first, last = round(start * RATE), round(end * RATE)
        sound[first:last] = generator.normal(0, 0.1, last - first)
    return sound.astype(np.float32)


def written(path: Path, sound: np.ndarray, rate: int = RATE) -> Path:
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for start in range(0, len(sound), rate):
            file.write(sound[start : start + rate])
    return path


def edges_of(path: Path, part: RecordingPart) -> tuple[float, float]:
    """Return where a part begins and ends, found by comparing its samples with the recording."""
    recording, rate = audio.recorded(path)
    result, _ = audio.read_part(path, part)
    start = int(
        np.flatnonzero(np.all(np.lib.stride_tricks.sliding_window_view(recording, 64) == result[:64], axis=1))[0]
    )
    np.testing.assert_array_equal(result, recording[start : start + len(result)])
    return start / rate, (start + len(result)) / rate


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("order", [(1, 0, 2), (0, 1, 2)])
def test_any_order_reads_what_the_whole_recording_holds(tmp_path: Path, ending: str, order: tuple[int, ...]) -> None:
    path = written(tmp_path / f"talk.{ending}", sound_of((1, 2), (8, 9), seconds=12))
    recording, _ = audio.recorded(path)
    for index in order:
        first = (2, 8, 10)[index] * RATE
        result = parts._read_samples(path, first, first + 2 * RATE)[:, 0]
        np.testing.assert_allclose(result, recording[first : first + 2 * RATE], atol=1e-6)


def test_a_file_that_cannot_seek_is_decoded_once_for_all_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "talk.mp3", sound_of((1, 2), seconds=15))
    # Without the frame that states the length, libsndfile reads the file through a pipe.
    monkeypatch.setattr("vtune.audio.sound_file._length_is_guessed", lambda file: not file.seek(0))
    opened, plain = [], parts._OpenRecording
    monkeypatch.setattr(parts, "_OpenRecording", lambda *given: opened.append(given) or plain(*given))
    for second in range(0, 12, 2):
        assert len(parts._read_samples(path, second * RATE, (second + 3) * RATE)) == 3 * RATE
    assert len(opened) == 1


def test_only_the_part_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "talk.wav", sound_of(seconds=60))
    samples, plain = [], audio.Recording._next

    def counted(self, blocks):
        block = plain(self, blocks)
        samples.append(0 if block is None else len(block))
        return block

    monkeypatch.setattr(audio.Recording, "_next", counted)
    audio.read_part(path, RecordingPart(50.0, 52.0))
    assert sum(samples) <= 2 * RATE + 2 * (1 << 16)


def test_edges_move_outwards_up_to_150_ms_and_inwards_up_to_50_ms(tmp_path: Path) -> None:
    path = written(tmp_path / "talk.wav", sound_of((1, 2), (2.5, 3.5), seconds=5))
    # Times a little inside the speech: the edges move out of it, to the pauses.
    start, end = edges_of(path, RecordingPart(1.05, 1.93))
    assert 0.9 <= start <= 0.99
    assert 2.01 <= end <= 2.09
    # Times in the middle of other speech: the edges move into the part, where it is quiet.
    start, end = edges_of(path, RecordingPart(1.97, 2.53))
    assert 2.005 <= start <= 2.02
    assert 2.48 <= end <= 2.495


@pytest.mark.parametrize(("pause", "skew"), [(0.0, 0.0), (0.08, -0.04), (0.08, 0.04), (0.25, 0.1), (0.04, -0.03)])
def test_two_near_parts_meet_at_one_cut(tmp_path: Path, pause: float, skew: float) -> None:
    """No sample is in both parts, none between them is lost, and the cut lies in the pause if there is one."""
    path = written(tmp_path / "talk.wav", sound_of((1, 2), (2 + pause, 3), seconds=4))
    end, start = 2 + skew, 2 + pause + skew
    _, cut = edges_of(path, RecordingPart(1, end, before=start))
    again, _ = edges_of(path, RecordingPart(start, 3, after=end))
    assert cut == again
    assert not pause or 2 <= cut <= 2 + pause


def test_parts_that_overlap_a_little_meet_in_the_pause(tmp_path: Path) -> None:
    path = written(tmp_path / "talk.wav", sound_of((1, 2), (2.1, 3), seconds=4))
    _, cut = edges_of(path, RecordingPart(1, 2.2, before=1.95))
    assert cut == edges_of(path, RecordingPart(1.95, 3, after=2.2))[0]
    assert 2 <= cut <= 2.1


def test_a_part_up_to_the_end_and_one_that_ends_a_moment_later(tmp_path: Path) -> None:
    path = written(tmp_path / "talk.wav", sound_of((1, 2), (3, 4), seconds=4))
    assert edges_of(path, RecordingPart(2.8))[1] == edges_of(path, RecordingPart(2.8, 4.9))[1] == 4
    assert edges_of(path, RecordingPart(0.0, 2.0))[0] == 0


@pytest.mark.parametrize("times", [(4.0, 5.0), (1.0, 5.1), (9.0, None)])
def test_times_beyond_the_recording_are_refused(tmp_path: Path, times: tuple[float, float | None]) -> None:
    path = written(tmp_path / "talk.wav", sound_of((1, 2), seconds=4))
    with pytest.raises(DataError, match=r"the row names .* but .*talk\.wav has 4\.00 s"):
        audio.read_part(path, RecordingPart(*times))


@settings(max_examples=25, deadline=None)
@given(
    times=st.lists(st.integers(0, 3999), min_size=2, max_size=6, unique=True), noise=st.sampled_from([0, 1e-4, 0.05])
)
def test_no_sample_is_in_two_parts(tmp_path_factory: pytest.TempPathFactory, times: list[int], noise: float) -> None:
    path = tmp_path_factory.getbasetemp() / f"any-{noise}.wav"
    if not path.exists():
        written(path, sound_of((1, 2), (2.05, 3), seconds=4, noise=noise))
    bounds = [time / 1000 for time in sorted(times)]
    rows = list(zip(bounds[::2], bounds[1::2], strict=False))
    used = 0
    for index, (start, end) in enumerate(rows):
        after = rows[index - 1][1] if index else None
        before = rows[index + 1][0] if index + 1 < len(rows) else None
        near = parts.NEIGHBOUR_SECONDS
        part = RecordingPart(
            start, end, after if after is not None and start - after <= near else None,
            before if before is not None and before - end <= near else None,
        )  # fmt: skip
        result, _ = audio.read_part(path, part)
        assert len(result) <= (end - start + 2 * near) * RATE + 1
        used += len(result)
    assert used <= 4 * RATE
