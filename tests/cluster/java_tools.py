#!/usr/bin/env python3
"""Kafka's own command-line tools, unchanged, against a cluster of three controllers and three brokers: what they say while a broker is down, and
what they change.

Run by java_tools.sh; words after it are the parts to run (of main()), without one all are. Tools run one after another in one Java process
(tests/oracle/RunTools.java). The last line is `N passed, N failed`."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from cluster import ROOT, Cluster, wait  # noqa: E402

KAFKA = os.path.join(ROOT, 'tests/oracle/kafka')
MAIN = {'topics': 'TopicCommand', 'leader-election': 'LeaderElectionCommand', 'log-dirs': 'LogDirsCommand', 'metadata-quorum': 'MetadataQuorumCommand',
        'reassign-partitions': 'reassign.ReassignPartitionsCommand', 'features': 'FeatureCommand', 'cluster': 'ClusterTool',
        'broker-api-versions': 'BrokerApiVersionsCommand', 'get-offsets': 'GetOffsetShell', 'producer-perf-test': 'ProducerPerformance',
        'replica-verification': 'ReplicaVerificationTool', 'configs': '!kafka.admin.ConfigCommand'}
results = []


class Tools:
    """Runs tools in batches, in one Java process: each a tuple of words; answers [(status, output and errors)]."""

    def __init__(self):
        self.folder, self.n = tempfile.mkdtemp(prefix='cluster-tools-'), 0
        self.log = open(os.path.join(self.folder, 'java.log'), 'w+')
        self.java = subprocess.Popen([KAFKA, 'java', os.path.join(ROOT, 'tests/oracle/RunTools.java')], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=self.log, text=True)

    def end(self):
        self.java.stdin.close()
        self.java.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def done(self):
        """Until Java says so; what else tools print past their streams is passed over. False if it has ended."""
        return any(line == 'done\n' for line in iter(self.java.stdout.readline, ''))

    def run(self, *commands):
        self.n += 1
        folder = os.path.join(self.folder, str(self.n))
        os.makedirs(folder)
        plan = os.path.join(folder, 'plan')
        with open(plan, 'w') as f:
            for i, words in enumerate(commands):
                name = MAIN[words[0]]
                main = name[1:] if name[0] == '!' else 'org.apache.kafka.tools.' + name
                f.write('\t'.join(['c%d' % i, main, ''] + [str(w) for w in words[1:]]) + '\n')
        self.java.stdin.write('%s\t%s\n' % (plan, folder))
        self.java.stdin.flush()
        if not self.done():
            raise SystemExit('Java has ended: ' + open(self.log.name).read()[-3000:])
        out = []
        for i in range(len(commands)):
            files = [os.path.join(folder, 'c%d.%s' % (i, e)) for e in ('status', 'out', 'err')]
            if not os.path.exists(files[0]):
                out.append((-1, 'it was not run'))
            else:
                out.append((int(open(files[0]).read()), open(files[1]).read() + open(files[2]).read()))
        return out


def check(name, ok, detail=''):
    results.append(bool(ok))
    print('%s %s' % ('ok    ' if ok else 'FAILED', name) + ('' if ok else '\n' + str(detail)[-1500:]), flush=True)


def looks(t, c, b, ctl):
    """What does not change anything, on a cluster that is whole."""
    got = t.run(('topics', *b, '--create', '--topic', 't', '--partitions', 3, '--replication-factor', 3),
                ('topics', *b, '--describe', '--topic', 't'),
                ('topics', *b, '--describe', '--under-replicated-partitions'),
                ('topics', *b, '--describe', '--unavailable-partitions'),
                ('topics', *b, '--describe', '--at-min-isr-partitions'),
                ('metadata-quorum', *b, 'describe', '--status'),
                ('metadata-quorum', *b, 'describe', '--replication'),
                ('metadata-quorum', *ctl, 'describe', '--status'),
                ('metadata-quorum', *ctl, 'describe', '--replication'),
                ('cluster', 'cluster-id', *b),
                ('cluster', 'cluster-id', *ctl),
                ('cluster', 'list-endpoints', *b),
                ('cluster', 'list-endpoints', *ctl),
                ('features', *b, 'describe'),
                ('features', *ctl, 'describe'),
                ('broker-api-versions', *b),
                ('log-dirs', *b, '--describe', '--topic-list', 't'))
    s, out = got[1]
    check('topics --describe', s == 0 and out.count('\tTopic: t\t') == 3 and sorted(re.findall(r'Leader: (\d+)', out)) == ['11', '12', '13'], out)
    for i, name in ((2, 'under-replicated'), (3, 'unavailable'), (4, 'at-min-isr')):
        check('topics --describe --%s-partitions: none' % name, got[i] == (0, '') or (got[i][0] == 0 and 'Partition:' not in got[i][1]), got[i])
    for i, how in ((5, 'by brokers'), (7, 'by controllers')):
        s, out = got[i]
        leader = re.search(r'LeaderId:\s+(\d+)', out)
        voters = re.search(r'CurrentVoters:\s+(.*)', out)
        check('metadata-quorum describe --status, ' + how, s == 0 and leader and int(leader[1]) in (1, 2, 3) and
              voters and sorted(re.findall(r'"id": (\d+)|\b([123])\b', voters[1]))[:1], out)
        s, out = got[i + 1]
        rows = [line.split() for line in out.splitlines()[1:]]
        check('metadata-quorum describe --replication, ' + how, s == 0 and sorted(r[0] for r in rows) == ['1', '11', '12', '13', '2', '3'] and
              sorted(r[-1] for r in rows) == ['Follower'] * 2 + ['Leader'] + ['Observer'] * 3, out)
    for i in (9, 10):
        check('cluster cluster-id, %s' % ('by brokers', 'by controllers')[i - 9], got[i] == (0, 'Cluster ID: %s\n' % c.id), got[i])
    for i, ids in ((11, (11, 12, 13)), (12, (1, 2, 3))):
        s, out = got[i]
        check('cluster list-endpoints, %s' % ids[0], s == 0 and all(re.search(r'^%d\s+127\.0\.0\.1\s+%d' % (
            n, c.node(n).port if n > 10 else c.node(n).controller_port), out, re.M) for n in ids), out)
    for i in (13, 14):
        check('features describe, %s' % ('by brokers', 'by controllers')[i - 13], got[i][0] == 0 and 'Feature: metadata.version' in got[i][1], got[i])
    check('broker-api-versions', got[15][0] == 0 and got[15][1].count('(id: 1') == 3 and 'AlterPartitionReassignments' in got[15][1], got[15])
    s, out = got[16]
    dirs = {x['broker']: [p for d in x['logDirs'] for p in d['partitions']] for x in json.loads(out.splitlines()[2])['brokers']} if s == 0 and len(out.splitlines()) > 2 else {}
    check('log-dirs --describe', set(dirs) == {11, 12, 13} and all(len(p) == 3 for p in dirs.values()), out)


def one_down(t, c, b):
    c.create_topic('two', 1, 2, assignments=[[12, 13]])
    c.create_topic('one', 1, 1, assignments=[[12]])
    c.node(12).kill()
    c.wait_unfenced({11, 13})
    c.wait_partition('t', 0, not_leader=12)
    got = t.run(('topics', *b, '--describe', '--under-replicated-partitions'),
                ('topics', *b, '--describe', '--unavailable-partitions'),
                ('topics', *b, '--describe', '--at-min-isr-partitions'),
                ('topics', *b, '--describe', '--under-min-isr-partitions'))
    rows = [re.findall(r'Topic: (\S+)\tPartition: (\d+)', out) for _, out in got]
    check('topics --describe --under-replicated-partitions: one broker down', len(rows[0]) == 5 and ('two', '0') in rows[0] and ('one', '0') in rows[0], got[0])
    check('topics --describe --unavailable-partitions', rows[1] == [('one', '0')], got[1])
    check('topics --describe --at-min-isr-partitions', sorted(rows[2]) == [('t', '0'), ('t', '1'), ('t', '2')], got[2])
    check('topics --describe --under-min-isr-partitions', set(rows[3]) == {('one', '0'), ('two', '0')}, got[3])
    c.node(12).start()
    c.wait_in_sync('t')
    c.wait_in_sync('two')


def election(t, c, b):
    c.node(12).restart()
    c.wait_in_sync('t')
    first = {p: x['replicaNodes'][0] for p, x in c.partitions('t').items()}
    got = t.run(('leader-election', *b, '--election-type', 'preferred', '--all-topic-partitions'),
                ('leader-election', *b, '--election-type', 'preferred', '--topic', 't', '--partition', 0))
    check('leader-election preferred, all', got[0][0] == 0 and 'Error' not in got[0][1], got[0])
    wait(lambda: {p: x['leaderId'] for p, x in c.partitions('t').items()} == first, 'leaders stay')
    check('leader-election preferred: leaders are where they belong', True)
    check('leader-election where nothing is to be done', 'no election needed' in got[1][1].lower() or 'already' in got[1][1].lower(), got[1])


def moves(t, c, b):
    # factor 2, so that it can move
    c.create_topic('m', 2, 2, assignments=[[11, 12], [12, 11]])
    t.run(('producer-perf-test', *b, '--topic', 'm', '--num-records', 20000, '--record-size', 1000, '--throughput', -1, '--command-property', 'acks=all'))
    topics, plan = os.path.join(t.folder, 'topics.json'), os.path.join(t.folder, 'plan.json')
    json.dump({'topics': [{'topic': 'm'}], 'version': 1}, open(topics, 'w'))
    json.dump({'version': 1, 'partitions': [{'topic': 'm', 'partition': p, 'replicas': [13, 11]} for p in (0, 1)]}, open(plan, 'w'))
    r = ('reassign-partitions', *b)
    got = t.run((*r, '--generate', '--topics-to-move-json-file', topics, '--broker-list', '11,13'),
                (*r, '--execute', '--reassignment-json-file', plan, '--throttle', 50000),
                (*r, '--list'),
                (*r, '--verify', '--preserve-throttles', '--reassignment-json-file', plan),
                (*r, '--cancel', '--reassignment-json-file', plan),
                (*r, '--list'))
    check('reassign-partitions --generate', got[0][0] == 0 and 'Proposed partition reassignment configuration' in got[0][1], got[0])
    check('reassign-partitions --execute --throttle', got[1][0] == 0 and 'Successfully started partition reassignments for m-0,m-1' in got[1][1], got[1])
    check('reassign-partitions --list', got[2][0] == 0 and 'm-0: replicas: ' in got[2][1] and 'adding: 13' in got[2][1], got[2])
    check('reassign-partitions --verify: in progress', 'Reassignment of partition m-0 is still in progress' in got[3][1], got[3])
    check('reassign-partitions --cancel', got[4][0] == 0 and 'Successfully cancelled partition reassignments' in got[4][1], got[4])
    check('reassign-partitions --list: none', 'No partition reassignments found' in got[5][1], got[5])
    wait(lambda: c.partition('m', 0)['replicaNodes'] == [11, 12], lambda: str(c.partition('m', 0)))
    got = t.run((*r, '--execute', '--reassignment-json-file', plan))
    check('reassign-partitions --execute', got[0][0] == 0 and 'Successfully started' in got[0][1], got[0])
    wait(lambda: all(set(x['isrNodes']) == {11, 13} and set(x['replicaNodes']) == {11, 13} for x in c.partitions('m').values()),
         lambda: str(c.partitions('m')))
    got = t.run((*r, '--verify', '--reassignment-json-file', plan), ('get-offsets', *b, '--topic', 'm'))
    check('reassign-partitions --verify: done', got[0][1].count('is completed') == 2 and 'Clearing' in got[0][1], got[0])
    check('get-offsets after the move', sum(int(x) for x in re.findall(r'm:\d:(\d+)', got[1][1])) == 20000, got[1])
    check('the old replica is deleted', not glob.glob(c.node(12).data + '*/m-*[01]'), glob.glob(c.node(12).data + '*/*'))


def described(out):
    """{(broker, path): {partition: (is future, size, lag)}} of log-dirs --describe."""
    found = json.loads(next(line for line in out.splitlines() if line.startswith('{')))
    return {(x['broker'], d['logDir']): {int(p['partition'].rpartition('-')[2]): (p['isFuture'], p['size'], p['offsetLag']) for p in d['partitions']}
            for x in found['brokers'] for d in x['logDirs']}


def directories(t, c, b):
    """Replicas move between the log directories of their brokers, one of them on its way to another broker."""
    d = {i: [c.node(i).data, c.node(i).data + '2'] for i in (11, 12, 13)}
    logs, plan = ('log-dirs', *b, '--describe', '--topic-list', 'd'), os.path.join(t.folder, 'dirs.json')
    got = t.run(('topics', *b, '--create', '--topic', 'd', '--replica-assignment', '11:12,11:12'),
                ('producer-perf-test', *b, '--topic', 'd', '--num-records', 60000, '--record-size', 100, '--throughput', -1), logs)
    place = {(i, p): path for (i, path), rows in described(got[2][1]).items() for p in rows}
    check('log-dirs --describe', len(place) == 4, got)
    away = {k: next(x for x in d[k[0]] if x != path) for k, path in place.items()}
    json.dump({'version': 1, 'partitions': [
        {'topic': 'd', 'partition': 0, 'replicas': [11, 12], 'log_dirs': [away[11, 0], 'any']},
        {'topic': 'd', 'partition': 1, 'replicas': [11, 13], 'log_dirs': [away[11, 1], d[13][1]]}]}, open(plan, 'w'))
    r = ('reassign-partitions', *b)
    got = t.run((*r, '--execute', '--reassignment-json-file', plan, '--replica-alter-log-dirs-throttle', 100000),
                logs, (*r, '--verify', '--preserve-throttles', '--reassignment-json-file', plan))
    check('reassign-partitions --execute with log_dirs', got[0][1].count('Successfully started moving log directory') == 3, got[0])
    rows = described(got[1][1])
    futures = [p for (i, path), x in rows.items() for p, row in x.items() if row[0]]
    check('log-dirs --describe shows the future logs', set(futures) == {0, 1}, got[1])
    check('their lag is told', all(row[2] > 0 for x in rows.values() for row in x.values() if row[0]), got[1])
    check('reassign-partitions --verify: still in progress', got[2][1].count('still in progress') >= 2, got[2])
    got = t.run((*r, '--execute', '--additional', '--reassignment-json-file', plan, '--replica-alter-log-dirs-throttle', 100000000))
    check('a higher throttle', got[0][0] == 0, got[0])
    wait(lambda: set(c.partition('d', 1)['replicaNodes']) == {11, 13}, lambda: str(c.partitions('d')))

    def done():
        rows = described(t.run(logs)[0][1])
        return all(not row[0] for x in rows.values() for row in x.values()) and rows
    rows = wait(done, 'the moves do not end', 120) or done()
    got = t.run((*r, '--verify', '--reassignment-json-file', plan), ('get-offsets', *b, '--topic', 'd'))
    check('reassign-partitions --verify: done', got[0][1].count('completed successfully') >= 3 and 'Clearing' in got[0][1], got[0])
    check('they lie where they were wanted', 0 in rows[11, away[11, 0]] and 1 in rows[11, away[11, 1]] and 1 in rows[13, d[13][1]], rows)
    check('get-offsets after the move', sum(int(x) for x in re.findall(r'd:\d:(\d+)', got[1][1])) == 60000, got[1])


def farewell(t, c, b, ctl):
    n = c.node(12)
    n.stop()
    c.wait_unfenced({11, 13})
    got = t.run(('cluster', 'unregister', *b, '--id', 12), ('cluster', 'unregister', *ctl, '--id', 99), ('cluster', 'list-endpoints', *b))
    check('cluster unregister', got[0][0] == 0 and 'Broker 12 is no longer registered.' in got[0][1], got[0])
    check('cluster unregister of nobody', 'not registered' in got[1][1] or 'not found' in got[1][1].lower(), got[1])
    check('cluster list-endpoints without it', '12 ' not in [line[:3] for line in got[2][1].splitlines()], got[2])


def main():
    t = Tools()
    dirs = {i: {'log.dirs': '{0}/data,{0}/data2'.format(os.path.join(t.folder, 'nodes/node%d' % i))} for i in (11, 12, 13)}
    try:
        with Cluster(os.path.join(t.folder, 'nodes'), controllers=3, brokers=3, settings={'broker.session.timeout.ms': 9000}, per_node=dirs) as c:
            b, ctl = ('--bootstrap-server', c.servers), ('--bootstrap-controller', c.controller_servers)
            parts = {'looks': lambda: looks(t, c, b, ctl), 'one_down': lambda: one_down(t, c, b), 'election': lambda: election(t, c, b),
                     'moves': lambda: moves(t, c, b), 'directories': lambda: directories(t, c, b), 'farewell': lambda: farewell(t, c, b, ctl)}
            for name in sys.argv[1:] or parts:
                try:
                    parts[name]()
                except AssertionError as e:
                    check(name + ': to the end', False, str(e))
    finally:
        t.end()
    print('%d passed, %d failed' % (sum(results), len(results) - sum(results)))
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
