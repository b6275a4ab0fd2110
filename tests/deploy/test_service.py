"""The service under a running systemd: a container with systemd as process 1 and the Debian packages installed is the machine. The tests are its life, in
order: the first start, what the sandbox leaves, a kill, a stop, a reboot, an upgrade, a removal."""
import os
import re
import time

import pytest
from engine import Running, docker, run, skip_without_archive, unique
from members import wait

pytestmark = [pytest.mark.usefixtures('engine'), pytest.mark.slow]
UNIT, FILE = 'millrace@server', '/etc/millrace/server.properties'
SECONDS = 60
INSTALLED = '''FROM %s
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends systemd >/dev/null && rm -rf /var/lib/apt/lists/*
STOPSIGNAL SIGRTMIN+3
'''
# systemd makes groups of its own below the container's, so it gets them writable; with SYS_ADMIN alone it needs no privileged container, which some machines
# cannot give.
BOOT = 'for m in $(awk \'$3 ~ /^cgroup/ { print $2 }\' /proc/mounts); do mount -o remount,bind,rw "$m"; done; exec /lib/systemd/systemd'
MAY = ['--network', 'none', '--cap-add', 'SYS_ADMIN', '--security-opt', 'seccomp=unconfined', '--security-opt', 'apparmor=unconfined',
       '--cgroupns', 'private', '--tmpfs', '/run', '--tmpfs', '/run/lock', '--tmpfs', '/tmp']


class Machine(Running):
    """A booted container."""

    def sh(self, text, **kw):
        return self.exec('sh', '-c', text, **kw)

    def booted(self):
        state = self.exec('systemctl', 'is-system-running', check=False)[1].strip()
        return state in ('running', 'degraded')

    def show(self, name):
        return self.exec('systemctl', 'show', '-P', name, UNIT).strip()

    def journal(self):
        return self.exec('journalctl', '--no-pager', '-o', 'cat', '-u', UNIT)

    def last_run(self):
        """What the journal has since the service was started last."""
        return self.journal().rpartition('Starting ' + UNIT)[2]

    def wait_service(self):
        wait(lambda: self.exec('millrace', 'health', '--config', FILE, check=False)[0] == 0, self.journal, SECONDS)

    def read(self):
        return self.exec('kafka-console-consumer.sh', '--bootstrap-server', 'localhost:9092', '--topic', 't', '--from-beginning', '--max-messages', '10').split()


@pytest.fixture(scope='module')
def systemd_image(engine):
    libraries, name = os.environ['MILLRACE_LIBRARIES'], 'millrace-systemd:test'
    skip_without_archive(libraries)
    run('docker', 'build', '-q', '-t', name, '-', input=(INSTALLED % libraries).encode())
    return name


@pytest.fixture(scope='module')
def machine(systemd_image):
    m = Machine(unique('systemd'))
    docker('run', '-d', '--name', m.name, *MAY, '-v', os.environ['MILLRACE_PACKAGES'] + ':/packages:ro', systemd_image, 'sh', '-c', BOOT)
    try:
        wait(lambda: m.booted() or not m.inspect('.State.Running'), lambda: m.exec('systemctl', 'list-jobs', check=False)[1], SECONDS)
        if not m.inspect('.State.Running'):
            pytest.skip('systemd does not boot in a container here: ' + ' '.join(m.logs().split())[-300:])
        m.sh('dpkg -i /packages/*.deb')
        yield m
    finally:
        docker('rm', '-fv', m.name)


def test_start(machine):
    machine.sh('cd /etc/millrace && setpriv --reuid millrace --regid millrace --clear-groups '
               'millrace storage format -t "$(millrace storage random-uuid)" -c server.properties')
    begun = time.monotonic()
    machine.exec('systemctl', 'enable', '--now', UNIT)
    machine.wait_service()
    print('serves %.2f s after systemctl enable --now was called' % (time.monotonic() - begun))
    status = machine.exec('systemctl', 'status', '--no-pager', '--full', UNIT)
    assert 'Active: active (running)' in status, status
    assert 'Status: "node 1 is ready. PLAINTEXT on localhost:9092. Data in /var/lib/millrace/data."' in status, status
    machine.sh('seq 10 | kafka-console-producer.sh --bootstrap-server localhost:9092 --topic t')
    assert machine.read() == [str(i) for i in range(1, 11)]


def test_the_sandbox(machine):
    """What the unit asks for is in force, and leaves the node all that it needs: io_uring is used as it is outside of the sandbox."""
    process = dict(re.findall(r'^(\w+):\s+(.*)$', machine.sh('cat /proc/%s/status' % machine.show('MainPID')), re.M))
    assert process['CapBnd'] == process['CapEff'] == '0' * 16 and process['NoNewPrivs'] == '1' and process['Seccomp'] == '2', process
    assert process['Uid'].split()[0] == machine.exec('id', '-u', 'millrace').strip()
    outside = machine.sh('timeout -s TERM 3 millrace server --data /tmp/outside --port 0 2>&1', check=False)[1]
    said = [re.search(r'io_uring is .*', text).group() for text in (machine.journal(), outside)]
    assert said[0] == said[1], said


def test_killed_it_comes_back(machine):
    before, begun = machine.show('MainPID'), time.monotonic()
    machine.sh('kill -9 ' + before)
    wait(lambda: machine.show('NRestarts') == '1', machine.journal, SECONDS)
    machine.wait_service()
    print('serves again %.2f s after the kill' % (time.monotonic() - begun))
    assert machine.show('MainPID') not in ('0', before) and machine.show('ActiveState') == 'active'
    assert machine.read() == [str(i) for i in range(1, 11)]


def test_stop_is_orderly(machine):
    machine.exec('systemctl', 'stop', UNIT)
    assert [machine.show(n) for n in ('ActiveState', 'Result', 'ExecMainStatus')] == ['inactive', 'success', '0']
    assert 'node: stopped node=1' in machine.last_run(), machine.journal()
    machine.exec('systemctl', 'start', UNIT)
    machine.wait_service()
    assert 'stop=clean' in machine.last_run()


def test_reboot(machine):
    """A machine that goes down stops the node in order, and starts it when it is up again."""
    runs = machine.journal().count('Starting ' + UNIT)
    docker('restart', '-t', SECONDS, machine.name)
    wait(machine.booted, 'the machine does not boot again', SECONDS)
    machine.wait_service()
    assert machine.read() == [str(i) for i in range(1, 11)]
    assert machine.journal().count('Starting ' + UNIT) == runs + 1
    assert 'stop=clean' in machine.last_run(), machine.journal()


def test_a_node_without_its_file_is_refused(machine):
    status, said = machine.exec('systemctl', 'start', 'millrace@nobody', check=False)
    assert status != 0 and 'millrace@nobody' in said, said


def test_what_is_wrong_is_an_error_of_the_journal(machine):
    """`journalctl -p err` has why a node does not start, and nothing of nodes that do."""
    machine.sh("sed 's/^node.id=.*/node.id=many/' %s > /etc/millrace/wrong.properties && systemctl start millrace@wrong" % FILE)
    errors, status = ['journalctl', '--no-pager', '-q', '-o', 'cat', '-p', 'err', '-u'], ['systemctl', 'status', '--no-pager', '--full', 'millrace@wrong']
    wait(lambda: 'millrace server: node.id=many is not an int' in machine.exec(*errors, 'millrace@wrong'),
         lambda: machine.exec('journalctl', '--no-pager', '-u', 'millrace@wrong'), SECONDS)
    wait(lambda: 'Status: "node.id=many is not an int' in machine.exec(*status, check=False)[1], lambda: machine.exec(*status, check=False)[1], SECONDS)
    machine.sh('systemctl stop millrace@wrong; rm /etc/millrace/wrong.properties')
    assert machine.exec(*errors, UNIT) == ''


def test_upgrade_restarts_nothing(machine):
    before = machine.show('MainPID')
    machine.sh('dpkg -i /packages/millrace_*.deb')
    assert machine.show('MainPID') == before and machine.show('NeedDaemonReload') == 'no'


def test_purge_stops_in_order_and_leaves_no_link(machine):
    machine.sh('dpkg --purge millrace-kafka-names millrace')
    assert [machine.show(n) for n in ('ActiveState', 'Result')] == ['inactive', 'success']
    assert 'node: stopped node=1' in machine.last_run(), machine.journal()
    assert machine.sh('find /etc/systemd -name "millrace*"') == ''
    machine.sh('test -f /var/lib/millrace/data/meta.properties')
