/* Directories that Kafka 4.3.1 left on a disk (tests/data/logs), opened by our storage: after a
 * clean stop (plain, txn) and after a kill (unclean: killed as it was, torn and flipped with the
 * last batch damaged).
 *
 * Everything that can be asked of a log is compared with what Kafka answered, every record by a
 * checksum over all of them, and after our own clean stop every file with Kafka's: for `unclean`
 * these are the files of a Kafka that recovered the same directory. With all indexes, snapshots and
 * checkpoints removed we must make the same files again from the batches alone. */
#include "storage_rig.h"

#include <inttypes.h>

#include "base/crc32c.h"
#include "base/json.h"
#include "proto/compress.h"

enum { COLUMNS = 8, READ_BYTES = 3000, NAME = 300, SNAPSHOT_HEAD = 10, SNAPSHOT_ENTRY = 46 };

struct row {
    char *col[COLUMNS];
    int n;
};

struct sample {
    struct rig r;
    const char *name; /* "unclean/torn" */
    char path[512];   /* of the directory */
    struct buf text;
    struct row *rows; /* of this directory only */
    size_t rows_n;
    struct log_dir *d;
};

/* ---- what is expected ---- */

static void slurp(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("%s cannot be opened", path);
        return;
    }
    size_t n;
    do {
        buf_reserve(out, 1 << 16);
        n = fread(out->data + out->len, 1, 1 << 16, f);
        out->len += n;
    } while (n > 0);
    assert_int_equal(ferror(f), 0);
    fclose(f);
}

static void load_rows(struct sample *s)
{
    slurp(TEST_DATA "/logs/expect.tsv", &s->text);
    char *rest = (char *)(uintptr_t)buf_cstr(&s->text);
    char *line;
    size_t cap = 0;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *dir = strsep(&line, "\t");
        if (line == NULL || strcmp(dir, s->name) != 0) {
            continue;
        }
        if (s->rows_n == cap) {
            cap = cap ? cap * 2 : 256;
            s->rows = mem_realloc(s->rows, cap * sizeof *s->rows);
        }
        struct row *row = &s->rows[s->rows_n++];
        *row = (struct row){0};
        while (row->n < COLUMNS && (row->col[row->n] = strsep(&line, "\t")) != NULL) {
            row->n++;
        }
    }
    assert_true(s->rows_n > 50);
}

/* The row of a kind about something; `third` tells several apart. NULL: none. */
static const struct row *find(const struct sample *s, const char *kind, const char *about,
                              const char *third)
{
    for (size_t i = 0; i < s->rows_n; i++) {
        const struct row *row = &s->rows[i];
        if (strcmp(row->col[0], kind) == 0 && strcmp(row->col[1], about) == 0 &&
            (third == NULL || strcmp(row->col[2], third) == 0)) {
            return row;
        }
    }
    return NULL;
}

static int64_t number(const struct row *row, int col)
{
    assert_true(col < row->n);
    return strtoll(row->col[col], NULL, 10);
}

/* Kafka recovered `unclean` in November 2026 and forgot then which producers had written with
 * timestamps of 2023: so do we, whenever this runs. */
static int64_t forget_before(const struct sample *s)
{
    enum { DAYS = 20776 }; /* 2026-11-19 */
    int64_t then = INT64_C(86400000) * DAYS;
    return strncmp(s->name, "unclean", 7) == 0 ? io_wall_ms(s->r.io) - then : INT64_MAX;
}

static void read_config(const struct sample *s, const char *topic, struct log_config *c)
{
    log_config_default(c);
    c->file_delete_delay_ms = 0;
    c->producer_id_expiration_ms = forget_before(s);
    const struct row *row = find(s, "config", topic, NULL);
    for (int i = 2; row && i < row->n; i++) {
        const struct {
            const char *name;
            int64_t *at;
        } numbers[] = {{"index.interval.bytes=", &c->index_interval_bytes},
                       {"segment.bytes=", &c->segment_bytes},
                       {"internal.segment.bytes=", &c->segment_bytes},
                       {"segment.index.bytes=", &c->segment_index_bytes},
                       {"segment.ms=", &c->segment_ms},
                       {"retention.ms=", &c->retention_ms}};
        for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
            size_t n = strlen(numbers[k].name);
            if (strncmp(row->col[i], numbers[k].name, n) == 0) {
                *numbers[k].at = strtoll(row->col[i] + n, NULL, 10);
            }
        }
        if (strcmp(row->col[i], "cleanup.policy=compact") == 0) {
            c->cleanup_compact = true;
            c->cleanup_delete = false;
        }
        c->append_time |= strcmp(row->col[i], "message.timestamp.type=LogAppendTime") == 0;
    }
}

/* ---- the directory ---- */

/* Unpacks the archive (a sparse tar in zstd) below the rig's folder. */
static void unpack(struct sample *s)
{
    struct buf packed = {0}, tar = {0};
    char path[512], command[600];
    int top = (int)strcspn(s->name, "/");
    snprintf(path, sizeof path, "%s/logs/%.*s.tar.zst", TEST_DATA, top, s->name);
    slurp(path, &packed);
    assert_int_equal(decompress_put(CODEC_ZSTD, buf_bytes(&packed), 1 << 30, &tar), 0);
    snprintf(command, sizeof command, "tar -xf - --no-same-owner -C %s", s->r.dir);
    FILE *f = popen(command, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(tar.data, 1, tar.len, f), tar.len);
    assert_int_equal(pclose(f), 0);
    buf_free(&packed);
    buf_free(&tar);
    snprintf(s->path, sizeof s->path, "%s/%s", s->r.dir, s->name);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static int remove_derived(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    (void)f;
    static const char *const ends[] = {".index",
                                       ".timeindex",
                                       ".txnindex",
                                       ".snapshot",
                                       "/leader-epoch-checkpoint",
                                       "/" CHECKPOINT_RECOVERY_POINT,
                                       "/" LOG_DIR_CLEAN_SHUTDOWN};
    for (size_t i = 0; type == FTW_F && i < ARRAY_LEN(ends); i++) {
        if (ends_with(path, ends[i]) && strstr(path, "__cluster_metadata") == NULL) {
            return unlink(path);
        }
    }
    return 0;
}

static void begin(struct sample *s, const char *name, bool rebuild)
{
    struct errmsg em;
    *s = (struct sample){.name = name};
    rig_init_in(&s->r, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"); /* it flushes a lot */
    load_rows(s);
    unpack(s);
    if (rebuild) {
        assert_int_equal(nftw(s->path, remove_derived, 16, FTW_PHYS), 0);
    }
    if (log_dir_open(s->r.io, &s->r.lg, 0, s->path, false, &s->d, &em) != 0) {
        fail_msg("%s", em.text);
    }
    assert_int_equal(s->d->clean, !rebuild && strncmp(name, "unclean", 7) != 0);
    assert_true(s->d->has_meta);
    assert_int_equal(s->d->meta.node_id, 1);
    assert_int_equal(s->d->meta.version, 1);
}

static void end(struct sample *s)
{
    rig_until(&s->r, !log_store_busy(&s->r.st) && list_empty(&s->r.st.deletions));
    assert_int_equal(s->r.failed, 0);
    log_dir_close(s->d, false, -1);
    buf_free(&s->text);
    mem_free(s->rows);
    rig_free(&s->r);
}

/* ---- records ---- */

struct reading {
    int64_t count;
    uint32_t crc;
    int64_t latest; /* timestamp */
    int64_t latest_at;
};

static void take_records(struct reading *r, struct bytes batch, int64_t from)
{
    struct record_reader reader;
    struct record rec;
    int more;
    assert_int_equal(record_reader_open(&reader, batch, 0), 0);
    while ((more = record_reader_next(&reader, &rec)) == 1) {
        uint8_t at[8];
        if (rec.offset < from) {
            continue;
        }
        store_be64(at, (uint64_t)rec.offset);
        r->crc = crc32c(r->crc, at, sizeof at);
        r->crc = rec.key.len ? crc32c(r->crc, rec.key.data, rec.key.len) : r->crc;
        r->crc = rec.value.len ? crc32c(r->crc, rec.value.data, rec.value.len) : r->crc;
        r->count++;
    }
    assert_int_equal(more, 0);
    record_reader_close(&reader);
}

static int by_first(const void *a, const void *b)
{
    const struct plog_aborted *x = a, *y = b;
    return x->first_offset < y->first_offset ? -1 : x->first_offset > y->first_offset;
}

/* As a client does with the aborted transactions of one answer. */
struct filter {
    struct plog_aborted *v;
    unsigned n;
    unsigned at; /* those before have begun */
    int64_t open[64];
    unsigned open_n;
};

static bool is_aborted(struct filter *f, const struct batch_header *h, struct bytes batch)
{
    while (f->at < f->n && f->v[f->at].first_offset <= batch_last_offset(h)) {
        assert_true(f->open_n < ARRAY_LEN(f->open));
        f->open[f->open_n++] = f->v[f->at++].producer_id;
    }
    unsigned i = 0;
    while (i < f->open_n && f->open[i] != h->producer_id) {
        i++;
    }
    if (i == f->open_n) {
        return false;
    }
    if (batch_is_control(h)) {
        struct record_reader reader;
        struct record rec;
        enum control_type type;
        assert_int_equal(record_reader_open(&reader, batch, 0), 0);
        assert_int_equal(record_reader_next(&reader, &rec), 1);
        assert_int_equal(control_key_read(rec.key, &type), 0);
        record_reader_close(&reader);
        if (type == CONTROL_ABORT) {
            f->open[i] = f->open[--f->open_n];
        }
        return false;
    }
    return batch_is_transactional(h);
}

/* One fetch from *at on; the bytes come from the range's file. */
static void read_some(struct plog *log, int64_t *at, int64_t upper, bool committed,
                      struct reading *r)
{
    struct plog_range range;
    struct arena a = {0};
    struct filter f = {0};
    struct batch_header h;
    struct bytes batch;
    assert_int_equal(plog_read(log, *at, READ_BYTES, true, upper, &range), 0);
    assert_true(range.len > 0);
    if (committed) {
        assert_int_equal(plog_aborted_txns(log, *at, &range, &a, &f.v, &f.n), 0);
        if (f.n) {
            qsort(f.v, f.n, sizeof *f.v, by_first);
        }
    }
    uint8_t *data = mem_alloc(range.len);
    assert_int_equal(io_pread(range.file, data, range.len, range.pos), range.len);
    struct bytes rest = bytes_of(data, range.len);
    while (batch_next(&rest, &batch) == 1) {
        assert_int_equal(batch_header_read(batch, &h), 0);
        assert_true(batch_crc_check(batch));
        bool skip = committed && is_aborted(&f, &h, batch);
        if (!skip && !batch_is_control(&h)) {
            take_records(r, batch, *at);
        }
        *at = batch_next_offset(&h);
    }
    mem_free(data);
    arena_free(&a);
    file_lease_release(&range.lease);
}

static void check_reading(const struct sample *s, struct plog *log, int64_t upper, bool committed)
{
    const struct row *row =
        find(s, "read", plog_name(log), committed ? "read_committed" : "read_uncommitted");
    struct reading r = {0};
    if (row == NULL) { /* Kafka's clients do not read the internal topics */
        assert_true(strncmp(plog_name(log), "__", 2) == 0);
    }
    for (int64_t at = plog_start_offset(log); at < upper;) {
        read_some(log, &at, upper, committed, &r);
    }
    if (row && (r.count != number(row, 3) || r.crc != (uint32_t)number(row, 4))) {
        fail_msg("%s/%s, %s: %" PRId64 " records with checksum %u, Kafka's clients read %s, %s",
                 s->name, plog_name(log), row->col[2], r.count, r.crc, row->col[3], row->col[4]);
    }
}

/* The first record at or after the times of some records, by a walk through everything. */
static void check_times(struct plog *log)
{
    struct buf all = {0};
    struct plog_time_offset t;
    int64_t step = 1 + (plog_end_offset(log) - plog_start_offset(log)) / 20;
    rig_read_all(log, &all);
    for (int64_t at = plog_start_offset(log); at < plog_end_offset(log); at += step) {
        struct bytes rest = buf_bytes(&all), batch;
        int64_t wanted = -1, time = -1, asked = -1, first = -1, ts = -1;
        struct batch_header h;
        while (batch_next(&rest, &batch) == 1 && asked < 0) {
            assert_int_equal(batch_header_read(batch, &h), 0);
            asked = batch_last_offset(&h) >= at ? h.max_timestamp : -1;
        }
        rest = buf_bytes(&all);
        while (wanted < 0 && batch_next(&rest, &batch) == 1) {
            int rc = batch_find_timestamp(batch, asked, plog_start_offset(log), 0, &first, &ts);
            assert_true(rc >= 0);
            wanted = rc == 1 ? first : -1;
            time = rc == 1 ? ts : -1;
        }
        assert_int_equal(plog_offset_by_time(log, asked, &t), 0);
        assert_int_equal(t.offset, wanted);
        assert_int_equal(t.timestamp, time);
    }
    buf_free(&all);
}

/* ---- producers and epochs ---- */

static int by_id(const void *a, const void *b)
{
    uint64_t x = load_be64(a), y = load_be64(b);
    return x < y ? -1 : x > y;
}

/* The order of a snapshot's entries is that of a Java map and means nothing: here, by id. */
static void sort_snapshot(struct buf *snap)
{
    qsort(snap->data + SNAPSHOT_HEAD, (snap->len - SNAPSHOT_HEAD) / SNAPSHOT_ENTRY, SNAPSHOT_ENTRY,
          by_id);
    store_be32(snap->data + 2, crc32c(0, snap->data + 6, snap->len - 6));
}

/* Against the newest snapshot that Kafka wrote, which stands at the end of the log. */
static void check_producers(const struct sample *s, struct plog *log)
{
    struct arena a = {0};
    struct buf snap = {0};
    struct plog_producer *p;
    unsigned n;
    char path[1024];
    assert_int_equal(plog_producers(log, &a, &p, &n), 0);
    snprintf(path, sizeof path, "%s/%s/%020" PRId64 ".snapshot", s->path, plog_name(log),
             plog_end_offset(log));
    if (access(path, F_OK) != 0) { /* Kafka writes none for an empty log */
        assert_int_equal(plog_start_offset(log), plog_end_offset(log));
        arena_free(&a);
        return;
    }
    slurp(path, &snap);
    assert_int_equal(snap.len, SNAPSHOT_HEAD + n * SNAPSHOT_ENTRY);
    sort_snapshot(&snap);
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *e = snap.data + SNAPSHOT_HEAD + (size_t)i * SNAPSHOT_ENTRY;
        assert_int_equal(p[i].producer_id, (int64_t)load_be64(e));
        assert_int_equal(p[i].producer_epoch, (int16_t)load_be16(e + 8));
        assert_int_equal(p[i].last_sequence, (int32_t)load_be32(e + 10));
        assert_int_equal(p[i].last_timestamp, (int64_t)load_be64(e + 26));
        assert_int_equal(p[i].coordinator_epoch, (int32_t)load_be32(e + 34));
        assert_int_equal(p[i].txn_first_offset, (int64_t)load_be64(e + 38));
    }
    buf_free(&snap);
    arena_free(&a);
}

static void check_epochs(struct plog *log)
{
    struct buf all = {0};
    struct bytes batch;
    struct batch_header h;
    int32_t epoch, last = -1;
    int64_t stop;
    rig_read_all(log, &all);
    struct bytes rest = buf_bytes(&all);
    while (batch_next(&rest, &batch) == 1) {
        assert_int_equal(batch_header_read(batch, &h), 0);
        assert_int_equal(plog_epoch_of(log, batch_last_offset(&h), &epoch), 0);
        assert_int_equal(epoch, h.leader_epoch);
        last = epoch;
    }
    buf_free(&all);
    if (last >= 0) {
        assert_int_equal(plog_epoch_end_offset(log, last, &epoch, &stop), 0);
        assert_int_equal(epoch, last);
        assert_int_equal(stop, plog_end_offset(log));
    }
}

/* ---- one partition ---- */

static struct plog *open_log(struct sample *s, const char *name, const struct log_config *c)
{
    struct errmsg em = {{0}};
    struct plog *log = NULL;
    struct log_dir *d = s->d;
    struct plog_open_args a = {
        .dir_path = s->path,
        .name = name,
        .config = c,
        .clean = d->clean,
        .recovery_point = offset_table_get(&d->recovery_points, name, 0),
        .log_start = offset_table_get(&d->log_starts, name, 0),
        .high_watermark = offset_table_get(&d->high_watermarks, name, 0),
    };
    if (plog_open(&s->r.st, &a, &log, &em) != 0) {
        fail_msg("%s", em.text);
    }
    return log;
}

static void check_log(struct sample *s, struct plog *log)
{
    const struct row *row = find(s, "offsets", plog_name(log), NULL);
    struct plog_time_offset t;
    int64_t lso, hw = offset_table_get(&s->d->high_watermarks, plog_name(log), 0);
    assert_non_null(row);
    assert_int_equal(plog_start_offset(log), number(row, 2));
    assert_int_equal(plog_end_offset(log), number(row, 3));
    hw = hw < plog_end_offset(log) ? hw : plog_end_offset(log);
    assert_int_equal(plog_high_watermark(log), hw);
    plog_set_high_watermark(log, plog_end_offset(log)); /* the sole replica's */
    assert_int_equal(plog_last_stable_offset(log, &lso), 0);
    assert_int_equal(lso, number(row, 4));
    assert_int_equal(plog_offset_of_max_timestamp(log, &t), 0);
    if (plog_end_offset(log) > plog_start_offset(log)) {
        assert_int_equal(t.offset, number(row, 5));
    } else { /* Kafka was asked when deleted records were still in their segment */
        assert_int_equal(t.offset, -1);
    }
    check_reading(s, log, plog_end_offset(log), false);
    check_reading(s, log, lso, true);
    check_epochs(log);
    check_times(log);
}

struct seen {
    struct sample *s;
    const char *partition;
    bool no_epochs; /* they cannot be known */
    unsigned files;
};

static void check_file(void *ctx, const struct io_dirent *e)
{
    struct seen *seen = ctx;
    if (seen->no_epochs && strcmp(e->name, "leader-epoch-checkpoint") == 0) {
        seen->files++;
        return;
    }
    char about[NAME * 2], path[1200];
    struct buf data = {0};
    snprintf(about, sizeof about, "%s/%s", seen->partition, e->name);
    const struct row *row = find(seen->s, "file", about, NULL);
    if (row == NULL) {
        fail_msg("%s/%s: Kafka has no such file", seen->s->name, about);
        return;
    }
    snprintf(path, sizeof path, "%s/%s", seen->s->path, about);
    slurp(path, &data);
    if (ends_with(e->name, ".snapshot")) {
        sort_snapshot(&data);
    }
    if ((int64_t)data.len != number(row, 2) || crc32c(0, data.data, data.len) != number(row, 3)) {
        fail_msg("%s/%s: %zu bytes, checksum %u; Kafka has %s, %s", seen->s->name, about, data.len,
                 crc32c(0, data.data, data.len), row->col[2], row->col[3]);
    }
    buf_free(&data);
    seen->files++;
}

/* A snapshot at or below the log start goes with the next start, in Kafka too; the epochs of an
 * empty log stand in no batch. */
static bool may_be_gone(const char *file, int64_t start, bool empty)
{
    return (ends_with(file, ".snapshot") && strtoll(file, NULL, 10) <= start) ||
           (empty && strcmp(file, "leader-epoch-checkpoint") == 0);
}

/* Every file that Kafka has is there, as Kafka has it, and no other. */
static void check_files(struct sample *s, const char *partition, int64_t start, bool empty)
{
    struct seen seen = {.s = s, .partition = partition, .no_epochs = empty};
    char path[1024];
    unsigned expected = 0;
    size_t n = strlen(partition);
    rig_until(&s->r, !log_store_busy(&s->r.st) && list_empty(&s->r.st.deletions));
    for (size_t i = 0; i < s->rows_n; i++) {
        const char *about = s->rows[i].col[1];
        if (strcmp(s->rows[i].col[0], "file") == 0 && strncmp(about, partition, n) == 0 &&
            about[n] == '/') {
            snprintf(path, sizeof path, "%s/%s", s->path, about);
            if (access(path, F_OK) == 0) {
                expected++;
            } else if (!may_be_gone(about + n + 1, start, empty)) {
                fail_msg("%s/%s: Kafka has it, we have not", s->name, about);
            }
        }
    }
    snprintf(path, sizeof path, "%s/%s", s->path, partition);
    assert_int_equal(io_list_dir(s->r.io, path, check_file, &seen), 0);
    assert_true(expected > 0);
    assert_int_equal(seen.files, expected);
}

static void check_directory(const char *name, bool rebuild)
{
    struct sample s;
    unsigned checked = 0;
    begin(&s, name, rebuild);
    for (size_t i = 0; i < s.d->entry_count; i++) {
        const struct log_dir_entry *e = &s.d->entries[i];
        struct log_config c;
        if (e->kind == LOG_DIR_METADATA) {
            continue;
        }
        assert_int_equal(e->kind, LOG_DIR_PLAIN);
        read_config(&s, e->topic, &c);
        struct plog *log = open_log(&s, e->name, &c);
        check_log(&s, log);
        assert_int_equal(plog_close_clean(log), 0);
        check_producers(&s, log);
        int64_t start = plog_start_offset(log);
        bool empty = plog_end_offset(log) == start;
        plog_close(log);
        check_files(&s, e->name, start, empty && rebuild);
        checked++;
    }
    size_t wanted = 0;
    for (size_t i = 0; i < s.rows_n; i++) {
        wanted += strcmp(s.rows[i].col[0], "offsets") == 0;
    }
    assert_int_equal(checked, wanted);
    end(&s);
}

static void plain(void **state)
{
    (void)state;
    check_directory("plain", false);
}

static void plain_rebuilt(void **state)
{
    (void)state;
    check_directory("plain", true);
}

static void txn(void **state)
{
    (void)state;
    check_directory("txn", false);
}

static void txn_rebuilt(void **state)
{
    (void)state;
    check_directory("txn", true);
}

static void killed(void **state)
{
    (void)state;
    check_directory("unclean/killed", false);
}

static void torn(void **state)
{
    (void)state;
    check_directory("unclean/torn", false);
}

static void flipped(void **state)
{
    (void)state;
    check_directory("unclean/flipped", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),       cmocka_unit_test(txn),    cmocka_unit_test(plain_rebuilt),
        cmocka_unit_test(txn_rebuilt), cmocka_unit_test(killed), cmocka_unit_test(torn),
        cmocka_unit_test(flipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
