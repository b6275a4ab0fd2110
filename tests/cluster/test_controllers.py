"""A quorum of controllers: the active one is killed, stopped, paused; clients and brokers go on with the next."""
import pytest
from cluster import Cluster, ask
from history import Writer, check_records


def test_three_controllers(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=2, factor=1) as c:
        c.create_topic('t', 4, 1)
        w = Writer(c, 't', 4)
        w.wait_more(50)
        for end in ('kill', 'stop', 'pause'):
            old = c.wait_active()
            getattr(old, end)()
            c.wait_active(old)
            c.create_topic('after-%s' % end, 2, 1)
            w.wait_more(50)
            if end == 'pause':
                old.resume()
            else:
                old.start()
            c.wait_voters()
        for n in c.controllers:
            n.restart()
            c.create_topic('round-%d' % n.id, 1, 1)
        c.wait_unfenced({11, 12})
        check_records(c, w.stop())


@pytest.mark.slow
def test_without_a_majority_nothing_is_decided(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        old = c.wait_active()
        others = [n for n in c.controllers if n is not old]
        for n in others:
            n.kill()
        value = {'topics': [{'name': 'late', 'numPartitions': 1, 'replicationFactor': 1, 'assignments': [], 'configs': []}], 'timeoutMs': 1500}
        try:
            r = ask(c.node(11).port, 'CreateTopics', 7, value, 20)
            assert r['topics'][0]['errorCode'] != 0, r
        except TimeoutError:
            pass
        assert c.partition('late', 0) is None
        others[0].start()
        c.wait_active()
        c.create_topic('late', 1, 1)
        others[1].start()
