"""Every transcript: whole, byte by byte, at random cuts, cut off at every border, and over a real socket."""

import random
import socket
from pathlib import Path

import pytest
from camera_vectors import PATHS, Step, Transcript, read
from conftest import wait_until
from driver import Line, Machine
from receiver_under_test import QUICK, Running

from receiver.net.settings import Settings

TRANSCRIPTS = pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)


def blocks(transcript: Transcript) -> list[Step]:
    """Join neighbours of the same mark: what one side sends before the other must answer."""
    joined: list[Step] = []
    for step in transcript.steps:
        if joined and step.mark in "<>" and joined[-1].mark == step.mark:
            joined[-1] = Step(step.mark, joined[-1].frames + step.frames)
        else:
            joined.append(step)
    return joined


def play(transcript: Transcript, machine: Machine, cut: random.Random | int) -> Line:
    """Feed a transcript in pieces of a size (0: whole blocks), holding each answer against it."""
    line, answer = Line(machine), b""
    for step in blocks(transcript):
        data = b"".join(step.frames)
        match step.mark:
            case ">":
                while data:
                    size = cut.randint(1, 1500) if isinstance(cut, random.Random) else cut or len(data)
                    answer += line.feed(data[:size])
                    data = data[size:]
            case "<":
                assert answer == data
                answer = b""
            case "~":
                answer += line.wait()
            case "=":
                check(step.words, machine, line, transcript.content)
            case "!":
                assert line.closed is not None
                assert line.closed.code == step.words[0]
    assert answer == b""
    return line


def check(words: list[str], machine: Machine, line: Line, content: bytes) -> None:
    if words[0] == "partial":
        line.drop()
        assert machine.partials() == [content[: int(words[1])]]
        return
    record = machine.stored[-1]
    path = machine.folder / "media" / record["path"]
    assert path.read_bytes() == content
    assert [record["file_type"], record["source"], str(record["size"])] == words[:3]
    for word in words[3:]:
        name, _, value = word.partition("=")
        assert str(record["metadata"][name]).replace(" ", "") == value


@TRANSCRIPTS
@pytest.mark.quick
@pytest.mark.parametrize("cut", [0, 1, 7, 1030], ids=["whole", "bytes", "sevens", "frames"])
def test_it_is_answered_and_stored_as_written(path: Path, cut: int, tmp_path: Path) -> None:
    play(read(path), Machine(tmp_path), cut)


@TRANSCRIPTS
@pytest.mark.quick
def test_it_is_the_same_at_random_cuts(path: Path, tmp_path: Path) -> None:
    for seed in range(10):
        play(read(path), Machine(tmp_path / str(seed)), random.Random(seed))


@TRANSCRIPTS
@pytest.mark.quick
def test_a_line_that_drops_at_any_border_loses_nothing_and_stores_nothing_half(
    path: Path, tmp_path: Path
) -> None:
    transcript = read(path)
    frames = sum(len(step.frames) for step in transcript.steps if step.mark == ">")
    for border in range(frames + 1):
        machine = Machine(tmp_path / str(border))
        line, fed = Line(machine), 0
        for step in transcript.steps:
            if step.mark == "~" and line.closed is None:
                line.wait()
            for frame in step.frames if step.mark == ">" else []:
                if fed < border:
                    line.feed(frame)
                    fed += 1
        line.drop()
        assert all(file == transcript.content for file in machine.files())
        assert all(transcript.content.startswith(part) for part in machine.partials())
        assert len(machine.files()) == len(machine.stored)


@TRANSCRIPTS
def test_it_is_the_same_over_a_socket(path: Path, running: Running) -> None:
    transcript = read(path)
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as line:
        for step in blocks(transcript):
            data = b"".join(step.frames)
            if step.mark == ">":
                line.sendall(data)
            elif step.mark == "<":
                answer = b""
                while len(answer) < len(data) and (piece := line.recv(len(data) - len(answer))):
                    answer += piece
                assert answer == data
            elif step.mark == "!":
                code = step.words[0]
                wait_until(lambda code=code: running.notes.codes == [code])


@pytest.fixture
def running(tmp_path: Path):  # type: ignore[no-untyped-def]
    receiver = Running(tmp_path, Settings(QUICK))
    yield receiver
    receiver.stop()


@pytest.mark.quick
def test_every_transcript_names_its_source() -> None:
    assert len(PATHS) > 25
    for path in PATHS:
        assert "Source:" in path.read_text().split("\n>")[0], path.name
