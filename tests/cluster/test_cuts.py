"""Links between nodes are cut and mended (proxy.py), under a load of acks=all."""
import pytest
from cluster import Cluster
from history import Writer, check_records, check_replicas
from proxy import Links

TOPIC = 't'
SHORT = {'broker.session.timeout.ms': 3000, 'replica.lag.time.max.ms': 3000}


def begin(c):
    c.create_topic(TOPIC, 3, 3, assignments=[[11, 12, 13], [12, 13, 11], [13, 11, 12]])
    w = Writer(c, TOPIC, 3)
    w.wait_more(100)
    return w


def test_a_broker_is_cut_off(tmp_path):
    """Alone it cannot commit: with the others' leader moved, what it took must not be acknowledged or is kept."""
    links = Links()
    with Cluster(tmp_path, controllers=3, brokers=3, links=links, settings=SHORT) as c:
        w = begin(c)
        for reset in (False, True):
            links.isolate(c.node(11), reset)
            for p in range(3):
                c.wait_partition(TOPIC, p, not_leader=11, isr={12, 13}, nodes=[c.node(12)])
            links.heal()
            c.wait_in_sync(TOPIC)
            w.wait_more(50)
        check_records(c, w.stop())
        check_replicas(c, TOPIC, 3)


@pytest.mark.slow
def test_a_leader_that_does_not_reach_a_follower(tmp_path):
    """The follower leaves the ISR after replica.lag.time.max.ms, though both are alive, and comes back."""
    links = Links()
    with Cluster(tmp_path, controllers=1, brokers=3, links=links, settings=SHORT) as c:
        w = begin(c)
        links.cut(c.node(11), c.node(12))
        c.wait_partition(TOPIC, 0, leader=11, isr={11, 13})
        c.wait_partition(TOPIC, 1, leader=12, isr={12, 13})
        assert c.unfenced() == {11, 12, 13}
        w.wait_more(50)
        links.heal()
        c.wait_in_sync(TOPIC)
        check_records(c, w.stop())
        check_replicas(c, TOPIC, 3)


@pytest.mark.slow
def test_the_active_controller_is_cut_off(tmp_path):
    links = Links()
    with Cluster(tmp_path, controllers=3, brokers=3, links=links, settings=SHORT) as c:
        w = begin(c)
        for one_way in (False, True):
            old = c.wait_active()
            for n in c.nodes:
                if n is not old:
                    links.cut(old, n, one_way=one_way)
            c.wait_active(old)
            c.create_topic('while-cut-%s' % one_way, 1, 3)
            w.wait_more(50)
            links.heal()
        c.wait_in_sync(TOPIC)
        check_records(c, w.stop())
        check_replicas(c, TOPIC, 3)
