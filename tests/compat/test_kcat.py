"""kcat (librdkafka) against one node: a file of lines through every codec, byte for byte; restart; kill -9 under load."""
import subprocess

import pytest
from members import wait
from node import Node, run

LINES = [('line %d ' % i) + 'x' * (i % 300) for i in range(5000)]


def produce(n, topic, data, *more):
    status, _, err = run('kcat', '-P', '-b', n.servers, '-t', topic, *more, input=data.encode())
    assert status == 0, err


def consume(n, topic, *more):
    status, out, err = run('kcat', '-C', '-q', '-e', '-b', n.servers, '-t', topic, '-o', 'beginning', *more)
    assert status == 0, err
    return out.splitlines()


def test_metadata(node):
    status, out, err = run('kcat', '-L', '-b', node.servers)
    assert status == 0 and '1 brokers' in out, out + err


@pytest.mark.parametrize('codec', ['none', 'gzip', 'snappy', 'lz4', 'zstd'])
def test_every_codec(node, codec):
    produce(node, 'lines-' + codec, '\n'.join(LINES), '-z', codec, '-p', '0')
    assert consume(node, 'lines-' + codec, '-p', '0') == LINES


def test_keys_headers_and_acks(node):
    want, got = [], []

    def read():
        got[:] = consume(node, 'keyed', '-p', '0', '-f', '%k %s %h\n')
        return len(got) >= len(want)
    for acks in ('0', '1', 'all'):
        produce(node, 'keyed', 'k%s:v%s\n' % (acks, acks), '-K:', '-H', 'h=1', '-p', '0', '-X', 'acks=' + acks)
        want.append('k%s v%s h=1' % (acks, acks))
        wait(read, lambda: 'acks=%s: read %s' % (acks, got))  # kcat may end before an acks=0 is appended
        assert got == want


def test_restart_keeps_all(tmp_path):
    with Node(tmp_path) as n:
        produce(n, 't', '\n'.join(LINES), '-p', '0')
        n.stop()
        n.start()
        assert consume(n, 't', '-p', '0') == LINES


def test_kill_loses_nothing_acknowledged(tmp_path):
    """Acknowledged lines are counted by kcat's delivery reports of an idempotent producer, which it prints with -v -v."""
    with Node(tmp_path) as n:
        produce(n, 't', '\n'.join(LINES), '-p', '0')
        load = subprocess.Popen(['kcat', '-P', '-b', n.servers, '-t', 't', '-p', '0', '-X', 'message.timeout.ms=3000'],
                                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        load.stdin.write(b''.join(b'second %d\n' % i for i in range(2000)))
        load.stdin.flush()
        n.kill()
        load.kill()
        load.wait()
        n.start()
        got = consume(n, 't', '-p', '0')
        assert got[:len(LINES)] == LINES
        assert got[len(LINES):] == ['second %d' % i for i in range(len(got) - len(LINES))]
