"""Controllers that are no voters: they follow the quorum, and have no part in it."""
import shutil

import pytest
from cluster import Cluster, ClusterNode, ask, millrace, ports, wait
from monitor import SETTING, get, port_of

FOLLOWER = 5


def add_follower(c, roles='controller', **settings):
    """A node with controller.quorum.bootstrap.servers in place of the voters, formatted and not started."""
    n = ClusterNode(c, FOLLOWER, roles, *ports(2), dict(c.node(1).settings))
    n.settings.update(c.role_settings(n))
    del n.settings['controller.quorum.voters']
    n.settings['controller.quorum.bootstrap.servers'] = c.controller_servers
    n.settings.update(settings)
    n.write_properties()
    n.format(None, '--no-initial-controllers')
    c.nodes.append(n)
    return n


def observer(c):
    q = c.wait_quorum()
    return next((o for o in q['observers'] if o['replicaId'] == FOLLOWER), None), q


def controllers(n):
    """What the controller n says of all of them: (who is active, {ids})."""
    r = ask(n.controller_port, 'DescribeCluster', 1, {'endpointType': 2})
    return r['controllerId'], {b['brokerId'] for b in r['brokers']}


def registered_port(active):
    """Where the one that is no voter is, as its registration says."""
    r = ask(active.controller_port, 'DescribeCluster', 1, {'endpointType': 2})
    return next((b['port'] for b in r['brokers'] if b['brokerId'] == FOLLOWER), None)


def wait_followed(c, n):
    """Until it has all, and is known everywhere."""
    def holds():
        o, q = observer(c)
        return o and o['logEndOffset'] >= q['highWatermark'] and controllers(n) == (q['leaderId'], {1, 2, 3, FOLLOWER})
    wait(holds, lambda: 'the quorum says %s, the follower %s' % (observer(c), controllers(n)), 30)


def topic_fetch(q):
    return {'clusterId': None, 'replicaState': {'replicaId': -1, 'replicaEpoch': -1}, 'maxWaitMs': 0, 'minBytes': 0, 'maxBytes': 1000000,
            'isolationLevel': 0, 'sessionId': 0, 'sessionEpoch': -1, 'forgottenTopicsData': [], 'rackId': '',
            'topics': [{'topicId': 'AAAAAAAAAAAAAAAAAAAAAQ',
                        'partitions': [{'partition': 0, 'currentLeaderEpoch': q['leaderEpoch'], 'fetchOffset': 0, 'lastFetchedEpoch': -1,
                                        'logStartOffset': -1, 'partitionMaxBytes': 1000000}]}]}


def test_a_controller_that_is_no_voter_follows(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        n = add_follower(c, **{'metrics.listener': SETTING}).start()
        c.create_topic('t', 3, 1)
        wait_followed(c, n)
        monitor = port_of(n.text)
        assert get(monitor, '/readyz')[0] == 200
        numbers = get(monitor, '/metrics')[2]
        assert 'kafka_server_raft_metrics_current_leader %d' % c.wait_quorum()['leaderId'] in numbers and 'number_of_voters' not in numbers
        o, q = observer(c)
        assert {v['replicaId'] for v in q['currentVoters']} == {1, 2, 3} and o['lastCaughtUpTimestamp'] > 0
        # what needs the leader
        r = ask(n.controller_port, 'CreateTopics', 7, {'topics': [{'name': 'u', 'numPartitions': 1, 'replicationFactor': 1}], 'timeoutMs': 5000})
        assert r['topics'][0]['errorCode'] == 41  # NOT_CONTROLLER
        r = ask(n.controller_port, 'DescribeQuorum', 2, {'topics': [{'topicName': '__cluster_metadata', 'partitions': [{'partitionIndex': 0}]}]})
        assert r['errorCode'] == 6  # NOT_LEADER_OR_FOLLOWER
        r = ask(n.controller_port, 'Fetch', 17, topic_fetch(q))
        p = r['responses'][0]['partitions'][0]
        assert (p['errorCode'], p['currentLeader']['leaderId']) == (6, q['leaderId'])
        assert [(e['nodeId'], e['port']) for e in r['nodeEndpoints']] == [(q['leaderId'], c.node(q['leaderId']).controller_port)]
        # it goes with the leader, and has no vote: one of three voters is no majority
        old = c.wait_active()
        old.kill()
        c.wait_active(old)
        c.create_topic('v', 1, 1)
        wait_followed(c, n)
        other = next(v for v in c.controllers if v.running and v is not n and v is not c.active())
        other.kill()
        wait(lambda: c.active() is None, 'a majority of one voter and a controller that is none', 30)
        old.start()
        c.wait_active()
        other.start()
        n.kill()
        n.start()
        wait_followed(c, n)


def test_a_combined_node_that_is_no_voter(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        n = add_follower(c, 'broker,controller').start()
        c.wait_unfenced({11, FOLLOWER})
        c.create_topic('t', 1, 1, assignments=[[FOLLOWER]])
        wait_followed(c, n)
        old = c.wait_active()
        old.kill()
        c.wait_active(old)
        c.create_topic('u', 1, 1, assignments=[[FOLLOWER]])
        wait_followed(c, n)
        old.start()
        n.restart()
        c.wait_partition('u', 0, leader=FOLLOWER)


def test_what_does_not_belong_is_refused(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        n = add_follower(c)
        c.nodes.remove(n)
        n.write_properties(**{'controller.quorum.bootstrap.servers': '127.0.0.1:%d' % n.controller_port})
        assert 'is this controller itself' in n.refused()
        shutil.rmtree(n.data)
        n.write_properties(**{'node.id': 2})
        n.format(None, '--no-initial-controllers')
        assert 'node.id=2 is a voter of the quorum' in n.refused()
        c.wait_active().wait_log("a node follows the metadata under a voter's id and from another directory: two nodes have one node.id, or the "
                                 "voter's disk is new node=2 directory=")
        v = c.node(2)
        v.stop()
        voters = v.settings.pop('controller.quorum.voters')
        v.write_properties(**{'controller.quorum.bootstrap.servers': c.controller_servers})
        assert 'controller.quorum.voters, which is missing' in v.refused()
        v.write_properties(**{'controller.quorum.voters': voters})
        v.start()
        c.wait_voters()


def test_another_cluster_is_no_place_to_follow(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        n = add_follower(c)
        c.nodes.remove(n)
        shutil.rmtree(n.data)
        other = millrace('storage', 'random-uuid')[1].strip()
        n.format(other, '--no-initial-controllers')
        assert 'the controller refuses node %d of cluster %s for good: error 104 INCONSISTENT_CLUSTER_ID' % (FOLLOWER, other) in n.refused()
        line = 'a fetch of the metadata is refused: it belongs to another cluster node=%d cluster_id=%s own_cluster_id=%s' % (FOLLOWER, other, c.id)
        wait(lambda: any(line in v.text() for v in c.controllers), 'no controller says "%s"' % line, 10)


@pytest.mark.parametrize('disk', ['its own', 'a copy'])
def test_two_under_one_id(tmp_path, disk):
    """The second process does not take the id over, whichever disk it has; neither registers again and again."""
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1) as c:
        first = add_follower(c)
        second = ClusterNode(c, FOLLOWER, 'controller', *ports(2), dict(c.node(1).settings))
        second.folder = first.folder + '-second'
        second.data, second.log, second.properties = (path.replace(first.folder, second.folder)
                                                      for path in (first.data, first.log, first.properties))
        second.settings.update(c.role_settings(second))
        del second.settings['controller.quorum.voters']
        second.settings['controller.quorum.bootstrap.servers'] = c.controller_servers.rpartition(',')[0]
        second.write_properties()
        if disk == 'its own':
            second.format(None, '--no-initial-controllers')
        else:
            shutil.copytree(first.data, second.data)
        first.start()
        wait_followed(c, first)
        c.nodes.append(second)
        second.start()
        refused, active = (second if disk == 'its own' else first), c.wait_active()
        why = 'node.id=%d is that of another controller too' % FOLLOWER
        refused.wait_log('the active controller did not take the registration of this one reason="DUPLICATE_BROKER_REGISTRATION: ' + why)
        active.wait_log("a controller's registration is refused: " + why)

        holder, end = (first if refused is second else second), c.wait_quorum()['highWatermark']

        def later():  # the idle leader writes a record twice a second
            assert registered_port(active) == holder.controller_port
            return c.wait_quorum()['highWatermark'] > end + 8
        wait(later, 'the metadata stands still', 60)
        second.kill()
        first.restart()
        wait(lambda: registered_port(active) == first.controller_port, lambda: 'registered is port %s' % registered_port(active), 30)
