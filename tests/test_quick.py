"""`make quick`: what it runs starts nothing, which is held while each of its tests runs."""

import socket
import subprocess

import pytest

pytestmark = pytest.mark.quick


def test_a_quick_test_starts_no_process() -> None:
    with pytest.raises(AssertionError, match="starts no process"):
        subprocess.run(["true"], check=True)


def test_a_quick_test_starts_no_server() -> None:
    with pytest.raises(AssertionError, match="no server"):
        socket.create_server(("127.0.0.1", 0))
