"""What a bad peer gets: Kafka's own reaction (a closed connection, or an error code), and in the log one line that names the reason and the peer.
However often it comes, the lines stay few and say how many were left out; the node serves others all the while."""
import os
import re
import socket
import struct
import sys
import time
import zlib

import pytest
from node import ROOT, Node

sys.path.insert(0, os.path.join(ROOT, 'tests'))
from kafkawire import Codec, Connection, crc32c, uvarint  # noqa: E402

CODEC = Codec()
TOPIC = 'bad'
SHARDS, BURST = 2, 10  # lines a second and shard


@pytest.fixture(scope='module')
def deep(tmp_path_factory):
    overrides = ['produce.validation=deep', 'io.threads=%d' % SHARDS, 'request.memory.bytes=%d' % (256 << 20)]
    with Node(tmp_path_factory.mktemp('node'), overrides) as n:
        conn = Connection('127.0.0.1', n.port, CODEC)
        made = conn.ask('CreateTopics', 7, {'topics': [{'name': TOPIC, 'numPartitions': 1, 'replicationFactor': 1}]})
        assert made['topics'][0]['errorCode'] == 0
        while conn.ask('Metadata', 12, {'topics': [{'name': TOPIC}], 'allowAutoTopicCreation': False})['topics'][0]['errorCode']:
            pass  # not published yet
        conn.close()
        yield n


def lines(node, pattern):
    return [line for line in open(node.log) if re.search(pattern, line)]


def until_logged(node, pattern, act):
    """Acts until the log says so: what others caused a moment ago may have used up the lines of this second."""
    deadline = time.monotonic() + 20
    before = len(lines(node, pattern))
    while len(lines(node, pattern)) == before:
        assert time.monotonic() < deadline, open(node.log).read()[-3000:]
        act()
    return lines(node, pattern)[before]


def flood(node, pattern, act, times):
    """Far more often than there are lines: they are bounded, and the next one says how many were left out."""
    before, start, done, most = len(lines(node, pattern)), time.monotonic(), 0, 0
    while done < times or done <= most:  # a slow machine needs more to tell
        act()
        done += 1
        most = BURST * SHARDS * (int(time.monotonic() - start) + 2)
        assert time.monotonic() < start + 120, 'too slow to tell: %d' % done
    assert len(lines(node, pattern)) - before <= most
    counted = r'\(\d+ such lines left out before\)'
    deadline = time.monotonic() + 20
    while not lines(node, counted):
        assert time.monotonic() < deadline
        act()
    assert node.answers()


# ---- closed connections


def closes(node, raw):
    with socket.create_connection(('127.0.0.1', node.port), 10) as s:
        s.settimeout(10)
        try:
            s.sendall(raw)
            assert s.recv(1) == b''
        except ConnectionError:
            pass


def with_length(data):
    return struct.pack('>i', len(data)) + data


CLIENT_HELLO = bytes.fromhex('16030100c4010000c00303') + bytes(range(32)) + b'\0' * 160
CLOSED = {
    'negative length': (struct.pack('>i', -1), r'a request says it is -1 bytes long, allowed are 1 to 104857600'),
    'no length': (struct.pack('>i', 0), r'a request says it is 0 bytes long'),
    'too large a length': (struct.pack('>i', 104857601), r'a request says it is 104857601 bytes long'),
    'bad API key': (with_length(struct.pack('>hhih', 93, 0, 1, -1)), r'the API is not served here .*api=93 version=0'),
    'negative API key': (with_length(struct.pack('>hhih', -7, 0, 1, -1)), r'the API is not served here .*api=-7 version=0'),
    'bad version': (with_length(struct.pack('>hhih', 3, 99, 1, -1)), r'the version is not served .*api=3 version=99'),
    'garbage': (with_length(b'\0\3\0\2\0\0\0\1\x7f\xff' + b'garbage' * 9), r'the request header is broken .*api=3 version=2'),
    'truncated body': (with_length(struct.pack('>hhihi', 3, 1, 1, -1, 5)), r'the request does not decode .*api=3 version=1'),
    'lying count': (with_length(struct.pack('>hhihi', 3, 1, 1, -1, 0x7fffffff)), r'the request does not decode .*api=3 version=1'),
    'TLS to a plaintext port': (CLIENT_HELLO, r'a request says it is 369295616 bytes long.*TLS'),
    'HTTP': (b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', r'a request says it is 1195725856 bytes long.*HTTP'),
}


@pytest.mark.parametrize('what', CLOSED)
def test_closed_with_one_line(deep, what):
    raw, reason = CLOSED[what]
    line = until_logged(deep, reason, lambda: closes(deep, raw))
    assert re.match(r'\d{4}-\d\d-\d\dT[\d:.]+Z WARN  (connection|request): .*closed: .* peer=127\.0\.0\.1\b', line), line
    assert deep.answers()


@pytest.mark.parametrize('what', ['negative length', 'bad API key', 'truncated body'])
def test_a_flood_of_them_is_bounded(deep, what):
    raw, reason = CLOSED[what]
    flood(deep, reason, lambda: closes(deep, raw), 400)


# ---- record batches

NOW = 1_700_000_000_000


def record(value):
    body = b'\0\0\0\1' + uvarint(2 * len(value)) + value + b'\0'
    return uvarint(2 * len(body)) + body


def batch(payload, attributes=0, count=1, last_delta=0, magic=2, crc=None):
    body = struct.pack('>hiqqqhii', attributes, last_delta, NOW, NOW, -1, -1, -1, count) + payload
    return struct.pack('>qiibI', 0, len(body) + 9, -1, magic, crc32c(body) if crc is None else crc) + body


def bomb():
    """300 MiB of zeros in 300 KiB, a sound record as far as one can read."""
    size = 300 << 20
    head = b'\0\0\0\1' + uvarint(2 * size)
    z = zlib.compressobj(9, zlib.DEFLATED, 31)
    out = z.compress(uvarint(2 * (len(head) + size + 1)) + head)
    for _ in range(300):
        out += z.compress(bytes(1 << 20))
    return batch(out + z.compress(b'\0') + z.flush(), attributes=1)


REFUSED = {
    # batch, Kafka's code, reason
    'wrong CRC': (lambda: batch(record(b'x'), crc=12345), 2, 'CRC'),
    'lying record count': (lambda: batch(record(b'x'), count=4, last_delta=3), 87, ''),
    'record count of 2 billion': (lambda: batch(record(b'x'), count=0x7fffffff, last_delta=0x7ffffffe), 87, ''),
    'other magic': (lambda: batch(record(b'x'), magic=3), 2, 'magic'),
    'older magic': (lambda: batch(record(b'x'), magic=1), 87, ''),
    'unknown codec': (lambda: batch(record(b'x'), attributes=5), -1, ''),
    'decompression bomb': (bomb, 10, 'inflates beyond'),
}


def peak_mib(node):
    for line in open('/proc/%d/status' % node.process.pid):
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) // 1024
    raise AssertionError('no VmHWM')


@pytest.mark.parametrize('what', REFUSED)
def test_refused_batch(deep, what):
    make, code, reason = REFUSED[what]
    data = make()
    conn = Connection('127.0.0.1', deep.port, CODEC)

    def produce():
        rows = conn.ask('Produce', 11, {'acks': 1, 'timeoutMs': 5000,
                                        'topicData': [{'name': TOPIC, 'partitionData': [{'index': 0, 'records': data}]}]})
        assert rows['responses'][0]['partitionResponses'][0]['errorCode'] == code
    line = until_logged(deep, r'request: a record batch is refused: .*topic=%s partition=0 ' % TOPIC, produce)
    assert re.search(r'WARN  request: .* error=\S+ .*peer=127\.0\.0\.1\b', line) and reason in line, line
    conn.close()
    assert peak_mib(deep) < 512 + 256


def cpu_seconds(node):
    fields = open('/proc/%d/stat' % node.process.pid).read().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def test_many_bombs_in_one_request(deep):
    """What a request inflates to is bounded as a whole: thirty bombs cost little more than one."""
    conn = Connection('127.0.0.1', deep.port, CODEC)
    made = conn.ask('CreateTopics', 7, {'topics': [{'name': 'bombed', 'numPartitions': 30, 'replicationFactor': 1}]})
    assert made['topics'][0]['errorCode'] == 0
    while conn.ask('Metadata', 12, {'topics': [{'name': 'bombed'}], 'allowAutoTopicCreation': False})['topics'][0]['errorCode']:
        pass  # not published yet
    data, cost = bomb(), {}
    for n in (1, 30):
        start = cpu_seconds(deep)
        rows = conn.ask('Produce', 11, {'acks': 1, 'timeoutMs': 5000, 'topicData': [
            {'name': 'bombed', 'partitionData': [{'index': i, 'records': data} for i in range(n)]}]}, timeout=120)
        assert {p['errorCode'] for p in rows['responses'][0]['partitionResponses']} == {10}
        cost[n] = cpu_seconds(deep) - start
    conn.close()
    assert cost[30] < 8 * max(cost[1], 0.1), cost


def test_a_flood_of_refused_batches_is_bounded(deep):
    data = batch(record(b'x'), crc=1)
    conn = Connection('127.0.0.1', deep.port, CODEC)
    ask = {'acks': 1, 'timeoutMs': 5000, 'topicData': [{'name': TOPIC, 'partitionData': [{'index': 0, 'records': data}]}]}
    flood(deep, 'a record batch is refused', lambda: conn.ask('Produce', 11, ask), 400)
    conn.close()
