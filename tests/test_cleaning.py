"""What people paste: labels' ways to write an IMEI, other ways to write a phone number, blanks that nobody sees."""

import pytest

from provisioning.tracker.normalization import clean_host, clean_imei, clean_line, clean_phone, clean_text

IMEI = "352094082736916"
PHONE = "+12025550196"


@pytest.mark.parametrize(
    "pasted",
    [
        "35-209408-273691-6", "35 209408 273691 6", "35/209408/273691/6", "'352094082736916",
        "IMEI: 352094082736916",
        "imei 35 209408 273691 6", "\u00a0352094082736916\u00a0", "35\u200b2094082736916",
        "\ufeff352094082736916",
        "35\u2011209408\u2011273691\u20116", "IMEI:\t352094082736916\r\n",
        "\uff13\uff15 209408 273691 6", '"352094082736916"',
    ],
)  # fmt: skip
def test_an_imei_is_read_as_a_label_writes_it(pasted: str) -> None:
    assert clean_imei(pasted) == IMEI


@pytest.mark.parametrize(
    "pasted", ["352094082736916 / 01", "3.52094E+14", "352094082736916a", "35209408273691"]
)
def test_what_is_no_imei_stays_none(pasted: str) -> None:
    assert clean_imei(pasted) != IMEI


@pytest.mark.parametrize(
    "pasted",
    [
        "+1 (202) 555-0196", "0012025550196", "00 1 202 555 0196", "+1.202.555.0196", "tel:+12025550196",
        "'+12025550196",
        "\u200e+1\u00a0202\u00a05550196\u200b", "+1 202/555 0196", "Tel.: +1 202 555-0196", "\uff0b1 202 5550196",
    ],
)  # fmt: skip
def test_a_phone_number_is_read_as_people_write_it(pasted: str) -> None:
    assert clean_phone(pasted) == PHONE


def test_the_zero_that_is_dialled_inside_a_country_is_left_out() -> None:
    assert clean_phone("+44 (0)20 7946 0196") == "+442079460196"


@pytest.mark.parametrize(
    "pasted",
    ["2025550196", "+12025550196/97", "+12025550196, +12025550197", "+1 202 CALL", "+12025550196 ext. 5"],
)
def test_what_may_be_another_number_is_not_made_one(pasted: str) -> None:
    assert clean_phone(pasted) != PHONE


def test_a_line_has_one_kind_of_blank_and_none_at_its_ends() -> None:
    assert clean_line("\ufeff Van\u00a0\t11\u200b\r\n") == "Van 11"


def test_what_joins_letters_and_emoji_is_text() -> None:
    assert (
        clean_text("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645")
        == "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    )


@pytest.mark.parametrize(
    "pasted",
    [" cam.example.com ", "https://cam.example.com/", "cam.example.com.", "tcp://cam.example.com\u200b"],
)
def test_a_server_is_read_without_what_an_address_bar_adds(pasted: str) -> None:
    assert clean_host(pasted) == "cam.example.com"
