"""Deep work on one stack for all: results, errors, and work that waits after all."""

import gevent
import pytest
from greenlet import getcurrent

from receiver.net.shared_stack import SharedStack

pytestmark = pytest.mark.quick


def test_work_is_done_on_one_other_stack_and_gives_what_it_gives() -> None:
    apart = SharedStack()
    stacks = {apart.do(getcurrent) for _ in range(3)} | {gevent.spawn(apart.do, getcurrent).get()}
    assert len(stacks) == 1
    assert getcurrent() not in stacks
    assert apart.do(divmod, 7, 2) == (3, 1)


def test_an_error_is_raised_at_the_caller_and_the_next_work_is_done() -> None:
    apart = SharedStack()
    with pytest.raises(ZeroDivisionError):
        apart.do(divmod, 7, 0)
    assert apart.do(divmod, 7, 2) == (3, 1)


def test_work_that_waits_holds_up_nobody_and_gets_its_own_answer() -> None:
    apart = SharedStack()

    def slowly(number: int) -> int:
        gevent.sleep(0.01 * number)
        return number

    waiting = [gevent.spawn(apart.do, slowly, number) for number in (3, 1, 2)]
    assert apart.do(divmod, 7, 2) == (3, 1)
    assert [one.get() for one in waiting] == [3, 1, 2]
