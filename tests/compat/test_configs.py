"""Configuration as an operator meets it: the sample files start, a bad value ends the start with one sentence, every setting that Kafka
changes while it runs is changed or refused as by Kafka."""
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from node import ROOT, Node, binary, free_port, millrace, run

sys.path.insert(0, os.path.join(ROOT, 'tests/compat'))
import dynamic_settings  # noqa: E402

CLUSTER = 'DUO7j3nMRSCdq1RXXLLHig'
INVALID_REQUEST = 42


# ---- sample files


class Sample:
    """A file of deploy/ with its folder, its ports and its hosts moved here, and the server that it starts."""

    def __init__(self, name, folder, ports):
        self.file = str(folder / (name + '.properties'))
        text = open(os.path.join(ROOT, 'deploy', name + '.properties')).read().replace('/var/lib/millrace', str(folder / name))
        for there, here in ((',2@controller2:9093,3@controller3:9093', ''), ('.factor=3', '.factor=1'), ('insync.replicas=2', 'insync.replicas=1'),
                            ('9092', ports[0]), ('9093', ports[1]), ('9644', 0), ('9645', 0), ('controller1', 'localhost'), ('broker11', 'localhost')):
            text = text.replace(there, str(here))  # of several nodes one of each kind is started
        with open(self.file, 'w') as f:
            f.write(text)
        self.log = self.file + '.log'
        status, out, err = millrace('storage', 'format', '-t', CLUSTER, '-c', self.file)
        assert status == 0, out + err
        self.process = subprocess.Popen([binary(), 'server', self.file], stdout=open(self.log, 'w'), stderr=subprocess.STDOUT)

    def says(self):
        return open(self.log).read()

    def wait_ready(self):
        deadline = time.monotonic() + 60
        while ' is ready.' not in self.says():
            assert self.process.poll() is None and time.monotonic() < deadline, self.says()
            time.sleep(0.02)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.says()
        for word in ('unknown setting', 'ERROR', 'Sanitizer'):
            assert word not in self.says(), self.says()


def through(port, topic):
    """A line goes in and comes out."""
    status, _, err = run('kcat', '-P', '-b', 'localhost:%d' % port, '-t', topic, input=b'a line\n')
    assert status == 0, err
    status, out, err = run('kcat', '-C', '-q', '-e', '-b', 'localhost:%d' % port, '-t', topic)
    assert (status, out) == (0, 'a line\n'), err


def test_sample_of_a_single_node(tmp_path):
    port = free_port()
    node = Sample('server', tmp_path, (port, port + 1))
    node.wait_ready()
    through(port, 'sample')
    node.stop()


def test_samples_of_separate_roles(tmp_path):
    port = free_port()
    controller = Sample('controller', tmp_path, (port, port + 1))
    controller.wait_ready()
    broker = Sample('broker', tmp_path, (port, port + 1))
    broker.wait_ready()
    through(port, 'sample')
    broker.stop()
    controller.stop()


def test_samples_may_run_on_one_machine():
    """A broker's and a controller's."""
    ports = [set(re.findall(r':(\d+)', ' '.join(re.findall(r'^(?:metrics\.)?listeners?=.*', open(os.path.join(ROOT, 'deploy', n)).read(), re.M))))
             for n in ('broker.properties', 'controller.properties')]
    assert len(ports[0]) == len(ports[1]) == 2 and not ports[0] & ports[1]


# ---- what is refused, and what warns

FILE = 'process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n'
REFUSED = [
    # line of the file, sentence
    ('num.partitions=0', 'num.partitions=0 is not allowed; allowed: at least 1 (%s:4)'),
    ('num.partitions=many', 'num.partitions=many is not an int; allowed: at least 1 (%s:4)'),
    ('log.retention.ms=9223372036854775808', 'log.retention.ms=9223372036854775808 is not a long; allowed: a whole number (%s:4)'),
    ('auto.create.topics.enable=yes', 'auto.create.topics.enable=yes is not a boolean; allowed: true or false (%s:4)'),
    ('compression.type=brotli',
     'compression.type=brotli is not allowed; allowed: one of: gzip, lz4, producer, snappy, uncompressed, zstd (%s:4)'),
    ('log.cleaner.min.cleanable.ratio=2', 'log.cleaner.min.cleanable.ratio=2 is not allowed; allowed: 0 to 1 (%s:4)'),
    ('log.cleanup.policy=keep', 'log.cleanup.policy=keep is not allowed; allowed: any of: compact, delete (%s:4)'),
    ('io.backend=epoll', 'io.backend=epoll is not allowed; allowed: one of: auto, io_uring, libuv (%s:4)'),
    ('node.id=-1', 'node.id=-1 is not allowed; allowed: at least 0 (%s:4)'),
    ('listeners=SSL://:9092,CONTROLLER://:9093', 'SSL'),
    ('max.connections.per.ip.overrides=here', 'max.connections.per.ip.overrides: `here` is not ADDRESS:COUNT'),
]


@pytest.mark.parametrize('line,sentence', REFUSED, ids=[r[0].split('=')[0] + str(i) for i, r in enumerate(REFUSED)])
def test_a_bad_value_ends_the_start(tmp_path, line, sentence):
    file = tmp_path / 'server.properties'
    file.write_text(FILE + line + '\ncontroller.quorum.voters=1@localhost:9093\nlog.dirs=%s\n' % (tmp_path / 'd') +
                    ('' if 'listeners' in line else 'listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n'))
    status, out, err = millrace('server', str(file))
    assert status == 1 and out == ''
    last = err.strip().splitlines()[-1]
    assert last.startswith('millrace server: ')
    said = last[len('millrace server: '):]
    assert said == sentence % file if '%s' in sentence else sentence in said
    assert not (tmp_path / 'd').exists()


def test_an_override_is_checked_too(tmp_path):
    status, _, err = millrace('server', '--data', str(tmp_path / 'd'), '--override', 'num.partitions=-4')
    assert status == 1
    assert 'num.partitions=-4 is not allowed; allowed: at least 1 (--override)' in err
    assert not (tmp_path / 'd').exists()


def test_overrides_win_and_odd_names_warn(tmp_path):
    overrides = ['num.partitions=3', 'num.partitions=7', 'log.retention.minuts=5', 'ssl.protocol=TLSv1.3', 'num.io.threads=8',
                 'listener.name.plaintext.ssl.keystore.type=JKS']
    with Node(tmp_path, overrides) as node:
        conn = dynamic_settings.Connection('127.0.0.1', node.port, dynamic_settings.Codec())
        made = conn.ask('CreateTopics', 7, {'topics': [{'name': 't', 'numPartitions': -1, 'replicationFactor': -1}]})['topics'][0]
        assert (made['errorCode'], made['numPartitions']) == (0, 7)
        conn.close()
    said = open(node.log).read()
    assert 'WARN  config: an unknown setting, ignored name=log.retention.minuts at=--override' in said
    assert 'WARN  config: a setting that this version does not use: TLS: a later version. name=ssl.protocol at=--override' in said
    assert 'WARN  config: a setting that this version does not use name=listener.name.plaintext.ssl.keystore.type at=--override' in said
    assert 'INFO  config: a setting without meaning here:' in said and 'name=num.io.threads at=--override' in said
    assert 'name=num.partitions' not in said


# ---- while it runs

# Kafka takes these for one broker while it runs; they are settings of TLS, SASL and directories that are left empty, which this version
# does not serve: refused with a sentence.
NOT_YET = {
    'cordoned.log.dirs', 'principal.builder.class', 'sasl.enabled.mechanisms', 'sasl.jaas.config', 'sasl.kerberos.kinit.cmd',
    'sasl.kerberos.min.time.before.relogin', 'sasl.kerberos.principal.to.local.rules', 'sasl.kerberos.service.name',
    'sasl.kerberos.ticket.renew.jitter', 'sasl.kerberos.ticket.renew.window.factor', 'sasl.login.refresh.buffer.seconds',
    'sasl.login.refresh.min.period.seconds', 'sasl.login.refresh.window.factor', 'sasl.login.refresh.window.jitter',
    'sasl.mechanism.inter.broker.protocol', 'ssl.cipher.suites', 'ssl.client.auth', 'ssl.enabled.protocols',
    'ssl.endpoint.identification.algorithm', 'ssl.keymanager.algorithm', 'ssl.protocol', 'ssl.provider', 'ssl.secure.random.implementation',
    'ssl.trustmanager.algorithm',
}


def test_every_setting_changed_while_the_node_runs(node):
    kafka = {}
    for line in open(os.path.join(ROOT, 'tests/data/dynamic-settings.tsv')):
        if not line.startswith('#'):
            cells = line.rstrip('\n').split('\t')
            kafka[int(cells[0]), cells[1], cells[2], cells[3]] = int(cells[4])
    conn = dynamic_settings.connect('127.0.0.1', node.port)
    asked, differ, not_yet = 0, [], set()
    for q in dynamic_settings.questions():
        code, sentence = dynamic_settings.ask(conn, *q)
        asked += 1
        if code == INVALID_REQUEST and kafka[q] == 0 and q[2] in NOT_YET:
            not_yet.add(q[2])
        elif code != kafka[q]:
            differ.append((*q, code, 'Kafka: %d' % kafka[q]))
        if code:
            assert sentence and q[2] in sentence, q
    conn.close()
    assert differ == []
    assert not_yet == NOT_YET
    assert asked == len(kafka) > 1800


INVALID_CONFIG = 40
SET, APPEND, SUBTRACT = 0, 2, 3
# (broker, (operation, name, value)..., Kafka's code): several bad settings at once, and names with a listener in front
ORDERS = [
    ('', (SET, 'num.io.threads', 'x'), (SUBTRACT, 'message.max.bytes', '1'), INVALID_CONFIG),
    ('1', (SUBTRACT, 'message.max.bytes', '1'), (9, 'num.io.threads', 'x'), INVALID_REQUEST),
    ('1', (APPEND, 'node.id', '1'), INVALID_CONFIG),
    ('', (APPEND, 'nonsense', '1'), INVALID_CONFIG),
    ('1', (APPEND, 'listener.name.plaintext.ssl.cipher.suites', 'a'), INVALID_CONFIG),
    ('', (APPEND, 'log.cleanup.policy', 'compact'), 0),
    ('', (APPEND, 'listeners', 'a'), INVALID_REQUEST),
    ('', (SET, 'listener.name.plaintext.nonsense', '1'), INVALID_REQUEST),
    ('', (SET, 'listener.name..nonsense', '1'), INVALID_REQUEST),
    ('', (SET, 'listener.name.plaintext.node.id', '1'), INVALID_REQUEST),
    ('', (SET, 'listener.name.nonsense', '1'), 0),
    ('1', (SET, 'listener.name.plaintext.nonsense', '1'), 0),
    ('1', (SET, 'listener.name.plaintext.node.id', '1'), 0),
    ('1', (SET, 'listener.name.plaintext.num.io.threads', '8'), 0),
    ('1', (SET, 'listener.name.plaintext.num.io.threads', 'x'), INVALID_REQUEST),
]


@pytest.mark.parametrize('broker,entries,code', [(o[0], o[1:-1], o[-1]) for o in ORDERS], ids=range(len(ORDERS)))
def test_which_error_comes_first(node, broker, entries, code):
    conn = dynamic_settings.Connection('127.0.0.1', node.port, dynamic_settings.Codec())
    configs = [{'name': name, 'configOperation': op, 'value': value} for op, name, value in entries]
    [row] = conn.ask('IncrementalAlterConfigs', 1, {'resources': [{'resourceType': 4, 'resourceName': broker, 'configs': configs}],
                                                    'validateOnly': True})['responses']
    conn.close()
    assert row['errorCode'] == code, row
