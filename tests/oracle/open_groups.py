#!/usr/bin/env python3
"""Real Kafka opens the groups that Millrace wrote: a node gets groups with members, left ones, offsets with metadata and leader epochs,
deleted offsets, groups and topics, and is killed, started, and stopped. Copies of its data directory, as the kill and as the clean stop
left it, are served by a Kafka broker: what its coordinator says of every group, member and offset must be what Millrace said. A consumer
goes on there where its group was, offsets are committed and deleted; then Millrace opens that, and must say what Kafka said.

    open_groups.py      the last line is `N passed, N failed`. Run by open_groups.sh."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from kafka import KafkaAdminClient, KafkaConsumer, OffsetAndMetadata, TopicPartition  # noqa: E402
from kafka.errors import GroupLoadInProgressError  # noqa: E402
from members import Librdkafka, wait, wait_settled  # noqa: E402
from node import Node, millrace  # noqa: E402
from open_dir import KAFKA, Kafka, check, must, results  # noqa: E402

# Members stay in their group long after their clients are gone: both brokers load them.
LONG_MS = 600000
GROUPS = ('stable', 'left', 'noted', 'cut', 'swept')


def tool(servers, *args):
    status, out, err = millrace(*args[:1], '--bootstrap-server', servers, *args[1:])
    if status != 0:
        raise SystemExit('%s: %s' % (' '.join(args), out + err))
    return out


def commit(servers, group, offsets):
    """{(topic, partition): (offset, metadata)}, as a client that is in no group."""
    c = KafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False)
    c.commit({TopicPartition(*tp): OffsetAndMetadata(*o) for tp, o in offsets.items()})
    c.close(autocommit=False)


def state(servers):
    """All that the coordinator says of groups: {group: (state, protocol type, protocol, members with what they subscribed and own)} and
    {(group, topic, partition): (offset, metadata)}. Kafka lists groups once its coordinator has loaded them."""
    a = KafkaAdminClient(bootstrap_servers=servers)
    groups, offsets, names = {}, {}, []

    def loaded():
        try:
            names[:] = sorted(name for name, _ in a.list_consumer_groups())
            return bool(names)
        except GroupLoadInProgressError:
            return False
    try:
        wait(loaded, 'the coordinator does not load')
        for g in a.describe_consumer_groups(names):
            members = sorted((m.member_id, m.client_id, m.client_host, str(m.member_metadata), str(m.member_assignment)) for m in g.members)
            groups[g.group] = (g.state, g.protocol_type, g.protocol, members)
        for name in names:
            for tp, o in a.list_consumer_group_offsets(name).items():
                offsets[name, tp.topic, tp.partition] = (o.offset, o.metadata)
    finally:
        a.close()
    return groups, offsets


def differs(want, got):
    for w, g, what in zip(want, got, ('groups', 'offsets')):
        for key in sorted(set(w) | set(g)):
            if w.get(key) != g.get(key):
                return '%s: %s: %s and %s' % (what, key, w.get(key), g.get(key))
    return ''


def produce(servers, topic, partition, count, word):
    must('kcat', '-P', '-b', servers, '-t', topic, '-p', str(partition), input=''.join('%s %d\n' % (word, i) for i in range(count)).encode())


def fill(n):
    for topic, parts in (('a', 3), ('b', 2), ('dead', 1)):
        tool(n.servers, 'topics', '--create', '--topic', topic, '--partitions', str(parts))
        for p in range(parts):
            produce(n.servers, topic, p, 500, 'first')
    commit(n.servers, 'noted', {('a', 0): (5, 'a note, gr\u00fc\u00dfe'), ('a', 2): (500, ''), ('b', 1): (0, 'x' * 4000)})
    commit(n.servers, 'noted', {('a', 2): (321, 'later')})
    commit(n.servers, 'cut', {('a', 0): (1, ''), ('a', 1): (2, ''), ('b', 0): (3, 'stays')})
    tool(n.servers, 'consumer-groups', '--delete-offsets', '--group', 'cut', '--topic', 'a')
    commit(n.servers, 'gone', {('a', 0): (1, '')})
    tool(n.servers, 'consumer-groups', '--delete', '--group', 'gone')
    commit(n.servers, 'swept', {('dead', 0): (77, ''), ('a', 1): (78, '')})
    tool(n.servers, 'topics', '--delete', '--topic', 'dead')
    left = Librdkafka(n.servers, 'left', 'b', 'roundrobin')
    wait(lambda: len(left.records) == 1000, lambda: str(left))
    left.stop()
    members = [Librdkafka(n.servers, 'stable', 'a', 'range', LONG_MS) for _ in range(2)]
    wait_settled(members, 'a', 3)
    wait(lambda: sum(len(m.records) for m in members) >= 1500, lambda: '; '.join(map(str, members)))
    return members


def goes_on(servers, word):
    """A member of `left` reads what came after its commits, and nothing else."""
    m = Librdkafka(servers, 'left', 'b', 'roundrobin')
    wait(lambda: len(m.owned) == 2, lambda: str(m))
    before = {('b', p): must('kcat', '-Q', '-b', servers, '-t', 'b:%d:-1' % p).split()[-1] for p in range(2)}
    for p in range(2):
        produce(servers, 'b', p, 100, word)
    want = {(t, p, int(at) + i) for (t, p), at in before.items() for i in range(100)}
    wait(lambda: len(m.records) >= 200, lambda: str(m))
    got = list(m.records)
    m.stop()
    return '' if len(got) == 200 and set(got) == want else '%d records, such as %s; wanted offsets from %s' % (len(got), got[:3], before)


def in_kafka(folder, name, copy, want):
    """What Kafka says of the copy, and in the end what it says after its own changes."""
    with Kafka(folder, copy) as servers:
        got = state(servers)
        check('Kafka serves every group, member and offset after ' + name, not differs(want, got), differs(want, got))
        why = goes_on(servers, 'of kafka')
        check('a consumer goes on in Kafka where its group was after ' + name, not why, why)
        commit(servers, 'of-kafka', {('a', 1): (44, 'committed to Kafka'), ('b', 0): (1, '')})
        commit(servers, 'noted', {('a', 0): (6, 'changed by Kafka')})
        must(KAFKA, 'consumer-groups', '--bootstrap-server', servers, '--delete', '--group', 'cut')
        return state(servers)


def main():
    folder = tempfile.mkdtemp(prefix='open-groups-')
    data = os.path.join(folder, 'data')
    n = Node(folder, ['group.initial.rebalance.delay.ms=0', 'offsets.topic.num.partitions=7']).start()
    members = fill(n)
    want = state(n.servers)
    check('the node has what was asked', set(want[0]) == set(GROUPS) and want[0]['stable'][0] == 'Stable' and len(want[0]['stable'][3]) == 2 and
          want[1]['noted', 'a', 2] == (321, 'later') and ('swept', 'dead', 0) not in want[1], str(want))
    n.kill()
    for m in members:
        m.stop()
    copies = {'kill -9': os.path.join(folder, 'killed'), 'a clean stop': os.path.join(folder, 'stopped')}
    subprocess.run(['cp', '-a', data, copies['kill -9']], check=True)
    n.start()
    check('the node itself has all of it after kill -9', not differs(want, state(n.servers)), differs(want, state(n.servers)))
    n.stop()
    subprocess.run(['cp', '-a', data, copies['a clean stop']], check=True)
    for name, copy in copies.items():
        more = in_kafka(folder, name, copy, want)
        shutil.rmtree(data)
        subprocess.run(['cp', '-a', copy, data], check=True)
        n.start()
        got = state(n.servers)
        check('Millrace serves what Kafka went on with after ' + name, not differs(more, got) and 'of-kafka' in got[0] and 'cut' not in got[0], differs(more, got))
        why = goes_on(n.servers, 'of millrace')
        check('a consumer goes on in Millrace where its group was in Kafka after ' + name, not why, why)
        n.stop()
    if all(results):
        shutil.rmtree(folder)
    print('%d passed, %d failed' % (sum(results), len(results) - sum(results)))
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
