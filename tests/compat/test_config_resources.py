"""ListConfigResources in both versions, as Kafka 4.3.1 answers it: which names there are of each type, and which types are none."""
import pytest
from groups import await_coordinator, connect, make_topic
from members import wait

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
UNSUPPORTED_VERSION = 35
DEFAULT_CONFIG = 5
SET, DELETE = 0, 1


@pytest.fixture
def conn(node):
    c = connect(node)
    yield c
    c.close()


def listed(conn, *types, version=1):
    answer = conn.ask('ListConfigResources', version, {'resourceTypes': list(types)} if version else {})
    assert answer['errorCode'] == 0
    return sorted((r.get('resourceType', METRICS), r['resourceName']) for r in answer['configResources'])


def change(conn, kind, name, *entries):
    """Sets or takes back, and waits until the node has seen it."""
    sent = [{'name': key, 'configOperation': DELETE if value is None else SET, 'value': value} for key, value in entries]
    answer = conn.ask('IncrementalAlterConfigs', 1, {'resources': [{'resourceType': kind, 'resourceName': name, 'configs': sent}]})
    assert answer['responses'][0]['errorCode'] == 0, answer
    key, value = entries[-1]

    def row():
        got = conn.ask('DescribeConfigs', 4, {'resources': [{'resourceType': kind, 'resourceName': name, 'configurationKeys': [key]}]})
        rows = got['results'][0]['configs']  # of all brokers' default only what is set
        return rows[0] if rows else {'configSource': DEFAULT_CONFIG, 'value': None}

    def seen():  # a value may be that of the default
        now = row()
        return (now['configSource'] == DEFAULT_CONFIG) == (value is None) and value in (None, now['value'])
    wait(seen, lambda: 'the node has not seen %s=%s: %s' % (key, value, row()))


def test_names_of_every_type(node, conn):
    brokers = [(BROKER, '1'), (LOGGER, '1')]
    assert listed(conn) == brokers
    assert listed(conn, version=0) == listed(conn, TOPIC, METRICS, GROUP) == []
    make_topic(conn, 'one')
    make_topic(conn, 'two')
    topics = [(TOPIC, 'one'), (TOPIC, 'two')]
    assert listed(conn, TOPIC) == topics
    change(conn, METRICS, 'm', ('interval.ms', '1000'), ('metrics', ''))
    change(conn, METRICS, 'empty', ('metrics', ''))
    change(conn, GROUP, 'g', ('consumer.session.timeout.ms', '50000'))
    change(conn, BROKER, '', ('log.retention.ms', '5000000'))  # the default of all brokers has no name
    metrics, groups = [(METRICS, 'empty'), (METRICS, 'm')], [(GROUP, 'g')]
    assert listed(conn, version=0) == listed(conn, METRICS) == listed(conn, METRICS, METRICS) == metrics
    assert listed(conn, GROUP) == groups
    assert listed(conn, BROKER, LOGGER) == brokers
    assert listed(conn, GROUP, TOPIC) == topics + groups
    assert listed(conn) == listed(conn, 32, 16, 8, 4, 2) == topics + brokers + metrics + groups
    change(conn, METRICS, 'm', ('interval.ms', None))
    assert listed(conn, METRICS) == metrics
    change(conn, METRICS, 'm', ('metrics', None))
    change(conn, GROUP, 'g', ('consumer.session.timeout.ms', None))
    assert listed(conn, METRICS, GROUP) == [(METRICS, 'empty')]


def test_a_group_without_settings_is_not_listed(node, conn):
    make_topic(conn, 'committed')
    await_coordinator(conn)
    commit = {'groupId': 'g-offsets', 'generationIdOrMemberEpoch': -1, 'memberId': '',
              'topics': [{'name': 'committed', 'partitions': [{'partitionIndex': 0, 'committedOffset': 0}]}]}
    wait(lambda: conn.ask('OffsetCommit', 8, commit)['topics'][0]['partitions'][0]['errorCode'] == 0, 'no commit is taken')
    assert 'g-offsets' in [g['groupId'] for g in conn.ask('ListGroups', 5, {})['groups']]
    assert listed(conn, GROUP) == []
    change(conn, GROUP, 'g-offsets', ('consumer.session.timeout.ms', '50000'))
    assert listed(conn, GROUP) == [(GROUP, 'g-offsets')]


@pytest.mark.parametrize('types', ([0], [1], [99], [-1], [TOPIC, 77], [77, TOPIC], [64]))
def test_a_type_that_is_none_refuses_all(conn, types):
    answer = conn.ask('ListConfigResources', 1, {'resourceTypes': types})
    assert (answer['errorCode'], answer['configResources']) == (UNSUPPORTED_VERSION, [])
