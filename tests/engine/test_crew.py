"""Several processes share the checks of one run: each check is run once, and a helper in trouble is never a verdict."""

from __future__ import annotations

import os
import signal

import pytest
from checks import process_ends

from grader.engine.checker import Checked, GraderError, Spending
from grader.engine.crew import Crew
from grader.engine.output import Printed
from grader.engine.remote import EngineFault
from grader.results import Check


def checked(index: int) -> Checked:
    check = Check(id=f"check {index}", title="", outcome="passed", message=str(os.getpid()))
    return Checked(index, check, Printed(), {})


@pytest.fixture
def crew():
    made = []

    def make(count: int) -> Crew:
        made.append(Crew(count))
        return made[-1]

    yield make
    for each in made:
        each.dismiss()


def test_every_check_is_taken_once_and_reported(crew):
    shared = crew(300)

    def work(report):
        while (index := shared.claim()) is not None:
            report(checked(index))

    reports = [checked(shared.claim())]
    for _ in range(3):
        shared.hire(work)
    while (index := shared.claim()) is not None:
        reports += [checked(index), *shared.reports(wait=False)]
    reports += shared.reports(wait=True)
    assert sorted(report.index for report in reports) == list(range(300))
    assert len({report.check.message for report in reports}) > 1


def test_reports_that_come_in_one_piece_are_all_read(crew):
    """Sent before the first is read, so that one read brings several: no poll tells of the rest."""
    shared = crew(1)
    ready, done = os.pipe()

    def work(report):
        for index in range(5):
            report(checked(index))
        os.write(done, b"x")

    shared.hire(work)
    assert os.read(ready, 1) == b"x"
    assert [report.index for report in shared.reports(wait=True)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("error", "raised"),
    [(GraderError("check a: bad"), GraderError), (EngineFault("gone"), EngineFault), (OSError("disk"), EngineFault)],
)
def test_a_helper_in_trouble_stops_the_run(crew, error, raised):
    shared = crew(1)

    def work(report):
        report(checked(0))
        raise error

    shared.hire(work)
    with pytest.raises(raised, match=str(error)):
        list(shared.reports(wait=True))


def test_a_helper_that_dies_is_the_engines_fault(crew):
    shared = crew(1)
    shared.hire(lambda report: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(EngineFault, match="died"):
        list(shared.reports(wait=True))


def test_dismissed_helpers_leave_nothing_behind():
    shared = Crew(1)
    shared.hire(lambda report: report(checked(0)))
    (report,) = shared.reports(wait=True)
    shared.dismiss()
    assert process_ends(int(report.check.message))


def test_what_is_spent_adds_up_over_processes():
    spending = Spending(3)
    spending.add(1.5, timeout=False)
    pid = os.fork()
    if pid == 0:
        spending.become(2)
        spending.add(0.25, timeout=True)
        spending.add(0.25, timeout=True)
        os._exit(0)
    os.waitpid(pid, 0)
    assert spending.seconds == 2.0 and spending.timeouts == 2
