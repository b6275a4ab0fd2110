"""Peers that misbehave by mass or by silence, against running nodes: floods of connections, requests that stop in the middle, answers
that nobody takes, limits on connections and descriptors, memory that runs short. In every case somebody else is served meanwhile
(class Worker), memory stays within the budget, and what is refused is refused as Kafka refuses it: by closing. (What is wrong in a
request's bytes: test_bad_peers.py.)"""
import os
import resource
import select
import socket
import struct
import sys
import threading
import time

import pytest
from node import ROOT, Node

sys.path.insert(0, os.path.join(ROOT, 'tests'))
from kafkawire import Codec, Connection  # noqa: E402
from records import batch  # noqa: E402

MIB = 1 << 20
PEERS = 10000
THREADS, LINES = 2, 10  # lines a second and thread that a node writes of one kind
ASK = struct.pack('>ihhih', 10, 18, 0, 1, -1)  # ApiVersions, version 0
WAIT = 30  # seconds: for what must happen; a machine with other work to do is slow
STALL = 20  # seconds: no request of the worker may take longer

CODEC = Codec()


def connect(node, source='127.0.0.1'):
    return socket.create_connection(('127.0.0.1', node.port), WAIT, source_address=(source, 0))


def answered(sock, timeout=WAIT):
    """One request and its answer; False if the node closed the connection or says nothing."""
    try:
        sock.settimeout(timeout)
        sock.sendall(ASK)
        head = sock.recv(4, socket.MSG_WAITALL)
        return len(head) == 4 and len(sock.recv(struct.unpack('>i', head)[0], socket.MSG_WAITALL)) > 0
    except OSError:
        return False


def answered_anew(node):
    with connect(node) as s:
        return answered(s, 1)


def is_closed(sock, timeout=WAIT):
    sock.settimeout(timeout)
    try:
        while sock.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except socket.timeout:
        return False


def until(what, seconds=WAIT):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, 'it did not happen within %d s' % seconds
        time.sleep(0.01)


def log_of(node):
    return open(node.log).read()


def memory(node):
    """Resident bytes of the node."""
    for line in open('/proc/%d/status' % node.process.pid):
        if line.startswith('VmRSS'):
            return int(line.split()[1]) * 1024
    raise AssertionError('VmRSS')


def make_topic(node, name, partitions=1, conn=None):
    c = conn or Connection('127.0.0.1', node.port, CODEC)
    r = c.ask('CreateTopics', 5, {'topics': [{'name': name, 'numPartitions': partitions, 'replicationFactor': 1, 'assignments': [],
                                              'configs': []}], 'timeoutMs': 30000, 'validateOnly': False}, timeout=WAIT)
    assert r['topics'][0]['errorCode'] == 0, r
    while c.ask('Metadata', 12, {'topics': [{'name': name}], 'allowAutoTopicCreation': False})['topics'][0]['errorCode']:
        pass  # not published yet
    if conn is None:
        c.close()


def produce_body(topic, records):
    return {'transactionalId': None, 'acks': -1, 'timeoutMs': 30000,
            'topicData': [{'name': topic, 'partitionData': [{'index': 0, 'records': records}]}]}


def fetch_body(topic, offset):
    return {'replicaId': -1, 'maxWaitMs': 0, 'minBytes': 1, 'maxBytes': MIB, 'isolationLevel': 0, 'sessionId': 0, 'sessionEpoch': -1,
            'forgottenTopicsData': [], 'rackId': '', 'topics': [{'topic': topic, 'partitions': [
                {'partition': 0, 'currentLeaderEpoch': -1, 'fetchOffset': offset, 'logStartOffset': -1, 'partitionMaxBytes': MIB}]}]}


class Worker(threading.Thread):
    """The client that others must not disturb: produces and fetches what it has produced, one request after the other."""

    def __init__(self, node, topic):
        super().__init__(daemon=True)
        make_topic(node, topic)
        self.topic, self.conn = topic, Connection('127.0.0.1', node.port, CODEC)
        self.done, self.slowest, self.failure, self.ended = 0, 0.0, None, threading.Event()

    def step(self):
        begin = time.monotonic()
        r = self.conn.ask('Produce', 8, produce_body(self.topic, batch([b'x' * 100], int(time.time() * 1000))), timeout=WAIT)
        p = r['responses'][0]['partitionResponses'][0]
        assert p['errorCode'] == 0 and p['baseOffset'] == self.done, r
        f = self.conn.ask('Fetch', 11, fetch_body(self.topic, self.done), timeout=WAIT)
        p = f['responses'][0]['partitions'][0]
        assert p['errorCode'] == 0 and struct.unpack_from('>q', p['records'])[0] == self.done, f
        self.done += 1
        self.slowest = max(self.slowest, time.monotonic() - begin)

    def run(self):
        try:
            while not self.ended.is_set():
                self.step()
                time.sleep(0.001)  # leaves the processor to the test
        except Exception as e:  # whatever it is, the test tells
            self.failure = e

    def __enter__(self):
        self.start()
        return self

    def progress(self, steps=3):
        """It goes on now."""
        goal = self.done + steps
        until(lambda: self.done >= goal or self.failure)
        assert self.failure is None, repr(self.failure)

    def __exit__(self, *exc):
        self.ended.set()
        self.join(WAIT)
        self.conn.close()
        if exc[0] is None:
            assert self.failure is None and not self.is_alive(), repr(self.failure)
            assert self.slowest < STALL, 'a request took %.1f s' % self.slowest


@pytest.fixture(scope='module', autouse=True)
def surroundings():
    """Many descriptors here; and the address sanitizer, where the node has it, keeps little of what was freed: memory is measured."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with pytest.MonkeyPatch.context() as mp:
        mp.setenv('ASAN_OPTIONS', os.environ.get('ASAN_OPTIONS', '') + ':quarantine_size_mb=4:thread_local_quarantine_size_kb=64')
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope='module', params=['io_uring', 'libuv'])
def impatient(request, tmp_path_factory):
    """Short patience, small requests, little memory; on both backends."""
    with Node(tmp_path_factory.mktemp('node'), [
            'io.backend=' + request.param, 'request.body.timeout.ms=2000', 'connections.max.idle.ms=3000',
            'socket.request.max.bytes=%d' % MIB, 'request.memory.bytes=%d' % (8 * MIB), 'io.threads=%d' % THREADS]) as n:
        yield n


def test_flood_of_single_bytes(impatient):
    """Ten thousand connections that send one byte each. Each costs little, none is waited for beyond the patience, one line in many is
    logged."""
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1500
    assert room > 1000
    with Worker(impatient, 'flood') as w:
        before, begin = memory(impatient), time.monotonic()
        socks = []
        for _ in range(min(PEERS, room)):
            socks.append(connect(impatient))
            socks[-1].sendall(b'\0')
        w.progress()
        assert memory(impatient) - before < len(socks) * 8192
        poll = select.epoll()
        for s in socks:
            poll.register(s, select.EPOLLIN)
        open_ones, deadline = {s.fileno(): s for s in socks}, time.monotonic() + WAIT
        while open_ones and time.monotonic() < deadline:
            for fd, _ in poll.poll(1):
                assert is_closed(open_ones[fd], 1)
                poll.unregister(fd)
                open_ones.pop(fd).close()
        assert not open_ones, '%d are still open' % len(open_ones)
        w.progress()
    lines, most = log_of(impatient).count('stopped in the middle'), LINES * THREADS * (int(time.monotonic() - begin) + 2)
    assert 1 <= lines <= most < PEERS, (lines, most)


def test_body_that_stops(impatient):
    """A frame without progress is closed after the patience, and not before."""
    with Worker(impatient, 'slow') as w:
        until(lambda: stops_late(impatient))
        w.progress()


def stops_late(node):
    """False if this machine had no time for us: we were the ones who paused for as long as the patience."""
    with connect(node) as s:
        s.sendall(struct.pack('>i', 1000))
        longest = 0.0
        for _ in range(4):
            begin = time.monotonic()
            s.sendall(b'x' * 10)
            select.select([s], [], [], 0.8)  # a pause, or the end
            longest = max(longest, time.monotonic() - begin)
        if longest >= 1.5:
            return False
        assert not select.select([s], [], [], 0)[0], 'closed although it went on'
        assert is_closed(s)
        assert time.monotonic() - begin >= 1.9
        return True


def test_idle_connection(impatient):
    """connections.max.idle.ms closes who is silent and leaves who works."""
    with Worker(impatient, 'idle') as w, connect(impatient) as s:
        begin = time.monotonic()
        assert answered(s)
        assert is_closed(s)
        assert time.monotonic() - begin >= 2.9
        w.progress()


def test_answers_that_nobody_reads(impatient):
    """Requests without end, and no answer is taken: the node stops reading, holds little, and closes when the peer has been deaf
    for connections.max.idle.ms."""
    with Worker(impatient, 'deaf') as w:
        before, sent, poll = memory(impatient), {}, select.poll()
        deaf = {s.fileno(): s for s in (connect(impatient) for _ in range(8))}
        for fd, s in deaf.items():
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.setblocking(False)
            poll.register(fd, select.POLLOUT)
            sent[fd] = 0
        closed, deadline = set(), time.monotonic() + WAIT
        while len(closed) < len(deaf):
            assert time.monotonic() < deadline, '%d are still open' % (len(deaf) - len(closed))
            for fd, events in poll.poll(100):
                try:
                    sent[fd] += deaf[fd].send(ASK * 1000)
                except BlockingIOError:
                    pass
                except ConnectionError:
                    closed.add(fd)
                    poll.unregister(fd)
                assert sent[fd] < 32 * MIB, 'it reads on'
            grown = memory(impatient) - before
            assert grown < 40 * MIB, '%d MiB more' % (grown / MIB)
        w.progress()
        for s in deaf.values():
            s.close()


def test_more_requests_than_memory(impatient):
    """Sixty large requests at once where eight have room: all are answered, one after the other."""
    make_topic(impatient, 'large')
    body = CODEC.encode('ProduceRequest', 8, produce_body('large', b'X' * 900000))  # no batch: refused when it is read whole
    frame = CODEC.request(0, 8, 1, 'test', body)
    with Worker(impatient, 'beside') as w:
        before, most, deadline = memory(impatient), 0, time.monotonic() + WAIT
        socks = [connect(impatient) for _ in range(60)]
        for s in socks:
            s.setblocking(False)
        left = {s: memoryview(struct.pack('>i', len(frame)) + frame) for s in socks}
        waiting = set(socks)
        while waiting:
            assert time.monotonic() < deadline, '%d wait for their answer' % len(waiting)
            readable, writable, _ = select.select(waiting, [s for s in waiting if left[s]], [], 1)
            for s in writable:
                left[s] = left[s][s.send(left[s][:65536]):]
            for s in readable:
                assert s.recv(4), 'closed without an answer'
                waiting.remove(s)
            most = max(most, memory(impatient))
        assert most - before < 40 * MIB, '%d MiB more' % ((most - before) / MIB)
        w.progress()
        for s in socks:
            s.close()


def test_max_connections(tmp_path):
    """What is too much waits in the backlog and is served when another goes."""
    with Node(tmp_path, ['max.connections=5']) as n:
        socks = []
        for _ in range(5):
            socks.append(connect(n))
            assert answered(socks[-1])
        late = connect(n)
        assert not answered(late, 1)
        until(lambda: 'max.connections is reached' in log_of(n))
        assert all(answered(s) for s in socks)
        socks.pop().close()
        late.settimeout(WAIT)
        assert len(late.recv(4)) == 4  # the request that was sent before
        for s in socks + [late]:
            s.close()


def test_max_connections_while_it_runs(tmp_path):
    """The limit changes without a restart; who waits is let in, and who is in stays."""
    with Node(tmp_path, ['max.connections=3']) as n:
        admin = Connection('127.0.0.1', n.port, CODEC)

        def change(value):
            r = admin.ask('IncrementalAlterConfigs', 1, {'resources': [{'resourceType': 4, 'resourceName': '', 'configs': [
                {'name': 'max.connections', 'configOperation': 0, 'value': str(value)}]}], 'validateOnly': False})
            assert r['responses'][0]['errorCode'] == 0, r
        admin.ask('ApiVersions', 0, {})
        socks = [connect(n) for _ in range(2)]
        assert all(answered(s) for s in socks)
        late = connect(n)
        assert not answered(late, 0.5)
        change(4)
        late.settimeout(WAIT)
        assert len(late.recv(4096)) > 4
        change(2)
        more = connect(n)
        assert not answered(more, 0.5)
        assert all(answered(s) for s in socks + [late])
        for s in socks + [late, more]:
            s.close()
        until(lambda: answered_anew(n))
        admin.close()


def test_max_connections_per_ip(tmp_path):
    """The newcomer that is too much is closed; an address with a limit of its own has that; who goes makes room."""
    with Node(tmp_path, ['max.connections.per.ip=2', 'max.connections.per.ip.overrides=127.0.0.2:4,127.0.0.3:0']) as n:
        for ip, most in ('127.0.0.4', 2), ('127.0.0.2', 4):
            socks = [connect(n, ip) for _ in range(most)]
            assert all(answered(s) for s in socks)
            with connect(n, ip) as s:
                assert not answered(s) and is_closed(s)
            socks.pop().close()

            def again():
                s = connect(n, ip)
                if answered(s):
                    socks.append(s)
                    return True
                s.close()
                return False
            until(again)
            assert all(answered(s) for s in socks)
            for s in socks:
                s.close()
        with connect(n, '127.0.0.3') as s:
            assert not answered(s)
        assert 'max.connections.per.ip is reached' in log_of(n)


@pytest.mark.parametrize('backend', ['io_uring', 'libuv'])
def test_descriptors_run_out(tmp_path, backend):
    """Connections never take the last descriptors: those that are here work, files can be made, the others wait and get their turn."""
    with Node(tmp_path, ['io.backend=' + backend], prefix=['prlimit', '--nofile=256:256', '--']) as n:
        with Worker(n, 'few') as w:
            early = Connection('127.0.0.1', n.port, CODEC)
            early.ask('ApiVersions', 0, {})
            socks = [connect(n) for _ in range(300)]
            for s in socks:
                s.sendall(ASK)
            until(lambda: 'accept failed' in log_of(n))
            w.progress()
            make_topic(n, 'made-meanwhile', 20, early)
            assert 50 < len(select.select(socks, [], [], 0)[0]) < 256
            # Whoever is served goes and makes room, in as many rounds as it takes: those of the first round whose answers are only on their way keep
            # theirs, and a file may take the place of a connection.
            waiting, deadline = set(socks), time.monotonic() + WAIT
            while waiting:
                assert time.monotonic() < deadline, '%d were not served' % len(waiting)
                for s in select.select(waiting, [], [], 1)[0]:
                    assert len(s.recv(4)) == 4
                    s.close()
                    waiting.remove(s)
                    deadline = time.monotonic() + WAIT
            w.progress()
            early.close()
