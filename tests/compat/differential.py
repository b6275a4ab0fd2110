#!/usr/bin/env python3
"""The same seeded requests to Millrace and to real Kafka, the answers compared after what changes from run to run is masked.

    differential.py --millrace HOST:PORT --kafka HOST:PORT --seeds 1-20 [--steps 60] [--api Fetch,Produce]

Every seed works on topics of its own (names carry the seed; they are deleted before and after), with random versions of all
APIs, valid and invalid arguments mixed; differential_steps.py and differential_groups.py draw them. Masked: topic ids, producer ids,
session ids and member ids (learned, and put into later requests), broker ports, clock times, sizes of what each broker compressed
itself, texts of error messages (only whether there is one counts), the order of rows. After a change of metadata both brokers are waited for, by two
changes of a marker topic that must have been seen. A difference prints the request and both answers. The last line is
`N passed, N failed`, counted in steps; differences that we know and want stand in EXPECTED, with the reason that
docs/COMPATIBILITY.md gives too; how often each was met is printed.
"""
import argparse
import collections
import concurrent.futures
import json
import pathlib
import random
import re
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from kafkawire import Codec, Connection, WireError  # noqa: E402

from batches import Batch, read  # noqa: E402
from differential_steps import BROKER_TOUCHED, STRANGE_ID, ZERO, Golden, Steps  # noqa: E402

MARKER = "d-marker"
INTERNAL = ("__consumer_offsets", "__share_group_state")  # FindCoordinator makes Kafka create them: in each of the two from the start
KEEP = (MARKER,) + INTERNAL
TEXTS = {"errorMessage", "batchIndexErrorMessage", "documentation"}
IDS = {"topicId", "replicaDirectoryId"}
ROW_KEYS = ("name", "topic", "topicId", "topicName", "resourceType", "resourceName", "partitionIndex", "index", "partition", "producerId", "source", "apiKey",
            "groupId", "memberId", "groupInstanceId", "key", "nodeId", "brokerId", "replicaId", "partitionId", "errorCode")
# Settings whose value is this node's own place or size.
PLACES = {"listeners", "advertised.listeners", "log.dir", "log.dirs", "metadata.log.dir", "controller.quorum.voters", "controller.quorum.bootstrap.servers",
          "listener.security.protocol.map", "controller.listener.names", "process.roles", "node.id", "broker.id"}
ONE_HAS = {"produce.validation", "log.initial.task.delay.ms"}  # set for one of the two only
NOT_OF_METADATA = {"highWatermark", "logEndOffset", "lastFetchTimestamp", "lastCaughtUpTimestamp", "leaderEpoch"}
SILENCE = 2.0  # seconds without an answer, where none may come
MEMBER_ID = re.compile(r"(test|i\d)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WAITING = 0.5  # after which a JoinGroup or a SyncGroup waits for other members


def no_coordinator(request, ours, theirs):
    """Where Kafka names a coordinator that is not of groups, or is making its topic, we have none."""
    if request.get("keyType", 0) == 0:
        return False
    if "coordinators" not in theirs:
        return theirs.get("errorCode") == 0 and ours.get("errorCode") == 15
    pairs = zip(ours.get("coordinators", []), theirs["coordinators"])
    return all(a == b or a["errorCode"] == 15 and b["errorCode"] == 0 for a, b in pairs)


def empty_name(request, ours, theirs):
    return request["cursor"] is None and any(t["name"] == "" for t in request["topics"]) and all(t["errorCode"] == -1 for t in theirs["topics"])


def broken_utf8(request, ours, theirs):
    """Same but for what cannot be decoded: each side's answers with all such characters left out."""
    def bare(v):
        return "".join(c for c in json.dumps(v, sort_keys=True, ensure_ascii=False) if c != "\ufffd" and not "\udc80" <= c <= "\udcff")
    return "\ufffd" in json.dumps(theirs, ensure_ascii=False) and bare(ours) == bare(theirs)


def never_written(request, ours, theirs):
    """Only groups of the ids for plain offsets (dN-s) are listed by one side alone, empty, and everything else is the same."""
    def bare(v):
        plain = {"protocolType": "", "groupState": "Empty"}
        return {**v, "groups": [g for g in v["groups"] if not (g["groupId"].endswith("-s") and {**plain, **g} == {**g, **plain})]}
    return ours["errorCode"] == theirs["errorCode"] == 0 and bare(ours) == bare(theirs)


ANY = None
EXPECTED = [  # (api, predicate over (request, ours, theirs), reason)
    (ANY, broken_utf8, "names in broken UTF-8 come back as they were sent, Kafka puts U+FFFD"),
    ("FindCoordinator", no_coordinator, "there are no coordinators of transactions and share groups yet: COORDINATOR_NOT_AVAILABLE"),
    ("DescribeTopicPartitions", empty_name, "an empty topic name makes Kafka fail on a null cursor: UNKNOWN_SERVER_ERROR for all topics"),
    ("ListGroups", never_written, "a group whose commits were all refused: listed at once, by Kafka when the next record of its partition is committed"),
]


class Side:
    """One broker: a connection, and its ids of topics."""

    def __init__(self, where, codec):
        self.host, port = where.rsplit(":", 1)
        self.port, self.codec = int(port), codec
        self.conn = None
        self.marks = 0
        self.served = None  # API keys to compare in ApiVersions
        self.own = {}       # member: its connection
        self.groups = ()    # how the names of this seed's groups begin
        self.forget()

    def forget(self):
        self.ids, self.names, self.pids, self.sessions = {}, {}, [], {}
        self.member_ids, self.labels, self.waiting = {}, {}, {}  # n: ids, the newest last; id: what stands for it; n: (api, version)
        for conn in self.own.values():
            conn.close()
        self.own = {}

    def connect(self):
        if self.conn is None:
            self.conn = Connection(self.host, self.port, self.codec)
        return self.conn

    def drop(self):
        if self.conn is not None:
            self.conn.close()
        self.conn = None

    def ask(self, api, version, request, timeout=20):
        try:
            return self.connect().ask(api, version, request, timeout)
        except WireError as e:
            self.drop()
            return {"closed": "closed" in str(e) or str(e)}
        except TimeoutError:
            self.drop()
            return {"silent": True}
        except OSError:
            self.drop()
            return {"closed": True}

    # ---- members, each on its own connection

    def ask_on(self, n, api, version, request):
        try:
            if n not in self.own:
                self.own[n] = Connection(self.host, self.port, self.codec)
            m = self.codec.api(api)
            frame = self.codec.request(m.key, version, 1, "test", self.codec.encode(m.name, version, request))
            self.own[n].send_raw(struct.pack(">i", len(frame)) + frame)
        except OSError:
            return self.lost(n)
        self.waiting[n] = api, version
        return self.collect(n)

    def collect(self, n):
        if n not in self.waiting:
            return {"nothing": True}
        api, version = self.waiting[n]
        try:
            answer = self.own[n].receive(WAITING)
        except TimeoutError:
            return {"waiting": True}
        except OSError:
            answer = None
        if answer is None:
            return self.lost(n)
        del self.waiting[n]
        m = self.codec.api(api)
        _, body = self.codec.split_response(m.key, version, answer)
        return self.codec.decode(self.codec.responses[m.key].name, version, body)[0]

    def lost(self, n):
        self.waiting.pop(n, None)
        self.own.pop(n).close()
        return {"closed": True}

    @staticmethod
    def groups_of(seed):
        return ["", "d%d-s" % seed] + ["d%d-g%d" % (seed, i) for i in range(3)]

    def learn_member(self, n, answer):
        if answer.get("errorCode") in (0, 79) and answer.get("memberId") and answer["memberId"] not in self.labels:
            ids = self.member_ids.setdefault(n, [])
            ids.append(answer["memberId"])
            self.labels[answer["memberId"]] = "(member %d.%d)" % (n, len(ids))

    def tell(self, version, request):
        """A Produce that has no answer: is the connection still good afterwards?"""
        try:
            m = self.codec.api("Produce")
            frame = self.codec.request(m.key, version, 1, "test", self.codec.encode(m.name, version, request))
            self.connect().send_raw(struct.pack(">i", len(frame)) + frame)
        except OSError:
            self.drop()
        answer = self.ask("ApiVersions", 0, {})
        return {"open": "apiKeys" in answer}

    def ask_damaged(self, api, version, request, kind, bits):
        m = self.codec.api(api)
        value = dict(request, _tags=[(12345, b"tag")]) if kind == "tags" else request
        body = self.codec.encode(m.name, version, value)
        r = random.Random(bits)
        if kind == "cut":
            body = body[:r.randrange(len(body) or 1)]
        elif kind == "behind":
            body += bytes(r.randrange(256) for _ in range(r.choice([1, 4, 100])))
        elif kind == "flip" and body:
            at = r.randrange(len(body))
            body = body[:at] + bytes([body[at] ^ 1 << r.randrange(8)]) + body[at + 1:]
        frame = self.codec.request(m.key, version, 1, None if kind == "null client" else "test", body)
        if kind == "version":
            frame = frame[:2] + struct.pack(">h", r.choice([-1, 100, 32767] + [0, 1, 2] * (api == "Produce"))) + frame[4:]
        elif kind == "key":
            frame = struct.pack(">h", r.choice([-1, 4, 5, 6, 7, 999, 32767])) + frame[2:]
        length = r.choice([0, -1, 104857601, -1 << 31, 3]) if kind == "length" else len(frame)
        try:
            self.connect().send_raw(struct.pack(">i", length) + frame)
            answer = self.conn.receive(SILENCE)
        except TimeoutError:
            self.drop()
            return {"silent": True}
        except OSError:
            answer = None
        if answer is None:
            self.drop()
            return {"closed": True}
        try:
            _, answer = self.codec.split_response(m.key, version, answer)
            return self.codec.decode(self.codec.responses[m.key].name, version, answer)[0]
        except (WireError, IndexError, struct.error):
            self.drop()
            return {"hex": answer.hex()}

    def learn(self):
        for t in self.ask("Metadata", 12, {"topics": None})["topics"]:
            self.ids[t["name"]] = t["topicId"]
            self.names[t["topicId"]] = t["name"]

    def fill(self, v):
        """Puts in what is this side's own: see differential_steps.py."""
        if isinstance(v, (Batch, Golden)):
            return v.build(self.fill(v.pid))
        if isinstance(v, dict):
            if "id of" in v:
                return self.ids.get(v["id of"], STRANGE_ID)
            if "pid" in v:
                return self.pids[v["pid"]] if v["pid"] < len(self.pids) else 999999
            if "session" in v:
                return self.sessions.get(v["session"], 12345)
            if "member" in v:
                return self.member_ids.get(v["member"], ["nobody"])[-1]
            if "label" in v:
                return next((i for i, label in self.labels.items() if label == v["label"]), "nobody")
            return {k: self.fill(x) for k, x in v.items()}
        return [self.fill(x) for x in v] if isinstance(v, list) else v

    # ---- masks

    def is_now(self, t):
        return abs(t - time.time() * 1000) < 60000

    def mask(self, v, key=None, api=None):
        if isinstance(v, dict):
            if "configName" in v or ("configSource" in v and "name" in v):
                v = self.mask_config(v)
            return {k: self.mask(x, k, api) for k, x in v.items()}
        if isinstance(v, list):
            rows = [self.mask(x, key, api) for x in v]
            if rows and isinstance(rows[0], dict):
                rows.sort(key=lambda x: json.dumps([x.get(k) for k in ROW_KEYS], default=repr))
            return rows
        if isinstance(v, bytes):
            return read(v, self.pids, self.is_now) if key == "records" else v.hex()
        return self.mask_text(v, key) if isinstance(v, str) else self.mask_number(v, key, api)

    def mask_text(self, v, key):
        if key in TEXTS:
            return "(text)"
        if key == "clusterId":
            return "(cluster)"
        if key in ("logDir", "host"):
            return "(place)"
        if v in self.names:
            return "(id of %s)" % self.names[v]
        if v in self.labels:
            return self.labels[v]
        if MEMBER_ID.fullmatch(v):
            return "(member)"  # one that has joined, and whose answer was not collected yet
        return "(id)" if key in IDS and v not in (ZERO, STRANGE_ID) else v

    def mask_number(self, v, key, api):
        if isinstance(v, bool) or not isinstance(v, int):
            return v
        if key == "port":
            return "(port)"
        if key == "sessionId" and v != 0:
            return next(("(session %d)" % n for n, x in self.sessions.items() if x == v), "(session)")
        if key == "producerId" and v in self.pids:
            return "(pid %d)" % self.pids.index(v)
        if key == "producerId" and api == "InitProducerId" and v >= 0:
            return "(pid)"
        if key in ("totalBytes", "usableBytes", "finalizedFeaturesEpoch") and v > 0:
            return "(number)"
        if api == "DescribeQuorum" and key in NOT_OF_METADATA and v >= 0:
            return "(number)"
        return "(now)" if v > 10 ** 12 and self.is_now(v) and key not in ("offset", "baseOffset") else v

    def mask_config(self, v):
        if v["name"] in PLACES:
            v = dict(v, value="(place)" if v["value"] else v["value"])
            v["synonyms"] = [dict(s, value="(place)" if s["value"] else s["value"]) for s in v.get("synonyms", [])]
        return v

    def shape(self, api, answer):
        """Leaves out what is not to be compared as a whole."""
        if api == "DescribeLogDirs":
            for d in answer.get("results", []):
                for t in d["topics"]:
                    if t["name"].endswith("-z") or t["name"] in INTERNAL:
                        for p in t["partitions"]:
                            p["partitionSize"] = "(size)" if p["partitionSize"] else 0
        if api == "DescribeConfigs":
            for x in answer.get("results", []):
                if x["resourceType"] == 8:
                    x["configs"] = bool(x["configs"])  # each has loggers of its own
                    continue
                x["configs"] = [c for c in x["configs"] if c["name"] not in ONE_HAS]
        if api == "ListGroups":
            answer["groups"] = [g for g in answer.get("groups", []) if g["groupId"].startswith(self.groups)]
        if api == "ApiVersions" and self.served:
            answer["apiKeys"] = [k for k in answer["apiKeys"] if k["apiKey"] in self.served]
        return answer


def one_step(side, api, version, request, options):
    q = side.fill(request)
    if "raw" in options:
        answer = side.ask_damaged(api, version, q, *options["raw"])
    elif "collect" in options:
        api = side.waiting.get(options["collect"], ("",))[0]
        answer = side.collect(options["collect"])
        options = {"joins": options["collect"]} if api == "JoinGroup" else {}
    elif "on" in options:
        answer = side.ask_on(options["on"], api, version, q)
    elif options.get("acks 0"):
        answer = side.tell(version, q)
    else:
        answer = side.ask(api, version, q)
    if "learns" in options:
        side.pids.append(answer.get("producerId", -1) if answer.get("errorCode") == 0 else -1000 - options["learns"])
    if "joins" in options:
        side.learn_member(options["joins"], answer)
    if "opens" in options and answer.get("sessionId"):
        side.sessions[options["opens"]] = answer["sessionId"]
    if api == "CreateTopics" or api == "Metadata":
        for t in answer.get("topics") or []:
            if t.get("topicId", ZERO) != ZERO and t["name"]:
                side.names[t["topicId"]] = t["name"]
    return side.mask(side.shape(api, answer), api=api)


def await_producer_ids(side):
    """The broker has its first block of producer ids: until then it says COORDINATOR_LOAD_IN_PROGRESS."""
    until = time.monotonic() + 20
    while side.ask("InitProducerId", 4, {"transactionalId": None, "transactionTimeoutMs": 1000, "producerId": -1, "producerEpoch": -1})["errorCode"]:
        if time.monotonic() > until:
            raise SystemExit("%s:%d gives no producer id" % (side.host, side.port))
        time.sleep(0.05)


def mark(side):
    """Returns when this broker has seen everything that its controller had accepted before."""
    for _ in range(2):  # the first may become visible a moment before all of its image is applied, the second not before the first
        side.marks += 1
        value = str(10 ** 9 + side.marks)
        config = {"name": "retention.ms", "configOperation": 0, "value": value}
        side.ask("IncrementalAlterConfigs", 1, {"resources": [{"resourceType": 2, "resourceName": MARKER, "configs": [config]}]})
        until = time.monotonic() + 20
        while time.monotonic() < until:
            got = side.ask("DescribeConfigs", 4, {"resources": [{"resourceType": 2, "resourceName": MARKER, "configurationKeys": ["retention.ms"]}]})
            rows = (got.get("results") or [{}])[0].get("configs") or []
            if rows and rows[0]["value"] == value:
                break
            time.sleep(0.002)
        else:
            raise SystemExit("%s:%d does not show a change that it accepted" % (side.host, side.port))


def clean(side, seed):
    """Deletes what the seed made."""
    topics = [t["name"] for t in side.ask("Metadata", 12, {"topics": None})["topics"]
              if t["name"] not in KEEP]
    if topics:
        side.ask("DeleteTopics", 5, {"topicNames": topics, "timeoutMs": 5000})
    drop = [{"name": n, "configOperation": 1, "value": None} for n in BROKER_TOUCHED if n not in ("node.id", "min.insync.replicas")]
    drop.append({"name": "min.insync.replicas", "configOperation": 0, "value": "1"})
    for name in ("", "1"):
        for config in drop:
            side.ask("IncrementalAlterConfigs", 1, {"resources": [{"resourceType": 4, "resourceName": name, "configs": [config]}]})
    for kind, name in ((16, "m"), (32, "g")):
        side.ask("AlterConfigs", 2, {"resources": [{"resourceType": kind, "resourceName": name, "configs": []}]})
    for ids in side.member_ids.values():
        for group in side.groups_of(seed):
            side.ask("LeaveGroup", 5, {"groupId": group, "members": [{"memberId": i, "groupInstanceId": None} for i in ids]})
    side.ask("DeleteGroups", 2, {"groupsNames": side.groups_of(seed)})
    mark(side)
    side.forget()
    side.groups = ("d%d-" % seed,)


CHANGES = {"CreateTopics", "DeleteTopics", "CreatePartitions", "IncrementalAlterConfigs", "AlterConfigs", "Metadata"}


class Run:
    def __init__(self, args):
        codec = Codec()
        self.args = args
        self.sides = Side(args.millrace, codec), Side(args.kafka, codec)
        self.pool = concurrent.futures.ThreadPoolExecutor(2)
        self.passed, self.failed = 0, 0
        self.expected, self.asked = collections.Counter(), collections.Counter()
        self.wrong = collections.Counter()

    def both(self, f, *args):
        return list(self.pool.map(lambda s: f(s, *args), self.sides))

    def settle(self):
        self.both(mark)
        self.both(Side.learn)

    def prepare(self):
        for name in KEEP:
            topic = {"name": name, "numPartitions": 1, "replicationFactor": 1, "assignments": [], "configs": []}
            self.both(Side.ask, "CreateTopics", 7, {"topics": [topic], "timeoutMs": 5000})
        served = {k["apiKey"] for k in self.sides[0].ask("ApiVersions", 4, {"clientSoftwareName": "t", "clientSoftwareVersion": "1"})["apiKeys"]}
        for s in self.sides:
            s.served = served
        self.both(await_producer_ids)
        self.settle()

    def seed(self, seed):
        self.both(clean, seed)
        steps = Steps(seed, int(time.time() * 1000))
        for n in range(self.args.steps):
            api, version, request, options = steps.next()
            if self.args.api and api not in self.args.api and api not in CHANGES | {"collect"}:
                continue
            ours, theirs = self.both(one_step, api, version, request, options)
            self.asked[api] += 1
            self.judge(seed, n, api, version, request, options, ours, theirs)
            steps.heed(options, theirs)
            if api in CHANGES:
                self.settle()
        self.both(clean, seed)

    def judge(self, seed, n, api, version, request, options, ours, theirs):
        if ours == theirs:
            self.passed += 1
            return
        for name, holds, reason in EXPECTED:
            if name in (ANY, api) and holds(request, ours, theirs):
                self.passed += 1
                self.expected[reason] += 1
                return
        self.failed += 1
        self.wrong[api] += 1
        if not self.args.quiet:
            lines = differences(ours, theirs)
            print("\n".join(lines[:12] + ["* and %d more" % (len(lines) - 12)] * (len(lines) > 12)))
            print("seed %d step %d: %s version %d %s\n  request %s" % (seed, n, api, version, options or "", text(request, self.args.width)), flush=True)
            if self.args.whole:
                print("  ours    %s\n  kafka's %s" % (text(ours, self.args.width), text(theirs, self.args.width)), flush=True)


def text(v, width):
    return json.dumps(v, default=repr)[:width]


def by_label(rows):
    """Rows under what they are about, so that one that is missing does not shift the others."""
    out = {}
    for i, row in enumerate(rows):
        label = next((row[k] for k in ROW_KEYS if isinstance(row, dict) and k in row), i)
        out["%s%s" % (label, "" if str(label) not in out else "#%d" % i)] = row
    return out


def differences(ours, theirs, path=""):
    """The places where two answers differ, a line each."""
    out = []
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for k in list(ours) + [k for k in theirs if k not in ours]:
            if ours.get(k) != theirs.get(k) or (k in ours) != (k in theirs):
                out += differences(ours.get(k), theirs.get(k), path + "." + k)
    elif isinstance(ours, list) and isinstance(theirs, list):
        out += differences(by_label(ours), by_label(theirs), path)
    else:
        out.append("* %s: ours %s, kafka's %s" % (path, text(ours, 200), text(theirs, 200)))
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--millrace", required=True)
    ap.add_argument("--kafka", required=True)
    ap.add_argument("--seeds", default="1-20")
    ap.add_argument("--steps", type=int, default=60)
    ap.add_argument("--api", type=lambda s: set(s.split(",")), help="compare only these (and do what changes metadata)")
    ap.add_argument("--quiet", action="store_true")
    ap.add_argument("--whole", action="store_true", help="print both answers, not only where they differ")
    ap.add_argument("--width", type=int, default=900)
    run = Run(ap.parse_args())
    run.prepare()
    low, _, high = run.args.seeds.partition("-")
    for seed in range(int(low), int(high or low) + 1):
        run.seed(seed)
    print("requests: " + ", ".join("%s %d" % x for x in sorted(run.asked.items())))
    for reason, n in run.expected.items():
        print("expected difference, %d times: %s" % (n, reason))
    if run.wrong:
        print("different: " + ", ".join("%s %d" % x for x in run.wrong.most_common()))
    print("%d passed, %d failed" % (run.passed, run.failed))
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
