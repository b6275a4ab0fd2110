#include "controller/loader.h"

#include "base/mem.h"
#include "proto/record_batch.h"
#include "proto_messages.h"

/* Records of an open metadata transaction, framed, one behind the other with their lengths. */
struct held {
    struct buf records;
    bool open;
};

struct loader {
    struct image *image;       /* published */
    struct image_delta *delta; /* since then; NULL when nothing came */
    int64_t next_offset;
    int32_t epoch;
    int64_t time_ms; /* of the last batch */
    int64_t applied; /* offset of the last batch outside of an open transaction */
    bool moved;      /* applied moved since the last publish */
    bool failed;
    struct held held;
    struct arena arena; /* decoded records of one batch */
    /* a snapshot being fed */
    struct buf snapshot; /* bytes of a batch that is not whole yet */
    struct image_delta *snapshot_delta;
    int64_t snapshot_end;
    int32_t snapshot_epoch;
    int64_t snapshot_time;
    int64_t snapshot_next; /* offset of the next batch in it */
    bool snapshot_header;
    bool snapshot_footer;
};

struct loader *loader_new(void)
{
    struct loader *l = MEM_NEW(struct loader);
    l->image = image_empty();
    l->epoch = -1;
    l->time_ms = -1;
    l->applied = -1;
    return l;
}

static void drop_unpublished(struct loader *l)
{
    image_delta_put(l->delta);
    l->delta = NULL;
    l->moved = false;
    l->held.open = false;
    buf_clear(&l->held.records);
    loader_snapshot_abandon(l);
}

void loader_free(struct loader *l)
{
    if (l == NULL) {
        return;
    }
    drop_unpublished(l);
    image_put(l->image);
    buf_free(&l->held.records);
    buf_free(&l->snapshot);
    arena_free(&l->arena);
    mem_free(l);
}

void loader_reset(struct loader *l, struct image *img, int64_t next_offset, int32_t epoch)
{
    struct image *mine = image_get(img);
    drop_unpublished(l);
    image_put(l->image);
    l->image = mine;
    l->next_offset = next_offset;
    l->epoch = epoch;
    l->applied = img->offset;
    l->time_ms = img->time_ms;
    l->failed = false;
}

int64_t loader_next_offset(const struct loader *l)
{
    return l->next_offset;
}

int32_t loader_last_epoch(const struct loader *l)
{
    return l->epoch;
}

bool loader_in_transaction(const struct loader *l)
{
    return l->held.open;
}

struct image *loader_image(const struct loader *l)
{
    return l->image;
}

/* ---- records ---- */

static struct image_delta *delta_of(struct loader *l)
{
    if (l->delta == NULL) {
        l->delta = image_delta_new(l->image);
    }
    return l->delta;
}

/* One framed record into d. */
static int apply_record(struct loader *l, struct image_delta *d, struct bytes value,
                        struct errmsg *em)
{
    const struct proto_message *m;
    int16_t version;
    void *record;
    int err = proto_decode_metadata_record(value, &l->arena, &m, &version, &record);
    if (err == ERR_UNSUPPORTED) {
        return errmsg_set(em, err,
                          "a metadata record is of a type or version that this release does not "
                          "know: start the node with the release that wrote it");
    }
    if (err) {
        return errmsg_set(em, ERR_CORRUPT, "a metadata record does not decode (%s)", err_text(err));
    }
    return image_delta_apply(d, m, version, record, em);
}

/* Whether a framed record is of the type of m: frame version, then the type, both uvarints. */
static bool is_record(struct bytes value, const struct proto_message *m)
{
    return value.len >= 2 && value.data[0] == 1 && value.data[1] == (uint8_t)m->key;
}

static void hold(struct loader *l, struct bytes value)
{
    buf_put_be32(&l->held.records, (uint32_t)value.len);
    buf_put(&l->held.records, value.data, value.len);
}

static int end_transaction(struct loader *l, struct errmsg *em)
{
    struct bytes rest = buf_bytes(&l->held.records);
    int err = 0;
    while (rest.len && err == 0) {
        size_t n = load_be32(rest.data);
        err = apply_record(l, delta_of(l), bytes_of(rest.data + 4, n), em);
        rest = bytes_of(rest.data + 4 + n, rest.len - 4 - n);
    }
    l->held.open = false;
    buf_clear(&l->held.records);
    return err;
}

static int feed_record(struct loader *l, struct bytes value, struct errmsg *em)
{
    if (is_record(value, &begin_transaction_record_msg)) {
        if (l->held.open) {
            return errmsg_set(em, ERR_CORRUPT, "a metadata transaction begins inside another one");
        }
        l->held.open = true;
        return 0;
    }
    if (is_record(value, &end_transaction_record_msg) ||
        is_record(value, &abort_transaction_record_msg)) {
        if (!l->held.open) {
            return errmsg_set(em, ERR_CORRUPT, "a metadata transaction ends that never began");
        }
        if (is_record(value, &end_transaction_record_msg)) {
            return end_transaction(l, em);
        }
        l->held.open = false;
        buf_clear(&l->held.records);
        return 0;
    }
    if (l->held.open) {
        hold(l, value);
        return 0;
    }
    return apply_record(l, delta_of(l), value, em);
}

/* Calls each() for the records of a data batch. */
static int each_record(struct bytes batch, struct loader *l,
                       int (*each)(struct loader *l, struct bytes value, struct errmsg *em),
                       struct errmsg *em)
{
    struct record_reader rr;
    struct record rec;
    int err = record_reader_open(&rr, batch, 0);
    if (err) {
        return errmsg_set(em, ERR_CORRUPT, "the records of a metadata batch cannot be read (%s)",
                          err_text(err));
    }
    while ((err = record_reader_next(&rr, &rec)) == 1) {
        if (bytes_is_null(rec.value)) {
            err = errmsg_set(em, ERR_CORRUPT, "the metadata record at offset %lld has no value",
                             (long long)rec.offset);
            break;
        }
        err = each(l, rec.value, em);
        if (err) {
            break;
        }
    }
    if (err == ERR_CORRUPT && em && em->text[0] == '\0') {
        errmsg_set(em, err, "the records of a metadata batch do not fit its header");
    }
    record_reader_close(&rr);
    arena_reset(&l->arena);
    return err;
}

/* ---- batches ---- */

static int check_batch(struct bytes batch, int64_t expected, struct batch_header *h,
                       struct errmsg *em)
{
    int err = batch_header_read(batch, h);
    if (err) {
        return errmsg_set(em, ERR_CORRUPT, "a metadata batch has no valid header (%s)",
                          err_text(err));
    }
    if (!batch_crc_check(batch)) {
        return errmsg_set(em, ERR_CORRUPT, "the metadata batch at offset %lld has a wrong checksum",
                          (long long)h->base_offset);
    }
    if (h->base_offset != expected || h->last_offset_delta < 0) {
        return errmsg_set(em, ERR_CORRUPT,
                          "a metadata batch begins at offset %lld where %lld is next",
                          (long long)h->base_offset, (long long)expected);
    }
    return 0;
}

static int feed_batch(struct loader *l, struct bytes batch, struct errmsg *em)
{
    struct batch_header h;
    int err = check_batch(batch, l->next_offset, &h, em);
    if (err) {
        return err;
    }
    if (!batch_is_control(&h)) {
        err = each_record(batch, l, feed_record, em);
        if (err) {
            return err;
        }
    }
    l->next_offset = batch_next_offset(&h);
    l->epoch = h.leader_epoch;
    l->time_ms = h.max_timestamp;
    if (!l->held.open) {
        l->applied = l->next_offset - 1;
        l->moved = true;
    }
    return 0;
}

int loader_feed(struct loader *l, struct bytes batches, struct errmsg *em)
{
    struct errmsg local;
    em = em ? em : &local;
    em->text[0] = '\0';
    if (l->failed) {
        return errmsg_set(em, ERR_CORRUPT, "the metadata could not be read before");
    }
    struct bytes batch;
    int got;
    int err = 0;
    while (err == 0 && (got = batch_next(&batches, &batch)) != 0) {
        err = got < 0 ? errmsg_set(em, ERR_CORRUPT, "bytes that are no metadata batch (%s)",
                                   err_text(got))
                      : feed_batch(l, batch, em);
    }
    if (err == 0 && batches.len) {
        err = errmsg_set(em, ERR_CORRUPT, "metadata ends inside a batch, %zu bytes are left over",
                         batches.len);
    }
    l->failed = err != 0;
    return err;
}

bool loader_publish(struct loader *l, struct image_delta **delta)
{
    if (!l->moved || l->failed) {
        return false;
    }
    struct image_delta *d = delta_of(l);
    l->delta = NULL;
    l->moved = false;
    struct image *fresh = image_delta_finish(d, l->applied, l->epoch, l->time_ms);
    image_put(l->image);
    l->image = fresh;
    *delta = d;
    return true;
}

/* ---- snapshots ---- */

void loader_snapshot_abandon(struct loader *l)
{
    image_delta_put(l->snapshot_delta);
    l->snapshot_delta = NULL;
    buf_clear(&l->snapshot);
}

void loader_snapshot_begin(struct loader *l, int64_t end_offset, int32_t epoch)
{
    loader_snapshot_abandon(l);
    l->snapshot_delta = image_delta_new_snapshot(l->image);
    l->snapshot_end = end_offset;
    l->snapshot_epoch = epoch;
    l->snapshot_time = -1;
    l->snapshot_next = 0;
    l->snapshot_header = false;
    l->snapshot_footer = false;
}

static int snapshot_record(struct loader *l, struct bytes value, struct errmsg *em)
{
    return apply_record(l, l->snapshot_delta, value, em);
}

static int snapshot_control(struct loader *l, struct bytes batch, struct errmsg *em)
{
    struct record_reader rr;
    struct record rec;
    int err = record_reader_open(&rr, batch, 0);
    while (err == 0 && (err = record_reader_next(&rr, &rec)) == 1) {
        enum control_type type;
        err = control_key_read(rec.key, &type);
        if (err == 0 && type == CONTROL_SNAPSHOT_HEADER) {
            struct snapshot_header_record r;
            err = proto_decode(&snapshot_header_record_msg, 0, rec.value, NULL, &l->arena, &r);
            l->snapshot_time = err ? -1 : r.last_contained_log_timestamp;
            l->snapshot_header = true;
        } else if (err == 0 && type == CONTROL_SNAPSHOT_FOOTER) {
            l->snapshot_footer = true;
        }
    }
    record_reader_close(&rr);
    arena_reset(&l->arena);
    return err < 0 ? errmsg_set(em, ERR_CORRUPT,
                                "a control batch of the snapshot cannot be read "
                                "(%s)",
                                err_text(err))
                   : 0;
}

static int snapshot_batch(struct loader *l, struct bytes batch, struct errmsg *em)
{
    struct batch_header h;
    int err = check_batch(batch, l->snapshot_next, &h, em);
    if (err) {
        return err;
    }
    if (l->snapshot_footer || (!l->snapshot_header && !batch_is_control(&h))) {
        return errmsg_set(em, ERR_CORRUPT, "the snapshot has %s",
                          l->snapshot_footer ? "a batch behind its footer"
                                             : "no header batch at its start");
    }
    l->snapshot_next = batch_next_offset(&h);
    return batch_is_control(&h) ? snapshot_control(l, batch, em)
                                : each_record(batch, l, snapshot_record, em);
}

int loader_snapshot_feed(struct loader *l, struct bytes piece, struct errmsg *em)
{
    struct errmsg local;
    em = em ? em : &local;
    em->text[0] = '\0';
    ASSERT(l->snapshot_delta != NULL);
    buf_put(&l->snapshot, piece.data, piece.len);
    struct bytes rest = buf_bytes(&l->snapshot);
    struct bytes batch;
    int got;
    int err = 0;
    while (err == 0 && (got = batch_next(&rest, &batch)) != 0) {
        err = got < 0 ? errmsg_set(em, ERR_CORRUPT, "bytes in the snapshot that are no batch (%s)",
                                   err_text(got))
                      : snapshot_batch(l, batch, em);
    }
    size_t left = rest.len;
    if (left) {
        memmove(l->snapshot.data, rest.data, left);
    }
    l->snapshot.len = left;
    return err;
}

int loader_snapshot_end(struct loader *l, struct errmsg *em)
{
    ASSERT(l->snapshot_delta != NULL);
    if (!l->snapshot_footer || l->snapshot.len) {
        loader_snapshot_abandon(l);
        return errmsg_set(em, ERR_CORRUPT, "the snapshot ends before its footer");
    }
    image_delta_put(l->delta);
    l->delta = l->snapshot_delta;
    l->snapshot_delta = NULL;
    l->held.open = false;
    buf_clear(&l->held.records);
    l->next_offset = l->snapshot_end;
    l->applied = l->snapshot_end - 1;
    l->epoch = l->snapshot_epoch;
    l->time_ms = l->snapshot_time;
    l->moved = true;
    l->failed = false;
    return 0;
}
