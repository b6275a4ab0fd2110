"""A real Millrace node for a test: `with Node(tmp_path) as n:` starts one on a free port with its data below tmp_path, waits for its
first answer, and stops it at the end. kill() is SIGKILL, stop() an orderly end; start() again on the same data."""
import os
import signal
import socket
import struct
import subprocess
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))


def binary():
    return os.path.join(os.environ.get('MILLRACE_BUILD', os.path.join(ROOT, 'build/dev')), 'millrace')


def free_port():
    """A port N with N + 1 free as well, below the range that the system hands out."""
    for port in range(20000 + os.getpid() % 5000, 32000, 2):
        try:
            for p in (port, port + 1):
                with socket.socket() as s:
                    s.bind(('127.0.0.1', p))
            return port
        except OSError:
            continue
    raise RuntimeError('no free port')


class Node:
    def __init__(self, folder, overrides=(), port=None, prefix=()):
        """prefix: words in front of the command; what they start must become the node itself (exec)."""
        self.folder, self.overrides, self.prefix = str(folder), list(overrides), list(prefix)
        self.port = port or free_port()
        self.process = None
        self.log = os.path.join(self.folder, 'node.log')

    @property
    def servers(self):
        return '127.0.0.1:%d' % self.port

    def start(self):
        args = self.prefix + [binary(), 'server', '--data', os.path.join(self.folder, 'data'), '--port', str(self.port)]
        for o in self.overrides:
            args += ['--override', o]
        self.process = subprocess.Popen(args, stdout=open(self.log, 'a'), stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError('the node did not start:\n' + open(self.log).read()[-4000:])
            time.sleep(0.02)
        return self

    def answers(self):
        """One ApiVersions request (version 0)."""
        try:
            with socket.create_connection(('127.0.0.1', self.port), 1) as s:
                s.settimeout(5)
                s.sendall(struct.pack('>ihhih', 10, 18, 0, 1, -1))
                head = s.recv(4)
                return len(head) == 4
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        assert status == 0, 'the node ended with %d:\n%s' % (status, open(self.log).read()[-4000:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        if self.process.poll() is None:
            if exc[0] is None:
                self.stop()
            else:
                self.kill()
        elif exc[0] is None:
            raise AssertionError('the node died (%d):\n%s' % (self.process.returncode, open(self.log).read()[-4000:]))


def run(*args, **kw):
    """A command to its end: (status, stdout, stderr) as text."""
    p = subprocess.run(args, capture_output=True, timeout=kw.pop('timeout', 120), **kw)
    return p.returncode, p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace')


def millrace(*args, **kw):
    return run(binary(), *args, **kw)
