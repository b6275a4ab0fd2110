#!/usr/bin/env python3
"""librdkafka's own test suite against a Millrace node: the suite's sources come in the npm package of the same vendor, are built once in a
cache folder outside the tree, and each test of its table runs by itself against one of two nodes (with and without auto-creation).

Every test of the table is in one of three sets, and a test that is in none fails the run: LOCAL (the suite's own flag: no broker needed, so
nothing to learn here), LATER (needs what this version does not serve, with the reason), and the rest, which run. ADAPT is what the cached
copy of the suite says otherwise, with the reasons.

    librdkafka.py [--jobs N] [--full] [--list] [NAME...]     NAME: a test's number or a part of its name
    --full runs the suite at full length, without it in the suite's quick mode

The last line is `N passed, N failed, N skipped` (skipped: by the suite itself). Run by librdkafka.sh."""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from node import Node, binary, run  # noqa: E402

PACKAGE = '@confluentinc/kafka-javascript@1.10.1'
CACHE = os.path.join(os.environ.get('MILLRACE_CACHE', os.path.expanduser('~/.cache/millrace-compat')), 'librdkafka')
SUITE = os.path.join(CACHE, 'package/deps/librdkafka/tests')

TXN, SHARE, AUTH = 'transactions', 'share groups', 'TLS, SASL or ACLs'
OWN = 'brings its own mock cluster'
LATER = {
    '0028_long_topicnames': 'a known issue of librdkafka (its own flag)', '0047_partial_buf_tmout': 'a known issue of librdkafka (its own flag)',
    '0077_compaction': 'compaction', '0097_ssl_verify': AUTH, '0098_consumer_txn': TXN, '0101_fetch_from_follower': 'more than one broker',
    '0103_transactions': TXN, '0115_producer_auth': AUTH, '0119_consumer_auth': AUTH, '0126_oauthbearer_oidc': AUTH,
    '0129_fetch_aborted_msgs': TXN, '0135_sasl_credentials': AUTH, '0139_offset_validation_mock': OWN, '0142_reauthentication': AUTH,
    '0150_telemetry_mock': OWN, '8000_idle': 'by hand only (its own flag)', '8001_fetch_from_follower_mock_manual': 'by hand only (its own flag)',
}
# Of these tests some subtests are for later; the others run one by one, by the name of their function, and at full length: the quick mode
# leaves out most subtests.
SUBTESTS = {
    '0081_admin': ['do_test_unclean_destroy', 'do_test_CreateTopics', 'do_test_DeleteTopics', 'do_test_CreatePartitions', 'do_test_AlterConfigs',
                   'do_test_IncrementalAlterConfigs', 'do_test_DescribeConfigs:', 'do_test_DeleteRecords', 'do_test_DescribeTopics',
                   'do_test_DescribeCluster', 'do_test_ListOffsets', 'do_test_ListConsumerGroups', 'do_test_DescribeConsumerGroups:',
                   'do_test_DeleteGroups', 'do_test_DeleteConsumerGroupOffsets', 'do_test_AlterConsumerGroupOffsets',
                   'do_test_ListConsumerGroupOffsets'],
}
SCENARIOS = ('default', 'noautocreate')

# (file, what stands there, what stands there instead)
ADAPT = [
    # Settings of SASL cannot be changed while a node runs: docs/COMPATIBILITY.md.
    ('0081-admin.c', '"sasl.kerberos.min.time.before.relogin"', '"log.segment.delete.delay.ms"'),
    # A creation that fails for another reason: this librdkafka is built without TLS.
    ('0064-interceptors.c', '"security.protocol", "ssl");', '"session.timeout.ms", "600000");'),
    ('0064-interceptors.c', '"ssl.ca.location", "/dev/null");', '"max.poll.interval.ms", "6000");'),
    # No ACLs yet.
    ('0109-auto_create_topics.cpp', 'bool has_acl_cli = ', 'bool has_acl_cli = false && '),
    # The suite's clusters have three brokers.
    ('0107-topic_recreate.c', 'part_cnt_1, 3, 5000', 'part_cnt_1, 1, 5000'),
    ('0107-topic_recreate.c', 'part_cnt_2, 3, 5000', 'part_cnt_2, 1, 5000'),
    ('0111-delay_create_topics.cpp', 'topic.c_str(), 1, 3)', 'topic.c_str(), 1, 1)'),
]


def step(*args, cwd):
    with open(os.path.join(CACHE, 'build.log'), 'ab') as log:
        if subprocess.call(args, cwd=cwd, stdout=log, stderr=subprocess.STDOUT) != 0:
            sys.exit('librdkafka: `%s` failed; see %s' % (' '.join(args), log.name))


def setup():
    stamp = os.path.join(CACHE, 'built')
    recipe = '%s %r' % (PACKAGE, ADAPT)
    if os.path.exists(stamp) and open(stamp).read() == recipe:
        return
    shutil.rmtree(CACHE, ignore_errors=True)
    os.makedirs(CACHE)
    print('building librdkafka and its tests in ' + CACHE, flush=True)
    step('npm', 'pack', '--silent', PACKAGE, cwd=CACHE)
    [archive] = [f for f in os.listdir(CACHE) if f.endswith('.tgz')]
    step('tar', 'xzf', archive, 'package/deps/librdkafka', cwd=CACHE)
    for name, old, new in ADAPT:
        path = os.path.join(SUITE, name)
        text = open(path).read()
        if old not in text:
            sys.exit('librdkafka: %s of %s does not hold what is to be adapted: %s' % (name, PACKAGE, old))
        with open(path, 'w') as f:
            f.write(text.replace(old, new))
    root, jobs = os.path.dirname(SUITE), '-j%d' % (os.cpu_count() or 1)
    json = ['--CXXFLAGS=-DWITH_RAPIDJSON=1'] if os.path.exists('/usr/include/rapidjson') else []  # else two tests skip themselves
    step('./configure', '--disable-ssl', '--disable-sasl', '--disable-curl', '--CFLAGS=-O1', *json, cwd=root)
    step('make', jobs, 'libs', cwd=root)
    step('make', jobs, 'test-runner', cwd=SUITE)
    with open(stamp, 'w') as f:
        f.write(recipe)


def cases(wanted):
    """(test, subtest or None, scenario) of all that is to run, from the suite's own table."""
    table = open(os.path.join(SUITE, 'test.c')).read().split('struct test tests[] = {')[1].split('{NULL}};')[0]
    found, out = set(), []
    for entry in re.split(r'_TEST\(', table)[1:]:
        name, flags = re.match(r'(\w+),\s*([\w\s|]+)', entry).groups()
        found.add(name)
        if 'TEST_F_LOCAL' in flags or name in LATER or '_share_consumer_' in name:
            continue
        scenario = 'noautocreate' if 'noautocreate' in entry else 'default'
        out += [(name, sub, scenario) for sub in SUBTESTS.get(name, [None])]
    gone = (set(LATER) | set(SUBTESTS)) - found
    if gone:
        sys.exit('librdkafka: not in the table of the suite: ' + ' '.join(sorted(gone)))
    return [c for c in out if not wanted or any(w in c[0] for w in wanted)]


def kafka_path(folder):
    """Some tests call bin/kafka-topics.sh of a Kafka: ours takes its name and options."""
    os.makedirs(os.path.join(folder, 'bin'))
    for tool in ('topics', 'configs'):
        os.symlink(os.path.abspath(binary()), os.path.join(folder, 'bin', 'kafka-%s.sh' % tool))
    return folder


def verdict(name, sub, status, out):
    if re.search(r'\b%s\s*\|\s*(\x1b\S*)?\s*SKIPPED' % name, out):
        return 'skipped'
    if status != 0 or not re.search(r'\b%s\s*\|\s*(\x1b\S*)?\s*PASSED' % name, out):
        return 'failed'
    if sub and not re.search(r'%s.*PASS' % re.escape(sub), out):
        return 'failed'  # the subtest did not run
    return 'passed'


def main():
    args = argparse.ArgumentParser()
    args.add_argument('--jobs', type=int, default=2)
    args.add_argument('--full', action='store_true')
    args.add_argument('--list', action='store_true')
    args.add_argument('names', nargs='*')
    args = args.parse_args()
    setup()
    todo = cases(args.names)
    if args.list:
        print('\n'.join('%s%s' % (c[0], ' ' + c[1] if c[1] else '') for c in todo))
        print('\n'.join('later: %s (%s)' % item for item in sorted(LATER.items())) + '\nlater: 0170 to 0190 (%s)' % SHARE)
        return 0
    folder = tempfile.mkdtemp(prefix='librdkafka-')
    env = dict(os.environ, KAFKA_PATH=kafka_path(os.path.join(folder, 'kafka')), TEST_KAFKA_VERSION='4.3.1',
               LD_LIBRARY_PATH='%s/src:%s/src-cpp' % ((os.path.dirname(SUITE),) * 2))
    env.pop('CI', None)
    count = {'passed': 0, 'failed': 0, 'skipped': 0}
    lock = threading.Lock()
    nodes = {}
    for s in SCENARIOS:
        os.makedirs(os.path.join(folder, s))
        nodes[s] = Node(os.path.join(folder, s), ['num.partitions=4', 'auto.create.topics.enable=' + ('true' if s == 'default' else 'false')]).start()
        with open(os.path.join(folder, s, 'test.conf'), 'w') as f:
            f.write('metadata.broker.list=%s\ntest.topic.random=true\ntest.timeout.multiplier=3\n' % nodes[s].servers)

    def one(case):
        name, sub, scenario = case
        label = name + (' ' + sub.rstrip(':') if sub else '')
        more = dict(env, TESTS=name, BROKERS=nodes[scenario].servers, RDKAFKA_TEST_CONF=os.path.join(folder, scenario, 'test.conf'))
        if sub:
            more['SUBTESTS'] = sub
        try:
            status, out, err = run('./test-runner', '-p1', '-s', scenario, *([] if args.full or sub else ['-Q']), cwd=SUITE, env=more, timeout=900)
        except subprocess.TimeoutExpired as e:
            status, out, err = -1, (e.stdout or b'').decode(errors='replace'), 'no end within 900 s'
        log = os.path.join(folder, label.replace(' ', '-') + '.log')
        with open(log, 'w') as f:
            f.write(out + err)
        with lock:
            v = verdict(name, sub, status, out + err)
            count[v] += 1
            print('%-8s%s%s' % ('ok' if v == 'passed' else v.upper() if v == 'failed' else v, label, ': ' + log if v == 'failed' else ''), flush=True)

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(one, todo))
    for n in nodes.values():
        n.stop()
    if not count['failed']:
        shutil.rmtree(folder)
    print('%(passed)d passed, %(failed)d failed, %(skipped)d skipped' % count)
    return 1 if count['failed'] or not count['passed'] else 0


if __name__ == '__main__':
    sys.exit(main())
