/* Scenario `storage`: partition logs under appends, rolls, flushes, cuts and restarts, on a disk
 * that fails in every way sim_disk.h knows, without broker or network.
 *
 * A run is a few sessions. Each starts the process (which may die on the way), checks what the logs
 * hold against log_model.h, does some dozens of random things, and ends: killed or without power,
 * between two calls or in the middle of one, or by an orderly stop. While it lives, every answer of
 * the log is compared with the model: results and offsets of appends, lookups by offset, time and
 * epoch against a full scan, producers against a replay. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sim/storage_world.h"

enum { BATCHES_MAX = 4, RECORDS_MAX = 8 };

/* What the run's disk may do; the rest does not happen in it. */
struct profile {
    bool eio;
    bool full;
    bool power;
    bool mid_call; /* deaths in the middle of calls */
};

struct job {
    struct sw *w;
    struct buf bytes[BATCHES_MAX];
    struct plog_batch batch[BATCHES_MAX];
    struct sw_producer *producer[BATCHES_MAX];
    int32_t records[BATCHES_MAX];
    unsigned n;
    int64_t offset; /* of a cut */
};

struct storage_run {
    struct sw w; /* first: functions inside the process get it */
    struct profile profile;
    struct job job;
};

static struct storage_run *of(struct sw *w)
{
    return CONTAINER_OF(w, struct storage_run, w);
}

/* ---- appending ---- */

static void batch_build(struct run *r, struct buf *out, const struct sw_producer *q,
                        int32_t sequence, int32_t records, int64_t now)
{
    static const enum codec codecs[] = {CODEC_NONE, CODEC_NONE, CODEC_NONE, CODEC_LZ4, CODEC_ZSTD};
    struct batch_builder b = {0};
    struct batch_options o = BATCH_OPTIONS_DEFAULT;
    uint8_t value[2000];
    o.codec = codecs[run_below(r, ARRAY_LEN(codecs))];
    if (q != NULL) {
        o.producer_id = q->id;
        o.producer_epoch = q->epoch;
        o.base_sequence = sequence;
    }
    batch_builder_init(&b, &o);
    for (int32_t i = 0; i < records; i++) {
        size_t n = (size_t)run_between(r, 0, run_chance(r, 10) ? 1000 : 100);
        for (size_t k = 0; k < n; k++) {
            value[k] = (uint8_t)prng_next(&r->rng);
        }
        batch_builder_add(&b, now - (int64_t)run_below(r, 20), BYTES_NULL, bytes_of(value, n), NULL,
                          0);
    }
    buf_clear(out);
    RUN_CHECK(r, batch_builder_finish(&b, out) == 0);
    batch_builder_free(&b);
}

static void append_fn(struct sw *w)
{
    struct job *j = &of(w)->job;
    struct plog_append_args args = {.origin = PLOG_CLIENT, .leader_epoch = w->part->epoch};
    w->result = (int)plog_append(w->part->log, j->batch, j->n, &args);
}

/* Draws batches and what they will look like in the log. */
static void append_draw(struct sw *w)
{
    struct run *r = w->r;
    struct sw_part *p = w->part;
    struct job *j = &of(w)->job;
    int32_t next[SW_PRODUCERS];
    for (int k = 0; k < SW_PRODUCERS; k++) {
        next[k] = p->producers[k].next;
    }
    int64_t at = p->model.end;
    int64_t now = sim_host_wall_ms(w->host);
    j->n = 1 + (unsigned)run_below(r, BATCHES_MAX);
    for (unsigned i = 0; i < j->n; i++) {
        size_t k = (size_t)run_below(r, SW_PRODUCERS + 1);
        struct sw_producer *q = k < SW_PRODUCERS ? &p->producers[k] : NULL;
        int32_t records;
        do {
            records = 1 + (int32_t)run_below(r, RECORDS_MAX);
            batch_build(r, &j->bytes[i], q, q ? next[k] : 0, records, now);
        } while (j->bytes[i].len > (size_t)p->config.segment_bytes);
        if (q != NULL) {
            next[k] = batch_sequence_add(next[k], records);
        }
        j->producer[i] = q;
        j->records[i] = records;
        /* As it will stand there; the copy goes into the log's hands as the client sent it. */
        batch_set_base_offset(j->bytes[i].data, at);
        batch_set_leader_epoch(j->bytes[i].data, p->epoch);
        log_model_doubt(r, &p->model, j->bytes[i].data, j->bytes[i].len);
        batch_set_base_offset(j->bytes[i].data, 0);
        j->batch[i] =
            (struct plog_batch){.data = j->bytes[i].data, .len = (uint32_t)j->bytes[i].len};
        at += records;
    }
}

/* What the log and the model know of a producer, for the story of a failed run. */
static void tell_producer(struct sw *w, int64_t id)
{
    struct sw_part *p = w->part;
    struct arena a = {0};
    struct plog_producer *v;
    unsigned n = 0;
    if (plog_producers(p->log, &a, &v, &n) == 0) {
        for (unsigned i = 0; i < n; i++) {
            if (v[i].producer_id == id) {
                run_note(w->r, "log: producer %lld epoch %d last sequence %d", (long long)id,
                         v[i].producer_epoch, v[i].last_sequence);
            }
        }
    }
    for (size_t i = 0; i < p->model.acked.n; i++) {
        const struct model_batch *b = &p->model.acked.v[i];
        if (b->h.producer_id == id) {
            run_note(w->r, "model: producer %lld epoch %d sequence %d at %lld..%lld", (long long)id,
                     b->h.producer_epoch, b->h.base_sequence, (long long)b->base,
                     (long long)b->last);
        }
    }
    run_note(w->r, "%s: %lld..%lld", p->name, (long long)plog_start_offset(p->log),
             (long long)plog_end_offset(p->log));
    arena_free(&a);
}

static void append_judge(struct sw *w, const struct model_batch *expected)
{
    struct run *r = w->r;
    struct sw_part *p = w->part;
    struct job *j = &of(w)->job;
    int appended = 0;
    for (unsigned i = 0; i < j->n; i++) {
        struct plog_batch *b = &j->batch[i];
        if (b->result == PLOG_APPENDED) {
            if (b->base_offset != expected[i].base || b->last_offset != expected[i].last ||
                memcmp(b->data, expected[i].data, b->len) != 0) {
                run_fail(r, "%s: appended at %lld..%lld, expected %lld..%lld", p->name,
                         (long long)b->base_offset, (long long)b->last_offset,
                         (long long)expected[i].base, (long long)expected[i].last);
            }
            log_model_append(r, &p->model, b->data, b->len);
            if (j->producer[i] != NULL) {
                j->producer[i]->next = batch_sequence_add(j->producer[i]->next, j->records[i]);
            }
            appended++;
        } else if (b->result == PLOG_NO_SPACE || (b->result == PLOG_OFFLINE && w->offline)) {
            RUN_CHECK(r, b->base_offset == -1);
        } else {
            const struct model_batch *x = &expected[i];
            tell_producer(w, x->h.producer_id);
            run_fail(r, "%s: a good batch was refused: %d (producer %lld epoch %d sequence %d)",
                     p->name, (int)b->result, (long long)x->h.producer_id, x->h.producer_epoch,
                     x->h.base_sequence);
        }
    }
    RUN_CHECK(r, appended == w->result);
    RUN_CHECK(r, plog_end_offset(p->log) == p->model.end);
    plog_set_high_watermark(p->log, p->model.end);
}

static bool op_append(struct sw *w)
{
    struct run *r = w->r;
    struct sw_part *p = w->part;
    size_t mark = p->model.doubtful.n;
    append_draw(w);
    struct job *j = &of(w)->job;
    uint64_t full = w->host->disk->stats.nospace;
    if (!sw_within(w, append_fn)) {
        return false; /* all of them stay doubtful */
    }
    append_judge(w, p->model.doubtful.v + mark);
    bool all = w->result == (int)j->n;
    if (!all && !w->offline && full == w->host->disk->stats.nospace &&
        w->host->disk->used + SIM_PAGE < w->host->disk->capacity / 2) {
        /* It may still be waiting for space; not for ever. */
        run_note(r, "%s: refuses although there is space", p->name);
    }
    if (all) {
        log_model_undoubt(&p->model, mark);
    }
    return true;
}

/* A batch that must not be appended: a repeated one, a gap, an old epoch. */
static bool op_append_bad(struct sw *w)
{
    struct run *r = w->r;
    struct sw_part *p = w->part;
    struct job *j = &of(w)->job;
    struct sw_producer *q = &p->producers[run_below(r, SW_PRODUCERS)];
    const struct model_batch *last = NULL;
    for (size_t i = p->model.acked.n; i > 0 && last == NULL; i--) {
        const struct model_batch *b = &p->model.acked.v[i - 1];
        last = b->h.producer_id == q->id ? b : NULL;
    }
    if (last == NULL || last->base < p->model.start || w->offline) {
        return true;
    }
    int64_t base = last->base;
    struct sw_producer as = {.id = q->id, .epoch = last->h.producer_epoch};
    enum plog_result want = PLOG_DUPLICATE;
    int32_t sequence = last->h.base_sequence;
    int32_t records = last->h.record_count;
    if (run_chance(r, 30)) {
        want = PLOG_OUT_OF_ORDER;
        sequence = batch_sequence_add(batch_last_sequence(&last->h), 2 + (int32_t)run_below(r, 5));
    } else if (as.epoch > 0 && run_chance(r, 50)) {
        want = PLOG_INVALID_EPOCH;
        as.epoch--;
        sequence = 0;
    }
    batch_build(r, &j->bytes[0], &as, sequence, records, sim_host_wall_ms(w->host));
    j->batch[0] = (struct plog_batch){.data = j->bytes[0].data, .len = (uint32_t)j->bytes[0].len};
    j->n = 1;
    if (j->batch[0].len > (uint64_t)p->config.segment_bytes) {
        want = PLOG_TOO_LARGE; /* first of all */
    }
    if (!sw_within(w, append_fn)) {
        return false;
    }
    if (w->offline || j->batch[0].result == PLOG_NO_SPACE) {
        return true;
    }
    if (j->batch[0].result != want || (want == PLOG_DUPLICATE && j->batch[0].base_offset != base)) {
        run_fail(r,
                 "%s: producer %lld epoch %d sequence %d: result %d at %lld, expected %d at %lld",
                 p->name, (long long)as.id, as.epoch, sequence, (int)j->batch[0].result,
                 (long long)j->batch[0].base_offset, (int)want, (long long)base);
    }
    return true;
}

static bool op_bump_producer(struct sw *w)
{
    struct sw_producer *q = &w->part->producers[run_below(w->r, SW_PRODUCERS)];
    if (q->epoch < INT16_MAX) {
        q->epoch++;
        q->next = 0;
    }
    return true;
}

/* ---- flushing ---- */

static void flush_cb(struct plog_flush *f, int err)
{
    struct sw_flush *sf = CONTAINER_OF(f, struct sw_flush, f);
    struct run *r = sf->sw->r;
    RUN_CHECK(r, sf->in_flight);
    sf->in_flight = false;
    if (err != 0) {
        RUN_CHECK(r, sf->sw->offline || err == ERR_NOSPACE);
        return;
    }
    if (sf->cuts != sf->part->cuts) {
        return;
    }
    if (f->offset < sf->end) {
        run_fail(r, "%s: flushed to %lld, asked for at %lld", sf->part->name, (long long)f->offset,
                 (long long)sf->end);
    }
    log_model_flushed(&sf->part->model, f->offset);
}

static void flush_fn(struct sw *w)
{
    struct sw_part *p = w->part;
    for (int k = 0; k < SW_FLUSHES; k++) {
        struct sw_flush *f = &p->flushes[k];
        if (!f->in_flight) {
            *f = (struct sw_flush){
                .sw = w, .part = p, .end = p->model.end, .cuts = p->cuts, .in_flight = true};
            plog_flush_start(p->log, &f->f, flush_cb, f);
            return;
        }
    }
}

static bool op_flush(struct sw *w)
{
    return sw_within(w, flush_fn);
}

static bool op_checkpoint(struct sw *w)
{
    if (!sw_within(w, sw_checkpoint)) {
        return false;
    }
    return true;
}

/* ---- cutting ---- */

static void roll_fn(struct sw *w)
{
    w->result = plog_roll(w->part->log);
}

static void epoch_fn(struct sw *w)
{
    w->result = plog_begin_epoch(w->part->log, w->part->epoch);
}

static bool op_roll(struct sw *w)
{
    return sw_within(w, roll_fn);
}

static bool op_epoch(struct sw *w)
{
    w->part->epoch++;
    return sw_within(w, epoch_fn);
}

static void start_offset_fn(struct sw *w)
{
    w->result = plog_set_start_offset(w->part->log, of(w)->job.offset);
}

static void took_start(struct sw *w)
{
    struct sw_part *p = w->part;
    int64_t start = plog_start_offset(p->log);
    RUN_CHECK(w->r, start >= p->model.start && start <= p->start_max);
    p->model.start = p->start_max = start;
}

static bool op_delete_records(struct sw *w)
{
    struct sw_part *p = w->part;
    int64_t span = p->model.end - p->model.start;
    int64_t to = p->model.start + (int64_t)run_below(w->r, (uint64_t)span + 1);
    of(w)->job.offset = to;
    p->start_max = to;
    if (!sw_within(w, start_offset_fn)) {
        return false;
    }
    if (w->result == 0) {
        RUN_CHECK(w->r, plog_start_offset(p->log) == to);
    }
    took_start(w);
    return true;
}

static void retention_fn(struct sw *w)
{
    unsigned deleted;
    w->result = plog_retention(w->part->log, &deleted);
}

/* Without the segments that go because they lie below the log's start. */
static uint64_t size_from_start(const struct plog *log)
{
    uint64_t size = plog_size(log);
    unsigned n = plog_segment_count(log);
    for (unsigned i = 0;
         i + 1 < n && plog_segment_info(log, i + 1).base_offset <= plog_start_offset(log); i++) {
        size -= plog_segment_info(log, i).size;
    }
    return size;
}

static bool op_retention(struct sw *w)
{
    struct sw_part *p = w->part;
    bool shrink = run_chance(w->r, 30);
    uint64_t before = size_from_start(p->log);
    p->config.retention_bytes = shrink ? (int64_t)run_between(w->r, 1000, 40000) : -1;
    p->start_max = p->model.end;
    bool lives = sw_within(w, retention_fn);
    uint64_t limit = (uint64_t)p->config.retention_bytes;
    p->config.retention_bytes = -1;
    if (!lives) {
        return false;
    }
    took_start(w);
    if (shrink && w->result == 0) {
        uint64_t after = plog_size(p->log);
        RUN_CHECK(w->r, after >= limit || after == before || before < limit);
    }
    /* An active segment that was deleted is followed by a new one. */
    RUN_CHECK(w->r, plog_end_offset(p->log) == p->model.end);
    return true;
}

static void truncate_fn(struct sw *w)
{
    w->result = plog_truncate_to(w->part->log, of(w)->job.offset);
}

static void truncate_fully_fn(struct sw *w)
{
    w->result = plog_truncate_fully(w->part->log, of(w)->job.offset);
}

/* After a cut the old recovery point must not stay in the checkpoint: log.h. If it cannot be
 * replaced, nothing is appended any more. */
static bool new_recovery_point(struct sw *w, int64_t to)
{
    struct sw_part *p = w->part;
    sw_producers_from_model(p);
    p->sure_from = to;
    if (!sw_within(w, sw_checkpoint)) {
        return false;
    }
    if (w->result != 0) {
        p->open_end = true;
        return true;
    }
    p->epoch++;
    return sw_within(w, epoch_fn);
}

/* A new leader cuts what diverges: to the start of a batch. */
static bool op_truncate(struct sw *w)
{
    struct sw_part *p = w->part;
    const struct batch_list *l = &p->model.acked;
    if (l->n == 0 || w->offline) {
        return true;
    }
    size_t back = (size_t)run_between(w->r, 1, l->n < 10 ? l->n : 10);
    int64_t to = l->v[l->n - back].base;
    if (to < p->model.start) {
        return true;
    }
    of(w)->job.offset = to;
    log_model_truncate(&p->model, to);
    p->cuts++;
    p->start_max = p->start_max < to ? p->start_max : to;
    if (!sw_within(w, truncate_fn)) {
        return false;
    }
    if (w->result != 0) {
        p->open_end = true; /* half cut: only the restart tells */
        RUN_CHECK(w->r, w->offline || w->host->disk->stats.nospace > 0);
        w->offline = true;
        return true;
    }
    RUN_CHECK(w->r, plog_end_offset(p->log) == to);
    return new_recovery_point(w, to);
}

static bool op_truncate_fully(struct sw *w)
{
    struct sw_part *p = w->part;
    int64_t to = p->model.end + 1 + (int64_t)run_below(w->r, 100);
    of(w)->job.offset = to;
    p->open_end = true;
    p->cut_to = to;
    p->cuts++;
    p->model.durable = 0;
    p->start_max = to;
    if (!sw_within(w, truncate_fully_fn)) {
        return false;
    }
    if (w->result != 0) {
        RUN_CHECK(w->r, w->offline || w->host->disk->stats.nospace > 0);
        w->offline = true;
        return true;
    }
    p->open_end = false;
    p->cut_to = -1;
    log_model_truncate_fully(&p->model, to);
    p->model.durable = 0;
    RUN_CHECK(w->r, plog_end_offset(p->log) == to && plog_start_offset(p->log) == to);
    return new_recovery_point(w, to);
}

/* ---- looking ---- */

static void look_same(struct sw *w)
{
    struct sw_part *p = w->part;
    struct buf content = {0};
    w->result = sw_read_all(w, p, &content);
    if (w->result == 0) {
        log_model_same(w->r, &p->model, buf_bytes(&content), plog_start_offset(p->log),
                       plog_end_offset(p->log));
    }
    buf_free(&content);
}

/* A range by offset: it begins with the batch that holds the offset. */
static void look_offset(struct sw *w)
{
    struct run *r = w->r;
    struct sw_part *p = w->part;
    int64_t span = p->model.end - p->model.start;
    int64_t at = p->model.start + (int64_t)run_below(r, (uint64_t)span + 1);
    uint32_t max = (uint32_t)run_between(r, 1, 20000);
    struct plog_range range = {0};
    w->result = plog_read(p->log, at, max, true, p->model.end, &range);
    if (w->result != 0) {
        return;
    }
    const struct model_batch *b = log_model_find(&p->model, at);
    if (b == NULL || range.len == 0) {
        RUN_CHECK(r, b == NULL && range.len == 0);
        return;
    }
    size_t n = range.len < b->len ? range.len : b->len;
    RUN_CHECK(r, range.base_offset == b->base && range.len >= b->len);
    uint8_t *got = mem_alloc(n);
    int64_t read = io_pread(range.file, got, n, range.pos);
    if (read == (int64_t)n && memcmp(got, b->data, n) != 0) {
        run_fail(r, "%s: a fetch at %lld gives other bytes", p->name, (long long)at);
    }
    RUN_CHECK(r, read == (int64_t)n || read == ERR_IO);
    mem_free(got);
    file_lease_release(&range.lease);
}

static void look_epoch(struct sw *w)
{
    struct sw_part *p = w->part;
    if (p->model.end == p->model.start) {
        return;
    }
    int64_t at =
        p->model.start + (int64_t)run_below(w->r, (uint64_t)(p->model.end - p->model.start));
    int32_t epoch;
    w->result = plog_epoch_of(p->log, at, &epoch);
    const struct model_batch *b = log_model_find(&p->model, at);
    if (w->result == 0 && b != NULL && epoch != b->h.leader_epoch) {
        run_fail(w->r, "%s: offset %lld has epoch %d, the log says %d", p->name, (long long)at,
                 b->h.leader_epoch, epoch);
    }
}

/* The first readable record from there on, by walking through everything. */
static int64_t scan_time(struct sw *w, int64_t time, int64_t *timestamp)
{
    struct sw_part *p = w->part;
    for (size_t i = 0; i < p->model.acked.n; i++) {
        const struct model_batch *b = &p->model.acked.v[i];
        int64_t offset;
        if (b->last >= p->model.start && b->h.max_timestamp >= time &&
            batch_find_timestamp(bytes_of(b->data, b->len), time, p->model.start, 0, &offset,
                                 timestamp) == 1) {
            return offset;
        }
    }
    return -1;
}

static void look_time(struct sw *w)
{
    struct run *r = w->r;
    struct sw_part *p = w->part;
    int64_t time = sim_host_wall_ms(w->host) - (int64_t)run_between(r, 0, 100000);
    int64_t timestamp = -1;
    struct plog_time_offset got;
    w->result = plog_offset_by_time(p->log, time, &got);
    if (w->result != 0) {
        return;
    }
    int64_t want = scan_time(w, time, &timestamp);
    if (got.offset != want || (want >= 0 && got.timestamp != timestamp)) {
        run_fail(r, "%s: time %lld is at offset %lld, the log says %lld", p->name, (long long)time,
                 (long long)want, (long long)got.offset);
    }
    w->result = plog_offset_of_max_timestamp(p->log, &got);
    int64_t max = -1;
    for (size_t i = 0; i < p->model.acked.n; i++) {
        const struct model_batch *b = &p->model.acked.v[i];
        bool whole = b->base >= p->model.start;
        max = whole && b->h.max_timestamp > max ? b->h.max_timestamp : max;
    }
    if (w->result == 0 && got.timestamp < max) {
        run_fail(r, "%s: the largest timestamp is %lld, the log says %lld", p->name, (long long)max,
                 (long long)got.timestamp);
    }
}

static const struct plog_producer *find_producer(const struct plog_producer *v, unsigned n,
                                                 int64_t id)
{
    for (unsigned i = 0; i < n; i++) {
        if (v[i].producer_id == id) {
            return &v[i];
        }
    }
    return NULL;
}

static void look_producers(struct sw *w)
{
    struct sw_part *p = w->part;
    struct arena a = {0};
    struct plog_producer *v;
    unsigned n;
    w->result = plog_producers(p->log, &a, &v, &n);
    for (int k = 0; k < SW_PRODUCERS && w->result == 0; k++) {
        const struct plog_producer *got = find_producer(v, n, p->producers[k].id);
        const struct model_batch *last = NULL;
        for (size_t i = p->model.acked.n; i > 0 && last == NULL; i--) {
            const struct model_batch *b = &p->model.acked.v[i - 1];
            last = b->h.producer_id == p->producers[k].id ? b : NULL;
        }
        if (got == NULL ? last != NULL && last->last >= p->model.start
                        : last == NULL || got->last_sequence != batch_last_sequence(&last->h) ||
                              got->producer_epoch != last->h.producer_epoch) {
            run_fail(w->r, "%s: producer %lld: state has sequence %d, the log has %d (offset %lld)",
                     p->name, (long long)p->producers[k].id, got ? got->last_sequence : -2,
                     last ? batch_last_sequence(&last->h) : -2, last ? (long long)last->base : -1);
        }
    }
    arena_free(&a);
}

static bool op_look(struct sw *w)
{
    static void (*const looks[])(struct sw * w) = {
        look_offset, look_offset, look_offset, look_same, look_epoch, look_time, look_producers};
    w->result = 0;
    if (!sw_within(w, looks[run_below(w->r, ARRAY_LEN(looks))])) {
        return false;
    }
    bool allowed = w->offline || (w->result == ERR_IO && w->host->disk->stats.eio > w->trouble);
    if (w->result != 0 && !allowed) {
        run_fail(w->r, "%s: a look at it fails: %s", w->part->name, err_text(w->result));
    }
    return true;
}

/* ---- the disk ---- */

static bool op_fault(struct sw *w)
{
    struct run *r = w->r;
    const struct profile *p = &of(w)->profile;
    struct sim_disk *d = w->host->disk;
    switch (run_below(r, 6)) {
    case 0:
        if (p->full) {
            d->capacity = d->used + (uint64_t)run_between(r, 0, 20) * SIM_PAGE;
        }
        break;
    case 1:
        d->faults.write_eio_in = p->eio && run_chance(r, 30) ? run_between(r, 1, 20) : 0;
        break;
    case 2:
        d->faults.fsync_eio_in = p->eio && run_chance(r, 30) ? run_between(r, 1, 5) : 0;
        break;
    case 3:
        d->faults.read_eio_in = p->eio && run_chance(r, 30) ? run_between(r, 1, 20) : 0;
        break;
    case 4:
        d->faults.writeback_ppm = run_chance(r, 50) ? 100000 : 0;
        d->faults.journal_ppm = run_chance(r, 50) ? 200000 : 0;
        break;
    default:
        d->faults.fsync_us_max = (uint32_t)run_between(r, 100, 50000);
    }
    return true;
}

/* Space is back: every log that is not offline takes appends again by itself. */
static bool op_space(struct sw *w)
{
    struct sim_disk *d = w->host->disk;
    d->capacity = 64u << 20;
    if (w->offline || !of(w)->profile.full || !run_chance(w->r, 30)) {
        return true;
    }
    if (!sw_turns(w, 2000000)) {
        return false;
    }
    uint64_t eio = d->stats.eio;
    int64_t end = w->part->model.end;
    if (!op_append(w)) {
        return false;
    }
    if (w->part->model.end == end && d->stats.eio == eio && !w->offline) {
        run_fail(w->r, "%s: refuses appends two seconds after space came back", w->part->name);
    }
    return true;
}

/* ---- the run ---- */

struct op {
    unsigned weight;
    bool (*fn)(struct sw *w);
};

static const struct op ops[] = {
    {40, op_append},    {6, op_append_bad}, {2, op_bump_producer},  {12, op_flush},
    {5, op_checkpoint}, {4, op_roll},       {2, op_epoch},          {4, op_delete_records},
    {4, op_retention},  {2, op_truncate},   {1, op_truncate_fully}, {25, op_look},
    {6, op_fault},      {4, op_space},
};

static bool step(struct sw *w)
{
    unsigned total = 0;
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        total += ops[i].weight;
    }
    uint64_t pick = run_below(w->r, total);
    size_t i = 0;
    while (pick >= ops[i].weight) {
        pick -= ops[i++].weight;
    }
    w->part = &w->parts[run_below(w->r, w->parts_n)];
    uint64_t eio = w->host->disk->stats.eio;
    /* Of a log that a cut failed on, only the next start can tell what it holds. */
    bool lives = w->part->open_end || ops[i].fn(w);
    lives = lives && (run_chance(w->r, 40) || sw_turns(w, (int64_t)run_between(w->r, 0, 100000)));
    if (w->host->disk->stats.eio != eio) {
        w->disk_lost_bytes = true; /* a failed fsync, or a failed write that was cut */
    }
    w->r->steps++;
    return lives;
}

static void session_faults_off(struct sw *w)
{
    w->host->disk->faults = sim_disk_no_faults();
    w->host->disk->capacity = 64u << 20;
}

static enum sw_end draw_end(struct storage_run *s)
{
    return s->profile.power && run_chance(s->w.r, 60) ? SW_POWER : SW_KILL;
}

static void session(struct storage_run *s)
{
    struct sw *w = &s->w;
    struct run *r = w->r;
    bool die_early = s->profile.mid_call && run_chance(r, 20);
    if (!sw_start(w, die_early ? 1 + run_below(r, 40) : 0)) {
        sw_end(w, draw_end(s));
        session_faults_off(w);
        return;
    }
    uint64_t steps = run_between(r, 5, 150);
    if (s->profile.mid_call && run_chance(r, 70)) {
        sim_proc_die_in(w->proc, run_between(r, 1, steps * 2));
    }
    bool lives = true;
    for (uint64_t i = 0; i < steps && lives; i++) {
        lives = step(w);
    }
    if (lives && run_chance(r, 40)) {
        session_faults_off(w);
        lives = sw_stop(w);
        if (lives && s->profile.power && run_chance(r, 50)) {
            run_note(r, "power loss after the stop");
            sim_host_power_loss(w->host);
            sim_host_power_on(w->host);
            w->after_power_loss = true;
            for (unsigned i = 0; i < w->parts_n; i++) {
                w->parts[i].required = w->parts[i].model.durable;
                w->parts[i].must_exist = w->parts[i].model.durable > 0;
            }
        }
        if (lives) {
            return;
        }
    }
    enum sw_end how = draw_end(s);
    run_note(r, "%s %s", how == SW_KILL ? "killed" : "power loss", lives ? "" : "in a call");
    sw_end(w, how);
    session_faults_off(w);
}

static void run_storage(struct run *r)
{
    struct storage_run *s = MEM_NEW(struct storage_run);
    run_world(r, false);
    sw_init(&s->w, r);
    s->profile = (struct profile){.eio = run_chance(r, 40),
                                  .full = run_chance(r, 40),
                                  .power = run_chance(r, 70),
                                  .mid_call = run_chance(r, 70)};
    for (uint64_t k = 2 + run_below(r, 6); k > 0; k--) {
        session(s);
    }
    /* The last word: it starts, and everything that must be there is. */
    if (!sw_start(&s->w, 0)) {
        run_fail(r, "does not start after the last end");
    }
    if (!sw_stop(&s->w)) {
        run_fail(r, "does not stop at the end");
    }
    sw_free(&s->w);
}

const struct scenario scenario_storage = {
    .name = "storage",
    .what = "partition logs: appends, rolls, flushes, cuts; kill, power loss, EIO, full disk",
    .run = run_storage,
    .mutants = MUTANT_BIT(MUTANT_FSYNC) | MUTANT_BIT(MUTANT_FSYNC_DIR) | MUTANT_BIT(MUTANT_KILL) |
               MUTANT_BIT(MUTANT_TEAR) | MUTANT_BIT(MUTANT_CUT),
};
