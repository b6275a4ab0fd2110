"""`--json`: one line, one shape, the names that docs/TOOLS.md promises, and what they say of a cluster."""
import json
import os
import re

import pytest
from cluster_session import ClusterTarget
from node import ROOT, millrace, run


def promised():
    """Command to (list, names of an item, names beside the items), from the table in docs/TOOLS.md."""
    rows = {}
    with open(os.path.join(ROOT, 'docs/TOOLS.md'), encoding='utf-8') as f:
        for line in f:
            cells = [c.strip() for c in line.strip().strip('|').split('|')]
            if len(cells) == 3 and cells[0][:1] == '`':
                text = cells[2]
                while re.search(r'[\[{(][^\[\](){}]*[\]})]', text):
                    text = re.sub(r' ?[\[{(][^\[\](){}]*[\]})]', '', text)
                of_item, _, beside = text.partition('; beside `items`:')
                rows[cells[0].strip('`')] = cells[1], names(of_item.partition(';')[0]), names(beside)
    return rows


def names(text):
    return {w.strip() for w in text.split(',') if w.strip()}


PROMISED = promised()


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    with ClusterTarget(tmp_path_factory.mktemp('json')) as t:
        for words in (['b', '--replica-assignment', '1:2:3,2:3:1', '--config', 'retention.ms=7000000'], ['one', '--replica-assignment', '3']):
            status, out, _ = millrace('topics', '--bootstrap-server', t.servers, '--create', '--topic', *words)
            assert status == 0, out
        t.cluster.wait_in_sync('b')
        assert run('kcat', '-P', '-b', t.servers, '-t', 'b', '-p', '0', input=b'1\n2\n3\n')[0] == 0
        status, out, err = millrace('console-consumer', '--bootstrap-server', t.servers, '--topic', 'b', '--group', 'g', '--from-beginning',
                                    '--max-messages', '2')
        assert (status, out) == (0, '1\n2\n'), err
        yield t


def asked(cluster, command, *more, controllers=False):
    servers = ('--bootstrap-controller', cluster.controller_servers) if controllers else ('--bootstrap-server', cluster.servers)
    status, out, err = millrace(*command.split(), *more, *servers, '--json')
    assert status == 0 and out.count('\n') == 1, out + err
    v = json.loads(out)
    kind, of_item, beside = PROMISED[command]
    assert v['version'] == 1 and v['list'] == kind
    assert set(v) == {'version', 'list', 'items'} | beside
    assert v['items'] and all(set(i) == of_item for i in v['items'])
    return v


def test_every_command_of_the_table_is_tested():
    with open(__file__, encoding='utf-8') as f:
        text = f.read()
    assert len(PROMISED) == 16 and all(re.search(r"asked\(cluster, '%s'" % re.escape(c), text) for c in PROMISED)


def test_topics(cluster):
    items = asked(cluster, 'topics --list')['items']
    assert [(i['topic'], i['partitionCount'], i['internal']) for i in items] == [('__consumer_offsets', 5, True), ('b', 2, False), ('one', 1, False)]
    b = asked(cluster, 'topics --describe', '--topic', 'b')['items'][0]
    assert b['configs']['retention.ms'] == '7000000' and b['replicationFactor'] == 3
    assert [(p['partition'], p['leader'], p['replicas'], sorted(p['isr']), p['adding'], p['elr']) for p in b['partitions']] == \
        [(0, 1, [1, 2, 3], [1, 2, 3], [], []), (1, 2, [2, 3, 1], [1, 2, 3], [], [])]
    status, out, _ = millrace('topics', '--bootstrap-server', cluster.servers, '--describe', '--unavailable-partitions', '--json')
    assert status == 0 and json.loads(out)['items'] == []


def test_configs(cluster):
    item = asked(cluster, 'configs --describe', '--topic', 'b')['items'][0]
    own = {c['name']: c for c in item['configs']}['retention.ms']
    assert (item['entityType'], item['entityName']) == ('topics', 'b')
    assert (own['value'], own['source'], own['synonyms'][0]['value']) == ('7000000', 'DYNAMIC_TOPIC_CONFIG', '7000000')
    items = asked(cluster, 'configs --describe', '--entity-type', 'brokers')['items']
    assert [i['entityName'] for i in items] == ['1', '2', '3', None]
    items = asked(cluster, 'configs --describe', '--broker', '2', '--all', controllers=True)['items']
    assert {c['name']: c['value'] for c in items[0]['configs']}['node.id'] == '2'
    status, out, err = millrace('configs', '--bootstrap-server', cluster.servers, '--describe', '--topic', 'nowhere', '--json')
    assert (status, out) == (1, '') and 'nowhere' in err


def test_groups(cluster):
    for command in ('groups --list', 'consumer-groups --list'):
        items = asked(cluster, 'groups --list')['items'] if command[0] == 'g' else asked(cluster, 'consumer-groups --list')['items']
        assert items == [{'group': 'g', 'type': 'Classic', 'protocol': 'consumer', 'state': 'Empty'}]
    g = asked(cluster, 'consumer-groups --describe', '--group', 'g')['items'][0]
    assert g['members'] == [] and g['coordinator'] in (1, 2, 3)
    offsets = {o['partition']: (o['committedOffset'], o['logEndOffset'], o['lag'], o['memberId']) for o in g['offsets']}
    assert offsets[0] == (2, 3, 1, None)
    status, out, err = millrace('consumer-groups', '--bootstrap-server', cluster.servers, '--delete', '--group', 'g', '--json')
    assert status == 1 and 'json' in err


def test_offsets_and_log_dirs(cluster):
    assert asked(cluster, 'get-offsets', '--topic', 'b')['items'] == [
        {'topic': 'b', 'partition': 0, 'offset': 3, 'error': None}, {'topic': 'b', 'partition': 1, 'offset': 0, 'error': None}]
    items = asked(cluster, 'log-dirs --describe', '--topic-list', 'b')['items']
    assert [i['broker'] for i in items] == [1, 2, 3] and all(0 < i['usableBytes'] < i['totalBytes'] for i in items)
    assert all([(p['topic'], p['partition'], p['size'] > 0) for p in i['partitions']] == [('b', 0, True), ('b', 1, False)] for i in items)


def test_moves(cluster, tmp_path):
    assert run('kcat', '-P', '-b', cluster.servers, '-t', 'one', '-p', '0', input=(b'x' * 100000 + b'\n') * 40)[0] == 0
    file, moves = tmp_path / 'move.json', ('reassign-partitions', '--bootstrap-server', cluster.servers)
    file.write_text('{"version":1,"partitions":[{"topic":"one","partition":0,"replicas":[1]}]}')
    status, out, err = millrace(*moves, '--execute', '--throttle', '1000', '--reassignment-json-file', str(file))
    assert status == 0, out + err
    v = asked(cluster, 'reassign-partitions --list')
    assert v['items'] == [{'topic': 'one', 'partition': 0, 'replicas': [1, 3], 'adding': [1], 'removing': [3]}]
    assert (v['throttledBrokers'], v['throttledTopics']) == ([1, 3], ['one'])
    v = asked(cluster, 'reassign-partitions --list', controllers=True)
    assert len(v['items']) == 1 and (v['throttledBrokers'], v['throttledTopics']) == (None, None)
    status, out, err = millrace(*moves, '--cancel', '--reassignment-json-file', str(file))
    assert status == 0, out + err
    status, out, err = millrace(*moves, '--list', '--json')
    assert (status, json.loads(out)) == (0, {'version': 1, 'list': 'reassignments', 'items': [], 'throttledBrokers': [], 'throttledTopics': []})


@pytest.mark.parametrize('controllers', (False, True))
def test_the_cluster(cluster, controllers):
    q = asked(cluster, 'metadata-quorum describe', controllers=controllers)
    assert q['clusterId'] == cluster.cluster.id and sorted(i['nodeId'] for i in q['items']) == [1, 2, 3]
    assert [i['nodeId'] for i in q['items'] if i['status'] == 'Leader'] == [q['leaderId']]
    ports = {i['nodeId']: i['endpoints'][0]['port'] for i in q['items']}
    assert ports == {n.id: n.controller_port for n in cluster.cluster.nodes}
    assert asked(cluster, 'cluster cluster-id', controllers=controllers)['items'] == [{'clusterId': cluster.cluster.id}]
    items = asked(cluster, 'cluster list-endpoints', controllers=controllers)['items']
    assert {(i['id'], i['port'], i['endpointType']) for i in items} == {
        (n.id, n.controller_port if controllers else n.port, 'controller' if controllers else 'broker') for n in cluster.cluster.nodes}
    if not controllers:
        millrace('topics', '--bootstrap-server', cluster.servers, '--create', '--topic', 'two', '--partitions', '1', '--config', 'min.insync.replicas=1')
        d = asked(cluster, 'cluster doctor')
        assert (d['clusterId'], d['healthy']) == (cluster.cluster.id, True) and {i['severity'] for i in d['items']} == {'note'}
    f = asked(cluster, 'features describe', controllers=controllers)
    assert {i['feature']: (i['level'], i['release']) for i in f['items']}['metadata.version'] == (30, '4.3-IV0')
    items = asked(cluster, 'broker-api-versions', controllers=controllers)['items']
    keys = {a['name']: a['usableVersion'] for a in items[0]['apis']}
    assert [i['id'] for i in items] == [1, 2, 3] and ('Produce' in keys) != controllers and 'DescribeQuorum' in keys


def test_balance(cluster):
    cluster.cluster.tool('topics', '--create', '--topic', 'skewed', '--replica-assignment', '1,1,1,1,1,1')
    cluster.cluster.wait_in_sync('skewed')
    v = asked(cluster, 'balance --dry-run')
    assert [b['id'] for b in v['brokers']] == [1, 2, 3] and set(v['brokers'][0]) == {'id', 'rack', 'receives', 'now', 'then'}
    assert set(v['brokers'][0]['now']) == {'bytes', 'replicas', 'leaders'} and v['copies'] == sum(i['copies'] for i in v['items']) >= 1
    assert all(set(i['from']) != set(i['to']) or i['copies'] == 0 for i in v['items'])
    cluster.cluster.tool('topics', '--delete', '--topic', 'skewed')
