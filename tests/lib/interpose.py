"""A proxy in front of a node that does something between a request and its arrival, for what happens in the middle of a tool's work:

    with Interpose(node.port, 44, lambda: c.tool('topics', '--delete', '--topic', 't')) as proxy:
        millrace('broker', 'drain', '3', '--bootstrap-server', proxy.servers)

The first request of that API (44: IncrementalAlterConfigs), or the nth, waits until the action has returned; all else goes through as it comes. An
action that fails is told when the block ends, and so is a request that never came."""
import socket
import struct
import threading


class Interpose:
    def __init__(self, port, api_key, action, nth=1):
        self.port, self.api_key, self.action, self.left = port, api_key, action, nth
        self.done, self.trouble, self.lock = False, None, threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', 0))

    @property
    def servers(self):
        return '127.0.0.1:%d' % self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.listener.close()
        if exc[0] is None:
            assert self.done, 'not enough requests with API key %d came' % self.api_key
            assert self.trouble is None, self.trouble

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            node = socket.create_connection(('127.0.0.1', self.port))
            threading.Thread(target=self.requests, args=(client, node), daemon=True).start()
            threading.Thread(target=self.answers, args=(node, client), daemon=True).start()

    def requests(self, client, node):
        with client.makefile('rb') as f:
            while len(head := f.read(4)) == 4:
                frame = f.read(struct.unpack('>i', head)[0])
                if struct.unpack('>h', frame[:2])[0] == self.api_key:
                    self.act()
                node.sendall(head + frame)
        node.shutdown(socket.SHUT_WR)

    def answers(self, node, client):
        try:
            while data := node.recv(1 << 16):
                client.sendall(data)
        except OSError:
            pass  # the client is gone
        node.close()
        client.close()

    def act(self):
        with self.lock:
            self.left -= 1
            if self.left == 0:
                self.done = True
                try:
                    self.action()
                except BaseException as e:  # told to the test
                    self.trouble = e
