"""Groups by raw frames: a coordinator that is there, and members that join, sync and leave in any version."""
import os
import struct
import sys
import time

from node import ROOT

sys.path.insert(0, os.path.join(ROOT, 'tests'))
from kafkawire import Codec, Connection  # noqa: E402

CODEC = Codec()
NOT_THERE = (14, 15, 16)  # COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR


def connect(node):
    return Connection('127.0.0.1', node.port, CODEC)


def await_coordinator(conn, group='g'):
    """The offsets topic is made on first use; then the group's partition is opened and read. Returns FindCoordinator's row."""
    while True:
        row = conn.ask('FindCoordinator', 4, {'coordinatorKeys': [group]})['coordinators'][0]
        if row['errorCode'] not in NOT_THERE:
            break
        time.sleep(0.02)
    asked = {'groups': [{'groupId': group, 'topics': None}]}
    while conn.ask('OffsetFetch', 8, asked)['groups'][0]['errorCode'] in NOT_THERE:
        time.sleep(0.02)
    return row


def make_topic(conn, name, partitions=1):
    """Returns its id, when it is there."""
    made = conn.ask('CreateTopics', 7, {'topics': [{'name': name, 'numPartitions': partitions, 'replicationFactor': 1}]})['topics'][0]
    assert made['errorCode'] == 0, made
    while conn.ask('Metadata', 12, {'topics': [{'name': name}], 'allowAutoTopicCreation': False})['topics'][0]['errorCode'] != 0:
        time.sleep(0.01)
    return made['topicId']


class Member:
    """One member on a connection of its own. Versions are JoinGroup's; the other APIs go with it."""

    def __init__(self, node, group, version=9, instance=None, protocols=(('range', b'\0\0'),)):
        self.conn, self.group, self.version, self.instance = connect(node), group, version, instance
        self.protocols = [{'name': n, 'metadata': m} for n, m in protocols]
        self.id, self.generation = '', -1

    def who(self, since, version):
        return {'groupInstanceId': self.instance} if version >= since else {}

    def wish(self, more):
        """JoinGroup's body."""
        return {'groupId': self.group, 'sessionTimeoutMs': 30000, 'rebalanceTimeoutMs': 30000, 'memberId': self.id, 'protocolType': 'consumer',
                'protocols': self.protocols, **self.who(5, self.version), **more}

    def join(self, **more):
        answer = self.conn.ask('JoinGroup', self.version, self.wish(more))
        if answer['errorCode'] == 79:
            self.id = answer['memberId']
            return self.join(**more)
        return self.took(answer)

    def took(self, answer):
        if answer['errorCode'] == 0:
            self.id = answer['memberId']
        self.generation = answer['generationId']
        return answer

    def named(self):
        """The member with an id and not yet in the group."""
        answer = self.conn.ask('JoinGroup', self.version, self.wish({}))
        assert answer['errorCode'] == 79, answer
        self.id = answer['memberId']
        return self

    def send_join(self, **more):
        """The answer, which waits for others, is joined()."""
        m = CODEC.api('JoinGroup')
        frame = CODEC.request(m.key, self.version, 1, 'test', CODEC.encode(m.name, self.version, self.wish(more)))
        self.conn.send_raw(struct.pack('>i', len(frame)) + frame)

    def joined(self):
        m = CODEC.api('JoinGroup')
        _, body = CODEC.split_response(m.key, self.version, self.conn.receive())
        return self.took(CODEC.decode(CODEC.responses[m.key].name, self.version, body)[0])

    def sync(self, assignments=None):
        """assignments: member id -> bytes, of the leader."""
        version = min(self.version, 5)
        rows = [{'memberId': m, 'assignment': a} for m, a in (assignments or {}).items()]
        return self.conn.ask('SyncGroup', version, {'groupId': self.group, 'generationId': self.generation, 'memberId': self.id, 'assignments': rows,
                                                    'protocolType': 'consumer', 'protocolName': self.protocols[0]['name'], **self.who(3, version)})

    def heartbeat(self):
        version = min(self.version, 4)
        return self.conn.ask('Heartbeat', version, {'groupId': self.group, 'generationId': self.generation, 'memberId': self.id,
                                                    **self.who(3, version)})['errorCode']

    def leave(self):
        version = min(self.version, 5)
        answer = self.conn.ask('LeaveGroup', version, {'groupId': self.group, 'memberId': self.id, 'members': [
            {'memberId': self.id, 'groupInstanceId': self.instance}]})
        return answer['errorCode'] or (answer['members'][0]['errorCode'] if version >= 3 else 0)

    def close(self):
        self.conn.close()
