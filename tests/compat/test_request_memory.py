"""A request that is small on the wire and large in memory: the node refuses it in a sentence and goes on."""
import socket
import struct

import pytest
from node import Node

MEMORY = 64 << 20


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    with Node(tmp_path_factory.mktemp('node'), ['request.memory.bytes=%d' % MEMORY]) as n:
        yield n


def ask(node, frame):
    """The answer's bytes, empty if the node closed the connection."""
    with socket.create_connection(('127.0.0.1', node.port), 5) as s:
        s.settimeout(60)
        try:
            s.sendall(struct.pack('>i', len(frame)) + frame)
            return s.recv(4)
        except ConnectionError:
            return b''


def peak_mib(node):
    for line in open('/proc/%d/status' % node.process.pid):
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) // 1024
    raise AssertionError('no VmHWM')


def produce(partitions):
    """Produce 3 with so many partitions of no bytes: 8 bytes each."""
    head = struct.pack('>hhih', 0, 3, 1, -1) + struct.pack('>hhi', -1, 1, 1000)
    topic = struct.pack('>ih', 1, 1) + b't' + struct.pack('>i', partitions)
    return head + topic + b''.join(struct.pack('>ii', i, 0) for i in range(partitions))


def test_many_tiny_elements(small):
    before = peak_mib(small)
    assert ask(small, produce(1000)) != b''
    assert ask(small, produce(3_000_000)) == b''
    assert 'more than fits in memory (request.memory.bytes)' in open(small.log).read()
    assert peak_mib(small) - before < 4 * (MEMORY >> 20)
    assert small.answers()
