"""A directory that Kafka 4.3.1 left, with classic, consumer, share and simple groups (tests/data/logs, groups): the node lists exactly these
groups, with type, state and protocol, and their offsets with leader epochs and metadata, over the wire; and so it does once it has been
killed and stopped itself."""
import os
import subprocess

import pytest
from groups import await_coordinator, connect
from node import ROOT, Node

LOGS = os.path.join(ROOT, 'tests/data/logs')
# Nothing of the old directory may expire or be deleted while we look.
KEEP = ['log.retention.ms=-1', 'log.retention.check.interval.ms=86400000', 'offsets.retention.minutes=2147483647']


def expected():
    rows = [line.rstrip('\n').split('\t') for line in open(os.path.join(LOGS, 'groups.tsv'))]
    groups = {(r[1], r[2].lower(), r[3], r[4]) for r in rows if r[0] == 'group'}
    offsets = {(r[1], r[2], int(r[3])): (int(r[4]), int(r[5]), r[6]) for r in rows if r[0] == 'committed'}
    return groups, offsets


def listed(conn):
    answer = conn.ask('ListGroups', 5, {'statesFilter': [], 'typesFilter': []})
    assert answer['errorCode'] in (0, 14)
    return {(g['groupId'], g['groupType'].lower(), g['groupState'], g['protocolType']) for g in answer['groups']} if not answer['errorCode'] else None


def same(node):
    groups, offsets = expected()
    conn = connect(node)
    for name, _, _, _ in groups:
        await_coordinator(conn, name)
    assert listed(conn) == groups
    for version in range(8, 10):  # later ones ask by topic id
        answer = conn.ask('OffsetFetch', version, {'groups': [{'groupId': g[0], 'topics': None, 'memberId': None, 'memberEpoch': -1} for g in groups]})
        got = {}
        for g in answer['groups']:
            assert g['errorCode'] == 0, g
            for t in g['topics']:
                for p in t['partitions']:
                    assert p['errorCode'] == 0, p
                    got[g['groupId'], t['name'], p['partitionIndex']] = (p['committedOffset'], p['committedLeaderEpoch'], p['metadata'])
        assert got == offsets
    conn.close()


@pytest.fixture
def opened(tmp_path):
    packed = subprocess.run(['zstd', '-dc', os.path.join(LOGS, 'groups.tar.zst')], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(['tar', 'xf', '-', '-C', str(tmp_path)], input=packed, check=True)
    os.rename(tmp_path / 'groups', tmp_path / 'data')
    n = Node(tmp_path, KEEP)
    yield n
    if n.process and n.process.poll() is None:
        n.kill()


def test_exactly_what_kafka_left(opened):
    opened.start()
    same(opened)
    opened.kill()
    opened.start()
    same(opened)
    opened.stop()
    opened.start()
    same(opened)
    opened.stop()
