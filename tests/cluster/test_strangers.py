"""Frames of nodes that do not belong, or do not any more, to a cluster that lives: stale epochs, unknown replicas, another cluster, another node's id,
counts that lie. Each gets an error or the end of its connection, the node that refuses says why in one line, and the cluster goes on."""
import random
import struct

import pytest
from cluster import CODEC, Cluster, ask, wait
from kafkawire import Connection, uvarint

NONE, NOT_LEADER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, STALE_BROKER_EPOCH = 0, 6, 74, 75, 77
INVALID_REQUEST, INVALID_UPDATE_VERSION, INELIGIBLE_REPLICA, INCONSISTENT_CLUSTER_ID, UNKNOWN_TOPIC_ID = 42, 95, 107, 104, 100
METADATA_TOPIC = 'AAAAAAAAAAAAAAAAAAAAAQ'


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('strangers'), controllers=3, brokers=2, factor=2) as c:
        c.create_topic('t', 1, 2, assignments=[[11, 12]])
        c.wait_partition('t', 0, leader=11, isr={11, 12})
        yield c
        c.create_topic('after', 2, 2)  # nobody has lost anything by it
        c.wait_in_sync('after')


def topic_id(c):
    return c.metadata('t')['topics'][0]['topicId']


def epoch_of(c, broker):
    """The broker's epoch as it said it itself."""
    text = c.node(broker).text()
    mark = 'registered with the controller broker=%d epoch=' % broker
    return int(text[text.rindex(mark) + len(mark):].split()[0])


def alter(c, broker=11, broker_epoch=None, leader_epoch=0, isr=((11, -1), (12, -1)), epoch=0, topic=None):
    r = ask(c.wait_active().controller_port, 'AlterPartition', 3,
            {'brokerId': broker, 'brokerEpoch': epoch_of(c, broker) if broker_epoch is None else broker_epoch,
             'topics': [{'topicId': topic or topic_id(c), 'partitions': [
                 {'partitionIndex': 0, 'leaderEpoch': leader_epoch, 'newIsrWithEpochs': [{'brokerId': b, 'brokerEpoch': e} for b, e in isr],
                  'leaderRecoveryState': 0, 'partitionEpoch': epoch}]}]})
    return r['errorCode'] or r['topics'][0]['partitions'][0]['errorCode']


# ---- the controller

def test_a_stale_broker_epoch(cluster):
    c, active = cluster, cluster.wait_active()
    at, good = active.controller_port, epoch_of(cluster, 11)
    asked = {
        'BrokerHeartbeat': (1, {'brokerId': 11, 'brokerEpoch': good - 1, 'currentMetadataOffset': 1, 'wantFence': True, 'wantShutDown': False}),
        'AssignReplicasToDirs': (0, {'brokerId': 11, 'brokerEpoch': good - 1, 'directories': []}),
        'AllocateProducerIds': (0, {'brokerId': 11, 'brokerEpoch': good - 1})}
    for api, (version, body) in asked.items():
        assert ask(at, api, version, body)['errorCode'] == STALE_BROKER_EPOCH, api
        active.wait_log("a broker's request is refused: its epoch is not that of the registration api=%s broker=11 epoch=%d registered_epoch=%d "
                        'error=STALE_BROKER_EPOCH' % (api, good - 1, good))
    assert alter(c, broker=99, broker_epoch=7) == STALE_BROKER_EPOCH
    active.wait_log("a broker's request is refused: it is not registered api=AlterPartition broker=99 epoch=7 registered_epoch=-1")
    c.wait_partition('t', 0, leader=11, isr={11, 12})  # nobody was fenced by it


@pytest.mark.parametrize('why, error, words', [
    ({'leader_epoch': -1}, FENCED_LEADER_EPOCH, 'its leader epoch is over partition=t-0 broker=11 leader_epoch=-1'),
    ({'epoch': -1}, INVALID_UPDATE_VERSION, 'its partition epoch is over partition=t-0 broker=11 leader_epoch=0 partition_epoch=-1'),
    ({'leader_epoch': 9}, 41, 'it knows of a later epoch than this controller partition=t-0 broker=11 leader_epoch=9'),
    ({'broker': 12}, INVALID_REQUEST, 'it does not lead, or the set is none of its replicas partition=t-0 broker=12'),
    ({'isr': ((11, -1), (13, -1))}, INVALID_REQUEST, 'it does not lead, or the set is none of its replicas partition=t-0 broker=11'),
    ({'isr': ((11, -1), (12, 1))}, INELIGIBLE_REPLICA, 'a member is not active, or registered under another epoch partition=t-0 broker=11'),
    ({'topic': 'AAAAAAAAAAAAAAAAAAAAZA'}, UNKNOWN_TOPIC_ID, 'there is no such partition partition=AAAAAAAAAAAAAAAAAAAAZA-0 broker=11')])
def test_an_in_sync_set_that_cannot_be(cluster, why, error, words):
    active = cluster.wait_active()
    assert alter(cluster, **why) == error
    active.wait_log('an in-sync set is refused: ' + words)
    cluster.wait_partition('t', 0, leader=11, isr={11, 12})


def metadata_fetch(cluster_id, replica, directory=None):
    p = {'partition': 0, 'currentLeaderEpoch': -1, 'fetchOffset': 0, 'lastFetchedEpoch': -1, 'logStartOffset': -1, 'partitionMaxBytes': 1000}
    return {'clusterId': cluster_id, 'replicaState': {'replicaId': replica, 'replicaEpoch': -1}, 'maxWaitMs': 0, 'minBytes': 0, 'maxBytes': 1000,
            'isolationLevel': 0, 'sessionId': 0, 'sessionEpoch': -1, 'forgottenTopicsData': [], 'rackId': '',
            'topics': [{'topicId': METADATA_TOPIC, 'partitions': [{**p, **({'replicaDirectoryId': directory} if directory else {})}]}]}


@pytest.mark.parametrize('api', ['Fetch', 'FetchSnapshot'])
def test_another_cluster(cluster, api):
    """The line is one a minute for both: each is asked of another controller."""
    n = cluster.wait_active() if api == 'Fetch' else next(v for v in cluster.controllers if v is not cluster.wait_active())
    if api == 'Fetch':
        r, what = ask(n.controller_port, 'Fetch', 17, metadata_fetch('another cluster', 77)), 'a fetch'
    else:
        r, what = ask(n.controller_port, 'FetchSnapshot', 1, {'clusterId': 'another cluster', 'replicaId': 77, 'maxBytes': 1000, 'topics': []}), \
            "a snapshot's fetch"
    assert r['errorCode'] == INCONSISTENT_CLUSTER_ID
    n.wait_log('%s of the metadata is refused: it belongs to another cluster node=77 cluster_id=another cluster own_cluster_id=%s '
               'error=INCONSISTENT_CLUSTER_ID' % (what, cluster.id))


def test_a_voters_id_from_another_directory(cluster):
    active = cluster.wait_active()
    other = next(v for v in cluster.controllers if v is not active)
    ask(active.controller_port, 'Fetch', 17, metadata_fetch(cluster.id, other.id, 'AAAAAAAAAAAAAAAAAAAAZA'))
    active.wait_log("a node follows the metadata under a voter's id and from another directory: two nodes have one node.id, or the voter's disk is new "
                    'node=%d directory=AAAAAAAAAAAAAAAAAAAAZA voter_directory=' % other.id)
    cluster.wait_voters()


# ---- the leader of a partition

def follower_fetch(c, replica=12, broker_epoch=None, leader_epoch=0):
    r = ask(c.node(11).port, 'Fetch', 17,
            {'clusterId': None, 'replicaState': {'replicaId': replica, 'replicaEpoch': epoch_of(c, 12) if broker_epoch is None else broker_epoch},
             'maxWaitMs': 0, 'minBytes': 0, 'maxBytes': 1000, 'isolationLevel': 0, 'sessionId': 0, 'sessionEpoch': -1, 'forgottenTopicsData': [],
             'rackId': '', 'topics': [{'topicId': topic_id(c), 'partitions': [
                 {'partition': 0, 'currentLeaderEpoch': leader_epoch, 'fetchOffset': 0, 'lastFetchedEpoch': -1, 'logStartOffset': 0,
                  'partitionMaxBytes': 1000}]}]})
    return r['errorCode'] or r['responses'][0]['partitions'][0]['errorCode']


def test_a_follower_that_is_none(cluster):
    c, leader, good = cluster, cluster.node(11), epoch_of(cluster, 12)
    said = "a follower's fetch is refused: "
    assert follower_fetch(c, replica=99) == UNKNOWN_LEADER_EPOCH
    leader.wait_log(said + 'it is none of the replicas that are known here partition=t-0 replica=99')
    assert follower_fetch(c, broker_epoch=good - 1) == NOT_LEADER
    leader.wait_log(said + 'its broker epoch is over partition=t-0 replica=12 broker_epoch=%d known_broker_epoch=%d' % (good - 1, good))
    assert follower_fetch(c, leader_epoch=9) == UNKNOWN_LEADER_EPOCH
    leader.wait_log(said + 'its leader epoch is another one than here partition=t-0 replica=12 broker_epoch=%d known_broker_epoch=%d '
                    'leader_epoch=9 known_leader_epoch=0 error=UNKNOWN_LEADER_EPOCH' % (good, good))
    assert follower_fetch(c) == NONE
    c.wait_partition('t', 0, leader=11, isr={11, 12})


# ---- counts that lie

def frame_of(api, version, body):
    frame = CODEC.request(CODEC.api(api).key, version, 1, 'test', body)
    return struct.pack('>i', len(frame)) + frame


def exchange(port, api, version, frame):
    """The decoded answer to a frame's bytes; None if the connection was closed."""
    conn = Connection('127.0.0.1', port, CODEC, 10)
    try:
        conn.send_raw(frame)
        answer = conn.receive(10)
    finally:
        conn.close()
    if answer is None:
        return None
    _, body = CODEC.split_response(CODEC.api(api).key, version, answer)
    return CODEC.decode(api + 'Response', version, body)[0]


def hostile(api, version, good, rng):
    """A frame's bytes: a body that begins well, and counts that promise what does not come."""
    m = CODEC.api(api)
    body = bytearray(CODEC.encode(m.name, version, good))
    kind = rng.randrange(4)
    if kind == 0:  # it ends early
        del body[rng.randrange(len(body)):]
    elif kind == 1:  # a byte in it is another one: also counts
        body[rng.randrange(len(body))] = rng.randrange(256)
    elif kind == 2:  # the first array's count
        at = body.index(uvarint(2), 12) if uvarint(2) in body[12:] else len(body) - 1
        body[at:at + 1] = uvarint(rng.choice((0, 3, 1 << 20, (1 << 31) - 1, (1 << 32) - 1)))
    else:  # bytes behind it
        body += bytes(rng.randrange(256) for _ in range(rng.randrange(1, 50)))
    return frame_of(api, version, bytes(body))


@pytest.mark.parametrize('api, version', [('AllocateProducerIds', 0), ('AlterPartition', 2), ('AlterPartition', 3), ('AssignReplicasToDirs', 0),
                                          ('BrokerHeartbeat', 2)])
def test_counts_that_lie(cluster, api, version):
    """Of a broker that is none: what decodes in spite of it is refused for its epoch, and nothing changes."""
    c, rng = cluster, random.Random(version)
    topic = {'topicId': topic_id(c)}
    good = {'brokerId': 99, 'brokerEpoch': 5}
    if api == 'AlterPartition':
        part = {'partitionIndex': 0, 'leaderEpoch': 0, 'leaderRecoveryState': 0, 'partitionEpoch': 0}
        part.update({'newIsr': [11]} if version == 2 else {'newIsrWithEpochs': [{'brokerId': 11, 'brokerEpoch': 5}]})
        good['topics'] = [{**topic, 'partitions': [part]}]
    elif api == 'AssignReplicasToDirs':
        good['directories'] = [{'id': 'AAAAAAAAAAAAAAAAAAAAZA', 'topics': [{**topic, 'partitions': [{'partitionIndex': 0}]}]}]
    elif api == 'BrokerHeartbeat':
        good.update({'currentMetadataOffset': 1, 'wantFence': False, 'wantShutDown': True, 'offlineLogDirs': ['AAAAAAAAAAAAAAAAAAAAZA']})
    active, closed = c.wait_active(), 0
    for _ in range(150):
        r = exchange(active.controller_port, api, version, hostile(api, version, good, rng))
        closed += r is None
        assert r is None or r['errorCode'] == STALE_BROKER_EPOCH or (api == 'AlterPartition' and not r['topics']), r
    assert closed > 20
    line = 'a request is not served here: the connection is closed api=%d version=%d' % (CODEC.api(api).key, version)

    def said():  # one of those that came too fast for a line each
        exchange(active.controller_port, api, version, frame_of(api, version, b''))
        return line in active.text()
    wait(said, lambda: 'no "%s" in\n%s' % (line, active.text()[-3000:]), 10)
    assert active.running and c.wait_active() is active
    c.wait_partition('t', 0, leader=11, isr={11, 12})
