"""Record batches for tests that speak the protocol themselves: batch([b'one', b'two']) is one of magic 2."""
import gzip
import struct

from kafkawire import crc32c


def _varint(v):
    v = (v << 1) ^ (v >> 63)
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    out.append(v)
    return bytes(out)


def batch(values, time_ms=1700000000000, base=0, key=None, zipped=False):
    """The records have one key, null unless given; their times ascend by a millisecond each. zipped: compressed by gzip."""
    its_key = _varint(-1) if key is None else _varint(len(key)) + key
    parts = []
    for i, v in enumerate(values):
        record = b'\0' + _varint(i) + _varint(i) + its_key + _varint(len(v)) + v + _varint(0)
        parts += _varint(len(record)), record
    n, body = len(values), b''.join(parts)
    body = gzip.compress(body, 1) if zipped else body
    rest = struct.pack('>hiqqqhii', int(zipped), n - 1, time_ms, time_ms + n - 1, -1, -1, -1, n) + body
    head = struct.pack('>ib', 0, 2)
    return struct.pack('>qi', base, len(head) + 4 + len(rest)) + head + struct.pack('>I', crc32c(rest)) + rest


def values(data):
    """[(offset, value)] of the batches in the bytes of a fetch; a cut last one is left out. Uncompressed only."""
    out, at = [], 0
    while at + 61 <= len(data):
        base, length = struct.unpack_from('>qi', data, at)
        if at + 12 + length > len(data):
            break
        attributes, = struct.unpack_from('>h', data, at + 21)
        count, = struct.unpack_from('>i', data, at + 57)
        assert attributes & 7 == 0
        pos = at + 61
        for _ in range(count):
            _, pos = _read(data, pos)
            pos += 1
            _, pos = _read(data, pos)
            delta, pos = _read(data, pos)
            key, pos = _read(data, pos)
            pos += max(key, 0)
            n, pos = _read(data, pos)
            out.append((base + delta, bytes(data[pos:pos + n])))
            pos += max(n, 0)
            headers, pos = _read(data, pos)
            assert headers == 0
        at += 12 + length
    return out


def _read(data, pos):
    v = shift = 0
    while True:
        b = data[pos]
        pos += 1
        v |= (b & 127) << shift
        shift += 7
        if b < 128:
            return (v >> 1) ^ -(v & 1), pos
