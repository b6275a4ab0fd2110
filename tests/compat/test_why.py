"""/why on one node, with real waits: members that do not come back, requests that do not end, answers that nobody takes."""
import json
import socket
import struct
import threading

import pytest
from groups import CODEC, Member, await_coordinator, connect, make_topic
from members import wait
from monitor import SETTING, get, port_of
from node import Node
from records import batch


@pytest.fixture
def node(tmp_path):
    with Node(tmp_path, ['metrics.listener=' + SETTING, 'offsets.topic.num.partitions=1', 'group.initial.rebalance.delay.ms=0']) as n:
        yield n


def ask(n, query=''):
    """(text, JSON)"""
    port = port_of(lambda: open(n.log).read())
    status, headers, text = get(port, '/why' + query)
    assert status == 200 and headers['content-type'].startswith('text/plain') and headers['cache-control'] == 'no-store'
    status, headers, body = get(port, '/why', headers={'Accept': 'application/json'}) if not query else get(port, '/why%s&format=json' % query)
    assert status == 200 and headers['content-type'] == 'application/json'
    return text, json.loads(body)


def wait_row(n, kind, match=lambda r: True):
    found, last = [], []

    def look():
        last[:] = [ask(n)]
        found[:] = [r for r in last[0][1]['waits'] if r['kind'] == kind and match(r)]
        return found
    wait(look, lambda: 'no row of kind %s: %s' % (kind, last), 60)
    return found[0], ask(n)[0]


def rows(body):
    """A busy disk is no matter of these tests."""
    return [r for r in body['waits'] if r['kind'] != 'disk']


def wait_nothing(n):
    wait(lambda: not rows(ask(n)[1]), lambda: ask(n)[0], 60)


def test_nothing_waits(node):
    text, body = ask(node, '?least=3600000')
    assert 'node 1: nothing waits' in text and body['node'] == 1 and body['waits'] == [] and body['left_out'] == {}
    assert body['at_ms'] > 1700000000000


@pytest.mark.parametrize('least', ['', 'x', '-1', '1x', '3600001', '99999999999999999999'])
def test_bad_least(node, least):
    status, _, text = get(port_of(lambda: open(node.log).read()), '/why?least=' + least)
    assert status == 400 and 'milliseconds' in text


def test_a_group_that_waits_for_a_member(node):
    with_connection = connect(node)
    await_coordinator(with_connection)
    first, second = Member(node, 'g'), Member(node, 'g')
    first.join()
    first.sync({first.id: b'a'})
    wait_nothing(node)
    second.named()
    second.send_join()  # the first one would have to come back, and does not
    row, text = wait_row(node, 'group')
    assert row['group'] == 'g' and row['state'] == 'PreparingRebalance' and row['members'] == 2 and row['ms'] >= 100
    assert first.id[:13] in row['text'] and 'waiting for 1 of 2 members to rejoin' in row['text']
    assert "group 'g' is in PreparingRebalance" in text
    row, _ = wait_row(node, 'request', lambda r: r['request'] == 'JoinGroup')
    assert row['requests'] == 1 and row['client'] == 'test'
    first.leave()
    second.joined()
    row, _ = wait_row(node, 'group')  # now its leader owes the assignment
    assert row['state'] == 'CompletingRebalance' and "waiting for the leader's assignment" in row['text']
    second.sync({second.id: b'a'})
    wait_nothing(node)
    for c in (first, second, with_connection):
        c.close()


def test_a_request_that_does_not_end(node):
    with socket.create_connection(('127.0.0.1', node.port)) as s:
        s.sendall(struct.pack('>ihhih', 100, 18, 0, 1, -1))
        row, text = wait_row(node, 'connection')
        assert row['state'] == 'half' and row['peer'] == '127.0.0.1' and row['bytes'] == 10
        assert 'has sent a part of a request, 10 bytes' in text
    wait_nothing(node)


def test_answers_that_nobody_takes(node):
    c = connect(node)
    topic = make_topic(c, 't')
    body = {'transactionalId': None, 'acks': 1, 'timeoutMs': 30000,
            'topicData': [{'name': 't', 'partitionData': [{'index': 0, 'records': batch([b'x' * 900000])}]}]}
    for _ in range(8):
        assert c.ask('Produce', 9, body)['responses'][0]['partitionResponses'][0]['errorCode'] == 0
    fetch = {'replicaId': -1, 'maxWaitMs': 0, 'minBytes': 1, 'maxBytes': 50 << 20, 'sessionEpoch': -1, 'topics': [
        {'topicId': topic, 'partitions': [{'partition': 0, 'fetchOffset': 0, 'partitionMaxBytes': 50 << 20}]}]}
    frame = CODEC.request(1, 13, 1, 'does\x01not"read\xff', CODEC.encode('FetchRequest', 13, fetch))
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(('127.0.0.1', node.port))
        s.sendall(struct.pack('>i', len(frame)) + frame)
        row, text = wait_row(node, 'connection')
        assert row['state'] == 'blocked' and row['bytes'] > 1000000 and row['client'] == 'does?not"read??'
        assert 'does not take its answers' in text
        s.settimeout(30)
        left = 4 + struct.unpack('>i', s.recv(4, socket.MSG_PEEK | socket.MSG_WAITALL))[0]
        while left > 0:
            left -= len(s.recv(1 << 20))
        wait(lambda: any(x['request'] == 'FetchConsumer' for x in ask(node)[1]['slow']), lambda: ask(node)[0], 60)
        slow = next(x for x in ask(node)[1]['slow'] if x['request'] == 'FetchConsumer')
        assert slow['send_us'] > 50000 and slow['client'] == 'does?not"read??' and slow['total_us'] >= slow['send_us']
    c.close()
    wait_nothing(node)


def test_a_fetch_within_its_patience_is_no_wait(node):
    c = connect(node)
    topic = make_topic(c, 't')
    fetch = {'replicaId': -1, 'maxWaitMs': 3000, 'minBytes': 1, 'maxBytes': 1 << 20, 'sessionEpoch': -1, 'topics': [
        {'topicId': topic, 'partitions': [{'partition': 0, 'fetchOffset': 0, 'partitionMaxBytes': 1 << 20}]}]}
    answer = []
    t = threading.Thread(target=lambda: answer.append(c.ask('Fetch', 13, fetch)))
    t.start()
    rows = []
    while t.is_alive():
        rows += ask(node)[1]['waits']
        t.join(0.1)
    assert answer and not [r for r in rows if r['kind'] == 'request'], rows
    c.close()
