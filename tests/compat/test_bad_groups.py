"""What bad input does to groups, over the wire: members and generations that are not, commits that may not be, names and texts as long as
the protocol allows, subscriptions of megabytes, requests that are small and whose answers would not be, more groups than the memory
holds. Kafka's error where Kafka has one, a bound with a line elsewhere; the node's memory stays bounded and it answers others
meanwhile."""
import contextlib
import struct
import threading
import time

import pytest
from groups import CODEC, Member, await_coordinator, connect, make_topic
from kafkawire import WireError, uvarint
from members import wait
from node import Node

MIB = 1 << 20
SETTINGS = ('group.initial.rebalance.delay.ms=0', 'offsets.topic.num.partitions=5', 'group.coordinator.memory.bytes=%d' % (64 * MIB),
            'request.memory.bytes=%d' % (256 * MIB))
OK, SERVER_ERROR, UNKNOWN_PARTITION, NOT_AVAILABLE, ILLEGAL_GENERATION, INCONSISTENT, INVALID_GROUP = 0, -1, 3, 15, 22, 23, 24
UNKNOWN_MEMBER, INVALID_SESSION, REBALANCE, NOT_FOUND, FENCED, ID_REQUIRED = 25, 26, 27, 69, 82, 79
LONGEST = 32767
STALL = 20  # seconds: nobody else waits longer


@pytest.fixture(scope='module')
def node(tmp_path_factory):
    with Node(tmp_path_factory.mktemp('node'), SETTINGS) as n:
        with contextlib.closing(connect(n)) as c:
            await_coordinator(c)
            make_topic(c, 't', 3)
        yield n


@pytest.fixture
def conn(node):
    with contextlib.closing(connect(node)) as c:
        yield c


@contextlib.contextmanager
def one(node, group, **how):
    """A member that is alone in its group and has its part."""
    m = Member(node, group, **how)
    try:
        assert m.join()['errorCode'] == OK and m.sync({m.id: b'part'})['assignment'] == b'part'
        yield m
    finally:
        m.close()


def commit(conn, group, member='', generation=-1, instance=None, version=9, topic='t', partition=0, metadata='', offset=1):
    q = {'groupId': group, 'generationIdOrMemberEpoch': generation, 'memberId': member, 'groupInstanceId': instance, 'topics': [
        {'name': topic, 'partitions': [{'partitionIndex': partition, 'committedOffset': offset, 'committedMetadata': metadata}]}]}
    return conn.ask('OffsetCommit', version, q)['topics'][0]['partitions'][0]['errorCode']


def fetched(conn, group):
    rows = conn.ask('OffsetFetch', 8, {'groups': [{'groupId': group, 'topics': [{'name': 't', 'partitionIndexes': [0]}]}]})
    return rows['groups'][0]['topics'][0]['partitions'][0]['committedOffset']


def rss(node, what='VmRSS'):
    for line in open('/proc/%d/status' % node.process.pid):
        if line.startswith(what):
            return int(line.split()[1]) * 1024
    raise AssertionError(what)


def log_of(node):
    return open(node.log).read()


def wait_logged(node, text):
    """The answer goes out before the line is written."""
    wait(lambda: text in log_of(node), lambda: log_of(node)[-4000:], STALL)


def frame_of(api, version, q, client_id='test'):
    m = CODEC.api(api)
    frame = CODEC.request(m.key, version, 7, client_id, CODEC.encode(m.name, version, q))
    return struct.pack('>i', len(frame)) + frame


def ask_as(conn, client_id, api, version, q):
    """The answer to a client of that name; None if the connection was closed."""
    conn.send_raw(frame_of(api, version, q, client_id))
    answer = conn.receive()
    if answer is None:
        return None
    m = CODEC.api(api)
    return CODEC.decode(CODEC.responses[m.key].name, version, CODEC.split_response(m.key, version, answer)[1])[0]


def join_of(group, member='', protocols=(('range', b'\0\0'),), **more):
    return {'groupId': group, 'sessionTimeoutMs': 30000, 'rebalanceTimeoutMs': 30000, 'memberId': member, 'protocolType': 'consumer',
            'protocols': [{'name': n, 'metadata': m} for n, m in protocols], **more}


class Bystander(threading.Thread):
    """Somebody else of the node, who commits and reads what he has committed: how long does he wait at most?"""

    def __init__(self, node, group='bystander'):
        super().__init__(daemon=True)
        self.conn, self.group, self.slowest, self.count, self.failure, self.over = connect(node), group, 0.0, 0, None, threading.Event()

    def run(self):
        try:
            while not self.over.is_set():
                begin = time.monotonic()
                self.count += 1
                assert commit(self.conn, self.group, offset=self.count) == OK
                assert fetched(self.conn, self.group) == self.count
                self.slowest = max(self.slowest, time.monotonic() - begin)
                self.over.wait(0.01)
        except Exception as e:  # noqa: BLE001
            self.failure = e

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.join()
        self.conn.close()
        if exc[0] is None:
            assert self.failure is None and self.slowest < STALL, (self.failure, self.slowest)


# ---- texts as long as the protocol allows


def test_the_longest_client_id(node, conn):
    """A member's id begins with its client's name, and with its random part it is a text of the protocol and of the log again."""
    name = 'c' * LONGEST
    with contextlib.closing(connect(node)) as a:
        given = ask_as(a, name, 'JoinGroup', 9, join_of('long-client'))
        assert given and given['errorCode'] == ID_REQUIRED and len(given['memberId']) == LONGEST
        joined = ask_as(a, name, 'JoinGroup', 9, join_of('long-client', given['memberId']))
        assert joined['errorCode'] == OK and joined['leader'] == given['memberId']
        synced = ask_as(a, name, 'SyncGroup', 5, {
            'groupId': 'long-client', 'generationId': joined['generationId'], 'memberId': given['memberId'], 'protocolType': 'consumer',
            'protocolName': 'range', 'assignments': [{'memberId': given['memberId'], 'assignment': b'all'}]})
        assert (synced['errorCode'], synced['assignment']) == (OK, b'all')
    assert conn.ask('DescribeGroups', 6, {'groups': ['long-client']})['groups'][0]['groupState'] == 'Stable'


def test_the_longest_instance_id(node):
    """The same of a static member, whose id begins with its instance's name; in a version that gives no id first."""
    with contextlib.closing(connect(node)) as a:
        joined = a.ask('JoinGroup', 5, join_of('long-instance', groupInstanceId='i' * LONGEST))
        assert joined['errorCode'] == OK and len(joined['memberId']) == LONGEST
        synced = a.ask('SyncGroup', 3, {'groupId': 'long-instance', 'generationId': joined['generationId'], 'memberId': joined['memberId'],
                                        'groupInstanceId': 'i' * LONGEST, 'assignments': []})
        assert synced['errorCode'] == OK


def test_the_longest_group_id(node, conn):
    group = 'g' * LONGEST
    row = conn.ask('DescribeGroups', 6, {'groups': [group]})['groups'][0]
    assert (row['errorCode'], row['groupState']) == (NOT_FOUND, 'Dead')
    assert commit(conn, group) == OK and fetched(conn, group) == 1
    assert conn.ask('DescribeGroups', 6, {'groups': [group]})['groups'][0]['groupState'] == 'Empty'
    assert conn.ask('DeleteGroups', 2, {'groupsNames': [group]})['results'][0]['errorCode'] == OK


# ---- who is not in the group, or not in it any more


def test_strangers(node, conn):
    with one(node, 'strangers') as m:
        assert conn.ask('JoinGroup', 9, join_of('strangers', 'nobody'))['errorCode'] == UNKNOWN_MEMBER
        assert conn.ask('JoinGroup', 9, join_of('no-such-group', 'nobody'))['errorCode'] == UNKNOWN_MEMBER
        assert conn.ask('JoinGroup', 9, join_of('strangers', protocols=(('other', b''),)))['errorCode'] == INCONSISTENT
        assert conn.ask('JoinGroup', 9, join_of('strangers', protocolType='connect'))['errorCode'] == INCONSISTENT
        assert conn.ask('JoinGroup', 9, join_of('strangers', protocols=()))['errorCode'] == INCONSISTENT
        asked = {'groupId': 'strangers', 'memberId': 'nobody', 'generationId': m.generation}
        assert conn.ask('Heartbeat', 4, asked)['errorCode'] == UNKNOWN_MEMBER
        assert conn.ask('SyncGroup', 3, asked)['errorCode'] == UNKNOWN_MEMBER
        assert conn.ask('SyncGroup', 5, asked)['errorCode'] == INCONSISTENT
        rows = conn.ask('LeaveGroup', 5, {'groupId': 'strangers', 'members': [{'memberId': 'nobody'}, {'memberId': ''}]})['members']
        assert [r['errorCode'] for r in rows] == [UNKNOWN_MEMBER] * 2
        assert commit(conn, 'strangers', 'nobody', m.generation) == UNKNOWN_MEMBER
        assert commit(conn, 'strangers') == UNKNOWN_MEMBER  # who is in no group, while the group has members
        for generation in (m.generation - 1, m.generation + 1, 0x7fffffff):
            assert conn.ask('Heartbeat', 4, {**asked, 'memberId': m.id, 'generationId': generation})['errorCode'] == ILLEGAL_GENERATION
            assert conn.ask('SyncGroup', 3, {**asked, 'memberId': m.id, 'generationId': generation})['errorCode'] == ILLEGAL_GENERATION
            assert commit(conn, 'strangers', m.id, generation) == ILLEGAL_GENERATION
        assert commit(conn, 'no-such-group', 'nobody', 3, version=8) == ILLEGAL_GENERATION
        assert commit(conn, 'no-such-group', 'nobody', 3, version=9) == NOT_FOUND
        assert fetched(conn, 'strangers') == -1 and m.heartbeat() == OK


@pytest.mark.parametrize('ms', [-0x80000000, -1, 0, 5999, 1800001, 0x7fffffff])
def test_session_timeouts_out_of_range(conn, ms):
    assert conn.ask('JoinGroup', 9, join_of('timeouts', sessionTimeoutMs=ms))['errorCode'] == INVALID_SESSION


@pytest.mark.parametrize('ms', [-0x80000000, -1, 0, 0x7fffffff])
def test_any_rebalance_timeout(node, ms):
    m = Member(node, 'rebalance-timeout%d' % ms, instance='i')
    assert m.join(rebalanceTimeoutMs=ms)['errorCode'] == OK
    assert m.sync({m.id: b'work'})['errorCode'] in (OK, UNKNOWN_MEMBER)  # with no time it may be removed before it syncs
    m.close()


def test_no_group_id(conn):
    for api, version in (('JoinGroup', 9), ('Heartbeat', 4), ('LeaveGroup', 5), ('OffsetDelete', 0)):
        assert conn.ask(api, version, {'groupId': '', 'protocolName': 'p', 'protocolType': 't', 'sessionTimeoutMs': 30000})['errorCode'] == INVALID_GROUP
    assert conn.ask('SyncGroup', 5, {'groupId': '', 'protocolName': 'p', 'protocolType': 't'})['errorCode'] == INVALID_GROUP


def test_commits_of_a_fenced_static_member(node, conn):
    with one(node, 'fenced', instance='i') as old, contextlib.closing(Member(node, 'fenced', instance='i')) as new:
        assert new.join()['errorCode'] == OK and new.id != old.id
        assert commit(conn, 'fenced', old.id, old.generation, 'i') == FENCED
        assert commit(conn, 'fenced', old.id, old.generation) == UNKNOWN_MEMBER
        assert commit(conn, 'fenced', new.id, old.generation, 'another') == UNKNOWN_MEMBER
        assert old.heartbeat() == old.sync()['errorCode'] == old.leave() == FENCED
        assert commit(conn, 'fenced', new.id, new.generation, 'i', offset=5) == OK and fetched(conn, 'fenced') == 5
    wait_logged(node, 'a static member was fenced group="fenced" instance="i"')


def test_commits_during_a_rebalance(node, conn):
    """While members are collected the old generation may still commit; once the new one waits for its assignment nobody may."""
    with one(node, 'rebalancing') as a, contextlib.closing(Member(node, 'rebalancing')) as b:
        comes = threading.Thread(target=b.join)
        comes.start()
        while a.heartbeat() != REBALANCE:
            time.sleep(0.01)
        assert commit(conn, 'rebalancing', a.id, a.generation, offset=7) == OK
        assert a.sync()['errorCode'] == REBALANCE
        assert a.join()['errorCode'] == OK
        comes.join()
        assert a.generation == b.generation
        assert commit(conn, 'rebalancing', a.id, a.generation - 1, offset=8) == ILLEGAL_GENERATION
        assert commit(conn, 'rebalancing', a.id, a.generation, offset=8) == REBALANCE
        assert commit(conn, 'rebalancing', b.id, b.generation, offset=8) == REBALANCE
        assert fetched(conn, 'rebalancing') == 7
        assert a.sync({a.id: b'', b.id: b''})['errorCode'] == OK
        assert commit(conn, 'rebalancing', b.id, b.generation, offset=8) == OK and fetched(conn, 'rebalancing') == 8


def test_an_assignment_of_what_does_not_exist(node, conn):
    """What the leader says is for the members; the coordinator keeps it and goes on, for topics that are not there as for bytes."""
    topic = b'no-such-topic'
    work = struct.pack('>hih', 0, 1, len(topic)) + topic + struct.pack('>iiii', 2, -1, 0x7fffffff, -1)
    with one(node, 'odd-work') as m:
        assert m.join()['errorCode'] == OK
        assert m.sync({m.id: work, 'nobody': b'x'})['assignment'] == work
        assert commit(conn, 'odd-work', m.id, m.generation, topic=topic.decode()) == UNKNOWN_PARTITION
        assert commit(conn, 'odd-work', m.id, m.generation, partition=0x7fffffff) == UNKNOWN_PARTITION
        row = conn.ask('DescribeGroups', 6, {'groups': ['odd-work']})['groups'][0]
        assert row['members'][0]['memberAssignment'] == work


def test_commits_and_reads_of_one_connection_keep_their_order(node):
    """Sent in one piece: commits overlap each other and heartbeats each other, what follows sees all that was before."""
    with one(node, 'in-order') as m:
        beat = {'groupId': 'in-order', 'generationId': m.generation, 'memberId': m.id}
        frames, apis = [], []
        for i in range(200):
            frames.append(('OffsetCommit', 9, {'groupId': 'in-order', 'generationIdOrMemberEpoch': m.generation, 'memberId': m.id, 'topics': [
                {'name': 't', 'partitions': [{'partitionIndex': 0, 'committedOffset': i, 'committedMetadata': ''}]}]}))
            if i % 3 == 0:
                frames.append(('Heartbeat', 4, beat))
            if i % 10 == 9:
                frames.append(('OffsetFetch', 8, {'groups': [{'groupId': 'in-order', 'topics': [{'name': 't', 'partitionIndexes': [0]}]}]}))
        m.conn.send_raw(b''.join(frame_of(*f) for f in frames))
        seen = []
        for api, version, _ in frames:
            d = CODEC.api(api)
            answer = CODEC.decode(CODEC.responses[d.key].name, version, CODEC.split_response(d.key, version, m.conn.receive())[1])[0]
            apis.append(api)
            if api == 'OffsetFetch':
                seen.append(answer['groups'][0]['topics'][0]['partitions'][0]['committedOffset'])
            elif api == 'Heartbeat':
                assert answer['errorCode'] == OK
            else:
                assert answer['topics'][0]['partitions'][0]['errorCode'] == OK
        assert seen == list(range(9, 200, 10))


# ---- much of something


def closed(conn, api, version, body, timeout=120):
    """The request is refused by closing its connection."""
    m = CODEC.api(api)
    frame = CODEC.request(m.key, version, 7, 'test', body)
    conn.send_raw(struct.pack('>i', len(frame)) + frame)
    return conn.receive(timeout) is None


def answer_of(conn, api, version, body, timeout=120):
    m = CODEC.api(api)
    frame = CODEC.request(m.key, version, 7, 'test', body)
    conn.send_raw(struct.pack('>i', len(frame)) + frame)
    return CODEC.split_response(m.key, version, conn.receive(timeout))[1]


def test_a_subscription_of_10_mb(node, conn):
    """It may wait, but it does not fit into the log; how many may wait is bounded by the memory of the groups."""
    before = rss(node)
    subscription = struct.pack('>hi', 0, 2500000) + bytes(2) * 2500000 + struct.pack('>i', -1) + bytes(5 << 20)
    with Bystander(node):
        m = Member(node, 'huge', protocols=(('range', subscription),))
        assert m.join()['errorCode'] == OK
        assert m.sync({m.id: b'work'})['errorCode'] == SERVER_ERROR
        m.close()
        wait_logged(node, 'the assignment could not be written: the group rebalances group="huge"')
        codes, others = [], []
        for i in range(10):
            c = connect(node)
            others.append(c)
            c.send_raw(frame_of('JoinGroup', 5, join_of('huge-%d' % i, protocols=(('range', subscription),), groupInstanceId='i')))
        for c in others:
            m = CODEC.api('JoinGroup')
            codes.append(CODEC.decode('JoinGroupResponse', 5, CODEC.split_response(m.key, 5, c.receive(60))[1])[0]['errorCode'])
            c.close()
        assert set(codes) == {OK, NOT_AVAILABLE}, codes
        wait_logged(node, 'group.coordinator.memory.bytes allows')
        for i in range(10):
            conn.ask('LeaveGroup', 5, {'groupId': 'huge-%d' % i, 'members': [{'memberId': '', 'groupInstanceId': 'i'}]})
        conn.ask('LeaveGroup', 5, {'groupId': 'huge', 'members': [{'memberId': m_id(conn, 'huge'), 'groupInstanceId': None}]})
    assert rss(node, 'VmHWM') - before < 512 * MIB


def m_id(conn, group):
    return conn.ask('DescribeGroups', 6, {'groups': [group]})['groups'][0]['members'][0]['memberId']


def test_one_group_described_a_million_times(node, conn):
    """A small request whose answer would be terabytes."""
    m = Member(node, 'wide', protocols=(('range', bytes(900000)),))
    assert m.join()['errorCode'] == OK and m.sync({m.id: b'work'})['errorCode'] == OK
    body = uvarint(200001) + b'\5wide' * 200000 + b'\0\0'
    with Bystander(node):
        assert closed(conn, 'DescribeGroups', 5, body)
    wait_logged(node, 'its answer does not fit in memory (request.memory.bytes)')
    with contextlib.closing(connect(node)) as c:
        rows = c.ask('DescribeGroups', 5, {'groups': ['wide'] * 10})['groups']
        assert [len(r['members'][0]['memberMetadata']) for r in rows] == [900000] * 10
    assert m.heartbeat() == OK and m.leave() == OK
    m.close()
    assert rss(node, 'VmHWM') < 1024 * MIB


def test_one_offset_fetched_a_million_times(node, conn):
    assert commit(conn, 'echo', metadata='m' * 4096) == OK
    partitions = 500000
    body = b'\2\5echo\2\2t' + uvarint(partitions + 1) + bytes(4 * partitions) + b'\0\0\0\0'
    with Bystander(node):
        assert closed(conn, 'OffsetFetch', 8, body)
    with contextlib.closing(connect(node)) as c:
        body = b'\2\5echo\2\2t' + uvarint(1001) + bytes(4 * 1000) + b'\0\0\0\0'
        assert answer_of(c, 'OffsetFetch', 8, body).count(b'm' * 4096) == 1000
    assert rss(node, 'VmHWM') < 1024 * MIB


def test_filters_of_a_million_words(node, conn):
    with Bystander(node):
        words = uvarint(1000001) + b'\1' * 1000000
        begin = time.monotonic()
        assert closed(conn, 'ListGroups', 4, words + b'\0') or time.monotonic() - begin < STALL
        with contextlib.closing(connect(node)) as c:
            begin = time.monotonic()
            answer_of(c, 'ListGroups', 4, uvarint(200001) + b'\1' * 200000 + b'\0')
            assert time.monotonic() - begin < STALL


def test_leaves_of_a_hundred_thousand(node, conn):
    """The same stranger, again and again, under the name of somebody who is there: fenced each time, and a few lines of it."""
    with one(node, 'leaves', instance='i') as m, Bystander(node):
        before = log_of(node).count('a static member was fenced')
        body = b'\7leaves' + uvarint(100001) + b'\2x\2i\0\0' * 100000 + b'\0'
        answer = CODEC.decode('LeaveGroupResponse', 5, answer_of(conn, 'LeaveGroup', 5, body))[0]
        assert {r['errorCode'] for r in answer['members']} == {FENCED} and len(answer['members']) == 100000
        assert log_of(node).count('a static member was fenced') - before < 50
        assert m.heartbeat() == OK


def test_commits_of_a_hundred_thousand_partitions(node, conn):
    """Of partitions that are not there; and of one that is, more often than a batch of the log may hold."""
    def body(group, indexes):
        rows = b''.join(struct.pack('>iqi', i, 1, -1) + b'\1\0' for i in indexes)
        return uvarint(len(group) + 1) + group + b'\xff\xff\xff\xff\1\0\2\2t' + uvarint(len(indexes) + 1) + rows + b'\0\0'
    with Bystander(node):
        answer = CODEC.decode('OffsetCommitResponse', 9, answer_of(conn, 'OffsetCommit', 9, body(b'many', range(3, 100003))))[0]
        assert {p['errorCode'] for p in answer['topics'][0]['partitions']} == {UNKNOWN_PARTITION}
        answer = CODEC.decode('OffsetCommitResponse', 9, answer_of(conn, 'OffsetCommit', 9, body(b'many', [0] * 100000)))[0]
        assert {p['errorCode'] for p in answer['topics'][0]['partitions']} == {SERVER_ERROR}
        assert fetched(conn, 'many') == -1


def flood(node, make, read, n):
    """n requests over one connection, sent as fast as they are taken."""
    with contextlib.closing(connect(node)) as c:
        sender = threading.Thread(target=lambda: [c.send_raw(b''.join(make(i) for i in range(at, min(at + 100, n)))) for at in range(0, n, 100)])
        sender.start()
        out = [read(c.receive(60)) for _ in range(n)]
        sender.join()
        return out


def error_of(api, version):
    m = CODEC.api(api)

    def read(frame):
        return CODEC.decode(CODEC.responses[m.key].name, version, CODEC.split_response(m.key, version, frame)[1])[0]
    return read


def test_a_hundred_thousand_groups_of_one_client(tmp_path):
    """By commits until the memory is full, then by joins: COORDINATOR_NOT_AVAILABLE and a line. Offsets that are there can be moved."""
    limit = 24 * MIB
    settings = (SETTINGS[0], SETTINGS[1], 'group.coordinator.memory.bytes=%d' % limit)
    with Node(tmp_path, settings) as n, contextlib.closing(connect(n)) as c:
        await_coordinator(c)
        make_topic(c, 't')
        assert commit(c, 'early', offset=1) == OK
        begin = rss(n)
        commits = {'generationIdOrMemberEpoch': -1, 'topics': [{'name': 't', 'partitions': [
            {'partitionIndex': 0, 'committedOffset': 1, 'committedMetadata': 'x' * 100}]}]}
        with Bystander(n, 'early'):
            answers = flood(n, lambda i: frame_of('OffsetCommit', 9, {**commits, 'groupId': 'name-%d' % i}), error_of('OffsetCommit', 9), 100000)
            codes = [a['topics'][0]['partitions'][0]['errorCode'] for a in answers]
            assert set(codes) == {OK, NOT_AVAILABLE}
            kept = codes.count(OK)
            assert kept * 300 < limit and kept > 10000, kept
            joins = flood(n, lambda i: frame_of('JoinGroup', 9, join_of('join-%d' % i)), error_of('JoinGroup', 9), 2000)
            assert NOT_AVAILABLE in {j['errorCode'] for j in joins} <= {NOT_AVAILABLE, ID_REQUIRED}
        wait_logged(n, 'group.coordinator.memory.bytes allows')
        assert rss(n) - begin < 8 * limit + 128 * MIB  # under the sanitizer small blocks take several times what they hold
        assert commit(c, 'name-0', offset=2) == OK and fetched(c, 'name-0') == 2
        listed = c.ask('ListGroups', 5, {}, 60)
        assert listed['errorCode'] == OK and len(listed['groups']) >= kept
        gone = [g['groupId'] for g in listed['groups'][:500]]
        assert {r['errorCode'] for r in c.ask('DeleteGroups', 2, {'groupsNames': gone}, 120)['results']} <= {OK, NOT_FOUND}
        assert commit(c, 'late') == OK  # there is room again
        n.kill()
        n.start()
        with contextlib.closing(connect(n)) as again:
            await_coordinator(again)
            await_coordinator(again, 'late')
            assert fetched(again, 'late') == 1


def test_everybody_is_served_after_all_this(node, conn):
    with one(node, 'after') as m:
        assert m.heartbeat() == OK and commit(conn, 'after', m.id, m.generation, offset=3) == OK and fetched(conn, 'after') == 3
    assert 'does not encode' not in log_of(node) and 'Sanitizer' not in log_of(node)
