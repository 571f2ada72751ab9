"""`python tests/fuzz TARGET [SECONDS | RUNSx]`: run the coverage-guided fuzzer on the corpus of this repository.

`TARGET merge [FOLDER …]` keeps of corpus, transcripts and folders the smallest set that covers as much.
What a crash leaves (crash-…) belongs into the corpus, beside the mending. Called by `make fuzz` and the tests.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent), str(FOLDER.parent.parent)]
CORPUS = FOLDER / "corpus"
LONGEST = 6000  # bytes of an input: about what one transcript needs


def seeds(target: str) -> dict[str, bytes]:
    """Make inputs of the transcripts."""
    from camera_vectors import PATHS, read
    from targets import FEED, WAIT, encode

    found = {}
    for path in PATHS:
        data = b""
        for step in read(path).steps:
            if step.mark == ">":
                frames = b"".join(step.frames)
                data += frames if target == "reader" else encode(FEED, frames)
            elif step.mark == "~" and target == "session":
                data += encode(WAIT)
        found[path.stem] = data
    return found


def fuzz(target: str, program: str, *options: str) -> None:
    """Run the fuzzer in this process; it ends the process itself, and starts `program` anew where it needs more."""
    import atheris

    with atheris.instrument_imports(include=["receiver"]):
        from targets import TARGETS
    atheris.Setup([program, f"-max_len={LONGEST}", "-timeout=30", *options], TARGETS[target])
    atheris.Fuzz()


def run(target: str, limit: str) -> None:
    """Fuzz for so many seconds, or runs where `limit` ends in x; new inputs go to a temporary folder."""
    with tempfile.TemporaryDirectory() as found:
        bound = f"-runs={limit[:-1]}" if limit.endswith("x") else f"-max_total_time={limit}"
        # the seed is fixed where the number of runs is: the same run each time
        options = [bound, *(["-seed=1"] if limit.endswith("x") else [])]
        fuzz(target, sys.argv[0], *options, "-print_final_stats=1", f"-artifact_prefix={Path.cwd()}/", found,
             str(CORPUS / target))  # fmt: skip


def merge(target: str, *folders: str) -> None:
    """Keep of the corpus, the seeds and these folders what covers anything new, smallest first."""
    with tempfile.TemporaryDirectory() as kept, tempfile.TemporaryDirectory() as seeded:
        for name, data in seeds(target).items():
            (Path(seeded) / name).write_bytes(data)
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        # the merge runs its program again and again, in processes of their own: it must be one word
        program = Path(seeded).with_suffix(".sh")
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {FOLDER} {target} raw "$0" "$@"\n')
        program.chmod(0o700)
        try:
            subprocess.run(
                [str(program), "-merge=1", kept, str(CORPUS / target), seeded, *folders], check=True
            )
        finally:
            program.unlink()
        shutil.rmtree(CORPUS / target)
        shutil.copytree(kept, CORPUS / target)


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    if rest[:1] == ["raw"]:
        fuzz(name, *rest[1:])
    elif rest[:1] == ["merge"]:
        merge(name, *rest[1:])
    else:
        run(name, *(rest or ["600"]))
