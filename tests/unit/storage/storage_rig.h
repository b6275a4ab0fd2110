/* A log store on a real temporary directory, and batches to put into its logs. */
#ifndef TEST_STORAGE_RIG_H
#define TEST_STORAGE_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "proto/record_batch.h"
#include "runtime/io.h"
#include "storage/log.h"
#include "storage/log_dir.h"

enum { RIG_TIME = 1000000 }; /* least timestamp of the records */

struct rig {
    char dir[64];
    struct io *io;
    struct logger lg;
    struct log_store st;
    struct log_config config;
    struct buf said; /* what was logged */
    int failed;      /* directories */
};

static inline int64_t rig_wall(void *ctx)
{
    (void)ctx;
    return 0;
}

static inline void rig_sink(void *ctx, enum log_level level, const char *line, size_t len)
{
    (void)level;
    struct rig *r = ctx;
    buf_put(&r->said, line, len);
}

static inline bool rig_said(struct rig *r, const char *what)
{
    return strstr(buf_cstr(&r->said), what) != NULL;
}

static inline void rig_failed(void *user, unsigned dir, int err, const char *sentence)
{
    struct rig *r = user;
    (void)dir;
    (void)err;
    (void)sentence;
    r->failed++;
}

static inline void rig_store(struct rig *r)
{
    const struct log_store_options opt = {.file_limit = 64};
    const struct log_store_hooks hooks = {.dir_failed = rig_failed, .user = r};
    log_store_init(&r->st, r->io, &r->lg, &opt, &hooks);
}

static inline void rig_init_in(struct rig *r, const char *parent)
{
    struct errmsg em;
    *r = (struct rig){0};
    snprintf(r->dir, sizeof r->dir, "%s/millrace-storage-XXXXXX", parent);
    assert_non_null(mkdtemp(r->dir));
    r->lg = (struct logger){.level = LOG_DEBUG, .wall_ms = rig_wall, .sink = rig_sink, .ctx = r};
    assert_int_equal(io_create(IO_BACKEND_AUTO, &r->io, &em), 0);
    log_config_default(&r->config);
    r->config.file_delete_delay_ms = 0;
    r->config.producer_id_expiration_ms = INT64_MAX; /* the records are of 1970 */
    rig_store(r);
}

static inline void rig_init(struct rig *r)
{
    rig_init_in(r, "/tmp");
}

static inline int rig_remove(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s;
    (void)type;
    (void)f;
    return remove(path);
}

/* Turns the loop until the condition holds. */
#define rig_until(r, condition)                                 \
    do {                                                        \
        for (int turns_ = 0; !(condition); turns_++) {          \
            io_turn((r)->io, 20000);                            \
            log_store_tick(&(r)->st);                           \
            if (turns_ > 1000) {                                \
                fail_msg("waited in vain for: %s", #condition); \
            }                                                   \
        }                                                       \
    } while (0)

static inline void rig_free(struct rig *r)
{
    rig_until(r, !log_store_busy(&r->st));
    log_store_free(&r->st);
    io_destroy(r->io);
    buf_free(&r->said);
    nftw(r->dir, rig_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- logs ---- */

static inline struct plog_open_args rig_args(struct rig *r, const char *name)
{
    return (struct plog_open_args){
        .dir_path = r->dir, .name = name, .config = &r->config, .clean = true};
}

static inline struct uuid rig_id(void)
{
    struct uuid id = UUID_ZERO;
    memcpy(id.b, "0123456789abcdef", 16);
    return id;
}

static inline struct plog *rig_create(struct rig *r, const char *name)
{
    struct plog *log = NULL;
    struct errmsg em = {{0}};
    const struct plog_open_args a = rig_args(r, name);
    if (plog_create(&r->st, &a, rig_id(), &log, &em) != 0) {
        fail_msg("%s", em.text);
    }
    return log;
}

static inline struct plog *rig_open_at(struct rig *r, const char *name, bool clean, int64_t point,
                                       int64_t start)
{
    struct plog *log = NULL;
    struct errmsg em = {{0}};
    struct plog_open_args a = rig_args(r, name);
    a.clean = clean;
    a.recovery_point = point;
    a.log_start = start;
    a.high_watermark = INT64_MAX;
    if (plog_open(&r->st, &a, &log, &em) != 0) {
        fail_msg("%s", em.text);
    }
    return log;
}

static inline struct plog *rig_open(struct rig *r, const char *name, bool clean)
{
    return rig_open_at(r, name, clean, 0, 0);
}

/* ---- batches ---- */

struct rig_batch {
    int records; /* 1 if 0 */
    int64_t time;
    size_t value; /* bytes of each record's value */
    int64_t pid;  /* 0: none */
    int16_t epoch;
    int32_t seq;
    bool txn;
    bool marker; /* of pid and epoch */
    bool commit;
    int32_t coordinator;
    enum codec codec;
    int64_t offset; /* for PLOG_REPLICATION */
    int32_t leader_epoch;
};

static inline void rig_build(const struct rig_batch *s, struct buf *out)
{
    struct batch_builder b = {0};
    struct batch_options o = BATCH_OPTIONS_DEFAULT;
    char value[100000];
    o.base_offset = s->offset;
    o.leader_epoch = s->leader_epoch;
    o.codec = s->codec;
    if (s->pid) {
        o.producer_id = s->pid;
        o.producer_epoch = s->epoch;
        o.base_sequence = s->marker ? -1 : s->seq;
        o.transactional = s->txn || s->marker;
    }
    if (s->marker) {
        o.control = true;
        batch_put_marker(out, &o, s->time, s->commit, s->coordinator);
        return;
    }
    size_t n = s->value < sizeof value ? s->value : sizeof value;
    memset(value, 'v', sizeof value);
    batch_builder_init(&b, &o);
    for (int i = 0; i < (s->records ? s->records : 1); i++) {
        batch_builder_add(&b, s->time + i, BYTES_NULL, bytes_of((const uint8_t *)value, n), NULL,
                          0);
    }
    assert_int_equal(batch_builder_finish(&b, out), 0);
    batch_builder_free(&b);
}

static inline struct plog_batch rig_append_as(struct plog *log, const struct rig_batch *s,
                                              enum plog_origin origin)
{
    struct buf bytes = {0};
    const struct plog_append_args args = {.origin = origin, .leader_epoch = s->leader_epoch};
    rig_build(s, &bytes);
    struct plog_batch b = {.data = bytes.data, .len = (uint32_t)bytes.len};
    unsigned n = plog_append(log, &b, 1, &args);
    assert_int_equal(n, b.result == PLOG_APPENDED);
    b.data = NULL;
    buf_free(&bytes);
    return b;
}

static inline struct plog_batch rig_append(struct plog *log, const struct rig_batch *s)
{
    return rig_append_as(log, s, s->marker ? PLOG_COORDINATOR : PLOG_CLIENT);
}

/* Appends `count` batches of `records` records each, one millisecond a record. */
static inline void rig_fill(struct plog *log, int count, int records, size_t value)
{
    for (int i = 0; i < count; i++) {
        int64_t at = plog_end_offset(log);
        const struct rig_batch s = {.records = records, .time = RIG_TIME + at, .value = value};
        struct plog_batch b = rig_append(log, &s);
        assert_int_equal(b.result, PLOG_APPENDED);
        assert_int_equal(b.base_offset, at);
    }
    plog_set_high_watermark(log, plog_end_offset(log));
}

/* All of the log's batches, from its start to its end, appended to out; checks that they are whole,
 * good and in order, and returns how many there are. */
static inline unsigned rig_read_all(struct plog *log, struct buf *out)
{
    unsigned count = 0;
    int64_t at = plog_start_offset(log);
    int64_t end = plog_end_offset(log);
    while (at < end) {
        size_t from = out->len;
        int64_t n = plog_read_copy(log, at, 1 << 20, true, end, out);
        assert_true(n > 0);
        struct bytes rest = bytes_of(out->data + from, out->len - from);
        struct bytes batch;
        while (batch_next(&rest, &batch) == 1) {
            struct batch_header h;
            assert_int_equal(batch_header_read(batch, &h), 0);
            assert_true(batch_crc_check(batch));
            assert_true(batch_last_offset(&h) >= at);
            at = batch_next_offset(&h);
            count++;
        }
        out->len -= rest.len;
    }
    return count;
}

static inline unsigned rig_count(struct plog *log)
{
    struct buf all = {0};
    unsigned n = rig_read_all(log, &all);
    buf_free(&all);
    return n;
}

/* ---- files ---- */

static inline const char *rig_path(const struct rig *r, const char *file, char out[512])
{
    snprintf(out, 512, "%s/%s", r->dir, file);
    return out;
}

static inline int64_t rig_size(const struct rig *r, const char *file)
{
    char path[512];
    struct stat s;
    return stat(rig_path(r, file, path), &s) == 0 ? (int64_t)s.st_size : -1;
}

static inline void rig_cut(const struct rig *r, const char *file, int64_t size)
{
    char path[512];
    assert_int_equal(truncate(rig_path(r, file, path), size), 0);
}

/* Flips one bit of a byte; at < 0 counts from the end. */
static inline void rig_flip(const struct rig *r, const char *file, int64_t at)
{
    char path[512];
    FILE *f = fopen(rig_path(r, file, path), "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    int c = fgetc(f);
    assert_true(c != EOF);
    assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
    fputc(c ^ 4, f);
    fclose(f);
}

static inline void rig_write(const struct rig *r, const char *file, const void *p, size_t n)
{
    char path[512];
    FILE *f = fopen(rig_path(r, file, path), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

#endif
