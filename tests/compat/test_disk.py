"""A real node on real file systems that get full or go away: a node with two log directories, one of which is a small file system of its
own. Partitions there answer KAFKA_STORAGE_ERROR, the others go on; what was acknowledged stays; a full one serves again by itself. And
retention on a running node."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))

import pytest
from kafkawire import Codec, Connection
from node import Node
from records import batch, values
from small_disk import SmallDisk

STORAGE_ERROR = 56
SMALL_MIB = 6


def log_files(folder):
    """The segments of a partition's folder; retention may remove one between the listing and the look at it."""
    for entry in os.scandir(folder):
        try:
            if entry.name.endswith('.log'):
                entry.stat()
                yield entry
        except FileNotFoundError:
            pass


def wait_until(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'waited in vain: ' + what
        time.sleep(0.05)


class Client:
    """Topics of one partition, one record a batch; remembers what was acknowledged."""

    def __init__(self, node):
        self.node, self.codec, self.acked, self.serial = node, Codec(), {}, 0
        self.connect()

    def connect(self):
        self.conn = Connection('127.0.0.1', self.node.port, self.codec)

    def create(self, name, **configs):
        r = self.conn.ask('CreateTopics', 7, {
            'topics': [{'name': name, 'numPartitions': 1, 'replicationFactor': 1, 'assignments': [],
                        'configs': [{'name': k, 'value': str(v)} for k, v in configs.items()]}],
            'timeoutMs': 10000, 'validateOnly': False})
        assert r['topics'][0]['errorCode'] == 0, r
        self.acked[name] = []
        wait_until(lambda: self.offset(name, -1) == 0, 'a leader of ' + name)

    def produce(self, topic, size=1000, time_ms=None):
        """The answer's error code."""
        self.serial += 1
        value = b'%d ' % self.serial + b'x' * size
        r = self.conn.ask('Produce', 9, {'transactionalId': None, 'acks': -1, 'timeoutMs': 10000, 'topicData': [
            {'name': topic, 'partitionData': [{'index': 0, 'records': batch([value], time_ms or int(time.time() * 1000))}]}]})
        p = r['responses'][0]['partitionResponses'][0]
        if p['errorCode'] == 0:
            self.acked[topic].append((p['baseOffset'], value))
        return p['errorCode']

    def offset(self, topic, which):
        r = self.conn.ask('ListOffsets', 7, {'replicaId': -1, 'isolationLevel': 0, 'topics': [
            {'name': topic, 'partitions': [{'partitionIndex': 0, 'currentLeaderEpoch': -1, 'timestamp': which}]}]})
        p = r['topics'][0]['partitions'][0]
        return p['offset'] if p['errorCode'] == 0 else None

    def read(self, topic):
        at, out = self.offset(topic, -2), []
        while at < self.offset(topic, -1):
            r = self.conn.ask('Fetch', 11, {
                'replicaId': -1, 'maxWaitMs': 100, 'minBytes': 1, 'maxBytes': 10000000, 'isolationLevel': 0, 'sessionId': 0,
                'sessionEpoch': -1, 'forgottenTopicsData': [], 'rackId': '', 'topics': [{'topic': topic, 'partitions': [
                    {'partition': 0, 'currentLeaderEpoch': -1, 'fetchOffset': at, 'logStartOffset': -1, 'partitionMaxBytes': 1000000}]}]})
            p = r['responses'][0]['partitions'][0]
            assert p['errorCode'] == 0, p
            out += [v for v in values(p['records']) if v[0] >= at]
            at = out[-1][0] + 1
        return out

    def check(self, topic):
        """Everything that was acknowledged is there, where it was said to be."""
        found = dict(self.read(topic))
        for offset, value in self.acked[topic]:
            assert found.get(offset) == value, '%s: offset %d' % (topic, offset)

    def dirs(self):
        """{path: (error code, {topic})}"""
        r = self.conn.ask('DescribeLogDirs', 4, {'topics': None})
        return {d['logDir']: (d['errorCode'], {t['name'] for t in d['topics']}) for d in r['results']}


@pytest.fixture
def two(tmp_path):
    """A node with a roomy and a small directory, a client, the topics in the small one and in the other."""
    big, small = tmp_path / 'data', tmp_path / 'small'
    disk = SmallDisk(small, SMALL_MIB)
    try:
        settings = ['log.dirs=%s,%s' % (big, small), 'replica.high.watermark.checkpoint.interval.ms=100']
        with Node(tmp_path, settings, prefix=disk.prefix) as n:
            c = Client(n)
            for i in range(6):
                c.create('t%d' % i, **{'internal.segment.bytes': 100000})
            held = c.dirs()[disk.folder][1]
            assert held and held != set(c.acked)
            yield n, disk, c, sorted(held), sorted(set(c.acked) - held)
    finally:
        disk.end()


def test_a_file_in_place_of_a_directory_is_left_out(tmp_path):
    good, none = tmp_path / 'data', tmp_path / 'none'
    none.write_text('')
    with Node(tmp_path, ['log.dirs=%s,%s' % (good, none)]) as n:
        client, topics = Client(n), {'t0', 't1', 't2'}
        for t in topics:
            client.create(t)
        for _ in range(2):
            for t in topics:
                wait_until(lambda: client.offset(t, -1) is not None, 'a leader of ' + t)
                assert client.produce(t) == 0
                client.check(t)
            assert client.dirs() == {str(good): (0, topics), str(none): (STORAGE_ERROR, set())}
            n.kill()
            n.start()
            client.connect()
    assert none.read_text() == ''


def test_full_disk(two):
    node, disk, client, here, there = two
    for _ in range(50):
        for t in here + there:
            assert client.produce(t) == 0
    disk.fill()
    refused = set()
    for _ in range(30):
        for t in here:
            code = client.produce(t, 20000)
            assert code in (0, STORAGE_ERROR)
            refused.add(t) if code else None
        for t in there:
            assert client.produce(t, 20000) == 0
    assert refused == set(here)
    for t in here + there:  # it is still read from
        client.check(t)
    assert client.dirs()[disk.folder][0] == 0  # full is not broken
    node.kill()
    node.start()  # on the full disk
    client.connect()
    for t in there:
        wait_until(lambda: client.offset(t, -1) is not None, 'a leader of ' + t)
        client.check(t)
        assert client.produce(t) == 0
    disk.give_space_back()
    for t in here:
        wait_until(lambda: client.produce(t) == 0, t + ' takes records again')
    for _ in range(20):
        for t in here + there:
            assert client.produce(t) == 0
    node.kill()
    node.start()
    client.connect()
    for t in here + there:
        wait_until(lambda: client.offset(t, -1) is not None, 'a leader of ' + t)
        client.check(t)


def test_directory_goes_away(two):
    node, disk, client, here, there = two
    for t in here + there:
        assert client.produce(t) == 0
    disk.take_away()
    for t in here:  # until a new segment is wanted
        wait_until(lambda: client.produce(t, 60000) == STORAGE_ERROR, t + ' is offline')
    for t in there:
        assert client.produce(t) == 0
        client.check(t)
    for t in here:
        assert client.produce(t) == STORAGE_ERROR
    assert client.dirs()[disk.folder][0] == STORAGE_ERROR


def test_retention(tmp_path):
    """By size and by time, while the node runs; the first look comes 30 seconds after the start unless log.initial.task.delay.ms says
    otherwise."""
    settings = ['log.retention.check.interval.ms=100', 'log.initial.task.delay.ms=100', 'file.delete.delay.ms=0']
    with Node(tmp_path, settings) as n:
        c = Client(n)
        c.create('sized', **{'internal.segment.bytes': 10000, 'retention.bytes': 30000, 'file.delete.delay.ms': 0})
        c.create('timed', **{'internal.segment.bytes': 10000, 'retention.ms': 3600000, 'file.delete.delay.ms': 0})
        c.create('kept', **{'internal.segment.bytes': 10000, 'retention.ms': -1})
        c.create('compacted', **{'internal.segment.bytes': 10000, 'retention.bytes': 0, 'retention.ms': 0, 'cleanup.policy': 'delete'})
        now = int(time.time() * 1000)
        for i in range(100):
            for t in ('sized', 'kept'):
                assert c.produce(t) == 0
            assert c.produce('timed', time_ms=now - 7200000 if i < 40 else now) == 0

        def size(topic):
            folder = os.path.join(str(tmp_path), 'data', topic + '-0')
            return sum(f.stat().st_size for f in log_files(folder))
        wait_until(lambda: size('sized') < 40000, 'retention.bytes')
        wait_until(lambda: c.offset('timed', -2) >= 27, 'retention.ms')  # whole segments only
        assert size('sized') >= 30000 - 10000
        assert c.offset('timed', -2) <= 40
        assert c.offset('kept', -2) == 0
        for t in ('sized', 'timed', 'kept'):
            first = c.offset(t, -2)
            assert c.offset(t, -1) == 100
            assert [o for o, _ in c.read(t)] == list(range(first, 100))
        starts = {t: c.offset(t, -2) for t in c.acked}
        n.kill()
        n.start()
        c.connect()
        for t in starts:
            wait_until(lambda: c.offset(t, -2) is not None, 'a leader of ' + t)
            assert c.offset(t, -2) >= starts[t]
