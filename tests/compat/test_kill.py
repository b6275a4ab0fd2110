"""What a newcomer does: pipe a real file through the node with somebody else's client, kill the node in the middle of a second load, start it
again, and read back what was acknowledged, byte for byte; with every codec, several times over, and with our own console tools."""
import os
import subprocess
import time

import pytest
from confluent_kafka import Producer
from node import Node, binary, millrace, run

FILE = '/var/lib/dpkg/status'  # every Debian machine has one; some thousand lines
ROUNDS = 3


def file_lines():
    with open(FILE, 'rb') as f:
        return f.read().split(b'\n')


def read_all(n, topic):
    p = subprocess.run(['kcat', '-C', '-q', '-e', '-b', n.servers, '-t', topic, '-p', '0', '-o', 'beginning', '-D', '\\n'],
                       capture_output=True, timeout=120)
    assert p.returncode == 0, p.stderr
    return p.stdout.split(b'\n')[:-1]


class Load:
    """An idempotent producer that goes on sending; `acked` counts what the node acknowledged, in the order of sending."""

    def __init__(self, n, topic, codec):
        self.topic, self.sent, self.acked, self.bad = topic, [], 0, []
        self.producer = Producer({'bootstrap.servers': n.servers, 'enable.idempotence': True, 'compression.type': codec, 'linger.ms': 2,
                                  'batch.num.messages': 100, 'message.timeout.ms': 120000, 'reconnect.backoff.max.ms': 200})
        self.lines = file_lines()

    def delivered(self, err, _):
        if err:
            self.bad.append(err)
        else:
            self.acked += 1

    def more(self, count):
        for _ in range(count):
            i = len(self.sent)
            self.sent.append(b'%d %s' % (i, self.lines[i % len(self.lines)]))
            self.producer.produce(self.topic, self.sent[-1], partition=0, on_delivery=self.delivered)
        self.producer.poll(0.001)

    def until_acked(self, count):
        deadline = time.monotonic() + 60
        while self.acked < count:
            assert time.monotonic() < deadline, '%d of %d acknowledged' % (self.acked, count)
            if len(self.sent) - self.acked < 5000:
                self.more(200)
            else:
                self.producer.poll(0.01)


@pytest.mark.parametrize('codec', ['none', 'gzip', 'snappy', 'lz4', 'zstd'])
def test_a_file_and_a_second_load(tmp_path, codec):
    first = [line for line in file_lines() if line]  # kcat -l leaves out empty lines
    with Node(tmp_path) as n:
        status, _, err = run('kcat', '-P', '-b', n.servers, '-t', 'lines', '-z', codec, '-l', FILE)
        assert status == 0, err
        assert read_all(n, 'lines') == first
        load = Load(n, 'lines', codec)
        for r in range(ROUNDS):
            load.until_acked(2000 * (r + 1))
            load.more(500)  # in flight when the node dies
            n.kill()
            acked = load.acked
            n.start()
            got = read_all(n, 'lines')
            assert got[:len(first)] == first
            second = got[len(first):]
            assert acked <= len(second) <= len(load.sent)
            assert second == load.sent[:len(second)]
        assert load.producer.flush(60) == 0 and not load.bad
        assert read_all(n, 'lines') == first + load.sent
        n.stop()
        n.start()
        assert read_all(n, 'lines') == first + load.sent


def test_our_console_tools(tmp_path):
    with open(FILE, 'rb') as f:
        whole = f.read()
    assert whole.endswith(b'\n')

    def consume():
        """As many records as the topic says that it has."""
        status, out, err = millrace('get-offsets', '--bootstrap-server', n.servers, '--topic', 'lines')
        assert status == 0, out + err
        count = out.strip().rpartition(':')[2]
        p = subprocess.run([binary(), 'console-consumer', '--bootstrap-server', n.servers, '--topic', 'lines', '--from-beginning',
                            '--max-messages', count, '--timeout-ms', '60000'], capture_output=True, timeout=120)
        assert p.returncode == 0 and p.stdout.count(b'\n') == int(count), p.stderr
        return p.stdout

    with Node(tmp_path) as n:
        p = subprocess.run([binary(), 'console-producer', '--bootstrap-server', n.servers, '--topic', 'lines'], input=whole, capture_output=True,
                           timeout=120)
        assert p.returncode == 0, p.stderr
        log = os.path.join(n.folder, 'data/lines-0/00000000000000000000.log')
        size = os.path.getsize(log)
        assert consume() == whole
        second = b''.join(b'%d of the second load\n' % i for i in range(500000))
        with open(os.path.join(n.folder, 'second'), 'wb') as f:
            f.write(second)
        with open(os.path.join(n.folder, 'second'), 'rb') as f:
            load = subprocess.Popen([binary(), 'console-producer', '--bootstrap-server', n.servers, '--topic', 'lines'], stdin=f,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while os.path.getsize(log) == size:
            assert time.monotonic() < deadline and load.poll() is None, 'nothing of the second load came'
            time.sleep(0.001)
        n.kill()
        load.kill()
        load.wait()
        n.start()
        got = consume()
        assert got[:len(whole)] == whole
        rest = got[len(whole):]
        assert rest and rest.endswith(b'\n') and second.startswith(rest)
