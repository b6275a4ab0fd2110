"""Containers and compose projects for tests. Whatever a test leaves behind is removed at its end:

    with Container('-e', 'KAFKA_NUM_PARTITIONS=7') as c:        # docker run, with these options; a name of its own
        c.wait_serving()
        c.exec('kafka-topics.sh', '--bootstrap-server', 'localhost:9092', '--list')
    with Compose('docker-compose.yml', BROKER11_PORT=20001) as p:
        p.up()
        p.service('broker11').crash()

Ends are waited for by asking the engine, with wait() of members.py, which says what it waited for in vain."""
import contextlib
import itertools
import json
import os
import signal
import subprocess

import pytest
from members import ROOT, wait

DEPLOY = os.path.join(ROOT, 'deploy')
PROFILE = os.path.join(DEPLOY, 'seccomp-io_uring.json')
READY = 'is ready.'
SECONDS = 120
numbers = itertools.count()


def run(*args, check=True, timeout=300, **kw):
    """A command to its end: what it wrote to stdout; with check=False its status and both streams as one text."""
    p = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, **kw)
    out, err = p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace')
    if not check:
        return p.returncode, out + err
    assert p.returncode == 0, '%s: status %d\n%s' % (' '.join(map(str, args)), p.returncode, (out + err)[-4000:])
    return out


def docker(*args, **kw):
    return run('docker', *args, **kw)


def image():
    return os.environ['MILLRACE_IMAGE']


def skip_without_archive(base):
    """What installs packages in a container of this base needs the package archive that the base names."""
    status, said = docker('run', '--rm', base, 'apt-get', 'update', '-qq', '-o', 'APT::Update::Error-Mode=any', check=False)
    if status != 0:
        pytest.skip('no package archive answers in a container: ' + ' '.join(said.split())[-300:])


def unique(what):
    return 'millrace-test-%d-%s%d' % (os.getpid(), what, next(numbers))


class Running:
    """A container that is there, by name or id."""

    def __init__(self, name):
        self.name = name

    def inspect(self, path):
        return json.loads(docker('inspect', '-f', '{{json %s}}' % path, self.name))

    def logs(self):
        return docker('logs', self.name, check=False)[1]

    def exec(self, *args, **kw):
        return docker('exec', self.name, *args, **kw)

    def serves(self):
        return self.exec('millrace', 'health', check=False)[0] == 0

    def wait_serving(self, seconds=SECONDS):
        seen = []

        def decided():
            gone = not self.inspect('.State.Running') and self.inspect('.HostConfig.RestartPolicy.Name') in ('', 'no')
            seen[:] = [self.serves()]
            return seen[0] or gone
        wait(decided, lambda: '%s does not serve:\n%s' % (self.name, self.logs()[-4000:]), seconds)
        assert seen[0], '%s has ended:\n%s' % (self.name, self.logs()[-4000:])
        return self

    def wait_healthy(self, seconds=SECONDS):
        """What the engine thinks of it, by the image's health check."""
        wait(lambda: self.inspect('.State.Health.Status') == 'healthy',
             lambda: '%s: %s\n%s' % (self.name, self.inspect('.State.Health'), self.logs()[-3000:]), seconds)

    def wait_ended(self, seconds=SECONDS):
        """Its exit status."""
        wait(lambda: not self.inspect('.State.Running'), lambda: '%s does not end:\n%s' % (self.name, self.logs()[-3000:]), seconds)
        return self.inspect('.State.ExitCode')

    def crash(self):
        """SIGKILL to its process 1, behind the engine's back: a `docker kill` would tell the engine that it shall stay down."""
        os.kill(self.inspect('.State.Pid'), signal.SIGKILL)


class Container(Running):
    """docker run OPTIONS IMAGE COMMAND, and its end at the end."""

    def __init__(self, *options, command=(), of=None):
        super().__init__(unique('c'))
        self.args = ['run', '-d', '--name', self.name, *options, of or image(), *command]

    def __enter__(self):
        docker(*self.args)
        return self

    def __exit__(self, *exc):
        if exc[0] is not None:
            print('== %s\n%s' % (self.name, self.logs()[-6000:]))
        docker('rm', '-fv', self.name)


@contextlib.contextmanager
def volume():
    name = unique('v')
    docker('volume', 'create', name)
    try:
        yield name
    finally:
        docker('volume', 'rm', name)


class Compose:
    """A project of one of deploy's compose files, called where people call it: in deploy/. `up` is up to the test."""

    def __init__(self, file, **variables):
        self.file, self.project, self.writers = file, unique('p'), []
        self.env = {**os.environ, **{k: str(v) for k, v in variables.items()}}

    def compose(self, *args, **kw):
        return run('docker-compose', '-p', self.project, '-f', self.file, *args, cwd=DEPLOY, env=self.env, **kw)

    def up(self, *args):
        return self.compose('up', '-d', '--no-build', *args)

    def service(self, name):
        """Its container, as the engine knows it: docker-compose 1 and 2 name containers differently, and label them alike."""
        found = docker('ps', '-a', '--format', '{{.Names}}', '--filter', 'label=com.docker.compose.project=' + self.project,
                       '--filter', 'label=com.docker.compose.service=' + name).split()
        assert len(found) == 1, 'containers of %s: %s' % (name, found)
        return Running(found[0])

    def wait_serving(self, names):
        for n in names:
            self.service(n).wait_serving()

    def said(self):
        """The end of each container's log, with the times at which the engine got the lines."""
        names = docker('ps', '-a', '--filter', 'label=com.docker.compose.project=' + self.project, '--format', '{{.Names}}').split()
        return '\n'.join('== %s\n%s' % (n, docker('logs', '--tail', '100', n, check=False)[1]) for n in sorted(names))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for w in self.writers:
            w.wanted = False
        if exc[0] is not None:
            print(self.said())
        self.compose('down', '-v', '--remove-orphans', '-t', '5')
