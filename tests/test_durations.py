"""How long things take and what SMS cost, as pure functions: vectors of files that came, and what follows from them."""

import math
from decimal import Decimal

import pytest

from provisioning.core.prices import Price, price_of, read_price
from provisioning.devices import durations
from provisioning.devices.durations import Basis, Estimate, FinishedFile, Measured, Wanted

pytestmark = pytest.mark.quick

PHOTO = Wanted("photo", None, 1)


def photo(rate: float, start: float | None = 12.0, size: int = 48_000) -> FinishedFile:
    return FinishedFile("photo", size, None, size / rate, start)


def clip(rate: float, seconds: int = 10, size: int = 3_000_000) -> FinishedFile:
    return FinishedFile("video", size, seconds, size / rate, 20.0)


@pytest.mark.parametrize(
    ("wanted", "seconds"),
    [
        (PHOTO, 18),  # 50 kB
        (Wanted("photo", None, 2), 36),
        (Wanted("video", 20, 1), 320),  # 6 MB
        (Wanted("video", 20, 2), 640),
    ],
)
def test_what_nobody_measured_takes_as_long_as_the_vendor_says(wanted: Wanted, seconds: int) -> None:
    estimate = durations.ready_in(wanted, Measured())
    assert estimate.basis is Basis.VENDOR
    assert abs(estimate.seconds - seconds) <= 1
    assert estimate.low < estimate.seconds < estimate.high


@pytest.mark.parametrize("rate", [1000, 6000, 18_000])
def test_three_files_of_a_vehicle_tell_its_speed_and_its_start_up_time(rate: float) -> None:
    measured = Measured(vehicle=[photo(rate)] * 3)
    estimate = durations.ready_in(PHOTO, measured)
    assert (estimate.basis, estimate.seconds) == (Basis.VEHICLE, math.ceil(12 + 48_000 / rate))
    assert estimate.low <= estimate.seconds <= estimate.high


def test_two_files_are_too_few_and_the_fleet_speaks_for_the_vehicle() -> None:
    measured = Measured(vehicle=[photo(1000)] * 2, fleet=[photo(6000)] * 3)
    estimate = durations.ready_in(PHOTO, measured)
    assert (estimate.basis, estimate.seconds) == (Basis.FLEET, 20)


def test_a_file_that_came_late_once_widens_the_estimate_and_does_not_move_it() -> None:
    measured = Measured(vehicle=[photo(6000)] * 4 + [photo(500, start=1800.0)])
    estimate = durations.ready_in(PHOTO, measured)
    assert (estimate.low, estimate.seconds, estimate.high) == (20, 20, 1896)


def test_a_small_file_tells_of_waits_and_not_of_the_line() -> None:
    small = FinishedFile("photo", 2_000, None, 2.0)
    measured = Measured(vehicle=[small] * 5 + [photo(6000)] * 3)
    assert durations.ready_in(Wanted("video", 1, 1), measured).seconds == 12 + 300_000 // 6000


def test_a_clip_is_as_large_as_the_vehicles_own_clips_were() -> None:
    measured = Measured(vehicle=[clip(6000, size=600_000), photo(6000), photo(6000)])
    assert durations.expected_bytes(Wanted("video", 5, 2), measured) == 600_000
    assert durations.expected_bytes(Wanted("video", 5, 2), Measured()) == 3_000_000
    assert durations.expected_bytes(Wanted("photo", None, 2), Measured()) == 100_000


def test_files_that_nobody_asked_for_tell_the_speed_and_the_fleet_the_start_up_time() -> None:
    triggered = [photo(6000, start=None)] * 3
    assert durations.ready_in(PHOTO, Measured(triggered, [photo(1, start=30.0)])).seconds == 38
    assert durations.ready_in(PHOTO, Measured(triggered)).seconds == round(durations.VENDOR_START + 8)


def test_a_clip_starts_as_late_as_clips_did() -> None:
    measured = Measured(vehicle=[photo(6000), photo(6000), clip(6000, size=60_000)])
    assert durations.ready_in(Wanted("video", 10, 1), measured).seconds == 20 + 60_000 // 6000


def test_replies_take_as_long_as_they_took() -> None:
    measured = Measured(vehicle_replies=[5, 6, 40])
    assert durations.answered_in(2, measured) == Estimate(12, 10, 80, Basis.VEHICLE)
    assert durations.answered_in(2, Measured()).basis is Basis.VENDOR


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (Estimate(640, 500, 900, Basis.VEHICLE), "about 11 min on this vehicle's line (measured)"),
        (
            Estimate(40, 20, 90, Basis.FLEET),
            "about 40 s, as other vehicles take (this one is not measured yet)",
        ),
        (
            Estimate(320, 160, 640, Basis.VENDOR),
            "about 5 min by the vendor's figures (nothing is measured yet)",
        ),
    ],
)
def test_an_estimate_says_what_it_rests_on(estimate: Estimate, said: str) -> None:
    assert durations.words(estimate) == said


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("0.05 EUR", Price(Decimal("0.05"), "EUR")),
        ("0.00790 usd", Price(Decimal("0.0079"), "USD")),
        ("12USD", Price(Decimal("12"), "USD")),
        ("", None),
        ("0.05", None),
        ("-0.05 EUR", None),
        ("five EUR", None),
        ("0.05 EURO", None),
    ],
)
def test_a_price_is_an_amount_and_a_currency(text: str, price: Price | None) -> None:
    assert read_price(text) == price


def test_the_settings_decide_the_price_before_what_the_gateway_told() -> None:
    fixed, answer = Price(Decimal("0.05"), "EUR"), [Price(Decimal("0.0079"), "USD")]
    assert str(price_of(2, fixed, answer)) == "0.1 EUR"
    assert str(price_of(2, None, answer)) == "0.0158 USD"
    assert price_of(2, None, []) is None
