"""Roles in separate and in combined processes; brokers with topics of factor 1; what a node that does not belong gets."""
import shutil

import pytest
from cluster import Cluster, ask, millrace
from history import Writer, check_records


@pytest.mark.slow
def test_one_controller_and_three_brokers(tmp_path):
    with Cluster(tmp_path, controllers=1, brokers=3, factor=1) as c:
        c.create_topic('t', 6, 1)
        leaders = {x['leaderId'] for x in c.partitions('t').values()}
        assert leaders == {11, 12, 13}
        w = Writer(c, 't', 6)
        w.wait_more(50)
        c.node(12).restart()
        w.wait_more(50)
        c.node(13).kill()
        c.wait_unfenced({11, 12})
        c.node(13).start()
        w.wait_more(50)
        c.node(1).restart()
        w.wait_more(50)
        c.wait_unfenced({11, 12, 13})
        check_records(c, w.stop())


def test_a_broker_that_is_down_is_listed_with_its_settings(tmp_path):
    """As by Kafka, where only one that is not registered is left out."""
    with Cluster(tmp_path, controllers=1, brokers=2, factor=1) as c:
        c.node(12).kill()
        c.wait_unfenced({11})
        rows = ask(c.node(11).port, 'ListConfigResources', 1, {'resourceTypes': [4, 8]})['configResources']
        assert sorted((r['resourceType'], r['resourceName']) for r in rows) == [(4, '11'), (4, '12'), (8, '11'), (8, '12')]
        c.node(12).start()


def test_a_node_that_does_not_belong(tmp_path):
    with Cluster(tmp_path, controllers=1, brokers=2, factor=1) as c:
        n = c.node(12)
        n.stop()
        shutil.rmtree(n.data)
        n.format(millrace('storage', 'random-uuid')[1].strip())
        assert 'INCONSISTENT_CLUSTER_ID' in n.refused()
        c.node(1).wait_log("a broker's registration is refused: it belongs to another cluster broker=12")
        n.write_properties(**{'initial.broker.registration.timeout.ms': 5000, 'node.id': 11})  # node 11 lives
        shutil.rmtree(n.data)
        n.format()
        text = n.refused()
        assert 'DUPLICATE_BROKER_REGISTRATION: node.id=11 is registered by another process, at 127.0.0.1:%d since' % c.node(11).port in text, text
        c.node(1).wait_log(' holder=127.0.0.1:%d holder_epoch=' % c.node(11).port)
        n.write_properties()
        assert 'belongs to node 11, but node.id is 12' in n.refused()
        voters = n.settings.pop('controller.quorum.voters')  # with them its configuration alone is refused
        n.write_properties(**{'node.id': 1, 'controller.quorum.bootstrap.servers': c.controller_servers})
        shutil.rmtree(n.data)
        n.format()
        text = n.refused()
        assert 'node.id=1 is a voter of the quorum, but process.roles=broker has no controller' in text and 'registered' not in text, text
        c.node(1).wait_log("a node follows the metadata under a voter's id and from another directory: two nodes have one node.id")
        n.settings['controller.quorum.voters'] = voters
        n.write_properties()
        c.wait_unfenced({11})
        shutil.rmtree(n.data)
        n.format()
        n.start()  # a new disk is let in
        c.wait_unfenced({11, 12})
