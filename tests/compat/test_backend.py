"""io.backend: one line of the log says which backend a node uses and why; where io_uring is refused, libuv serves the same."""
import os
import sys

import pytest
from node import ROOT, Node, binary, run

DENY = [sys.executable, os.path.join(ROOT, 'tests/lib/deny_io_uring.py')]
LINES = ''.join('line %d\n' % i for i in range(2000))


def pipe_through(n):
    status, _, err = run('kcat', '-P', '-b', n.servers, '-t', 'lines', '-p', '0', '-z', 'lz4', input=LINES.encode())
    assert status == 0, err
    status, out, err = run('kcat', '-C', '-q', '-e', '-b', n.servers, '-t', 'lines', '-p', '0', '-o', 'beginning')
    assert status == 0, err
    assert out == LINES


def said(n):
    """The one line."""
    lines = [line for line in open(n.log) if 'io_uring is ' in line or 'libuv is ' in line]
    assert len(lines) == 1, lines
    return lines[0]


def test_libuv_as_configured(tmp_path):
    with Node(tmp_path, ['io.backend=libuv']) as n:
        pipe_through(n)
        assert 'libuv is used, as configured' in said(n)


def test_refused_means_libuv(tmp_path):
    """The data of one backend is served by the other."""
    with Node(tmp_path) as n:
        pipe_through(n)
        said(n)
    os.rename(n.log, n.log + '.1')
    with Node(tmp_path, prefix=DENY, port=n.port) as n:
        assert 'io_uring is refused here' in said(n) and 'libuv is used' in said(n)
        status, out, err = run('kcat', '-C', '-q', '-e', '-b', n.servers, '-t', 'lines', '-p', '0', '-o', 'beginning')
        assert status == 0 and out == LINES, err


def test_demanded_and_refused(tmp_path):
    """io.backend=io_uring is not replaced in silence: the node says why it does not start."""
    status, out, err = run(*DENY, binary(), 'server', '--data', str(tmp_path / 'data'), '--override', 'io.backend=io_uring')
    assert status == 1
    assert 'io.backend=io_uring: io_uring is refused here' in err, out + err


@pytest.mark.parametrize('value', ['epoll', 'IO_URING', ''])
def test_unknown_backend(tmp_path, value):
    status, out, err = run(binary(), 'server', '--data', str(tmp_path / 'data'), '--override', 'io.backend=' + value)
    assert status == 1 and 'io.backend' in err, out + err
