"""The HTTP listener: what it answers, and what it refuses."""
import socket
import time

import pytest
from monitor import SETTING, get, port_of
from node import Node, binary, run

CONNECTIONS = 32  # CONNECTIONS_MAX
HEAD_SECONDS = 10  # HEAD_MS


@pytest.fixture(scope='module')
def port(tmp_path_factory):
    with Node(tmp_path_factory.mktemp('monitor'), ['metrics.listener=' + SETTING, 'metrics.listener.hosts=eyes.example, b']) as n:
        yield port_of(lambda: open(n.log).read())


def raw(port, data, timeout=10):
    """What comes until the peer closes."""
    with socket.create_connection(('127.0.0.1', port), timeout) as s:
        s.sendall(data)
        got = b''
        while True:
            try:
                more = s.recv(65536)
            except ConnectionResetError:
                return got
            if not more:
                return got
            got += more


def test_paths(port):
    status, headers, text = get(port, '/')
    assert status == 200 and '/healthz' in text and '/readyz' in text
    assert headers['content-type'].startswith('text/plain') and headers['cache-control'] == 'no-store'
    assert get(port, '/healthz')[::2] == (200, 'ok\n')
    assert get(port, '/readyz')[::2] == (200, 'ready\n')
    assert get(port, '/healthz?x=1')[0] == 200
    for path in ('/nothing', '/healthz/', '//healthz', '/../healthz'):
        assert get(port, path)[0] == 404, path


def test_head(port):
    status, headers, text = get(port, '/healthz', 'HEAD')
    assert status == 200 and headers['content-length'] == '3' and text == ''


@pytest.mark.parametrize('method', ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'BREW'])
def test_other_methods(port, method):
    status, headers, _ = get(port, '/healthz', method)
    assert status == 405 and headers['allow'] == 'GET, HEAD'


def test_a_body_is_refused(port):
    assert get(port, '/healthz', body='x' * 100)[0] == 400
    assert get(port, '/healthz', headers={'Transfer-Encoding': 'chunked'}, body=iter([b'x']))[0] == 400


@pytest.mark.parametrize('host,status', [('localhost:1', 200), ('LOCALHOST.', 200), ('127.0.0.1', 200), ('10.1.2.3:9644', 200), ('[::1]:9644', 200),
                                         ('eyes.example', 200), ('Eyes.Example:80', 200), ('b', 200), (socket.gethostname(), 200),
                                         ('evil.example', 403), ('eyes.example.evil', 403), ('localhost.evil', 403), ('127.0.0.1.evil', 403),
                                         ('[localhost', 403), ('1.2.3', 403), ('', 403), (':9644', 403)])
def test_names_of_others_are_refused(port, host, status):
    """A page from outside that lets a name of its own point here (DNS rebinding) reads nothing."""
    for path in ('/', '/metrics', '/nothing'):
        got, _, text = get(port, path, headers={'Host': host})
        assert (got == 403) == (status == 403), (host, path, got)
        assert status != 403 or 'metrics.listener.hosts' in text


def test_one_connection_many_requests(port):
    one = b'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'
    got = raw(port, one * 50 + one.replace(b'\r\n\r\n', b'\r\nConnection: close\r\n\r\n'))
    assert got.count(b'HTTP/1.1 200 OK') == 51 and got.count(b'\r\n\r\nok\n') == 51


def test_heads_are_bounded(port):
    assert raw(port, b'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ' + b'a' * 20000 + b'\r\n\r\n').startswith(b'HTTP/1.1 431')
    assert raw(port, b'GET /' + b'a' * 20000 + b' HTTP/1.1\r\nHost: localhost\r\n\r\n').startswith(b'HTTP/1.1 414')
    assert b' 200 ' not in raw(port, b'no request\r\n\r\n')
    assert get(port, '/healthz')[0] == 200


class Holders:
    """As many clients as there are connections, each of which has sent the same and reads no answer. TCP's buffers are small."""

    def __init__(self, port, sends):
        self.all = [socket.socket() for _ in range(CONNECTIONS)]
        for s in self.all:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            s.settimeout(30)
            s.connect(('127.0.0.1', port))
            s.sendall(sends)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.all:
            s.close()


ONE = b'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'
LAST = ONE.replace(b'\r\n\r\n', b'\r\nConnection: close\r\n\r\n')


def answer_to_one(s):
    got = b''
    while not got.endswith(b'\r\n\r\nok\n'):
        got += s.recv(1000)
    return got


def rest(s, sends=b''):
    """What a client still gets until its connection ends."""
    got = b''
    try:
        s.sendall(sends)
        while more := s.recv(65536):
            got += more
    except ConnectionError:
        pass
    return got


@pytest.mark.parametrize('sends', [b'', LAST[:-2], ONE], ids=['silent', 'half a head', 'idle'])
def test_a_probe_is_answered_while_others_hold_all_connections(port, sends):
    """The oldest makes room, and only that one."""
    with Holders(port, sends) as held:
        for s in held.all if sends == ONE else ():
            assert answer_to_one(s).startswith(b'HTTP/1.1 200')
        begun = time.monotonic()
        assert get(port, '/healthz')[0] == 200
        assert time.monotonic() - begun < HEAD_SECONDS / 2, 'it waited until the others were late'
        answers = [rest(s, LAST if sends == ONE else LAST[len(sends):]) for s in held.all]
        assert answers.count(b'') == 1 and all(a.startswith(b'HTTP/1.1 200') for a in answers if a)
        assert answers[0] == b'' or sends == ONE  # who was answered first is not known


def test_a_probe_is_answered_while_nobody_takes_his_answers(port):
    many = 200
    one = ONE.replace(b'/healthz', b'/console/app.js')
    with Holders(port, one * (many - 1) + one.replace(b'\r\n\r\n', b'\r\nConnection: close\r\n\r\n')) as held:
        for s in held.all:
            assert s.recv(16, socket.MSG_PEEK) == b'HTTP/1.1 200 OK\r\n'[:16]
        begun = time.monotonic()
        assert get(port, '/healthz')[0] == 200
        assert time.monotonic() - begun < 10, 'it waited until the others were late'
        assert sorted(rest(s).count(b'HTTP/1.1 200 OK') < many for s in held.all) == [False] * (CONNECTIONS - 1) + [True]


def test_a_slow_client_is_cut_off(port):
    """A byte now and then keeps nobody: the head has its time as a whole. Others are served meanwhile."""
    with socket.create_connection(('127.0.0.1', port), 30) as s:
        begun = time.monotonic()
        s.sendall(b'GET /healthz HTTP/1.1\r\n')
        s.settimeout(1)
        while True:
            assert get(port, '/healthz')[0] == 200
            try:
                s.sendall(b'X')
                if s.recv(100) == b'':
                    break
            except TimeoutError:
                assert time.monotonic() - begun < 6 * HEAD_SECONDS
            except OSError:
                break
        assert time.monotonic() - begun > 0.9 * HEAD_SECONDS


@pytest.mark.parametrize('value', ['https://127.0.0.1:0', 'PLAINTEXT://127.0.0.1:0', 'http://127.0.0.1', 'http://:9644', ':9644', '9644',
                                   'http://127.0.0.1:70000', 'http://127.0.0.1:0/metrics', 'http://a b:0'])
def test_settings_that_are_refused(tmp_path, value):
    status, out, err = run(binary(), 'server', '--data', str(tmp_path / 'data'), '--override', 'metrics.listener=' + value)
    assert status == 1 and 'metrics.listener=' + value in err, out + err


def test_an_address_that_is_taken(tmp_path):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen()
        value = '127.0.0.1:%d' % s.getsockname()[1]
        status, out, err = run(binary(), 'server', '--data', str(tmp_path / 'data'), '--port', '0', '--override', 'metrics.listener=' + value)
    assert status == 1 and 'metrics.listener=%s: cannot listen on' % value in err and 'in use' in err, out + err
