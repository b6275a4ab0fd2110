"""Consumer groups: every version by raw frames, then kafka-python, confluent-kafka (as Debian packages them) and kcat as members, through
rebalances, restarts, kill -9 and static membership."""
import contextlib
import struct
import subprocess
import threading
import time

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from groups import Member, await_coordinator, connect, make_topic
from kafka import KafkaAdminClient, KafkaConsumer, OffsetAndMetadata
from kafka import TopicPartition as KpPartition
from kafkawire import ZERO_UUID
from node import Node, run

OFFSET_TOPIC = ('group.initial.rebalance.delay.ms=0', 'offsets.topic.num.partitions=5')
EXPLAIN_TAG = 10000


@pytest.fixture(scope='module')
def node(tmp_path_factory):
    with Node(tmp_path_factory.mktemp('node'), OFFSET_TOPIC) as n:
        conn = connect(n)
        await_coordinator(conn)
        conn.close()
        yield n


@pytest.fixture
def conn(node):
    c = connect(node)
    yield c
    c.close()


def wait(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


# ---- by raw frames


def test_before_the_first_use(tmp_path):
    """Where the error stands while there is no coordinator: at the top, with the group, at each partition."""
    with Node(tmp_path, OFFSET_TOPIC) as n:
        c = connect(n)
        topic_id = make_topic(c, 't')
        not_coordinator = 16
        for version in range(10):
            m = Member(n, 'g', version)
            assert m.join()['errorCode'] == not_coordinator
            assert m.sync()['errorCode'] == m.heartbeat() == m.leave() == not_coordinator
            m.close()
        topics = [{'name': 't', 'partitions': [{'partitionIndex': 0}, {'partitionIndex': 1}]}, {'name': 'none', 'partitions': [{'partitionIndex': 0}]}]
        for version in range(2, 10):
            got = c.ask('OffsetCommit', version, {'groupId': 'g', 'topics': topics})['topics']
            assert [(t['name'], p['partitionIndex'], p['errorCode']) for t in got for p in t['partitions']] == [
                ('t', 1, 3), ('t', 0, not_coordinator), ('none', 0, 3)]
        got = c.ask('OffsetCommit', 10, {'groupId': 'g', 'topics': [{'topicId': i, 'partitions': [{'partitionIndex': 0}]}
                                                                    for i in (topic_id, ZERO_UUID)]})['topics']
        assert [(t['topicId'], t['partitions'][0]['errorCode']) for t in got] == [(ZERO_UUID, 100), (topic_id, not_coordinator)]
        asked = {'groupId': 'g', 'topics': [{'name': 't', 'partitionIndexes': [0, 7]}]}
        assert c.ask('OffsetFetch', 1, asked)['topics'][0]['partitions'] == [
            {'partitionIndex': p, 'committedOffset': -1, 'metadata': '', 'errorCode': not_coordinator} for p in (0, 7)]
        for version in range(2, 8):
            got = c.ask('OffsetFetch', version, asked)
            assert (got['errorCode'], got['topics']) == (not_coordinator, [])
        for version in range(8, 11):
            got = c.ask('OffsetFetch', version, {'groups': [{'groupId': g, 'topics': None} for g in ('g', 'h')]})['groups']
            assert [(g['groupId'], g['errorCode'], g['topics']) for g in got] == [('g', not_coordinator, []), ('h', not_coordinator, [])]
        assert c.ask('OffsetDelete', 0, {'groupId': 'g', 'topics': topics}) == {'errorCode': not_coordinator, 'throttleTimeMs': 0, 'topics': []}
        for version in range(7):
            assert [g['errorCode'] for g in c.ask('DescribeGroups', version, {'groups': ['g', 'h']})['groups']] == [not_coordinator] * 2
        for version in range(6):
            assert (c.ask('ListGroups', version, {})['errorCode'], c.ask('ListGroups', version, {})['groups']) == (0, [])
        for version in range(3):
            got = c.ask('DeleteGroups', version, {'groupsNames': ['g', 'h', 'g']})['results']
            assert sorted((g['groupId'], g['errorCode']) for g in got) == [('g', not_coordinator), ('h', not_coordinator)]
        c.close()


@pytest.mark.parametrize('version', range(7))
def test_find_coordinator(node, conn, version):
    rows = [conn.ask('FindCoordinator', version, {'key': g, 'coordinatorKeys': [g]}) for g in ('g', '')]
    for row, key in zip([r['coordinators'][0] if version >= 4 else r for r in rows], ('g', '')):
        assert (row['errorCode'], row['nodeId'], row['port'], row.get('key', key)) == (0, 1, node.port, key)


@pytest.mark.parametrize('version', range(10))
def test_a_member_in_every_version(node, version):
    m = Member(node, 'versions-%d' % version, version)
    joined = m.join()
    assert (joined['errorCode'], joined['generationId'], joined['protocolName'], joined['leader']) == (0, 1, 'range', m.id)
    assert [(x['memberId'], x['metadata']) for x in joined['members']] == [(m.id, b'\0\0')]
    synced = m.sync({m.id: b'work'})
    assert (synced['errorCode'], synced['assignment']) == (0, b'work')
    assert m.heartbeat() == 0
    assert m.leave() == 0
    assert m.heartbeat() == 25
    m.close()


def test_two_members_rebalance(node):
    a, b = Member(node, 'two'), Member(node, 'two', protocols=(('range', b'\0\1'),))
    assert a.join()['errorCode'] == 0 and a.sync({a.id: b'all'})['assignment'] == b'all'
    b.named().send_join()
    wait(lambda: a.heartbeat() == 27, 'no rebalance begins')
    led = a.join()
    assert led['generationId'] == 2 and led['leader'] == a.id and {x['memberId'] for x in led['members']} == {a.id, b.id}
    followed = b.joined()
    assert (followed['errorCode'], followed['generationId'], followed['leader'], followed['members']) == (0, 2, a.id, [])
    assert a.sync({a.id: b'half', b.id: b'rest'})['assignment'] == b'half'
    assert b.sync()['assignment'] == b'rest'
    assert b.leave() == 0
    wait(lambda: a.heartbeat() == 27, 'no rebalance after one has left')
    assert a.leave() == 0
    a.close()
    b.close()


def describe(conn, *groups, version=6, tags=()):
    return conn.ask('DescribeGroups', version, {'groups': list(groups), 'includeAuthorizedOperations': True, '_tags': list(tags)})['groups']


def test_describe_and_list(node, conn):
    m = Member(node, 'described', instance='i1')
    m.join()
    m.sync({m.id: b'work'})
    for version in range(7):
        q = {'groups': ['described', 'nobody', 'described'], 'includeAuthorizedOperations': True}
        rows = conn.ask('DescribeGroups', version, q)['groups']
        assert sorted(r['groupId'] for r in rows) == ['described', 'described', 'nobody']
        row = next(r for r in rows if r['groupId'] == 'described')
        assert (row['errorCode'], row['groupState'], row['protocolType'], row['protocolData']) == (0, 'Stable', 'consumer', 'range')
        [member] = row['members']
        assert (member['memberId'], member['clientId'], member['clientHost'], member['memberMetadata'], member['memberAssignment']) == (
            m.id, 'test', '/127.0.0.1', b'\0\0', b'work')
        assert version < 4 or member['groupInstanceId'] == 'i1'
        assert version < 3 or row['authorizedOperations'] == 3400
        none = next(r for r in rows if r['groupId'] == 'nobody')
        assert (none['errorCode'], none['groupState']) == (69 if version >= 6 else 0, 'Dead')
        assert version < 3 or none['authorizedOperations'] == (3400 if version < 6 else -2147483648)
    listed = {'groupId': 'described', 'protocolType': 'consumer', 'groupState': 'Stable', 'groupType': 'classic'}
    for states, types, there in (([], [], True), (['sTABLE'], [], True), (['Empty'], [], False), ([], ['Classic'], True), ([], ['consumer'], False),
                                 (['Stable', 'Bogus'], ['bogus'], False)):
        got = conn.ask('ListGroups', 5, {'statesFilter': states, 'typesFilter': types})
        assert got['errorCode'] == 0 and (listed in got['groups']) == there, (states, types)
    m.leave()
    m.close()


def explained(row):
    """The lines of our tag: (milliseconds, text)."""
    tags = dict(row.get('_tags', ()))
    if EXPLAIN_TAG not in tags:
        return None
    value, at, lines = tags[EXPLAIN_TAG], 0, []

    def uvarint():
        nonlocal at
        n = shift = 0
        while True:
            at += 1
            n |= (value[at - 1] & 127) << shift
            if value[at - 1] < 128:
                return n
            shift += 7
    for _ in range(uvarint()):
        wall, = struct.unpack_from('>q', value, at)
        at += 8
        n = uvarint() - 1
        lines.append((wall, value[at:at + n].decode()))
        at += n
    assert at == len(value)
    return lines


def test_explain(node, conn):
    m = Member(node, 'explained')
    m.join()
    m.sync({m.id: b'work'})
    assert all(explained(r) is None for r in describe(conn, 'explained', 'nobody'))
    asked = dict((r['groupId'], explained(r)) for r in describe(conn, 'explained', 'nobody', tags=[(EXPLAIN_TAG, b'')]))
    lines = asked['explained']
    assert lines and any(m.id[:len('test-') + 8] in text for _, text in lines), asked  # members by the beginning of their id
    assert all(abs(wall / 1000 - time.time()) < 60 for wall, _ in lines) and lines == sorted(lines, key=lambda x: x[0])
    assert asked['nobody'] is None
    m.leave()
    m.close()


def test_commit_and_fetch_in_every_version(node, conn):
    topic_id = make_topic(conn, 'committed', 2)
    for version in range(2, 11):
        group, name = 'commits-%d' % version, {'name': 'committed'} if version < 10 else {'topicId': topic_id}
        q = {'groupId': group, 'topics': [{**name, 'partitions': [
            {'partitionIndex': p, 'committedOffset': 10 * version + p, 'committedLeaderEpoch': p, 'committedMetadata': 'm%d' % p} for p in range(2)]}]}
        got = conn.ask('OffsetCommit', version, q)['topics']
        assert [[p['errorCode'] for p in t['partitions']] for t in got] == [[0, 0]]
        for fetched in range(1, 11):
            by = {'name': 'committed'} if fetched < 10 else {'topicId': topic_id}
            rows = [{**by, 'partitionIndexes': [1, 0]}]
            for topics in (rows, None) if fetched > 1 else (rows,):
                answer = conn.ask('OffsetFetch', fetched, {'groupId': group, 'topics': topics, 'groups': [{'groupId': group, 'topics': topics}]})
                [t] = (answer['groups'][0] if fetched >= 8 else answer)['topics']
                assert t.items() >= by.items()
                got = sorted((p['partitionIndex'], p['committedOffset'], p['metadata'], p['errorCode']) for p in t['partitions'])
                assert got == [(p, 10 * version + p, 'm%d' % p, 0) for p in range(2)]
                assert fetched < 5 or {p['committedLeaderEpoch'] for p in t['partitions']} == ({0, 1} if version >= 6 else {-1})


def test_delete_groups_and_offsets(node, conn):
    make_topic(conn, 'deleted', 1)

    def commit(group):
        q = {'groupId': group, 'topics': [{'name': 'deleted', 'partitions': [{'partitionIndex': 0, 'committedOffset': 5, 'committedMetadata': ''}]}]}
        assert conn.ask('OffsetCommit', 9, q)['topics'][0]['partitions'][0]['errorCode'] == 0

    def committed(group):
        return conn.ask('OffsetFetch', 8, {'groups': [{'groupId': group, 'topics': None}]})['groups'][0]['topics']
    for group in ('d1', 'd2', 'd3'):
        commit(group)
    m = Member(node, 'd3')
    m.join()
    got = conn.ask('DeleteGroups', 2, {'groupsNames': ['d1', 'd3', 'nobody', 'd1', '']})['results']
    assert sorted((r['groupId'], r['errorCode']) for r in got) == [('', 69), ('d1', 0), ('d3', 68), ('nobody', 69)]
    assert committed('d1') == [] and committed('d2') and committed('d3')
    got = conn.ask('OffsetDelete', 0, {'groupId': 'd2', 'topics': [{'name': 'deleted', 'partitions': [{'partitionIndex': 0}, {'partitionIndex': 9}]}]})
    assert got['errorCode'] == 0 and {(p['partitionIndex'], p['errorCode']) for p in got['topics'][0]['partitions']} == {(0, 0), (9, 3)}
    assert committed('d2') == []
    m.leave()
    m.close()


def test_a_member_whose_connection_goes_leaves_nothing_waiting(node, conn):
    """A JoinGroup that waits for others is not answered to a connection that has gone, and the group goes on."""
    a, b = Member(node, 'gone'), Member(node, 'gone')
    a.join()
    a.sync({a.id: b'all'})
    b.named().send_join(sessionTimeoutMs=6000)
    wait(lambda: a.heartbeat() == 27, 'no rebalance begins')
    b.close()  # while its JoinGroup waits for a
    assert a.join()['errorCode'] == 0
    wait(lambda: a.sync({a.id: b'all'})['errorCode'] in (0, 27), 'no assignment')
    a.leave()
    a.close()


# ---- by clients


def settings(node, group, more):
    return {'bootstrap.servers': node.servers, 'group.id': group, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False,
            'session.timeout.ms': 30000, 'heartbeat.interval.ms': 200, **more}


class Reader:
    """A confluent-kafka consumer that notes its assignments and what it read."""

    def __init__(self, node, group, topic, **more):
        self.c = Consumer(settings(node, group, more))
        self.assigned, self.revoked, self.read, self.errors = 0, 0, [], []
        self.c.subscribe([topic], on_assign=self.on_assign, on_revoke=self.on_revoke)

    def on_assign(self, _, partitions):
        self.assigned += 1

    def on_revoke(self, _, partitions):
        self.revoked += 1

    def partitions(self):
        return {p.partition for p in self.c.assignment()}

    def poll(self):
        for m in self.c.consume(100, 0.05):
            if m.error():
                self.errors.append(m.error().code())
            else:
                self.read.append((m.partition(), m.offset(), m.value()))
        return self

    def commit(self):
        self.c.commit(asynchronous=False)

    def committed(self, topic, n):
        return [p.offset for p in self.c.committed([TopicPartition(topic, i) for i in range(n)], 30)]

    def close(self):
        self.c.close()


def fill(node, topic, partitions, each, start=0):
    """Numbers start..start+each-1 into each partition."""
    p = Producer({'bootstrap.servers': node.servers})
    failed = []
    for partition in range(partitions):
        for i in range(start, start + each):
            p.produce(topic, b'%d' % i, partition=partition, on_delivery=lambda e, m: failed.append(e) if e else None)
        p.poll(0)
    assert p.flush(60) == 0 and not failed


@contextlib.contextmanager
def readers(*made):
    try:
        yield made
    finally:
        for r in made:
            r.close()


def test_confluent_consumers_share_and_take_over(node, conn):
    make_topic(conn, 'shared', 4)
    fill(node, 'shared', 4, 50)
    a = Reader(node, 'sharing', 'shared')
    wait(lambda: len(a.poll().partitions()) == 4, 'one member does not get all')
    b = Reader(node, 'sharing', 'shared')
    with readers(a):
        wait(lambda: (len(a.poll().partitions()), len(b.poll().partitions())) == (2, 2), 'two members do not share')
        assert a.partitions() | b.partitions() == {0, 1, 2, 3}
        b.close()
        wait(lambda: len(a.poll().partitions()) == 4, 'the partitions of one that left are not taken over')
        wait(lambda: {(p, o) for p, o, _ in a.poll().read + b.read} == {(p, o) for p in range(4) for o in range(50)}, 'not all was read')


def test_confluent_cooperative(node, conn):
    make_topic(conn, 'cooperative', 4)
    a = Reader(node, 'cooperating', 'cooperative', **{'partition.assignment.strategy': 'cooperative-sticky'})
    wait(lambda: len(a.poll().partitions()) == 4, 'one member does not get all')
    b = Reader(node, 'cooperating', 'cooperative', **{'partition.assignment.strategy': 'cooperative-sticky'})
    with readers(a, b):
        wait(lambda: (len(a.poll().partitions()), len(b.poll().partitions())) == (2, 2), 'two members do not share')


def test_commits_survive_a_restart_of_the_consumer(node, conn):
    make_topic(conn, 'restarted', 2)
    fill(node, 'restarted', 2, 100)
    a = Reader(node, 'restarting', 'restarted')
    wait(lambda: len(a.poll().read) == 200, 'not all was read')
    a.commit()
    a.close()
    fill(node, 'restarted', 2, 10, start=100)
    b = Reader(node, 'restarting', 'restarted')
    with readers(b):
        assert b.committed('restarted', 2) == [100, 100]
        wait(lambda: len(b.poll().read) >= 20, 'what is new was not read')
        assert sorted(b.read) == [(p, 100 + i, b'%d' % (100 + i)) for p in range(2) for i in range(10)]


def test_kill_keeps_committed_offsets(tmp_path):
    with Node(tmp_path, OFFSET_TOPIC) as n:
        c = connect(n)
        await_coordinator(c)
        make_topic(c, 't', 2)
        c.close()
        fill(n, 't', 2, 100)
        a = Reader(n, 'g', 't')
        wait(lambda: len(a.poll().read) == 200, 'not all was read')
        a.commit()
        n.kill()
        n.start()
        fill(n, 't', 2, 5, start=100)
        b = Reader(n, 'other', 't')  # a group that comes after the restart
        wait(lambda: len(a.poll().read) >= 210, 'the member does not go on after the restart')
        assert sorted(a.read)[-5:] == [(1, 100 + i, b'%d' % (100 + i)) for i in range(5)] and len(a.read) == len(set(a.read)) == 210
        assert a.committed('t', 2) == [100, 100]
        wait(lambda: len(b.poll().read) == 210, 'the other group does not read')
        a.close()
        b.close()
        d = Reader(n, 'g', 't')
        wait(lambda: len(d.poll().read) >= 10, 'a new member does not go on where the group was')
        assert sorted(d.read) == [(p, 100 + i, b'%d' % (100 + i)) for p in range(2) for i in range(5)]
        d.close()


def test_static_member_comes_back_without_a_rebalance(node, conn):
    make_topic(conn, 'static', 4)
    a = Reader(node, 'statics', 'static', **{'group.instance.id': 'a'})
    b = Reader(node, 'statics', 'static', **{'group.instance.id': 'b'})
    wait(lambda: (len(a.poll().partitions()), len(b.poll().partitions())) == (2, 2), 'two members do not share')
    had, seen = a.partitions(), (b.assigned, b.revoked)
    a.close()
    again = Reader(node, 'statics', 'static', **{'group.instance.id': 'a'})
    with readers(b, again):
        wait(lambda: again.poll().partitions() and b.poll() and True, 'the member does not come back')
        assert again.partitions() == had
        for _ in range(10):  # several heartbeats
            b.poll()
            again.poll()
        assert (b.assigned, b.revoked) == seen and again.partitions() == had


def test_second_instance_fences_the_first(node, conn):
    make_topic(conn, 'fenced', 1)
    a = Reader(node, 'fencing', 'fenced', **{'group.instance.id': 'same'})
    wait(lambda: a.poll().partitions() == {0}, 'no assignment')
    b = Reader(node, 'fencing', 'fenced', **{'group.instance.id': 'same'})
    with readers(a, b):
        wait(lambda: b.poll().partitions() == {0}, 'the second does not take over')
        wait(lambda: {KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID} & set(a.poll().errors), 'the first is not told')


def test_kafka_python(node, conn):
    make_topic(conn, 'pythonic', 2)
    fill(node, 'pythonic', 2, 50)
    c = KafkaConsumer('pythonic', bootstrap_servers=node.servers, group_id='pythons', auto_offset_reset='earliest', enable_auto_commit=False,
                      consumer_timeout_ms=30000)
    got = []
    for m in c:
        got.append((m.partition, m.offset))
        if len(got) == 100:
            break
    assert sorted(got) == [(p, o) for p in range(2) for o in range(50)]
    tp = KpPartition('pythonic', 0)
    c.commit({tp: OffsetAndMetadata(17, 'noted')})
    assert c.committed(tp) == 17 and c.committed(tp, metadata=True).metadata == 'noted'
    c.seek(tp, c.committed(tp))
    assert next(m for m in c if m.partition == 0).offset == 17
    c.close(autocommit=False)
    admin = KafkaAdminClient(bootstrap_servers=node.servers)
    assert ('pythons', 'consumer') in admin.list_consumer_groups()
    [described] = admin.describe_consumer_groups(['pythons'])
    assert (described.group, described.state, described.members) == ('pythons', 'Empty', [])
    assert {tp: o.offset for tp, o in admin.list_consumer_group_offsets('pythons').items()} == {tp: 17}
    assert [(g, e.errno) for g, e in admin.delete_consumer_groups(['pythons', 'no-pythons'])] == [('pythons', 0), ('no-pythons', 69)]
    assert 'pythons' not in [g for g, _ in admin.list_consumer_groups()]
    admin.close()


def test_two_kinds_of_client_in_one_group(node, conn):
    """kafka-python waits inside poll for a rebalance to end, so it has a thread of its own."""
    make_topic(conn, 'mixed', 4)
    a = Reader(node, 'mixing', 'mixed', **{'partition.assignment.strategy': 'range'})
    b = KafkaConsumer('mixed', bootstrap_servers=node.servers, group_id='mixing', session_timeout_ms=6000, heartbeat_interval_ms=200)
    had, end = [], threading.Event()

    def poll():
        while not end.is_set():
            b.poll(50)
            had.append({p.partition for p in b.assignment()})
        b.close()
    thread = threading.Thread(target=poll)
    thread.start()
    with readers(a):
        try:
            wait(lambda: len(a.poll().partitions()) == 2 and had and a.partitions() | had[-1] == {0, 1, 2, 3} and len(had[-1]) == 2,
                 'the two do not share')
        finally:
            end.set()
            thread.join(60)


def test_kcat_in_a_group(node, conn):
    make_topic(conn, 'kcats', 2)
    fill(node, 'kcats', 2, 20)
    args = ['kcat', '-b', node.servers, '-q', '-X', 'auto.offset.reset=earliest', '-G', 'kcatting']
    status, out, err = run(*args, '-c', '40', 'kcats', timeout=60)
    assert status == 0 and sorted(out.split()) == sorted(str(i) for i in range(20) for _ in range(2)), err
    fill(node, 'kcats', 1, 3, start=20)
    status, out, err = run(*args, '-c', '3', 'kcats', timeout=60)
    assert status == 0 and out.split() == ['20', '21', '22'], err


def test_a_member_that_is_killed_is_replaced(node, conn):
    """SIGKILL sends no LeaveGroup: the session ends, and the other gets all."""
    make_topic(conn, 'orphaned', 2)
    fill(node, 'orphaned', 2, 20)
    a = Reader(node, 'orphans', 'orphaned')
    wait(lambda: len(a.poll().partitions()) == 2, 'no assignment')
    other = subprocess.Popen(['kcat', '-b', node.servers, '-q', '-X', 'session.timeout.ms=6000', '-G', 'orphans', 'orphaned'],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with readers(a):
        try:
            wait(lambda: len(a.poll().partitions()) == 1, 'the second member does not come')
        finally:
            other.kill()
            other.wait()
        wait(lambda: len(a.poll().partitions()) == 2, 'the dead member is not replaced')


# ---- what bad input gets


def test_a_subscription_of_10_mb(node):
    """It may wait in memory, but its group's record does not fit into a batch of the topic."""
    m = Member(node, 'huge', protocols=(('range', b'\0\0' + bytes(10 << 20)),))
    joined = m.join()
    assert joined['errorCode'] == 0 and len(joined['members'][0]['metadata']) == (10 << 20) + 2
    assert m.sync({m.id: b'work'})['errorCode'] == -1
    m.close()


def test_an_assignment_is_not_looked_into(node):
    """Partitions that do not exist, members that do not exist, and bytes that are no assignment: the leader's business."""
    m = Member(node, 'odd-work')
    m.join()
    work = b'\xff\xffno assignment at all'
    assert m.sync({m.id: work, 'nobody': b'x', '': b''})['assignment'] == work
    assert m.heartbeat() == 0
    m.leave()
    m.close()


def test_a_hundred_thousand_names(node, conn):
    names = ['name-%d' % i for i in range(100000)]
    described = conn.ask('DescribeGroups', 6, {'groups': names}, 120)['groups']
    assert len(described) == len(names) and {(d['errorCode'], d['groupState']) for d in described} == {(69, 'Dead')}
    deleted = conn.ask('DeleteGroups', 2, {'groupsNames': names}, 120)['results']
    assert len(deleted) == len(names) and {d['errorCode'] for d in deleted} == {69}
