"""/metrics: that it is Prometheus' format, and that its numbers are those of what was done."""
import shutil
import subprocess

import pytest
from members import wait
from monitor import SETTING, get, metrics, port_of
from node import Node, millrace, run

RECORDS = 500


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    """A node that has served one topic; (node, its metrics before, after)."""
    with Node(tmp_path_factory.mktemp('metrics'), ['metrics.listener=' + SETTING, 'offsets.topic.num.partitions=3']) as n:
        port = port_of(lambda: open(n.log).read())
        before = metrics(port)
        lines = ''.join('line %d\n' % i for i in range(RECORDS)).encode()
        status, out, err = millrace('topics', '--bootstrap-server', n.servers, '--create', '--topic', 't', '--partitions', '2')
        assert status == 0, out + err
        status, out, err = run('kcat', '-P', '-b', n.servers, '-t', 't', input=lines)
        assert status == 0, err
        status, out, err = run('kcat', '-C', '-q', '-e', '-b', n.servers, '-t', 't', '-o', 'beginning')
        assert status == 0 and out.count('\n') == RECORDS, err
        yield n, before, metrics(port), port


def one(samples, name, **labels):
    return samples[name][tuple(sorted(labels.items()))]


def test_what_was_produced_and_consumed(served):
    _, before, after, _ = served
    assert one(before, 'kafka_server_brokertopicmetrics_messagesin_total') == 0
    for labels in ({}, {'topic': 't'}):
        assert one(after, 'kafka_server_brokertopicmetrics_messagesin_total', **labels) == RECORDS
        assert one(after, 'kafka_server_brokertopicmetrics_totalproducerequests_total', **labels) > 0
        assert one(after, 'kafka_server_brokertopicmetrics_failedproducerequests_total', **labels) == 0
        size = one(after, 'kafka_server_brokertopicmetrics_bytesin_total', **labels)
        assert size == one(after, 'kafka_server_brokertopicmetrics_bytesout_total', **labels) > 0
    logs = [(end, one(after, 'kafka_log_log_size', topic='t', partition=str(p)))
            for p in range(2) for end in [one(after, 'kafka_log_log_logendoffset', topic='t', partition=str(p))]]
    assert sum(end for end, _ in logs) == RECORDS and sum(s for _, s in logs) == size


def test_replicas(served):
    _, before, after, _ = served
    assert one(before, 'kafka_server_replicamanager_partitioncount') == 0
    assert one(after, 'kafka_server_replicamanager_partitioncount') == one(after, 'kafka_server_replicamanager_leadercount') == 2
    assert one(after, 'kafka_server_replicamanager_underreplicatedpartitions') == 0
    assert one(after, 'kafka_cluster_partition_insyncreplicascount', topic='t', partition='1') == 1


def test_requests_and_their_stages(served):
    _, _, after, _ = served
    for request in ('Produce', 'FetchConsumer', 'CreateTopics', 'Metadata'):
        n = one(after, 'kafka_network_requestmetrics_requests_total', request=request)
        assert n > 0
        total = one(after, 'kafka_network_requestmetrics_totaltimems_sum', request=request)
        parts = [one(after, 'kafka_network_requestmetrics_%stimems_sum' % s, request=request)
                 for s in ('requestqueue', 'local', 'remote', 'responsequeue', 'responsesend')]
        assert abs(sum(parts) - total) < 0.01 * n, (request, parts, total)  # rounded to microseconds
        for stage in ('total', 'local', 'responsesend'):
            assert one(after, 'kafka_network_requestmetrics_%stimems_count' % stage, request=request) == n
            assert one(after, 'kafka_network_requestmetrics_%stimems' % stage, request=request, quantile='0.5') <= \
                one(after, 'kafka_network_requestmetrics_%stimems' % stage, request=request, quantile='0.999')
        assert one(after, 'millrace_request_seconds_count', request=request) == n
    # a consumer at the end waits for records, the controller is waited for: that is remote time, the rest is not
    assert one(after, 'kafka_network_requestmetrics_remotetimems_sum', request='CreateTopics') > 0
    assert one(after, 'kafka_network_requestmetrics_remotetimems_sum', request='Produce') == 0


def test_the_disk_and_the_shards(served):
    _, before, after, _ = served
    assert one(after, 'millrace_log_write_seconds_count') > one(before, 'millrace_log_write_seconds_count') == 0
    assert one(after, 'millrace_log_write_seconds_sum') >= one(after, 'millrace_disk_slowest_seconds', operation='write') > 0
    assert one(after, 'millrace_metadata_log_flush_seconds_count') > 0 and one(after, 'millrace_metadata_log_flush_seconds_sum') > 0
    assert one(after, 'kafka_log_logflushstats_logflushrateandtimems_count') >= 0
    for shard in after['millrace_shard_cpu_seconds_total']:
        assert after['millrace_shard_cpu_seconds_total'][shard] > before['millrace_shard_cpu_seconds_total'][shard] > 0
    assert sum(after['millrace_shard_cpu_seconds_total'].values()) < one(after, 'process_cpu_seconds_total') + 0.1


def test_the_controller_and_the_process(served):
    _, _, after, _ = served
    assert one(after, 'kafka_controller_kafkacontroller_activecontrollercount') == 1
    assert one(after, 'kafka_controller_kafkacontroller_globaltopiccount') == 1
    assert one(after, 'kafka_controller_kafkacontroller_globalpartitioncount') == 2
    assert one(after, 'kafka_controller_kafkacontroller_offlinepartitionscount') == 0
    assert one(after, 'kafka_server_raft_metrics_current_leader') == 1
    assert one(after, 'process_resident_memory_bytes') > 1 << 20
    assert one(after, 'process_open_fds') > 5 and one(after, 'process_cpu_seconds_total') > 0


def test_a_group(served):
    n, _, _, port = served
    status, out, err = millrace('console-consumer', '--bootstrap-server', n.servers, '--topic', 't', '--group', 'g', '--from-beginning',
                                '--max-messages', str(RECORDS))
    assert status == 0, err
    now = metrics(port)
    assert one(now, 'kafka_coordinator_group_groupmetadatamanager_numgroups') == 1
    assert one(now, 'kafka_coordinator_group_groupmetadatamanager_numoffsets') > 0
    assert one(now, 'kafka_network_requestmetrics_remotetimems_sum', request='JoinGroup') > 0
    told = {dict(k)['partition']: v for k, v in now['kafka_consumergroup_current_offset'].items()}
    assert all(dict(k)['consumergroup'] == 'g' and dict(k)['topic'] == 't' for k in now['kafka_consumergroup_current_offset'])
    assert told == {p: one(now, 'kafka_log_log_logendoffset', topic='t', partition=p) for p in told} and sum(told.values()) == RECORDS
    assert one(now, 'millrace_group_offsets_shown') == len(told) == one(now, 'kafka_coordinator_group_groupmetadatamanager_numoffsets')


def test_a_topic_that_goes(served):
    n, _, _, port = served
    for step in ('--create', '--delete'):
        status, out, err = millrace('topics', '--bootstrap-server', n.servers, step, '--topic', 'gone')
        assert status == 0, out + err
    wait(lambda: not any(('topic', 'gone') in labels for rows in metrics(port).values() for labels in rows), 'a deleted topic is still told', 60)


@pytest.mark.skipif(not shutil.which('promtool'), reason='promtool (package prometheus) is not here')
def test_promtool(served):
    r = subprocess.run(['promtool', 'check', 'metrics'], input=get(served[3], '/metrics')[2].encode(), capture_output=True)
    left = [x for x in r.stderr.decode().split('\n') if x and not ('camelCase' in x or '"_count" suffix' in x)]  # Kafka's own names
    assert not left, left
