#!/usr/bin/env python3
"""franz-go's own tests against a Millrace node: those tests of its package kgo that talk to a broker (the others know no broker, or bring
their own), found in their sources. Each of them runs, or stands in LATER with the reason. The module comes from the Go module proxy; its
test binary is built once in a cache folder outside the tree.

    franz.py [--list] [NAME...]            NAME: part of a test's name

The last line is `N passed, N failed, N skipped` (skipped: by the suite itself). Run by franz.sh."""
import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from node import Node, run  # noqa: E402

MODULE = 'github.com/twmb/franz-go@v1.22.3'
CACHE = os.path.join(os.environ.get('MILLRACE_CACHE', os.path.expanduser('~/.cache/millrace-compat')), 'franz')
SUITE = os.path.join(CACHE, 'src/pkg/kgo')

TXN, SHARE, NEXT = 'transactions', 'share groups', 'consumer groups of KIP-848'
LATER = {
    'Test848RegexBrokerResolves': NEXT, 'TestTxnEtl': TXN, 'TestShareGroup': SHARE, 'TestConsumeRegexShareSkipsInternal': SHARE,
    'TestShareGroupETL': SHARE, 'TestShareGroupAckOnClose': SHARE, 'TestShareGroupOffsetsAdmin': SHARE,
}


def setup():
    stamp = os.path.join(CACHE, 'built')
    if os.path.exists(stamp) and open(stamp).read() == MODULE:
        return
    shutil.rmtree(CACHE, ignore_errors=True)
    os.makedirs(CACHE)
    print('building the tests of %s in %s' % (MODULE, CACHE), flush=True)
    told = subprocess.run(['go', 'mod', 'download', '-json', MODULE], cwd=CACHE, stdout=subprocess.PIPE, check=True).stdout
    shutil.copytree(json.loads(told)['Dir'], os.path.join(CACHE, 'src'))
    subprocess.run(['chmod', '-R', 'u+w', os.path.join(CACHE, 'src')], check=True)
    subprocess.run(['go', 'test', '-c', '-o', '../../../kgo.test', '.'], cwd=SUITE, check=True)
    with open(stamp, 'w') as f:
        f.write(MODULE)


def broker_tests():
    found = []
    for path in sorted(glob.glob(os.path.join(SUITE, '*_test.go'))):
        for name, body in re.findall(r'^func (Test\w+)\((.*?)^}\n', open(path).read(), re.M | re.S):
            if re.search(r'newTestClient\(|tmpTopic\w*\(|KGO_SEEDS|getSeedBrokers\(', body):
                found.append(name)
    gone = set(LATER) - set(found)
    if gone:
        sys.exit('franz: not in the suite: ' + ' '.join(sorted(gone)))
    return found


def main():
    args = argparse.ArgumentParser()
    args.add_argument('--list', action='store_true')
    args.add_argument('names', nargs='*')
    args = args.parse_args()
    setup()
    todo = [t for t in broker_tests() if t not in LATER and (not args.names or any(n in t for n in args.names))]
    if args.list:
        print('\n'.join(todo) + '\n' + '\n'.join('later: %s (%s)' % item for item in sorted(LATER.items())))
        return 0
    folder = tempfile.mkdtemp(prefix='franz-')
    with Node(folder) as n:
        env = dict(os.environ, KGO_SEEDS=n.servers, KGO_TEST_RF='1', KGO_TEST_RECORDS='50000')
        _, out, err = run('../../../kgo.test', '-test.v', '-test.timeout=20m', '-test.run=^(%s)$' % '|'.join(todo), cwd=SUITE, env=env, timeout=1500)
    with open(os.path.join(folder, 'log'), 'w') as f:
        f.write(out + err)
    results = dict((name, verdict) for verdict, name in re.findall(r'^--- (PASS|FAIL|SKIP): (\w+)', out, re.M))
    results = {t: results.get(t, 'FAIL') for t in todo}  # one that did not end has failed
    for name, verdict in results.items():
        print('%-8s%s' % ({'PASS': 'ok', 'FAIL': 'FAILED', 'SKIP': 'skipped'}[verdict], name))
    count = [list(results.values()).count(v) for v in ('PASS', 'FAIL', 'SKIP')]
    if count[1]:
        print('the log: ' + os.path.join(folder, 'log'))
    else:
        shutil.rmtree(folder)
    print('%d passed, %d failed, %d skipped' % tuple(count))
    return 1 if count[1] or not count[0] else 0


if __name__ == '__main__':
    sys.exit(main())
