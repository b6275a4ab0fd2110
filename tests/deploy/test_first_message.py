"""README's first message, typed on a machine that has Debian and nothing else: how long it takes from the first command until it is read."""
import contextlib
import os
import re
import subprocess
import threading
import time

import pytest
from engine import Running, docker, skip_without_archive, unique
from members import ROOT

SECONDS = 60   # what README promises, of two cores that nobody else uses
PATIENCE = 1800  # s, for a machine that others use too
# of control groups of version 2 and 1
CPU = ('awk \'$1 == "usage_usec" { print $2 / 1e6 }\' /sys/fs/cgroup/cpu.stat 2>/dev/null || awk \'{ print $1 / 1e9 }\' /sys/fs/cgroup/cpuacct/cpuacct.usage')


def typed():
    """The commands of README's chapter, without what they say of themselves: of the first terminal, and of the other."""
    chapter = open(os.path.join(ROOT, 'README.md')).read().partition('## First message\n')[2].partition('\n## ')[0]
    first, *other = [re.sub(r'\s{2,}#.*', '', line).strip() for line in chapter.splitlines() if line.startswith('    ')]
    assert first == 'deploy/run.sh' and len(other) == 2, (first, other)
    return first, other


@pytest.fixture
def machine(engine):
    """With the tree in /millrace as git has it, no compiler, no package list."""
    base, m = os.environ['MILLRACE_BASE'], Running(unique('first'))
    skip_without_archive(base)
    docker('run', '-d', '--init', '--name', m.name, '-w', '/millrace', base, 'sleep', 'infinity')
    try:
        files = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
        tree = subprocess.run(['tar', '-c', '--null', '-T', '-'], cwd=ROOT, input=files, stdout=subprocess.PIPE, check=True).stdout
        docker('exec', '-i', m.name, 'tar', '-x', '--no-same-owner', input=tree)
        yield m
    finally:
        docker('rm', '-fv', m.name)


def cpu_seconds(m):
    """What all processes in the machine have used so far."""
    return float(m.exec('sh', '-c', CPU))


@contextlib.contextmanager
def terminal(m, command):
    """A shell's command in the machine; its output comes line by line."""
    with subprocess.Popen(['docker', 'exec', m.name, 'bash', '-c', command], stdout=subprocess.PIPE, text=True) as p:
        patience = threading.Timer(PATIENCE, docker, ['rm', '-fv', m.name])
        patience.start()
        try:
            yield p
        finally:
            patience.cancel()
            p.kill()


def until(p, text):
    """Reads what it says up to a line with this text."""
    said = []
    for line in p.stdout:
        said.append(line)
        if text in line:
            return
    raise AssertionError('ended without "%s":\n%s' % (text, ''.join(said[-30:])))


@pytest.mark.slow
def test_from_nothing_to_the_first_message(machine):
    run_sh, (produce, consume) = typed()
    begun, load = time.monotonic(), os.getloadavg()[0]
    before = cpu_seconds(machine)

    def note(what):
        now = time.monotonic() - begun, cpu_seconds(machine) - before
        print('%6.1f s, %6.1f s of processor: %s' % (*now, what))
        return now
    with terminal(machine, run_sh + ' 2>&1') as node:
        for stage in '[1/', 'Linking C executable millrace', 'is ready.':
            until(node, stage)
            note(stage)
        with terminal(machine, produce) as producer:
            assert (producer.stdout.read(), producer.wait()) == ('', 0)
        with terminal(machine, consume) as consumer:
            first = consumer.stdout.readline()
            whole, spent = note('the first message; %d cores, load %.1f at the start, %.1f now' % (os.cpu_count(), load, os.getloadavg()[0]))
            assert (first, consumer.stdout.read(), consumer.wait()) == ('hello\n', 'world\n', 0)
    # The time on the wall says something where nobody else had the processor; what was used of it must fit into the promise anywhere.
    assert spent < 2 * SECONDS
    assert whole < SECONDS or os.getloadavg()[0] > os.cpu_count() + 1, 'no load explains %.1f s' % whole
