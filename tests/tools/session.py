"""The cases of tests/data/tools/cases.tsv: commands in order against one fresh node, and what Kafka's tools print there.

A line is: name, what is compared, tool, file for standard input, arguments as a shell would read them. {S} stands for the bootstrap
option, {D} for tests/data/tools, {T} for a folder of the run. Compared are:
    all     exit status, stdout and stderr
    out     exit status and stdout
    sorted  exit status and the sorted lines of stdout: Kafka's order is that of a hash table
    first   exit status and the first line of stdout: behind it Kafka prints a stack trace
    status  whether the exit status is 0: Kafka prints a stack trace or its usage, ours is one sentence
    ours    as sorted, but with what our tool prints: Kafka's needs a group coordinator for it, which a node does not have yet
"""
import os
import re
import shlex

from node import millrace

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
DATA = os.path.join(ROOT, 'tests/data/tools')
MODES = ('all', 'out', 'sorted', 'first', 'status', 'ours')


class Case:
    def __init__(self, line):
        self.name, self.mode, self.tool, self.stdin, self.args = line.rstrip('\n').split('\t')
        assert self.mode in MODES, line
        if self.stdin:
            self.stdin = os.path.join(DATA, self.stdin)

    def words(self, servers, folder):
        text = self.args.replace('{S}', '--bootstrap-server ' + servers).replace('{D}', DATA).replace('{T}', folder)
        return shlex.split(text)


def cases():
    with open(os.path.join(DATA, 'cases.tsv'), encoding='utf-8') as f:
        return [Case(line) for line in f if not line.startswith('#')]


def masked(text, servers, folder):
    """What differs from run to run."""
    text = text.replace(folder, '{T}').replace(DATA, '{D}').replace(servers, '{HOST}:{PORT}').replace(servers.split(':')[1], '{PORT}')
    text = re.sub(r'TopicId: [\w-]{22}', 'TopicId: {ID}', text)
    text = re.sub(r'(?m)(?<=\tConfigs: ).*$', lambda m: ','.join(sorted(m.group().split(','))), text)  # a hash table's order
    text = re.sub(r'(CreateTime|LogAppendTime):\d{13}', r'\1:{TIME}', text)
    text = re.sub(r'(?m)^[\w-]{22}$', '{ID}', text)
    return re.sub(r'directory\.id=[\w-]{22}', 'directory.id={ID}', text)


def shown(case, status, out, err):
    """The part of an outcome that is compared, as text."""
    if case.mode == 'status':
        return 'status %s\n' % ('0' if status == 0 else 'not 0')
    head = 'status %d\n' % status
    if case.mode == 'all':
        return head + '-- stdout\n' + out + '-- stderr\n' + err
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


def run_ours(n, folder):
    """Name to (status, stdout, stderr) of our tools, all cases in order."""
    got = {}
    for c in cases():
        data = open(c.stdin, 'rb').read() if c.stdin else b''
        status, out, err = millrace(c.tool, *c.words(n.servers, folder), input=data)
        got[c.name] = status, masked(out, n.servers, folder), masked(err, n.servers, folder)
    return got
