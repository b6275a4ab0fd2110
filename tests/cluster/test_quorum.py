"""Voters of the metadata quorum: five of them, snapshots for those who are far behind, empty disks under old ids, strangers, bytes that lie."""
import os
import random
import re
import shutil
import socket
import struct
import time

import pytest
from cluster import Cluster, WireError, ask, millrace, wait
from terminal import WIPED, Tool


def test_five_controllers_lose_two(tmp_path):
    with Cluster(tmp_path, controllers=5, brokers=1, factor=1) as c:
        for _ in range(2):
            old = c.wait_active()
            old.kill()
            c.wait_active(old)
            c.create_topic('after-%d' % old.id, 1, 1)
        for n in c.controllers:
            if not n.running:
                n.start()
        c.wait_voters()


def test_votes_on_full_disks(tmp_path):
    """Elections need a block for each vote: one after another goes on, and topics are made by those who won them."""
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1, disks={1: 64, 2: 64, 3: 64}) as c:
        c.wait_voters()
        for n in c.controllers:
            n.disk.fill()
        for round in range(3):
            old = c.wait_active()
            old.pause()
            c.wait_active(old)
            c.create_topic('full-%d' % round, 1, 1)
            old.resume()
            c.wait_voters()
        assert all(n.running for n in c.controllers)
        for n in c.controllers:
            n.disk.give_space_back()
        c.create_topic('room', 1, 1)


def replicas(c):
    """What DescribeQuorum says of each voter and observer, by id; it must answer."""
    q = c.wait_quorum()
    return q['leaderId'], {v['replicaId']: v for v in q['currentVoters']}, {o['replicaId']: o for o in q['observers']}


def test_when_voters_were_heard_of(tmp_path):
    """The times of DescribeQuorum: of the leader now; of a voter or broker when it last fetched and last had everything; they stand still while it
    does, and a voter that answers again is told so."""
    # no other leader on a busy machine
    settings = {'metadata.max.idle.interval.ms': 100, 'controller.raft.election.timeout.ms': 3000}
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1, settings=settings) as c:
        c.wait_voters()
        leader, voters, observers = replicas(c)
        now = time.time() * 1000
        for r in (*voters.values(), *observers.values()):
            assert now - 30000 < r['lastCaughtUpTimestamp'] <= r['lastFetchTimestamp'] <= now, (now, r)
        late, other = [i for i in voters if i != leader]
        c.node(late).pause()
        stands = time.time() * 1000

        def told():
            """The late one's, when the log has gone on without it."""
            v = replicas(c)[1]
            gone_on = v[other]['lastCaughtUpTimestamp'] > stands + 1000 and v[late]['logEndOffset'] < v[leader]['logEndOffset']
            return v if gone_on else None
        wait(told, 'the log does not go on without a voter', 60)
        v = told()
        assert v[late]['lastFetchTimestamp'] <= stands + 1000 and v[late]['lastCaughtUpTimestamp'] <= stands + 1000, (stands, v)
        assert v[leader]['lastFetchTimestamp'] > stands + 1000 and v[leader]['lastCaughtUpTimestamp'] > stands + 1000, (stands, v)
        c.node(late).resume()
        resumed = time.time() * 1000
        wait(lambda: replicas(c)[1][late]['lastCaughtUpTimestamp'] > resumed, lambda: 'voter %d is not heard: %s' % (late, replicas(c)[1]), 60)


def test_combined_nodes_lose_the_active_controller(tmp_path):
    with Cluster(tmp_path, combined=3, factor=1) as c:
        for end in ('kill', 'stop'):
            old = c.wait_active()
            getattr(old, end)()
            c.wait_active(old)
            c.create_topic('after-%s' % end, 3, 1)
            old.start()
            c.wait_unfenced({1, 2, 3})
        c.wait_voters()


def test_every_controller_is_registered(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        def known():
            try:
                r = ask(c.node(1).controller_port, 'DescribeCluster', 1, {'endpointType': 2})
            except (OSError, WireError) as e:
                return repr(e)
            return {(b['brokerId'], b['port']) for b in r['brokers']}
        wanted = {(n.id, n.controller_port) for n in c.controllers}
        wait(lambda: known() == wanted, lambda: 'controllers %s, not %s' % (known(), wanted), 30)


def test_a_broker_finds_all_controllers_by_one(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        old = c.wait_active()
        b = c.node(11)
        b.stop()
        del b.settings['controller.quorum.voters']
        b.settings['controller.quorum.bootstrap.servers'] = '127.0.0.1:%d' % old.controller_port
        b.write_properties()
        b.start()
        old.kill()
        c.wait_active(old)
        c.create_topic('t', 1, 1)
        old.start()


def test_a_voter_far_behind_takes_the_leaders_snapshot(tmp_path):
    settings = {'metadata.log.max.record.bytes.between.snapshots': 2000, 'metadata.max.retention.bytes': 4000,
                'metadata.log.segment.bytes': 8388608, 'metadata.max.idle.interval.ms': 100}
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1, settings=settings) as c:
        leader = c.wait_active()
        late = next(n for n in c.controllers if n is not leader)
        late.kill()
        end = max(v['logEndOffset'] for v in c.wait_quorum()['currentVoters'])  # the late one has no more than this
        c.create_topic('t', 20, 1)
        others = [n for n in c.controllers if n is not late]
        for n in others:
            wait_snapshot(n, end)
        for n in others:  # whoever leads afterwards has no entries from before its snapshot
            n.restart()
        late.launch()
        late.wait_log("the leader's snapshot is installed")
        c.wait_voters()
        leader = c.wait_active()
        c.create_topic('u', 1, 1)
        late.restart()  # from what it has installed
        other = next(n for n in others if n is not leader)
        other.kill()  # now every commit needs the late one
        c.create_topic('v', 1, 1)
        other.start()
        c.wait_voters()


def wait_snapshot(n, beyond):
    """Until n has taken a snapshot of more than that: what it took before does not count."""
    def newest():
        return max(map(int, re.findall(r'snapshot taken offset=(\d+)', n.text(True))), default=-1)
    wait(lambda: newest() > beyond, lambda: "%r's newest snapshot is at %d, wanted one beyond %d" % (n, newest(), beyond))


def test_a_voter_on_an_empty_disk_is_not_heard(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        leader = c.wait_active()
        wiped, other = [n for n in c.controllers if n is not leader]
        for n in (leader, other):
            n.wait_log("a voter's directory is known from now on voter=%d " % wiped.id)
        wiped.stop()
        shutil.rmtree(wiped.data)
        wiped.format()
        wiped.launch()
        wiped.wait_log('a voter refuses what this one says: voter %d comes with directory' % wiped.id)
        leader.wait_log('a voter\'s message is refused: voter %d comes with directory' % wiped.id)
        other.kill()  # the leader and the wiped one are no majority
        wait(lambda: c.active() is None, 'a majority of one and an empty disk', 30)
        assert c.partition('t', 0) is None
        other.start()
        c.wait_active()
        c.create_topic('t', 1, 1)
        # admitted as docs/quorum.md has it: all are stopped, the newest log is copied, the others are told of the new disk
        for n in c.controllers:
            if n is not wiped:
                assert 'is in use' in admit(n, wiped)[2]
        c.node(11).stop()
        for n in c.controllers:
            n.stop()
        name = '__cluster_metadata-0'
        shutil.rmtree(os.path.join(wiped.data, name))
        shutil.copytree(os.path.join(other.data, name), os.path.join(wiped.data, name))
        for n in (leader, other):
            status, out, err = admit(n, wiped)
            assert status == 0 and 'Voter %d is admitted' % wiped.id in out, out + err
            assert 'already' in admit(n, wiped)[1]
        os.unlink(os.path.join(wiped.data, name, 'voter-directories'))  # the copy's owner has none of itself
        assert admit(wiped, wiped)[0] == 1
        for n in c.nodes:
            n.launch()
        for n in c.nodes:
            n.wait_ready()
        c.wait_voters()


def directory_of(n):
    meta = open(os.path.join(n.data, 'meta.properties')).read()
    return next(x.split('=')[1] for x in meta.split() if x.startswith('directory.id='))


def admit(n, voter):
    """Tells node n of the voter's new disk: status and what was said."""
    return millrace('storage', 'admit-voter', '-c', n.properties, '--voter', str(voter.id), '--directory', directory_of(voter))


def admit_words(c, voter, directory=None, **options):
    words = [w for k, v in options.items() for w in ('--' + k, str(v))]
    return ['storage', 'admit-voter', '--bootstrap-controller', c.controller_servers, '--voter', str(getattr(voter, 'id', voter)),
            '--directory', directory or directory_of(voter), *words]


def ask_to_admit(*of, **options):
    """Asks the controllers that run to let the voter in with its new disk: status and what was said."""
    return millrace(*admit_words(*of, **options))


def test_a_wiped_voter_is_admitted_while_the_others_run(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        c.create_topic('t', 3, 1)
        c.wait_voters()
        leader = c.wait_active()
        wiped, other = [n for n in c.controllers if n is not leader]
        wiped.stop()
        shutil.rmtree(wiped.data)
        wiped.format()
        for voter, directory, why in ((wiped, None, 'start it on its new disk first'), (leader, 'Rm9xjSaHRf6wy1mku-vq3w', 'is the active controller itself'),
                                      (9, 'Rm9xjSaHRf6wy1mku-vq3w', 'node 9 is none of controller.quorum.voters')):
            status, out, err = ask_to_admit(c, voter, directory)
            assert status == 1 and why in err, out + err
        wiped.launch()
        wiped.wait_log('a voter refuses what this one says: voter %d comes with directory' % wiped.id)
        leader.wait_log('a voter\'s message is refused: voter %d comes with directory' % wiped.id)
        status, out, err = ask_to_admit(c, wiped, 'Rm9xjSaHRf6wy1mku-vq3w')
        assert status == 1 and 'has not come with directory Rm9xjSaHRf6wy1mku-vq3w, but with %s' % directory_of(wiped) in err, out + err
        with Tool(admit_words(c, wiped), terminal=True) as t:
            t.until('voter %d has the metadata log up to offset ' % wiped.id)
            status, out = t.end()
        assert (status, out) == (0, 'voter %d is known by directory %s.\n' % (wiped.id, directory_of(wiped))) and t.text.endswith(WIPED), t.text
        for n in (leader, other):
            n.wait_log('a voter is admitted with another directory voter=%d ' % wiped.id)
        assert ask_to_admit(c, wiped)[0] == 0  # again: it is
        c.wait_voters()
        active = c.wait_active()
        third = next(n for n in c.controllers if n not in (active, wiped))
        third.kill()  # now every commit needs the new disk
        c.create_topic('u', 3, 1)
        active.restart()
        c.wait_active()
        c.create_topic('v', 3, 1)
        third.start()
        c.wait_voters()


def test_all_others_must_be_there_for_an_admission(tmp_path):
    with Cluster(tmp_path, controllers=5, brokers=1, factor=1) as c:
        leader = c.wait_active()
        wiped, away = [n for n in c.controllers if n is not leader][:2]
        c.wait_voters()
        wiped.stop()
        shutil.rmtree(wiped.data)
        wiped.format()
        wiped.launch()
        leader.wait_log('a voter\'s message is refused: voter %d comes with directory' % wiped.id)
        away.kill()
        leader.wait_log('no connection to a voter, trying again voter=%d ' % away.id)
        status, out, err = ask_to_admit(c, wiped, timeout=2000)
        assert status == 1 and 'voter %d cannot be reached' % away.id in err, out + err
        away.start()
        status, out, err = ask_to_admit(c, wiped)  # in a pipe it says how it ended
        assert (status, out, err) == (0, 'voter %d is known by directory %s.\n' % (wiped.id, directory_of(wiped)), ''), out + err
        c.wait_voters()


def test_a_voter_of_another_cluster_is_refused(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        leader = c.wait_active()
        strange = next(n for n in c.controllers if n is not leader)
        strange.stop()
        shutil.rmtree(strange.data)
        strange.format(millrace('storage', 'random-uuid')[1].strip())
        strange.launch()
        strange.wait_log('a voter refuses what this one says: voter %d belongs to cluster' % strange.id)
        leader.wait_log("a voter's message is refused: voter %d belongs to cluster" % strange.id)
        c.create_topic('t', 1, 1)
        strange.stop()


@pytest.mark.parametrize('what', ['unknown voter', 'wrong address', 'id of another'])
def test_voters_that_do_not_agree(tmp_path, what):
    """Both ends say why, in a line each, and the others go on."""
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        leader = c.wait_active()
        odd, other = [n for n in c.controllers if n is not leader]
        for n in (leader, odd):
            other.wait_log("a voter's directory is known from now on voter=%d " % n.id)
        odd.stop()
        at = {n.id: n.controller_port for n in c.controllers}
        if what == 'unknown voter':
            at[9] = at.pop(other.id)
            hearer, why = leader, 'controllers %d and %d have different controller.quorum.voters' % (odd.id, leader.id)
        elif what == 'wrong address':
            at[leader.id], at[other.id] = at[other.id], at[leader.id]
            hearer, why = other, 'voter %d means to speak to node %d, but this is node %d' % (odd.id, leader.id, other.id)
        else:
            at[odd.id], at[other.id] = at[other.id], at[odd.id]
            hearer, why = leader, 'voter %d comes with directory ' % other.id
            shutil.rmtree(odd.data)
        odd.write_properties(**{'controller.quorum.voters': ','.join('%d@127.0.0.1:%d' % v for v in at.items()),
                                'node.id': other.id if what == 'id of another' else odd.id})
        if what == 'id of another':
            odd.format()
        odd.launch()
        odd.wait_log('a voter refuses what this one says: ' + why)
        hearer.wait_log("a voter's message is refused: " + why)
        c.create_topic('t', 1, 1)


def frame(key, version, body):
    data = struct.pack('>hhih', key, version, 7, -1) + body
    return struct.pack('>i', len(data)) + data


def answer(port, data, timeout=5):
    """The answer to one frame: error code and sentence; None if the connection was closed."""
    with socket.create_connection(('127.0.0.1', port), timeout) as s:
        s.sendall(data)
        got = b''
        while len(got) < 4 or len(got) < 4 + struct.unpack('>i', got[:4])[0]:
            more = s.recv(65536)
            if not more:
                return None
            got += more
    code = struct.unpack('>h', got[8:10])[0]
    return code, got[11:11 + got[10] - 1].decode() if got[10] else ''


def test_bytes_that_lie_are_refused_with_a_reason(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        active = c.wait_active()
        port = active.controller_port
        code, why = answer(port, frame(10000, 2, b''))
        assert code == 35 and 'the same release' in why
        active.wait_log("a voter's message is refused: " + why + ' error=UNSUPPORTED_VERSION')
        code, why = answer(port, frame(10000, 1, b'\x16' + b'x' * 21 + b'\0' * 300))
        assert code == 42, (code, why)
        assert answer(port, frame(10004, 1, b'')) is None
        rng = random.Random(1)
        for i in range(300):
            key = rng.choice((10000, 10001, 10002, 10003))
            code, _ = answer(port, frame(key, 1, bytes(rng.randrange(256) for _ in range(rng.randrange(200)))))
            assert code != 0
        versions = ask(port, 'ApiVersions', 3, {'clientSoftwareName': 't', 'clientSoftwareVersion': '1'})
        assert all(k['apiKey'] < 10000 for k in versions['apiKeys'])
        c.create_topic('t', 1, 1)


def test_leadership_moves_in_time(tmp_path):
    """kill -9 of the active controller: a change of the metadata is decided again soon."""
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        took = []
        for i in range(3):
            old = c.wait_active()
            at = time.monotonic()
            old.kill()
            value = {'topics': [{'name': 'm-%d' % i, 'numPartitions': 1, 'replicationFactor': 1, 'assignments': [], 'configs': []}],
                     'timeoutMs': 20000}
            r = ask(c.node(11).port, 'CreateTopics', 7, value, 20)  # one request: the broker looks for the controller
            assert r['topics'][0]['errorCode'] == 0, r
            took.append(time.monotonic() - at)
            old.start()
        print('times without decisions: %s' % took)
        assert min(took) < 5  # under 1 s on an idle machine without sanitizers; a busy one may be late once, whoever waits for a timeout always
