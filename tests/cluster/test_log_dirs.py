"""Several log directories in a broker, and replicas that move between them (AlterReplicaLogDirs) under load, with kills on the way. At the end:
every acknowledged record is there, once and in order; the replicas' files are equal to the byte; each replica lies in one directory, the one that
the controller has, and nothing of a move is left."""
import os
import random
import time

import pytest
from cluster import Cluster, ask, wait
from history import Writer, check_records, check_replicas

TOPIC, PARTITIONS, DIRS = 't', 3, 3
NONE, NOT_FOUND, STORAGE_ERROR = 0, 57, 56
RATE = 'replica.alter.log.dirs.io.max.bytes.per.second'


def jbod(tmp_path, nodes=(11, 12, 13), dirs=DIRS, **more):
    """per_node settings for brokers of several directories."""
    return {i: {'log.dirs': ','.join('%s/node%d/d%d' % (tmp_path, i, d) for d in range(dirs)), **more} for i in nodes}


def dirs_of(node):
    return node.settings['log.dirs'].split(',')


def move(node, path, topic, partitions):
    """{partition: error code}"""
    r = ask(node.port, 'AlterReplicaLogDirs', 2, {'dirs': [{'path': path, 'topics': [{'name': topic, 'partitions': list(partitions)}]}]}, 20)
    return {p['partitionIndex']: p['errorCode'] for t in r['results'] for p in t['partitions']}


def described(node, topic):
    """{partition: {path: (is future, size, lag)}}"""
    out = {}
    for d in ask(node.port, 'DescribeLogDirs', 4, {'topics': None}, 20)['results']:
        for t in d['topics']:
            if t['name'] == topic:
                for p in t['partitions']:
                    out.setdefault(p['partitionIndex'], {})[d['logDir']] = (p['isFutureKey'], p['partitionSize'], p['offsetLag'])
    return out


def place(node, topic, p):
    """The directory of the replica, if there is no move of it."""
    rows = described(node, topic).get(p, {})
    return next(iter(rows)) if len(rows) == 1 else None


def wait_place(node, topic, p, path, seconds=60):
    wait(lambda: place(node, topic, p) == path, lambda: '%s-%d of %r lies in %s, not in %s' % (topic, p, node, described(node, topic).get(p), path),
         seconds)


def moved(node, topic, p, path):
    assert move(node, path, topic, [p]) == {p: NONE}
    wait_place(node, topic, p, path)


def other(node, path):
    return random.choice([d for d in dirs_of(node) if d != path])


def on_disk(node, topic, dirs=None):
    """{directory's name without what is unique: [paths]} of all that the topic has there."""
    found = {}
    for d in dirs or dirs_of(node):
        for name in os.listdir(d):
            if name.startswith(topic + '-'):
                base, _, rest = name.partition('.')
                found.setdefault(base + rest[32:], []).append(d)
    return found


def check_places(c, topic, partitions):
    """One directory each, no future log; what was replaced may wait for its removal."""
    for n in c.brokers:
        names = on_disk(n, topic)
        assert not [k for k in names if k.endswith('-future')], (n, names)
        for p in range(partitions):
            where = names.get('%s-%d' % (topic, p), [])
            assert len(where) <= 1 and where == list(described(n, topic).get(p, {})), (n, p, where, described(n, topic))


def finish(c, w):
    check_records(c, w.stop())
    check_replicas(c, TOPIC, PARTITIONS)
    check_places(c, TOPIC, PARTITIONS)


def test_leaders_and_followers_move_under_load(tmp_path):
    with Cluster(tmp_path, controllers=1, brokers=3, per_node=jbod(tmp_path)) as c:
        c.create_topic(TOPIC, PARTITIONS, 3, assignments=[[11, 12, 13], [12, 13, 11], [13, 11, 12]])
        w = Writer(c, TOPIC, PARTITIONS)
        w.wait_more(100)
        for _ in range(3):
            for p in range(PARTITIONS):
                for n in c.brokers:
                    moved(n, TOPIC, p, other(n, place(n, TOPIC, p)))
        w.wait_more(100)
        finish(c, w)


@pytest.mark.slow
def test_brokers_are_killed_while_replicas_move(tmp_path):
    """Whatever step the moves are at: the next start goes on with them, and of two logs takes the right one."""
    with Cluster(tmp_path, controllers=1, brokers=2, factor=2, per_node=jbod(tmp_path, (11, 12))) as c:
        c.create_topic(TOPIC, PARTITIONS, 2, assignments=[[11, 12], [12, 11], [11, 12]])
        w = Writer(c, TOPIC, PARTITIONS, rate=2000)
        w.wait_more(200)
        for i in range(6):
            n = c.brokers[i % 2]
            for p in range(PARTITIONS):
                assert move(n, random.choice(dirs_of(n)), TOPIC, [p]) == {p: NONE}
            time.sleep(random.random() * 0.2)  # any moment will do
            n.kill()
            n.start()
            c.wait_in_sync(TOPIC)
        for n in c.brokers:
            wait(lambda n=n: all(place(n, TOPIC, p) for p in range(PARTITIONS)), lambda n=n: 'moves do not end: %s' % described(n, TOPIC))
        w.wait_more(100)
        finish(c, w)


def set_rate(c, node, rate):
    """None: no limit."""
    r = c.any('IncrementalAlterConfigs', 1, {'resources': [{'resourceType': 4, 'resourceName': str(node.id), 'configs': [
        {'name': RATE, 'configOperation': 1 if rate is None else 0, 'value': None if rate is None else str(rate)}]}]})
    assert r['responses'][0]['errorCode'] == NONE, r


def test_a_move_waits_goes_on_and_is_given_up(tmp_path):
    """A throttle holds it long enough to look at it: its row in DescribeLogDirs, a stop and a start, the way back, the end of its topic."""
    with Cluster(tmp_path, combined=1, factor=1, per_node=jbod(tmp_path, (1,), **{'file.delete.delay.ms': 100})) as c:
        n = c.node(1)
        c.create_topic(TOPIC, 1, 1)
        w = Writer(c, TOPIC, 1, rate=100000, size=1000)
        w.wait_more(6000)
        w.stop()
        home = place(n, TOPIC, 0)
        away, third = [d for d in dirs_of(n) if d != home]
        assert move(n, '/nowhere', TOPIC, [0]) == {0: NOT_FOUND}
        assert move(n, home, TOPIC, [0]) == {0: NONE} and place(n, TOPIC, 0) == home

        def future(path):
            row = described(n, TOPIC)[0].get(path)
            return row if row and row[0] and row[1] > 0 and row[2] > 0 else None

        def begins(path):
            assert move(n, path, TOPIC, [0]) == {0: NONE}
            wait(lambda: future(path), lambda: 'no future log with a part of the records: %s' % described(n, TOPIC))
        set_rate(c, n, 1)
        begins(away)
        before = future(away)
        assert described(n, TOPIC)[0][home][2] == 0
        n.restart()
        wait(lambda: future(away), lambda: 'the move does not go on: %s' % described(n, TOPIC))
        assert future(away)[1] >= before[1], 'what was copied is copied again'
        begins(third)
        assert set(described(n, TOPIC)[0]) == {home, third}
        assert move(n, home, TOPIC, [0]) == {0: NONE}
        assert place(n, TOPIC, 0) == home
        set_rate(c, n, None)
        wait(lambda: move(n, away, TOPIC, [0]) == {0: NONE} and place(n, TOPIC, 0) == away, lambda: str(described(n, TOPIC)))
        check_records(c, w)
        check_places(c, TOPIC, 1)
        set_rate(c, n, 1)
        wait(lambda: move(n, home, TOPIC, [0]) == {0: NONE} and future(home), lambda: str(described(n, TOPIC)))
        r = c.any('DeleteTopics', 6, {'topics': [{'name': TOPIC, 'topicId': 'A' * 22}], 'timeoutMs': 10000})
        assert r['responses'][0]['errorCode'] == NONE, r
        wait(lambda: on_disk(n, TOPIC) == {}, lambda: 'left of the topic: %s' % on_disk(n, TOPIC))


def test_a_start_without_a_directory_makes_no_empty_log(tmp_path):
    """A directory that cannot be opened may hold the replica: it is offline, and is there again with the directory."""
    with Cluster(tmp_path, combined=1, factor=1, per_node=jbod(tmp_path, (1,), 2)) as c:
        n = c.node(1)
        first, second = dirs_of(n)
        c.create_topic(TOPIC, 1, 1)
        w = Writer(c, TOPIC, 1)
        w.wait_more(100)
        w.stop()
        if place(n, TOPIC, 0) != second:
            moved(n, TOPIC, 0, second)
        n.stop()
        os.rename(second, second + '.away')
        os.symlink(second, second)  # a loop: neither a directory nor nothing
        n.start()
        wait(lambda: c.partition(TOPIC, 0)['leaderId'] == -1, lambda: str(c.partition(TOPIC, 0)))
        assert on_disk(n, TOPIC, [first]) == {}
        assert move(n, first, TOPIC, [0]) == {0: STORAGE_ERROR} and move(n, second, TOPIC, [0]) == {0: STORAGE_ERROR}
        n.stop()
        os.remove(second)
        os.rename(second + '.away', second)
        n.start()
        wait_place(n, TOPIC, 0, second)
        check_records(c, w)
