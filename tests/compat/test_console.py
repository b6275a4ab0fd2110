"""The console's files and its JSON, without a browser: that it tells what is there, and no message unless it may. tests/console has the browser."""
import base64
import concurrent.futures
import gzip
import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.parse

import pytest
from members import LONG, wait
from monitor import SETTING, get, port_of
from node import ROOT, Node, binary, millrace, run

sys.path.insert(0, os.path.join(ROOT, 'tests'))
from batches import ZSTD, varint  # noqa: E402
from kafkawire import Codec, Connection, crc32c  # noqa: E402
from records import batch  # noqa: E402

WEB = os.path.join(ROOT, 'broker/console/web')
EVIL = '<img src=x onerror=alert(1)>"\'&\u2028'
RECORDS = 40
WAITING = 24  # WAITING_MAX


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    """(node, port): topics t (2 partitions, RECORDS records, read by the group g to offset 0 of one of them) and empty."""
    with Node(tmp_path_factory.mktemp('console'), ['metrics.listener=' + SETTING, 'offsets.topic.num.partitions=3']) as n:
        for topic, partitions in (('t', 2), ('empty', 1), ('wide', 120)):
            status, out, err = millrace('topics', '--bootstrap-server', n.servers, '--create', '--topic', topic, '--partitions', str(partitions),
                                        '--config', 'retention.ms=123456789')
            assert status == 0, out + err
        status, out, err = run('kcat', '-P', '-b', n.servers, '-t', 't', '-p', '0', '-K', '\t', '-H', 'who=me',
                               input=''.join('key-%d\tvalue %d\n' % (i, i) for i in range(RECORDS)).encode())
        assert status == 0, err
        status, out, err = run('kcat', '-P', '-b', n.servers, '-t', 't', '-p', '1', '-k', EVIL, input=EVIL.encode())
        assert status == 0, err
        status, out, err = millrace('consumer-groups', '--bootstrap-server', n.servers, '--reset-offsets', '--group', 'g', '--topic', 't:0',
                                    '--to-offset', '10', '--execute')
        assert status == 0, out + err
        yield n, port_of(lambda: open(n.log).read())


def api(port, call, **parameters):
    status, headers, text = get(port, '/console/api/' + call + '?' + urllib.parse.urlencode(parameters), timeout=LONG)
    assert headers['content-type'] == 'application/json' and headers['cache-control'] == 'no-store'
    return status, json.loads(text)


def ok(port, call, **parameters):
    status, answer = api(port, call, **parameters)
    assert status == 200, answer
    return answer


# ---- files

def files():
    return sorted(os.listdir(WEB))


def test_files_are_those_of_the_tree(served):
    assert 'index.html' in files() and 'app.js' in files()
    for name in files():
        content = open(os.path.join(WEB, name), encoding='utf-8').read()
        status, headers, text = get(served[1], '/console/' + name)
        assert status == 200 and text == content
        assert "default-src 'none'" in headers['content-security-policy'] and "script-src 'self'" in headers['content-security-policy']
        assert headers['x-content-type-options'] == 'nosniff' and headers['cache-control'] == 'no-cache'
        assert get(served[1], '/console/' + name, headers={'If-None-Match': headers['etag']})[0] == 304
        assert get(served[1], '/console/' + name, headers={'If-None-Match': '"another"'})[0] == 200


def test_files_come_packed(served):
    c = http.client.HTTPConnection('127.0.0.1', served[1], timeout=10)
    c.request('GET', '/console/app.js', headers={'Accept-Encoding': 'gzip, br'})
    r = c.getresponse()
    assert r.getheader('Content-Encoding') == 'gzip'
    assert gzip.decompress(r.read()).decode() == open(os.path.join(WEB, 'app.js'), encoding='utf-8').read()
    c.close()


def test_the_door(served):
    status, headers, _ = get(served[1], '/console')
    assert status == 307 and headers['location'] == 'console/'
    index = get(served[1], '/console/')
    assert index[0] == 200 and index[2] == open(os.path.join(WEB, 'index.html')).read()
    for path in ('/console/nothing', '/console/../healthz', '/console/api/', '/console/api/nothing'):
        assert get(served[1], path)[0] == 404, path


def test_pages_name_no_other_address():
    for name in files():
        text = open(os.path.join(WEB, name), encoding='utf-8').read()
        assert set(re.findall(r'\w+://[^\s"\'<>]+', text)) <= {'http://www.w3.org/2000/svg'}, name
        assert not re.search(r'innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|\son\w+="|\sstyle="|javascript:', text), name


# ---- figures

def test_overview(served):
    node, port = served
    cluster = re.search(r'Cluster ID: (\S+)', millrace('cluster', 'cluster-id', '--bootstrap-server', node.servers)[1]).group(1)
    o = ok(port, 'overview')
    assert o['clusterId'] == cluster and o['node']['id'] == 1 and o['node']['broker'] and o['node']['controller']
    assert o['brokers'] == {'total': 1, 'fenced': 0, 'notAnswering': 0}
    assert o['partitions']['total'] == 2 + 1 + 120 + 3 and o['partitions']['offline'] == 0 and o['partitions']['underReplicated'] == 0
    assert o['quorum']['leader'] == 1 and o['quorum']['replicas'][0]['voter']
    assert o['groups']['total'] == 1 and o['messages'] is False


def test_a_partition_wants_no_more_in_sync_than_it_has(served):
    node, port = served
    alter = ['configs', '--bootstrap-server', node.servers, '--alter', '--entity-type', 'topics', '--entity-name', 'empty']

    def wanted():
        return [c['value'] for c in ok(port, 'topic', name='empty')['configs'] if c['name'] == 'min.insync.replicas']
    assert millrace(*alter, '--add-config', 'min.insync.replicas=2')[0] == 0
    try:  # writes with acks=all are taken
        wait(lambda: wanted() == ['2'], lambda: 'the console has not heard of it: %s' % wanted())
        assert ok(port, 'overview')['partitions']['underMinIsr'] == 0
    finally:
        assert millrace(*alter, '--delete-config', 'min.insync.replicas')[0] == 0


def test_brokers(served):
    node, port = served
    wait(lambda: ok(port, 'brokers')['brokers'][0]['logDirs'], 'no log directories')
    b, = ok(port, 'brokers')['brokers']
    assert b['id'] == 1 and b['state'] == 'up' and b['self'] and b['leaders'] == b['replicas'] == 126 and b['outOfSync'] == 0
    assert [x['port'] for x in b['listeners'] if x['name'] == 'PLAINTEXT'] == [node.port]
    d, = b['logDirs']
    assert d['path'] == os.path.join(node.folder, 'data') and not d['failed'] and d['replicas'] == 126
    assert 0 < d['bytes'] < d['total'] and 0 < d['usable'] <= d['total']


def test_topics(served):
    port = served[1]
    wait(lambda: ok(port, 'topics', filter='t', internal=0)['topics'][-1]['bytes'], 'no sizes')
    everything = ok(port, 'topics')
    assert [t['name'] for t in everything['topics']] == ['__consumer_offsets', 'empty', 't', 'wide'] and everything['total'] == 4
    t = everything['topics'][2]
    assert (t['partitions'], t['factor'], t['records'], t['offline'], t['underReplicated']) == (2, 1, RECORDS + 1, 0, 0)
    assert [t['name'] for t in ok(port, 'topics', filter='MPT')['topics']] == ['empty']
    assert [t['name'] for t in ok(port, 'topics', internal=0, sort='partitions')['topics']] == ['wide', 't', 'empty']
    page = ok(port, 'topics', per=1, page=2)
    assert page['total'] == 4 and [t['name'] for t in page['topics']] == ['t']
    assert ok(port, 'topics', per=1, page=9)['topics'] == []
    assert ok(port, 'topics', per=100000, page=-1)['per'] == 50


def test_topic(served):
    port = served[1]
    t = ok(port, 'topic', name='t')
    assert [(p['partition'], p['leader'], p['replicas'], p['isr'], p['start'], p['end']) for p in t['partitions']] == [
        (0, 1, [1], [1], 0, RECORDS), (1, 1, [1], [1], 0, 1)]
    configs = {c['name']: (c['value'], c['source']) for c in t['configs']}
    assert configs['retention.ms'] == ('123456789', 'topic') and configs['cleanup.policy'] == ('delete', 'default')
    wide = ok(port, 'topic', name='wide', page=1)
    assert wide['total'] == 120 and [p['partition'] for p in wide['partitions']] == list(range(50, 100))
    assert api(port, 'topic', name='nothing')[0] == 404 and api(port, 'topic')[0] == 404


def test_groups(served):
    port = served[1]
    wait(lambda: ok(port, 'groups')['groups'][0]['members'] is not None, 'no members')
    g, = ok(port, 'groups')['groups']
    assert (g['id'], g['state'], g['members'], g['lag'], g['coordinator']) == ('g', 'Empty', 0, RECORDS - 10, 1)
    assert g['alarms'] == ['nobody reads']
    one = ok(port, 'group', id='g')
    assert one['offsets'] == [{'topic': 't', 'partition': 0, 'committed': 10, 'end': RECORDS, 'lag': RECORDS - 10, 'member': None}]
    assert api(port, 'group', id='nothing')[0] == 404 and ok(port, 'groups', filter='x')['total'] == 0


def test_rates(served):
    """What is written while somebody looks is seen as a rate."""
    node, port = served
    ok(port, 'throughput')
    p = subprocess.Popen(['kcat', '-P', '-b', node.servers, '-t', 'wide', '-p', '0', '-X', 'linger.ms=1'], stdin=subprocess.PIPE)
    try:
        def rises():
            p.stdin.write(b'x' * 100 + b'\n')
            p.stdin.flush()
            s = ok(port, 'throughput')['samples'][-1]
            return s['records'] > 0 and s['bytesIn'] > 0 and s['requests'] > 0
        wait(rises, lambda: 'no rates: %s' % ok(port, 'throughput'), 60)
    finally:
        p.stdin.close()
        p.wait(30)
    samples = ok(port, 'throughput')['samples']
    assert [s['at'] for s in samples] == sorted(s['at'] for s in samples)
    assert all(s['at'] > samples[0]['at'] for s in ok(port, 'throughput', since=samples[0]['at'])['samples'])


# ---- messages

def test_messages_are_not_shown(served):
    status, answer = api(served[1], 'messages', topic='t')
    assert status == 403 and 'console.messages.enable' in answer['error'] and 'messages' not in answer


def text(piece):
    return base64.b64decode(piece['base64']).decode()


def test_messages(tmp_path):
    with Node(tmp_path, ['metrics.listener=' + SETTING, 'console.messages.enable=true']) as n:
        millrace('topics', '--bootstrap-server', n.servers, '--create', '--topic', 't', '--partitions', '2')
        for codec in ('none', 'zstd', 'gzip'):
            status, _, err = run('kcat', '-P', '-b', n.servers, '-t', 't', '-p', '0', '-K', '\t', '-H', 'who=me', '-z', codec,
                                 input=''.join('key-%d\tvalue %d\n' % (i, i) for i in range(100)).encode())
            assert status == 0, err
        run('kcat', '-P', '-b', n.servers, '-t', 't', '-p', '1', '-k', EVIL, input=EVIL.encode() + b'\n' + b'x' * 100000 + b'\n')
        run('kcat', '-P', '-b', n.servers, '-t', 't', '-p', '1', '-H', 'h' * 100000 + '=v', input=b'third\n')
        port = port_of(lambda: open(n.log).read())
        m = ok(port, 'messages', topic='t', partition=0, limit=10)
        assert (m['start'], m['end'], m['from'], m['next']) == (0, 300, 290, 300)
        assert [(x['offset'], text(x['key']), text(x['value'])) for x in m['messages']] == [(200 + i, 'key-%d' % i, 'value %d' % i) for i in range(90, 100)]
        h, = m['messages'][0]['headers']
        assert h['key'] == 'who' and text(h['value']) == 'me' and m['messages'][0]['headerCount'] == 1
        m = ok(port, 'messages', topic='t', partition=0, offset=95, limit=10)
        assert [x['offset'] for x in m['messages']] == list(range(95, 105)) and m['next'] == 105
        assert [x['offset'] for x in ok(port, 'messages', topic='t', offset='earliest', limit=3)['messages']] == [0, 1, 2]
        assert ok(port, 'messages', topic='t', offset=1000)['messages'] == []
        first, second, third = ok(port, 'messages', topic='t', partition=1)['messages']
        assert [(h['key'], text(h['value'])) for h in third['headers']] == [('h' * 1024, 'v')]
        assert text(first['key']) == EVIL and text(first['value']) == EVIL
        assert second['value']['size'] == 100000 and len(base64.b64decode(second['value']['base64'])) == 32768
        assert api(port, 'messages', topic='t', partition=2)[0] == 404 and api(port, 'messages', topic='nothing')[0] == 404


BOMBS, BOMB_MIB, PAGE_BATCHES = 100, 17, 4  # a page ends with 64 MiB: four batches of which 16 MiB are opened


def bomb(mib):
    """A batch of one record that zstd opens to so many MiB, from half a KiB: each block of 128 KiB is a byte, and how often it comes."""
    value = (mib << 20) - 1
    head = b'\0' + varint(0) + varint(0) + varint(-1) + varint(value)
    head = varint(len(head) + value + 1) + head
    frame = b'\x28\xb5\x2f\xfd\0\x38' + struct.pack('<I', len(head) << 3)[:3] + head
    frame += (struct.pack('<I', 128 << 10 << 3 | 1 << 1)[:3] + b'\0') * (8 * mib - 1) + struct.pack('<I', 128 << 10 << 3 | 1 << 1 | 1)[:3] + b'\0'
    now = int(time.time() * 1000)
    rest = struct.pack('>hiqqqhii', ZSTD, 0, now, now, -1, -1, -1, 1) + frame
    return struct.pack('>qiibI', 0, len(rest) + 9, -1, 2, crc32c(rest)) + rest


def test_batches_that_open_to_gibibytes(tmp_path):
    """A page opens a bounded part of them and tells where it ends; the listener answers meanwhile."""
    with Node(tmp_path, ['metrics.listener=' + SETTING, 'console.messages.enable=true']) as n:
        millrace('topics', '--bootstrap-server', n.servers, '--create', '--topic', 't')
        conn, one = Connection('127.0.0.1', n.port, Codec()), bomb(BOMB_MIB)
        for i in range(BOMBS):
            row = conn.ask('Produce', 8, {'acks': 1, 'timeoutMs': 30000, 'topicData': [{'name': 't', 'partitionData': [{'index': 0, 'records': one}]}]})
            row, = row['responses'][0]['partitionResponses']
            assert (row['errorCode'], row['baseOffset']) == (0, i)
        conn.ask('Produce', 8, {'acks': 1, 'timeoutMs': 30000, 'topicData': [{'name': 't', 'partitionData': [{'index': 0, 'records': batch([b'behind'], int(time.time() * 1000))}]}]})
        conn.close()
        port = port_of(lambda: open(n.log).read())

        def look():
            pages = [ok(port, 'messages', topic='t', offset='earliest')]
            while pages[-1]['next'] <= BOMBS:
                pages.append(ok(port, 'messages', topic='t', offset=pages[-1]['next']))
            return pages
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            looking, waits = thread.submit(look), []
            while not looking.done():
                begun = time.monotonic()
                assert get(port, '/healthz', timeout=LONG)[0] == 200
                waits.append(time.monotonic() - begun)
        pages = looking.result()
        assert [p['next'] for p in pages] == list(range(PAGE_BATCHES, BOMBS + 1, PAGE_BATCHES)) + [BOMBS + 1]
        assert 'opens to more than 16 MiB: 0 of its 1 messages' in pages[0]['broken'] and pages[-1]['broken'] is None
        assert [text(m['value']) for p in pages for m in p['messages']] == ['behind']
        assert max(waits) < sum(waits) / 3, 'the listener was busy with one page for most of the time: %s' % waits


# ---- a node that has heard of no controller

PROPERTIES = """process.roles=broker
node.id=1
controller.quorum.voters=9@127.0.0.1:%d
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:0
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%s
metrics.listener=%s
"""


def test_without_metadata_every_call_is_answered(tmp_path):
    """More calls than the listener has connections: as many as may wait do so for a while, and never keep a probe waiting."""
    properties, log = tmp_path / 'node.properties', tmp_path / 'node.log'
    with socket.socket() as nobody:  # bound, and listens not: a controller that does not answer
        nobody.bind(('127.0.0.1', 0))
        properties.write_text(PROPERTIES % (nobody.getsockname()[1], tmp_path / 'data', SETTING))
        status, out, err = millrace('storage', 'format', '-t', 'xN2vC7s8T0mPqLr5Wb3eKA', '-c', str(properties))
        assert status == 0, out + err
        node = subprocess.Popen([binary(), 'server', str(properties)], stdout=open(log, 'w'), stderr=subprocess.STDOUT)
        try:
            port = port_of(log.read_text)
            with concurrent.futures.ThreadPoolExecutor(40) as threads:
                calls = [threads.submit(get, port, '/console/api/' + call, timeout=30) for call in ['overview', 'brokers'] * 20]
                first = next(concurrent.futures.as_completed(calls)).result()
                assert first[0] == 503 and first[2] == 'Too many requests wait here for their answers: %d.\n' % WAITING
                assert get(port, '/healthz')[0] == 200 and get(port, '/readyz')[0] == 503
                refused = [json.loads(c.result()[2])['error'] for c in calls if c.result()[2] != first[2]]
                assert len(refused) >= WAITING and all('no metadata' in sentence for sentence in refused)
                assert {c.result()[0] for c in calls} == {503}
            assert api(port, 'overview')[0] == 503
            assert get(port, '/healthz')[0] == 200
        finally:
            node.kill()
            node.wait()
