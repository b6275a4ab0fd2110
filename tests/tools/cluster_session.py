"""The cluster that the cases of some files run against (session.CLUSTER_FILES): three nodes, each controller and broker, and what their steps do:

    !kill ID    SIGKILL, and the others know: the broker is fenced, and leads nothing
    !start ID   again, and it is in sync with all that it has a replica of
    !launch ID  again, and it runs
    !file FROM TO   a copy in which {NODE1} is the folder of node 1
    !damage ID PARTITION TEXT   stopped, TEXT of a record on its disk made capitals and the checksum fitted, started: what only a comparison sees
    !until TEXT TOOL ...   our tool prints TEXT: another node knows by now what the cases before have changed
"""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../cluster'))
import session
from cluster import Cluster, millrace, wait  # noqa: E402

SETTINGS = {'log.retention.check.interval.ms': 3600000}  # nothing changes by itself


def cluster_of(file, folder):
    return ClusterTarget(folder, 2, session.RACKS) if file == 'moves.tsv' else ClusterTarget(folder)


def crc32c(data):
    crc = 0xffffffff
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


class ClusterTarget:
    def __init__(self, folder, dirs=1, racks=None):
        """With two directories they are data and data2 of each node."""
        each = {i: {'log.dirs': '{0}/data,{0}/data2'.format(os.path.join(str(folder), 'node%d' % i))} if dirs == 2 else {} for i in (1, 2, 3)}
        for i, rack in (racks or {}).items():
            each[i]['broker.rack'] = rack
        self.cluster = Cluster(folder, combined=3, settings=SETTINGS, per_node=each)

    def __enter__(self):
        self.cluster.__enter__()
        return self

    def __exit__(self, *exc):
        return self.cluster.__exit__(*exc)

    @property
    def servers(self):
        return ','.join(n.servers for n in self.cluster.nodes if n.running)

    @property
    def controller_servers(self):
        return ','.join('127.0.0.1:%d' % n.controller_port for n in self.cluster.nodes if n.running)

    def topic_id(self, topic):
        found = []

        def known():
            r = self.cluster.any('Metadata', 12, {'topics': None, 'allowAutoTopicCreation': False})
            found[:] = [t['topicId'] for t in r['topics'] if t['name'] == topic] if r else []
            return found
        wait(known, 'there is no topic ' + topic, 10)
        return found[0]

    def partitions(self, n):
        """Of all topics, as n tells."""
        r = self.cluster.any('Metadata', 12, {'topics': None, 'allowAutoTopicCreation': False}, [n])
        return [p for t in r['topics'] for p in t['partitions']]

    def step(self, what, words):
        if what == 'until':
            said = []

            def seen():
                said[:] = [millrace(*words[1:])]
                return words[0] in said[0][1]
            wait(seen, lambda: 'not "%s": %s' % (words[0], said), 20)
            return
        if what == 'file':
            with open(words[0], encoding='utf-8') as old, open(words[1], 'w', encoding='utf-8') as new:
                new.write(re.sub(r'\{NODE(\d)\}', lambda m: self.cluster.node(int(m[1])).folder, old.read()))
            return
        if what == 'damage':
            self.damage(self.cluster.node(int(words[0])), words[1], words[2].encode())
            return self.step('start', words[:1])
        c, node = self.cluster, self.cluster.node(int(words[0]))
        if what == 'kill':
            node.kill()
        else:
            assert what in ('start', 'launch'), what
            node.start()
        c.wait_unfenced({n.id for n in c.nodes if n.running})
        c.wait_active()
        for n in c.nodes:
            if n.running and what == 'kill':
                wait(lambda n=n: all(p['leaderId'] != node.id for p in self.partitions(n)), '%r still leads' % node, 30)
            elif n.running and what == 'start':
                wait(lambda n=n: all(set(p['isrNodes']) == set(p['replicaNodes']) and p['leaderId'] >= 0 for p in self.partitions(n)),
                     lambda n=n: 'not in sync: %s' % self.partitions(n), 60)

    def damage(self, node, partition, text):
        node.stop()
        path = glob.glob(os.path.join(node.data, partition, '*.log'))[0]
        with open(path, 'rb') as f:
            data = bytearray(f.read())
        size, at = 12 + int.from_bytes(data[8:12], 'big'), data.index(text)
        assert at < size  # in the first batch
        data[at:at + len(text)] = text.upper()
        data[17:21] = crc32c(data[21:size]).to_bytes(4, 'big')
        with open(path, 'wb') as f:
            f.write(data)

    def masked(self, text):
        for n in self.cluster.nodes:
            text = text.replace(n.folder, '{NODE%d}' % n.id)
            text = text.replace(str(n.port), '{PORT%d}' % n.id).replace(str(n.controller_port), '{CPORT%d}' % n.id)
        text = text.replace(self.cluster.id, '{CLUSTER}')
        # the quorum: who leads, how long its log is, when somebody was heard
        text = re.sub(r'(?m)^((?:Leader|High|Max)\w+: +)-?\d+$', r'\1{N}', text)
        rows = re.compile(r'(?m)^\d +\t([\w-]{22})\t\d+ *\t\d+ *\t(-?\d+|\d+ ms ago) *\t(-?\d+|\d+ ms ago) *\t')
        text = rows.sub(lambda m: '{N}\t%s\t{N}\t{N}\t%s\t%s\t' % (m[1], re.sub(r'\d+', '{N}', m[2]), re.sub(r'\d+', '{N}', m[3])), text)
        text = re.sub(r'(?m)^(NodeId)[ \t]+(.*)$', lambda m: '\t'.join(re.split(r'[ \t]+', m[0].rstrip())), text)
        text = re.sub(r'directory id [\w-]{22} and', 'directory id {ID} and', text)
        return re.sub(r'Epoch: \d+', 'Epoch: {N}', text)
