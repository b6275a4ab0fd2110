#!/usr/bin/env python3
"""Kafka's own command-line tools against one Millrace node, unchanged; and Kafka's dump-log on what the node wrote.

Run by java.sh. The last line is `N passed, N failed`."""
import json
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from java_groups import check_groups  # noqa: E402
from node import ROOT, Node, run  # noqa: E402

KAFKA = os.path.join(ROOT, 'tests/oracle/kafka')
results = []


def check(name, ok, detail=''):
    results.append(ok)
    print('%s %s' % ('ok    ' if ok else 'FAILED', name) + ('' if ok else '\n' + detail[-1500:]), flush=True)


def kafka(tool, *args, **kw):
    return run(KAFKA, tool, *args, **{"timeout": 600, **kw})  # a JVM on a busy machine


def more_tools(n, servers):
    status, out, err = kafka('verifiable-producer', *servers, '--topic', 'ver', '--max-messages', '500', '--acks', '-1', '--throughput', '400',
                             '--value-prefix', '7')
    end = [json.loads(line) for line in out.splitlines() if '"tool_data"' in line]
    check('verifiable-producer --acks -1 --throughput', len(end) == 1 and end[0]['acked'] == 500 and end[0]['avg_throughput'] < 450, out[-500:] + err)
    status, out, err = kafka('console-consumer', *servers, '--topic', 'ver', '--partition', '0', '--offset', '300', '--max-messages', '500',
                             '--timeout-ms', '20000')
    check('console-consumer --partition --offset N', out.split() == ['7.%d' % i for i in range(500)], out[-300:] + err)
    status, out, err = kafka('console-consumer', *servers, '--topic', 'one', '--partition', '0', '--offset', '490', '--timeout-ms', '15000',
                             '--formatter-property', 'print.offset=true', '--formatter-property', 'print.partition=true')
    check('console-consumer --offset 490 to the end', out == ''.join('Partition:0\tOffset:%d\tvalue %d\n' % (i, i) for i in range(490, 500)), out + err)
    for codec in ('none', 'gzip', 'snappy', 'lz4', 'zstd'):
        status, out, err = kafka('producer-perf-test', '--bootstrap-server', n.servers, '--topic', 'perf-' + codec, '--num-records', '20000',
                                 '--record-size', '500', '--throughput', '-1', '--command-property', 'acks=all', 'compression.type=' + codec)
        check('producer-perf-test ' + codec, status == 0 and out.splitlines()[-1].startswith('20000 records sent'), out[-500:] + err[-500:])
        status, out, err = kafka('get-offsets', *servers, '--topic', 'perf-' + codec)
        check('get-offsets after it, ' + codec, out == 'perf-%s:0:20000\n' % codec, out + err)
    status, out, err = kafka('log-dirs', *servers, '--describe', '--topic-list', 'one')
    dirs = json.loads(out.splitlines()[-1])['brokers'][0]['logDirs'] if status == 0 else []
    check('log-dirs --describe', len(dirs) == 1 and dirs[0]['error'] is None and dirs[0]['partitions'][0]['partition'] == 'one-0' and
          dirs[0]['partitions'][0]['size'] > 0, out + err)
    status, out, err = kafka('features', '--bootstrap-server', n.servers, 'describe')
    check('features describe', status == 0 and 'Feature: metadata.version' in out and 'Feature: kraft.version' in out, out + err)
    status, out, err = kafka('cluster', 'cluster-id', '--bootstrap-server', n.servers)
    check('cluster cluster-id', re.fullmatch(r'Cluster ID: \S{22}\n', out) is not None, out + err)
    status, out, err = kafka('metadata-quorum', '--bootstrap-server', n.servers, 'describe', '--replication')
    check('metadata-quorum describe --replication', status == 0 and 'Leader' in out.splitlines()[-1], out + err)
    status, out, err = kafka('configs', *servers, '--alter', '--entity-type', 'brokers', '--entity-default', '--add-config', 'log.retention.ms=7200000')
    check('configs --alter of all brokers', status == 0 and 'Completed updating default config for brokers' in out, out + err)
    status, out, err = kafka('configs', *servers, '--describe', '--entity-type', 'brokers', '--entity-default')
    check('configs --describe of all brokers', 'log.retention.ms=7200000' in out, out + err)
    status, out, err = kafka('configs', *servers, '--alter', '--entity-type', 'brokers', '--entity-default', '--delete-config', 'log.retention.ms')
    check('configs --delete-config of all brokers', status == 0, out + err)


def java_client(n):
    """The checks of JavaClient.java: one result each."""
    status, out, err = kafka('java', os.path.join(ROOT, 'tests/compat/JavaClient.java'), n.servers, timeout=600)
    found = re.findall(r'^(ok|FAILED) ([^:\n]*)(.*)$', out, re.M)
    for verdict, name, why in found:
        check('Java client: ' + name, verdict == 'ok', why)
    check('Java client: to its end', len(found) >= 25 and status == (0 if all(f[0] == 'ok' for f in found) else 1), out[-500:] + err[-500:])


def main():
    folder = tempfile.mkdtemp(prefix='java-tools-')
    with Node(folder) as n:
        servers = ('--bootstrap-server', n.servers)
        status, out, err = kafka('topics', *servers, '--create', '--topic', 'j', '--partitions', '2', '--config', 'retention.ms=3600000')
        check('topics --create', status == 0 and out == 'Created topic j.\n', out + err)
        status, out, err = kafka('topics', *servers, '--create', '--topic', 'j')
        check('topics --create again', status == 1 and 'already exists' in out, out + err)
        status, out, err = kafka('topics', *servers, '--list')
        check('topics --list', status == 0 and 'j' in out.split(), out + err)
        status, out, err = kafka('topics', *servers, '--describe', '--topic', 'j')
        check('topics --describe', status == 0 and 'retention.ms=3600000' in out and
              '\tTopic: j\tPartition: 1\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: \n' in out, out + err)
        status, out, err = kafka('topics', *servers, '--alter', '--topic', 'j', '--partitions', '3')
        check('topics --alter', status == 0, out + err)
        status, out, err = kafka('configs', *servers, '--alter', '--entity-type', 'topics', '--entity-name', 'j', '--add-config', 'segment.ms=3600000')
        check('configs --alter', status == 0 and 'Completed updating config for topic j.' in out, out + err)
        status, out, err = kafka('configs', *servers, '--describe', '--entity-type', 'topics', '--entity-name', 'j')
        check('configs --describe', 'segment.ms=3600000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:segment.ms=3600000' in out, out + err)
        status, out, err = kafka('configs', *servers, '--describe', '--entity-type', 'brokers', '--entity-name', '1', '--all')
        check('configs --describe broker --all', status == 0 and 'log.retention.hours=168' in out, out + err)
        lines = ''.join('key%d\tvalue %d\n' % (i, i) for i in range(500))
        status, out, err = kafka('console-producer', *servers, '--topic', 'one', '--reader-property', 'parse.key=true', input=lines.encode())
        check('console-producer (topic made on demand)', status == 0 and 'ERROR' not in out + err, out + err)
        status, out, err = kafka('console-consumer', *servers, '--topic', 'one', '--partition', '0', '--offset', 'earliest', '--max-messages', '500',
                                 '--timeout-ms', '20000', '--formatter-property', 'print.key=true')
        check('console-consumer --partition', out == lines, out[-300:] + err)
        status, out, err = kafka('get-offsets', *servers, '--topic', 'one')
        check('get-offsets', out == 'one:0:500\n', out + err)
        status, out, err = kafka('get-offsets', *servers, '--topic', 'one', '--time', 'max-timestamp')
        check('get-offsets max-timestamp', re.fullmatch(r'one:0:\d+\n', out) is not None, out + err)
        cut = os.path.join(folder, 'cut.json')
        json.dump({'partitions': [{'topic': 'one', 'partition': 0, 'offset': 100}], 'version': 1}, open(cut, 'w'))
        status, out, err = kafka('delete-records', *servers, '--offset-json-file', cut)
        check('delete-records', 'partition: one-0\tlow_watermark: 100' in out, out + err)
        status, out, err = kafka('get-offsets', *servers, '--topic', 'one', '--time', 'earliest')
        check('get-offsets earliest', out == 'one:0:100\n', out + err)
        status, out, err = kafka('verifiable-producer', *servers, '--topic', 'ver', '--max-messages', '300')
        check('verifiable-producer', out.count('producer_send_success') == 300 and '"acked":300' in out, out[-500:] + err)
        status, out, err = kafka('broker-api-versions', *servers)
        check('broker-api-versions', status == 0 and '\tProduce(0): 0 to 13 [usable: 13],' in out, out + err)
        status, out, err = kafka('metadata-quorum', *servers, 'describe', '--status')
        check('metadata-quorum describe --status', status == 0 and 'LeaderId:' in out, out + err)
        more_tools(n, servers)
        check_groups(n, servers, folder, check, kafka)
        java_client(n)
        status, out, err = kafka('topics', *servers, '--delete', '--topic', 'j')
        check('topics --delete', status == 0, out + err)
        n.stop()
        data = os.path.join(folder, 'data')
        status, out, err = kafka('dump-log', '--deep-iteration', '--files', os.path.join(data, 'one-0/00000000000000000000.log'))
        check('dump-log of a segment', status == 0 and 'lastOffset: 499' in out and 'isvalid: false' not in out, out[-500:] + err)
        status, out, err = kafka('dump-log', '--verify-index-only', '--files', os.path.join(data, 'one-0/00000000000000000000.index'))
        check('dump-log --verify-index-only', status == 0 and 'mismatch' not in (out + err).lower(), out + err)
        status, out, err = kafka('dump-log', '--cluster-metadata-decoder', '--files', os.path.join(data, '__cluster_metadata-0/00000000000000000000.log'))
        check('dump-log --cluster-metadata-decoder', status == 0 and '"TOPIC_RECORD"' in out and 'REGISTER_BROKER_RECORD' in out, out[-500:] + err)
        n.start()
    print('%d passed, %d failed' % (sum(results), len(results) - sum(results)))
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
