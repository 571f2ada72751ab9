"""Reads transcripts of cameras: tests/vectors/camera/*.txt.

`# text` provenance and remarks; `content N` the bytes of the file, N of them; `>` from the camera, `<` from us,
`~` time passes to our deadline, `=` what is stored now, `!` the code the session ends with. Words of `>` and `<`
are hex; from two blanks on comes a remark. `data:2-5` stands for the DATA frames of packets 2 to 5 of the content,
`data:3@0` restarts the CRC chain at 0 there, `data:3!` has one wrong bit; `data_at:` stands for 0x000E frames.
"""

from dataclasses import dataclass, field
from pathlib import Path

from camera_model import kermit
from conftest import ROOT

FOLDER = ROOT / "tests" / "vectors" / "camera"
PATHS = sorted(FOLDER.glob("*.txt"))


@dataclass
class Step:
    """One line: its mark and what it holds: a frame, frames, or words."""

    mark: str
    frames: list[bytes] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


@dataclass
class Transcript:
    """One session."""

    source: str
    content: bytes = b""
    steps: list[Step] = field(default_factory=list)


def content(size: int) -> bytes:
    """Give the bytes that `content N` stands for."""
    return bytes((at * 7 + at // 251) & 0xFF for at in range(size))


def read(path: Path) -> Transcript:
    """Read one file."""
    lines = path.read_text().splitlines()
    found = Transcript(source=lines[0])
    chain = 0
    for line in lines:
        line = line.split("  ")[0].rstrip() if line[:1] in "<>" else line
        mark, _, rest = line.partition(" ")
        if mark == "content":
            found.content = content(int(rest))
        elif mark in ("~", "=", "!"):
            found.steps.append(Step(mark, words=rest.split()))
        elif mark in ("<", ">"):
            step = Step(mark)
            hexed = ""
            for word in rest.split():
                if word.startswith("data"):
                    kind, _, numbers = word.partition(":")
                    frames, chain = _data(kind, numbers, found.content, chain)
                    step.frames += frames
                else:
                    hexed += word
            if hexed:
                step.frames.append(bytes.fromhex(hexed))
            found.steps.append(step)
        elif mark and mark != "#":
            raise ValueError(f"{path.name}: {line}")
    return found


def _data(kind: str, word: str, whole: bytes, chain: int) -> tuple[list[bytes], int]:
    broken = word.endswith("!")
    word, _, restart = word.removesuffix("!").partition("@")
    first, _, last = word.partition("-")
    chain = int(restart, 16) if restart else chain
    frames = []
    for number in range(int(first), int(last or first) + 1):
        payload = whole[(number - 1) * 1024 : number * 1024]
        after = kermit(payload, chain)
        wire = bytes([payload[0] ^ 1]) + payload[1:] if broken else payload
        body = wire + after.to_bytes(2, "big")
        if kind == "data_at":
            body = ((number - 1) * 1024).to_bytes(4, "big") + body
        command = 0x000E if kind == "data_at" else 0x0004
        frames.append(command.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body)
        chain = chain if broken else after
    return frames, chain
