"""The random requests of the differential tester.

A step is (api, version, request, options). A request holds placeholders where each broker has its own value:
{"id of": topic}, {"pid": n}, {"session": n}, and Batch objects for records. Options: `opens` (the answer's session becomes
session n), `learns` (the answer's producer id becomes pid n), `raw` (how the frame is damaged), `silent` (no answer is expected).
Requests of groups, and their placeholders and options, are in differential_groups.py; of ten seeds four are mostly about them.

Topics of a seed: dN-0 to dN-2 take any settings but a codec of the topic's own, dN-z gets those (what is fetched from it has
another size in each broker, so only generous limits are used there), dN-a_b and dN-a.b collide.
"""
import random

from batches import BYTE_DAMAGE, FIELD_DAMAGE, PAYLOAD_DAMAGE, RECORD_DAMAGE, Batch, golden
from differential_groups import GroupSteps

ZERO = "A" * 22
STRANGE_ID = "AAAAAAAAAAAAAAAAAAAAzg"
MAX64 = (1 << 63) - 1
PLAIN_CONFIGS = [("retention.ms", "100000000000"), ("retention.ms", "-1"), ("retention.ms", "-2"), ("cleanup.policy", "compact"),
                 ("cleanup.policy", "compact,delete"), ("cleanup.policy", "delete, compact"), ("cleanup.policy", ""), ("cleanup.policy", "none"),
                 ("cleanup.policy", "compact,compact"), ("max.message.bytes", "200"), ("max.message.bytes", "-1"), ("max.message.bytes", "2147483648"),
                 ("message.timestamp.type", "LogAppendTime"), ("message.timestamp.type", "logappendtime"), ("nonsense", "1"), ("retention.ms", "x"),
                 ("retention.ms", " 5000000000000 "), ("compression.type", "uncompressed"), ("compression.type", "producer"), ("compression.type", "none"),
                 ("message.timestamp.after.max.ms", "100000000"), ("message.timestamp.before.max.ms", "1000000"), ("message.timestamp.before.max.ms", "-1"),
                 ("min.insync.replicas", "1"), ("min.insync.replicas", "2"), ("min.insync.replicas", "0"), ("flush.messages", "1"), ("flush.messages", "0"),
                 ("segment.bytes", "1048576"), ("segment.bytes", "1"), ("min.cleanable.dirty.ratio", "0.3"), ("min.cleanable.dirty.ratio", "1.5"),
                 ("min.cleanable.dirty.ratio", "x"), ("preallocate", "true"), ("preallocate", "TRUE"), ("preallocate", "yes"),
                 ("unclean.leader.election.enable", "true"), ("local.retention.ms", "5"), ("local.retention.ms", "-2"), ("remote.storage.enable", "true"),
                 ("remote.storage.enable", "false"), ("leader.replication.throttled.replicas", "*"), ("leader.replication.throttled.replicas", "0:1"),
                 ("leader.replication.throttled.replicas", "x"), ("follower.replication.throttled.replicas", "0:1,1:1"), ("index.interval.bytes", "0"),
                 ("compression.gzip.level", "5"), ("compression.gzip.level", "0"), ("compression.lz4.level", "18"), ("compression.zstd.level", "-131072"),
                 ("compression.zstd.level", "23"), ("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5"), ("max.compaction.lag.ms", "0"),
                 ("message.format.version", "3.0"), ("message.downconversion.enable", "false"), ("delete.retention.ms", "-1"), ("segment.ms", "0"),
                 ("segment.jitter.ms", "5"), ("retention.bytes", "-1"), ("retention.bytes", "1000000"), ("file.delete.delay.ms", "5"), ("flush.ms", "-1"),
                 ("remote.log.copy.disable", "true"), ("remote.log.delete.on.disable", "true"), ("internal.segment.bytes", "1000")]
CODEC_CONFIGS = [("compression.type", "gzip"), ("compression.type", "snappy"), ("compression.type", "lz4"), ("compression.type", "zstd"),
                 ("compression.type", "brotli"), ("compression.gzip.level", "9"), ("message.timestamp.type", "LogAppendTime"),
                 ("cleanup.policy", "compact"), ("max.message.bytes", "300")]
BROKER_CONFIGS = [("message.max.bytes", "2000000"), ("message.max.bytes", "-1"), ("log.retention.ms", "90000000000"), ("log.retention.hours", "5"),
                  ("min.insync.replicas", "1"), ("min.insync.replicas", "0"), ("unclean.leader.election.enable", "true"), ("nonsense", "1"),
                  ("num.partitions", "3"), ("log.cleanup.policy", "compact"), ("log.cleanup.policy", "delete"), ("log.segment.bytes", "2000000"),
                  ("log.message.timestamp.type", "CreateTime"), ("log.cleaner.threads", "2"), ("max.connections.per.ip", "1000"), ("node.id", "5"),
                  ("num.io.threads", "x"), ("log.index.interval.bytes", "8192"), ("log.flush.interval.ms", "100000"), ("log.preallocate", "false"),
                  ("listener.name.plaintext.nonsense", "1"), ("max.connections", "100000"), ("log.retention.bytes", "-1")]
BROKER_TOUCHED = sorted({name for name, _ in BROKER_CONFIGS})
NAMES = ["bad name", "", ".", "..", "a" * 249, "a" * 250, "\u00e9", "a/b", "__x", "__cluster_metadata", "__consumer_offsets"]


class Steps(GroupSteps):
    def __init__(self, seed, now):
        self.r = random.Random(seed)
        self.seed, self.now = seed, now
        self.plain = ["d%d-%d" % (seed, i) for i in range(3)]
        self.zipped = "d%d-z" % seed
        self.topics = self.plain + [self.zipped]
        self.sessions = []   # per session: [next epoch, by id, topics asked]
        self.pids = 0
        self.sequences = {}  # (pid, topic, partition) -> next sequence
        self.golden = golden()
        self.created = False
        self.start_groups()
        self.group_weight = 400 if self.chance(0.4) else 12

    # ---- what is drawn

    def pick(self, *choices):
        return self.r.choice(choices)

    def chance(self, p):
        return self.r.random() < p

    def topic(self):
        return self.r.choice(self.topics * 3 + ["d-none", self.pick("d%d-auto" % self.seed, "d%d-a.b" % self.seed, "", "bad name")])

    def some(self, draw, most=3):
        return [draw() for _ in range(self.r.choice([1, 1, 1, 1, 2, most]))]

    def partition(self):
        return self.r.choice([0, 0, 0, 0, 1, 2, 7, -1])

    def moment(self):
        return self.now + self.r.choice([-200000, -200001, -100000, -3600000, 1800000, 0, -10 ** 9])

    # ---- topics

    def configs(self, topic, most=2):
        choices = CODEC_CONFIGS if topic == self.zipped else PLAIN_CONFIGS
        n = self.r.choice([0, 1, 1, most])
        return [{"name": k, "value": None if self.chance(0.03) else v} for k, v in (self.r.choice(choices) for _ in range(n))]

    def new_topic(self):
        r, name = self.r, self.r.choice(self.topics * 4 + ["d%d-a_b" % self.seed, "d%d-a.b" % self.seed] + [self.pick(*NAMES)])
        configs = self.configs(name)
        if not self.created and name == self.zipped and not configs:
            configs = [{"name": "compression.type", "value": "gzip"}]
        topic = {"name": name, "numPartitions": r.choice([1, 1, 2, 3, -1, 0, -2]), "replicationFactor": r.choice([1, 1, 1, -1, 2, 0, -2]),
                 "assignments": [], "configs": configs}
        if self.chance(0.15):
            topic["assignments"] = [{"partitionIndex": self.pick(i, i, i, i, 5), "brokerIds": self.pick([1], [1], [1], [9], [1, 1], [])}
                                    for i in range(r.choice([1, 2]))]
            if self.chance(0.8):
                topic["numPartitions"], topic["replicationFactor"] = -1, -1
        return topic

    def create(self):
        topics = self.some(self.new_topic)
        return "CreateTopics", self.r.randint(2, 7), {"topics": topics, "timeoutMs": self.pick(5000, 5000, 5000, 0, -1),
                                                      "validateOnly": self.chance(0.1)}

    def create_all(self):
        """The first step of a seed: topics that the others need."""
        self.created = True
        topics = [{"name": t, "numPartitions": self.pick(1, 2, 3), "replicationFactor": 1, "assignments": [], "configs": []} for t in self.topics]
        for t in topics[1:3]:
            k, v = self.pick(("cleanup.policy", "compact"), ("max.message.bytes", "250"), ("message.timestamp.type", "LogAppendTime"),
                             ("compression.type", "uncompressed"), ("message.timestamp.before.max.ms", "1000000"), ("flush.messages", "1"))
            t["configs"] = [{"name": k, "value": v}]
        topics[3]["configs"] = [{"name": "compression.type", "value": self.pick("gzip", "snappy", "lz4", "zstd")}]
        return "CreateTopics", self.r.randint(2, 7), {"topics": topics, "timeoutMs": 5000, "validateOnly": False}

    def partitions(self):
        def row():
            return {"name": self.topic(), "count": self.pick(0, 1, 2, 3, 4, -1), "assignments":
                    None if self.chance(0.7) else [{"brokerIds": self.pick([1], [1], [9], [], [1, 1])} for _ in range(self.pick(0, 1, 1, 2))]}
        return "CreatePartitions", self.r.randint(0, 3), {"topics": self.some(row), "timeoutMs": 5000, "validateOnly": self.chance(0.3)}

    def delete(self):
        version = self.r.randint(1, 6)
        if version < 6:
            return "DeleteTopics", version, {"topicNames": self.some(self.topic), "timeoutMs": 5000}

        def row():
            by_id = {"name": None, "topicId": self.some_id()}
            return self.pick({"name": self.topic(), "topicId": ZERO}, by_id, by_id, {"name": self.topic(), "topicId": self.some_id()},
                             {"name": None, "topicId": ZERO})
        return "DeleteTopics", version, {"topics": self.some(row), "timeoutMs": 5000}

    def some_id(self):
        return self.pick({"id of": self.topic()}, {"id of": self.topic()}, {"id of": self.topic()}, {"id of": self.topic()}, ZERO, STRANGE_ID)

    # ---- data

    def batch(self, topic, partition):
        r = self.r
        if self.chance(0.06):
            return Golden(self.golden, r.choice(sorted(self.golden)))
        producer = {}
        if self.pids and self.chance(0.35):
            pid = r.randrange(self.pids)
            expected = self.sequences.get((pid, topic, partition), 0)
            producer = {"pid": {"pid": pid}, "epoch": self.pick(0, 0, 0, 0, 0, 0, 1, -1),
                        "seq": self.pick(expected, expected, expected, expected, expected, max(0, expected - 1), expected + 1, 0, 2147483646, 0)}
        elif self.chance(0.03):
            producer = {"pid": self.pick(424242, 0, -2), "epoch": self.pick(0, 5), "seq": self.pick(0, 5)}
        damage = self.pick(*FIELD_DAMAGE, *PAYLOAD_DAMAGE, *RECORD_DAMAGE, *BYTE_DAMAGE) if self.chance(0.25) else None
        b = Batch(r, self.now, damage=damage, **producer)
        if producer and damage is None and isinstance(producer["pid"], dict) and producer["epoch"] == 0 and producer["seq"] == expected:
            self.sequences[(pid, topic, partition)] = expected + b.count
        return b

    def produce(self):
        r, version = self.r, self.r.randint(3, 13)

        def topic_row():
            topic = self.topic()
            rows = [{"index": p, "records": self.batch(topic, p)} for p in [self.partition() for _ in range(r.choice([1, 1, 1, 2]))]]
            row = {"partitionData": rows}
            row["topicId" if version >= 13 else "name"] = {"id of": topic} if version >= 13 else topic
            return row
        acks = r.choice([1, 1, 1, 1, -1, -1, 0, 2, -2])
        return "Produce", version, {"transactionalId": self.pick(None, None, None, None, ""), "acks": acks, "timeoutMs": self.pick(3000, 3000, 0, -1),
                                    "topicData": self.some(topic_row)}, {"acks 0": acks == 0}

    def init_pid(self):
        version = self.r.randint(0, 6)
        q = {"transactionalId": None, "transactionTimeoutMs": self.pick(60000, 60000, 0, -1, 2147483647)}
        if version >= 3 and self.chance(0.3):
            q.update({"producerId": self.pick(-1, {"pid": 0}, 5, -7), "producerEpoch": self.pick(-1, 0, 3, -2)})
        if self.chance(0.1):
            q["transactionalId"] = ""
        self.pids += 1
        return "InitProducerId", version, q, {"learns": self.pids - 1}

    def fetch_part(self, topic, version):
        r, zipped = self.r, topic == self.zipped
        part = {"partition": self.partition(), "fetchOffset": r.choice([0, 0, 0, 1, 2, 3, 5, 1000, -1, -2]),
                "partitionMaxBytes": 1 << 20 if zipped else r.choice([1, 0, 100, 200, 1 << 20, 1 << 20, -1])}
        if version >= 5:
            part["logStartOffset"] = r.choice([-1, -1, -1, 0, 5])
        if version >= 9:
            part["currentLeaderEpoch"] = r.choice([-1, -1, -1, 0, 0, 5, -2])
        if version >= 12 and self.chance(0.15):
            part["lastFetchedEpoch"] = r.choice([0, -1, 5, -3])
        return part

    def fetch_row(self, topic, version, n=None):
        row = {"partitions": [self.fetch_part(topic, version) for _ in range(n or self.pick(1, 1, 2))]}
        row["topicId" if version >= 13 else "topic"] = {"id of": topic} if version >= 13 else topic
        return row

    def fetch(self):
        r, version = self.r, self.r.randint(4, 18)
        topics = self.some(self.topic)
        wide = self.zipped in topics
        q = {"maxWaitMs": self.pick(0, 0, 50, 50, -1), "minBytes": self.pick(0, 1, 1, 1000, -1), "maxBytes":
             1 << 20 if wide else self.pick(0, 1, 300, 1 << 20, 1 << 20, 1 << 20, -1), "isolationLevel": self.pick(0, 0, 1, 2),
             "topics": [self.fetch_row(t, version) for t in topics]}
        replica = r.choice([-1] * 12 + [-2, 1, 5])
        if version < 15:
            q["replicaId"] = replica
        elif replica != -1:
            q["replicaState"] = {"replicaId": replica, "replicaEpoch": self.pick(-1, -1, 1)}
        if version >= 7:
            q.update({"sessionId": 0, "sessionEpoch": -1, "forgottenTopicsData": []})
            if self.chance(0.1):
                q.update({"sessionId": self.pick(0, 12345), "sessionEpoch": self.pick(-1, 3, -2, 0)})
        if version >= 11 and self.chance(0.2):
            q["rackId"] = "r1"
        if version >= 12 and self.chance(0.1):
            q["clusterId"] = self.pick("other", None)
        return "Fetch", version, q

    def session_fetch(self):
        """Opens a fetch session, or goes on with one: mostly as a client does, sometimes with a wrong epoch or version."""
        version = self.pick(7, 10, 12, 13, 15, 17, 18)
        q = {"maxWaitMs": self.pick(0, 20), "minBytes": self.pick(0, 1), "maxBytes": 1 << 20, "isolationLevel": self.pick(0, 1), "replicaId": -1,
             "forgottenTopicsData": []}
        if not self.sessions or self.chance(0.2):
            topics = self.r.sample(self.topics, self.pick(1, 2, 3)) + ([self.topic()] if self.chance(0.2) else [])
            q.update({"sessionId": self.pick(0, 0, 0, {"session": len(self.sessions) - 1}), "sessionEpoch": 0,
                      "topics": [self.fetch_row(t, version) for t in topics]})
            self.sessions.append([1, version, topics])
            return "Fetch", version, q, {"opens": len(self.sessions) - 1}
        n = self.r.randrange(max(0, len(self.sessions) - 3), len(self.sessions))
        s = self.sessions[n]
        version = s[1] if self.chance(0.9) else version
        epoch = s[0] if self.chance(0.9) else self.pick(0, s[0] + 1, s[0] - 1, -1, -2, 2147483647)
        topics = [self.topic() for _ in range(self.pick(0, 0, 0, 1, 2))]
        forgotten = [self.r.choice(s[2] + ["d-none"]) for _ in range(self.pick(0, 0, 0, 1))]
        key = "topicId" if version >= 13 else "topic"
        q.update({"sessionId": {"session": n}, "sessionEpoch": epoch, "topics": [self.fetch_row(t, version) for t in topics],
                  "forgottenTopicsData": [{key: {"id of": t} if version >= 13 else t, "partitions": self.pick([0], [0, 1], [7])} for t in forgotten]})
        if epoch == s[0]:
            s[0] += 1
            s[2] += topics
        elif epoch == 0:
            return "Fetch", version, q, {"opens": n}
        if version >= 15:
            del q["replicaId"]
        return "Fetch", version, q

    def list_offsets(self):
        version = self.r.randint(1, 11)

        def part():
            return {"partitionIndex": self.partition(), "currentLeaderEpoch": self.pick(-1, -1, -1, 0, 4, -2),
                    "timestamp": self.pick(-1, -1, -2, -2, -3, -3, -4, -5, -6, -7, -100, 0, 1, self.moment(), self.moment(), self.moment() - 1,
                                           self.now + 10 ** 9, MAX64)}
        return "ListOffsets", version, {"replicaId": self.pick(-1, -1, -1, -1, -2, 1, 5), "isolationLevel": self.pick(0, 0, 1), "timeoutMs": 1000,
                                        "topics": self.some(lambda: {"name": self.topic(), "partitions": self.some(part)})}

    def epochs(self):
        version = self.r.randint(2, 4)
        return "OffsetForLeaderEpoch", version, {"replicaId": self.pick(-2, -1, -1, 1, 5), "topics": self.some(lambda: {
            "topic": self.topic(), "partitions": self.some(lambda: {"partition": self.partition(), "currentLeaderEpoch": self.pick(-1, -1, 0, 5, -2),
                                                                    "leaderEpoch": self.pick(0, 0, 1, -1, 100, -5)})})}

    def delete_records(self):
        return "DeleteRecords", self.r.randint(0, 2), {"topics": self.some(lambda: {"name": self.topic(), "partitions": self.some(lambda: {
            "partitionIndex": self.partition(), "offset": self.pick(0, 1, 2, 3, -1, -1, 1000, -5)})}), "timeoutMs": self.pick(3000, 3000, 0, -1)}

    # ---- questions

    def metadata(self):
        version = self.r.randint(0, 13)
        q = {"topics": self.some(lambda: {"name": self.pick(self.topic(), *NAMES) if self.chance(0.2) else self.topic()}), "allowAutoTopicCreation": self.chance(0.3)}
        if version >= 10 and self.chance(0.4):
            q["topics"] = self.some(lambda: {"name": None if version >= 12 or self.chance(0.3) else self.topic(), "topicId": self.some_id()})
        elif self.chance(0.15):
            q["topics"] = [] if version == 0 or self.chance(0.5) else None
        q["includeClusterAuthorizedOperations"] = self.chance(0.2)
        q["includeTopicAuthorizedOperations"] = self.chance(0.2)
        return "Metadata", version, q

    def describe_topic(self):
        cursor = None
        if self.chance(0.3):
            cursor = {"topicName": self.topic(), "partitionIndex": self.pick(0, 1, 2, 5, -1)}
        topics = [] if self.chance(0.1) else self.some(lambda: {"name": self.topic()})
        return "DescribeTopicPartitions", 0, {"topics": topics, "responsePartitionLimit": self.pick(1, 2, 3, 2000, 0, -1), "cursor": cursor}

    def resource(self):
        kind = self.pick(2, 2, 2, 2, 4, 4, 8, 16, 32, 0, 1, 3, 99)
        names = {4: ["1", "1", "", "9", "x", "01"], 8: ["1", "", "9", "x"], 16: ["m", ""], 32: ["g", ""]}
        return kind, self.topic() if kind == 2 else self.pick(*names.get(kind, ["x"]))

    def describe_configs(self):
        def row():
            kind, name = self.resource()
            keys = {2: [None, ["retention.ms"], ["cleanup.policy", "nonsense"], []], 4: [None, ["message.max.bytes", "log.retention.ms"], [], ["nonsense"]]}
            return {"resourceType": kind, "resourceName": name, "configurationKeys": self.pick(*keys.get(kind, [None, []]))}
        return "DescribeConfigs", self.r.randint(1, 4), {"resources": self.some(row), "includeSynonyms": self.chance(0.5), "includeDocumentation": self.chance(0.2)}

    def config_resources(self):
        version = self.r.randint(0, 1)
        types = [self.pick(2, 4, 8, 16, 32, 2, 4, 8, 16, 32, 2, 4, 8, 16, 32, 0, 1, 64, -1) for _ in range(self.pick(0, 1, 1, 2, 4))]
        return "ListConfigResources", version, {"resourceTypes": types} if version else {}

    def settings(self, kind, name):
        choices = {2: CODEC_CONFIGS if name == self.zipped else PLAIN_CONFIGS, 4: BROKER_CONFIGS,
                   16: [("interval.ms", "1000"), ("interval.ms", "1"), ("metrics", "a,b"), ("match", "client_id=x"), ("match", "x=y"), ("nonsense", "1")],
                   32: [("consumer.session.timeout.ms", "50000"), ("consumer.session.timeout.ms", "1"), ("nonsense", "1"), ("share.auto.offset.reset", "earliest")]}
        return [self.r.choice(choices.get(kind, PLAIN_CONFIGS)) for _ in range(self.pick(0, 1, 1, 1, 2))]

    def alter_configs(self):
        def row():
            kind, name = self.resource()
            kind, name = (2, self.topic()) if kind == 8 else (kind, name)
            return {"resourceType": kind, "resourceName": name, "configs": [{"name": k, "value": None if self.chance(0.04) else v} for k, v in self.settings(kind, name)]}
        rows = {(x["resourceType"] if x["resourceType"] in (2, 4, 16, 32) else 0, x["resourceName"]): x for x in self.some(row)}  # Kafka never answers when one is there twice
        return "AlterConfigs", self.r.randint(0, 2), {"resources": list(rows.values()), "validateOnly": self.chance(0.2)}

    def incremental(self):
        def config(kind, name):
            k, v = (self.settings(kind, name) or [("nonsense", "1")])[0]
            op = self.pick(0, 0, 0, 1, 2, 3, 9) if self.chance(0.5) else 0
            if op in (2, 3) and self.chance(0.7):
                k, v = self.pick(("cleanup.policy", "compact"), ("cleanup.policy", "delete"), ("cleanup.policy", "x"), ("cleanup.policy", "compact, delete"),
                                 ("leader.replication.throttled.replicas", "0:1"), ("leader.replication.throttled.replicas", "0:1,1:1"), ("cleanup.policy", ""))
            return {"name": k, "configOperation": op, "value": None if op == 1 and self.chance(0.7) or self.chance(0.03) else v}

        def row():
            kind, name = self.resource()
            kind, name = (2, self.topic()) if kind == 8 else (kind, name)
            return {"resourceType": kind, "resourceName": name, "configs": [config(kind, name) for _ in range(self.pick(1, 1, 1, 2, 0))]}
        return "IncrementalAlterConfigs", self.r.randint(0, 1), {"resources": self.some(row), "validateOnly": self.chance(0.2)}

    def describe_producers(self):
        return "DescribeProducers", 0, {"topics": self.some(lambda: {"name": self.topic(), "partitionIndexes": self.some(self.partition)})}

    def log_dirs(self):
        return "DescribeLogDirs", self.r.randint(1, 5), {"topics": self.pick(None, [], [{"topic": self.topic(), "partitions": self.some(self.partition)}],
                                                                         [{"topic": self.topic(), "partitions": []}])}

    def cluster(self):
        return "DescribeCluster", self.r.randint(0, 2), {"includeClusterAuthorizedOperations": self.chance(0.5), "endpointType": self.pick(1, 1, 1, 2, 0, 7),
                                                         "includeFencedBrokers": self.chance(0.5)}

    def quorum(self):
        name = self.pick("__cluster_metadata", "__cluster_metadata", self.topic())
        return "DescribeQuorum", self.r.randint(0, 2), {"topics": [] if self.chance(0.1) else [{"topicName": name, "partitions":
                                                        [{"partitionIndex": p} for p in self.pick([0], [0], [0, 1], [5], [])]}]}

    def api_versions(self):
        version = self.pick(0, 1, 2, 3, 4, 3, 4)
        return "ApiVersions", version, {"clientSoftwareName": self.pick("test", "", "a b", "x.y-1"), "clientSoftwareVersion": self.pick("1", "", "-1", "1.0.0-rc1")}

    def coordinator(self):
        version = self.r.randint(0, 6)
        kind = self.pick(0, 0, 0, 2, 3, -1) if version >= 1 else 0
        key = self.pick("g", "", "gr\u00f6\u00dfe", "a:AAAAAAAAAAAAAAAAAAAAAA:0", "x:y", "::")
        q = {"keyType": kind}
        q.update({"coordinatorKeys": self.pick([key], [key], [], [key, "h"])} if version >= 4 else {"key": key})
        return "FindCoordinator", version, q

    # ---- frames that are none

    def malformed(self):
        """A request whose bytes are damaged, or whose header is."""
        api, version, q, *_ = self.pick(self.metadata, self.fetch, self.list_offsets, self.epochs, self.describe_configs, self.describe_topic, self.cluster,
                                        self.describe_producers, self.log_dirs, self.create, self.incremental, self.partitions, self.produce, self.init_pid,
                                        self.commit, self.fetch_offsets, self.delete_offsets, self.heartbeat, self.describe_groups, self.list_groups,
                                        self.delete_groups, self.coordinator)()
        if api == "Metadata":
            q["allowAutoTopicCreation"] = False
        kind = self.pick("cut", "cut", "behind", "flip", "flip", "flip", "tags", "version", "null client", "key", "length")
        if kind == "flip" and api in ("CreateTopics", "CreatePartitions", "Metadata"):
            kind = "cut"  # a flip could ask for thousands of partitions
        if api == "Produce":
            q["acks"] = 1
        return api, version, q, {"raw": (kind, self.r.getrandbits(40))}

    def next(self):
        if not self.created:
            return self.create_all() + ({},)
        choices = [(self.create, 5), (self.partitions, 3), (self.delete, 2), (self.produce, 26), (self.init_pid, 2), (self.fetch, 14), (self.session_fetch, 10),
                   (self.list_offsets, 9), (self.epochs, 4), (self.delete_records, 4), (self.metadata, 6), (self.describe_topic, 4), (self.describe_configs, 5),
                   (self.alter_configs, 3), (self.incremental, 6), (self.describe_producers, 3), (self.log_dirs, 3), (self.cluster, 2), (self.quorum, 2), (self.config_resources, 2),
                   (self.api_versions, 1), (self.coordinator, 2), (self.malformed, 8), (self.group_step, self.group_weight)]
        step = self.r.choices([c for c, _ in choices], [w for _, w in choices])[0]()
        return step if len(step) == 4 else step + ({},)


class Golden:
    """One of the golden vectors, as it is."""

    def __init__(self, golden, name):
        self.name, self.data, self.pid = name, golden[name], -1

    def __repr__(self):
        return "<golden %s>" % self.name

    def build(self, pid=None):
        return self.data
