"""`--json`: one line, one shape, the names that docs/TOOLS.md promises, and what they say of a cluster."""
import json
import os
import re
import subprocess
import time

import pytest
from cluster_session import Cluster, ClusterTarget
from members import wait
from node import ROOT, binary, millrace, run


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
                as_other = re.fullmatch('as `(.*)`', text)
                of_item, _, beside = text.partition('; beside `items`:')
                for command in cells[0].split(', '):
                    rows[command.strip('`')] = rows[as_other[1]] if as_other else (cells[1], names(of_item.partition(';')[0]), names(beside))
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


def asked(cluster, command, *more, controllers=False, ends=0):
    """Of a cluster, or (None) of what needs none."""
    servers = () if cluster is None else ('--bootstrap-controller', cluster.controller_servers) if controllers else ('--bootstrap-server', cluster.servers)
    status, out, err = millrace(*command.split(), *more, *servers, '--json')
    assert status == ends and out.count('\n') == 1, out + err
    v = json.loads(out)
    kind, of_item, beside = PROMISED[command]
    assert v['version'] == 1 and v['list'] == kind
    assert set(v) == {'version', 'list', 'items'} | beside
    assert v['items'] and all(set(i) == of_item for i in v['items'])
    return v


def test_every_command_of_the_table_is_tested():
    with open(__file__, encoding='utf-8') as f:
        text = f.read()
    assert len(PROMISED) == 29 and all(re.search(r"asked\((cluster|c|None), '%s'" % re.escape(c), text) for c in PROMISED)


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
    v = asked(cluster, 'consumer-groups --explain', 'g')
    assert (v['group'], v['state'], v['members']) == ('g', 'Empty', 0)
    assert all(abs(i['timeMs'] / 1000 - time.time()) < 3600 and len(i['text']) > 10 for i in v['items'])
    status, out, err = millrace('consumer-groups', '--bootstrap-server', cluster.servers, '--delete', '--group', 'g', '--json')
    assert status == 1 and 'json' in err


def test_offsets_that_a_group_would_get(cluster):
    reset = ('consumer-groups', '--bootstrap-server', cluster.servers, '--reset-offsets', '--json', '--topic', 'b')
    items = asked(cluster, 'consumer-groups --reset-offsets', '--group', 'g', '--group', 'fresh', '--topic', 'b:1', '--topic', 'b:0', '--to-latest')['items']
    assert items == [{'group': g, 'topic': 'b', 'partition': p, 'newOffset': n} for g in ('fresh', 'g') for p, n in ((0, 3), (1, 0))]
    late = ('--group', 'g', '--to-datetime', '2033-01-01T00:00:00.000', '--dry-run')
    status, out, err = millrace(*reset, *late)  # what is said beside it stands elsewhere
    assert status == 0 and [i['newOffset'] for i in json.loads(out)['items']] == [3, 0] and err.count('Falling back to latest known offset') == 2
    assert millrace('consumer-groups', *reset[1:4], '--topic', 'b', *late)[1].count('Falling back to latest known offset') == 2
    offsets = asked(cluster, 'consumer-groups --describe', '--group', 'g')['items'][0]['offsets']
    assert {o['partition']: o['committedOffset'] for o in offsets}[0] == 2  # nothing was changed
    for more in ('--execute', '--export'):
        status, out, err = millrace(*reset, '--group', 'g', '--to-earliest', more)
        assert (status, out) == (1, '') and '--json does not go with ' + more in err and len(err.splitlines()) == 1, err
    with subprocess.Popen([binary(), 'console-consumer', '--bootstrap-server', cluster.servers, '--topic', 'b', '--group', 'busy', '--from-beginning'],
                          stdout=subprocess.PIPE) as member:
        assert member.stdout.readline() == b'1\n'  # it is in the group
        status, out, err = millrace(*reset, '--group', 'fresh', '--group', 'busy', '--to-latest', '--dry-run')
        member.terminate()
    assert status == 1 and "the group 'busy' is inactive" in out and '{' not in out, out


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


def asked_moving(cluster):
    return json.loads(millrace('reassign-partitions', '--bootstrap-server', cluster.servers, '--list', '--json')[1])['items']


def test_how_far_a_move_is(cluster, tmp_path):
    here = [i['logDir'] for i in asked(cluster, 'log-dirs --describe')['items'] if i['broker'] == 1][0]
    file = tmp_path / 'move.json'
    moves = ('reassign-partitions', '--bootstrap-server', cluster.servers)
    file.write_text(json.dumps({'partitions': [{'topic': 'one', 'partition': 0, 'replicas': [2]}, {'topic': 'b', 'partition': 0, 'replicas': [1, 2, 3]}]}))
    assert millrace(*moves, '--execute', '--throttle', '1000', '--reassignment-json-file', str(file))[0] == 0
    v = asked(cluster, 'reassign-partitions --verify', '--reassignment-json-file', str(file))
    assert v['items'][0] == {'topic': 'b', 'partition': 0, 'status': 'completed', 'replicas': [1, 2, 3], 'target': [1, 2, 3], 'dirs': []}
    assert (v['items'][1]['status'], set(v['items'][1]['replicas'])) == ('in-progress', {2, 3})
    assert (v['clearedBrokers'], v['clearedTopics']) == (None, None)
    assert millrace(*moves, '--cancel', '--preserve-throttles', '--reassignment-json-file', str(file))[0] == 0
    wait(lambda: not asked_moving(cluster), 'it moves on', 20)
    file.write_text(json.dumps({'partitions': [{'topic': 'one', 'partition': 0, 'replicas': [2]}, {'topic': 'one', 'partition': 7, 'replicas': [2]},
                                               {'topic': 'b', 'partition': 1, 'replicas': [2, 3, 1], 'log_dirs': ['any', 'any', here]},
                                               {'topic': 'b', 'partition': 0, 'replicas': [1, 2, 3], 'log_dirs': ['/else', 'any', 'any']}]}))
    v = asked(cluster, 'reassign-partitions --verify', '--preserve-throttles', '--reassignment-json-file', str(file))
    assert [(i['topic'], i['partition'], i['status'], i['replicas']) for i in v['items']] == [
        ('b', 0, 'completed', [1, 2, 3]), ('b', 1, 'completed', [2, 3, 1]), ('one', 0, 'not-moving', [3]), ('one', 7, 'not-moving', None)]
    assert [i['dirs'] for i in v['items'][:2]] == [[{'broker': 1, 'status': s, 'dir': here, 'future': None, 'target': t}]
                                                   for s, t in (('not-moving', '/else'), ('completed', here))]
    assert (v['clearedBrokers'], v['clearedTopics']) == (None, None)
    v = asked(cluster, 'reassign-partitions --verify', '--reassignment-json-file', str(file))
    assert (v['clearedBrokers'], v['clearedTopics']) == ([1, 2, 3], ['b', 'one'])
    v = json.loads(millrace(*moves, '--list', '--json')[1])
    assert (v['throttledBrokers'], v['throttledTopics']) == ([], [])
    status, out, _ = millrace(*moves, '--execute', '--json', '--reassignment-json-file', str(file))
    assert status == 1 and not out


def test_where_partitions_could_go(cluster, tmp_path):
    file = tmp_path / 'topics.json'
    file.write_text('{"version":1,"topics":[{"topic":"b"},{"topic":"one"}]}')
    v = asked(cluster, 'reassign-partitions --generate', '--broker-list', '1,2,3', '--topics-to-move-json-file', str(file))
    assert [(i['topic'], i['partition'], i['from'], len(i['to'])) for i in v['items']] == [('b', 0, [1, 2, 3], 3), ('b', 1, [2, 3, 1], 3), ('one', 0, [3], 1)]
    for name, side in (('current', 'from'), ('proposed', 'to')):  # files for --execute
        assert [(p['topic'], p['partition'], p['replicas']) for p in v[name]['partitions']] == [(i['topic'], i['partition'], i[side]) for i in v['items']]
    file.write_text(json.dumps(v['current']))
    v = asked(cluster, 'reassign-partitions --verify', '--reassignment-json-file', str(file))
    assert {i['status'] for i in v['items']} == {'completed'}


def test_elections(cluster, tmp_path):
    file = tmp_path / 'elect.json'
    file.write_text('{"partitions":[{"topic":"b","partition":0},{"topic":"b","partition":9}]}')
    words = ('--election-type', 'preferred', '--path-to-json-file', str(file))
    v = asked(cluster, 'leader-election', *words, ends=1)
    assert v['electionType'] == 'PREFERRED'
    assert v['items'][0] == {'topic': 'b', 'partition': 0, 'elected': False, 'error': None, 'message': None}
    assert (v['items'][1]['partition'], v['items'][1]['elected'], v['items'][1]['error']) == (9, False, 'UNKNOWN_TOPIC_OR_PARTITION')
    assert len(v['items'][1]['message']) > 10
    status, out, err = millrace('leader-election', '--bootstrap-server', cluster.servers, *words, '--json')
    assert (status, err) == (1, '1 replica(s) could not be elected\n')
    config = tmp_path / 'client.properties'
    config.write_text('')
    status, out, err = millrace('leader-election', '--bootstrap-server', cluster.servers, '--election-type', 'preferred', '--all-topic-partitions',
                                '--admin.config', str(config), '--json')
    assert (status, json.loads(out)['list']) == (0, 'elections') and 'deprecated' in err
    cluster.step('kill', ['1'])
    wait(lambda: leader(cluster, 'b', 0) in (2, 3), lambda: leader(cluster, 'b', 0), 30)
    cluster.step('start', ['1'])
    cluster.cluster.wait_in_sync('b')
    v = asked(cluster, 'leader-election', '--election-type', 'preferred', '--topic', 'b', '--partition', '0')
    assert v['items'] == [{'topic': 'b', 'partition': 0, 'elected': True, 'error': None, 'message': None}]
    wait(lambda: leader(cluster, 'b', 0) == 1, lambda: leader(cluster, 'b', 0), 30)
    cluster.cluster.wait_in_sync('__consumer_offsets')
    v = asked(cluster, 'leader-election', '--election-type', 'preferred', '--all-topic-partitions')
    assert all(i['topic'] == '__consumer_offsets' and i['elected'] for i in v['items'])


def leader(cluster, topic, partition):
    items = json.loads(millrace('topics', '--bootstrap-server', cluster.servers, '--describe', '--topic', topic, '--json')[1])['items']
    return items[0]['partitions'][partition]['leader']


def test_records_are_deleted(cluster, tmp_path):
    file = tmp_path / 'cut.json'
    file.write_text('{"partitions":[{"topic":"b","partition":0,"offset":2},{"topic":"b","partition":1,"offset":77},{"topic":"nowhere","partition":0,"offset":1}]}')
    items = asked(cluster, 'delete-records', '--offset-json-file', str(file))['items']
    assert items[0] == {'topic': 'b', 'partition': 0, 'lowWatermark': 2, 'error': None}
    assert [(i['topic'], i['lowWatermark']) for i in items[1:]] == [('b', None), ('nowhere', None)] and all(len(i['error']) > 10 for i in items[1:])


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
    v = asked(cluster, 'balance --dry-run', '--sample-seconds', '1')
    assert [b['id'] for b in v['brokers']] == [1, 2, 3] and set(v['brokers'][0]) == {'id', 'rack', 'receives', 'now', 'then'}
    assert set(v['brokers'][0]['now']) == {'bytes', 'replicas', 'leaders', 'led', 'written'} and v['copies'] == sum(i['copies'] for i in v['items']) >= 1
    assert v['unmeasured'] == 0 and [(b['now']['led'], b['now']['written']) for b in v['brokers']] == [(0, 0)] * 3
    assert v['seconds'] is None
    v = asked(cluster, 'balance --dry-run', '--sample-seconds', '0', '--throttle', '1')
    assert v['seconds'] == 0 and v['bytes'] == 0  # what moves is empty
    v = asked(cluster, 'balance --dry-run', '--sample-seconds', '0')
    assert v['unmeasured'] is None and v['brokers'][0]['then']['led'] is None and v['items'][0]['written'] is None
    assert all(set(i['from']) != set(i['to']) or i['copies'] == 0 for i in v['items'])
    cluster.cluster.tool('topics', '--delete', '--topic', 'skewed')


def topics(c, n):
    """As node n knows them."""
    return [t['name'] for t in c.any('Metadata', 12, {'topics': None, 'allowAutoTopicCreation': False}, [n])['topics']]


def test_drain(tmp_path):
    with Cluster(tmp_path, combined=3, factor=2) as c:
        c.create_topic('pair', 2, 2, assignments=[[1, 2], [2, 3]])
        c.create_topic('all', 1, 3, assignments=[[1, 2, 3]])
        c.wait_in_sync('pair')
        assert asked(c, 'broker drain --status', '2', ends=1)['items'] == [{'broker': 2, 'replicas': 3, 'leaders': 1, 'leaving': 0}]
        status, out, err = millrace('broker', 'drain', '2', '--dry-run', '--json', '--bootstrap-server', c.servers)
        assert (status, out) == (1, '') and 'all (3 replicas)' in err
        c.tool('topics', '--delete', '--topic', 'all')
        wait(lambda: all('all' not in topics(c, n) for n in c.nodes), 'all is still there', 20)
        moves = asked(c, 'broker drain --dry-run', '2')
        assert [(i['topic'], i['partition'], i['from'], i['copies']) for i in moves['items']] == [('pair', 0, [1, 2], 1), ('pair', 1, [2, 3], 1)]
        assert [b['id'] for b in moves['brokers']] == [1, 2, 3] and \
            moves['brokers'][1]['then'] == {'bytes': 0, 'replicas': 0, 'leaders': 0, 'led': None, 'written': None}
        assert c.tool('broker', 'drain', '2').startswith('Moving 2 replicas off broker 2')
        assert asked(c, 'broker drain --status', '2')['items'] == [{'broker': 2, 'replicas': 0, 'leaders': 0, 'leaving': 0}]


def test_levels_of_features():
    for items in (asked(None, 'features version-mapping', '--release-version', '4.3')['items'],
                  asked(None, 'storage version-mapping', '-r', '4.3')['items']):
        assert items[0] == {'feature': 'metadata.version', 'level': 30, 'release': '4.3-IV0'}
        assert {'feature': 'kraft.version', 'level': 1, 'release': None} in items and len(items) == 7
    words = ('eligible.leader.replicas.version=1', '--feature', 'metadata.version=30')
    for items in (asked(None, 'features feature-dependencies', '--feature', *words)['items'],
                  asked(None, 'storage feature-dependencies', '--feature', *words)['items']):
        assert items == [{'feature': 'eligible.leader.replicas.version', 'level': 1, 'release': None,
                          'needs': [{'feature': 'metadata.version', 'level': 23, 'release': '4.0-IV1'}]},
                         {'feature': 'metadata.version', 'level': 30, 'release': '4.3-IV0', 'needs': []}]
    for words in (('version-mapping', '--release-version', '9.9'), ('feature-dependencies', '--feature', 'metadata.version=30', '--feature', 'what=1')):
        status, out, err = millrace('features', *words, '--json')
        assert (status, out) == (1, '') and len(err.splitlines()) == 1


def test_directories_of_a_node(tmp_path):
    """As they are before and after a format, and where they are another node's."""
    file, dirs = tmp_path / 'server.properties', [str(tmp_path / 'one'), str(tmp_path / 'two')]

    def configure(node):
        file.write_text('process.roles=broker,controller\nnode.id=%d\ncontroller.quorum.voters=%d@127.0.0.1:19093\nlog.dirs=%s\n'
                        'listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093\ncontroller.listener.names=CONTROLLER\n'
                        % (node, node, ','.join(dirs)))
    configure(1)
    items = asked(None, 'storage info', '-c', str(file), ends=1)['items']
    assert [(i['logDir'], i['clusterId'], i['nodeId'], i['directoryId']) for i in items] == [(d, None, None, None) for d in dirs]
    assert all('does not exist' in i['problem'] for i in items)
    status, out, err = millrace('storage', 'format', '-t', 'DUO7j3nMRSCdq1RXXLLHig', '-c', str(file))
    assert status == 0, out + err
    items = asked(None, 'storage info', '-c', str(file))['items']
    assert [(i['clusterId'], i['nodeId'], i['problem']) for i in items] == [('DUO7j3nMRSCdq1RXXLLHig', 1, None)] * 2
    assert len({i['directoryId'] for i in items}) == 2
    configure(2)
    items = asked(None, 'storage info', '-c', str(file), ends=1)['items']
    assert all(i['nodeId'] == 1 and 'belongs to node 1, not to node.id=2' in i['problem'] for i in items)
