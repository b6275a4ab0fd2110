"""The Debian packages of `cpack -G DEB`: what is in them, and a life with them in a container that has what they depend on: installed, configured,
run as their user, installed anew over changed configuration, removed. The systemd unit is judged by systemd-analyze."""
import glob
import os
import re

import pytest
from engine import Running, docker, run, unique
from members import ROOT

UNIT = os.path.join(ROOT, 'deploy/systemd/millrace@.service')
NAMES = open(os.path.join(ROOT, 'tools/kafka-names.txt')).read().split()


def package(name):
    found = glob.glob(os.path.join(os.environ['MILLRACE_PACKAGES'], name + '_*.deb'))
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope='module')
def machine(engine):
    """A container that is a machine to install on: root, the libraries, nothing of ours."""
    m = Running(unique('m'))
    docker('run', '-d', '--name', m.name, '--network', 'none', '-v', os.environ['MILLRACE_PACKAGES'] + ':/packages:ro', os.environ['MILLRACE_LIBRARIES'],
           'sleep', 'infinity')
    yield m
    docker('rm', '-fv', m.name)


def sh(m, text, **kw):
    return m.exec('sh', '-c', text, **kw)


def test_contents():
    def files(name):
        return {line.split()[5].lstrip('.') for line in run('dpkg-deb', '-c', package(name)).splitlines() if not line.startswith('d')}
    samples = {'/etc/millrace/' + os.path.basename(p) for p in glob.glob(os.path.join(ROOT, 'deploy/*.properties'))}
    assert files('millrace') == samples | {'/usr/bin/millrace', '/usr/libexec/millrace/millrace-simulate', '/usr/share/man/man1/millrace.1',
                                           '/lib/systemd/system/millrace@.service'}
    assert files('millrace-kafka-names') == {'/usr/bin/' + n for n in NAMES}
    assert set(run('dpkg-deb', '-I', package('millrace'), 'conffiles').split()) == samples
    depends = run('dpkg-deb', '-f', package('millrace'), 'Depends')
    for library in 'libraft0', 'librdkafka1', 'liburing2', 'libc6':
        assert library in depends, depends
    assert run('dpkg-deb', '-f', package('millrace-kafka-names'), 'Depends').strip() == 'millrace'


def test_install_and_run(machine):
    sh(machine, 'dpkg -i /packages/millrace_*.deb')
    assert sh(machine, 'stat -c "%U %a" /var/lib/millrace').strip() == 'millrace 750'
    assert sh(machine, 'getent passwd millrace').strip().endswith(':/var/lib/millrace:/usr/sbin/nologin')
    assert sh(machine, 'ls /usr/bin/kafka-topics.sh', check=False)[0] != 0
    sh(machine, 'dpkg -i /packages/millrace-kafka-names_*.deb')
    as_user = 'setpriv --reuid millrace --regid millrace --clear-groups '
    sh(machine, as_user + 'millrace storage format -t "$(millrace storage random-uuid)" -c /etc/millrace/server.properties')
    docker('exec', '-d', machine.name, 'sh', '-c', 'exec ' + as_user + 'millrace server /etc/millrace/server.properties >/var/lib/millrace.log 2>&1')
    sh(machine, 'for i in $(seq 600); do millrace health --config /etc/millrace/server.properties 2>/dev/null && exit; sleep 0.1; done; '
                'cat /var/lib/millrace.log; exit 1')
    sh(machine, 'seq 10 | kafka-console-producer.sh --bootstrap-server localhost:9092 --topic t')
    out = sh(machine, 'kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic t --from-beginning --max-messages 10')
    assert out.split() == [str(i) for i in range(1, 11)]
    assert 'millrace-simulate' not in sh(machine, 'millrace simulate --help')
    sh(machine, 'kill $(pidof millrace); for i in $(seq 300); do pidof millrace >/dev/null || exit 0; sleep 0.1; done; exit 1')


def test_upgrade_keeps_configuration_and_data(machine):
    sh(machine, 'echo "# mine" >> /etc/millrace/server.properties; dpkg -i /packages/millrace_*.deb')
    assert sh(machine, 'tail -1 /etc/millrace/server.properties').strip() == '# mine'
    sh(machine, 'test -f /var/lib/millrace/data/meta.properties')


def test_remove_keeps_data(machine):
    sh(machine, 'dpkg --purge millrace-kafka-names millrace')
    assert sh(machine, 'command -v millrace', check=False)[0] != 0
    assert sh(machine, 'ls /etc/millrace', check=False)[0] != 0
    sh(machine, 'test -f /var/lib/millrace/data/meta.properties')


def test_unit_is_valid(tmp_path):
    """systemd wants the program and the user of a unit to be there: a root folder has stand-ins."""
    root = tmp_path / 'root'
    run('dpkg-deb', '-x', package('millrace'), root)
    (root / 'etc/passwd').write_text('root:x:0:0::/:/bin/sh\nmillrace:x:999:999::/:/bin/sh\n')
    (root / 'etc/group').write_text('root:x:0:\nmillrace:x:999:\n')
    for target in 'network-online', 'multi-user', 'basic', 'sysinit', 'shutdown':
        (root / ('lib/systemd/system/%s.target' % target)).write_text('[Unit]\nDescription=%s\n' % target)
    said = run('systemd-analyze', 'verify', '--root=%s' % root, '--man=no', 'millrace@server.service', check=False)
    assert said == (0, ''), said


def test_unit_is_hardened():
    status, said = run('systemd-analyze', 'security', '--offline=yes', '--no-pager', '--threshold=25', UNIT, check=False)
    level = re.search(r'Overall exposure level for \S+: (\d+\.\d)', said)
    assert status == 0 and level and float(level.group(1)) <= 2.5, said


def test_unit_stops_later_than_the_node():
    """The node's own limit for an orderly stop comes first."""
    unit = dict(re.findall(r'^(\w+)=(.*)$', open(UNIT).read(), re.M))
    assert int(unit['TimeoutStopSec']) > 30 and unit['Restart'] == 'on-failure'
