"""Two kinds of clients, librdkafka and kafka-python as Debian packages them, share one group of a node; and stay members through kill -9."""
import pytest
import shared_group
from members import KafkaPython, Librdkafka
from node import Node

QUICK = ['group.initial.rebalance.delay.ms=0', 'group.min.session.timeout.ms=2000']


@pytest.mark.parametrize('assignor', ['range', 'roundrobin'])
@pytest.mark.parametrize('first,second', [(Librdkafka, KafkaPython), (KafkaPython, Librdkafka)])
def test_they_take_turns(tmp_path, assignor, first, second):
    with Node(tmp_path, QUICK) as n:
        shared_group.take_turns(n, first, second, 'turns', assignor)


def test_through_kills(tmp_path):
    with Node(tmp_path, QUICK) as n:
        shared_group.through_kills(n, [Librdkafka, KafkaPython], 3)
