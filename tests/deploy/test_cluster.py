"""deploy/docker-compose.yml and its single-node sibling as people use them. One cluster serves all tests of this file, in their order: the
later ones find what the earlier ones made."""
import json
import os
import urllib.request

import pytest
from cluster import ports
from engine import DEPLOY, Compose, docker, run, skip_without_archive, unique
from history import Watcher, Writer, check_records, check_seen, read_partition
from members import wait

NODES = ['controller1', 'controller2', 'controller3', 'broker11', 'broker12', 'broker13']
INSIDE = ['--bootstrap-server', 'broker11:9092,broker12:9092,broker13:9092']


def project(file='docker-compose.yml', **variables):
    free = ports(11)
    for i, n in enumerate((11, 12, 13, 14)):
        variables.update({'BROKER%d_PORT' % n: free[2 * i], 'BROKER%d_HTTP' % n: free[2 * i + 1]})
    variables.update({'CONTROLLER%d_HTTP' % n: free[7 + n] for n in (1, 2, 3)})
    p = Compose(file, MILLRACE_PORT=free[0], MILLRACE_HTTP=free[1], **variables)
    p.servers = ','.join('localhost:%d' % free[2 * i] for i in range(3))
    p.fourth = 'localhost:%d' % free[6]
    p.only = 'localhost:%d' % free[0]
    p.http = free[1]
    p.every_http = free[1:9:2][:3] + free[8:]
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
    for port in cluster.every_http:
        with urllib.request.urlopen('http://localhost:%d/readyz' % port, timeout=30) as answer:
            assert answer.status == 200


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
    writer = Writer(cluster, topic, 3)
    writer.wait_more()  # so that every broker has heard of the topic
    watcher = Watcher(cluster, topic, 3)
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


@pytest.mark.slow
def test_up_builds_the_image(engine):
    """README's first command as it stands, where there is no image yet: it compiles one on the base, and all six serve from it."""
    base, made = os.environ['MILLRACE_BASE'], unique('built')
    skip_without_archive(base)
    try:
        with project(MILLRACE_IMAGE=made, MILLRACE_BASE=base) as p:
            p.compose('up', '-d', timeout=3600)
            p.wait_serving(NODES)
            assert {p.service(n).inspect('.Config.Image') for n in NODES} == {made}
            run('kcat', '-P', '-b', p.servers, '-t', 'lines', '-X', 'acks=all', input=b'one\n')
            assert run('kcat', '-C', '-q', '-e', '-b', p.servers, '-t', 'lines', '-o', 'beginning') == 'one\n'
    finally:
        docker('rmi', '-f', made, check=False)


class Day:
    """What somebody types who has three controllers and four brokers, with a client that writes all the while."""

    def __init__(self, p):
        self.p = p
        self.tool('broker11', 'topics', '--create', '--topic', 'orders', '--partitions', '8', '--replication-factor', '3')
        self.writer = Writer(p, 'orders', 8)
        self.writer.wait_more()

    def tool(self, where, name, *args, **kw):
        """A tool in a container, through docker-compose, as deploy/README.md has it."""
        return self.p.compose('exec', '-T', where, 'millrace', *name.split(), *INSIDE, *args, **kw)

    def partitions(self):
        """[(leader, replicas, in sync)] as the cluster tells it now."""
        status, text = self.p.service('broker11').exec('millrace', 'topics', *INSIDE, '--describe', '--topic', 'orders', '--json', check=False)
        return [(x['leader'], x['replicas'], sorted(x['isr'])) for x in json.loads(text)['items'][0]['partitions']] if status == 0 else []

    def settled(self, but=None):
        """Everything on three brokers, all in sync; nothing on one of them, if it is named."""
        def holds():
            now = self.partitions()
            return len(now) == 8 and all(len(r) == 3 and sorted(r) == isr and but not in r for _, r, isr in now)
        wait(holds, lambda: '%s\n%s' % (self.partitions(), self.p.said()))
        self.writer.wait_more()

    def killed_by_hand(self, name):
        """With `docker kill`, after which the engine leaves it down; `up` brings it back."""
        docker('kill', self.p.compose('ps', '-q', name).strip())
        self.writer.wait_more()
        self.p.up()
        self.p.service(name).wait_serving()
        self.settled()

    def moved(self):
        """Each partition to other brokers, in another order, by the reassignment tool with its file on standard input, throttled, until it is done."""
        goal = [[11 + (i + k) % 4 for k in (2, 3, 0)] for i in range(8)]
        file = json.dumps({'version': 1, 'partitions': [{'topic': 'orders', 'partition': i, 'replicas': r} for i, r in enumerate(goal)]}).encode()
        said = self.tool('broker11', 'reassign-partitions', '--execute', '--throttle', '5000000', '--reassignment-json-file', '-', input=file)
        assert 'Successfully started partition reassignments for ' in said, said
        verify = ['reassign-partitions', '--verify', '--reassignment-json-file', '-']
        wait(lambda: self.tool('broker11', *verify, input=file).count(' is completed.') == 8, lambda: self.tool('broker11', *verify, input=file))
        assert self.tool('broker11', 'reassign-partitions', '--list').count('orders') == 0
        assert [r for _, r, _ in self.partitions()] == goal
        self.settled()

    def preferred_leaders(self):
        self.tool('broker11', 'leader-election', '--election-type', 'preferred', '--all-topic-partitions')
        wait(lambda: all(leader == r[0] for leader, r, _ in self.partitions()), self.partitions)

    def replaced(self, name):
        """Drained, forgotten, stopped, its container and its volume gone; an empty one in its place gets its share."""
        number = name.lstrip('broker')
        said = self.tool('broker11', 'broker drain ' + number)
        assert 'it can be stopped for good' in said, said
        self.settled(but=int(number))
        self.p.compose('rm', '-s', '-f', name)
        assert 'no longer registered' in self.tool('broker11', 'cluster unregister', '--id', number)
        docker('volume', 'rm', '%s_%s' % (self.p.project, name))
        self.writer.wait_more()
        self.p.up()
        self.p.service(name).wait_serving()
        self.tool('broker11', 'balance', '--execute')
        self.settled()
        assert any(int(number) in r for _, r, _ in self.partitions()), self.partitions()


@pytest.mark.slow
def test_a_newcomers_day(engine):
    """From `up` to a broker that was replaced for good: no record lost or doubled, and the console is there."""
    with project(COMPOSE_PROFILES='more') as p:
        p.up()
        p.wait_serving(NODES + ['broker14'])
        day = Day(p)
        day.killed_by_hand('broker12')
        day.moved()
        day.preferred_leaders()
        with urllib.request.urlopen('http://localhost:%d/console/' % p.http, timeout=30) as page:
            assert page.status == 200 and b'Millrace' in page.read()
        day.replaced('broker13')
        day.writer.wait_more()
        check_records(p, day.writer.stop())
