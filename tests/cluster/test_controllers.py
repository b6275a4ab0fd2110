"""A quorum of controllers: the active one is killed, stopped, paused; clients and brokers go on with the next."""
import threading

import pytest
from cluster import CODEC, Cluster, ask, wait
from history import Writer, check_records
from kafkawire import Connection
from records import batch


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


class Presses(threading.Thread):
    """A client that sends one batch, which the broker has to open, again and again to one partition."""

    def __init__(self, n, topic, p, records, patience=60):
        super().__init__(daemon=True)
        self.port, self.patience, self.wanted, self.acked, self.codes = n.port, patience, True, 0, set()
        self.body = {'transactionalId': None, 'acks': -1, 'timeoutMs': 60000, 'topicData': [
            {'name': topic, 'partitionData': [{'index': p, 'records': records}]}]}
        self.start()

    def run(self):
        conn = Connection('127.0.0.1', self.port, CODEC, self.patience)
        while self.wanted:
            r = conn.ask('Produce', 9, self.body, self.patience)
            self.codes.add(r['responses'][0]['partitionResponses'][0]['errorCode'])
            self.acked += 1


def end_presses(presses, each, seconds):
    """When each has been acknowledged so often."""
    wait(lambda: all(p.acked >= each for p in presses), lambda: 'acknowledged: %s' % [(p.acked, p.codes) for p in presses], seconds)
    for p in presses:
        p.wanted = False
    for p in presses:
        p.join(p.patience)
        assert not p.is_alive()
    assert all(p.codes == {0} for p in presses), [p.codes for p in presses]


def check_never_fenced(c):
    assert 'its session is over' not in c.node(1).text() and 'partition has no leader' not in c.node(1).text()
    for n in c.brokers:
        assert n.text().count('unfenced: the broker serves') == 1 and 'fenced by the controller' not in n.text()


@pytest.mark.slow
def test_a_loaded_broker_is_not_fenced(tmp_path):
    """Heartbeats pass compressed batches, which brokers open one after the other, and hundreds of topics that are made meanwhile."""
    with Cluster(tmp_path, controllers=1, brokers=2, factor=2) as c:
        c.create_topic('t', 8, 2, configs={'cleanup.policy': 'compact'}, assignments=[[11, 12], [12, 11]] * 4)
        records = batch([bytes(1000)] * 1000, key=b'k', zipped=True)  # 1 MB each; compacted: their keys are looked at
        presses = [Presses(c.node(11 + p % 2), 't', p, records) for p in range(8)]
        value = {'topics': [], 'timeoutMs': 60000}
        for i in range(20):
            value['topics'] = [{'name': 'many-%d-%d' % (i, k), 'numPartitions': 5, 'replicationFactor': 2, 'assignments': [], 'configs': []}
                               for k in range(10)]
            r = ask(c.node(11).port, 'CreateTopics', 7, value, 60)
            assert {t['errorCode'] for t in r['topics']} == {0}, r
        end_presses(presses, 30, 120)
        check_never_fenced(c)


@pytest.mark.slow
def test_a_broker_that_opens_the_largest_batches_is_not_fenced(tmp_path):
    """96 clients whose batches of half a megabyte open to 100 MiB each, all at the same time, and heartbeats pass them."""
    with Cluster(tmp_path, controllers=1, brokers=2, factor=2) as c:
        c.create_topic('t', 8, 2, configs={'cleanup.policy': 'compact'}, assignments=[[11, 12], [12, 11]] * 4)
        records = batch([bytes(2900)] * 36000, key=b'k', zipped=True)
        assert 300000 < len(records) < 1000000, len(records)
        end_presses([Presses(c.node(11 + p % 2), 't', p % 8, records, 600) for p in range(96)], 1, 900)
        check_never_fenced(c)


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
