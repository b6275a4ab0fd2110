"""What the controller keeps: settings of brokers and topics, and topics themselves, through an orderly stop and a kill, and whether they are in force
afterwards."""
import pytest
from node import Node, millrace, run


@pytest.fixture
def own(tmp_path):
    """A node that a test may restart."""
    with Node(tmp_path) as n:
        yield n


def configs(node, *args):
    status, out, err = millrace('configs', '--bootstrap-server', node.servers, *args)
    assert status == 0, err
    return out


def topics(node, *args):
    status, out, err = millrace('topics', '--bootstrap-server', node.servers, *args)
    assert status == 0, err
    return out


def produced(node, topic, size):
    """Whether one record of that size is accepted."""
    p = run('kcat', '-P', '-b', node.servers, '-t', topic, '-X', 'message.max.bytes=10000000', '-X', 'message.timeout.ms=10000',
            '-D', '\n', input=b'x' * size + b'\n')
    return p[0] == 0 and 'too large' not in p[2].lower() and 'failed' not in p[2].lower()


def again(node, kill):
    node.kill() if kill else node.stop()
    node.start()


@pytest.mark.parametrize('kill', (False, True))
def test_dynamic_settings_are_kept_and_apply(own, kill):
    topics(own, '--create', '--topic', 't', '--partitions', '3')
    topics(own, '--create', '--topic', 'own', '--partitions', '1', '--config', 'max.message.bytes=60000')
    assert produced(own, 't', 20000)
    configs(own, '--alter', '--entity-type', 'brokers', '--entity-default', '--add-config', 'message.max.bytes=10000')
    assert not produced(own, 't', 20000) and produced(own, 't', 5000)
    configs(own, '--alter', '--entity-type', 'brokers', '--entity-name', '1', '--add-config', 'message.max.bytes=40000,log.retention.ms=777777')
    assert produced(own, 't', 20000)
    again(own, kill)
    assert 'message.max.bytes=10000 ' in configs(own, '--describe', '--entity-type', 'brokers', '--entity-default')
    out = configs(own, '--describe', '--entity-type', 'brokers', '--entity-name', '1')
    assert 'message.max.bytes=40000 ' in out and 'log.retention.ms=777777 ' in out
    assert produced(own, 't', 20000) and not produced(own, 't', 50000) and produced(own, 'own', 50000)
    configs(own, '--alter', '--entity-type', 'brokers', '--entity-name', '1', '--delete-config', 'message.max.bytes')
    assert not produced(own, 't', 20000)
    again(own, kill)
    assert not produced(own, 't', 20000)
    configs(own, '--alter', '--entity-type', 'brokers', '--entity-default', '--delete-config', 'message.max.bytes')
    assert produced(own, 't', 20000)


@pytest.mark.parametrize('kill', (False, True))
def test_topics_are_kept(own, kill):
    topics(own, '--create', '--topic', 'a', '--partitions', '2', '--config', 'cleanup.policy=compact')
    topics(own, '--create', '--topic', 'b', '--partitions', '1')
    topics(own, '--alter', '--topic', 'a', '--partitions', '5')
    topics(own, '--create', '--topic', 'c')
    topics(own, '--delete', '--topic', 'c')
    configs(own, '--alter', '--entity-type', 'topics', '--entity-name', 'a', '--add-config', 'retention.ms=1,cleanup.policy=[delete]')
    configs(own, '--alter', '--entity-type', 'topics', '--entity-name', 'a', '--delete-config', 'retention.ms')
    before = topics(own, '--describe')
    ids = [line for line in before.splitlines() if 'TopicId' in line]
    assert len(ids) == 2
    for _ in range(2):
        again(own, kill)
        after = topics(own, '--describe')
        assert [line for line in after.splitlines() if 'TopicId' in line] == ids
        assert after.count('Leader: 1') == 6
    topics(own, '--create', '--topic', 'c')  # the name is free
