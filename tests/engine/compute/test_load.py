"""What other programs take of the processor is told apart from what this one takes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from looptop.engine.compute.load import Reading, cores_of_others, read
from tests.support import eventually

COMPUTES = "while True: pass"
ENOUGH = 1.0
"""Seconds of a core, many of the ticks in which systems count."""


def test_what_others_take_is_the_cores_that_they_kept_busy() -> None:
    assert cores_of_others(Reading(10, 100, 40), Reading(12, 106, 42)) == 2.0
    assert cores_of_others(Reading(10, 100, 40), Reading(14, 102, 41)) == 0.25


def test_nobody_takes_less_than_nothing_though_the_two_are_counted_differently() -> None:
    assert cores_of_others(Reading(10, 100, 40), Reading(11, 101.98, 42)) == 0.0


def test_a_program_that_computes_takes_what_it_computes() -> None:
    with subprocess.Popen([sys.executable, "-c", COMPUTES]) as other:
        try:
            process = psutil.Process(other.pid)
            before, began = read(), process.cpu_times().user
            eventually(lambda: process.cpu_times().user - began > ENOUGH)
            now = read()
        finally:
            other.kill()
    assert cores_of_others(before, now) * (now.moment - before.moment) > 0.8 * ENOUGH


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a process cannot be held on one core here")
def test_what_this_program_computes_is_not_taken_by_others() -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        before = read()
        while time.process_time() - before.own < ENOUGH:
            pass
        now = read()
    finally:
        os.sched_setaffinity(0, cores)
    own = (now.own - before.own) / (now.moment - before.moment)
    assert own + cores_of_others(before, now) < 1.1, "one core cannot do more than one"
