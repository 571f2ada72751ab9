"""`make bench`: measures the receiver beside a raw sink, in the same run, and prints and keeps the figures.

Server on one core, cameras on the other, runs interleaved, medians. `--quick` is what CI runs: small numbers, to
see that every benchmark works. Results: benchmarks/results/DATE.json; docs/performance.md explains them.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import disk  # noqa: E402
import postgres_server  # noqa: E402
from machine import free_port  # noqa: E402

SERVER_CORE, LOAD_CORE = (0, 1) if (os.cpu_count() or 1) > 1 else (0, 0)
FSYNCS = 4  # what the promise needs for each file: the file, its sidecar, and the two folders they lie in
Figures = dict[str, Any]


def wait_for(port: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port}")


def processor_seconds(process: psutil.Process) -> float:
    """Give the processor time of a process and its children, to the nanosecond."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        for task in Path(f"/proc/{one.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(task.read_text().split()[0])
    return total / 1e9


def ticks(process: psutil.Process) -> float:
    """Give the same to a hundredth of a second, with that of threads which have ended."""
    times = [one.cpu_times() for one in [process, *process.children(recursive=True)]]
    return sum(one.user + one.system for one in times)


def memory(process: psutil.Process) -> int:
    """Give the bytes that belong to a process's children alone (its workers)."""
    return sum(child.memory_full_info().uss for child in process.children(recursive=True) or [process])


def load(port: int, **options: Any) -> Figures:
    """Run cameras to their end on their core."""
    done = subprocess.run(_cameras(port, options), capture_output=True, text=True, check=True)
    figures: Figures = json.loads(done.stdout)
    return figures


def _cameras(port: int, options: dict[str, Any]) -> list[str]:
    words = [
        f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items() if value
    ]
    return ["taskset", "-c", str(LOAD_CORE), sys.executable, str(HERE / "cameras.py"), str(port), *words]


class Bench:
    """A folder, a database, and servers on their core."""

    def __init__(self, folder: Path, database: str, devices: int) -> None:
        self.folder, self.database, self.devices = folder, database, devices
        self.health = 0
        self.sink_program = folder / "sink"
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            sys.exit(
                "A C compiler is needed for the sink: install gcc (Debian: apt-get install gcc libc6-dev)."
            )
        subprocess.run([compiler, "-O2", "-o", self.sink_program, HERE / "sink.c"], check=True)
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8",
            "SECRET_KEY": "only for benchmarks: not a secret", "ENCRYPTION_KEYS": "only for benchmarks: no key",
            "DATABASE_URL": database,
            "MEDIA_URL": f"file://{folder}/media", "MEDIA_SPOOL": str(folder / "spool"),
            "RECEIVER_HOST": "127.0.0.1", "RECEIVER_MAX_CONNECTIONS": "20000",
            # one camera in ten never answers, and its wait is not to be measured
            "RECEIVER_METADATA_TIMEOUT": "0.1",
        }  # fmt: skip
        self._flask("db", "upgrade")
        subprocess.run(_cameras(1, {"cameras": devices, "imeis": folder / "imeis"}), check=True)
        self._register((folder / "imeis").read_text().split())

    def _flask(self, *words: str) -> None:
        subprocess.run([sys.executable, "-m", "flask", *words], cwd=ROOT, env=self.environment, check=True,
                       capture_output=True)  # fmt: skip

    def _register(self, imeis: list[str]) -> None:
        from sqlalchemy import create_engine, insert

        from provisioning.models import Device, utcnow

        url = self.database.replace("postgresql://", "postgresql+psycopg://")
        engine = create_engine(url)
        now = utcnow()
        rows = [
            {"imei": imei, "phone": f"+999{n:010d}", "name": f"Bench {n}", "time_zone": "UTC", "created_at": now,
             "updated_at": now}
            for n, imei in enumerate(imeis)
        ]  # fmt: skip
        with engine.begin() as connection:
            connection.execute(insert(Device), rows)
        engine.dispose()

    def stored_rows(self) -> int:
        from sqlalchemy import create_engine, text

        engine = create_engine(self.database.replace("postgresql://", "postgresql+psycopg://"))
        with engine.connect() as connection:
            count = connection.execute(
                text("SELECT count(*) FROM uploads WHERE state = 'stored'")
            ).scalar_one()
        engine.dispose()
        return int(count)

    @contextlib.contextmanager
    def server(self, *command: str, port: int, **environment: str) -> Iterator[psutil.Process]:
        """Run a server on its core until the end of the block."""
        with (self.folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                ["taskset", "-c", str(SERVER_CORE), *command], cwd=ROOT, env=self.environment | environment,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            wait_for(port)
            yield psutil.Process(process.pid)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @contextlib.contextmanager
    def receiver(self, **environment: str) -> Iterator[tuple[psutil.Process, int]]:
        port, self.health = free_port(), free_port()
        settings = {"RECEIVER_PORT": str(port), "RECEIVER_HTTP_PORT": str(self.health)} | environment
        with self.server(sys.executable, "-m", "receiver", port=port, **settings) as process:
            time.sleep(1.0)  # the worker has loaded; the probe's own connection has ended
            yield process, port

    def reads(self) -> float:
        """Give how often the receiver has read from lines."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("dualcam_receiver_reads"))

    # what is measured

    def through_receiver(self, **options: Any) -> Figures:
        """Files through the whole product path: registered devices, sidecars, fsync, rows."""
        with self.receiver() as (process, port):
            before, rows = processor_seconds(process), self.stored_rows()
            began = time.perf_counter()
            measured = load(port, **options)
            expected = rows + measured["stored"]
            while self.stored_rows() < expected and time.perf_counter() - began < 600:
                time.sleep(0.05)
            in_database = time.perf_counter() - began
            used = processor_seconds(process) - before
        self._clean()
        return self._figures(measured, used, options) | {"until_rows_seconds": round(in_database, 2)}

    def through_sink(self, disk: bool, **options: Any) -> Figures:
        """The same bytes into the raw sink; one connection a file."""
        port = free_port()
        files = options.pop("files", 1)
        lines = options.get("cameras", 1) * files
        target = self.folder / "sink-files"
        target.mkdir(exist_ok=True)
        with self.server(
            str(self.sink_program),
            str(port),
            str(target) if disk else "-",
            str(FSYNCS if disk else 0),
            port=port,
        ) as process:
            before = processor_seconds(process)
            if options.get("cameras", 1) == 1 and files > 1:
                runs = [load(port, **(options | {"raw": True})) for _ in range(files)]
                measured = {
                    "seconds": sum(r["seconds"] for r in runs),
                    "bytes": sum(r["bytes"] for r in runs),
                }
            else:
                measured = load(port, **(options | {"cameras": lines, "raw": True}))
            used = processor_seconds(process) - before
        shutil.rmtree(target)
        measured["stored"] = lines
        return self._figures(measured, used, options | {"files": files})

    def through_nodisk(self, **options: Any) -> Figures:
        port = free_port()
        with self.server(sys.executable, str(HERE / "nodisk.py"), str(port), port=port) as process:
            before = processor_seconds(process)
            measured = load(port, **options)
            used = processor_seconds(process) - before
        return self._figures(measured, used, options)

    @staticmethod
    def _figures(measured: Figures, used: float, options: dict[str, Any]) -> Figures:
        size = options["size"] * measured["stored"]
        return {
            "files": measured["stored"], "seconds": round(measured["seconds"], 3), "processor_seconds": round(used, 2),
            "megabytes_per_second": round(size / measured["seconds"] / 1e6, 1),
            "files_per_second": round(measured["stored"] / measured["seconds"], 1),
            "processor_seconds_per_gigabyte": round(used / (size / 1e9), 2),
        }  # fmt: skip

    def _clean(self) -> None:
        for name in ("media", "spool"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def look_up(self) -> Figures:
        """How long one admission takes by itself."""
        done = subprocess.run(
            ["taskset", "-c", str(SERVER_CORE), sys.executable, HERE / "lookup.py", self.folder / "imeis"],
            cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        figures: Figures = json.loads(done.stdout)
        return figures

    def _newcomers(self, port: int, seconds: float) -> Figures:
        """How long devices wait for their first answer that come one by one."""
        offset = self.devices - 200
        measured = load(
            port, cameras=200, ramp=1000 / seconds, seconds=seconds * 0.3, idle=True, offset=offset
        )
        return {name: round(value, 2) for name, value in measured["first_answer_ms"].items()}

    def connected(self, count: int, *, rate: float, seconds: float) -> Figures:
        """Memory and processor time with many devices connected, idle (rate 0) or sending slowly."""
        with self.receiver(RECEIVER_METADATA_TIMEOUT="0.1" if rate else "3600") as (process, port):
            empty = memory(process)
            options = {
                "cameras": count,
                "ramp": 1000,
                "seconds": 1.3 * seconds + count / 1000,
                "size": 20_000_000,
            }
            options |= {"rate": rate} if rate else {"idle": True}
            child = subprocess.Popen(_cameras(port, options), stdout=subprocess.PIPE, text=True)
            time.sleep(count / 1000 + seconds * 0.3)
            before, reads, at = ticks(process), self.reads(), time.perf_counter()
            time.sleep(seconds * 0.3)
            took = time.perf_counter() - at
            used, reads = ticks(process) - before, self.reads() - reads
            full = memory(process)
            newcomers = self._newcomers(port, seconds)
            with self.server(str(self.sink_program), str(soonest := free_port()), "-", "1", port=soonest):
                limit = self._newcomers(soonest, seconds)
            measured = json.loads(child.communicate()[0])
        self._clean()
        return {
            "connected": count, "rate": rate, "bytes_per_device": round((full - empty) / count),
            "core_share": round(used / took, 3), "reads_per_second": round(reads / took),
            "first_answer_ms": newcomers,
            "first_answer_ms_of_sink": limit,
            "bytes_per_second_and_line": {
                name: round(value) for name, value in measured["bytes_per_second_and_line"].items()
            },
        }  # fmt: skip


def compare(bench: Bench, rounds: int, disk: bool = True, **options: Any) -> Figures:
    """Measure receiver and sink in turns; medians and their ratio."""
    ours, sinks = [], []
    for _ in range(rounds):
        sinks.append(bench.through_sink(disk, **options))
        ours.append(bench.through_receiver(**options) if disk else bench.through_nodisk(**options))

    def middle(runs: list[Figures]) -> Figures:
        return sorted(runs, key=lambda r: r["seconds"])[len(runs) // 2]

    our, sink = middle(ours), middle(sinks)
    times = [statistics.median(r["processor_seconds_per_gigabyte"] for r in runs) for runs in (ours, sinks)]
    return {
        "receiver": our, "sink": sink, "share_of_sink": round(sink["seconds"] / our["seconds"], 2),
        "processor_times_sink": round(times[0] / times[1], 2) if times[1] else None, "rounds": rounds,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--only", help="comma-separated names")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    results: Figures = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "quick": options.quick,
        "machine": {"cores": os.cpu_count(), "memory_bytes": psutil.virtual_memory().total,
                    "kernel": platform.release(), "python": platform.python_version()},
    }  # fmt: skip
    databases = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    for database in databases:
        with contextlib.ExitStack() as stack:
            folder, results["file_system"] = stack.enter_context(disk.fresh())
            url = f"sqlite:///{folder}/bench.db"
            if database == "postgresql":
                server = stack.enter_context(postgres_server.running(durable=True))
                url = postgres_server.create_database(server, "bench")
            results[database] = measure(Bench(folder, url, 300 if options.quick else 10_300), options)
    text = json.dumps(results, indent=1)
    print(text)
    if not options.quick and not options.only:
        target = HERE / "results" / f"{results['date'][:10]}.json"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text + "\n")
    return 0


def measure(bench: Bench, options: argparse.Namespace) -> Figures:
    quick, rounds = options.quick, 1 if options.quick else options.rounds
    many = 100 if quick else 10_000
    crowds = [many] if quick else [many // 10, many]
    work = {
        "videos": lambda: compare(bench, rounds, cameras=1, files=4 if quick else 40, size=6_000_000),
        "megabytes": lambda: compare(bench, rounds, cameras=8 if quick else 64, size=1_000_000),
        "small": lambda: compare(bench, rounds, cameras=many // 10, size=100_000),
        "nodisk": lambda: compare(bench, rounds, disk=False, cameras=8 if quick else 64, size=1_000_000,
                                  files=2 if quick else 10),
        "look_up_ms": bench.look_up,
        "idle": lambda: [bench.connected(n, rate=0, seconds=4 if quick else 20) for n in crowds],
        "slow": lambda: [bench.connected(n, rate=3000, seconds=4 if quick else 60) for n in crowds],
    }  # fmt: skip
    found = {}
    for name, run in work.items():
        if not options.only or name in options.only.split(","):
            found[name] = run()
            print(f"{name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
