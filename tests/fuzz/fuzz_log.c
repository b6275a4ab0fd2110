/* Input: a byte of choices, then the files of a partition's folder, each behind two bytes of
 * length: .log, .index, .timeindex, .txnindex, .snapshot, leader-epoch-checkpoint. What is missing
 * at the end is not there.
 *
 *   bit 0 the directory was stopped cleanly, 1 the batches' lengths and checksums are made right
 *   first, 2 the indexes are not put there (and are rebuilt), 3 the snapshot's checksum is made
 *   right, 4 the recovery point is the end of the first batch
 *
 * Demanded: whatever is opened reads to its end without a fault or a standstill; after an unclean
 * stop only whole batches with right checksums are left; what is appended behind is found again
 * after a clean stop. */
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "fuzz_disk.h"
#include "proto/record_legacy.h"
#include "storage/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLEAN = 1, SEAL = 2, NO_INDEX = 4, SEAL_SNAPSHOT = 8, RECOVER_FROM_SECOND = 16 };
enum { LOG, INDEX, TIME, TXN, SNAPSHOT, EPOCHS, FILES };
enum { SNAPSHOT_HEAD = 10, SNAPSHOT_AT_CRC = 2, SNAPSHOT_AT_COUNT = 6, SNAPSHOT_ENTRY = 46 };

static const char *const names[FILES] = {
    "t-0/00000000000000000000.log",       "t-0/00000000000000000000.index",
    "t-0/00000000000000000000.timeindex", "t-0/00000000000000000000.txnindex",
    "t-0/00000000000000000000.snapshot",  "t-0/leader-epoch-checkpoint"};

struct input {
    struct fuzz_disk *d;
    uint8_t how;
    struct bytes file[FILES]; /* null: not there */
    struct log_store st;
    struct log_config config;
};

/* Length and checksum of each batch as far as they can be guessed, from the front. */
static void seal_batches(uint8_t *p, size_t n)
{
    while (n >= BATCH_HEADER_SIZE) {
        size_t size = BATCH_LOG_OVERHEAD + (size_t)load_be32(p + BATCH_AT_LENGTH);
        size = size < BATCH_HEADER_SIZE || size > n ? n : size;
        if (p[BATCH_AT_MAGIC] == BATCH_MAGIC) {
            batch_seal(p, size);
        }
        p += size;
        n -= size;
    }
}

static void seal_snapshot(struct buf *b)
{
    if (b->len >= SNAPSHOT_HEAD) {
        b->len -= (b->len - SNAPSHOT_HEAD) % SNAPSHOT_ENTRY;
        store_be16(b->data, 1);
        store_be32(b->data + SNAPSHOT_AT_COUNT,
                   (uint32_t)((b->len - SNAPSHOT_HEAD) / SNAPSHOT_ENTRY));
        store_be32(b->data + SNAPSHOT_AT_CRC,
                   crc32c(0, b->data + SNAPSHOT_AT_COUNT, b->len - SNAPSHOT_AT_COUNT));
    }
}

static void put_files(struct input *in)
{
    struct buf b = {0};
    int rv = io_mkdir(in->d->io, FUZZ_DIR "/t-0");
    ASSERT(rv == 0);
    for (int i = 0; i < FILES; i++) {
        if (bytes_is_null(in->file[i]) || ((in->how & NO_INDEX) && (i == INDEX || i == TIME))) {
            continue;
        }
        buf_clear(&b);
        buf_put(&b, in->file[i].data, in->file[i].len);
        if (i == LOG && (in->how & SEAL)) {
            seal_batches(b.data, b.len);
        }
        if (i == SNAPSHOT && (in->how & SEAL_SNAPSHOT)) {
            seal_snapshot(&b);
        }
        fuzz_disk_put(in->d, names[i], buf_bytes(&b));
    }
    buf_free(&b);
}

static void store_start(struct input *in)
{
    const struct log_store_options opt = {.file_limit = 64};
    const struct log_store_hooks hooks = {0};
    log_store_init(&in->st, in->d->io, &in->d->lg, &opt, &hooks);
}

/* Lets what is under way come home. */
static void settle(struct input *in, const struct plog *log)
{
    for (int turns = 0; log ? plog_busy(log) : log_store_busy(&in->st); turns++) {
        ASSERT(turns < 1000);
        io_turn(in->d->io, 20000);
        log_store_tick(&in->st);
    }
}

/* All batches from the start to the end. strict: each must be whole and right. */
static void read_all(struct plog *log, bool strict)
{
    struct buf out = {0};
    int64_t at = plog_start_offset(log);
    int64_t end = plog_end_offset(log);
    ASSERT(at <= end);
    while (at < end) {
        buf_clear(&out);
        int64_t n = plog_read_copy(log, at, 1 << 20, true, end, &out);
        ASSERT(n > 0 || !strict);
        struct bytes rest = buf_bytes(&out);
        struct bytes batch;
        int64_t before = at;
        while (n > 0 && batch_next(&rest, &batch) == 1) {
            struct batch_header h;
            int rv = batch_header_read(batch, &h);
            bool old = batch.data[BATCH_AT_MAGIC] < BATCH_MAGIC;
            ASSERT(!strict || (old ? legacy_crc_check(batch) : rv == 0 && batch_crc_check(batch)));
            int64_t next =
                old || rv < 0 ? (int64_t)load_be64(batch.data) + 1 : batch_next_offset(&h);
            at = next > at ? next : at;
        }
        ASSERT(at > before || !strict);
        if (at == before) {
            break;
        }
    }
    buf_free(&out);
}

static void ask(struct plog *log)
{
    static const int64_t times[] = {0, 1, 1700000000000, INT64_MAX};
    struct plog_time_offset t;
    struct plog_range range;
    struct plog_producer *producers;
    struct plog_aborted *aborted;
    struct arena a = {0};
    unsigned n;
    int32_t epoch;
    int64_t end;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        int rv = plog_offset_by_time(log, times[i], &t);
        ASSERT(rv != 0 || t.offset < plog_end_offset(log));
    }
    (void)plog_offset_of_max_timestamp(log, &t);
    for (int64_t i = -1; i < 4; i++) {
        (void)plog_epoch_of(log, i, &epoch);
        (void)plog_epoch_end_offset(log, (int32_t)i, &epoch, &end);
    }
    (void)plog_latest_epoch(log, &epoch);
    (void)plog_last_stable_offset(log, &end);
    (void)plog_producers(log, &a, &producers, &n);
    int64_t start = plog_start_offset(log);
    if (plog_read(log, start, 4096, true, plog_end_offset(log), &range) == 0 && range.len) {
        (void)plog_aborted_txns(log, start, &range, &a, &aborted, &n);
        file_lease_release(&range.lease);
    }
    arena_free(&a);
}

static void append(struct plog *log)
{
    struct batch_builder b = {0};
    struct batch_options o = BATCH_OPTIONS_DEFAULT;
    struct buf out = {0};
    int32_t epoch;
    if (plog_latest_epoch(log, &epoch) != 0) {
        return;
    }
    const struct plog_append_args args = {.origin = PLOG_CLIENT,
                                          .leader_epoch = epoch < 0 ? 0 : epoch};
    batch_builder_init(&b, &o);
    batch_builder_add(&b, 5, BYTES_NULL, bytes_str("value"), NULL, 0);
    int rv = batch_builder_finish(&b, &out);
    ASSERT(rv == 0);
    struct plog_batch batch = {.data = out.data, .len = (uint32_t)out.len};
    int64_t end = plog_end_offset(log);
    (void)plog_append(log, &batch, 1, &args);
    ASSERT(batch.result != PLOG_APPENDED ||
           (batch.base_offset == end && plog_end_offset(log) == end + 1));
    batch_builder_free(&b);
    buf_free(&out);
}

static int64_t first_end(const struct input *in)
{
    struct bytes rest = in->file[LOG];
    struct bytes batch;
    struct batch_header h;
    if (bytes_is_null(rest) || batch_next(&rest, &batch) != 1 ||
        batch_header_read(batch, &h) != 0 || batch_next_offset(&h) < 0) {
        return 0;
    }
    return batch_next_offset(&h);
}

static struct plog *open_log(struct input *in, bool clean, int64_t point)
{
    struct plog *log = NULL;
    struct errmsg em = {{0}};
    const struct plog_open_args a = {.dir_path = FUZZ_DIR,
                                     .name = "t-0",
                                     .config = &in->config,
                                     .clean = clean,
                                     .recovery_point = point,
                                     .high_watermark = INT64_MAX};
    int rv = plog_open(&in->st, &a, &log, &em);
    ASSERT((rv == 0) == (log != NULL));
    ASSERT(rv == 0 || em.text[0] != 0);
    return log;
}

static void run(void *arg)
{
    struct input *in = arg;
    bool clean = (in->how & CLEAN) != 0;
    put_files(in);
    store_start(in);
    struct plog *log = open_log(in, clean, in->how & RECOVER_FROM_SECOND ? first_end(in) : 0);
    if (log != NULL) {
        read_all(log, !clean && !(in->how & RECOVER_FROM_SECOND));
        ask(log);
        append(log);
        int64_t start = plog_start_offset(log);
        int64_t end = plog_end_offset(log);
        settle(in, log);
        bool closed = plog_close_clean(log) == 0;
        plog_close(log);
        log = closed ? open_log(in, true, end) : NULL;
        if (log != NULL) {
            ASSERT(plog_end_offset(log) == end && plog_start_offset(log) >= start);
            plog_close(log);
        }
    }
    settle(in, NULL);
    log_store_free(&in->st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_disk d;
    struct input in = {.d = &d, .how = size ? data[0] : 0};
    struct bytes rest = size ? bytes_of(data + 1, size - 1) : BYTES_NULL;
    for (int i = 0; i < FILES && rest.len >= 2; i++) {
        size_t n = load_be16(rest.data);
        n = n < rest.len - 2 ? n : rest.len - 2;
        in.file[i] = bytes_of(rest.data + 2, n);
        rest = bytes_of(in.file[i].data + n, rest.len - 2 - n);
    }
    log_config_default(&in.config);
    in.config.file_delete_delay_ms = 0;
    in.config.segment_index_bytes = 4096; /* padded indexes stay small */
    fuzz_disk_init(&d);
    fuzz_disk_run(&d, run, &in);
    fuzz_disk_free(&d);
    return 0;
}
