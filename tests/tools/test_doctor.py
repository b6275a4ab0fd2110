"""`cluster doctor` against three nodes: nothing of a healthy cluster, and what it says when a broker is killed, a throttle is left behind, a
topic is made badly. Its rules are tried one by one in tests/unit/tools/test_doctor.c."""
import json
import os
import shutil
import subprocess
import threading

import pytest
from cluster_session import Cluster, ClusterTarget
from interpose import Interpose
from members import wait
from node import binary, millrace
from test_drain import fill

DESCRIBE_CONFIGS, INCREMENTAL_ALTER_CONFIGS, ALTER_PARTITION_REASSIGNMENTS = 32, 44, 45


@pytest.fixture(scope='module')
def target(tmp_path_factory):
    with ClusterTarget(tmp_path_factory.mktemp('doctor')) as t:
        t.cluster.create_topic('t', 3, 3, assignments=[[1, 2, 3], [2, 3, 1], [3, 1, 2]])
        t.cluster.wait_in_sync('t')
        yield t


def asked(t, *more):
    status, out, err = millrace('cluster', 'doctor', '--bootstrap-server', t.servers, '--json', *more)
    assert out.count('\n') == 1, err
    v = json.loads(out)
    assert status == (0 if v['healthy'] else 1) and v['clusterId'] == getattr(t, 'cluster', t).id
    return v


def found(t):
    """{check: finding}; a check with several findings has the first."""
    out = {}
    for i in asked(t)['items']:
        out.setdefault(i['check'], i)
    return out


def wait_found(t, check, there=True):
    wait(lambda: (check in found(t)) == there, lambda: '%s: %s' % (check, found(t)), 60)


def broken_or_wrong(t):
    return [i['check'] for i in asked(t)['items'] if i['severity'] != 'note']


def wait_healthy(t):
    wait(lambda: not broken_or_wrong(t), lambda: json.dumps(asked(t), indent=1), 60)


def run_command(t, finding, step=0):
    """Types what the doctor says, as a person would: into a shell."""
    path = '%s:%s' % (os.path.dirname(binary()), os.environ['PATH'])
    done = subprocess.run(finding['steps'][step]['command'], shell=True, env={**os.environ, 'PATH': path}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120)
    assert done.returncode == 0, done.stdout


class Started(Cluster):
    """Its nodes are started by the test."""

    def start(self):
        return self


def directory_of(node):
    meta = open('%s/meta.properties' % node.data).read()
    return next(x.split('=')[1] for x in meta.split() if x.startswith('directory.id='))


def test_nothing_is_wrong(target):
    wait_healthy(target)
    status, out, _ = millrace('cluster', 'doctor', '--bootstrap-server', target.servers)
    lines = out.splitlines()
    assert status == 0 and lines[1] == 'Nothing is wrong.'
    assert lines[0] == 'Cluster %s: 3 brokers, 3 voters, 1 topic with 3 partitions.' % target.cluster.id
    assert [i['check'] for i in asked(target)['items']] == []


def test_a_killed_broker(target):
    target.cluster.create_topic('alone', 1, 1, assignments=[[3]])
    target.step('kill', ['3'])
    wait_found(target, 'voter-down')
    seen = found(target)
    assert seen['no-leader']['partitions'] == [{'topic': 'alone', 'partition': 0}] and seen['no-leader']['nodes'] == [3]
    assert seen['at-min-isr']['nodes'] == [3] and len(seen['at-min-isr']['partitions']) == 3
    assert seen['broker-down']['nodes'] == [3] and seen['voter-down']['nodes'] == [3]
    assert 'one failure from being lost' in seen['voter-down']['what']
    assert [i['severity'] for i in asked(target)['items']] == sorted([i['severity'] for i in asked(target)['items']], key=['broken', 'wrong', 'note'].index)
    status, out, _ = millrace('cluster', 'doctor', '--bootstrap-server', target.servers)
    assert status == 1 and '\n1. 1 partition has no leader' in out and '   alone-0\n' in out
    target.step('start', ['3'])
    wait_found(target, 'no-leader', False)
    wait_found(target, 'voter-down', False)
    target.cluster.tool('topics', '--delete', '--topic', 'alone')


def test_leaders_elsewhere(target):
    """After the restart of 3 above (or one of its own, if that test did not run) broker 3 leads nothing that it should."""
    if 'leaders-elsewhere' not in found(target):
        target.step('kill', ['3'])
        target.step('start', ['3'])
    wait_found(target, 'leaders-elsewhere')
    assert found(target)['leaders-elsewhere']['nodes'] == [3]
    run_command(target, found(target)['leaders-elsewhere'])
    wait_found(target, 'leaders-elsewhere', False)


def test_a_throttle_left_behind(target):
    target.cluster.tool('configs', '--alter', '--broker', '1', '--add-config', 'leader.replication.throttled.rate=1000')
    target.cluster.tool('configs', '--alter', '--topic', 't', '--add-config', 'leader.replication.throttled.replicas=0:1')
    wait_found(target, 'throttle-left')
    f = found(target)['throttle-left']
    assert f['nodes'] == [1] and f['partitions'] == [{'topic': 't', 'partition': None}]
    run_command(target, f, 0)
    run_command(target, f, 1)
    wait_found(target, 'throttle-left', False)


class Asked:
    """The doctor, begun in the middle of a tool's work; the tool goes on when the doctor has looked a second time."""

    def __init__(self, port):
        self.looked = threading.Event()
        self.way = Interpose(port, DESCRIBE_CONFIGS, self.looked.set, nth=2)

    def begin(self):
        self.process = subprocess.Popen([binary(), 'cluster', 'doctor', '--bootstrap-server', self.way.servers, '--json'], stdout=subprocess.PIPE)
        assert self.looked.wait(30), 'it has looked once only'

    def checks(self):
        out = self.process.communicate(timeout=60)[0]
        return {i['check']: i for i in json.loads(out)['items']}


def test_a_throttle_of_moves_that_begin_and_end_is_not_left_behind(target, tmp_path):
    """What reassign-partitions and drain do in between is held: the throttle is set and nothing moves yet, or any more."""
    c, port = target.cluster, target.cluster.node(1).port
    c.create_topic('moved', 1, 1, assignments=[[1]])
    fill(c, 'moved', 0, 2)
    plan = tmp_path / 'move.json'
    plan.write_text('{"partitions":[{"topic":"moved","partition":0,"replicas":[2]}]}')
    words = ('--throttle', '50000', '--reassignment-json-file', str(plan))
    asked = Asked(port)
    with asked.way, Interpose(port, ALTER_PARTITION_REASSIGNMENTS, asked.begin) as way:
        status, out, err = millrace('reassign-partitions', '--bootstrap-server', way.servers, '--execute', *words)
        assert status == 0, out + err
        checks = asked.checks()
    assert 'throttle-left' not in checks and 'partition' in checks['throttle-in-use']['what'], checks
    assert checks['throttle-in-use']['severity'] == 'note' and checks['throttle-in-use']['nodes'] == [1, 2]
    c.tool('reassign-partitions', '--cancel', '--reassignment-json-file', str(plan))
    asked = Asked(port)
    with asked.way, Interpose(port, INCREMENTAL_ALTER_CONFIGS, asked.begin, nth=2) as way:  # the first sets the list of the topic
        status, out, err = millrace('reassign-partitions', '--bootstrap-server', way.servers, '--execute', '--wait', '--throttle', '50000000', *words[2:])
        assert status == 0, out + err
        checks = asked.checks()
    assert not {'throttle-left', 'throttle-in-use'} & set(checks), checks
    c.tool('topics', '--delete', '--topic', 'moved')


def test_topics_made_badly(target):
    """Two of each kind: the command that mends them is one."""
    create = ('topics', '--create', '--partitions', '1')
    checks = {'min-isr-is-factor': 'all', 'min-isr-1': 'one', 'unclean-election': 'unclean'}
    for name, config in (('all', 'min.insync.replicas=3'), ('one', 'min.insync.replicas=1'), ('unclean', 'unclean.leader.election.enable=true')):
        for topic in (name, name + '2'):
            target.cluster.tool(*create, '--topic', topic, '--config', config)
    for check, topic in checks.items():
        wait_found(target, check)
        assert found(target)[check]['partitions'] == [{'topic': t, 'partition': None} for t in (topic, topic + '2')]
        run_command(target, found(target)[check])
        wait_found(target, check, False)
    for topic in ('copy', 'copy2'):
        target.cluster.tool(*create, '--topic', topic, '--replication-factor', '1')
    wait_found(target, 'factor-1')
    assert found(target)['factor-1']['partitions'] == [{'topic': t, 'partition': None} for t in ('copy', 'copy2')]
    run_command(target, found(target)['factor-1'])
    wait_found(target, 'factor-1', False)
    target.cluster.wait_in_sync('copy2')
    assert set(target.cluster.partition('copy2', 0)['isrNodes']) == {1, 2, 3}
    for topic in ['copy', 'copy2'] + [t + n for t in checks.values() for n in ('', '2')]:
        target.cluster.tool('topics', '--delete', '--topic', topic)


def test_leaders_whose_records_are_lost(target):
    """Two partitions are led by what is left, with the one command that the doctor says."""
    c = target.cluster
    c.create_topic('lost', 2, 2, assignments=[[3, 1], [3, 1]], configs=[('min.insync.replicas', '1')])
    c.node(1).kill()
    for p in (0, 1):
        c.wait_partition('lost', p, isr=[3])
    c.node(3).kill()
    c.node(1).start()  # with 2 it decides that 3 is gone, and has not what 3 has
    try:
        wait(lambda: len(found(target).get('no-leader', {'partitions': []})['partitions']) == 2, lambda: found(target), 60)
        f = found(target)['no-leader']
        assert f['nodes'] == [3] and f['partitions'] == [{'topic': 'lost', 'partition': 0}, {'topic': 'lost', 'partition': 1}]
        run_command(target, f, 1)
        for p in (0, 1):
            c.wait_partition('lost', p, leader=1)
        wait_found(target, 'no-leader', False)
    finally:
        c.node(3).start()
    c.wait_unfenced()
    c.tool('topics', '--delete', '--topic', 'lost')


def test_a_broker_that_hangs(target):
    node = target.cluster.node(2)
    node.pause()
    try:
        servers = '127.0.0.1:%d' % target.cluster.node(1).port
        status, out, err = millrace('cluster', 'doctor', '--bootstrap-server', servers, '--timeout-ms', '300', '--json')
        checks = {i['check']: i['nodes'] for i in json.loads(out)['items']}
        assert status == 1 and (checks.get('broker-silent') == [2] or checks.get('broker-down') == [2]), out + err
        said = []

        def told():
            said[:] = [millrace('health', '--config', node.properties, '--timeout-ms', '300')[2]]
            return 'broker 2 takes connections at %s and answers nothing: it hangs, or it still loads the metadata from controller ' % node.servers in said[0]
        wait(told, lambda: said, 30)  # a leader among the others
    finally:
        node.resume()
    target.cluster.wait_unfenced()


def test_a_voter_on_a_new_disk(tmp_path):
    """It is not down: the doctor says that it is not heard, and what it says lets it in."""
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        leader = c.wait_active()
        wiped = next(n for n in c.controllers if n is not leader)
        c.wait_voters()
        wiped.stop()
        shutil.rmtree(wiped.data)
        wiped.format()
        wiped.launch()
        wait_found(c, 'voter-on-other-disk')
        f, checks = found(c)['voter-on-other-disk'], found(c)
        assert f['nodes'] == [wiped.id] and 'voter-down' not in checks
        new = directory_of(wiped)
        assert 'directory id %s' % new in f['why']
        assert f['steps'][0]['command'] == 'millrace storage admit-voter --bootstrap-controller 127.0.0.1:%d --voter %d --directory %s' % (
            c.wait_active().controller_port, wiped.id, new)
        status, out, _ = millrace('metadata-quorum', '--bootstrap-server', c.servers, 'describe', '--replication')
        assert status == 0 and [line.split()[-1] for line in out.splitlines() if line.split()[:2] == [str(wiped.id), new]] == ['Observer'], out
        run_command(c, f)
        c.wait_voters()
        wait_found(c, 'voter-on-other-disk', False)
        wait_healthy(c)


def test_a_broker_without_metadata(tmp_path):
    """It takes connections and answers nothing: the doctor says what that may be, and what it names says what it is."""
    with Started(tmp_path, controllers=3, brokers=1, factor=1, settings={'initial.broker.registration.timeout.ms': 600000}) as c:
        broker = c.node(11)
        broker.launch()

        def doctor(*more):
            return millrace('cluster', 'doctor', '--bootstrap-server', broker.servers, '--timeout-ms', '500', *more)

        def health():
            return millrace('health', '--config', broker.properties, '--timeout-ms', '500')
        wait(lambda: 'takes connections' in doctor()[2], lambda: doctor()[2], 30)
        for more in ((), ('--json',)):
            status, out, err = doctor(*more)
            assert (status, out) == (2, '') and 'Timed out after 500 ms waiting for %s\nIt takes connections and answers nothing.' % broker.servers in err
            assert 'no metadata yet' in err and 'millrace health --config FILE' in err and 'millrace cluster doctor --bootstrap-controller HOST:PORT' in err
        status, out, err = health()
        assert (status, out) == (1, '') and 'broker 11 has no metadata and serves nobody: none of its 3 controllers can be reached (' in err, err
        assert 'Connection refused' in err and 'correct controller.quorum.voters' in err
        c.node(1).launch()
        wait(lambda: 'its controllers know no leader (1 of 3 answer); start those that are down' in health()[2], lambda: health()[2], 30)
        for i in (2, 3):
            c.node(i).launch()
        wait(lambda: health()[0] == 0, lambda: health()[2], 120)
        wait_healthy(c)


def test_the_controllers_are_asked(tmp_path):
    """With no broker up they say how the quorum is and who follows it; without a quorum, who of them answers."""
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        c.wait_voters()
        broker, seen = c.node(11), {}

        def doctor(status, check, nodes):
            s, out, err = millrace('cluster', 'doctor', '--bootstrap-controller', c.controller_servers, '--timeout-ms', '1000', '--json')
            seen.update({'status': s, 'out': out, 'err': err})
            return (s == status and any(i['check'] == check and i['nodes'] == nodes for i in json.loads(out)['items']))

        def wait_doctor(*what):
            wait(lambda: doctor(*what), lambda: '%s: %s' % (what, seen), 60)
        wait_doctor(0, 'brokers-not-asked', [11])
        broker.kill()
        wait_doctor(1, 'broker-unheard', [11])
        out = millrace('cluster', 'doctor', '--bootstrap-controller', c.controller_servers)[1]
        assert out.startswith('Cluster %s, by its controllers: 3 voters, of which ' % c.id), out
        c.node(3).kill()
        wait_doctor(1, 'voter-down', [3])
        c.node(2).kill()
        wait_doctor(1, 'no-quorum', [2, 3])
        out = millrace('cluster', 'doctor', '--bootstrap-controller', c.controller_servers, '--timeout-ms', '1000')[1]
        assert 'Controller 1 answers. Controllers 2 and 3 do not.' in out, out


def test_nobody_to_ask(target):
    for words in (['--bootstrap-server', '127.0.0.1:1'], ['--bootstrap-controller', '127.0.0.1:1'], ['--bootstrap-server', 'nowhere']):
        status, out, err = millrace('cluster', 'doctor', *words)
        assert (status, out) == (2, '') and len(err.splitlines()) == 1
