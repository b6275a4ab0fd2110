"""The group requests of the differential tester.

Members are logical: {"member": n} stands for the newest id that this broker gave member n, {"label": text} for the id behind a masked one.
A member has a connection of its own, since JoinGroup and SyncGroup may wait for other members: the step option `on` sends there, and an
answer that does not come within a moment is {"waiting": True}; a later step with `collect` asks for it. What is drawn next follows Kafka's
answers (heed), so that rebalances come to an end. Groups have two members at most: with more, Kafka's choice of a leader depends on the hash of
random ids.

Groups of a seed are dN-g0 to dN-g2, dN-s (offsets only), and the empty id. Sessions and rebalances take a minute, so that none ends while
a seed runs.
"""

GROUP_APIS = ("FindCoordinator", "JoinGroup", "SyncGroup", "Heartbeat", "LeaveGroup", "OffsetCommit", "OffsetFetch", "OffsetDelete", "DescribeGroups",
              "ListGroups", "DeleteGroups")
MINUTE = 60000
LIVE_MAX = 2
SUBSCRIBED = b"\0\1\0\0\0\1\0\3d-x\0\0\0\0\0\0\0\0"  # ConsumerProtocolSubscription 1: topic d-x
PROTOCOLS = [[("range", SUBSCRIBED)], [("range", SUBSCRIBED), ("roundrobin", SUBSCRIBED)], [("roundrobin", SUBSCRIBED), ("range", b"")]]
METADATA = ["", "", "m", None, "x" * 4096, "x" * 4097, "\u00e9" * 4096, "\U0001f600" * 2048, "\U0001f600" * 2049]
MAX64 = (1 << 63) - 1


class Member:
    def __init__(self, n, group, version, instance):
        self.n, self.group, self.version, self.instance = n, group, version, instance
        self.known = self.waiting = self.leads = self.gone = False
        self.generation, self.protocol, self.all = -1, "range", []


class GroupSteps:
    """Mixed into Steps, which has the random source."""

    def start_groups(self):
        self.groups = ["d%d-g%d" % (self.seed, i) for i in range(3)]
        self.simple = "d%d-s" % self.seed
        self.members, self.queue = [], []

    def group(self):
        return self.pick(*self.groups, *self.groups, self.simple, "", "d-nobody")

    def of(self, group):
        return [m for m in self.members if m.group == group and not m.gone]

    def some_member(self, group=None):
        """One that is there; None if there is none."""
        there = [m for m in self.members if not m.gone and m.known and group in (None, m.group)]
        return self.r.choice(there) if there else None

    # ---- membership

    def join(self, m=None):
        if m is None:
            group = self.pick(*self.groups)
            free = [x for x in self.of(group) if not x.waiting]
            if free and (len(self.of(group)) >= LIVE_MAX or self.chance(0.5)):
                m = self.r.choice(free)
            elif len(self.of(group)) >= LIVE_MAX:
                return self.collect(self.r.choice(self.of(group)))
            else:
                version = self.r.randint(0, 9)
                instance = self.pick(None, None, "i1", "i2") if version >= 5 else None
                m = Member(len(self.members), group, version, instance)
                self.members.append(m)
        version = m.version
        q = {"groupId": m.group, "sessionTimeoutMs": MINUTE, "memberId": {"member": m.n} if m.known else "", "protocolType": "consumer",
             "protocols": [{"name": n, "metadata": d} for n, d in self.r.choice(PROTOCOLS)]}
        if version >= 1:
            q["rebalanceTimeoutMs"] = MINUTE
        if version >= 5:
            q["groupInstanceId"] = m.instance
        if version >= 8:
            q["reason"] = self.pick(None, "because", "")
        if self.chance(0.2):
            q.update(self.pick({"memberId": "ghost"}, {"protocolType": "connect"}, {"protocolType": ""}, {"protocols": []}, {"sessionTimeoutMs": 10},
                               {"protocols": [{"name": "other", "metadata": b"x"}]}, {"sessionTimeoutMs": 99999999}, {"groupId": ""},
                               {"groupId": "", "sessionTimeoutMs": 1, "memberId": "m"}))
        return "JoinGroup", version, q, {"on": m.n, "joins": m.n}

    def sync(self, m=None):
        m = m or self.some_member()
        if m is None or m.waiting:
            return self.join()
        version = min(5, m.version)
        rows = [{"memberId": {"label": label}, "assignment": b"to %d" % i} for i, label in enumerate(m.all)] if m.leads else []
        q = {"groupId": m.group, "generationId": m.generation, "memberId": {"member": m.n}, "assignments": rows}
        if version >= 3:
            q["groupInstanceId"] = m.instance
        if version >= 5:
            q.update({"protocolType": "consumer", "protocolName": m.protocol})
        if self.chance(0.2):
            q.update(self.pick({"generationId": m.generation + 1}, {"generationId": -1}, {"memberId": "ghost"}, {"groupId": ""}, {"groupId": "d-nobody"},
                               {"assignments": rows[:1]}, {"assignments": [{"memberId": "ghost", "assignment": b"x"}]}))
        if version >= 5 and self.chance(0.15):
            q.update(self.pick({"protocolType": None}, {"protocolName": None}, {"protocolName": "other"}, {"protocolType": "connect"}))
        return "SyncGroup", version, q, {"on": m.n}

    def collect(self, m):
        return "collect", 0, {"member": m.n}, {"collect": m.n}

    def identity(self, m, group_id, version, since):
        q = {"groupId": group_id, "generationId": m.generation if m else self.pick(0, 1, -1), "memberId": {"member": m.n} if m else self.pick("", "ghost")}
        if version >= since:
            q["groupInstanceId"] = m.instance if m else self.pick(None, None, "i1")
        if self.chance(0.25):
            q.update(self.pick({"generationId": q["generationId"] + 1}, {"generationId": -1}, {"generationId": 0}, {"memberId": "ghost"}, {"memberId": ""}))
        if version >= since and self.chance(0.15):
            q["groupInstanceId"] = self.pick("i1", "i2", "i9", None)
        return q

    def heartbeat(self):
        version = self.r.randint(0, 4)
        m = self.some_member()
        return "Heartbeat", version, self.identity(m, m.group if m and self.chance(0.9) else self.group(), version, 3)

    def leave(self):
        version = self.r.randint(0, 5)
        m = self.some_member()
        q = {"groupId": m.group if m and self.chance(0.9) else self.group()}
        if version < 3:
            q["memberId"] = {"member": m.n} if m and self.chance(0.8) else self.pick("", "ghost")
            if m and isinstance(q["memberId"], dict) and q["groupId"] == m.group:
                m.gone = True
            return "LeaveGroup", version, q

        def row():
            who = self.pick({"memberId": "ghost", "groupInstanceId": None}, {"memberId": "", "groupInstanceId": "i1"}, {"memberId": "ghost", "groupInstanceId": "i2"},
                            {"memberId": "", "groupInstanceId": None}) if m is None or self.chance(0.3) else \
                {"memberId": {"member": m.n}, "groupInstanceId": m.instance}
            return dict(who, reason=self.pick(None, "bye", "")) if version >= 5 else who
        q["members"] = self.some(row) if self.chance(0.95) else []
        for x in self.of(q["groupId"]):
            if {"member": x.n} in [w["memberId"] for w in q["members"]] or x.instance and x.instance in [w["groupInstanceId"] for w in q["members"]]:
                x.gone = True
        return "LeaveGroup", version, q

    # ---- offsets

    def by(self, topic, version, id_since=10):
        return {"topicId": {"id of": topic} if self.chance(0.95) else self.some_id()} if version >= id_since else {"name": topic}

    def commit(self):
        version = self.r.randint(2, 10)
        group = self.pick(self.simple, self.simple, *self.groups, "")
        m = self.some_member(group)

        def part():
            p = {"partitionIndex": self.partition(), "committedOffset": self.pick(0, 1, 5, 1000, -1, -5, MAX64), "committedMetadata": self.pick(*METADATA)}
            if version >= 6:
                p["committedLeaderEpoch"] = self.pick(-1, -1, 0, 5, -2)
            return p
        q = {"groupId": group, "generationIdOrMemberEpoch": -1, "memberId": "",
             "topics": self.some(lambda: {**self.by(self.topic(), version), "partitions": self.some(part) if self.chance(0.95) else []})}
        if m and self.chance(0.7) or self.chance(0.2):
            who = self.identity(m, group, version, 7)
            q.update({"generationIdOrMemberEpoch": who["generationId"], "memberId": who["memberId"]})
            if version >= 7:
                q["groupInstanceId"] = who["groupInstanceId"]
        if version <= 4:
            q["retentionTimeMs"] = self.pick(-1, -1, 10 ** 9)
        if self.chance(0.03):
            q["topics"] = []
        return "OffsetCommit", version, q

    def fetch_offsets(self):
        version = self.r.randint(1, 10)

        def topics():
            if version >= 2 and self.chance(0.4):
                return None
            return self.some(lambda: {**self.by(self.topic(), version), "partitionIndexes": self.some(self.partition)})
        stable = {"requireStable": self.chance(0.3)} if version >= 7 else {}
        if version < 8:
            return "OffsetFetch", version, {"groupId": self.pick(self.simple, self.group()), "topics": topics(), **stable}

        def row():
            q = {"groupId": self.pick(self.simple, self.group()), "topics": topics()}
            if version >= 9 and self.chance(0.3):
                m = self.some_member(q["groupId"])
                q.update({"memberId": {"member": m.n} if m else self.pick(None, "", "ghost"), "memberEpoch": self.pick(-1, 0, 1, 4)})
            return q
        return "OffsetFetch", version, {"groups": self.some(row) if self.chance(0.97) else [], **stable}

    def delete_offsets(self):
        return "OffsetDelete", 0, {"groupId": self.pick(self.simple, self.group()), "topics": self.some(lambda: {
            "name": self.topic(), "partitions": [{"partitionIndex": p} for p in self.some(self.partition)] if self.chance(0.95) else []})}

    # ---- administration

    def describe_groups(self):
        version = self.r.randint(0, 6)
        q = {"groups": self.some(self.group)}
        if version >= 3:
            q["includeAuthorizedOperations"] = self.chance(0.5)
        return "DescribeGroups", version, q

    def list_groups(self):
        version = self.r.randint(0, 5)
        q = {}
        if version >= 4:
            q["statesFilter"] = self.pick([], ["Stable"], ["stable", "EMPTY"], ["Dead"], ["CompletingRebalance", "preparingrebalance"], ["Bogus"], [" Empty "], [""])
        if version >= 5:
            q["typesFilter"] = self.pick([], [], ["classic"], ["CLASSIC"], ["consumer"], ["share", "classic"], ["bogus"], [""])
        return "ListGroups", version, q

    def delete_groups(self):
        groups = self.some(self.group)
        return "DeleteGroups", self.r.randint(0, 2), {"groupsNames": groups * self.pick(1, 1, 1, 2)}

    # ---- what comes next

    def group_step(self):
        while self.queue:
            m, draw = self.queue.pop(0)
            if not m.gone and not m.waiting:
                return draw(m)
        waiting = [m for m in self.members if m.waiting]
        if waiting and self.chance(0.7):
            w = self.r.choice(waiting)
            others = [m for m in self.of(w.group) if not m.waiting and m.known]
            if others and self.chance(0.6):
                return self.pick(self.join, self.sync)(self.r.choice(others))
            return self.collect(w)
        choices = [(self.join, 6), (self.sync, 4), (self.heartbeat, 4), (self.leave, 2), (self.commit, 8), (self.fetch_offsets, 7), (self.delete_offsets, 2),
                   (self.describe_groups, 4), (self.list_groups, 3), (self.delete_groups, 2)]
        return self.r.choices([c for c, _ in choices], [w for _, w in choices])[0]()

    def heed(self, options, answer):
        """What Kafka answered, masked."""
        n = options.get("on", options.get("collect"))
        if n is None:
            return
        m = self.members[n]
        m.waiting = answer == {"waiting": True}
        if m.waiting or "memberId" not in answer:
            return
        code = answer["errorCode"]
        m.known |= code in (0, 79)
        if code == 79 and self.chance(0.9):
            self.queue.append((m, self.join))
        if code == 0:
            m.generation, m.protocol = answer["generationId"], answer["protocolName"]
            m.leads, m.all = answer["leader"] == answer["memberId"], [x["memberId"] for x in answer["members"]]
            if self.chance(0.8):
                self.queue.append((m, self.sync))
        if m.known and code in (25, 82) and self.chance(0.5):
            m.gone = True
