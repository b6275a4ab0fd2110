/* The images of a controller. Not leading: the loader reads what is committed, as brokers do.
 * Leading: every append makes the next version at once, on which the next decision is made; a
 * version becomes the committed one when its last record is. */
#include "base/mem.h"
#include "controller/controller_private.h"
#include "proto_messages.h"

enum {
    FEED_BYTES = 1 << 20,
    BATCH_BYTES_MAX = 4 << 20, /* where a splittable decision is split */
};

/* ---- reading ---- */

void controller_take_published(struct controller *c, struct loader *from)
{
    struct image_delta *delta;
    if (loader_publish(from, &delta)) {
        image_delta_put(delta);
        image_put(c->committed);
        c->committed = image_get(loader_image(from));
    }
}

int controller_load(struct controller *c, struct errmsg *em)
{
    struct metadata_snapshot_id id = metadata_log_newest_snapshot(c->mlog);
    struct buf piece = {0};
    uint64_t size;
    uint64_t at = 0;
    if (id.offset < 0) {
        return 0;
    }
    int err = metadata_log_snapshot_size(c->mlog, id, &size);
    if (err) {
        return errmsg_set(em, err, "the metadata snapshot at offset %lld cannot be read: %s",
                          (long long)id.offset, err_text(err));
    }
    loader_snapshot_begin(c->loader, id.offset, id.epoch);
    while (err == 0 && at < size) {
        buf_clear(&piece);
        err = metadata_log_snapshot_read(c->mlog, id, at, FEED_BYTES, &piece);
        if (err == 0 && piece.len == 0) {
            err = ERR_TRUNCATED;
        }
        if (err) {
            errmsg_set(em, err, "the metadata snapshot at offset %lld cannot be read: %s",
                       (long long)id.offset, err_text(err));
        } else {
            err = loader_snapshot_feed(c->loader, buf_bytes(&piece), em);
        }
        at += piece.len;
    }
    err = err ? err : loader_snapshot_end(c->loader, em);
    buf_free(&piece);
    if (err == 0) {
        controller_take_published(c, c->loader);
    }
    return err;
}

bool controller_feed(struct controller *c, int64_t offset)
{
    struct buf piece = {0};
    struct errmsg em = {{0}};
    int err = 0;
    while (err == 0 && loader_next_offset(c->loader) < offset) {
        buf_clear(&piece);
        err = metadata_log_read(c->mlog, loader_next_offset(c->loader), FEED_BYTES, offset, &piece,
                                &em);
        err = err ? err : loader_feed(c->loader, buf_bytes(&piece), &em);
    }
    buf_free(&piece);
    if (err) {
        controller_fail(c, em.text);
        return false;
    }
    controller_take_published(c, c->loader);
    return true;
}

/* ---- leading ---- */

void controller_image_lead(struct controller *c)
{
    ASSERT(c->newest == NULL && list_empty(&c->appended));
    c->newest = image_get(c->committed);
}

static void drop(struct appended *a)
{
    list_remove(&a->node);
    image_put(a->image);
    mem_free(a);
}

void controller_image_lost(struct controller *c)
{
    while (!list_empty(&c->appended)) {
        drop(LIST_ENTRY(c->appended.next, struct appended, node));
    }
    image_put(c->newest);
    c->newest = NULL;
}

void controller_image_commit(struct controller *c, int64_t offset)
{
    while (!list_empty(&c->appended)) {
        struct appended *a = LIST_ENTRY(c->appended.next, struct appended, node);
        if (a->end > offset) {
            break;
        }
        image_put(c->committed);
        c->committed = image_get(a->image);
        loader_reset(c->loader, c->committed, a->end, a->image->epoch);
        drop(a);
    }
}

/* ---- appending ---- */

/* Only for readers of the log: they mean nothing to an image that gets the batch as a whole. */
static bool is_framing(const struct proto_message *m)
{
    return m == &begin_transaction_record_msg || m == &end_transaction_record_msg ||
           m == &abort_transaction_record_msg;
}

static int apply(struct image_delta *delta, struct bytes record, struct arena *a, struct errmsg *em)
{
    const struct proto_message *m;
    int16_t version;
    void *r;
    int err = proto_decode_metadata_record(record, a, &m, &version, &r);
    if (err) {
        return errmsg_set(em, err, "a metadata record of this controller does not decode (%s)",
                          err_text(err));
    }
    return is_framing(m) ? 0 : image_delta_apply(delta, m, version, r, em);
}

/* One batch: records from..from+n-1. */
static int append_batch(struct controller *c, struct decision *d, size_t from, size_t n,
                        struct errmsg *em)
{
    struct bytes *records = mem_alloc(n * sizeof *records);
    struct image_delta *delta = image_delta_new(c->newest);
    struct arena a = {0};
    int64_t wall_ms = io_wall_ms(c->io);
    int64_t end;
    int err = 0;
    for (size_t i = 0; i < n && err == 0; i++) {
        records[i] = decision_record(d, from + i);
        err = apply(delta, records[i], &a, em);
    }
    arena_free(&a);
    if (err) {
        controller_fail(c, em->text);
    } else {
        err = quorum_append(c->quorum, records, n, wall_ms, &end, em);
    }
    if (err == 0) {
        struct appended *ap = MEM_NEW(struct appended);
        image_put(c->newest);
        c->newest = image_delta_finish(delta, end - 1, quorum_epoch(c->quorum), wall_ms);
        controller_elections(c, delta);
        ap->end = end;
        ap->image = image_get(c->newest);
        list_push_back(&c->appended, &ap->node);
        c->appended_ms = shard_now_ms(c->shard);
    }
    image_delta_put(delta);
    mem_free(records);
    return err;
}

int controller_append(struct controller *c, struct decision *d, struct errmsg *em)
{
    size_t from = 0;
    int err = 0;
    if (!c->active) {
        return errmsg_set(em, ERR_NOTLEADER, "this node is not the active controller");
    }
    while (err == 0 && from < d->n) {
        size_t n = 0;
        size_t bytes = 0;
        while (from + n < d->n &&
               (!d->splittable || n == 0 || bytes + d->spans[from + n].len <= BATCH_BYTES_MAX)) {
            bytes += d->spans[from + n].len;
            n++;
        }
        err = append_batch(c, d, from, n, em);
        from += n;
    }
    return err;
}

static struct uuid new_id(void *ctx)
{
    struct controller *c = ctx;
    uint8_t random[16];
    struct uuid id;
    do {
        io_random(c->io, random, sizeof random);
    } while (!uuid_from_random(random, &id));
    return id;
}

void controller_decision(struct controller *c, struct decision *d, struct arena *a)
{
    ASSERT(c->active);
    decision_init(d);
    d->img = c->newest;
    d->cfg = &c->cfg;
    d->sessions = &c->sessions;
    d->observers = &c->observers;
    d->rng = &c->rng;
    d->new_id = new_id;
    d->new_id_ctx = c;
    d->arena = a;
    d->now_ms = shard_now_ms(c->shard);
    d->next_offset = quorum_next_offset(c->quorum);
}
