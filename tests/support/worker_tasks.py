"""Toy work for engines: what a worker of quivo_frames may do, without an order in it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from quivo_frames.errors import ConfigError


def square(number: int) -> tuple[int, int]:
    """A number and its square."""
    return number, number * number


def slow_square(seen: Path, number: int) -> tuple[int, int]:
    """The same after half a second; leaves a file that says that the work has begun."""
    (seen / f"{number}-{os.getpid()}").touch()
    time.sleep(0.5)
    return number, number * number


def refuse_three(number: int) -> int:
    """Does not want three."""
    if number == 3:
        raise ConfigError("three is not for us")
    return number


def refuse_zero_slowly(seen: Path, number: int) -> int:
    """Does not want nothing, and takes its time with others; leaves a file for each that was begun."""
    (seen / str(number)).touch()
    if number == 0:
        raise ConfigError("nothing is not for us")
    time.sleep(0.2)
    return number


def raise_with_a_value(number: int) -> int:
    """Breaks with a text that holds a value."""
    raise ValueError(f"Anna Example lives at {number}")


def raise_a_panic(number: int) -> int:
    """Breaks as something that is no Exception, as a panic of polars."""

    class Panic(BaseException):
        pass

    raise Panic("Anna Example")


def import_msgspec(number: int) -> int:
    """Needs a library that quivo_frames needs."""
    import msgspec

    return int(msgspec.json.decode(str(number)))


def die_of_three(number: int) -> int:
    """Ends the process that works on three."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
