"""The environment: read once, checked, everything wrong reported at once and by name."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from app import create_app
from provisioning.core.config import ConfigError, load


def test_everything_wrong_is_reported_at_once_and_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "SECRET_KEY": "short", "PORT": "99999", "RECEIVER_WORKERS": "many", "MEDIA_URL": "ftp://x",
        "RECEIVER_UNKNOWN_DEVICES": "welcome", "TWILIO_ACCOUNT_SID": "AC1", "TWILIO_FROM": "Fleet",
        "CAMERA_SERVER_DOMAIN": "no blanks allowed", "CAMERA_SERVERS_ALLOWED": "ok.example,bad host:1",
        "RECEIVER_FILE_ORDER": "front_photo", "RECEIVER_TLS_CERT": "/does/not/exist", "PUBLIC_URL": "dualcam",
        "DATABASE_URL": "mysql://x", "TWILIO_API_BASE_URL": "localhost",
        "MEDIA_DELIVERY": "post", "RETENTION_DAYS_UPLOADS": "-1", "RETENTION_DAYS_MESSAGES": "3",
        "RETENTION_DAYS_COMMANDS": "6", "RETENTION_DAYS_RECORDS": "x",
    }  # fmt: skip
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load()
    expected = (set(wrong) - {"TWILIO_ACCOUNT_SID"}) | {"TWILIO_AUTH_TOKEN"}
    assert set(caught.value.errors) == expected
    assert all(name in str(caught.value) for name in expected)


def test_a_missing_secret_key_names_both_ways_to_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY")
    with pytest.raises(ConfigError, match="SECRET_KEY_FILE"):
        load()


def test_a_secret_may_come_as_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC1")
    monkeypatch.setenv("TWILIO_FROM", "+12025550100")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN_FILE", str(tmp_path / "token"))
    assert load().twilio_auth_token == "from a file"


def test_a_secret_file_that_is_not_there_is_an_error_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY_FILE", "/does/not/exist")
    with pytest.raises(ConfigError) as caught:
        load()
    assert set(caught.value.errors) == {"SECRET_KEY"}


def test_blanks_around_a_setting_are_taken_off_whatever_its_kind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("\ufeff from a file \n")
    given = {
        "PUBLIC_URL": " https://dualcam.example.com/ ", "PORT": " 8001 ", "MEDIA_DELIVERY": " redirect\n",
        "SMS_FIGURE_SPACE": " true ", "SMS_PER_SECOND": "\t2 ", "CAMERA_SERVER_DOMAIN": "\u00a0cam.example.com\u200b",
        "CAMERA_SERVERS_ALLOWED": " a.example.com , b.example.com:7160 ", "MEDIA_SPOOL": f" {tmp_path} ",
        "TWILIO_ACCOUNT_SID": " AC1 ", "TWILIO_FROM": " +12025550100 ", "RECEIVER_PROXIES": " 10.0.0.0/8 ",
        "RECEIVER_NETWORKS": " 10.1.0.0/16 , 2001:db8::/32",
        "TWILIO_AUTH_TOKEN_FILE": f" {tmp_path}/token ",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    read = load()
    assert (read.public_url, read.port, read.media_delivery) == (
        "https://dualcam.example.com",
        8001,
        "redirect",
    )
    assert (read.sms_figure_space, read.sms_per_second, read.camera_server_domain) == (
        True,
        2,
        "cam.example.com",
    )
    assert (read.camera_servers_allowed, read.media_spool) == (
        ("a.example.com", "b.example.com:7160"),
        tmp_path,
    )
    assert (read.twilio_account_sid, read.twilio_from) == ("AC1", "+12025550100")
    assert [str(network) for network in read.receiver_networks] == ["10.1.0.0/16", "2001:db8::/32"]
    assert (read.twilio_auth_token, str(read.receiver_proxies[0])) == ("from a file", "10.0.0.0/8")


@pytest.mark.parametrize("url", ["postgresql://u@h/d", "postgres://u@h/d", "postgresql+psycopg://u@h/d"])
def test_a_postgresql_url_gets_the_driver_we_ship(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert load().database_url == "postgresql+psycopg://u@h/d"


def test_devices_are_told_the_receivers_own_port_where_no_other_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECEIVER_PORT", "7999")
    assert load().camera_server_port == 7999


def test_an_alphanumeric_sender_is_refused_because_devices_cannot_answer_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TWILIO_FROM", "Fleet")
    with pytest.raises(ConfigError, match="cannot answer a name"):
        load()


def test_programs_may_ask_at_least_600_times_a_minute() -> None:
    assert load().api_requests_per_minute >= 600


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("CAMERA_DOMAIN_PARAMETER", {"camera_domain_parameter": 151}),
        ("CAMERA_DOMAIN_PARAMETER", {"camera_domain_parameter": 70001, "camera_port_parameter": 70001}),
        ("CAMERA_SERVER_DOMAIN", {"camera_server_domain": "256.1.1.1"}),
        ("CAMERA_SERVER_DOMAIN", {"camera_server_domain": "a..b"}),
        ("CAMERA_SERVERS_ALLOWED", {"camera_servers_allowed": ("-x.example.com:7160",)}),
    ],
)  # fmt: skip
def test_a_camera_server_that_no_sms_could_name_is_refused_at_the_start(
    name: str, change: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as caught:
        create_app(dataclasses.replace(load(), **change))
    assert list(caught.value.errors) == [name]


@pytest.mark.parametrize("weak", ["a", "a" * 40, "abababababababababab", "short key"])
@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEYS"])
def test_a_key_that_is_easy_to_guess_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, weak: str
) -> None:
    monkeypatch.setenv(name, weak)
    with pytest.raises(ConfigError, match="openssl rand -hex 32") as refused:
        load()
    assert set(refused.value.errors) == {name}


def test_an_old_weak_key_may_stay_behind_a_good_one_to_decrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCRYPTION_KEYS", "a long and good enough new key,a")
    assert load().encryption_keys == ("a long and good enough new key", "a")


def test_a_setting_that_is_none_any_more_is_ignored_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_URL", "redis://10.0.0.20")
    with pytest.warns(UserWarning, match="QUEUE_URL is set and ignored"):
        load()
