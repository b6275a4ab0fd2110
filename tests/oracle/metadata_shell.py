#!/usr/bin/env python3
"""Kafka's metadata-shell and dump-log read the metadata log and a snapshot of a Millrace node: topics, partitions, settings, features and
brokers are what was made, and dump-log prints what `millrace dump-log` prints.

    metadata_shell.py    the last line is `N passed, N failed`. Run by metadata_shell.sh.

The shell runs its command while it still loads at times: an answer is waited for."""
import glob
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from node import ROOT, Node, millrace, run  # noqa: E402

KAFKA = os.path.join(ROOT, 'tests/oracle/kafka')
TOPICS = {'shelled': 3, 'many': 60, 'after': 2}
TRIES = 5
results = []


def check(name, ok, why=''):
    results.append(ok)
    print('%-7s%s%s' % ('ok' if ok else 'FAILED', name, '' if ok else ': ' + why), flush=True)


def make(n):
    for topic, partitions in TOPICS.items():
        config = ('--config', 'retention.ms=12345') if topic == 'shelled' else ()
        status, out, err = millrace('topics', '--bootstrap-server', n.servers, '--create', '--topic', topic, '--partitions', str(partitions), *config)
        if status:
            raise SystemExit(out + err)


def shell(file, *command, until):
    """What the shell prints, once it is what `until` accepts or it was asked TRIES times."""
    for _ in range(TRIES):
        status, out, err = run(KAFKA, 'metadata-shell', '--snapshot', file, *command)
        if status == 0 and until(out):
            return True, out
    return False, 'status %d: %s%s' % (status, out[-500:], err[-500:])


def dumped(*command):
    """Lines of a dump, without paths and what only one of the two says beside the records."""
    status, out, err = run(*command)
    return sorted(x for x in out.splitlines() if x.startswith(('baseOffset', '|'))) if status == 0 else [err]


def look(kind, file):
    def whole(out):
        found = {t: len(re.findall(r'^/image/topics/byName/%s/\d+$' % t, out, re.M)) for t in TOPICS}
        return found == TOPICS and '/image/cluster/brokers/1\n' in out and '/image/cluster/controllers/1\n' in out
    check('%s: find / has all topics, partitions, the broker and the controller' % kind, *shell(file, 'find', '/', until=whole))
    for node, wanted in (('/image/configs/TOPIC:shelled/retention.ms', '12345'), ('/image/features/metadataVersion', 'Optional[4.3'),
                         ('/image/topics/byName/many/59', 'replicas=[1]')):
        check('%s: cat %s' % (kind, node), *shell(file, 'cat', node, until=lambda out, wanted=wanted: wanted in out))
    args = ('dump-log', '--cluster-metadata-decoder', '--files', file)
    theirs, ours = dumped(KAFKA, *args), dumped(os.path.join(os.environ['MILLRACE_BUILD'], 'millrace'), *args)
    check('%s: dump-log prints what ours prints (%d lines)' % (kind, len(ours)), len(ours) > 20 and theirs == ours,
          str([x for x in theirs + ours if (x in theirs) != (x in ours)][:2]))


def main():
    with tempfile.TemporaryDirectory() as folder:
        n = Node(folder, ['metadata.log.max.record.bytes.between.snapshots=6000']).start()
        try:
            make(n)
        finally:
            n.stop()
        log = os.path.join(folder, 'data/__cluster_metadata-0')
        snapshots = sorted(glob.glob(log + '/*.checkpoint'))
        check('a snapshot was taken', len(snapshots) > 0, str(os.listdir(log)))
        look('log', os.path.join(log, '0' * 20 + '.log'))
        # the newest snapshot need not have the last topic
        if snapshots:
            TOPICS.pop('after')
            look('snapshot', snapshots[-1])
    print('%d passed, %d failed' % (sum(results), len(results) - sum(results)))
    return 0 if all(results) else 1


sys.exit(main())
