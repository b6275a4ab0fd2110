/* The files beside a log: offset index, time index, index of aborted transactions, snapshot of
 * producers. Offset and time indexes are held against their log. */
#include <inttypes.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "tools/dump.h"

enum {
    INDEX_ENTRY = 8,
    TIME_ENTRY = 12,
    TXN_ENTRY = 34,
    SNAPSHOT_HEAD = 10,
    SNAPSHOT_ENTRY = 46,
};

/* An index in memory. */
struct index {
    const char *path;
    int64_t base;
    size_t entry;
    size_t n;      /* whole entries */
    int64_t bytes; /* of the file */
    struct buf data;
};

static int load(struct dump *d, struct index *x, const char *path, size_t entry)
{
    struct dump_file f;
    *x = (struct index){.path = path, .entry = entry, .base = dump_base_offset(d, path)};
    if (x->base < 0 || dump_open(d, &f, path) < 0) {
        return -1;
    }
    int rv = dump_read(d, &f, 0, SIZE_MAX / 8, &x->data);
    x->bytes = f.size;
    x->n = x->data.len / entry;
    dump_close(&f);
    return rv;
}

static int64_t int32_at(const uint8_t *p)
{
    return (int32_t)load_be32(p);
}

static int64_t index_offset(const struct index *x, size_t i)
{
    const uint8_t *p = x->data.data + i * x->entry;
    return x->base + int32_at(x->entry == TIME_ENTRY ? p + 8 : p);
}

static int64_t index_position(const struct index *x, size_t i)
{
    return int32_at(x->data.data + i * INDEX_ENTRY + 4);
}

static int64_t index_time(const struct index *x, size_t i)
{
    return (int64_t)load_be64(x->data.data + i * TIME_ENTRY);
}

/* The path beside `path` with another suffix. */
static char *beside(const char *path, const char *suffix)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strchr(slash ? slash : path, '.');
    size_t n = dot ? (size_t)(dot - path) : strlen(path);
    char *out = mem_alloc(n + strlen(suffix) + 1);
    memcpy(out, path, n);
    memcpy(out + n, suffix, strlen(suffix) + 1);
    return out;
}

/* What a broker checks when it starts; true if it would keep the index. */
static bool is_sane(struct dump *d, const struct index *x)
{
    size_t last = x->n - 1;
    if (x->n && index_offset(x, last) < x->base) {
        dump_fail(d, "%s: the last entry's offset %" PRId64 " is below the base offset", x->path,
                  index_offset(x, last));
    } else if (x->n && x->entry == TIME_ENTRY && index_time(x, last) < index_time(x, 0)) {
        dump_fail(d, "%s: the last timestamp %" PRId64 " is below the first, %" PRId64, x->path,
                  index_time(x, last), index_time(x, 0));
    } else if (x->bytes % (int64_t)x->entry != 0) {
        dump_fail(d, "%s: %" PRId64 " bytes are no whole number of entries of %zu bytes", x->path,
                  x->bytes, x->entry);
    } else {
        printf("%s passed sanity check.\n", x->path);
        return true;
    }
    return false;
}

/* Zeroes that were set aside and not cut off: everything from here on. */
static bool is_unused(const struct index *x, size_t i)
{
    return i > 0 && index_offset(x, i) == x->base;
}

/* ---- .index ---- */

static void check_entries(struct dump *d, const struct index *x, const struct dump_file *log)
{
    struct dump_pairs mismatches = {0};
    struct buf batch = {0};
    for (size_t i = 0; i < x->n && !is_unused(x, i); i++) {
        int64_t at = index_position(x, i);
        int64_t end = log->size - at < d->max_message_size ? log->size : at + d->max_message_size;
        int rv = at < 0 ? 0 : dump_batch(d, log, at, end, &batch);
        if (rv != 1) {
            dump_fail(d,
                      "%s: entry %zu, for offset %" PRId64 ", points to position %" PRId64
                      ", where no whole batch of at most %" PRId64 " bytes is",
                      x->path, i, index_offset(x, i), at, d->max_message_size);
            continue;
        }
        int64_t found = dump_last_offset(buf_bytes(&batch));
        if (found != index_offset(x, i)) {
            dump_pairs_put(&mismatches, index_offset(x, i), found);
        }
        if (!d->verify_only) {
            printf("offset: %" PRId64 " position: %" PRId64 "\n", index_offset(x, i), at);
        }
    }
    for (size_t i = 0; i < mismatches.n / 2; i++) { /* Kafka's tool has the last first */
        struct dump_pair other = mismatches.v[i];
        mismatches.v[i] = mismatches.v[mismatches.n - 1 - i];
        mismatches.v[mismatches.n - 1 - i] = other;
    }
    dump_found(d, DUMP_INDEX_MISMATCH, x->path, &mismatches);
    buf_free(&batch);
}

void dump_index(struct dump *d, const char *path)
{
    struct index x;
    struct dump_file log = {.fd = -1};
    char *log_path = beside(path, ".log");
    if (load(d, &x, path, INDEX_ENTRY) < 0) {
        goto out;
    }
    if (x.n == 0) {
        printf("%s is empty.\n", path);
    } else if (d->sanity_only) {
        (void)is_sane(d, &x);
    } else if (dump_open(d, &log, log_path) == 0) {
        check_entries(d, &x, &log);
    }
out:
    dump_close(&log);
    buf_free(&x.data);
    mem_free(log_path);
}

/* ---- .timeindex ---- */

/* Where to start looking for an offset: the position of the last entry at or below it, by halving
 * as Kafka does it (which matters only for an index that is out of order). */
static int64_t lookup(const struct index *x, int64_t offset)
{
    if (x->n == 0 || index_offset(x, 0) > offset) {
        return 0;
    }
    size_t from = 0; /* at or below */
    size_t to = x->n - 1;
    while (from < to) {
        size_t middle = from + (to - from + 1) / 2;
        if (is_unused(x, middle) || index_offset(x, middle) > offset) {
            to = middle - 1;
        } else {
            from = middle;
            to = index_offset(x, middle) == offset ? middle : to;
        }
    }
    return index_position(x, from) < 0 ? 0 : index_position(x, from);
}

static int64_t max_timestamp(struct bytes batch)
{
    struct record_reader r = {0};
    struct record rec;
    int64_t max = BATCH_NO_TIMESTAMP;
    int rv = record_reader_open(&r, batch, 0);
    while (rv >= 0 && (rv = record_reader_next(&r, &rec)) == 1) {
        max = rec.timestamp > max ? rec.timestamp : max;
    }
    record_reader_close(&r);
    return max;
}

/* The batch that ends at the first offset not below `offset`; its last offset, or -1. */
static int64_t find_batch(struct dump *d, const struct index *offsets, const struct dump_file *log,
                          int64_t offset, struct buf *batch)
{
    int64_t at = lookup(offsets, offset);
    while (dump_batch(d, log, at, log->size, batch) == 1) {
        int64_t last = dump_last_offset(buf_bytes(batch));
        if (last >= offset) {
            return last;
        }
        at += (int64_t)batch->len;
    }
    return -1;
}

static void check_times(struct dump *d, const struct index *x, const struct index *offsets,
                        const struct dump_file *log)
{
    struct dump_pairs mismatch = {0};
    struct dump_pairs disorder = {0};
    struct dump_pairs missing = {0};
    struct buf batch = {0};
    int64_t before = BATCH_NO_TIMESTAMP;
    for (size_t i = 0; i < x->n && !is_unused(x, i); i++) {
        int64_t offset = index_offset(x, i);
        int64_t time = index_time(x, i);
        int64_t found = find_batch(d, offsets, log, offset, &batch);
        if (found != offset) {
            dump_pairs_add(&missing, offset, found);
        } else {
            int64_t max = max_timestamp(buf_bytes(&batch));
            if (max != time) {
                dump_pairs_add(&mismatch, time, max);
            }
            if (before >= time) {
                dump_pairs_add(&disorder, time, before);
            }
        }
        if (!d->verify_only) {
            printf("timestamp: %" PRId64 " offset: %" PRId64 "\n", time, offset);
        }
        before = time;
    }
    dump_found(d, DUMP_TIME_MISMATCH, x->path, &mismatch);
    dump_found(d, DUMP_TIME_ORDER, x->path, &disorder);
    dump_found(d, DUMP_TIME_NOT_FOUND, x->path, &missing);
    buf_free(&batch);
}

void dump_time_index(struct dump *d, const char *path)
{
    struct index x;
    struct index offsets = {0};
    struct dump_file log = {.fd = -1};
    char *log_path = beside(path, ".log");
    char *index_path = beside(path, ".index");
    if (load(d, &x, path, TIME_ENTRY) == 0) {
        if (d->sanity_only) {
            (void)is_sane(d, &x);
        } else if (dump_open(d, &log, log_path) == 0 &&
                   load(d, &offsets, index_path, INDEX_ENTRY) == 0) {
            check_times(d, &x, &offsets, &log);
        }
    }
    dump_close(&log);
    buf_free(&x.data);
    buf_free(&offsets.data);
    mem_free(log_path);
    mem_free(index_path);
}

/* ---- .txnindex ---- */

void dump_txn_index(struct dump *d, const char *path)
{
    struct index x;
    if (load(d, &x, path, TXN_ENTRY) == 0) {
        for (size_t i = 0; i < x.n; i++) {
            const uint8_t *p = x.data.data + i * TXN_ENTRY;
            int16_t version = (int16_t)load_be16(p);
            if (version != 0) {
                dump_fail(d, "%s: entry %zu is of version %d, there is only 0", path, i, version);
                break;
            }
            printf("version: %d producerId: %" PRId64 " firstOffset: %" PRId64
                   " lastOffset: %" PRId64 " lastStableOffset: %" PRId64 "\n",
                   version, (int64_t)load_be64(p + 2), (int64_t)load_be64(p + 10),
                   (int64_t)load_be64(p + 18), (int64_t)load_be64(p + 26));
        }
        if (x.bytes % TXN_ENTRY != 0) {
            dump_fail(d, "%s ends inside an entry", path);
        }
    }
    buf_free(&x.data);
}

/* ---- .snapshot ---- */

/* id i64, epoch i16, last sequence i32, last offset i64, offset delta i32, timestamp i64,
 * coordinator epoch i32, first offset of the open transaction i64. */
static void print_producer(const uint8_t *p)
{
    int32_t last_sequence = (int32_t)load_be32(p + 10);
    int64_t last_offset = (int64_t)load_be64(p + 14);
    int32_t delta = (int32_t)load_be32(p + 22);
    int64_t timestamp = (int64_t)load_be64(p + 26);
    int64_t txn = (int64_t)load_be64(p + 38);
    printf("producerId: %" PRId64 " producerEpoch: %d coordinatorEpoch: %" PRId32
           " currentTxnFirstOffset: ",
           (int64_t)load_be64(p), (int16_t)load_be16(p + 8), (int32_t)load_be32(p + 34));
    if (txn >= 0) {
        printf("OptionalLong[%" PRId64 "]", txn);
    } else {
        printf("OptionalLong.empty");
    }
    printf(" lastTimestamp: %" PRId64, timestamp);
    if (last_offset >= 0) {
        int64_t first = (int64_t)last_sequence - delta;
        printf(" firstSequence: %" PRId64 " lastSequence: %" PRId32 " lastOffset: %" PRId64
               " offsetDelta: %" PRId32 " timestamp: %" PRId64,
               first < 0 ? first + INT32_MAX + 1 : first, last_sequence, last_offset, delta,
               timestamp);
    }
    putchar('\n');
}

void dump_producer_snapshot(struct dump *d, const char *path)
{
    struct dump_file f;
    struct buf b = {0};
    if (dump_open(d, &f, path) < 0) {
        return;
    }
    if (dump_read(d, &f, 0, SIZE_MAX / 8, &b) == 0) {
        const uint8_t *p = b.data;
        if (b.len < SNAPSHOT_HEAD || load_be16(p) != 1) {
            dump_fail(d, "%s: no snapshot of version 1", path);
        } else if (crc32c(0, p + 6, b.len - 6) != load_be32(p + 2)) {
            dump_fail(d, "%s: the CRC is wrong", path);
        } else if (load_be32(p + 6) != (b.len - SNAPSHOT_HEAD) / SNAPSHOT_ENTRY ||
                   (b.len - SNAPSHOT_HEAD) % SNAPSHOT_ENTRY != 0) {
            dump_fail(d, "%s: %zu bytes do not fit %" PRIu32 " producers", path, b.len,
                      load_be32(p + 6));
        } else {
            for (size_t at = SNAPSHOT_HEAD; at < b.len; at += SNAPSHOT_ENTRY) {
                print_producer(p + at);
            }
        }
    }
    buf_free(&b);
    dump_close(&f);
}
