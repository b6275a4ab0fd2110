"""deploy/docker-compose.yml and its single-node sibling as people use them. One cluster serves all tests of this file, in their order: the
later ones find what the earlier ones made."""
import json
import os

import pytest
from cluster import ports
from engine import DEPLOY, Compose, run
from history import Watcher, Writer, check_records, check_seen, read_partition
from members import wait

NODES = ['controller1', 'controller2', 'controller3', 'broker11', 'broker12', 'broker13']
INSIDE = ['--bootstrap-server', 'broker11:9092,broker12:9092,broker13:9092']


def project(file='docker-compose.yml'):
    free = ports(8)
    variables = {}
    for i, n in enumerate((11, 12, 13, 14)):
        variables.update({'BROKER%d_PORT' % n: free[2 * i], 'BROKER%d_HTTP' % n: free[2 * i + 1]})
    p = Compose(file, MILLRACE_PORT=free[0], MILLRACE_HTTP=free[1], **variables)
    p.servers = ','.join('localhost:%d' % free[2 * i] for i in range(3))
    p.fourth = 'localhost:%d' % free[6]
    p.only = 'localhost:%d' % free[0]
    return p


@pytest.fixture(scope='module')
def cluster(engine):
    with project() as p:
        p.up()
        p.wait_serving(NODES)
        yield p


def topics(p, *args, **kw):
    return p.service('broker13').exec('kafka-topics.sh', *INSIDE, *args, **kw)


def in_sync(p, topic, n):
    """Nobody may lead while this is asked."""
    status, text = topics(p, '--describe', '--topic', topic, check=False)
    rows = [line for line in text.splitlines() if 'Isr: ' in line]
    return status == 0 and len(rows) > 0 and all(len(line.split('Isr: ')[1].split()[0].split(',')) == n for line in rows)


@pytest.mark.parametrize('file', ['docker-compose.yml', 'docker-compose.single.yml'])
def test_files_are_valid(file):
    for profile in '', 'more':
        run('docker-compose', '-f', file, 'config', '-q', cwd=DEPLOY, env={**os.environ, 'COMPOSE_PROFILES': profile})


def test_it_is_healthy(cluster):
    wait(lambda: cluster.compose('ps').count('(healthy)') == 6, lambda: cluster.compose('ps') + cluster.said())
    for n in NODES:
        c = cluster.service(n)
        assert c.inspect('.HostConfig.ReadonlyRootfs') and c.inspect('.HostConfig.RestartPolicy.Name') == 'unless-stopped'
        assert 'io_uring is used' in c.logs()
        assert ' ERROR ' not in c.logs(), c.logs()


def test_clients_outside_and_inside(cluster):
    lines = ''.join('line %d\n' % i for i in range(500))
    topics(cluster, '--create', '--topic', 'lines', '--partitions', '1')
    run('kcat', '-P', '-b', cluster.servers, '-t', 'lines', '-X', 'acks=all', input=lines.encode())
    outside = run('kcat', '-C', '-q', '-e', '-b', cluster.servers, '-t', 'lines', '-o', 'beginning')
    inside = cluster.service('controller2').exec('kafka-console-consumer.sh', *INSIDE, '--topic', 'lines', '--from-beginning', '--max-messages', '500')
    assert outside == lines and inside.splitlines() == lines.splitlines()


@pytest.mark.parametrize('victims', [pytest.param(['broker11', 'controller1'], id='two'), pytest.param(NODES, id='each', marks=pytest.mark.slow)])
def test_containers_are_killed_under_load(cluster, victims):
    """Without a word to the engine, which starts each again by its restart policy."""
    topic = 'kills%d' % len(victims)
    topics(cluster, '--create', '--topic', topic, '--partitions', '3', '--replication-factor', '3')
    writer, watcher = Writer(cluster, topic, 3), Watcher(cluster, topic, 3)
    writer.wait_more()
    for n in victims:
        c = cluster.service(n)
        before = c.inspect('.RestartCount')
        c.crash()
        writer.wait_more()
        wait(lambda: c.inspect('.RestartCount') > before and c.inspect('.State.Running'), lambda: c.logs()[-2000:])
        c.wait_serving()
        wait(lambda: in_sync(cluster, topic, 3), lambda: topics(cluster, '--describe', '--topic', topic, check=False)[1])
    writer.wait_more()
    writer.stop()
    watcher.stop()
    check_records(cluster, writer)
    for p in range(3):
        wrong = check_seen(watcher, p, read_partition(cluster.servers, topic, p))
        assert not wrong, wrong[:5]


@pytest.mark.slow
def test_a_container_is_replaced_under_load(cluster):
    """Stopped in order, removed and made anew on the same volume, under another address: a broker, then the active controller."""
    topics(cluster, '--create', '--topic', 'replaced', '--partitions', '3', '--replication-factor', '3')
    writer = Writer(cluster, 'replaced', 3)
    active = 'controller' + cluster.service('broker11').exec('kafka-metadata-quorum.sh', *INSIDE, 'describe', '--status').split('LeaderId:')[1].split()[0]
    for n in 'broker12', active:
        writer.wait_more()
        cluster.compose('rm', '-s', '-f', n)
        writer.wait_more()
        cluster.up()
        cluster.service(n).wait_serving()
        wait(lambda: in_sync(cluster, 'replaced', 3), lambda: topics(cluster, '--describe', '--topic', 'replaced', check=False)[1])
    writer.stop()
    check_records(cluster, writer)


@pytest.mark.slow
def test_a_fourth_broker_joins(cluster):
    cluster.env['COMPOSE_PROFILES'] = 'more'
    cluster.up()
    cluster.service('broker14').wait_serving()
    topics(cluster, '--create', '--topic', 'wide', '--partitions', '4', '--replication-factor', '4')
    wait(lambda: in_sync(cluster, 'wide', 4), lambda: topics(cluster, '--describe', '--topic', 'wide', check=False)[1])
    seen = json.loads(run('kcat', '-L', '-J', '-b', cluster.fourth))
    assert sorted(b['id'] for b in seen['brokers']) == [11, 12, 13, 14]
    assert sorted(p['leader'] for t in seen['topics'] if t['topic'] == 'wide' for p in t['partitions']) == [11, 12, 13, 14]
    cluster.servers = cluster.fourth
    writer = Writer(cluster, 'wide', 4)
    writer.wait_more()
    writer.stop()
    check_records(cluster, writer)


def test_it_stops_in_order(cluster):
    """Brokers first: each can still give its leaders away."""
    cluster.compose('stop')
    nodes = NODES + ['broker14'] * ('COMPOSE_PROFILES' in cluster.env)
    for n in nodes[3:]:
        assert 'leaving the cluster: the controller agrees' in cluster.service(n).logs(), cluster.service(n).logs()[-3000:]
    for n in nodes:
        assert cluster.service(n).inspect('.State.ExitCode') == 0, cluster.service(n).logs()[-3000:]


def test_the_single_node(engine):
    with project('docker-compose.single.yml') as p:
        p.up()
        p.service('node').wait_healthy()
        run('kcat', '-P', '-b', p.only, '-t', 'lines', input=b'one\n')
        assert run('kcat', '-C', '-q', '-e', '-b', p.only, '-t', 'lines', '-o', 'beginning') == 'one\n'
        p.service('node').crash()
        wait(lambda: p.service('node').inspect('.RestartCount') == 1, 'it is not started again', 60)
        p.service('node').wait_serving()
        assert run('kcat', '-C', '-q', '-e', '-b', p.only, '-t', 'lines', '-o', 'beginning') == 'one\n'
