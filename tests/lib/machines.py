"""Machines of a cluster on this one, for what is typed on them: each has a host name, an address, processes and the folders /etc/millrace,
/var/lib/millrace, /var/log/millrace and /usr/local/bin of its own. The real ones are not touched.

    with Machines(folder, {'controller1': '10.7.0.1', 'broker11': '10.7.0.11', 'admin': '10.7.0.20'}) as lab:
        lab['broker11'].type('kill $(pidof millrace)')     # what came out: both streams, as on a terminal
        lab['broker11'].path('log/server.log')             # that file for who stands outside

They are namespaces of the kernel, held by a process each that ends with this one, and a bridge between them in a network namespace that has no way
out. It needs root: elsewhere it is skipped."""
import os
import shutil
import subprocess

import pytest

from node import binary

# What process 1 of a machine does: it mounts what is the machine's own, says so, and waits for its end. Nobody waits for children that are left to it.
SETUP = '''set -e
hostname "$1"
mount --bind "$2/etc" /etc
mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/millrace && mount --bind "$3/lib" /var/lib/millrace
mount -t tmpfs tmpfs /var/log && mkdir /var/log/millrace && mount --bind "$3/log" /var/log/millrace
mount --bind "$3/etc" /etc/millrace
mount --bind "$3/bin" /usr/local/bin
trap '' CHLD
echo up
exec cat
'''


class Holder:
    """A process that keeps namespaces, made by `unshare`."""

    def __init__(self, kinds, script, *args):
        self.process = subprocess.Popen(['unshare', '--kill-child', '--fork', *kinds, 'sh', '-c', script, 'sh', *args],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.process.stdout.readline() != b'up\n':
            said = self.process.stderr.read().decode()
            self.end()
            pytest.skip('this needs root, and namespaces: ' + said.strip())
        with open('/proc/%d/task/%d/children' % (self.process.pid, self.process.pid)) as f:
            self.pid = f.read().split()[0]

    def enter(self, *kinds):
        return ['nsenter', '-t', self.pid, *kinds, '--']

    def end(self):
        self.process.kill()
        self.process.wait()


class Machine:
    def __init__(self, lab, name, address):
        self.lab, self.name, self.folder = lab, name, os.path.join(lab.folder, name)
        for part in ('etc', 'lib', 'log', 'bin', 'home'):
            os.makedirs(self.path(part))
        os.symlink(os.path.abspath(binary()), self.path('bin/millrace'))
        self.holder = Holder(['--mount', '--uts', '--pid', '--net', '--mount-proc', '--propagation', 'private'], SETUP, name, lab.folder, self.folder)
        self.prefix = self.holder.enter('--mount', '--uts', '--pid', '--net')
        cable = 'to' + address.rpartition('.')[2]
        lab.root('ip', 'link', 'add', cable, 'master', 'bridge', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', self.holder.pid)
        lab.root('ip', 'link', 'set', cable, 'up')
        self.type('ip link set lo up && ip link set eth0 up && ip addr add %s/24 dev eth0' % address)

    def path(self, name):
        return os.path.join(self.folder, name)

    def type(self, line, timeout=120):
        """A line of shell, to its end (what it leaves in the background stays): all that it printed."""
        p = subprocess.run(self.shell(line), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
        self.status = p.returncode
        return p.stdout.decode(errors='replace')

    def begin(self, line):
        """A line of shell that runs on, in a process group of its own."""
        return subprocess.Popen(self.shell(line), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                                text=True, errors='replace')

    def shell(self, line):
        setup = 'cd "$0" && PATH=/usr/local/bin:$PATH && export HOME="$0" && eval "$1"'
        return [*self.prefix, 'bash', '-c', setup, self.path('home'), line]

    def must(self, line):
        said = self.type(line)
        assert self.status == 0, '%s$ %s\n%s' % (self.name, line, said)
        return said


class Machines:
    def __init__(self, folder, addresses):
        self.folder, self.machines = str(folder), {}
        try:
            self.net = Holder(['--net'], 'echo up; exec cat')
            self.root('ip', 'link', 'add', 'bridge', 'type', 'bridge')
            self.root('ip', 'link', 'set', 'bridge', 'up')
            self.make_etc(addresses)
            for name, address in addresses.items():
                self.machines[name] = Machine(self, name, address)
        except BaseException:
            self.end()
            raise

    def make_etc(self, addresses):
        """The /etc of all of them: a copy, with their names."""
        etc = os.path.join(self.folder, 'etc')
        shutil.copytree('/etc', etc, symlinks=True, ignore=shutil.ignore_patterns('millrace', 'hosts', 'resolv.conf', 'ssl'))
        os.mkdir(os.path.join(etc, 'millrace'))
        with open(os.path.join(etc, 'hosts'), 'w') as f:
            f.write('127.0.0.1 localhost\n' + ''.join('%s %s\n' % (a, n) for n, a in addresses.items()))

    def root(self, *command):
        """In the network that has the bridge."""
        subprocess.run(self.net.enter('--net') + list(command), check=True, capture_output=True)

    def __getitem__(self, name):
        return self.machines[name]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.end()

    def end(self):
        """All their processes are killed."""
        for m in self.machines.values():
            m.holder.end()
        if hasattr(self, 'net'):
            self.net.end()
