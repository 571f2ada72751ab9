"""What it costs to read a video's frames and to check them: processor time, without sockets, disk and database.

`python benchmarks/frames.py [--rounds N] [--against FOLDER]`: 6 MB in each kind of DATA frame, in pieces of 128 KiB.
With another checkout's folder both are measured in turns, each round in a process of its own.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

SIZE, PIECE, PACKET = 6_000_000, 128 * 1024, 1024
KINDS = ("chained, by identifier", "chained, by path", "not chained, by path", "with offsets (0x000E)")
HERE = Path(__file__).resolve().parent.parent


def stream(kind: str) -> bytes:
    """Give the frames of a file."""
    from receiver.wire import protocol

    whole, out, chain = bytes(range(251)) * (SIZE // 251 + 1), [], 0
    for at in range(0, SIZE, PACKET):
        payload = whole[at : min(at + PACKET, SIZE)]
        chain = protocol.crc(payload, 0 if kind.startswith("not") else chain)
        body = payload + chain.to_bytes(2, "big")
        command = 4
        if "offsets" in kind:
            command, body = 0x0E, at.to_bytes(4, "big") + body
        out.append(protocol.HEADER.pack(command, len(body)) + body)
    return b"".join(out)


def measure(kind: str) -> float:
    """Give the seconds of processor time for one file."""
    from receiver.wire import actions as act
    from receiver.wire import protocol
    from receiver.wire.frame_reader import FrameReader
    from receiver.wire.session import SessionMachine
    from receiver.wire.session_limits import SessionLimits

    machine, reader, taken = SessionMachine(SessionLimits(), 0.0), FrameReader(), 0
    by_path = "identifier" not in kind

    def perform(actions: list) -> None:  # type: ignore[type-arg]
        nonlocal taken
        for action in actions:
            match action:
                case act.Admit():
                    perform(machine.admitted(True, 0.0))
                case act.OpenFile():
                    perform(machine.opened(0, 0, 0.0))
                case act.Write(_, payload, _):
                    taken += len(payload)
                    perform(machine.written(True, 0.0))
                case act.Again(messages):
                    for message in messages:
                        perform(machine.receive(message, 0.0))

    def feed(data: bytes) -> None:
        reader.feed(data, lambda message: perform(machine.receive(message, 0.0)))

    feed(bytes.fromhex("0000 0005 0001403a4abaa314") + bytes([0x42 if by_path else 0x50, 0, 4, 0]))
    if by_path:
        feed(bytes.fromhex("000d0009") + b"dsm/a.mp4" + bytes.fromhex("000b0000"))
    else:
        feed(bytes.fromhex("000b000d01100000017a57334640000005"))
    feed(protocol.HEADER.pack(1, 6) + (SIZE if by_path else -(-SIZE // PACKET)).to_bytes(4, "big") + bytes(2))
    feed(protocol.HEADER.pack(3, 4) + (0 if by_path else 1).to_bytes(4, "big"))
    data = stream(kind)
    began = time.process_time()
    for at in range(0, len(data), PIECE):
        feed(data[at : at + PIECE])
    spent = time.process_time() - began
    assert taken == SIZE
    return spent


def main() -> None:
    """Print medians in milliseconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--one", type=Path, help="measure once, with the receiver of this folder")
    chosen = parser.parse_args()
    if chosen.one:
        sys.path.insert(0, str(chosen.one))
        print(json.dumps({kind: min(measure(kind) for _ in range(5)) for kind in KINDS}))
        return
    folders = {"here": HERE} | ({"against": chosen.against} if chosen.against else {})
    found: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in KINDS} for name in folders}
    for _ in range(chosen.rounds):
        for name, folder in folders.items():
            command = [sys.executable, __file__, "--one", str(folder.resolve())]
            for kind, spent in json.loads(subprocess.check_output(command, cwd=folder)).items():
                found[name][kind].append(spent)
    print(
        json.dumps(
            {
                name: {kind: round(1000 * statistics.median(times), 1) for kind, times in kinds.items()}
                for name, kinds in found.items()
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
