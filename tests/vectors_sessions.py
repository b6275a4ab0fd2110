#!/usr/bin/env python3
"""Plays recorded exchanges with a real broker (sessions, .jsonl) against a node and compares every answer.

    vectors_sessions.py --build BUILD FILE...                  against a fresh node of this build
    vectors_sessions.py --server localhost:9092,localhost:9093 FILE...
                                                               against a fresh node that runs already (broker, controller)

A session depends on what was done before it: those that come earlier in the order below and lie in the same folder as a
given file are played first, without being counted. Values that change from run to run (`volatile`: topic ids, member ids,
producer ids, session ids ...) are learned from the answers and put into later requests in place of the recorded ones, also
into the headers of record batches. Times near that of the recording are moved to the present, since brokers compare them with
their clock. Texts that were redacted need only be there. A read whose answer is not yet the
recorded one is asked again for a while, because a change may take time to be seen. Ports are those of this run.

What a later version brings is neither passed nor failed: it is "not yet", and named with its reason behind each session. That
is an exchange of an API that the node does not advertise (it must close the connection then), a question about a coordinator
of transactions or share groups (which must be answered with COORDINATOR_NOT_AVAILABLE), a transaction's Produce, and what
differs because such a Produce or a request that was not served wrote nothing: records, offsets, a group of another kind. Of the
lists in ApiVersions the rows of what the node serves are compared. The last line is `N passed, N failed`, counted in steps.
"""
import argparse
import base64
import json
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

import kafkawire
from kafkawire import ZERO_UUID, Codec, Connection, WireError

ORDER = ["api-versions", "frames", "create-topics", "create-partitions", "delete-topics", "metadata", "produce", "fetch",
         "list-offsets", "leader-epoch", "delete-records", "find-coordinator", "join-group", "offset-", "describe-configs",
         "alter-configs", "transactions", "consumer-group-heartbeat", "streams-", "share-", "misc", "controller"]
RECORDED_PORTS = (19092, 19093)
READS = {"Metadata", "DescribeCluster", "DescribeConfigs", "DescribeTopicPartitions", "ListOffsets", "FindCoordinator",
         "DescribeProducers", "DescribeLogDirs", "DescribeQuorum", "OffsetForLeaderEpoch", "DescribeGroups", "ListGroups",
         "OffsetFetch", "ListTransactions", "DescribeTransactions", "ConsumerGroupDescribe", "ApiVersions",
         "DescribeClientQuotas", "DescribeAcls", "ListPartitionReassignments", "DescribeUserScramCredentials",
         "ListConfigResources", "DescribeShareGroupOffsets", "ShareGroupDescribe", "StreamsGroupDescribe"}
# True for a moment only: a coordinator that loads or is not there yet, a transaction that is being completed.
TRANSIENT = {14, 15, 51}
# What a row of an answer is about. Rows come out of hash maps in many answers: their order says nothing.
ROW_KEYS = ("name", "topic", "topicName", "resourceType", "resourceName", "index", "partitionIndex", "partition", "groupId",
            "transactionalId", "brokerId", "nodeId", "replicaId", "apiKey", "entityType", "entityName")
PATIENCE = 5.0      # seconds that a read is asked again
DAY_MS, CLOCK_MS = 86_400_000, 600_000  # times this near the recording are moved; this exact must a clock's be
# Fields that tell the broker's clock: from them the time of the recording is taken.
CLOCKS = {"logAppendTimeMs", "transactionStartTimeMs", "lastFetchTimestamp", "lastCaughtUpTimestamp", "lastTimestamp",
          "issueTimestampMs"}
# Not marked in the recordings, but different from run to run: the metadata log grows with time, and Kafka's controller
# resigns, and so begins a new epoch, on some of the requests before (a fresh one is in epoch 1).
ALSO_VOLATILE = {"DescribeQuorum": ["topics[].partitions[].highWatermark", "topics[].partitions[].leaderEpoch",
                                    "topics[].partitions[].currentVoters[].logEndOffset"]}
NO_COORDINATOR, NOT_ENOUGH_REPLICAS = 15, 19
# Made for a coordinator when it is first looked for, and the API that only a node with such a coordinator serves.
COORDINATOR_TOPICS = {"__transaction_state": "EndTxn", "__share_group_state": "WriteShareGroupState"}
MAKE_GROUPS = {"ConsumerGroupHeartbeat", "ShareGroupHeartbeat", "StreamsGroupHeartbeat"}

SETTINGS = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://localhost:{broker},CONTROLLER://localhost:{controller}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@localhost:{controller}
log.dirs={data}
num.partitions=4
offsets.topic.num.partitions=2
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""
# Millrace's own: Kafka looks at every record, and the recorder's node logged from WARN on. Not compared.
OWN_SETTINGS = {"produce.validation": "deep", "log.level": "warn"}



def rank(path):
    name = path.name.removesuffix(".jsonl")
    for i in range(len(ORDER)):
        if name.startswith("api-versions-controller"):
            return (len(ORDER), name)
        if name.startswith(ORDER[i]):
            return (i, name)
    return (len(ORDER) + 1, name)


# ---- The node


def free_ports(n):
    socks = [socket.socket() for _ in range(n)]
    for s in socks:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in socks]
    for s in socks:
        s.close()
    return ports


class Node:
    """A fresh node of this build, in a folder of its own."""

    def __init__(self, build):
        self.folder = tempfile.TemporaryDirectory(prefix="millrace-sessions-")
        self.ports = free_ports(2)
        folder = pathlib.Path(self.folder.name)
        config = folder / "server.properties"
        config.write_text(SETTINGS.format(broker=self.ports[0], controller=self.ports[1], data=folder / "data") +
                          "".join(f"{k}={v}\n" for k, v in OWN_SETTINGS.items()))
        binary = str(pathlib.Path(build).resolve() / "millrace")
        subprocess.run([binary, "storage", "format", "-t", "DUO7j3nMRSCdq1RXXLLHig", "-c", str(config)], check=True,
                       stdout=subprocess.DEVNULL)
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen([binary, "server", str(config)], stdout=self.log, stderr=self.log)

    def stop(self, show):
        self.process.terminate()
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.log.close()
        if status or show:
            text = (pathlib.Path(self.folder.name) / "log").read_text(errors="replace")
            print(f"the node ended with status {status}; the end of its log:\n" + "\n".join(text.splitlines()[-20:]))
        self.folder.cleanup()
        return status


def wait_until_ready(codec, port, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process and process.poll() is not None:
            sys.exit(f"vectors_sessions.py: the node ended with status {process.returncode} while starting")
        try:
            conn = Connection("localhost", port, codec, timeout=5)
            if conn.ask("Metadata", 12, {"topics": []}, timeout=5)["brokers"]:
                conn.close()
                return
            conn.close()
        except (OSError, WireError):
            pass
        time.sleep(0.02)
    sys.exit("vectors_sessions.py: the node did not become ready within 60 s")


# ---- What is compared


def parse_path(path):
    return [p for part in path.split(".") for p in ([part[:-2], "[]"] if part.endswith("[]") else [part])]


def without_marker_times(raw):
    """Record batches without what the broker's clock puts into the markers of transactions."""
    out, at = bytearray(raw), 0
    while at + 61 <= len(out):
        if struct.unpack_from(">h", out, at + 21)[0] & 0x20:
            out[at + 17:at + 21] = bytes(4)
            out[at + 27:at + 43] = bytes(16)
        at += 12 + max(49, struct.unpack_from(">i", out, at + 8)[0])
    return bytes(out)


def clock_values(value, name=""):
    if isinstance(value, dict):
        for k, v in value.items():
            yield from clock_values(v, k)
    elif isinstance(value, list):
        for v in value:
            yield from clock_values(v, name)
    elif name in CLOCKS and isinstance(value, int) and value > 0:
        yield value


def recording_time(files):
    """When the recording was made, in ms; None if nothing tells it."""
    found = [t for f in files for line in f.read_text().splitlines() for t in clock_values(json.loads(line))]
    return min(found, default=None)


class Player:
    def __init__(self, codec, ports, recorded_ms):
        self.codec, self.ports = codec, ports
        self.learned = {}  # recorded value -> ours, for texts and uuids; ("producerId", n) and ("sessionId", n) for numbers
        self.recorded_ms = recorded_ms
        self.later_ms = int(time.time() * 1000) - (recorded_ms or 0)
        self.problems, self.answer = [], {}
        self.served = set()     # API keys that the listener at hand advertises
        self.unwritten = set()  # topics and groups that lack what a transaction wrote
        self.unmade = set()     # groups of another kind

    # Values of the recording in this run.

    def our_text(self, text):
        text = self.learned.get(text, text)
        for recorded, ours in zip(RECORDED_PORTS, self.ports):
            text = re.sub(rf"\b{recorded}\b", str(ours), text)
        return text

    def is_time(self, value):
        return self.recorded_ms is not None and abs(value - self.recorded_ms) < DAY_MS

    def our_number(self, name, value):
        if name == "port" and value in RECORDED_PORTS:
            return self.ports[RECORDED_PORTS.index(value)]
        if name.lower().endswith("producerid"):
            return self.learned.get(("producerId", value), value)
        if name == "sessionId":
            return self.learned.get(("sessionId", value), value)
        return value + self.later_ms if self.is_time(value) else value

    def our_records(self, raw):
        """Batches with the producer ids and the times of this run."""
        out, at = bytearray(raw), 0
        while at + 61 <= len(out):
            length = struct.unpack_from(">i", out, at + 8)[0]
            if length < 49 or at + 12 + length > len(out) or out[at + 16] != 2:
                break
            fields = ((27, "timestamp"), (35, "timestamp"), (43, "producerId"))
            recorded = [struct.unpack_from(">q", out, at + where)[0] for where, _ in fields]
            ours = [self.our_number(name, v) for (_, name), v in zip(fields, recorded)]
            if ours != recorded:
                right = kafkawire.crc32c(out[at + 21:at + 12 + length]) == struct.unpack_from(">I", out, at + 17)[0]
                for (where, _), v in zip(fields, ours):
                    struct.pack_into(">q", out, at + where, v)
                if right:
                    struct.pack_into(">I", out, at + 17, kafkawire.crc32c(out[at + 21:at + 12 + length]))
            at += 12 + length
        return bytes(out)

    def ours(self, name, value):
        if isinstance(value, dict):
            return {k: self.ours(k, v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.ours(name, v) for v in value]
        if isinstance(value, (bool, float)) or value is None:
            return value
        if isinstance(value, str):
            return self.our_text(value)
        if isinstance(value, bytes):
            return self.our_records(value) if name == "records" else value
        return self.our_number(name, value)

    def learn(self, name, recorded, ours):
        if isinstance(recorded, dict) and isinstance(ours, dict):
            for k in recorded:
                self.learn(k, recorded[k], ours.get(k))
        elif isinstance(recorded, list) and isinstance(ours, list):
            for a, b in zip(recorded, ours):
                self.learn(name, a, b)
        elif isinstance(recorded, str) and isinstance(ours, str) and recorded:
            self.learned[recorded] = ours
        elif name.lower().endswith("producerid") and isinstance(ours, int) and recorded >= 0 and ours >= 0:
            self.learned[("producerId", recorded)] = ours
        elif name == "sessionId" and isinstance(ours, int):
            self.learned[(name, recorded)] = ours

    # Comparison of an answer with the recorded one.

    def differ(self, path, why):
        self.problems.append(f"{path}: {why}")

    def compare(self, path, name, recorded, ours, volatile):
        if [] in volatile:
            self.compare_volatile(path, name, recorded, ours)
        elif isinstance(recorded, dict) and isinstance(ours, dict):
            for k in recorded.keys() | (ours.keys() - {"_tags"}):
                if k not in ours or k not in recorded:
                    here = "here" if k in ours else "in the recording"
                    self.differ(f"{path}.{k}", f"is only there {here}: {(ours if k in ours else recorded)[k]!r}")
                else:
                    inner = [v[1:] for v in volatile if v and v[0] == k]
                    self.compare(f"{path}.{k}", k, recorded[k], ours[k], inner)
        elif isinstance(recorded, list) and isinstance(ours, list):
            if len(recorded) != len(ours):
                self.differ(path, f"{len(ours)} rows instead of {len(recorded)}")
            inner = [v[1:] for v in volatile if v and v[0] == "[]"]
            for i, (a, b) in enumerate(zip(self.sorted(recorded), self.sorted(ours))):
                self.compare(f"{path}[{i}]", name, a, b, inner)
        elif isinstance(ours, bytes) and isinstance(recorded, str):
            if without_marker_times(self.our_records(base64.b64decode(recorded))) != without_marker_times(ours):
                self.differ(path, f"other bytes: {base64.b64encode(ours).decode()[:400]} instead of {recorded[:400]}")
        elif recorded in ("(text)", "(path)"):
            if not isinstance(ours, str) or not ours:
                self.differ(path, f"{ours!r} instead of a text")
        elif isinstance(recorded, str) and ("(path)" in recorded or "(text)" in recorded):
            pattern = re.escape(self.our_text(recorded)).replace(r"\(path\)", ".*").replace(r"\(text\)", ".*")
            if not isinstance(ours, str) or not re.fullmatch(pattern, ours, re.S):
                self.differ(path, f"{ours!r} instead of {recorded!r}")
        else:
            wanted = self.ours(name, recorded)
            if isinstance(wanted, int) and isinstance(ours, int) and self.is_time(recorded):
                wanted = ours if abs(ours - wanted) < CLOCK_MS else wanted
            if ours != wanted or isinstance(ours, bool) != isinstance(wanted, bool):
                self.differ(path, f"{ours!r} instead of {wanted!r}")

    def compare_volatile(self, path, name, recorded, ours):
        """Any value will do, but a uuid or a session that is none must be none."""
        if type(recorded) is not type(ours):
            self.differ(path, f"{ours!r}, where {recorded!r} was recorded")
        elif isinstance(recorded, str) and (recorded in ("", ZERO_UUID)) != (ours in ("", ZERO_UUID)):
            self.differ(path, f"{ours!r}, where {recorded!r} was recorded")
        elif name == "sessionId" and (recorded == 0) != (ours == 0):
            self.differ(path, f"{ours!r}, where {recorded!r} was recorded")

    @staticmethod
    def sorted(rows):
        def key(row):
            return [str(row[k]) for k in ROW_KEYS if k in row]
        return sorted(rows, key=key) if all(isinstance(r, dict) for r in rows) else rows

    def learn_from(self, recorded, ours, volatile):
        for path in volatile:
            self.learn_path(path, "", recorded, ours)

    def learn_path(self, path, name, recorded, ours):
        if not path:
            self.learn(name, recorded, ours)
        elif path[0] == "[]" and isinstance(recorded, list) and isinstance(ours, list):
            for a, b in zip(self.sorted(recorded), self.sorted(ours)):
                self.learn_path(path[1:], name, a, b)
        elif isinstance(recorded, dict) and isinstance(ours, dict) and path[0] in recorded and path[0] in ours:
            self.learn_path(path[1:], path[0], recorded[path[0]], ours[path[0]])

    # One step.

    def sent_bytes(self, step):
        raw = bytes.fromhex(step["sent"])
        if "request" not in step or frames_in(raw) != 1:
            return raw
        m = self.codec.api(step["api"])
        head, body = self.codec.split_request(raw[4:])
        try:
            value, rest = self.codec.decode(m.name, step["version"], body)
        except WireError:
            return raw
        if rest or self.codec.encode(m.name, step["version"], value) != body:
            return raw  # not in the form that we would write: send it as it was
        frame = head + self.codec.encode(m.name, step["version"], self.ours("", value))
        return struct.pack(">i", len(frame)) + frame

    def check_answer(self, step, frame):
        self.problems, self.answer = [], {}
        if "response" not in step:
            return
        key = self.codec.api(step["api"]).key
        version = step.get("responseVersion", step["version"])
        head, body = self.codec.split_response(key, version, frame)
        if struct.unpack(">i", head[:4])[0] != step["correlationId"]:
            self.differ("correlationId", f"{struct.unpack('>i', head[:4])[0]} instead of {step['correlationId']}")
        try:
            ours, rest = self.codec.decode(self.codec.responses[key].name, version, body)
        except WireError as e:
            self.differ("answer", f"cannot be decoded: {e}")
            return
        if rest:
            self.differ("answer", f"{len(rest)} bytes too many")
        self.answer = self.without_own(step, ours)
        if error_codes(step["response"]) & TRANSIENT and error_codes(ours) == {0}:
            return  # the recorded moment has passed already
        volatile = [parse_path(v) for v in step.get("volatile", []) + ALSO_VOLATILE.get(step["api"], [])]
        recorded = self.what_is_served(step)
        self.learn_from(recorded, ours, volatile)
        self.compare("", "", recorded, ours, volatile)

    @staticmethod
    def without_own(step, ours):
        if step["api"] == "DescribeConfigs":
            for result in ours["results"]:
                result["configs"] = [c for c in result["configs"] or [] if c["name"] not in OWN_SETTINGS]
        return ours

    # What is not served yet.

    def what_is_served(self, step):
        """The recorded answer; of an ApiVersions, the rows of what this node serves; no topics of coordinators that it lacks."""
        recorded = step["response"]
        if step["api"] == "ListConfigResources":
            lacks = {topic for topic, api in COORDINATOR_TOPICS.items() if self.codec.api(api).key not in self.served}
            return {**recorded, "configResources": [r for r in recorded["configResources"] if r["resourceName"] not in lacks]}
        if step["api"] != "ApiVersions" or "apiKeys" not in recorded or recorded.get("errorCode"):
            return recorded
        return {**recorded, "apiKeys": [k for k in recorded["apiKeys"] if k["apiKey"] in self.served]}

    def not_yet(self, step, outcome):
        """Why a step that went otherwise than recorded is not a difference, in a few words; None if it is one."""
        if "request" not in step:
            return None
        api, request, codes = step["api"], step["request"], error_codes(self.answer)
        if self.codec.api(api).key not in self.served:
            if api in MAKE_GROUPS:
                self.unmade.add(request["groupId"])
            if api == "TxnOffsetCommit":
                self.unwritten.add(request["groupId"])
            return f"{api} is not served" if outcome == "closed" else None
        if api == "FindCoordinator":
            return "there is no such coordinator" if request.get("keyType", 0) and codes == {NO_COORDINATOR} else None
        if api == "InitProducerId" and request["transactionalId"]:
            return "there is no transaction coordinator" if codes == {NO_COORDINATOR} else None
        if api == "Produce" and request["transactionalId"]:
            if codes != {NOT_ENOUGH_REPLICAS}:
                return None
            self.unwritten |= {t["name"] for t in request["topicData"]}
            return "there are no transactions"
        if api in READS | {"Fetch"} and self.unwritten & set(texts_in(request)):
            return "what a transaction wrote is missing"
        if self.unmade & set(texts_in({k: request[k] for k in ("groupId", "groups") if k in request})):
            return "the group is of a kind that is not served"
        return None


def frames_in(raw):
    """How many whole frames these bytes are; 0 if they are none."""
    n = at = 0
    while at + 4 <= len(raw):
        length = struct.unpack_from(">i", raw, at)[0]
        if length <= 0 or at + 4 + length > len(raw):
            return 0
        at += 4 + length
        n += 1
    return n if at == len(raw) else 0


def wants_no_answer(step):
    return step.get("api") == "Produce" and step.get("request", {}).get("acks") == 0


class Session:
    """The connection of one session file: a new one after each that was closed or fell silent."""

    def __init__(self, player, port):
        self.player, self.port, self.conn = player, port, None
        self.outcome = None  # of the last exchange

    def connection(self):
        if self.conn is None:
            self.conn = Connection("localhost", self.port, self.player.codec)
        return self.conn

    def drop(self):
        if self.conn:
            self.conn.close()
        self.conn = None

    def exchange(self, step):
        """What happened: "answered", "closed" or "silent", and the frame."""
        conn = self.connection()
        try:
            sent = self.player.sent_bytes(step)
            conn.send_raw(sent)
            # A silence cannot be waited for to its end: half a second without a byte is taken for one.
            frame = conn.receive(0.5 if step["outcome"] == "silent" else 30)
        except TimeoutError:
            if not wants_no_answer(step):
                self.drop()
            return "silent", None
        except ConnectionError:
            frame = None
        if frame is None:
            self.drop()
            return "closed", None
        for _ in range(frames_in(sent) - 1):  # several requests at once: the recording has the first answer
            conn.receive()
        return "answered", frame

    def play(self, step):
        """Sentences about what differs; none if nothing does."""
        later = re.search(r"\b(\d+(?:\.\d+)?) s later\b", step.get("note", ""))
        if later:  # the recorder waited here, and the answer depends on it
            time.sleep(float(later[1]))
        deadline = time.monotonic() + PATIENCE
        while True:
            self.player.answer = {}
            outcome, frame = self.exchange(step)
            self.outcome = outcome
            if outcome != step["outcome"]:
                return [f"{outcome}, where the recording has {step['outcome']}"]
            if frame is None:
                return []
            self.player.check_answer(step, frame)
            problems = self.player.problems
            again = self.may_repeat(step)
            if not problems or not again or time.monotonic() > deadline:
                return problems
            time.sleep(0.05)

    def may_repeat(self, step):
        """Does asking again do no harm, or is the answer one that every client would answer by asking again?"""
        transient = error_codes(self.player.answer) & TRANSIENT - error_codes(step.get("response", {}))
        plain_fetch = step.get("api") == "Fetch" and step.get("request", {}).get("sessionEpoch", -1) == -1
        return step.get("api") in READS or plain_fetch or bool(transient)

    def settle(self, step):
        """A transaction that was ended is completed behind its answer: waits for that, as the recorder did."""
        if step.get("api") != "EndTxn" or self.player.answer.get("errorCode") != 0:
            return
        if self.player.codec.api("DescribeTransactions").key not in self.player.served:
            return
        name = step["request"]["transactionalId"]
        deadline = time.monotonic() + PATIENCE
        conn = Connection("localhost", self.port, self.player.codec)
        while time.monotonic() < deadline:
            answer = conn.ask("DescribeTransactions", 0, {"transactionalIds": [name]})
            if not answer["transactionStates"][0]["transactionState"].startswith("Prepare"):
                break
            time.sleep(0.02)
        conn.close()


def texts_in(value):
    if isinstance(value, (dict, list)):
        for v in value.values() if isinstance(value, dict) else value:
            yield from texts_in(v)
    elif isinstance(value, str):
        yield value


def served_by(codec, port):
    conn = Connection("localhost", port, codec)
    keys = {k["apiKey"] for k in conn.ask("ApiVersions", 0, {})["apiKeys"]}
    conn.close()
    return keys


def error_codes(value, name=""):
    if isinstance(value, dict):
        return set().union(*(error_codes(v, k) for k, v in value.items()))
    if isinstance(value, list):
        return set().union(*(error_codes(v, name) for v in value))
    return {value} if name.endswith("rrorCode") else set()


def describe(step):
    return f"{step.get('api', 'raw frame')} {step.get('version', '')}".strip()


class Score:
    """What became of the steps of the files that were given."""

    def __init__(self):
        self.passed, self.failed = 0, 0

    def add(self, path, passed, failed, later):
        self.passed += passed
        self.failed += failed
        n = sum(len(steps) for steps in later.values())
        print(f"{path.name}: {passed} of {passed + failed}" + (f", {n} not yet" if n else ""))
        for reason, steps in later.items():
            print(f"    not yet: {reason} (step {', '.join(str(s) for s in steps)})")


def play_file(player, path, score, limit):
    port = player.ports[1 if "controller" in path.name else 0]
    session = Session(player, port)
    player.served = served_by(player.codec, port)
    passed = failed = 0
    later = {}
    for line in path.read_text().splitlines():
        step = json.loads(line)
        try:
            problems = session.play(step)
            session.settle(step)
        except (OSError, WireError) as e:
            problems = [f"the node cannot be reached: {e}"]
        reason = player.not_yet(step, session.outcome) if problems else None
        if reason:
            later.setdefault(reason, []).append(step["step"])
            continue
        if problems and score:
            print(f"{path}: step {step['step']}: {describe(step)}: {step.get('note', '')}")
            for p in problems[:limit]:
                print(f"    {p}")
        passed += not problems
        failed += bool(problems)
    session.drop()
    if score:
        score.add(path, passed, failed, later)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--build", help="a folder with the binary millrace: a fresh node is started")
    where.add_argument("--server", help="BROKER:PORT,CONTROLLER:PORT of a fresh node on this machine")
    parser.add_argument("--alone", action="store_true", help="do not play earlier sessions of the folder first")
    parser.add_argument("--limit", type=int, default=5, help="differences shown per step")
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    given = {f.resolve() for f in args.files}
    files = set(given)
    if not args.alone:
        last = max(rank(f) for f in given)
        files |= {f for g in given for f in g.parent.glob("*.jsonl") if rank(f) < last}
    codec = Codec()
    node = Node(args.build) if args.build else None
    ports = node.ports if node else [int(s.rpartition(":")[2]) for s in args.server.split(",")]
    score = Score()
    try:
        wait_until_ready(codec, ports[0], node and node.process)
        player = Player(codec, ports, recording_time(files))
        for f in sorted(files, key=rank):
            play_file(player, f, score if f in given else None, args.limit)
    finally:
        status = node.stop(score.failed > 0) if node else 0
    print(f"{score.passed} passed, {score.failed} failed")
    sys.exit(score.failed != 0 or status != 0)


if __name__ == "__main__":
    main()
