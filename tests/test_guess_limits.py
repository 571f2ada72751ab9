"""How long an address waits that tries many IMEIs."""

import socket
from pathlib import Path

import receiver_under_test
from camera_model import CameraModel
from conftest import wait_until
from receiver_under_test import IMEI, UNKNOWN, Running, content, init, receiver

from receiver.net.guess_limits import ADDRESSES, IMEIS, IMEIS_OF_AN_ADDRESS, GuessLimits

receivers = receiver_under_test.receivers  # the same fixture


def test_an_address_that_tries_many_unknown_imeis_waits_longer_each_time() -> None:
    guesses = GuessLimits(free=2)
    assert [guesses.delay("a", str(n), 0.0) for n in range(5)] == [0.0, 0.0, 0.5, 1.0, 2.0]
    assert max(guesses.delay("a", str(n), 0.0) for n in range(5, 50)) == 30.0
    assert guesses.delay("b", "7", 0.0) == 0.0
    assert guesses.delay("a", "99", 4000.0) == 0.0


def test_an_unknown_device_that_returns_is_one_imei_and_does_not_wait_again() -> None:
    guesses = GuessLimits(free=2)
    fleet = [str(number) for number in range(8)]  # behind one address, none of them added yet
    assert [guesses.delay("a", imei, 0.0) for imei in fleet] == [0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    for minute in range(1, 100):
        assert [guesses.delay("a", imei, 60.0 * minute) for imei in fleet] == [0.0] * 8
    assert guesses.delay("a", "another", 6000.0) == 30.0


def test_an_imei_that_is_tried_again_before_its_refusal_waits_for_the_rest_of_it() -> None:
    guesses = GuessLimits(free=0)
    assert [guesses.delay("a", str(number), 0.0) for number in range(4)] == [0.5, 1.0, 2.0, 4.0]
    assert guesses.delay("a", "3", 1.0) == 3.0
    assert guesses.delay("a", "3", 5.0) == 0.0


def test_of_an_address_only_the_imeis_that_it_tried_last_are_remembered() -> None:
    guesses = GuessLimits(free=0)
    guesses.delay("a", "first", 0.0)
    for number in range(IMEIS_OF_AN_ADDRESS):
        guesses.delay("a", str(number), 0.0)
    assert guesses.delay("a", "0", 100.0) == 0.0
    assert guesses.delay("a", "first", 100.0) == 30.0


def test_the_addresses_and_imeis_that_are_remembered_are_bounded() -> None:
    guesses = GuessLimits()
    for number in range(ADDRESSES + 100):
        guesses.delay(str(number), IMEI, 0.0)
    assert len(guesses._tries) == ADDRESSES
    for number in range(IMEIS // 50 + 1):
        for imei in range(50):
            guesses.delay(f"many {number}", str(imei), 0.0)
    assert sum(len(tries.due) for tries in guesses._tries.values()) <= IMEIS
    assert guesses.delay("0", "another", 0.0) == 0.0  # forgotten: it tried longest ago


def test_a_guess_waits_without_a_place_while_a_known_device_of_its_address_is_served(
    tmp_path: Path, receivers: list[Running]
) -> None:
    receivers.append(running := receiver(tmp_path, max_connections=1))
    running.server.guess_limits.delay = lambda *given: 1000.0  # type: ignore[method-assign]
    with socket.create_connection(("127.0.0.1", running.port)) as line:
        line.sendall(init(imei=UNKNOWN))
        wait_until(lambda: running.server.guess_limits._waiting)
        camera = CameraModel(files={"%photof": content(2000)})
        camera.run(running.port)
        assert camera.acknowledged == ["%photof"]
        running.server.guess_limits.release()
        assert line.recv(10) == bytes(4)
