/* Loading a coordinator: its partition's log from start to end, replayed into the core.
 *
 *     read a piece of the log -> batch by batch -> record by record -> group_coordinator_replay
 *
 * A turn does one slice of one coordinator: so many bytes are read or so many records replayed, so
 * that a shard which loads a million offsets serves its other connections meanwhile. Those that
 * load take turns.
 *
 * The end is the log's end, and nothing is served before all of it is below the high watermark.
 *
 * Failure modes: a batch with a wrong checksum or records that do not fit ends the load
 * (group_host.c tries again); a record that the core does not understand is the core's to skip. */
#include "broker/group_host.h"
#include "broker/partition_manager.h"
#include "controller/image.h"
#include "proto/record_legacy.h"

enum {
    LOAD_BYTES = 128 << 10, /* read at once; at most offsets.load.buffer.size */
    LOAD_RECORDS = 2000,    /* replayed in one turn */
};

/* One slice. */
enum step { STEP_MORE, STEP_DONE, STEP_FAILED };

/* A slice in the next turn: the timer is set when those of this turn have run. */
static void plan(struct group_host *h)
{
    shard_defer(h->ns->shard, &h->load_task);
}

void group_load_task_cb(struct task *t)
{
    struct group_host *h = t->user;
    timer_set(h->ns->shard, &h->load_timer, shard_now_ms(h->ns->shard));
}

void group_load_start(struct group_coord *c)
{
    struct group_load *l = &c->load;
    struct group_host *h = c->host;
    l->next = plog_start_offset(c->part->log);
    l->started_ms = shard_now_ms(h->ns->shard);
    l->batches = 0;
    l->rest = BYTES_NULL;
    l->in_batch = false;
    l->at_end = false;
    list_push_back(&h->loading, &l->node);
    plan(h);
}

void group_load_stop(struct group_coord *c)
{
    struct group_load *l = &c->load;
    if (l->in_batch) {
        record_reader_close(&l->batch);
        l->in_batch = false;
    }
    l->rest = BYTES_NULL;
    buf_free(&l->bytes);
    list_remove(&l->node);
}

/* ---- batches ---- */

static enum step fail(struct group_coord *c, const char *why)
{
    group_host_load_failed(c, why);
    return STEP_FAILED;
}

static void replay(struct group_coord *c, const struct batch_header *h, const struct record *r)
{
    struct group_replay at = {
        .producer_id = h ? h->producer_id : BATCH_NO_PRODUCER_ID,
        .transactional = h && batch_is_transactional(h),
        .timestamp = r->timestamp,
        .offset = r->offset,
    };
    /* what cannot be read is skipped and counted by the core */
    (void)group_coordinator_replay(c->core, &at, r->key, r->value);
}

/* What Kafka before 0.11 wrote: small, and replayed at once. */
static enum step replay_legacy(struct group_coord *c, struct bytes batch, int64_t *next)
{
    struct legacy_reader r = {0};
    struct record rec;
    int rc = legacy_crc_check(batch) ? legacy_reader_open(&r, batch, 0) : ERR_CORRUPT;
    int64_t before = *next;
    while (rc == 0 && (rc = legacy_reader_next(&r, &rec)) == 1) {
        replay(c, NULL, &rec);
        *next = rec.offset + 1;
        rc = 0;
    }
    legacy_reader_close(&r);
    return rc || *next <= before ? fail(c, "an old batch cannot be read") : STEP_MORE;
}

static void replay_control(struct group_coord *c, const struct batch_header *h,
                           const struct record *r)
{
    enum control_type type;
    if (control_key_read(r->key, &type) == 0 && (type == CONTROL_COMMIT || type == CONTROL_ABORT)) {
        group_coordinator_replay_marker(c->core, h->producer_id, type == CONTROL_COMMIT);
    }
}

static enum step begin_batch(struct group_coord *c, struct bytes batch)
{
    struct group_load *l = &c->load;
    struct batch_header h;
    int rc = batch_header_read(batch, &h);
    l->batches++;
    if (rc == ERR_UNSUPPORTED) {
        return replay_legacy(c, batch, &l->next);
    }
    if (rc || batch_next_offset(&h) <= l->next) {
        return fail(c, "a batch header makes no sense");
    }
    if (!batch_crc_check(batch) || record_reader_open(&l->batch, batch, 0)) {
        return fail(c, "a batch has a wrong checksum or cannot be decompressed");
    }
    l->in_batch = true;
    return STEP_MORE;
}

/* Records of the batch that is open, at most *left. */
static enum step replay_records(struct group_coord *c, uint32_t *left)
{
    struct group_load *l = &c->load;
    struct record rec;
    int rc = 1;
    while (*left > 0 && (rc = record_reader_next(&l->batch, &rec)) == 1) {
        if (batch_is_control(&l->batch.h)) {
            replay_control(c, &l->batch.h, &rec);
        } else {
            replay(c, &l->batch.h, &rec);
        }
        --*left;
    }
    if (rc < 0) {
        return fail(c, "the records of a batch do not fit its header");
    }
    if (rc == 0) {
        l->next = batch_next_offset(&l->batch.h);
        l->in_batch = false;
        record_reader_close(&l->batch);
    }
    return STEP_MORE;
}

/* ---- a slice ---- */

/* The next bytes of the log. */
static enum step read_more(struct group_coord *c)
{
    struct group_load *l = &c->load;
    struct partition *p = c->part;
    int32_t most = c->host->ns->node->config->v.offsets_load_buffer_size;
    uint32_t n = most < LOAD_BYTES ? (uint32_t)most : LOAD_BYTES;
    buf_clear(&l->bytes);
    int64_t got = plog_read_copy(p->log, l->next, n, true, plog_end_offset(p->log), &l->bytes);
    if (got < 0) {
        partition_note_error(p, (int)got, "read to load the group coordinator");
        if (p->group != c) { /* the partition went offline, and c with it */
            return STEP_FAILED;
        }
        return fail(c, err_text((int)got));
    }
    if (got == 0) {
        return fail(c, "the log ends before its end");
    }
    l->rest = buf_bytes(&l->bytes);
    return STEP_MORE;
}

static enum step slice(struct group_coord *c)
{
    struct group_load *l = &c->load;
    uint32_t left = LOAD_RECORDS;
    bool has_read = false;
    enum step s = STEP_MORE;
    while (s == STEP_MORE && left > 0) {
        struct bytes batch;
        int rc;
        if (l->in_batch) {
            s = replay_records(c, &left);
        } else if ((rc = batch_next(&l->rest, &batch)) == 1) {
            s = begin_batch(c, batch);
        } else if (rc < 0) {
            s = fail(c, "what follows a batch is none");
        } else if (l->next >= plog_end_offset(c->part->log)) {
            s = STEP_DONE;
        } else if (has_read) {
            break;
        } else {
            s = read_more(c);
            has_read = true;
        }
    }
    return s;
}

static void done(struct group_coord *c)
{
    struct group_load *l = &c->load;
    l->at_end = plog_high_watermark(c->part->log) < l->next;
    if (!l->at_end) {
        group_load_stop(c);
        group_host_loaded(c);
    }
}

void group_load_advanced(struct group_coord *c)
{
    struct group_load *l = &c->load;
    if (l->at_end && plog_high_watermark(c->part->log) >= l->next) {
        l->at_end = false;
        list_remove(&l->node);
        list_push_back(&c->host->loading, &l->node); /* the log may have grown meanwhile */
        plan(c->host);
    }
}

void group_load_timer_cb(struct timer *t)
{
    struct group_host *h = t->user;
    struct list *at = list_pop_front(&h->loading);
    if (at == NULL) {
        return;
    }
    struct group_coord *c = LIST_ENTRY(at, struct group_coord, load.node);
    switch (slice(c)) {
    case STEP_MORE:
        list_push_back(&h->loading, at);
        break;
    case STEP_DONE:
        done(c);
        break;
    case STEP_FAILED: /* c may be gone */
        break;
    }
    if (!list_empty(&h->loading)) {
        plan(h);
    }
}
