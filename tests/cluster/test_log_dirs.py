"""Several log directories in a broker, and replicas that move between them (AlterReplicaLogDirs) under load, with kills on the way. At the end:
every acknowledged record is there, once and in order; the replicas' files are equal to the byte; each replica lies in one directory, the one that
the controller has, and nothing of a move is left."""
import os
import random
import time

from cluster import ask, Cluster, wait
from history import Writer, check_records, check_replicas

TOPIC, PARTITIONS, DIRS = 't', 3, 3
NONE, NOT_FOUND, NOT_AVAILABLE = 0, 57, 9
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


def on_disk(node, topic):
    """{directory's name without what is unique: [paths]} of all that the topic has there."""
    found = {}
    for d in dirs_of(node):
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
