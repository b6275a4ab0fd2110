"""The cases of tests/data/tools/*.tsv: the commands of one file in order against one fresh node, and what Kafka's tools print there.

A line is: name, what is compared, tool, file for standard input, arguments as a shell would read them. {S} stands for the bootstrap
option, {B} for what it names, {D} for tests/data/tools, {T} for a folder of the run; where a cluster answers, {C} for the option that names
controllers, {N1} for the configuration of node 1, {ID NAME} for a topic's id. Compared are:
    all     exit status, stdout and stderr
    out     exit status and stdout
    sorted  exit status and the sorted lines of stdout: Kafka's order is that of a hash table
    json    exit status and stdout, of lines that are JSON what they say: lists in them have no order
    first   exit status and the first line of stdout: behind it Kafka prints a stack trace
    status  exit status: Kafka prints a stack trace or its usage, ours is one sentence
    error   the sorted lines of stdout: Kafka's tool ends with 0 even so, ours must not
    errors  as sorted, and the first line of stderr: behind it Kafka prints a stack trace
    placed  exit status and stdout; of the assignment that --generate proposes how it is spread, since it begins at random
    status-error  only that: Kafka's tool prints a stack trace
    events  exit status and what the lines of JSON say (told() below)
    shape   exit status and stdout with every digit masked: figures differ from run to run, how they are written does not
    report  exit status and stdout up to the first report that nothing is left to do, when the tool gets SIGTERM; times and checksums masked
    ours    as sorted, but with what our tool prints: Kafka's behaves otherwise on purpose
`+NAME` starts a tool of ours that goes on in the background, until `-NAME` stops it: a member of a group, for which the next case waits.
A line `# --kafka: WHY` says of the case behind it that Kafka's tool prints something else of a node of Kafka's own, and why: sessions.sh --kafka
tells it, and fails if that is so no more.
`!kill ID`, `!until TEXT` and others (the word stands where the tool does) are steps of files that run against a cluster (cluster_session.py).
"""
import json
import os
import re
import shlex
import subprocess
import tempfile
import threading
import time

from node import binary, millrace

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
DATA = os.path.join(ROOT, 'tests/data/tools')
DIFFERS = '# --kafka: '
MODES = ('all', 'out', 'errors', 'placed', 'sorted', 'json', 'first', 'status', 'error', 'status-error', 'events', 'shape', 'report', 'ours', '-')


class Case:
    def __init__(self, line, differs=None):
        self.differs = differs
        self.name, self.mode, self.tool, self.stdin, self.args = line.rstrip('\n').split('\t')
        assert self.mode in MODES, line
        if self.stdin:
            self.stdin = os.path.join(DATA, self.stdin)

    def words(self, n, folder):
        text = self.args.replace('{S}', '--bootstrap-server ' + n.servers).replace('{B}', n.servers).replace('{D}', DATA).replace('{T}', folder)
        if hasattr(n, 'cluster'):
            text = text.replace('{C}', '--bootstrap-controller ' + n.controller_servers).replace('{N1}', n.cluster.node(1).properties)
            text = re.sub(r'\{ID (\w+)\}', lambda m: n.topic_id(m[1]), text)
        return shlex.split(text)


FILES = ('cases.tsv', 'groups.tsv', 'perf.tsv')
CLUSTER_FILES = ('cluster.tsv', 'moves.tsv', 'replicas.tsv')  # against three nodes
NODE = ('group.initial.rebalance.delay.ms=0',)  # settings of the node that answers


def steps(file):
    found, differs = [], None
    with open(os.path.join(DATA, file), encoding='utf-8') as f:
        for line in f:
            if line.startswith(DIFFERS):
                differs = line[len(DIFFERS):].strip()
            elif not line.startswith('#'):
                found.append(Case(line, differs))
                differs = None
    return found


def cases(file):
    return [c for c in steps(file) if c.mode != '-']


def caught_up(words):
    servers, group = (words[words.index(option) + 1] for option in ('--bootstrap-server', '--group-id'))
    run = subprocess.run([binary(), 'consumer-groups', '--bootstrap-server', servers, '--describe', '--group', group], capture_output=True, text=True)
    rows = [line.split() for line in run.stdout.splitlines() if line.startswith(group + ' ')]
    return bool(rows) and all(row[5] == '0' for row in rows)


class Member:
    """A verifiable-consumer in the background; there when it has its partitions and its group has committed all that they hold."""

    def __init__(self, words, folder):
        self.out = os.path.join(folder, 'member-%d' % time.monotonic_ns())
        with open(self.out, 'w') as f:
            self.process = subprocess.Popen([binary()] + words, stdout=f, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while 'partitions_assigned' not in open(self.out).read() or not caught_up(words):
            assert self.process.poll() is None and time.monotonic() < deadline, open(self.out).read()
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0, open(self.out).read()
        assert '"shutdown_complete"' in open(self.out).read()


class Background:
    """The `+`, `-` and `!` steps."""

    def __init__(self, n):
        self.members, self.n = {}, n

    def step(self, c, words, folder):
        if c.name[0] == '!':
            self.n.step(c.tool, words)
        elif c.name[0] == '+':
            self.members[c.name[1:]] = Member([c.tool] + words, folder)
        else:
            self.members.pop(c.name[1:]).stop()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for m in self.members.values():
            m.process.kill()
            m.process.wait()


def told(out):
    """What a verifiable tool said: the order of events (records and commits alternate as the batches fall), which members each has,
    and the sum of it."""
    events = [json.loads(line) for line in out.splitlines() if line.startswith('{')]
    other = [line + '\n' for line in out.splitlines() if not line.startswith('{')]
    order, members, sums = [], {}, {}
    for e in events:
        name = e['name']
        kind = name if name not in ('records_consumed', 'offsets_committed', 'record_data', 'producer_send_success') else 'records'
        if order[-1:] != [kind]:
            order.append(kind)
        members.setdefault(name, set()).add(' '.join(sorted(e)))
        for part in e.get('offsets', e.get('partitions', [])):
            members[name].add('of each: ' + ' '.join(sorted(part)))
            key = '%s-%d' % (part['topic'], part['partition'])
            if name == 'offsets_committed':
                sums['committed ' + key] = part['offset']
            elif name == 'records_consumed':
                sums['read ' + key] = sums.get('read ' + key, 0) + part['count']
                assert part['maxOffset'] - part['minOffset'] + 1 == part['count']
            else:
                sums.setdefault(name, set()).add(key)
        if name == 'producer_send_success':
            assert e['offset'] >= -1
            sums.setdefault('sent', []).append('%s=%s' % (e['key'], e['value']))
        if name == 'record_data':
            sums.setdefault('record', []).append('%s-%d@%d %s=%s' % (e['topic'], e['partition'], e['offset'], e['key'], e['value']))
        if name == 'tool_data':
            sums['tool_data'] = '%d %d %d' % (e['sent'], e['acked'], e['target_throughput'])
    lines = ['order: ' + ' '.join(order)] + ['%s: %s' % (k, m) for k in sorted(members) for m in sorted(members[k])]
    lines += ['%s: %s' % (k, ' '.join(sorted(v)) if isinstance(v, (set, list)) else v) for k, v in sorted(sums.items())]
    return ''.join(other) + '\n'.join(lines) + '\n'


def masked(text, n, folder):
    """What differs from run to run."""
    if hasattr(n, 'masked'):
        text = n.masked(text)
    text = text.replace(folder, '{T}').replace(DATA, '{D}')
    if not hasattr(n, 'masked'):
        text = text.replace(n.servers, '{HOST}:{PORT}').replace(n.servers.split(':')[1], '{PORT}')
    text = re.sub(r'TopicId: [\w-]{22}', 'TopicId: {ID}', text)
    text = re.sub(r'(?m)(?<=\tConfigs: ).*$', lambda m: ','.join(sorted(m.group().split(','))), text)  # a hash table's order
    text = re.sub(r'(CreateTime|LogAppendTime):\d{13}', r'\1:{TIME}', text)
    text = text.replace('localhost:{PORT}', '{HOST}:{PORT}')  # what is advertised; as long as 127.0.0.1
    text = re.sub(r'(?m)^__consumer_offsets:\d+:\d+\n', '', text)  # there as soon as somebody asked for a coordinator
    text = re.sub(r'(?m)^[\w-]{22}$', '{ID}', text)
    text = re.sub(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', 'UUUUUUUU-UUUU-UUUU-UUUU-UUUUUUUUUUUU', text)  # member ids
    text = re.sub(r"'[^'\n]+'(?:, '[^'\n]+')+", lambda m: ', '.join(sorted(m.group().split(', '))), text)  # a hash table's order
    text = re.sub(r'(?m)(?<=for partitions )\S.*$', lambda m: ', '.join(sorted(m.group().split(', '))), text)
    text = re.sub(r'(?m)(?<=throttles on topics )\S.*$', lambda m: ','.join(sorted(m.group().split(','))), text)
    return re.sub(r'directory\.id=[\w-]{22}', 'directory.id={ID}', text)


def unordered(v):
    """JSON as text, its lists sorted."""
    if isinstance(v, dict):
        return '{%s}' % ', '.join('%s: %s' % (json.dumps(k), unordered(v[k])) for k in sorted(v))
    return '[%s]' % ', '.join(sorted(map(unordered, v))) if isinstance(v, list) else json.dumps(v)


RACKS = {1: 'one', 2: 'one', 3: 'two'}  # of moves.tsv


def spread(line, racks):
    """Of a proposed assignment: each partition's replicas, on how many brokers and in how many racks; or, where these are not looked at, how
    often brokers lead, by topic."""
    parts = json.loads(line)['partitions']
    leads, text = {}, ''
    for p in parts:
        leads.setdefault(p['topic'], []).append(p['replicas'][0])
        text += '%s-%d: %d on %d brokers%s %s\n' % (p['topic'], p['partition'], len(p['replicas']), len(set(p['replicas'])),
                                                    ' in %d racks' % len({RACKS[i] for i in p['replicas']}) if racks else '', p['log_dirs'])
    return text if racks else text + ''.join('%s %s\n' % (t, sorted(map(ids.count, set(ids)))) for t, ids in sorted(leads.items()))


REPORT = re.compile(r'.*: max lag is 0 for partition ')


def reported(out):
    """What replica-verification found until it had compared everything. Which of several partitions it names is a hash table's order, and how
    often it said before that something is left the machine's."""
    text = ''
    for line in out.splitlines(True):
        if ': max lag is' not in line or REPORT.match(line):
            line = re.sub(r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: ', '{TIME}: ', line)
            line = re.sub(r"checksum \d+", 'checksum {N}', line)
            text += re.sub(r'partition \S+ at offset \d+ among (?!1 )', 'partition {ONE} among ', line)
        if REPORT.match(line):
            break
    return text


def until_report(command):
    """(status, stdout, stderr) of a tool that goes on until it is stopped: once it has reported, or has ended by itself. The status is that
    of a shell."""
    with tempfile.TemporaryFile('w+') as err, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, stdin=subprocess.DEVNULL, text=True) as p:
        timer = threading.Timer(120, p.kill)
        timer.start()
        out = ''
        for line in p.stdout:
            out += line
            if REPORT.match(line):
                p.terminate()
        status = p.wait()
        timer.cancel()
        err.seek(0)
        return status if status >= 0 else 128 - status, out, err.read()


def shown(case, status, out, err):
    """The part of an outcome that is compared, as text."""
    if case.mode == 'status':
        return 'status %d\n' % status
    if case.mode in ('error', 'status-error'):
        return 'status not 0\n' + (''.join(sorted(out.splitlines(True))) if case.mode == 'error' else '')
    head = 'status %d\n' % status
    if case.mode == 'all':
        return head + '-- stdout\n' + out + '-- stderr\n' + err
    if case.mode == 'report':
        return head + reported(out)
    if case.mode == 'events':
        return head + told(out)
    if case.mode == 'shape':
        out = re.sub(r'(?m)^\d+\t[\d.E-]+$', '#\t#', out)  # Java prints as many decimals as the number has
        return head + re.sub(r'\d+(?:\.(\d+))?', lambda m: '#' + ('.' + '#' * len(m.group(1)) if m.group(1) else ''), out)
    if case.mode == 'errors':
        return head + '-- stdout\n' + ''.join(sorted(out.splitlines(True))) + '-- stderr\n' + err.split('\n')[0] + '\n'
    if case.mode == 'placed':
        before, heading, proposed = out.partition('Proposed partition reassignment configuration\n')
        return head + before + heading + (spread(proposed, '--disable-rack-aware' not in case.args) if proposed else '')
    if case.mode == 'json':
        return head + ''.join((unordered(json.loads(line)) if line[0] == '{' else line) + '\n' for line in out.splitlines())
    if case.mode == 'first':
        return head + out.split('\n')[0] + '\n'
    if case.mode in ('sorted', 'ours'):
        return head + ''.join(sorted(out.splitlines(True)))
    return head + out


def expected(case):
    with open(os.path.join(DATA, 'expect', case.name), encoding='utf-8') as f:
        return f.read()


def prepare(folder):
    """The files that cases name below {T}."""
    with open(os.path.join(folder, 'server.properties'), 'w') as f:
        f.write('process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:19093\n'
                'listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093\ncontroller.listener.names=CONTROLLER\n'
                'log.dirs=%s/logs\n' % folder)


def run_ours(n, folder, file):
    """Name to (status, stdout, stderr) of our tools, all cases in order."""
    got = {}
    with Background(n) as background:
        for c in steps(file):
            words = c.words(n, folder)  # now, since what it names may be made by the steps before
            if c.mode == '-':
                background.step(c, words, folder)
                continue
            if c.mode == 'report':
                status, out, err = until_report([binary(), c.tool] + words)
            else:
                status, out, err = millrace(c.tool, *words, input=open(c.stdin, 'rb').read() if c.stdin else b'')
            got[c.name] = status, masked(out, n, folder), masked(err, n, folder)
    return got
