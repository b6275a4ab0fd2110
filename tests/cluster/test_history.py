"""The checkers themselves: each kind of harm is seen."""
import types

import pytest
from history import Writer, check_partition


def writer(acked, idempotent=True):
    w = types.SimpleNamespace(name='w', size=20, acked=[acked], config={'enable.idempotence': idempotent})
    w.value = lambda p, i: Writer.value(w, p, i)
    return w


def log(w, numbers):
    return [(offset, w.value(0, i)) for offset, i in enumerate(numbers)]


@pytest.mark.parametrize('numbers,acked,wrong', [
    ([0, 1, 2, 3], {0: 0, 1: 1, 3: 3}, None),
    ([0, 1, 3], {0: 0, 1: 1, 2: 2, 3: 3}, 'record 2, acknowledged at 2, is lost'),
    ([0, 1, 1, 2], {0: 0}, 'record 1 stands at 1 and at 2'),
    ([0, 2, 1], {0: 0}, 'record 1 at 2 stands behind 2'),
    ([0, 1, 2], {1: 2}, 'record 1, acknowledged at 2, stands at 1'),
])
def test_harm_is_seen(numbers, acked, wrong):
    w = writer(acked)
    found = check_partition(w, 0, log(w, numbers))
    assert found == [] if wrong is None else wrong in found, found


def test_damage_and_gaps_are_seen():
    w = writer({})
    whole = log(w, [0, 1, 2])
    assert check_partition(w, 0, [whole[0], whole[2]]) == ['offset 2 follows 0']
    assert 'not what was sent' in check_partition(w, 0, [(0, b'w 0 0 ......x.......')])[0]


def test_without_idempotence_records_may_be_there_twice():
    w = writer({0: 0, 1: 1}, False)
    assert check_partition(w, 0, log(w, [0, 1, 0, 1])) == []
    assert check_partition(w, 0, log(w, [0])) == ['record 1, acknowledged at 1, is lost']
