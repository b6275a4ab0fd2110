"""Links between the nodes of a cluster that can be cut: a proxy in front of each listener that nodes use among themselves.

    links = Links()
    with Cluster(folder, controllers=3, brokers=3, links=links) as c:
        links.cut(c.node(11), c.node(1))            # neither hears the other any more
        links.cut(c.node(11), c.node(12), one_way=True)   # what 11 sends does not reach 12
        links.isolate(c.node(13))                   # nobody of the cluster hears it; clients still do
        links.heal()

A cut is silent: bytes are not carried on, nothing is closed or refused, as when a cable is pulled; with reset=True connections are reset and new ones
closed at once. When it heals, what lay in a connection goes on; a peer may have given it up by then. Clients are not touched: they use other
listeners.

Who connects to a broker's proxy is found by its process: the proxy looks up the other end of the connection in /proc (an end belongs to a
process that the cluster started). Controllers have a proxy for each pair, since every node is told the voters' addresses by itself."""
import asyncio
import os
import socket
import struct
import threading


def owner(port, pids):
    """Which of the processes has the connected socket of this local port?"""
    inode = None
    for line in open('/proc/net/tcp').readlines()[1:]:
        w = line.split()
        if int(w[1].split(':')[1], 16) == port and w[9] != '0':
            inode = w[9]
            break
    for pid in pids if inode else ():
        try:
            for fd in os.listdir('/proc/%d/fd' % pid):
                if os.readlink('/proc/%d/fd/%s' % (pid, fd)) == 'socket:[%s]' % inode:
                    return pid
        except OSError:
            continue
    return None


class Links:
    def __init__(self):
        self.inside, self.outside, self.pairs, self.nodes = {}, {}, {}, []
        self.silent, self.resets, self.loop, self.changed = set(), set(), None, None
        self.writers = {}

    # ---- what the cluster asks before it starts

    def plan(self, nodes):
        from cluster import ports
        self.nodes = nodes
        brokers, controllers = [n for n in nodes if n.is_broker], [n for n in nodes if n.is_controller]
        pairs = [(a, b) for a in nodes for b in controllers if a is not b]
        free = iter(ports(2 * len(brokers) + len(pairs)))
        self.inside = {n.id: next(free) for n in brokers}
        self.outside = {n.id: next(free) for n in brokers}
        self.pairs = {(a.id, b.id): next(free) for a, b in pairs}

    def controller_port(self, of, to):
        return self.pairs[of.id, to.id]

    def broker_port(self, n):
        return self.outside[n.id]

    # ---- cuts

    def cut(self, a, b, one_way=False, reset=False):
        """What a sends does not reach b, and unless one_way nor the other way round."""
        ways = {(a.id, b.id)} if one_way else {(a.id, b.id), (b.id, a.id)}
        self.tell(lambda: (self.resets if reset else self.silent).update(ways))

    def isolate(self, n, reset=False):
        for other in self.nodes:
            if other is not n:
                self.cut(n, other, reset=reset)

    def heal(self):
        self.tell(lambda: (self.silent.clear(), self.resets.clear()))

    def tell(self, change):
        done = threading.Event()

        def now():
            change()
            for way in self.resets:
                for w in self.writers.get(way, ()):
                    self.reset(w)
            self.changed.set()
            self.changed = asyncio.Event()
            done.set()
        self.loop.call_soon_threadsafe(now)
        assert done.wait(10)

    # ---- the proxies

    def start(self):
        ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.main(ready)), daemon=True)
        self.thread.start()
        assert ready.wait(10), 'the proxies do not start'

    def stop(self):
        if self.loop:
            self.loop.call_soon_threadsafe(self.end.set)
            self.thread.join(10)

    async def main(self, ready):
        self.loop, self.end, self.changed = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        servers = []
        for (a, b), port in self.pairs.items():
            target = next(n.controller_port for n in self.nodes if n.id == b)
            servers.append(await asyncio.start_server(self.serve(target, b, a), '127.0.0.1', port))
        for b, port in self.outside.items():
            servers.append(await asyncio.start_server(self.serve(self.inside[b], b, None), '127.0.0.1', port))
        ready.set()
        await self.end.wait()
        for s in servers:
            s.close()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()

    def serve(self, target, to, come_from):
        async def connection(reader, writer):
            try:
                await self.join(reader, writer, target, to, come_from)
            except asyncio.CancelledError:
                pass  # the proxies end
        return connection

    async def join(self, reader, writer, target, to, come_from):
        a = come_from
        if a is None:
            pids = {n.process.pid: n.id for n in self.nodes if n.running}
            a = pids.get(owner(writer.get_extra_info('peername')[1], pids))
        try:
            while (a, to) in self.silent:
                await self.changed.wait()
            if (a, to) in self.resets or (to, a) in self.resets:
                self.reset(writer)
                return
            there, onward = await asyncio.open_connection('127.0.0.1', target)
        except OSError:
            self.reset(writer)
            return
        ends = [writer, onward]
        for way in ((a, to), (to, a)):
            self.writers.setdefault(way, set()).update(ends)
        await asyncio.gather(self.carry(reader, onward, (a, to)), self.carry(there, writer, (to, a)))
        for way in ((a, to), (to, a)):
            self.writers[way].difference_update(ends)

    async def carry(self, reader, writer, way):
        try:
            while True:
                data = await reader.read(1 << 18)
                while way in self.silent:
                    await self.changed.wait()
                if not data:
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            self.reset(writer)

    @staticmethod
    def reset(writer):
        s = writer.get_extra_info('socket')
        if s is not None:
            try:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            except OSError:
                pass
        writer.transport.abort()
