"""The golden record batches, whole and damaged, produced to a node with produce.validation=deep: each gets the code that Kafka gave, and what
was taken is fetched as it was sent, but for what a leader sets: base offset, leader epoch, and where they lied timestamp type and max timestamp."""
import os
import struct
import sys

import pytest
from node import ROOT, Node

sys.path.insert(0, os.path.join(ROOT, 'tests'))
from kafkawire import Codec, Connection, crc32c  # noqa: E402

CODEC = Codec()
TOPIC, PARTITIONS = 'batches', 16
LOG_APPEND_TIME = 8
# A timestamp near the smallest int64: whether it is too old by message.timestamp.before.max.ms depends on the day.
BY_THE_DAY = {'v2-none-timestamp-spread'}


def rows():
    with open(os.path.join(ROOT, 'tests/data/vectors/batches.tsv')) as f:
        for line in f:
            cells = line.rstrip('\n').split('\t')
            if not line.startswith('#'):
                yield cells[0], bytes.fromhex(cells[1]), int(cells[4].split(':')[0])


@pytest.fixture(scope='module')
def conn(tmp_path_factory):
    with Node(tmp_path_factory.mktemp('node'), ['produce.validation=deep']) as n:
        c = Connection('127.0.0.1', n.port, CODEC)
        made = c.ask('CreateTopics', 7, {'topics': [{'name': TOPIC, 'numPartitions': PARTITIONS, 'replicationFactor': 1, 'configs': [
            {'name': 'message.timestamp.after.max.ms', 'value': str((1 << 63) - 1)}]}]})
        assert made['topics'][0]['errorCode'] == 0
        while c.ask('Metadata', 12, {'topics': [{'name': TOPIC}], 'allowAutoTopicCreation': False})['topics'][0]['errorCode']:
            pass  # not published yet
        yield c
        c.close()


def produce(conn, partition, data):
    rows = conn.ask('Produce', 11, {'acks': 1, 'timeoutMs': 5000,
                                    'topicData': [{'name': TOPIC, 'partitionData': [{'index': partition, 'records': data}]}]})
    return rows['responses'][0]['partitionResponses'][0]


def fetch(conn, partition, offset):
    rows = conn.ask('Fetch', 12, {'maxBytes': 10 << 20, 'minBytes': 1, 'maxWaitMs': 5000, 'topics': [{'topic': TOPIC, 'partitions': [
        {'partition': partition, 'fetchOffset': offset, 'partitionMaxBytes': 10 << 20}]}]})
    return rows['responses'][0]['partitions'][0]['records']


def test_batches_as_by_kafka(conn):
    differ, taken, total = [], 0, 0
    for number, (name, data, code) in enumerate(rows(), 1):
        total += 1
        partition = number % PARTITIONS
        answer = produce(conn, partition, data)
        if answer['errorCode'] != code and name not in BY_THE_DAY:
            differ.append((name, answer['errorCode'], 'Kafka: %d' % code))
        if answer['errorCode']:
            continue
        taken += 1
        stored = fetch(conn, partition, answer['baseOffset'])
        size = 12 + struct.unpack_from('>i', data, 8)[0]
        sent, got = data[:size], stored[:size]
        assert struct.unpack_from('>q', got)[0] == answer['baseOffset'], name
        assert crc32c(got[21:]) == struct.unpack_from('>I', got, 17)[0], name
        assert struct.unpack_from('>h', got, 21)[0] == struct.unpack_from('>h', sent, 21)[0] & ~LOG_APPEND_TIME, name
        if sent[23:35] + sent[43:] != got[23:35] + got[43:]:
            differ.append((name, 'stored other than sent'))
    assert differ == [], '\n'.join(map(str, differ))
    assert total >= 227 and taken >= 70
