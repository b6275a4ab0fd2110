#include "proto/record_legacy.h"

enum { AT_CRC = 12, AT_ATTRIBUTES = 17, AT_TIMESTAMP = 18 };

/* An int32 length and bytes at *at; any negative length is null. */
static bool take(struct bytes entry, size_t *at, struct bytes *out)
{
    *out = BYTES_NULL;
    if (entry.len - *at < 4) {
        return false;
    }
    int32_t n = (int32_t)load_be32(entry.data + *at);
    *at += 4;
    if (n < 0) {
        return true;
    }
    if ((size_t)n > entry.len - *at) {
        return false;
    }
    *out = (struct bytes){entry.data + *at, (size_t)n};
    *at += (size_t)n;
    return true;
}

int legacy_read(struct bytes entry, struct legacy_message *m)
{
    if (entry.len < BATCH_LOG_OVERHEAD + BATCH_LENGTH_LEAST) {
        return ERR_CORRUPT;
    }
    const uint8_t *p = entry.data;
    *m = (struct legacy_message){
        .offset = (int64_t)load_be64(p),
        .size = (int32_t)load_be32(p + BATCH_AT_LENGTH),
        .crc = load_be32(p + AT_CRC),
        .magic = (int8_t)p[BATCH_AT_MAGIC],
        .attributes = (int8_t)p[AT_ATTRIBUTES],
        .timestamp = BATCH_NO_TIMESTAMP,
    };
    if (m->magic != 0 && m->magic != 1) {
        return ERR_UNSUPPORTED;
    }
    size_t at = AT_TIMESTAMP;
    if (m->magic == 1) {
        if (entry.len < AT_TIMESTAMP + 8) {
            return ERR_CORRUPT;
        }
        m->timestamp = (int64_t)load_be64(p + AT_TIMESTAMP);
        at += 8;
    }
    return take(entry, &at, &m->key) && take(entry, &at, &m->value) ? 0 : ERR_CORRUPT;
}

bool legacy_crc_check(struct bytes entry)
{
    return entry.len >= BATCH_UP_TO_MAGIC &&
           load_be32(entry.data + AT_CRC) ==
               crc32_ieee((struct bytes){entry.data + BATCH_AT_MAGIC, entry.len - BATCH_AT_MAGIC});
}

static int fail(struct legacy_reader *r, enum record_fault fault)
{
    r->fault = fault;
    r->rest = BYTES_NULL;
    return fault == RECORD_FAULT_LIMIT ? ERR_TOOBIG : ERR_CORRUPT;
}

/* Finds the last inner offset; with the outer one it gives the base of relative offsets. A 0
 * outside stands for "never set": some old producers left it so. */
static int find_base(struct legacy_reader *r)
{
    struct bytes rest = r->rest;
    struct bytes entry;
    int64_t last = -1;
    int rv;
    while ((rv = batch_next(&rest, &entry)) == 1) {
        if ((int8_t)entry.data[BATCH_AT_MAGIC] != r->outer.magic) {
            return fail(r, RECORD_FAULT_RECORD);
        }
        last = (int64_t)load_be64(entry.data);
    }
    if (rv < 0 || last < 0) {
        return fail(r, RECORD_FAULT_RECORD);
    }
    if (r->outer.magic == 1 && r->outer.offset != 0) {
        r->base = (int64_t)((uint64_t)r->outer.offset - (uint64_t)last);
    }
    return 0;
}

int legacy_reader_open(struct legacy_reader *r, struct bytes entry, size_t limit)
{
    *r = (struct legacy_reader){.entry = entry};
    int rv = legacy_read(entry, &r->outer);
    if (rv < 0) {
        return rv == ERR_CORRUPT ? fail(r, RECORD_FAULT_RECORD) : rv;
    }
    unsigned codec = legacy_codec(&r->outer);
    if (codec == CODEC_NONE) {
        r->single = true;
        return 0;
    }
    if (codec >= CODEC_ZSTD) { /* zstd came with magic 2 */
        return fail(r, RECORD_FAULT_FORM);
    }
    if (bytes_is_null(r->outer.value)) {
        return fail(r, RECORD_FAULT_RECORD);
    }
    limit = limit ? limit : RECORD_LIMIT_DEFAULT;
    rv = codec == CODEC_LZ4 && r->outer.magic == 0
             ? decompress_lz4_magic0(r->outer.value, limit, &r->owned)
             : decompress_put((enum codec)codec, r->outer.value, limit, &r->owned);
    if (rv == ERR_NOMEM) {
        return rv;
    }
    r->rest = buf_bytes(&r->owned);
    return rv < 0 ? fail(r, rv == ERR_TOOBIG ? RECORD_FAULT_LIMIT : RECORD_FAULT_CODEC)
                  : find_base(r);
}

static void to_record(const struct legacy_message *m, int64_t offset, int64_t timestamp,
                      struct record *out)
{
    *out = (struct record){.attributes = m->attributes,
                           .offset = offset,
                           .timestamp = timestamp,
                           .key = m->key,
                           .value = m->value};
}

int legacy_reader_next(struct legacy_reader *r, struct record *out)
{
    if (r->fault) {
        return fail(r, r->fault);
    }
    if (r->single) {
        r->single = false;
        to_record(&r->outer, r->outer.offset, r->outer.timestamp, out);
        return 1;
    }
    struct bytes entry;
    struct legacy_message m;
    int rv = batch_next(&r->rest, &entry);
    if (rv <= 0) {
        return rv < 0 ? fail(r, RECORD_FAULT_RECORD) : 0;
    }
    if (legacy_read(entry, &m) < 0 || legacy_codec(&m) != CODEC_NONE) {
        return fail(r, RECORD_FAULT_RECORD);
    }
    r->entry = entry;
    to_record(&m, (int64_t)((uint64_t)r->base + (uint64_t)m.offset),
              legacy_is_append_time(&r->outer) ? r->outer.timestamp : m.timestamp, out);
    return 1;
}

void legacy_reader_close(struct legacy_reader *r)
{
    buf_free(&r->owned);
    r->rest = BYTES_NULL;
}
