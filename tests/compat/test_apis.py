"""What the node advertises, and that it keeps it: each API in each version, by raw frames.

Advertised is this version's list of APIs at Kafka 4.3's versions, no more and no less. A sound request in every version gets an answer that
decodes to the last byte and no error of the protocol; the same with tags that nobody knows, in the header and at every depth, and with bytes
behind it, as well; cut short it closes the connection, as does a version beside the range."""
import os
import socket
import struct
import sys

import pytest
from groups import await_coordinator
from node import ROOT

sys.path.insert(0, os.path.join(ROOT, 'tests'))
from kafkawire import Codec, Connection, ZERO_UUID, crc32c, uvarint  # noqa: E402

GROUP_APIS = ['FindCoordinator', 'JoinGroup', 'SyncGroup', 'Heartbeat', 'LeaveGroup', 'OffsetCommit', 'OffsetFetch', 'OffsetDelete', 'DescribeGroups',
              'ListGroups', 'DeleteGroups']
BROKER_APIS = ['Produce', 'Fetch', 'ListOffsets', 'Metadata', 'ApiVersions', 'CreateTopics', 'DeleteTopics', 'DeleteRecords', 'InitProducerId',
               'OffsetForLeaderEpoch', 'DescribeConfigs', 'AlterConfigs', 'AlterReplicaLogDirs', 'DescribeLogDirs', 'CreatePartitions', 'IncrementalAlterConfigs',
               'DescribeQuorum', 'DescribeCluster', 'DescribeProducers', 'DescribeTopicPartitions', 'ElectLeaders', 'AlterPartitionReassignments',
               'ListPartitionReassignments', 'UnregisterBroker', 'UpdateFeatures', 'ListConfigResources'] + GROUP_APIS
TOPIC = 'probed'
UNKNOWN_TAGS = [(10001, b'\xca\xfe'), (10002, b'')]
CODEC = Codec()
# UNKNOWN_MEMBER_ID of a member that is none, GROUP_ID_NOT_FOUND: what needs members is in test_groups.py.
ALLOWED_ERRORS = {'JoinGroup': {25}, 'SyncGroup': {25}, 'Heartbeat': {25}, 'LeaveGroup': {25}, 'OffsetDelete': {69}, 'DescribeGroups': {69},
                  'DeleteGroups': {69}, 'ElectLeaders': {84}, 'UnregisterBroker': {102},
                  'AlterReplicaLogDirs': {57}}  # LOG_DIR_NOT_FOUND


def facts():
    """name: (key, versions advertised to brokers' clients, to the controllers')."""
    def span(text):
        return None if text == '-' else tuple(int(n) for n in (text.split('-') * 2)[:2])
    rows, head = {}, None
    for line in open(os.path.join(ROOT, 'proto/schema/apis.tsv')):
        cells = line.rstrip('\n').split('\t')
        if line.startswith('# key\t'):
            head = [c.lstrip('# ') for c in cells]
        elif not line.startswith('#') and len(cells) == len(head):
            r = dict(zip(head, cells))
            rows[r['name']] = (int(r['key']), span(r['advertised_on_broker_listener']), span(r['advertised_on_controller_listener']))
    return rows


FACTS = facts()


def batch():
    """One record: key none, value "x"."""
    record = b'\x00\x00\x00\x01\x02x\x00'
    body = struct.pack('>hiqqqhii', 0, 0, 1_700_000_000_000, 1_700_000_000_000, -1, -1, -1, 1) + uvarint(2 * len(record)) + record
    return struct.pack('>qiiBI', 0, len(body) + 9, -1, 2, crc32c(body)) + body


def sample(api, version, topic_id):
    """A request of that API that changes nothing it should not, and needs no error."""
    name = {'name': TOPIC} if version <= 12 else {'topicId': topic_id}
    part = {'partitionIndex': 0}
    return {
        'Produce': {'acks': -1, 'timeoutMs': 5000, 'topicData': [{**name, 'partitionData': [{'index': 0, 'records': batch()}]}]},
        'Fetch': {'maxBytes': 1000, 'topics': [{'topic' if k == 'name' else k: v for k, v in name.items()} |
                                               {'partitions': [{'partition': 0, 'fetchOffset': 0, 'partitionMaxBytes': 1000}]}]},
        'ListOffsets': {'replicaId': -1, 'topics': [{'name': TOPIC, 'partitions': [{**part, 'timestamp': -1}]}]},
        'Metadata': {'topics': [{'name': TOPIC}]},
        'FindCoordinator': {'key': 'g', 'coordinatorKeys': ['g']},
        'JoinGroup': {'groupId': 'g', 'sessionTimeoutMs': 30000, 'rebalanceTimeoutMs': 30000, 'memberId': 'nobody', 'protocolType': 'consumer',
                      'protocols': [{'name': 'range', 'metadata': b'\0\0'}]},
        'SyncGroup': {'groupId': 'g', 'generationId': 1, 'memberId': 'nobody', 'protocolType': 'consumer', 'protocolName': 'range',
                      'assignments': [{'memberId': 'nobody', 'assignment': b'\0\0'}]},
        'Heartbeat': {'groupId': 'g', 'generationId': 1, 'memberId': 'nobody'},
        'LeaveGroup': {'groupId': 'g', 'memberId': 'nobody', 'members': [{'memberId': 'nobody', 'groupInstanceId': None}]},
        'OffsetCommit': {'groupId': 'g', 'topics': [{**({'name': TOPIC} if version < 10 else {'topicId': topic_id}),
                                                     'partitions': [{**part, 'committedOffset': 0, 'committedMetadata': 'm'}]}]},
        'OffsetFetch': {'groupId': 'g', 'topics': [{'name': TOPIC, 'partitionIndexes': [0]}], 'requireStable': True,
                        'groups': [{'groupId': 'g', 'topics': [{**({'name': TOPIC} if version < 10 else {'topicId': topic_id}),
                                                                'partitionIndexes': [0]}]}]},
        'OffsetDelete': {'groupId': 'g', 'topics': [{'name': TOPIC, 'partitions': []}]},
        'DescribeGroups': {'groups': ['g', 'none']},
        'ListGroups': {'statesFilter': ['Empty'], 'typesFilter': ['classic']},
        'DeleteGroups': {'groupsNames': ['none']},
        'ApiVersions': {'clientSoftwareName': 'probe', 'clientSoftwareVersion': '1'},
        'CreateTopics': {'topics': [{'name': f'made-{version}', 'numPartitions': 1, 'replicationFactor': 1}], 'validateOnly': True},
        'DeleteTopics': {'topics': [], 'topicNames': [], 'timeoutMs': 1000},
        'DeleteRecords': {'topics': [{'name': TOPIC, 'partitions': [{**part, 'offset': 0}]}], 'timeoutMs': 1000},
        'InitProducerId': {'transactionalId': None},
        'OffsetForLeaderEpoch': {'topics': [{'topic': TOPIC, 'partitions': [{'partition': 0, 'leaderEpoch': 0}]}]},
        'DescribeConfigs': {'resources': [{'resourceType': 2, 'resourceName': TOPIC, 'configurationKeys': ['retention.ms']}]},
        'AlterConfigs': {'resources': [{'resourceType': 2, 'resourceName': TOPIC, 'configs': [{'name': 'retention.ms', 'value': '-1'}]}]},
        'AlterReplicaLogDirs': {'dirs': [{'path': '/nowhere', 'topics': [{'name': TOPIC, 'partitions': [0]}]}]},
        'DescribeLogDirs': {'topics': [{'topic': TOPIC, 'partitions': [0]}]},
        'CreatePartitions': {'topics': [{'name': TOPIC, 'count': 2, 'assignments': None}], 'timeoutMs': 1000, 'validateOnly': True},
        'IncrementalAlterConfigs': {'resources': [{'resourceType': 2, 'resourceName': TOPIC,
                                                   'configs': [{'name': 'retention.ms', 'configOperation': 0, 'value': '-1'}]}]},
        'DescribeQuorum': {'topics': [{'topicName': '__cluster_metadata', 'partitions': [part]}]},
        'DescribeCluster': {},
        'ListConfigResources': {'resourceTypes': [2, 4, 8, 16, 32]} if version else {},
        'DescribeProducers': {'topics': [{'name': TOPIC, 'partitionIndexes': [0]}]},
        'DescribeTopicPartitions': {'topics': [{'name': TOPIC}]},
        'ElectLeaders': {'electionType': 0, 'topicPartitions': [{'topic': TOPIC, 'partitions': [0]}], 'timeoutMs': 1000},
        'AlterPartitionReassignments': {'topics': [{'name': TOPIC, 'partitions': [{**part, 'replicas': [1]}]}], 'timeoutMs': 1000},
        'ListPartitionReassignments': {'topics': None, 'timeoutMs': 1000},
        'UnregisterBroker': {'brokerId': 4711},
        'UpdateFeatures': {'timeoutMs': 1000, 'featureUpdates': [], 'validateOnly': True},
    }[api]


def tagged(value):
    """The same with unknown tags in every struct."""
    if isinstance(value, dict):
        return {k: tagged(v) for k, v in value.items()} | {'_tags': UNKNOWN_TAGS}
    return [tagged(v) for v in value] if isinstance(value, list) else value


def frame(api, version, value, header_tags=(), client_id=b'probe'):
    m = CODEC.api(api)
    head = struct.pack('>hhih', m.key, version, 7, len(client_id)) + client_id
    if CODEC._has_header_tags(m.key, version, False):
        head += uvarint(len(header_tags)) + b''.join(uvarint(t) + uvarint(len(v)) + v for t, v in header_tags)
    return head + CODEC.encode(m.name, version, value)


def with_length(data):
    return struct.pack('>i', len(data)) + data


def errors_in(value, name=''):
    if isinstance(value, dict):
        return set().union(set(), *(errors_in(v, k) for k, v in value.items()))
    if isinstance(value, list):
        return set().union(set(), *(errors_in(v, name) for v in value))
    return {value} - {0} if name.endswith('rrorCode') else set()


def ask(conn, api, version, data):
    conn.send_raw(with_length(data))
    answer = conn.receive()
    assert answer is not None, f'{api} {version}: closed'
    assert struct.unpack('>i', answer[:4]) == (7,)
    key = CODEC.api(api).key
    _, body = CODEC.split_response(key, version, answer)
    value, rest = CODEC.decode(CODEC.responses[key].name, version, body)
    assert not rest, f'{api} {version}: {len(rest)} bytes too many'
    return value


def closes(port, raw):
    """Does the node close the connection on these bytes, without an answer?"""
    with socket.create_connection(('127.0.0.1', port), 10) as s:
        s.settimeout(10)
        try:
            s.sendall(raw)
            return s.recv(1) == b''
        except ConnectionResetError:
            return True


def advertised(port, api_version=4):
    conn = Connection('127.0.0.1', port, CODEC)
    answer = ask(conn, 'ApiVersions', api_version, frame('ApiVersions', api_version, sample('ApiVersions', api_version, ZERO_UUID)))
    conn.close()
    return {k['apiKey']: (k['minVersion'], k['maxVersion']) for k in answer['apiKeys']}


def served_versions(api):
    """Those that get an answer: Produce is advertised from 0 on and served from 3 on."""
    low, high = FACTS[api][1]
    return range(max(low, CODEC.api(api).versions[0]), high + 1)


@pytest.fixture(scope='module')
def topic_id(node):
    conn = Connection('127.0.0.1', node.port, CODEC)
    made = conn.ask('CreateTopics', 7, {'topics': [{'name': TOPIC, 'numPartitions': 1, 'replicationFactor': 1}]})['topics'][0]
    assert made['errorCode'] == 0
    while conn.ask('Metadata', 12, {'topics': [{'name': TOPIC}], 'allowAutoTopicCreation': False})['topics'][0]['errorCode'] != 0:
        pass  # not published yet
    await_coordinator(conn)
    conn.close()
    return made['topicId']


@pytest.mark.parametrize('version', range(5))
def test_advertised_is_what_is_promised(node, version):
    assert advertised(node.port, version) == {FACTS[a][0]: FACTS[a][1] for a in BROKER_APIS}
    assert FACTS['Produce'][1][0] == 0


def test_advertised_on_the_controllers_listener(node):
    rows = advertised(node.port + 1)
    by_key = {f[0]: f[2] for f in FACTS.values()}
    assert rows and all(by_key[k] == versions for k, versions in rows.items())


@pytest.mark.parametrize('api', BROKER_APIS)
def test_every_version_is_answered(node, topic_id, api):
    conn = Connection('127.0.0.1', node.port, CODEC)
    for version in served_versions(api):
        value = sample(api, version, topic_id)
        data = frame(api, version, value)
        plain = ask(conn, api, version, data)
        assert errors_in(plain) <= ALLOWED_ERRORS.get(api, set()), (version, plain)
        odd = ask(conn, api, version, frame(api, version, tagged(value), UNKNOWN_TAGS) + b'\0\1\2')
        assert errors_in(odd) == errors_in(plain), (version, odd)
    conn.close()


@pytest.mark.parametrize('api', BROKER_APIS)
def test_truncated_closes_the_connection(node, topic_id, api):
    versions = served_versions(api)
    for version in versions:
        data = frame(api, version, sample(api, version, topic_id))
        cuts = range(len(data)) if version == versions[-1] else [len(data) - 1, len(data) // 2]
        for n in cuts:
            assert closes(node.port, with_length(data[:n])), (version, n)
    assert node.answers()


@pytest.mark.parametrize('api', [a for a in BROKER_APIS if a != 'ApiVersions'])
def test_versions_beside_the_range_close_the_connection(node, topic_id, api):
    versions = served_versions(api)
    for version, like in ((versions[0] - 1, versions[0]), (versions[-1] + 1, versions[-1]), (-1, versions[0]), (32767, versions[-1])):
        data = frame(api, like, sample(api, like, topic_id))
        assert closes(node.port, with_length(data[:2] + struct.pack('>h', version) + data[4:])), version


def test_apis_that_are_not_served_close_the_connection(node):
    for name, (key, _, _) in FACTS.items():
        if name not in BROKER_APIS:
            assert closes(node.port, with_length(struct.pack('>hhih', key, 0, 1, -1))), name
    for key in (-1, 32767, 93):
        assert closes(node.port, with_length(struct.pack('>hhih', key, 0, 1, -1))), key


def test_the_controllers_apis_are_answered(node):
    """With nothing in the request, so codes may say no; one request to a connection, since some end it as in Kafka."""
    by_key = {f[0]: name for name, f in FACTS.items()}
    for key, (low, high) in advertised(node.port + 1).items():
        api = by_key[key]
        for version in range(low, high + 1):
            conn = Connection('127.0.0.1', node.port + 1, CODEC)
            value = sample('ApiVersions', version, ZERO_UUID) if api == 'ApiVersions' else {}
            ask(conn, api, version, frame(api, version, value))
            conn.close()
            data = frame(api, version, value)
            assert closes(node.port + 1, with_length(data[:-1])), (api, version)
