"""Record batches for the differential tester: whole and broken ones, of every codec and magic, and how they are read back.

A Batch holds all that was drawn for it; build(pid) makes the bytes, because each broker gave its own producer id. read(data)
takes the records of an answer apart, so that two brokers' answers can be compared although each compresses in its own way
and stamps its own clock: payloads are opened (by the system's libraries), and what cannot be opened is kept as hex.
"""
import ctypes
import ctypes.util
import gzip
import pathlib
import struct
import zlib

from kafkawire import crc32c

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CREATE, APPEND_TIME, TRANSACTIONAL, CONTROL = 0, 8, 16, 32
HEADER = struct.Struct(">qiibIhiqqqhii")  # up to the count of records


def varint(v):
    v = (v << 1) ^ (v >> 63)
    v &= (1 << 64) - 1
    out = b""
    while v >= 128:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def blob(x):
    return varint(-1) if x is None else varint(len(x)) + x


def record(delta_offset, delta_time, key, value, headers=(), attributes=0):
    body = bytes([attributes]) + varint(delta_time) + varint(delta_offset) + blob(key) + blob(value) + varint(len(headers))
    for k, v in headers:
        body += blob(k) + blob(v)
    return varint(len(body)) + body


# ---- codecs: the smallest streams that are valid, mostly stored


def xxh32_short(data):
    p1, p5 = 2654435761, 374761393
    h = (p5 + len(data)) & 0xFFFFFFFF
    for b in data:
        h = (h + b * p5) & 0xFFFFFFFF
        h = ((h << 11 | h >> 21) & 0xFFFFFFFF) * p1 & 0xFFFFFFFF
    for shift, factor in ((15, 2246822519), (13, 3266489917), (16, None)):
        h ^= h >> shift
        h = h if factor is None else h * factor & 0xFFFFFFFF
    return h


def snappy_raw(data):
    n, out = len(data), b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    out += bytes([n])
    for at in range(0, len(data), 60):
        part = data[at:at + 60]
        out += bytes([(len(part) - 1) << 2]) + part
    return out


def compress(codec, data, framed=True):
    if codec == GZIP:
        return gzip.compress(data, mtime=0)
    if codec == SNAPPY:
        raw = snappy_raw(data)
        return b"\x82SNAPPY\0" + struct.pack(">iii", 1, 1, len(raw)) + raw if framed else raw
    if codec == LZ4:
        flags = b"\x60\x40"
        return (b"\x04\x22\x4d\x18" + flags + bytes([xxh32_short(flags) >> 8 & 255]) +
                (struct.pack("<I", len(data) | 1 << 31) + data if data else b"") + b"\0\0\0\0")
    if codec == ZSTD:
        size = b"\x20" + bytes([len(data)]) if len(data) < 256 else b"\x60" + struct.pack("<H", len(data) - 256)
        return b"\x28\xb5\x2f\xfd" + size + struct.pack("<I", 1 | len(data) << 3)[:3] + data
    return data


def library(name):
    found = ctypes.util.find_library(name)
    return ctypes.CDLL(found) if found else None


def decompress(codec, data, limit=1 << 22):
    """The bytes, or None where this machine cannot, or the stream is broken."""
    if codec == NONE:
        return data
    if codec == GZIP:
        try:
            return zlib.decompressobj(31).decompress(data)
        except zlib.error:
            return None
    out = ctypes.create_string_buffer(limit)
    if codec == ZSTD and (z := library("zstd")):
        z.ZSTD_decompress.restype = ctypes.c_size_t
        z.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
        n = z.ZSTD_decompress(out, limit, data, len(data))
        return out.raw[:n] if n <= limit else None
    if codec == LZ4 and (z := library("lz4")):
        context = ctypes.c_void_p()
        z.LZ4F_createDecompressionContext(ctypes.byref(context), 100)
        done, used = ctypes.c_size_t(limit), ctypes.c_size_t(len(data))
        z.LZ4F_decompress.restype = ctypes.c_size_t
        rest = z.LZ4F_decompress(context, out, ctypes.byref(done), data, ctypes.byref(used), None)
        z.LZ4F_freeDecompressionContext(context)
        return out.raw[:done.value] if rest == 0 else None
    if codec == SNAPPY and (z := library("snappy")):
        whole, rest = b"", data[16:] if data[:8] == b"\x82SNAPPY\0" else struct.pack(">i", len(data)) + data
        while len(rest) >= 4:
            n = struct.unpack(">i", rest[:4])[0]
            size = ctypes.c_size_t(limit)
            if z.snappy_uncompress(rest[4:4 + n], ctypes.c_size_t(n), out, ctypes.byref(size)) != 0:
                return None
            whole += out.raw[:size.value]
            rest = rest[4 + n:]
        return None if rest else whole
    return None


# ---- what a producer sends

# Kinds of damage: each takes the batch's fields (a dict) before it is put together, or its bytes afterwards.
FIELD_DAMAGE = ["count up", "count down", "delta up", "base offset", "control", "transactional", "spare bits", "bad codec",
                "append time", "max time", "no records", "leader epoch", "sequence", "negative delta", "epoch only"]
PAYLOAD_DAMAGE = ["tail", "cut payload", "flip payload", "empty payload"]
RECORD_DAMAGE = ["attributes", "offset deltas", "negative time", "long key", "null key length -2", "headers -1", "header key null", "short",
                 "order of times"]
BYTE_DAMAGE = ["flip", "cut", "twice", "garbage behind", "half behind", "magic", "length", "old magic 0", "old magic 1", "old in new", "empty"]


class Batch:
    def __init__(self, r, now, codec=None, keyless=None, count=None, pid=-1, epoch=-1, seq=-1, damage=None, transactional=False):
        self.r_state = r.getrandbits(64)
        self.pid, self.epoch, self.seq, self.damage = pid, epoch, seq, damage
        self.codec = codec if codec is not None else r.choice([NONE, NONE, NONE, GZIP, SNAPPY, LZ4, ZSTD])
        self.framed = r.random() < 0.7
        self.count = count or r.choice([1, 1, 2, 5])
        keyless = r.random() < 0.2 if keyless is None else keyless
        self.base_time = now + r.choice([-200000, -200000, -100000, -3600000, 1800000, 2 * 3600000])
        self.attributes = TRANSACTIONAL if transactional else 0
        self.rows = [{"offset": i, "time": i * r.choice([1, 1, 10, -3]), "key": None if keyless and r.random() < 0.7 else b"k%d" % r.randrange(5),
                      "value": r.choice([b"v" * r.randrange(50), b"", None, b"x" * 300 if r.random() < 0.2 else b"w"]),
                      "headers": r.choice([(), (), (), ((b"h", b"1"),), ((b"h", None), (b"", b""))]), "attributes": 0} for i in range(self.count)]

    def __repr__(self):
        return "<%d records of codec %d at %d, producer %r/%d/%d, %s>" % (
            self.count, self.codec, self.base_time, self.pid, self.epoch, self.seq, self.damage)

    def random(self):
        import random
        return random.Random(self.r_state)

    def payload(self, r):
        rows = [dict(x) for x in self.rows]
        row, raw = r.choice(rows), None
        d = self.damage
        if d == "attributes":
            row["attributes"] = 255
        elif d == "offset deltas":
            row["offset"] += r.choice([1, -1, 1 << 31, 5])
        elif d == "negative time":
            row["time"] = -self.base_time - r.choice([1, 2, 100])
        elif d == "order of times":
            for i, x in enumerate(rows):
                x["time"] = -7 * i
        elif d == "headers -1":
            raw = b"\0" + varint(0) + varint(0) + blob(b"k") + blob(b"v") + varint(-1)
        elif d == "header key null":
            row["headers"] = ((None, b"v"),)
        elif d == "long key":
            raw = b"\0" + varint(0) + varint(0) + varint(1000) + b"k"
        elif d == "null key length -2":
            raw = b"\0" + varint(0) + varint(0) + varint(-2) + blob(b"v") + varint(0)
        elif d == "short":
            raw = b"\0" + varint(0) + varint(0)
        out = b"".join(record(x["offset"], x["time"], x["key"], x["value"], x["headers"], x["attributes"]) for x in rows)
        return out if raw is None else varint(len(raw)) + raw + out[len(record(*[rows[0][k] for k in ("offset", "time", "key", "value", "headers")])):]

    def build(self, pid=None):
        r, d = self.random(), self.damage
        if d in ("old magic 0", "old magic 1"):
            return self.old(r, int(d[-1]))
        if d == "empty":
            return b""
        times = [x["time"] for x in self.rows]
        f = {"base": 0, "leader epoch": -1, "magic": 2, "attributes": self.codec | self.attributes, "delta": self.count - 1, "first": self.base_time,
             "max": self.base_time + max(times), "pid": self.pid if pid is None else pid, "epoch": self.epoch, "seq": self.seq, "count": self.count}
        damage_fields(f, d, r)
        payload = compress(self.codec, self.payload(r), self.framed)
        if d == "tail":
            payload += b"\0\1\2"
        elif d == "cut payload":
            payload = payload[:r.randrange(len(payload))]
        elif d == "empty payload":
            payload = b""
        elif d == "flip payload":
            payload = flip(payload, r.randrange(len(payload)), r)
        tail = struct.pack(">hiqqqhii", *[f[k] for k in ("attributes", "delta", "first", "max", "pid", "epoch", "seq", "count")]) + payload
        whole = struct.pack(">qiibI", f["base"], len(tail) + 9, f["leader epoch"], f["magic"], crc32c(tail)) + tail
        return damage_bytes(whole, d, r, self)

    def old(self, r, magic):
        """A message set of magic 0 or 1."""
        out, wrapped = b"", self.codec in (GZIP, SNAPPY, LZ4)
        for i, x in enumerate(self.rows):
            out += old_message(i, magic, 0, self.base_time, x["key"], x["value"])
        if wrapped:
            out = old_message(self.count - 1, magic, self.codec, self.base_time, None, compress(self.codec, out, True))
        return flip(out, r.randrange(len(out)), r) if r.random() < 0.2 else out


def old_message(offset, magic, attributes, timestamp, key, value):
    body = bytes([magic, attributes]) + (struct.pack(">q", timestamp) if magic == 1 else b"")
    for x in (key, value):
        body += struct.pack(">i", -1) if x is None else struct.pack(">i", len(x)) + x
    body = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", offset, len(body)) + body


def flip(data, at, r):
    data = bytearray(data)
    if data:
        data[at] ^= 1 << r.randrange(8)
    return bytes(data)


def damage_fields(f, d, r):
    changes = {"count up": ("count", f["count"] + r.choice([1, 5, 1 << 20])), "count down": ("count", r.choice([0, -1, f["count"] - 1])),
               "delta up": ("delta", f["delta"] + r.choice([1, 7, 1 << 30])), "negative delta": ("delta", r.choice([-1, -2, -1 << 31])),
               "base offset": ("base", r.choice([1, 5, -1, 1 << 40])), "control": ("attributes", f["attributes"] | CONTROL),
               "transactional": ("attributes", f["attributes"] | TRANSACTIONAL), "spare bits": ("attributes", f["attributes"] | 1 << r.choice([6, 7, 10, 15])),
               "bad codec": ("attributes", f["attributes"] & ~7 | r.choice([5, 6, 7])), "append time": ("attributes", f["attributes"] | APPEND_TIME),
               "max time": ("max", f["max"] + r.choice([-5, 5, 100000, -10 ** 9, 10 * 3600000])), "leader epoch": ("leader epoch", r.choice([0, 3, 100, -5])),
               "sequence": ("seq", r.choice([-1, -2, 7])), "epoch only": ("epoch", 3)}
    if d == "no records":
        f.update(count=0, delta=r.choice([-1, 0]))
    elif d in changes:
        name, value = changes[d]
        value = value - (1 << 16) if name == "attributes" and value >= 1 << 15 else value
        f[name] = max(-1 << 31, min(value, (1 << 31) - 1)) if name in ("count", "delta") else value


def damage_bytes(whole, d, r, batch):
    if d == "flip":
        return flip(whole, r.randrange(len(whole)), r)
    if d == "cut":
        return whole[:r.randrange(len(whole))]
    if d == "twice":
        return whole + whole
    if d == "garbage behind":
        return whole + bytes(r.randrange(256) for _ in range(r.choice([3, 20, 70])))
    if d == "half behind":
        return whole + whole[:r.randrange(1, len(whole))]
    if d == "magic":
        return whole[:16] + bytes([r.choice([3, 4, 127, 255])]) + whole[17:]
    if d == "length":
        return whole[:8] + struct.pack(">i", r.choice([-1, 0, 10, len(whole) - 13, len(whole) + 100, (1 << 31) - 1])) + whole[12:]
    if d == "old in new":
        return whole + batch.old(r, 1)
    return whole


def golden(path=pathlib.Path(__file__).resolve().parent.parent / "data" / "vectors" / "batches.tsv"):
    """The golden vectors' bytes: real compressed streams, and what else was thought of there."""
    rows = [line.split("\t") for line in path.read_text().splitlines() if not line.startswith("#")]
    return {row[0]: bytes.fromhex(row[1]) for row in rows}


# ---- what a broker answers


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def varint(self):
        v = shift = 0
        while True:
            b = self.data[self.at]
            self.at += 1
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return (v >> 1) ^ -(v & 1)

    def blob(self):
        n = self.varint()
        if n < 0:
            return None
        self.at += n
        return self.data[self.at - n:self.at].hex()


def read_records(payload, count):
    c, rows = Cursor(payload), []
    for _ in range(count):
        c.varint()
        attributes = c.data[c.at]
        c.at += 1
        row = [attributes, c.varint(), c.varint(), c.blob(), c.blob()]
        row.append([(c.blob(), c.blob()) for _ in range(max(0, c.varint()))])
        rows.append(row)
    return {"rows": rows, "rest": payload[c.at:].hex()}


def read(data, pids, is_now):
    """Batches as dicts; pids: this broker's producer ids, in the order in which both gave them; is_now(t): told by the clock."""
    out = []
    while len(data) >= 61:
        f = HEADER.unpack(data[:HEADER.size])
        size = f[1] + 12
        if size > len(data) or size < 61 or f[3] != 2:
            break
        codec, payload = f[5] & 7, data[61:size]
        opened = decompress(codec, payload)
        row = {"base": f[0], "leaderEpoch": f[2], "attributes": f[5], "delta": f[6], "first": "(now)" if is_now(f[7]) else f[7],
               "max": "(now)" if is_now(f[8]) else f[8], "producer": "(pid %d)" % pids.index(f[9]) if f[9] in pids else f[9], "epoch": f[10],
               "sequence": f[11], "count": f[12], "crc": crc32c(data[21:size]) == f[4]}
        try:
            row["records"] = payload.hex() if opened is None else read_records(opened, f[12])
        except IndexError:
            row["records"] = opened.hex()
        out.append(row)
        data = data[size:]
    return {"batches": out, "rest": data.hex()}
