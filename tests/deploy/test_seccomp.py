"""deploy/seccomp-io_uring.json: io_uring works under it, ways out of the container do not; and without io_uring a node serves by libuv."""
import json

import pytest
from engine import PROFILE, Container, docker, image

pytestmark = pytest.mark.usefixtures('engine')
URING = {'io_uring_setup', 'io_uring_enter', 'io_uring_register'}


def options(profile):
    return ['--network', 'none', '--cap-drop', 'ALL', '--security-opt', 'seccomp=%s' % profile, '--security-opt', 'no-new-privileges:true']


def pipe_through(c):
    c.wait_serving()
    c.exec('sh', '-c', 'seq 1000 | kafka-console-producer.sh --bootstrap-server localhost:9092 --topic t')
    out = c.exec('kafka-console-consumer.sh', '--bootstrap-server', 'localhost:9092', '--topic', 't', '--from-beginning', '--max-messages', '1000')
    assert out.split() == [str(i) for i in range(1, 1001)], out[-500:]


def test_io_uring_is_used():
    with Container(*options(PROFILE)) as c:
        pipe_through(c)
        assert 'io_uring is used' in c.logs()


def test_without_io_uring_libuv_serves(tmp_path):
    profile = json.load(open(PROFILE))
    for rule in profile['syscalls']:
        rule['names'] = [n for n in rule['names'] if n not in URING]
    profile['syscalls'] = [r for r in profile['syscalls'] if r['names']]
    denied = tmp_path / 'denied.json'
    denied.write_text(json.dumps(profile))
    with Container(*options(denied)) as c:
        pipe_through(c)
        said = [line for line in c.logs().splitlines() if 'io_uring is ' in line]
        assert len(said) == 1 and 'io_uring is refused here' in said[0] and 'libuv is used' in said[0], said


@pytest.mark.parametrize('command', [['unshare', '-U', 'true'], ['unshare', '-n', 'true'], ['mount', '-t', 'tmpfs', 'x', '/mnt'],
                                     ['chroot', '/', 'true'], ['setarch', '-R', 'true']], ids=' '.join)
def test_ways_out_are_refused(command):
    """Even for root with the capabilities: the profile refuses, not the user's lack of rights."""
    base = ['run', '--rm', '--network', 'none', '--user', '0', '--cap-add', 'SYS_ADMIN', '--entrypoint', command[0]]
    unconfined, _ = docker(*base, '--security-opt', 'seccomp=unconfined', image(), *command[1:], check=False)
    confined, said = docker(*base, '--security-opt', 'seccomp=%s' % PROFILE, image(), *command[1:], check=False)
    assert unconfined == 0 and confined != 0, said


def test_names_stand_once_and_in_order():
    names = [n for r in json.load(open(PROFILE))['syscalls'] if 'args' not in r for n in r['names']]
    assert len(names) == len(set(names))
    for rule in json.load(open(PROFILE))['syscalls']:
        assert rule['names'] == sorted(rule['names'])
