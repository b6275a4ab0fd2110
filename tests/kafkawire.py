"""Kafka's wire format in Python, from proto/schema: for tests that talk to a node without a client library.

    codec = Codec()                                   # reads the schema next to it
    body = codec.encode("MetadataRequest", 12, {"topics": None})
    conn = Connection("localhost", 9092, codec)
    print(conn.ask("Metadata", 12, {"topics": None}))

Messages are dicts in the form of Kafka's JSON converters, with bytes as bytes and uuids as text; unknown tags are kept
under "_tags". Written apart from the C code, so that the two check each other.
"""
import base64
import pathlib
import re
import socket
import struct

SCHEMA = pathlib.Path(__file__).resolve().parent.parent / "proto" / "schema"
OPEN = 32767
ZERO_UUID = "A" * 22
NUMBERS = {"int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint16": "H", "uint32": "I", "float64": "d"}


class WireError(Exception):
    pass


def _span(text):
    if text == "none":
        return (0, -1)
    m = re.fullmatch(r"(\d+)(?:(\+)|-(\d+))?", text)
    return (int(m[1]), OPEN if m[2] else int(m[3] or m[1]))


def _in(span, version):
    return span[0] <= version <= span[1]


class Field:
    def __init__(self, words):
        self.name = words[0][0].lower() + words[0][1:]
        self.array = words[1].startswith("[]")
        self.type = words[1].removeprefix("[]")
        self.versions = _span(words[2])
        attrs = dict(w.partition("=")[::2] for w in words[3:])
        self.nullable = _span(attrs.get("nullable", "none"))
        self.tagged = _span(attrs.get("tagged", "none"))
        self.tag = int(attrs["tag"]) if "tag" in attrs else None
        self.default = attrs.get("default")
        self.old = attrs.get("flexible") == "none"
        self.struct = None


class Message:
    def __init__(self, path):
        lines = path.read_text().splitlines()
        words = lines[0].split()
        attrs = dict(w.partition("=")[::2] for w in words[2:])
        self.name = words[1] + {"request": "Request", "response": "Response"}.get(words[0], "")
        self.key = int(attrs.get("key", -1))
        self.versions = _span(attrs["versions"])
        self.flexible = _span(attrs.get("flexible", "none"))
        self.fields = []
        structs = {}
        stack = [(0, self.fields)]
        for line in lines[1:]:
            indent = (len(line) - len(line.lstrip())) // 2
            while stack[-1][0] >= indent:
                stack.pop()
            w = line.split()
            if w[0] == "struct":
                stack.append((indent, structs.setdefault(w[1], [])))
                continue
            field = Field(w)
            stack[-1][1].append(field)
            if field.type not in NUMBERS and field.type not in ("bool", "uuid", "string", "bytes", "records"):
                field.struct = structs.setdefault(field.type, [])
                stack.append((indent, field.struct))


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if n < 0 or self.at + n > len(self.data):
            raise WireError(f"{n} bytes wanted at {self.at}, {len(self.data) - self.at} left")
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, fmt):
        return struct.unpack(">" + fmt, self.take(struct.calcsize(fmt)))[0]

    def uvarint(self):
        v = shift = 0
        while True:
            b = self.take(1)[0]
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v & 0xFFFFFFFF


def uvarint(v):
    out = bytearray()
    while v >= 128:
        out.append(v & 127 | 128)
        v >>= 7
    out.append(v)
    return bytes(out)


def uuid_text(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def uuid_bytes(text):
    return base64.urlsafe_b64decode(text + "==")


class Codec:
    def __init__(self, schema=SCHEMA):
        self.messages = {}
        self.requests, self.responses = {}, {}
        for path in sorted(schema.glob("*.msg")) + sorted((schema / "records").glob("*.msg")):
            m = Message(path)
            self.messages[m.name] = m
            if m.name.endswith("Request"):
                self.requests[m.key] = m
            elif m.name.endswith("Response"):
                self.responses[m.key] = m

    def api(self, name):
        return self.messages[name + "Request"]

    def _has_header_tags(self, key, version, response):
        m = self.responses[key] if response else self.requests[key]
        return _in(m.flexible, version) and not (response and key == 18)

    # ---- reading

    def decode(self, name, version, data):
        """The message and the bytes behind it."""
        m = self.messages[name]
        r = Reader(data)
        out = self._read_struct(m.fields, version, _in(m.flexible, version), r)
        return out, data[r.at:]

    def _read_struct(self, fields, version, flexible, r):
        out = {}
        for f in fields:
            if _in(f.versions, version) and not _in(f.tagged, version):
                out[f.name] = self._read_field(f, version, flexible, r)
        if flexible:
            by_tag = {f.tag: f for f in fields if f.tag is not None and _in(f.tagged, version)}
            for _ in range(r.uvarint()):
                tag, size = r.uvarint(), r.uvarint()
                if tag in by_tag:
                    out[by_tag[tag].name] = self._read_field(by_tag[tag], version, flexible, r, tagged=True)
                else:
                    out.setdefault("_tags", []).append((tag, r.take(size)))
        return out

    def _read_length(self, compact, r, fmt="i"):
        n = r.uvarint() - 1 if compact else r.number(fmt)
        return n if n < 1 << 31 else -1

    def _read_field(self, f, version, flexible, r, tagged=False):
        if f.array:
            n = self._read_length(flexible, r)
            return None if n < 0 else [self._read_value(f, version, flexible, r) for _ in range(n)]
        if f.struct is not None and f.nullable != (0, -1) and (tagged or _in(f.nullable, version)):
            if (r.uvarint() == 0) if tagged else (r.number("b") < 0):
                return None
        return self._read_value(f, version, flexible, r)

    def _read_value(self, f, version, flexible, r):
        if f.struct is not None:
            return self._read_struct(f.struct, version, flexible, r)
        if f.type in NUMBERS:
            return r.number(NUMBERS[f.type])
        if f.type == "bool":
            return r.take(1) != b"\0"
        if f.type == "uuid":
            return uuid_text(r.take(16))
        n = self._read_length(flexible and not f.old, r, "h" if f.type == "string" else "i")
        raw = None if n < 0 else r.take(n)
        return raw if f.type != "string" or raw is None else raw.decode("utf-8", "surrogateescape")

    # ---- writing

    def encode(self, name, version, value):
        m = self.messages[name]
        return self._write_struct(m.fields, version, _in(m.flexible, version), value)

    def default(self, f):
        if f.default == "null":
            return None
        if f.array:
            return []
        if f.struct is not None:
            return {}
        if f.type in ("string", "uuid", "bool"):
            return {"string": "", "uuid": ZERO_UUID, "bool": f.default == "true"}[f.type]
        if f.type in ("bytes", "records"):
            return b"" if f.type == "bytes" else None
        return (float if f.type == "float64" else int)(f.default or 0)

    def _write_struct(self, fields, version, flexible, value):
        out = []
        tags = dict(value.get("_tags", []))
        for f in fields:
            v = value.get(f.name, self.default(f))
            if _in(f.versions, version) and not _in(f.tagged, version):
                out.append(self._write_field(f, version, flexible, v))
            elif _in(f.tagged, version) and f.name in value and v != self.default(f):
                tags[f.tag] = self._write_field(f, version, flexible, v, tagged=True)
        if flexible:
            out.append(uvarint(len(tags)))
            for tag in sorted(tags):
                out += [uvarint(tag), uvarint(len(tags[tag])), tags[tag]]
        return b"".join(out)

    def _write_field(self, f, version, flexible, v, tagged=False):
        if f.array:
            head = uvarint(0 if v is None else len(v) + 1) if flexible else struct.pack(">i", -1 if v is None else len(v))
            return head + b"".join(self._write_value(f, version, flexible, x) for x in v or [])
        if f.struct is not None and f.nullable != (0, -1) and (tagged or _in(f.nullable, version)):
            if v is None:
                return b"\0" if tagged else b"\xff"
            return b"\1" + self._write_value(f, version, flexible, v)
        return self._write_value(f, version, flexible, v)

    def _write_value(self, f, version, flexible, v):
        if f.struct is not None:
            return self._write_struct(f.struct, version, flexible, v)
        if f.type in NUMBERS:
            return struct.pack(">" + NUMBERS[f.type], v)
        if f.type == "bool":
            return b"\1" if v else b"\0"
        if f.type == "uuid":
            return uuid_bytes(v)
        raw = v.encode("utf-8", "surrogateescape") if isinstance(v, str) else v
        if flexible and not f.old:
            return uvarint(0 if raw is None else len(raw) + 1) + (raw or b"")
        return struct.pack(">h" if f.type == "string" else ">i", -1 if raw is None else len(raw)) + (raw or b"")

    # ---- frames (without their length)

    def request(self, key, version, correlation_id, client_id, body):
        head = struct.pack(">hhi", key, version, correlation_id)
        raw = None if client_id is None else client_id.encode()
        head += struct.pack(">h", -1 if raw is None else len(raw)) + (raw or b"")
        return head + (b"\0" if self._has_header_tags(key, version, False) else b"") + body

    def split_request(self, frame):
        """Header bytes and body."""
        r = Reader(frame)
        key, version, _ = r.number("h"), r.number("h"), r.number("i")
        n = r.number("h")
        r.take(max(n, 0))
        if self._has_header_tags(key, version, False):
            self._skip_tags(r)
        return frame[:r.at], frame[r.at:]

    def split_response(self, key, version, frame):
        r = Reader(frame)
        r.number("i")
        if self._has_header_tags(key, version, True):
            self._skip_tags(r)
        return frame[:r.at], frame[r.at:]

    @staticmethod
    def _skip_tags(r):
        for _ in range(r.uvarint()):
            r.uvarint()
            r.take(r.uvarint())


class Connection:
    """One TCP connection; frames go out and come in as bytes without their length."""

    def __init__(self, host, port, codec, timeout=30):
        self.codec = codec
        self.correlation = 0
        self.sock = socket.create_connection((host, port), timeout=timeout)

    def send_raw(self, data):
        self.sock.sendall(data)

    def receive(self, timeout=30):
        """The next frame; None when the peer closed; TimeoutError when it stays silent."""
        self.sock.settimeout(timeout)
        try:
            head = self._exactly(4)
            return None if head is None else self._exactly(struct.unpack(">i", head)[0])
        except ConnectionError:
            return None

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                return None
            data += more
        return data

    def ask(self, api, version, value, timeout=30):
        m = self.codec.api(api)
        self.correlation += 1
        frame = self.codec.request(m.key, version, self.correlation, "test", self.codec.encode(m.name, version, value))
        self.send_raw(struct.pack(">i", len(frame)) + frame)
        answer = self.receive(timeout)
        if answer is None:
            raise WireError(f"the peer closed the connection on {api} version {version}")
        _, body = self.codec.split_response(m.key, version, answer)
        return self.codec.decode(self.codec.responses[m.key].name, version, body)[0]

    def close(self):
        self.sock.close()


def _crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_CRC = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for b in data:
        crc = crc >> 8 ^ _CRC[(crc ^ b) & 255]
    return crc ^ 0xFFFFFFFF
