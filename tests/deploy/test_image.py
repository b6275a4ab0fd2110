"""The image by itself: what process 1 is and may do, how it ends, where its settings come from, what becomes of its volume."""
import json
import os

import pytest
from engine import Container, docker, image, run, skip_without_archive, unique, volume
from members import ROOT, wait

pytestmark = pytest.mark.usefixtures('engine')
MB = 1000 * 1000
# As the compose files run it; no network but its own loopback.
LOCKED = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges:true', '--network', 'none']
LOCAL = ['--bootstrap-server', 'localhost:9092']


def setting(c, name):
    text = c.exec('kafka-configs.sh', *LOCAL, '--describe', '--all', '--entity-type', 'brokers', '--entity-name', '1')
    return next(line.split()[0].split('=', 1)[1] for line in text.splitlines() if line.strip().startswith(name + '='))


def over_its_base(name):
    size = {i: json.loads(docker('image', 'inspect', '-f', '{{.Size}}', i)) for i in (name, os.environ['MILLRACE_BASE'])}
    return (size[name] - size[os.environ['MILLRACE_BASE']]) / MB


def test_size_over_its_base():
    assert 0 < over_its_base(image()) < 20, '%.1f MB over the base' % over_its_base(image())


@pytest.mark.slow
def test_the_dockerfile_compiles():
    """All of deploy/Dockerfile, as somebody with a checkout and no compiler builds it: nothing that was built outside of it goes in."""
    base, stage, whole = os.environ['MILLRACE_BASE'], unique('stage'), unique('image')
    skip_without_archive(base)
    build = ['build', '-q', '-f', 'deploy/Dockerfile', '--build-arg', 'BASE=' + base]
    try:
        # The stage has a name so that it can be removed; --no-cache, because what an earlier run compiled says nothing about this one.
        docker(*build, '--no-cache', '--target', 'build', '-t', stage, '.', cwd=ROOT, timeout=3600)
        docker(*build, '-t', whole, '.', cwd=ROOT, timeout=3600)
        assert 0 < over_its_base(whole) < 20, '%.1f MB over the base' % over_its_base(whole)
        with Container(*LOCKED, of=whole) as c:
            c.wait_serving()
            assert one_message(c) == 'hello'
            docker('stop', c.name)
            assert c.wait_ended() == 0
    finally:
        docker('rmi', '-f', whole, stage, check=False)


def one_message(c):
    c.exec('sh', '-c', 'echo hello | kafka-console-producer.sh --bootstrap-server localhost:9092 --topic greetings')
    return c.exec('kafka-console-consumer.sh', *LOCAL, '--topic', 'greetings', '--from-beginning', '--max-messages', '1').strip()


def test_an_ordinary_user_and_a_root_that_is_read_only():
    with Container(*LOCKED) as c:
        c.wait_serving()
        assert c.exec('cat', '/proc/1/comm').strip() == 'millrace'
        assert c.exec('id', '-u').strip() == '1000'
        caps = c.exec('grep', '-E', '^(CapEff|CapBnd|NoNewPrivs)', '/proc/1/status').split()
        assert caps == ['CapEff:', '0' * 16, 'CapBnd:', '0' * 16, 'NoNewPrivs:', '1'] or \
            caps == ['CapBnd:', '0' * 16, 'CapEff:', '0' * 16, 'NoNewPrivs:', '1'], caps
        assert c.exec('touch', '/tmp/x', check=False)[0] != 0
        c.exec('sh', '-c', 'printf "one\\ntwo\\n" | /opt/kafka/bin/kafka-console-producer.sh --bootstrap-server localhost:9092 --topic t')
        out = c.exec('/opt/kafka/bin/kafka-console-consumer.sh', *LOCAL, '--topic', 't', '--from-beginning', '--max-messages', '2')
        assert out.splitlines() == ['one', 'two'], out
        c.wait_healthy()


@pytest.mark.parametrize('sign', ['SIGTERM', 'SIGINT'])
def test_ends_in_order(sign):
    with Container(*LOCKED) as c:
        c.wait_serving()
        docker('kill', '-s', sign, c.name)
        assert c.wait_ended() == 0
        assert ' ERROR ' not in c.logs(), c.logs()


def test_orphans_are_reaped():
    """What lost its parent in the container becomes a child of process 1, and must not stay as a zombie."""
    with Container(*LOCKED) as c:
        c.wait_serving()
        c.exec('sh', '-c', 'for i in 1 2 3; do (sleep 0.2 & ) ; done')

        def others():
            out = c.exec('sh', '-c', 'for s in /proc/[0-9]*/stat; do cat $s; done 2>/dev/null; true')
            return [line for line in out.splitlines() if ') ' in line and ('(sleep)' in line or ') Z ' in line)]
        wait(lambda: not others(), lambda: 'still there: %s' % others(), 20)
        assert c.inspect('.State.Running')


def test_settings_of_the_environment_and_of_a_file(tmp_path):
    f = tmp_path / 'server.properties'
    f.write_text('process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@localhost:9093\n'
                 'listeners=PLAINTEXT://:9092,CONTROLLER://:9093\nadvertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n'
                 'controller.listener.names=CONTROLLER\nnum.partitions=5\nlog.retention.hours=7\n')
    os.chmod(f, 0o644)
    os.chmod(tmp_path, 0o755)
    with Container(*LOCKED, '-v', '%s:/mnt/shared/config/server.properties:ro' % f, '-e', 'KAFKA_NUM_PARTITIONS=9') as c:
        c.wait_serving()
        assert setting(c, 'num.partitions') == '9' and setting(c, 'log.retention.hours') == '7'


def test_a_wrong_setting_is_told_by_its_variable():
    with Container(*LOCKED, '-e', 'KAFKA_PROCESS_ROLES=controller', '-e', 'KAFKA_LISTENERS=CONTROLLER://:9093', '-e', 'KAFKA_NODE_ID=many',
                   '-e', 'KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER', '-e', 'KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9093') as c:
        assert c.wait_ended() == 1
        assert 'KAFKA_NODE_ID' in c.logs()


def test_a_volume_stays_with_its_cluster():
    with volume() as v:
        at = ['-v', v + ':/var/lib/millrace/data']
        with Container(*LOCKED, *at, '-e', 'CLUSTER_ID=AAAAAAAAQAuAAAAAAAAAAA') as c:
            c.wait_serving()
            c.exec('kafka-topics.sh', *LOCAL, '--create', '--topic', 'kept')
            docker('stop', c.name)
        with Container(*LOCKED, *at, '-e', 'CLUSTER_ID=BBBBBBBBQAuBBBBBBBBBBB') as c:
            assert c.wait_ended() == 1
            assert 'AAAAAAAAQAuAAAAAAAAAAA' in c.logs() and 'CLUSTER_ID' in c.logs()
        with Container(*LOCKED, *at) as c:
            c.wait_serving()
            assert 'kept' in c.exec('kafka-topics.sh', *LOCAL, '--list')


def test_a_folder_of_somebody_else(tmp_path):
    """A host folder that the user may not write is told in a sentence."""
    os.chmod(tmp_path, 0o755)
    with Container(*LOCKED, '-v', '%s:/var/lib/millrace/data' % tmp_path) as c:
        assert c.wait_ended() == 1
        assert '/var/lib/millrace/data' in c.logs() and 'ermission' in c.logs(), c.logs()


def test_health_says_no():
    """A broker whose controllers are not there runs, and is not healthy."""
    with Container(*LOCKED, '-e', 'KAFKA_PROCESS_ROLES=broker', '-e', 'KAFKA_NODE_ID=4', '-e', 'KAFKA_LISTENERS=PLAINTEXT://:9092',
                   '-e', 'KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:9092', '-e', 'KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER',
                   '-e', 'KAFKA_CONTROLLER_QUORUM_VOTERS=1@127.0.0.1:9093') as c:
        wait(lambda: 'the controller did not take a registration' in c.logs(), c.logs, 60)
        status, text = c.exec('millrace', 'health', check=False)
        assert status == 1 and text.startswith('millrace health: '), text


def test_scripts_explain_themselves():
    for script in 'base-image.sh', 'image.sh':
        path = os.path.join(os.path.dirname(__file__), '../../deploy', script)
        assert script in run(path, '--help')
        assert run(path, '--nonsense', check=False)[0] == 2
