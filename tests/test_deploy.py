"""What docs/deploy.md says, tried: systemd units, both web proxies in front of the web process, backup and restore."""

import datetime
import hashlib
import ipaddress
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import Any

import databases
import machine
import postgres_server
import pytest
import requests
import yaml
from conftest import AUTH_TOKEN, ROOT, SENDER, free_port, wait_until
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from stack import Stack
from twilio.request_validator import RequestValidator

from provisioning.core.config import load

DEPLOY, DOCUMENT = ROOT / "deploy", (ROOT / "docs" / "deploy.md").read_text()
PUBLIC_URL = "https://dualcam.example.com"
PASSWORD = "kept only in this test 7"
BODY_SECONDS = 2  # instead of the half minute that the files allow a sender
IMEI = "352094082736916"
pytestmark = pytest.mark.xdist_group("deploy")  # what they share is made once


# systemd


@pytest.mark.parametrize("unit", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda path: path.stem)
def test_a_unit_is_valid_and_confined(unit: Path, tmp_path: Path) -> None:
    here = tmp_path / unit.name
    text = unit.read_text().replace("/opt/dualcam/.venv", str(ROOT / ".venv"))
    here.write_text(re.sub(r"^(User|Group)=dualcam$", r"\1=root", text, flags=re.M))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(here)], capture_output=True, text=True, check=False
    )
    report = [line for line in done.stderr.splitlines() if unit.stem in line]
    assert (done.returncode, report) == (0, []), done.stderr
    for line in ("ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "UMask=0077"):
        assert f"\n{line}\n" in text


@pytest.mark.quick
def test_the_units_run_what_the_procfile_names() -> None:
    procfile = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    for name in ("web", "worker", "receiver"):
        unit = (DEPLOY / "systemd" / f"dualcam-{name}.service").read_text()
        (command,) = re.findall(r"^ExecStart=/opt/dualcam/.venv/bin/(.*)$", unit, re.M)
        assert command == procfile[name].replace("'", "")


@pytest.mark.quick
def test_the_settings_to_copy_name_no_place_inside_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program belongs to root: a default under var/ would be refused to the service."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for line in (DEPLOY / "dualcam.env.example").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            monkeypatch.setenv(*line.split("=", 1))
    monkeypatch.setenv("SECRET_KEY", "kept only in this test, long enough")
    monkeypatch.setenv("ENCRYPTION_KEYS", "kept only in this test too, long enough")
    config = load()
    assert [field.name for field in fields(config) if str(ROOT) in str(getattr(config, field.name))] == []


# packages

LOCKS = ("requirements.lock", "requirements-dev.lock")
PYTHONS = ("3.11.2", "3.12.3", "3.13.5")  # of Debian 12, Ubuntu 24.04 and Debian 13


@pytest.mark.quick
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_all_that_an_older_or_newer_python_needs(lock: str, python: str) -> None:
    """A lock is made by one Python; pip refuses it whole where another one needs a package more."""
    locked = {
        canonicalize_name(name)
        for name in re.findall(r"^([\w.-]+)(?:\[.*\])?==", (ROOT / lock).read_text(), re.M)
    }
    environment = {"python_full_version": python, "python_version": python.rpartition(".")[0], "extra": ""}
    missing = [
        f"{name} needs {need}"
        for name in sorted(locked)
        for need in map(Requirement, metadata.requires(name) or [])
        if (need.marker is None or need.marker.evaluate(environment))
        and canonicalize_name(need.name) not in locked
    ]
    assert missing == []


# containers


@pytest.mark.quick
def test_the_image_and_the_compose_file_name_what_there_is() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (DEPLOY / "Containerfile").read_text(), re.M)
    assert copied
    assert all((ROOT / path).exists() for line in copied for path in line.split())
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    procfile = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    commands = {name: service.get("command") for name, service in compose["services"].items()}
    assert commands == procfile | {"database": None}


# web proxies


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("behind")
    stack = Stack(folder, f"sqlite:///{folder}/test.db", PUBLIC_URL=PUBLIC_URL, WEB_PROXIES="127.0.0.1")
    try:
        stack.prepare()
        stack.add_user("admin@example.com", PASSWORD, "admin")
        stack.start("web")
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A certificate authority, and a certificate of it with its key, for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.UTC)

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def begin(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(
                name(issuer), name(subject), key.public_key(), x509.random_serial_number()
            )
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = begin("test authority", "test authority", ca_key)
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = begin("localhost", "test authority", key)
    leaf = leaf.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem = serialization.Encoding.PEM
    files = folder / "ca.pem", folder / "fullchain.pem", folder / "key.pem"
    files[0].write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    files[1].write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    files[2].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


class Proxy:
    """A web proxy that runs with our file in front of the web process."""

    def __init__(self, command: list[str], folder: Path, port: int, ca: Path) -> None:
        self.port, self.ca = port, str(ca)
        with (folder / "proxy.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                env={"HOME": str(folder), "PATH": os.environ["PATH"], "XDG_DATA_HOME": str(folder)},
            )  # fmt: skip
        machine.keep_until_the_end(self.process.pid)
        try:
            wait_until(self._answers, seconds=60)
        except AssertionError:
            raise AssertionError((folder / "proxy.log").read_text()[-3000:]) from None

    def _answers(self) -> bool:
        try:
            return self.get("/healthz").ok
        except requests.RequestException:
            return False

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}{path}"

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url(path), verify=self.ca, timeout=20, **options)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def caddy(folder: Path, port: int, web_port: int, files: tuple[Path, Path, Path]) -> list[str]:
    text = (DEPLOY / "Caddyfile").read_text()
    text = text.replace("{\n\tservers {", "{\n\tadmin off\n\tauto_https off\n\tservers {", 1)
    text = text.replace(
        "dualcam.example.com {", f"https://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n\ttls {files[1]} {files[2]}"
    )
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{web_port}").replace("30s", f"{BODY_SECONDS}s")
    (folder / "Caddyfile").write_text(text)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def nginx(folder: Path, port: int, web_port: int, files: tuple[Path, Path, Path]) -> list[str]:
    text = (DEPLOY / "nginx.conf").read_text()
    text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.M)
    text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    text = text.replace("/etc/ssl/dualcam/fullchain.pem", str(files[1]))
    text = text.replace("/etc/ssl/dualcam/key.pem", str(files[2]))
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{web_port}").replace("30s", f"{BODY_SECONDS}s")
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{text}}}\n"
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    return [program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


@pytest.fixture(scope="module", params=[caddy, nginx], ids=["caddy", "nginx"])
def proxy(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    web: Stack,
    authority: tuple[Path, Path, Path],
) -> Iterator[Proxy]:
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    folder.chmod(0o755)
    running = Proxy(request.param(folder, port, web.web_port, authority), folder, port, authority[0])
    try:
        yield running
    finally:
        running.close()


def test_a_signed_webhook_passes_the_proxy_and_a_forged_one_does_not(proxy: Proxy) -> None:
    form = {
        "AccountSid": "AC" + "0" * 31 + "1", "MessageSid": "SM" + f"{proxy.port:032x}", "From": "+12025550123",
        "To": SENDER, "Body": "Hello",
    }  # fmt: skip
    path = "/webhooks/twilio/inbound"
    signature = RequestValidator(AUTH_TOKEN).compute_signature(PUBLIC_URL + path, form)
    answers = [
        requests.post(
            proxy.url(path), data=form, headers={"X-Twilio-Signature": one}, verify=proxy.ca, timeout=20
        ).status_code
        for one in (signature, "forged")
    ]
    assert answers == [200, 403]


def signed_in(proxy: Proxy) -> requests.Session:
    """Sign in as a browser that comes through the proxy."""
    session = requests.Session()
    session.verify, session.trust_env = proxy.ca, False  # no bundle of the machine instead
    page = session.get(proxy.url("/login"), timeout=20).text
    token = re.findall(r'name="csrf_token" value="([^"]+)"', page)[0]
    form = {"email": "admin@example.com", "password": PASSWORD, "csrf_token": token}
    answer = session.post(
        proxy.url("/login"), data=form, headers={"Referer": proxy.url("/login")}, timeout=20,
        allow_redirects=False,
    )  # fmt: skip
    assert answer.status_code == 302, answer.text[-1000:]
    return session


def test_an_event_stream_passes_the_proxy_at_once(proxy: Proxy, web: Stack) -> None:
    session = signed_in(proxy)
    with session.get(
        proxy.url("/events"), headers={"Accept": "text/event-stream"}, stream=True, timeout=10
    ) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(lines)  # what a buffering proxy would keep until it has some kilobytes
        web.environment["PUBLIC_URL"] = f"http://127.0.0.1:{web.web_port}"
        phone = f"+1202555{proxy.port % 10000:04d}"
        web.api("POST", "/devices", {"imei": imei(proxy.port), "phone": phone, "name": "Van"}, status=201)
        assert any(line.startswith(b"data:") for line in lines)


def imei(number: int) -> str:
    """Make an IMEI with a right check digit."""
    digits = f"35209408{number % 1_000_000:06d}"
    total = sum(sum(divmod(int(d) * (1 + i % 2), 10)) for i, d in enumerate(digits))
    return f"{digits}{-total % 10}"


def test_a_sender_that_stops_in_the_middle_is_ended_by_the_proxy(proxy: Proxy) -> None:
    context = ssl.create_default_context(cafile=proxy.ca)
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", proxy.port), 20), server_hostname="127.0.0.1"
    ) as line:
        line.settimeout(20)
        line.sendall(
            b"POST /login HTTP/1.1\r\nHost: dualcam.example.com\r\nContent-Length: 1000\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\nemail="
        )
        began, answer = time.monotonic(), b""
        while data := line.recv(4096):
            answer += data
    # the service itself would wait for half a minute
    assert time.monotonic() - began < 20
    assert b"set-cookie" not in answer.lower()


# backup and restore


def commands_of(heading: str) -> str:
    """Give the commands of the document that stand below a mark."""
    (found,) = re.findall(rf"<!-- {re.escape(heading)} -->\n```\n(.*?)```", DOCUMENT, re.S)
    return str(found)


def typed(heading: str, data: Path, backup: Path, database_url: str) -> None:
    """Type the commands of the document, with folders of this test."""
    text = commands_of(heading).replace("/var/lib/dualcam", str(data))
    text = text.replace("/var/backups/dualcam", str(backup))
    programs = ":".join([os.environ["PATH"], str(postgres_server._binaries())])
    subprocess.run(
        ["sh", "-euc", text], check=True, env={"PATH": programs, "DATABASE_URL": database_url}, timeout=120
    )


@pytest.mark.parametrize("database", ["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.trial)])
def test_a_backup_is_restored_to_a_working_system(database: str, tmp_path: Path) -> None:
    before, after, backup = (tmp_path / name for name in ("before", "after", "backup"))
    for folder in (before, after, backup):
        folder.mkdir()
    if database == "SQLite":
        urls = [f"sqlite:///{folder}/dualcam.db" for folder in (before, after)]
    else:
        server = postgres_server.shared()
        empty = postgres_server.create_database(server, f"restore_{time.time_ns()}")
        urls = [f"{server}/{databases.new_postgres()}", empty]
    old, new = (
        Stack(folder, url, MEDIA_URL=f"file://{folder}/media", MEDIA_SPOOL=f"{folder}/spool")
        for folder, url in zip((before, after), urls, strict=True)
    )
    content = b"a photo of the camera, byte by byte"
    try:
        old.prepare()
        old.start("web")
        device = old.api(
            "POST", "/devices", {"imei": IMEI, "phone": "+12025550123", "name": "Van"}, status=201
        )
        ident = databases.within(urls[0], lambda: stored(before / "media", content))
        typed(f"backup of {database}", before, backup, urls[0])
        old.stop("web")
        typed(f"restore of {database}", after, backup, urls[1])
        new.token = old.token
        new._run(new.commands["release"])
        new.start("web")
        assert new.api("GET", f"/devices/{IMEI}", status=200)["name"] == device["name"]
        assert (
            new.api("GET", f"/uploads/{ident}", status=200)["sha256"] == hashlib.sha256(content).hexdigest()
        )
        assert new.api("GET", f"/uploads/{ident}/content", status=200) == content
    finally:
        old.close()
        new.close()


def stored(media: Path, content: bytes) -> str:
    """Add a stored file with its row."""
    from provisioning.models import Upload, UploadState, db, new_id, utcnow

    ident, now = new_id(), utcnow()
    path = media / "2026" / f"{ident}.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    db.session.add(
        Upload(
            id=ident, imei=IMEI, identifier="%photof", file_type="photo", source="front", announced=1, packets=1,
            state=UploadState.STORED, size=len(content), sha256=hashlib.sha256(content).hexdigest(),
            path=f"2026/{ident}.jpg", started_at=now, received_at=now, updated_at=now,
        )
    )  # fmt: skip
    db.session.commit()
    return ident
