#!/usr/bin/env python3
"""The same seeded requests to Millrace and to real Kafka, the answers compared after what changes from run to run is masked.

    differential.py --millrace HOST:PORT --kafka HOST:PORT --seeds 1-20 [--steps 60]

Both nodes must be fresh. Every seed works on topics of its own (names carry the seed), with random versions of the APIs, valid and
invalid arguments mixed. Masked: topic ids (learned by name and put into later requests), broker ports, clock times, texts of error
messages (only whether there is one counts), the order of rows. A difference prints the request and both answers. The last line is
`N passed, N failed`, counted in steps; differences that we know and want stand in EXPECTED with the reason, as in docs/COMPATIBILITY.md.
"""
import argparse
import json
import pathlib
import random
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from kafkawire import Codec, Connection, WireError, crc32c  # noqa: E402

ZERO = "A" * 22
CLOCKS = {"logAppendTimeMs", "throttleTimeMs", "lastTimestamp"}
TEXTS = {"errorMessage", "batchIndexErrorMessage"}
PORTS = {"port"}
ROW_KEYS = ("name", "topic", "topicId", "resourceName", "partitionIndex", "index", "partition", "producerId")
EXPECTED = []  # (api, predicate over (request, ours, theirs), reason)


def varint(v):
    v = (v << 1) ^ (v >> 63)
    v &= (1 << 64) - 1
    out = b""
    while v >= 128:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def record(delta_offset, delta_time, key, value):
    body = b"\0" + varint(delta_time) + varint(delta_offset)
    for x in (key, value):
        body += varint(-1) if x is None else varint(len(x)) + x
    body += varint(0)
    return varint(len(body)) + body


def batch(r, count, base_time, pid=-1, epoch=-1, seq=-1, keyless=False):
    records = b"".join(record(i, i, None if keyless else b"k%d" % r.randrange(5), b"v" * r.randrange(50)) for i in range(count))
    tail = struct.pack(">hiqqqhii", 0, count - 1, base_time, base_time + max(0, count - 1), pid, epoch, seq, count) + records
    return struct.pack(">qiibI", 0, len(tail) + 9, -1, 2, crc32c(tail)) + tail


class Side:
    """One broker: a connection, and its ids of topics."""

    def __init__(self, where, codec):
        self.host, port = where.rsplit(":", 1)
        self.port, self.codec = int(port), codec
        self.conn = None
        self.ids, self.names, self.pids = {}, {}, []

    def ask(self, api, version, request):
        if self.conn is None:
            self.conn = Connection(self.host, self.port, self.codec)
        try:
            return self.conn.ask(api, version, request, timeout=20)
        except (WireError, OSError) as e:
            self.conn.close()
            self.conn = None
            return {"closed": type(e).__name__ == "WireError" or "closed"}

    def learn(self):
        for t in self.ask("Metadata", 12, {"topics": None})["topics"]:
            self.ids[t["name"]] = t["topicId"]
            self.names[t["topicId"]] = t["name"]

    def fill(self, v):
        """Puts this side's ids where a request says {"id of": topic} or {"pid": n}."""
        if isinstance(v, dict):
            if "id of" in v:
                return self.ids.get(v["id of"], ZERO)
            if "pid" in v:
                return self.pids[v["pid"]] if v["pid"] < len(self.pids) else 999999
            return {k: self.fill(x) for k, x in v.items()}
        return [self.fill(x) for x in v] if isinstance(v, list) else v

    def mask(self, v, key=None):
        if isinstance(v, dict):
            return {k: self.mask(x, k) for k, x in v.items()}
        if isinstance(v, list):
            rows = [self.mask(x) for x in v]
            if rows and isinstance(rows[0], dict):
                rows.sort(key=lambda x: json.dumps([x.get(k) for k in ROW_KEYS], default=repr))
            return rows
        if key in TEXTS:
            return None if v is None else "(text)"
        if key in CLOCKS:
            return "(time)" if isinstance(v, int) and v > 0 else v
        if key in PORTS:
            return "(port)"
        if key == "clusterId":
            return "(cluster)"
        if isinstance(v, str) and v in self.names:
            return "(id of %s)" % self.names[v]
        if key == "topicId" and isinstance(v, str) and v != ZERO:
            return "(id)"
        if key == "producerId" and isinstance(v, int) and v >= 0:
            return "(pid)"
        return v


class Steps:
    """The random requests of one seed: each method gives (api, version, request) with placeholders."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.topics = ["d%d-%d" % (seed, i) for i in range(3)]
        self.now = int(time.time() * 1000)

    def version(self, low, high):
        return self.r.randint(low, high)

    def topic(self):
        return self.r.choice(self.topics + ["d-none"])

    def create(self):
        r = self.r
        config = r.choice([[], [("retention.ms", "100000")], [("cleanup.policy", "compact")], [("max.message.bytes", "200")],
                           [("message.timestamp.type", "LogAppendTime")], [("nonsense", "1")], [("retention.ms", "x")],
                           [("compression.type", "uncompressed")]])
        topic = {"name": r.choice(self.topics + ["bad name", "", "."]), "numPartitions": r.choice([1, 1, 2, 3, 0, -2]),
                 "replicationFactor": r.choice([1, 1, 1, 2, 0]), "assignments": [],
                 "configs": [{"name": k, "value": v} for k, v in config]}
        if r.random() < 0.15:
            topic["assignments"] = [{"partitionIndex": i, "brokerIds": [r.choice([1, 1, 9])]} for i in range(r.choice([1, 2]))]
            topic["numPartitions"], topic["replicationFactor"] = -1, -1
        return "CreateTopics", self.version(2, 7), {"topics": [topic], "timeoutMs": 5000, "validateOnly": r.random() < 0.1}

    def partitions(self):
        return "CreatePartitions", self.version(0, 3), {
            "topics": [{"name": self.topic(), "count": self.r.choice([0, 1, 2, 3, 4]), "assignments": None}], "timeoutMs": 5000,
            "validateOnly": self.r.random() < 0.3}

    def delete(self):
        return "DeleteTopics", self.version(1, 5), {"topicNames": [self.topic()], "timeoutMs": 5000}

    def produce(self):
        r, version, topic = self.r, self.version(3, 13), self.topic()
        b = batch(r, r.choice([1, 2, 5]), self.now - r.choice([0, 0, 1000, -2 * 3600 * 1000]), keyless=r.random() < 0.3)
        damage = r.random()
        if damage < 0.1:
            b = bytearray(b)
            b[r.randrange(12, len(b))] ^= 1 << r.randrange(8)
            b = bytes(b)
        elif damage < 0.13:
            b = b[:r.randrange(len(b))]
        row = {"partitionData": [{"index": r.choice([0, 0, 0, 1, 2, 7]), "records": b}]}
        row["topicId" if version >= 13 else "name"] = {"id of": topic} if version >= 13 else topic
        return "Produce", version, {"transactionalId": None, "acks": r.choice([1, 1, -1, 2]), "timeoutMs": 3000, "topicData": [row]}

    def fetch(self):
        r, version, topic = self.r, self.version(4, 18), self.topic()
        part = {"partition": r.choice([0, 0, 1, 7]), "fetchOffset": r.choice([0, 0, 1, 3, 1000, -1]), "partitionMaxBytes": r.choice([1, 200, 1 << 20])}
        if version >= 9:
            part["currentLeaderEpoch"] = r.choice([-1, -1, 0, 5])
        row = {"partitions": [part]}
        row["topicId" if version >= 13 else "topic"] = {"id of": topic} if version >= 13 else topic
        q = {"maxWaitMs": 100, "minBytes": r.choice([0, 1]), "maxBytes": r.choice([1, 300, 1 << 20]), "isolationLevel": r.choice([0, 1]),
             "topics": [row]}
        if version < 15:
            q["replicaId"] = -1
        if version >= 7:
            q.update({"sessionId": r.choice([0, 0, 12345]), "sessionEpoch": r.choice([-1, -1, 3]), "forgottenTopicsData": []})
        return "Fetch", version, q

    def list_offsets(self):
        version = self.version(1, 11)
        return "ListOffsets", version, {"replicaId": -1, "topics": [{"name": self.topic(), "partitions": [
            {"partitionIndex": self.r.choice([0, 0, 1, 7]), "timestamp": self.r.choice([-1, -2, -3, -4, -5, -6, 0, self.now, self.now + 10 ** 9])}]}]}

    def epochs(self):
        return "OffsetForLeaderEpoch", self.version(2, 4), {"topics": [{"topic": self.topic(), "partitions": [
            {"partition": self.r.choice([0, 1, 7]), "leaderEpoch": self.r.choice([0, 1, -1])}]}]}

    def delete_records(self):
        return "DeleteRecords", self.version(0, 2), {"topics": [{"name": self.topic(), "partitions": [
            {"partitionIndex": self.r.choice([0, 0, 1, 7]), "offset": self.r.choice([0, 1, 2, -1, 1000, -5])}]}], "timeoutMs": 3000}

    def metadata(self):
        version = self.version(4, 13)  # those that may forbid auto-creation
        return "Metadata", version, {"topics": [{"name": self.topic()}], "allowAutoTopicCreation": False}

    def describe_configs(self):
        r = self.r
        return "DescribeConfigs", self.version(1, 4), {"resources": [{"resourceType": 2, "resourceName": self.topic(), "configurationKeys":
                r.choice([None, ["retention.ms"], ["cleanup.policy", "nonsense"]])}], "includeSynonyms": r.random() < 0.5}

    def alter_configs(self):
        r = self.r
        name, op, value = r.choice([("retention.ms", 0, "5"), ("retention.ms", 1, None), ("cleanup.policy", 2, "compact"), ("cleanup.policy", 3, "delete"),
                                    ("retention.ms", 2, "5"), ("nonsense", 0, "1"), ("segment.bytes", 0, "1"), ("max.message.bytes", 0, "300")])
        return "IncrementalAlterConfigs", self.version(0, 1), {"resources": [{"resourceType": 2, "resourceName": self.topic(), "configs": [
            {"name": name, "configOperation": op, "value": value}]}], "validateOnly": r.random() < 0.2}

    def describe_topic(self):
        return "DescribeTopicPartitions", 0, {"topics": [{"name": self.topic()}], "responsePartitionLimit": self.r.choice([1, 2, 2000]), "cursor": None}

    def next(self):
        return self.r.choices([self.create, self.partitions, self.delete, self.produce, self.fetch, self.list_offsets, self.epochs, self.delete_records,
                               self.metadata, self.describe_configs, self.alter_configs, self.describe_topic],
                              [6, 2, 1, 14, 10, 6, 3, 3, 3, 3, 3, 2])[0]()


CHANGES = {"CreateTopics", "DeleteTopics", "CreatePartitions", "IncrementalAlterConfigs"}


def settle(sides, seed):
    """After a change of metadata: wait until each broker shows what its controller accepted, twice the same."""
    prefix = "d%d-" % seed
    for s in sides:
        last, until = None, time.monotonic() + 10
        while time.monotonic() < until:
            m = s.ask("Metadata", 12, {"topics": None})
            now = json.dumps(sorted([t["name"], len(t["partitions"]), [p["errorCode"] for p in t["partitions"]]]
                                    for t in m.get("topics", []) if t["name"].startswith(prefix)))
            if now == last:
                break
            last = now
            time.sleep(0.1)
        s.learn()


def run_seed(seed, steps, ours, theirs, quiet):
    failed = 0
    todo = Steps(seed)
    for n in range(steps):
        api, version, request = todo.next()
        a, b = (s.mask(s.ask(api, version, s.fill(request))) for s in (ours, theirs))
        if api in CHANGES:
            settle((ours, theirs), seed)
        if a != b and not any(api == e[0] and e[1](request, a, b) for e in EXPECTED):
            failed += 1
            if not quiet:
                print("seed %d step %d: %s version %d\n  request %s\n  ours    %s\n  kafka's %s" % (
                    seed, n, api, version, *(json.dumps(x, default=lambda y: y.hex() if isinstance(y, bytes) else repr(y))[:900] for x in (request, a, b))))
    return steps - failed, failed


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--millrace", required=True)
    ap.add_argument("--kafka", required=True)
    ap.add_argument("--seeds", default="1-20")
    ap.add_argument("--steps", type=int, default=60)
    ap.add_argument("--quiet", action="store_true")
    a = ap.parse_args()
    codec = Codec()
    ours, theirs = Side(a.millrace, codec), Side(a.kafka, codec)
    low, _, high = a.seeds.partition("-")
    passed = failed = 0
    for seed in range(int(low), int(high or low) + 1):
        p, f = run_seed(seed, a.steps, ours, theirs, a.quiet)
        passed, failed = passed + p, failed + f
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
