"""`millrace storage`, and the directories that `millrace server` refuses: each with a sentence that says what is wrong and what to do."""
import os
import re
import shutil
import struct
import subprocess
import time

import pytest
from node import Node, binary, free_port, millrace, run

CLUSTER = 'DUO7j3nMRSCdq1RXXLLHig'
VOTERS = 'controller.quorum.voters=1@127.0.0.1:%d'
FORMATTED = 'metadata.version 4.3-IV0.'


class Place:
    """A server.properties with its log directories below folder."""

    def __init__(self, folder, dirs=('d',), voters=VOTERS, extra=''):
        self.folder, self.port = str(folder), free_port()
        self.dirs = [os.path.join(self.folder, d) for d in dirs]
        self.file = os.path.join(self.folder, 'server.properties')
        self.write(voters, extra)

    def write(self, voters=VOTERS, extra='', node=1):
        with open(self.file, 'w') as f:
            f.write('process.roles=broker,controller\nnode.id=%d\ncontroller.listener.names=CONTROLLER\n' % node)
            f.write('listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d\n' % (self.port, self.port + 1))
            f.write('log.dirs=%s\noffsets.topic.replication.factor=1\n' % ','.join(self.dirs))
            f.write((voters % (self.port + 1) if '%d' in voters else voters) + '\n' + extra)

    def format(self, *args, cluster=CLUSTER):
        return millrace('storage', 'format', '-t', cluster, '-c', self.file, *args)

    def info(self):
        return millrace('storage', 'info', '-c', self.file)

    def refused(self):
        """The sentence with which the server ends."""
        status, out, err = millrace('server', self.file, timeout=60)
        assert status == 1 and 'ready' not in out
        last = err.strip().splitlines()[-1]
        assert last.startswith('millrace server: ')
        return last[len('millrace server: '):]

    def node(self):
        return PlaceNode(self)


class PlaceNode(Node):
    def __init__(self, place):
        super().__init__(place.folder, port=place.port)
        self.file = place.file

    def start(self):
        self.process = subprocess.Popen([binary(), 'server', self.file], stdout=open(self.log, 'a'), stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError('the node did not start:\n' + open(self.log).read()[-4000:])
            time.sleep(0.02)
        return self


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def two(tmp_path):
    return Place(tmp_path, ('d2', 'd1'))


def tree(folder):
    """All below it, with contents."""
    found = {}
    for at, _, names in os.walk(folder):
        found.update({os.path.join(at, n): open(os.path.join(at, n), 'rb').read() for n in names})
    return found


def topics(node, *args):
    return millrace('topics', '--bootstrap-server', node.servers, *args)


# ---- the tool ----


def test_format_and_info(place):
    d = place.dirs[0]
    status, out, err = place.format()
    assert (status, err) == (0, '') and out.endswith('Formatting metadata directory %s with %s\n' % (d, FORMATTED))
    assert sorted(os.listdir(d)) == ['bootstrap.checkpoint', 'meta.properties']
    status, out, err = place.format()
    assert status == 1 and out == '' and 'Log directory %s is already formatted. Use --ignore-formatted to ' % d in err
    assert place.format('-g')[:2] == (0, 'All of the log directories are already formatted.\n')
    status, out, _ = place.info()
    assert status == 0
    assert re.fullmatch('Found log directory:\n  %s\n\nFound metadata: {cluster.id=%s, directory.id=[\\w-]{22}, node.id=1, version=1}\n\n'
                        % (re.escape(d), CLUSTER), out)
    status, _, err = place.format('-g', cluster='AAAAAAAAAAAAAAAAAAAAAA')
    assert status == 1 and CLUSTER in err and 'AAAAAAAAAAAAAAAAAAAAAA' in err


def test_two_directories(two):
    d2, d1 = two.dirs
    out = two.format()[1]
    assert out.endswith('Formatting data directory %s with %s\nFormatting metadata directory %s with %s\n' % (d1, FORMATTED, d2, FORMATTED))
    assert os.listdir(d1) == ['meta.properties'] and 'bootstrap.checkpoint' in os.listdir(d2)
    os.remove(d1 + '/meta.properties')
    status, out, _ = two.info()
    assert status == 1 and out.startswith('Found log directories:\n  %s\n  %s\n\n' % (d1, d2))
    assert out.endswith('Found problem:\n  %s is not formatted.\n\n' % d1)
    before = tree(d2)
    assert two.format('-g')[0] == 0 and tree(d2) == before
    assert two.info()[0] == 0
    shutil.rmtree(d1), shutil.rmtree(d2)
    status, out, _ = two.info()
    assert status == 1 and out == 'Found problems:\n  %s does not exist\n  %s does not exist\n\n' % (d1, d2)


def test_features_and_releases(place):
    def levels(*args):
        shutil.rmtree(place.dirs[0], ignore_errors=True)
        status, out, err = place.format(*args)
        assert status == 0, err
        return dict((n, int(v)) for n, v in re.findall(r"name='([\w.]+)', featureLevel=(\d+)", out))
    full = {'metadata.version': 30, 'eligible.leader.replicas.version': 1, 'group.version': 1, 'share.version': 1, 'streams.version': 1,
            'transaction.version': 2}
    assert levels() == full
    assert levels('--feature', 'transaction.version=1') == dict(full, **{'transaction.version': 1})
    assert levels('--release-version', '3.9') == {'metadata.version': 21}
    assert levels('--feature', 'metadata.version=20') == {'metadata.version': 20}
    assert levels('-r', '4.2-IV0', '-f', 'eligible.leader.replicas.version=0') == \
        {'metadata.version': 28, 'group.version': 1, 'share.version': 1, 'transaction.version': 2}
    assert levels('--feature', 'kraft.version=0') == full


@pytest.mark.parametrize('args, text', [
    (('--feature', 'no.such=1'), 'no.such'),
    (('--feature', 'transaction.version=9'), '0 to 2'),
    (('--feature', 'transaction.version'), 'NAME=LEVEL'),
    (('--feature', 'kraft.version=1'), 'kraft.version'),
    (('--release-version', '9.9'), '3.3-IV3 to 4.3-IV0'),
    (('--release-version', '3.2'), '3.3-IV3 to 4.3-IV0'),
    (('--release-version', '4.0', '--feature', 'metadata.version=20'), '--release-version'),
    (('--standalone',), 'controller.quorum.voters'),
    (('--initial-controllers', '1@localhost:9093:3Db5QLSqSZieL3rJBUUegA'), 'controller.quorum.voters'),
    (('--standalone', '--no-initial-controllers'), 'one of'),
    (('--add-scram', 'x'), '--add-scram'),
    (('--nonsense',), 'nonsense'),
])
def test_wrong_options_leave_nothing(place, args, text):
    status, out, err = place.format(*args)
    assert status == 1 and out == '' and text in err
    assert not os.path.exists(place.dirs[0])


def test_wrong_commands(place):
    for args in ((), ('nonsense',), ('random-uuid', 'extra'), ('format', '-c', place.file), ('format', '-t', CLUSTER), ('info',),
                 ('format', '-t', CLUSTER, '-c', '/none/such'), ('format', '-t', '', '-c', place.file)):
        status, out, err = millrace('storage', *args)
        assert (status, out) == (1, '') and len(err.strip().splitlines()) <= 2, args
    assert millrace('storage', 'random-uuid', '--help') == millrace('storage', '--help')
    ids = [millrace('storage', 'random-uuid')[1].strip() for _ in range(20)]
    assert len(set(ids)) == 20 and all(re.fullmatch(r'[\w][\w-]{21}', i) for i in ids)


# ---- refused by the server ----


def test_unformatted(place):
    s = place.refused()
    assert place.dirs[0] in s and 'millrace storage format' in s
    assert not os.path.exists(place.dirs[0])


def test_another_node_or_cluster(two):
    two.format()
    two.write(node=2, voters='controller.quorum.voters=2@127.0.0.1:%d')
    assert 'belongs to node 1' in two.refused()
    two.write()
    path = two.dirs[1] + '/meta.properties'
    text = open(path).read()
    open(path, 'w').write(text.replace(CLUSTER, 'another'))
    assert 'another' in two.refused() and CLUSTER in two.refused()
    shutil.copy(two.dirs[0] + '/meta.properties', path)
    assert 'one is a copy of the other' in two.refused()


@pytest.mark.parametrize('text, says', [
    ('version=2\nnode.id=1\ncluster.id=%s\n' % CLUSTER, 'is of version 2'),
    ('version=0\nbroker.id=1\ncluster.id=%s\n' % CLUSTER, 'ZooKeeper'),
    ('version=1\nnode.id=x\ncluster.id=%s\n' % CLUSTER, 'node.id'),
    ('version=1\nnode.id=1\n', 'cluster.id'),
    ('\0\0\0\0', 'version'),
    ('', 'version'),
])
def test_other_formats(place, text, says):
    place.format()
    with open(place.dirs[0] + '/meta.properties', 'w') as f:
        f.write(text)
    before = tree(place.dirs[0])
    s = place.refused()
    assert says in s and place.dirs[0] in s
    assert tree(place.dirs[0]) == before


def test_foreign_directory(two):
    os.mkdir(two.dirs[1])
    with open(two.dirs[1] + '/photo.jpg', 'w') as f:
        f.write('x')
    status, _, err = two.format()
    assert status == 1 and 'photo.jpg' in err and not os.path.exists(two.dirs[0])
    os.rename(two.dirs[1], two.dirs[1] + 'x')
    assert two.format()[0] == 0
    shutil.rmtree(two.dirs[1])
    os.rename(two.dirs[1] + 'x', two.dirs[1])
    s = two.refused()
    assert two.dirs[1] in s and 'photo.jpg' in s and os.listdir(two.dirs[1]) == ['photo.jpg']


def test_formatting_cut_short(two):
    """Only the data directory was done: the metadata log must not begin anew elsewhere. Only the metadata directory was: the rest follows."""
    two.format()
    os.remove(two.dirs[0] + '/meta.properties')
    s = two.refused()
    assert two.dirs[0] in s and '--ignore-formatted' in s
    assert two.format('-g')[0] == 0
    os.remove(two.dirs[1] + '/meta.properties')
    with open(two.dirs[1] + '/meta.properties.tmp', 'w') as f:
        f.write('version')
    with two.node():
        assert 'meta.properties' in os.listdir(two.dirs[1])
    assert two.info()[0] == 0


def test_lost_metadata(two):
    """A metadata log that would begin anew would set all partitions aside."""
    two.format()
    with two.node() as n:
        assert topics(n, '--create', '--topic', 't', '--partitions', '4')[0] == 0
    log = two.dirs[0] + '/__cluster_metadata-0'
    os.rename(log, two.folder + '/kept')
    s = two.refused()
    assert 'metadata log was lost' in s and re.search(r'holds t-\d', s)
    os.rename(two.folder + '/kept', log)
    # the directories in another order: the log would be looked for in the other one
    two.dirs.reverse()
    two.write()
    s = two.refused()
    assert '__cluster_metadata-0' in s and 'metadata.log.dir' in s
    two.dirs.reverse()
    two.write()
    # a data directory without meta.properties is not taken for a new disk
    os.rename(two.dirs[1] + '/meta.properties', two.folder + '/kept')
    s = two.refused()
    assert two.dirs[1] in s and 'put the file back' in s
    os.rename(two.folder + '/kept', two.dirs[1] + '/meta.properties')
    with two.node() as n:
        assert 't\n' in topics(n, '--list')[1]
        assert not [f for d in two.dirs for f in os.listdir(d) if 'stray' in f]


def test_metadata_directory_of_its_own(tmp_path):
    p = Place(tmp_path, ('d1', 'd2'), extra='metadata.log.dir=%s/m\n' % tmp_path)
    m = str(tmp_path) + '/m'
    out = p.format()[1]
    assert 'Formatting metadata directory %s ' % m in out and out.count('Formatting data directory') == 2
    with p.node() as n:
        assert topics(n, '--create', '--topic', 't')[0] == 0
        assert '__cluster_metadata-0' in os.listdir(m) and '.lock' in os.listdir(m)
        # another node must not use it at the same time
        (tmp_path / 'other').mkdir()
        other = Place(tmp_path / 'other', extra='metadata.log.dir=%s\n' % m)
        assert other.format('-g')[0] == 0
        assert 'is a broker running on it?' in other.refused()
    assert '__cluster_metadata-0' not in os.listdir(p.dirs[0])
    os.rename(m + '/meta.properties', m + '/kept')
    assert m in p.refused()
    os.rename(m + '/kept', m + '/meta.properties')
    with p.node() as n:
        assert 't\n' in topics(n, '--list')[1]


def test_standalone(tmp_path):
    """Kafka's own sample server.properties: no controller.quorum.voters, one bootstrap server, which is the node itself."""
    p = Place(tmp_path, voters='controller.quorum.bootstrap.servers=127.0.0.1:%d')
    snapshot = p.dirs[0] + '/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint'
    for args, text in (((), '--standalone'), (('-N', '-s'), 'one of'), (('-s', '--feature', 'kraft.version=0'), 'kraft.version'),
                       (('-I', '1@127.0.0.1:1'), 'DIRECTORY-ID'), (('-I', '2@127.0.0.1:1:3Db5QLSqSZieL3rJBUUegA'), 'node 2'),
                       (('-I', '1@h:1:3Db5QLSqSZieL3rJBUUegA,2@h:2:3Db5QLSqSZieL3rJBUUegB'), 'several')):
        status, out, err = p.format(*args)
        assert status == 1 and out == '' and text in err, args
        assert not os.path.exists(p.dirs[0])
    status, out, _ = p.format('--standalone')
    assert status == 0 and out.endswith('Formatting dynamic metadata voter directory %s with %s\n' % (p.dirs[0], FORMATTED))
    assert os.path.exists(snapshot)
    with p.node() as n:
        assert topics(n, '--create', '--topic', 't')[0] == 0
    with p.node() as n:
        assert 't\n' in topics(n, '--list')[1]
    # the voters are in the log: another directory id is not the voter
    path = p.dirs[0] + '/meta.properties'
    text = open(path).read()
    open(path, 'w').write(re.sub('directory.id=.*', 'directory.id=3Db5QLSqSZieL3rJBUUegA', text))
    assert 'kraft.version 1' in p.refused()
    shutil.rmtree(p.dirs[0])
    assert p.format('-I', '1@127.0.0.1:%d:3Db5QLSqSZieL3rJBUUegA' % (p.port + 1))[0] == 0
    assert 'directory.id=3Db5QLSqSZieL3rJBUUegA' in open(path).read()
    with p.node():
        pass
    shutil.rmtree(p.dirs[0])  # a controller that is to be no voter needs others that are
    assert p.format('--no-initial-controllers')[0] == 0
    assert 'is this controller itself' in p.refused()


def test_locked(place):
    place.format()
    with place.node():
        other = Place(place.folder)
        other.file += '2'
        other.write()
        assert 'is a broker running on it?' in other.refused()


# ---- damage ----


def newest(folder, suffix):
    return os.path.join(folder, max(f for f in os.listdir(folder) if f.endswith(suffix)))


def test_damaged_metadata_log(place):
    place.format()
    with place.node() as n:
        for i in range(20):
            assert topics(n, '--create', '--topic', 't%d' % i)[0] == 0
    log = place.dirs[0] + '/__cluster_metadata-0/00000000000000000000.log'
    whole = open(log, 'rb').read()
    # a byte in the middle of what was durable
    with open(log, 'wb') as f:
        f.write(whole[:len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1:])
    s = place.refused()
    assert log in s and 'checksum' in s and 'damaged' in s and 'Restore' in s
    # cut in what was durable
    with open(log, 'wb') as f:
        f.write(whole[:len(whole) // 2])
    s = place.refused()
    assert 'durable' in s and 'Restore' in s
    # a torn tail behind it was never acknowledged
    with open(log, 'wb') as f:
        f.write(whole + whole[-70:-20])
    with place.node() as n:
        assert len(topics(n, '--list')[1].split()) == 20
    with open(n.log) as f:
        assert 'the metadata log ends in ' in f.read()


def test_damaged_snapshot(place):
    """The log reaches back to the snapshot before it, or to its beginning."""
    place.write(extra='metadata.log.max.record.bytes.between.snapshots=2000\n')
    place.format()
    with place.node() as n:
        for i in range(12):
            assert topics(n, '--create', '--topic', 't%d' % i, '--partitions', '5')[0] == 0
    folder = place.dirs[0] + '/__cluster_metadata-0'
    for cut in (True, False):
        path = newest(folder, '.checkpoint')
        data = open(path, 'rb').read()
        with open(path, 'wb') as f:
            f.write(data[:-1] if cut else data[:200] + bytes([data[200] ^ 1]) + data[201:])
        with place.node() as n:
            assert len(topics(n, '--list')[1].split()) == 12
        with open(n.log) as f:
            assert '%s is damaged' % path in f.read()
        assert os.path.exists(path + '.damaged')


def test_damaged_bootstrap(place):
    place.format()
    path = place.dirs[0] + '/bootstrap.checkpoint'
    whole = open(path, 'rb').read()
    for bad in (b'', whole[:83], whole[:-5], whole[:100] + bytes([whole[100] ^ 4]) + whole[101:]):
        with open(path, 'wb') as f:
            f.write(bad)
        s = place.refused()
        assert path in s and 'damaged' in s
        shutil.rmtree(place.dirs[0] + '/__cluster_metadata-0')


def crc32c(data):
    crc = 0xffffffff
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def test_newer_metadata_version(place):
    """A cluster that a newer release has begun."""
    place.format()
    path = place.dirs[0] + '/bootstrap.checkpoint'
    data = bytearray(open(path, 'rb').read())
    at = data.index(b'metadata.version') + len('metadata.version')
    assert data[at:at + 2] == b'\0\x1e'
    data[at + 1] = 31
    first = 12 + struct.unpack('>i', data[8:12])[0]
    end = first + 12 + struct.unpack('>i', data[first + 8:first + 12])[0]
    data[first + 17:first + 21] = struct.pack('>I', crc32c(data[first + 21:end]))
    with open(path, 'wb') as f:
        f.write(data)
    s = place.refused()
    assert 'metadata.version 31' in s and 'up to 30' in s


def test_quorum_state_of_another(place):
    place.format()
    with place.node():
        pass
    path = place.dirs[0] + '/__cluster_metadata-0/quorum-state'
    text = open(path).read()
    with open(path, 'w') as f:
        f.write('{"garbage')
    assert path in place.refused()
    with open(path, 'w') as f:
        f.write(text)
    with place.node():
        pass


def test_two_voters(tmp_path):
    """Of two, none may fail: one, three or five. What three do is tried in tests/cluster."""
    p = Place(tmp_path, voters='controller.quorum.voters=1@127.0.0.1:%d,2@127.0.0.1:1')
    status, out, err = p.format()
    assert status == 1 and 'names 2 voters; allowed: 1, 3 or 5' in err, out + err
    assert 'names 2 voters; allowed: 1, 3 or 5' in p.refused()


def test_kafkas_name(place):
    link = os.path.join(place.folder, 'kafka-storage')
    os.symlink(binary(), link)
    status, out, _ = run(link, 'random-uuid')
    assert status == 0 and len(out) == 23
