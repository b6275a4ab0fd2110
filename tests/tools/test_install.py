"""`cmake --install`: the binary, links with Kafka's tool names, the man page, sample configuration; and the tools through the links."""
import os
import shutil
import subprocess

import pytest
from node import ROOT, binary, run

with open(os.path.join(ROOT, 'tools/kafka-names.txt'), encoding='utf-8') as f:
    NAMES = f.read().split()


@pytest.fixture(scope='module')
def prefix(tmp_path_factory):
    p = tmp_path_factory.mktemp('install')
    status, out, err = run('cmake', '--install', os.path.dirname(binary()), '--prefix', str(p))
    assert status == 0, out + err
    return p


def test_what_is_installed(prefix):
    assert os.access(prefix / 'bin/millrace', os.X_OK)
    assert sorted(os.listdir(prefix / 'bin')) == sorted(NAMES + ['millrace'])
    samples = os.listdir(prefix / 'etc/millrace')
    assert sorted(samples) == sorted(n for n in os.listdir(os.path.join(ROOT, 'deploy')) if n.endswith('.properties')) and 'server.properties' in samples
    assert (prefix / 'share/man/man1/millrace.1').read_text().startswith('.TH MILLRACE 1')


@pytest.mark.parametrize('name', NAMES)
def test_a_tool_through_its_link(prefix, name):
    link = prefix / 'bin' / name
    assert os.readlink(link) == 'millrace'
    version = run(str(prefix / 'bin/millrace'), '--version')[1].split()[-1]
    status, out, err = run(str(link), '--version')
    assert (status, err) == (0, '') and version in out
    tool = {'server-start': 'server'}.get(name[len('kafka-'):-len('.sh')], name[len('kafka-'):-len('.sh')])
    status, out, err = run(str(link), '--help')
    assert (status, err) == (0, '')
    assert 'millrace ' + tool in out and 'xample' in out


@pytest.mark.parametrize('name', ('kafka-acls.sh', 'kafka-acls', 'kafka-server-stop.sh', 'connect-standalone.sh'))
def test_a_link_under_a_name_without_a_tool(prefix, tmp_path, name):
    os.symlink(prefix / 'bin/millrace', tmp_path / name)
    said = 'millrace: there is no tool "%s"; `millrace help` lists them.\n' % name.removesuffix('.sh')
    for words in (('--bootstrap-server', 'localhost:9092', '--list'), ('topics', '--help'), ()):
        assert run(str(tmp_path / name), *words) == (1, '', said)
    os.symlink(prefix / 'bin/millrace', tmp_path / 'mr')  # any other name is one for millrace
    assert run(str(tmp_path / 'mr'), 'topics', '--version')[0] == 0


def test_a_moved_tree_still_works(prefix, tmp_path):
    shutil.copytree(prefix / 'bin', tmp_path / 'bin', symlinks=True)
    status, out, _ = run(str(tmp_path / 'bin/kafka-storage.sh'), 'random-uuid')
    assert status == 0 and len(out.strip()) == 22


def test_the_manual_names_every_tool(prefix):
    manual = (prefix / 'share/man/man1/millrace.1').read_text().replace('\\-', '-')
    for line in run(str(prefix / 'bin/millrace'), 'help')[1].splitlines():
        if line.startswith('  '):
            assert line.split()[0] in manual, line


def test_the_simulator_runs_from_where_it_is_installed(prefix):
    millrace = str(prefix / 'bin/millrace')
    status, out, err = run(millrace, 'simulate', '--seed', '4', '--scenario', 'quorum')
    assert (status, err) == (0, '') and out.splitlines()[-1] == '1 passed, 0 failed'
    again = run(millrace, 'simulate', '--seed', '4', '--scenario', 'quorum', '--verbose')[1]
    other = run(millrace, 'simulate', '--seed', '5', '--scenario', 'quorum', '--verbose')[1]
    digest = [[line for line in o.splitlines() if line.startswith('digest ')] for o in (again, run(
        millrace, 'simulate', '--seed', '4', '--scenario', 'quorum', '--verbose')[1], other)]
    assert len(digest[0]) == 1 and digest[0] == digest[1] != digest[2]
    status, out, err = run(millrace, 'simulate', '--seed', '4', '--mutant', 'vote')
    assert status == 2 and 'tests/sim.sh' in err
    status, out, err = run('sh', '-c', 'exec "$0" simulate --seed 4 --scenario quorum >/dev/full', millrace)
    assert (status, out, err) == (2, '', 'millrace-sim: cannot write the output: No space left on device\n')
    status, out, err = run(millrace, 'simulate', '--seed', 'x')
    assert status == 2 and '--seeds wants' in err


def test_destdir(tmp_path):
    env = dict(os.environ, DESTDIR=str(tmp_path / 'root'))
    p = subprocess.run(['cmake', '--install', os.path.dirname(binary()), '--prefix', '/usr'], env=env, capture_output=True, check=False)
    assert p.returncode == 0
    assert os.readlink(tmp_path / 'root/usr/bin/kafka-topics.sh') == 'millrace'
