#!/usr/bin/env python3
"""The same seeded requests about a cluster's administration to two clusters of three nodes, Millrace's and Kafka's, the answers compared:
assignments by hand, reassignments, elections, features, registrations, what the quorum and the cluster say of themselves, and what Metadata
shows of it afterwards; groups and their offsets, at brokers that coordinate them and at others, while __consumer_offsets is moved and its
leaders elected. differential.py has the masks and the comparing.

    differential_cluster.py [--seeds 1-20] [--steps 40] [--api ElectLeaders,...] [--whole]

Node 1 is controller and broker, 11 and 12 are brokers; they are asked, and the controller's own listener. Every seed runs twice: with all
brokers, where each change is waited for until replicas have caught up, and without broker 12, where what needs it stays under way, is listed
and is cancelled. In the end broker 12 is unregistered, and features are changed in earnest. The last line is `N passed, N failed`, counted in
steps. Run by differential_cluster.sh."""
import argparse
import collections
import concurrent.futures
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../cluster'))
from cluster import Cluster, ports  # noqa: E402
from kafkawire import Codec  # noqa: E402

from differential import MARKER, ZERO, Side, by_label, differences, mark, text  # noqa: E402,F401

KAFKA = os.path.join(HERE, '../oracle/kafka')
BROKERS, GONE = (1, 11, 12), 12
SETTINGS = {'auto.leader.rebalance.enable': 'false', 'min.insync.replicas': 1, 'broker.session.timeout.ms': 6000,
            'broker.heartbeat.interval.ms': 500, 'replica.lag.time.max.ms': 6000, 'offsets.topic.replication.factor': 1,
            'auto.create.topics.enable': 'false', 'num.partitions': 1, 'default.replication.factor': 3, 'offsets.topic.num.partitions': 4}
CALM_SECONDS = 60
AT_CONTROLLER = {'CreateTopics', 'DeleteTopics', 'CreatePartitions', 'AlterPartitionReassignments', 'ListPartitionReassignments', 'ElectLeaders',
                 'IncrementalAlterConfigs', 'UnregisterBroker', 'UpdateFeatures', 'DescribeCluster', 'DescribeQuorum', 'DescribeConfigs'}
CHANGES = {'CreateTopics', 'DeleteTopics', 'CreatePartitions', 'AlterPartitionReassignments', 'ElectLeaders', 'IncrementalAlterConfigs',
           'UnregisterBroker', 'UpdateFeatures'}
FEATURES = ['metadata.version', 'kraft.version', 'group.version', 'transaction.version', 'share.version', 'streams.version',
            'eligible.leader.replicas.version', 'nonsense', '']
SORTED = {'isrNodes', 'offlineReplicas', 'eligibleLeaderReplicas', 'lastKnownElr'}  # sets, in the order of whoever wrote them
OFFSETS = '__consumer_offsets'
OFFSETS_AT = ([1, 11], [11, 12], [12, 1], [11, 1])
KEPT = {MARKER: [[1]], OFFSETS: OFFSETS_AT}  # where they are at the beginning
LOADING = (14, 15)  # COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE: asked again
QUORUM_NUMBERS = {'highWatermark', 'logEndOffset', 'lastFetchTimestamp', 'lastCaughtUpTimestamp', 'leaderEpoch'}


def codes(answer):
    """All of an answer's errors."""
    if isinstance(answer, dict):
        for k, v in answer.items():
            yield from [v] if k == 'errorCode' else codes(v)
    elif isinstance(answer, list):
        for v in answer:
            yield from codes(v)


# ---- the two clusters


class KafkaCluster:
    def __init__(self, cluster_id):
        self.names, self.ports = {}, {}
        free = ports(4)
        self.ports['controller'] = free[3]
        processes = []
        for n, node_id in enumerate(BROKERS):
            name, self.ports[node_id] = 'cluster-%d-%d' % (os.getpid(), node_id), free[n]
            self.names[node_id] = name
            roles, listeners = 'broker', 'PLAINTEXT://127.0.0.1:%d' % free[n]
            if node_id == 1:
                roles, listeners = 'broker,controller', listeners + ',CONTROLLER://127.0.0.1:%d' % free[3]
            values = {**SETTINGS, 'process.roles': roles, 'node.id': node_id, 'listeners': listeners, 'controller.quorum.voters': '1@127.0.0.1:%d' % free[3],
                      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT'}
            processes.append(subprocess.Popen([KAFKA, 'start', name, *('%s=%s' % x for x in values.items())],
                                              env={'HEAP': '320m', 'START_WAIT': '240', **os.environ, 'CLUSTER_ID': cluster_id}))
        if any([p.wait() for p in processes]):
            self.wipe()
            raise SystemExit('Kafka does not start')

    def stop(self, node_id):
        subprocess.check_call([KAFKA, 'stop', self.names[node_id]])

    def wipe(self):
        for name in self.names.values():
            subprocess.call([KAFKA, 'wipe', name])


class ClusterSide(Side):
    """One of the two, asked at one broker at a time."""

    def __init__(self, by_id, codec):
        super().__init__('127.0.0.1:%d' % by_id[1], codec)
        self.by_id, self.alive = by_id, list(BROKERS)

    def go(self, node_id):
        if self.port != self.by_id[node_id]:
            self.drop()
            self.port = self.by_id[node_id]

    def settle(self):
        """Every broker has seen what was accepted before, and replicas that can catch up have."""
        for node_id in self.alive:
            self.go(node_id)
            mark(self)
        self.go(1)
        until = time.monotonic() + CALM_SECONDS
        while not self.calm():
            if time.monotonic() > until:
                raise SystemExit('%d does not come to rest: %s' % (self.port, self.restless()))
            time.sleep(0.1)
        for node_id in self.alive:
            self.go(node_id)
            mark(self)

    def restless(self):
        """Partitions whose replicas are not all in sync, or that move, although all brokers concerned are there."""
        moving = {(t['name'], p['partitionIndex']): p for t in self.ask('ListPartitionReassignments', 0, {'topics': None})['topics'] for p in t['partitions']}
        out = []
        for t in self.ask('Metadata', 12, {'topics': None})['topics']:
            for p in t['partitions']:
                at = t['name'], p['partitionIndex']
                here = set(p['replicaNodes']) & set(self.alive)
                if not here <= set(p['isrNodes']) and p['leaderId'] >= 0:
                    out.append((at, p))
                elif at in moving and set(p['replicaNodes']) <= set(self.alive):
                    out.append((at, moving[at]))
        return out

    def calm(self):
        return not self.restless()

    def clean(self):
        self.go(1)
        names = [t['name'] for t in self.ask('Metadata', 12, {'topics': None})['topics'] if t['name'] not in KEPT]
        if names:
            self.ask('DeleteTopics', 5, {'topicNames': names, 'timeoutMs': 10000})
        self.ask('AlterPartitionReassignments', 0, {'timeoutMs': 10000, 'topics': [{'name': OFFSETS, 'partitions': [
            {'partitionIndex': i, 'replicas': ids} for i, ids in enumerate(OFFSETS_AT)]}]})
        self.settle()
        self.forget()

    def ask_loaded(self, api, version, request):
        """Until the coordinators have read their logs; what a seed before this one left is left out."""
        until = time.monotonic() + CALM_SECONDS
        answer = self.ask(api, version, request, 30)
        while set(LOADING) & set(codes(answer)) and time.monotonic() < until:
            time.sleep(0.05)
            answer = self.ask(api, version, request, 30)
        if api == 'ListGroups':
            answer['groups'] = [g for g in answer.get('groups', []) if g['groupId'].startswith(self.groups)]
        return answer

    def mask(self, v, key=None, api=None):
        if isinstance(v, dict) and 'eligibleLeaderReplicas' in v:  # Kafka's may name brokers that are no replicas: docs/COMPATIBILITY.md
            v = {**v, 'eligibleLeaderReplicas': [i for i in v['eligibleLeaderReplicas'] or [] if i in v['replicaNodes']]}
        if key in SORTED and isinstance(v, list):
            return sorted(v)
        if key == 'controllerId' and v in self.alive:
            return '(broker)'  # any that lives: Kafka draws one
        if api == 'DescribeQuorum' and key in QUORUM_NUMBERS and isinstance(v, int) and v >= 0:
            return '(number)'
        return super().mask(v, key, api)


# ---- the requests


class ClusterSteps:
    def __init__(self, seed, without):
        self.r = random.Random(seed * 2 + without)
        self.names = ['k%d-%d' % (seed, i) for i in range(4)]
        self.groups = ['g%d-%d-%d' % (seed, without, i) for i in range(6)]

    def chance(self, p):
        return self.r.random() < p

    def pick(self, *v):
        return self.r.choice(v)

    def topic(self):
        return self.pick(*self.names, *self.names, *self.names, OFFSETS, OFFSETS, 'k-unknown', 'bad name', '', '__cluster_metadata')

    def partition(self):
        return self.pick(0, 0, 0, 1, 1, 2, 3, 99, -1)

    def replicas(self, bad=0.2):
        if self.chance(bad):
            return self.pick([], [1, 1], [9], [-1], [1, 11, 9], [11, 12, 11], [2147483647, 1], [-1, -2])
        return self.r.sample(BROKERS, self.r.randint(1, 3))

    def new_topic(self, name):
        t = {'name': name, 'numPartitions': -1, 'replicationFactor': -1, 'assignments': [], 'configs': []}
        if self.chance(0.1):  # by the controller: where, is chance
            t.update(self.pick({'numPartitions': 1, 'replicationFactor': 4}, {'numPartitions': 0, 'replicationFactor': 1},
                               {'numPartitions': 1, 'replicationFactor': 0}, {'numPartitions': 1, 'replicationFactor': 32767}))
            return t
        factor = self.r.randint(1, 3)
        for i in range(self.r.randint(1, 4)):
            ids = self.r.sample(BROKERS, factor) if self.chance(0.93) else self.replicas(0.7)
            t['assignments'].append({'partitionIndex': i if self.chance(0.97) else self.pick(i + 1, 7, -1, 0), 'brokerIds': ids})
        if self.chance(0.05):
            t[self.pick('numPartitions', 'replicationFactor')] = 2
        if self.chance(0.3):
            t['configs'].append({'name': 'min.insync.replicas', 'value': self.pick('2', '3')})
        return t

    def create(self):
        topics = [self.new_topic(n) for n in self.r.sample(self.names, self.r.randint(1, 3))]
        return 'CreateTopics', self.r.randint(2, 7), {'topics': topics, 'timeoutMs': 10000, 'validateOnly': self.chance(0.1)}

    def grow(self):
        rows = []
        for name in {self.topic() for _ in range(self.r.randint(1, 2))}:
            count = self.pick(2, 3, 4, 5, 1, 0, -1)
            rows.append({'name': name, 'count': count, 'assignments': [{'brokerIds': self.replicas()} for _ in range(self.r.randint(1, 3))]})
        return 'CreatePartitions', self.r.randint(0, 3), {'topics': rows, 'timeoutMs': 10000, 'validateOnly': self.chance(0.1)}

    def reassign(self):
        rows = []
        for name in sorted({self.topic() for _ in range(self.r.randint(1, 3))}):  # none twice: docs/COMPATIBILITY.md
            indexes = sorted({self.partition() for _ in range(self.r.randint(0, 3))})
            rows.append({'name': name, 'partitions': [{'partitionIndex': i, 'replicas': None if self.chance(0.25) else self.replicas()} for i in indexes]})
        version = self.r.randint(0, 1)
        q = {'timeoutMs': self.pick(10000, 0, -1), 'topics': rows}
        if version:
            q['allowReplicationFactorChange'] = self.chance(0.6)
        return 'AlterPartitionReassignments', version, q

    def list_moves(self):
        rows = None if self.chance(0.5) else [{'name': self.topic(), 'partitionIndexes': [self.partition() for _ in range(self.r.randint(0, 3))]}
                                              for _ in range(self.r.randint(0, 3))]
        return 'ListPartitionReassignments', 0, {'timeoutMs': 10000, 'topics': rows}

    def elect(self):
        version = self.r.randint(0, 2)
        names = {self.topic() for _ in range(self.r.randint(0, 3))}
        rows = None if self.chance(0.2) else [{'topic': n, 'partitions': [self.partition() for _ in range(self.r.randint(0, 3))]} for n in sorted(names)]
        q = {'topicPartitions': rows, 'timeoutMs': self.pick(10000, 10000, 0)}
        if version:
            q['electionType'] = self.pick(0, 0, 1, 1, 2, -5)
        return 'ElectLeaders', version, q

    def features(self):
        version = self.r.randint(0, 2)
        rows = []
        for name in sorted({self.pick(*FEATURES) for _ in range(self.r.randint(0, 3))}):
            row = {'feature': name, 'maxVersionLevel': self.pick(0, 1, 2, 3, 7, 25, 28, 29, 30, 31, 100, -1, -32768)}
            if version:
                row['upgradeType'] = self.pick(1, 1, 2, 3, 0, 9, -1)
            else:
                row.update({'feature': self.pick('nonsense', '', 'metadata.version'), 'maxVersionLevel': self.pick(100, -1, 31), 'allowDowngrade': self.chance(0.5)})
            rows.append(row)
        q = {'timeoutMs': 10000, 'featureUpdates': rows if version else rows[:1]}
        if version:
            q['validateOnly'] = True
        return 'UpdateFeatures', version, q

    def unregister(self):
        return 'UnregisterBroker', 0, {'brokerId': self.pick(99, -1, 0, 2147483647)}

    def cluster(self):
        version = self.r.randint(0, 2)
        q = {'includeClusterAuthorizedOperations': self.chance(0.3)}
        if version:
            q['endpointType'] = self.pick(1, 1, 2, 0, 3, -1)
        if version > 1:
            q['includeFencedBrokers'] = self.chance(0.5)
        return 'DescribeCluster', version, q

    def quorum(self):
        row = self.pick({'topicName': '__cluster_metadata', 'partitions': [{'partitionIndex': 0}]}, {'topicName': '__cluster_metadata', 'partitions': [{'partitionIndex': 0}]},
                        {'topicName': '__cluster_metadata', 'partitions': [{'partitionIndex': 1}]}, {'topicName': '__cluster_metadata', 'partitions': []},
                        {'topicName': 'k', 'partitions': [{'partitionIndex': 0}]}, {'topicName': '', 'partitions': [{'partitionIndex': -1}]})
        rows = [] if self.chance(0.1) else [row, row] if self.chance(0.1) else [row]
        return 'DescribeQuorum', self.r.randint(0, 2), {'topics': rows}

    def metadata(self):
        rows = [{'topicId': ZERO, 'name': n} for n in self.names]
        return 'Metadata', 12, {'topics': rows, 'allowAutoTopicCreation': False, 'includeTopicAuthorizedOperations': self.chance(0.2)}

    def partitions(self):
        return 'DescribeTopicPartitions', 0, {'topics': [{'name': n} for n in self.names], 'responsePartitionLimit': 2000, 'cursor': None}

    def configs(self):
        resource = {'resourceType': 4, 'resourceName': self.pick('1', '11', '12', '9', '')}
        key = self.pick('leader.replication.throttled.rate', 'follower.replication.throttled.rate', 'log.retention.ms')
        if self.chance(0.5):
            return 'DescribeConfigs', self.r.randint(1, 4), {'resources': [{**resource, 'configurationKeys': [key]}]}
        entry = {'name': key, 'configOperation': self.pick(0, 1), 'value': self.pick('1000000', 'x', '0')}
        return 'IncrementalAlterConfigs', 1, {'resources': [{**resource, 'configs': [entry]}], 'validateOnly': self.chance(0.7)}

    def config_resources(self):
        return 'ListConfigResources', 1, {'resourceTypes': self.pick([], [2], [4], [8], [4, 8, 16, 32])}

    def delete(self):
        return 'DeleteTopics', 5, {'topicNames': [self.pick(*self.names, 'k-unknown', '')], 'timeoutMs': 10000}

    # ---- groups; nobody is a member

    def group(self):
        return self.pick(*self.groups, *self.groups, 'g-unknown', '')

    def offsets_topics(self, partitions):
        return [{'name': n, **partitions()} for n in sorted({self.pick(*self.names, 'k-unknown') for _ in range(self.r.randint(1, 3))})]

    def find(self):
        version = self.r.randint(0, 6)
        keys = [self.group() for _ in range(self.r.randint(1, 3))]
        return 'FindCoordinator', version, {'coordinatorKeys': keys, 'keyType': 0} if version >= 4 else {'key': keys[0]}

    def commit(self):
        version = self.r.randint(2, 9)
        known = self.chance(0.85)
        return 'OffsetCommit', version, {
            'groupId': self.group(), 'memberId': '' if known else 'm', 'generationIdOrMemberEpoch': -1 if known else self.pick(1, -1),
            'topics': self.offsets_topics(lambda: {'partitions': [
                {'partitionIndex': self.partition(), 'committedOffset': self.r.randint(0, 99), 'committedMetadata': self.pick('', 'm', None)}
                for _ in range(self.r.randint(1, 2))]})}

    def offsets(self):
        version = self.r.randint(1, 9)
        rows = None if version >= 2 and self.chance(0.4) else self.offsets_topics(lambda: {'partitionIndexes': [self.partition()]})
        if version < 8:
            return 'OffsetFetch', version, {'groupId': self.group(), 'topics': rows}
        return 'OffsetFetch', version, {'groups': [{'groupId': g, 'topics': rows} for g in sorted({self.group() for _ in range(3)})]}

    def forget(self):
        return 'OffsetDelete', 0, {'groupId': self.group(), 'topics': self.offsets_topics(lambda: {'partitions': [{'partitionIndex': self.partition()}]})}

    def describe_groups(self):
        return 'DescribeGroups', self.r.randint(0, 6), {'groups': sorted({self.group() for _ in range(3)})}

    def list_groups(self):
        version = self.r.randint(0, 5)
        return 'ListGroups', version, {'statesFilter': self.pick([], ['Empty'], ['Stable', 'Dead'])} if version >= 4 else {}

    def delete_groups(self):
        return 'DeleteGroups', self.r.randint(0, 2), {'groupsNames': sorted({self.group() for _ in range(2)})}

    def stranger(self):
        group = self.group()
        return self.pick(('Heartbeat', self.r.randint(0, 4), {'groupId': group, 'generationId': 1, 'memberId': 'm'}),
                         ('LeaveGroup', 5, {'groupId': group, 'members': [{'memberId': 'm'}]}),
                         ('SyncGroup', 3, {'groupId': group, 'generationId': 1, 'memberId': 'm'}),
                         ('JoinGroup', 5, {'groupId': group, 'sessionTimeoutMs': 10000, 'rebalanceTimeoutMs': 10000, 'memberId': 'm',
                                           'protocolType': 'consumer', 'protocols': [{'name': 'range', 'metadata': b''}]}))

    def next(self, n):
        """(broker that is asked, api, version, request)"""
        if n == 0:
            return (1, *self.create())
        else:
            draw = self.r.choices([self.find, self.commit, self.offsets, self.forget, self.describe_groups, self.list_groups,
                                   self.delete_groups, self.stranger, self.create, self.grow, self.reassign, self.list_moves, self.elect, self.features, self.unregister, self.cluster,
                                   self.quorum, self.metadata, self.partitions, self.configs, self.config_resources, self.delete],
                                  [4, 14, 8, 4, 4, 4, 3, 3, 10, 6, 20, 10, 16, 8, 3, 5, 5, 3, 3, 5, 2, 2])[0]
        api, version, request = draw()
        where = 'controller' if api in AT_CONTROLLER and self.chance(0.25) else self.pick(1, 11)
        if api == 'IncrementalAlterConfigs' and request['resources'][0]['configs'][0]['value'] == 'x':
            where = 1  # Kafka's controller takes any value: docs/COMPATIBILITY.md
        return where, api, version, request

    def real_features(self):
        _, version, q = self.features()
        if version:
            q['validateOnly'] = self.chance(0.2)
        return 'UpdateFeatures', version, q


# ---- the run


class Run:
    def __init__(self, args, sides):
        self.args, self.sides = args, sides
        self.pool = concurrent.futures.ThreadPoolExecutor(2)
        self.passed, self.failed = 0, 0
        self.asked, self.wrong = collections.Counter(), collections.Counter()

    def both(self, f):
        return list(self.pool.map(f, self.sides))

    def ask(self, label, broker, api, version, request):
        def one(side):
            side.go(broker)
            answer = side.ask_loaded(api, version, request)
            if api == 'ApiVersions':
                answer = {k: answer.get(k) for k in ('errorCode', 'supportedFeatures', 'finalizedFeatures')}
            if api in ('CreateTopics', 'Metadata'):
                for t in answer.get('topics') or []:
                    if t.get('topicId', ZERO) != ZERO and t['name']:
                        side.names[t['topicId']] = t['name']
            return side.mask(answer, api=api)

        ours, theirs = self.both(one)
        self.asked[api] += 1
        if ours == theirs:
            self.passed += 1
            return
        self.failed += 1
        self.wrong[api] += 1
        print('\n'.join(differences(ours, theirs)[:12]))
        print('%s at %s: %s version %d\n  request %s' % (label, broker, api, version, text(request, self.args.width)), flush=True)
        if self.args.whole:
            print("  ours    %s\n  kafka's %s" % (text(ours, self.args.width), text(theirs, self.args.width)), flush=True)

    def seed(self, seed, without):
        steps = ClusterSteps(seed, without)
        self.both(ClusterSide.clean)
        for side in self.sides:
            side.groups = tuple(steps.groups)
        for n in range(self.args.steps):
            broker, api, version, request = steps.next(n)
            if self.args.api and api not in self.args.api and api not in CHANGES:
                continue
            label = 'seed %d%s step %d' % (seed, ' without %d' % GONE if without else '', n)
            self.ask(label, broker, api, version, request)
            if api in CHANGES:
                self.both(ClusterSide.settle)
                broker = 1 if broker == 'controller' else broker
                for api, version, request in (steps.metadata(), steps.partitions(), ('ListPartitionReassignments', 0, {'topics': None})):
                    self.ask(label + ', after it', broker, api, version, request)

    def features(self, seeds):
        """Levels go up and down as far as they may; what became of it is asked of every broker."""
        for seed in seeds:
            steps = ClusterSteps(seed, 2)
            for n in range(self.args.steps // 2):
                self.ask('seed %d, features, step %d' % (seed, n), steps.pick(1, 11, 'controller'), *steps.real_features())
                self.both(ClusterSide.settle)
                for broker in self.sides[0].alive:
                    self.ask('seed %d, features, after step %d' % (seed, n), broker, 'ApiVersions', 4,
                             {'clientSoftwareName': 't', 'clientSoftwareVersion': '1'})

    def end(self):
        """The stopped broker is unregistered, twice."""
        cluster = {'includeClusterAuthorizedOperations': False, 'endpointType': 1, 'includeFencedBrokers': True}
        for api, version, request in (('DescribeCluster', 2, cluster), ('UnregisterBroker', 0, {'brokerId': GONE}),
                                      ('DescribeCluster', 2, cluster), ('UnregisterBroker', 0, {'brokerId': GONE})):
            self.ask('at the end', 1, api, version, request)
            self.both(ClusterSide.settle)


def run(args, millrace, kafka):
    codec = Codec()
    ours = {n.id: n.port for n in millrace.nodes}
    ours['controller'] = millrace.node(1).controller_port
    sides = [ClusterSide(ours, codec), ClusterSide(kafka.ports, codec)]
    r = Run(args, sides)
    topics = [{'name': name, 'numPartitions': -1, 'replicationFactor': -1, 'configs': [],
               'assignments': [{'partitionIndex': i, 'brokerIds': ids} for i, ids in enumerate(at)]} for name, at in KEPT.items()]
    r.both(lambda s: s.ask('CreateTopics', 7, {'topics': topics, 'timeoutMs': 10000}))
    low, _, high = args.seeds.partition('-')
    seeds = range(int(low), int(high or low) + 1)
    for seed in seeds:
        r.seed(seed, False)
    r.both(ClusterSide.clean)
    millrace.node(GONE).stop()
    kafka.stop(GONE)
    for s in sides:
        s.alive.remove(GONE)
    for seed in seeds:
        r.seed(seed, True)
    r.end()
    r.features(seeds)
    print('requests: ' + ', '.join('%s %d' % x for x in sorted(r.asked.items())))
    if r.wrong:
        print('different: ' + ', '.join('%s %d' % x for x in r.wrong.most_common()))
    print('%d passed, %d failed' % (r.passed, r.failed))
    return 1 if r.failed else 0


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--seeds', default='1-10')
    ap.add_argument('--steps', type=int, default=40)
    ap.add_argument('--api', type=lambda s: set(s.split(',')), help='compare only these (and do what changes metadata)')
    ap.add_argument('--whole', action='store_true', help='print both answers, not only where they differ')
    ap.add_argument('--width', type=int, default=900)
    args = ap.parse_args()
    folder = tempfile.mkdtemp(prefix='differential-cluster-')
    with Cluster(folder, combined=1, brokers=2, settings=SETTINGS, factor=1) as millrace:
        kafka = KafkaCluster(millrace.id)
        try:
            status = run(args, millrace, kafka)
        finally:
            kafka.wipe()
    shutil.rmtree(folder)
    return status


if __name__ == '__main__':
    sys.exit(main())
