/* Moving a snapshot from the leader to a voter that lacks more than the leader's log has.
 *
 *     QUORUM_SNAPSHOT -> pieces asked for, one after another -> file whole, checked
 *        -> quorum_receive_snapshot
 *
 * One transfer at a time, some 256 KiB in memory. A lost connection or a full disk delays it; an
 * offer of a later term ends one of an earlier; a leader that has the snapshot no more ends it (it
 * offers its newest again).
 *
 * Shard: the controller's. */
#include "controller/peers_private.h"
#include "proto_errors.h"

enum { PIECE_BYTES = 256 << 10, PIECE_MAX = 1 << 20, AGAIN_MS = 100 };

static void again(struct peers *p)
{
    p->transfer.waiting = false;
    timer_set(p->shard, &p->transfer.timer, shard_now_ms(p->shard) + AGAIN_MS);
}

static void ask(struct peers *p)
{
    struct peers_transfer *t = &p->transfer;
    struct peer_names names;
    struct buf frame = {0};
    struct peer_piece_wanted wanted = {
        .id = t->m.snapshot,
        .position = (int64_t)metadata_incoming_size(t->in),
        .max_bytes = PIECE_BYTES,
    };
    peer_names_of(p, t->from, &names);
    t->correlation = t->from->correlation++;
    peer_put_header(&frame, PEER_API_SNAPSHOT, t->correlation);
    peer_put_wanted(&frame, &names, &wanted);
    t->waiting = peer_transmit(t->from, buf_bytes(&frame));
    if (!t->waiting) {
        again(p);
    }
    buf_free(&frame);
}

void peers_transfer_abandon(struct peers *p)
{
    struct peers_transfer *t = &p->transfer;
    if (t->waiting) {
        t->from->unwanted_waits = true;
        t->from->unwanted_correlation = t->correlation;
    }
    timer_cancel(p->shard, &p->transfer.timer);
    metadata_incoming_abandon(p->transfer.in);
    p->transfer = (struct peers_transfer){0};
}

static void on_again(struct timer *t)
{
    struct peers *p = t->user;
    if (!quorum_wants_snapshot(p->quorum, &p->transfer.m)) {
        peers_transfer_abandon(p);
    } else {
        ask(p);
    }
}

void peers_transfer_begin(struct peers *p, struct peer *from, const struct quorum_message *m)
{
    struct peers_transfer *t = &p->transfer;
    struct errmsg em;
    if (t->from == from && t->m.term == m->term) {
        return; /* this one first */
    }
    peers_transfer_abandon(p);
    struct metadata_incoming *in;
    if (metadata_incoming_begin(p->mlog, m->snapshot, m->index, &in, &em)) {
        log_limited(p->log, &from->here, LOG_WARN, "controller",
                    "the leader's snapshot cannot be taken: %s", em.text);
        return;
    }
    log_info(p->log, "controller",
             "this voter is too far behind for the leader's log: its snapshot is fetched voter=%d "
             "offset=%lld epoch=%d",
             (int)from->id, (long long)m->snapshot.offset, (int)m->snapshot.epoch);
    *t = (struct peers_transfer){.from = from, .m = *m, .in = in, .size = -1};
    t->timer = (struct timer){.cb = on_again, .user = p};
    ask(p);
}

/* The file is here: it is the quorum's if it is whole. */
static void finish(struct peers *p)
{
    struct peers_transfer *t = &p->transfer;
    struct quorum_message m = t->m;
    struct metadata_incoming *in = t->in;
    struct errmsg em;
    if (metadata_incoming_check(in, &em)) {
        log_limited(p->log, &t->from->here, LOG_WARN, "controller",
                    "the leader's snapshot is not used: %s", em.text);
        peers_transfer_abandon(p);
        return;
    }
    t->in = NULL;
    peers_transfer_abandon(p);
    quorum_receive_snapshot(p->quorum, &m, in);
}

static void take_piece(struct peers *p, struct bytes frame)
{
    struct peers_transfer *t = &p->transfer;
    struct arena a = {0};
    struct peer_piece piece;
    struct errmsg em = {{0}};
    int err = peer_take_piece(frame, &a, &piece);
    if (err == 0 && (piece.position != (int64_t)metadata_incoming_size(t->in) ||
                     (t->size >= 0 && piece.size != t->size))) {
        err = ERR_CORRUPT;
    }
    if (err) {
        errmsg_set(&em, err, "a piece of it does not fit (%s)", err_text(err));
    } else {
        t->size = piece.size;
        err = metadata_incoming_put(t->in, piece.data, &em);
    }
    arena_free(&a);
    if (err) {
        log_limited(p->log, &t->from->here, LOG_WARN, "controller",
                    "the leader's snapshot is not used: %s", em.text);
        peers_transfer_abandon(p);
    } else if ((int64_t)metadata_incoming_size(t->in) == t->size) {
        finish(p);
    } else {
        ask(p);
    }
}

bool peers_transfer_answer(struct peer *from, int32_t correlation, int16_t code, struct bytes frame)
{
    struct peers *p = from->all;
    struct peers_transfer *t = &p->transfer;
    if (from->unwanted_waits && correlation == from->unwanted_correlation) {
        from->unwanted_waits = false;
        return true;
    }
    if (t->from != from || !t->waiting || correlation != t->correlation) {
        return false;
    }
    t->waiting = false;
    if (code == KE_SNAPSHOT_NOT_FOUND) {
        peers_transfer_abandon(p); /* it has a newer one by now */
        return true;
    }
    if (code) {
        peers_transfer_abandon(p);
        return false; /* said by whoever looks at all answers */
    }
    if (!quorum_wants_snapshot(p->quorum, &t->m)) {
        peers_transfer_abandon(p);
    } else {
        take_piece(p, frame);
    }
    return true;
}

void peers_transfer_lost(struct peer *from)
{
    struct peers *p = from->all;
    if (p->transfer.from == from) {
        again(p);
    }
}

/* ---- giving ---- */

static int16_t read_piece(struct peers *p, const struct peer_piece_wanted *w,
                          struct peer_piece *out, struct buf *data, struct errmsg *em)
{
    uint64_t size;
    int err = metadata_log_snapshot_size(p->mlog, w->id, &size);
    if (err == ERR_NOTFOUND) {
        errmsg_set(em, 0, "there is no snapshot at offset %lld of epoch %d",
                   (long long)w->id.offset, (int)w->id.epoch);
        return KE_SNAPSHOT_NOT_FOUND;
    }
    if (err == 0 && (uint64_t)w->position >= size) {
        errmsg_set(em, 0, "position %lld is behind the end of the snapshot",
                   (long long)w->position);
        return KE_POSITION_OUT_OF_RANGE;
    }
    size_t n = w->max_bytes < PIECE_MAX ? (size_t)w->max_bytes : (size_t)PIECE_MAX;
    err = err ? err : metadata_log_snapshot_read(p->mlog, w->id, (uint64_t)w->position, n, data);
    if (err || data->len == 0) {
        errmsg_set(em, 0, "the snapshot at offset %lld cannot be read: %s", (long long)w->id.offset,
                   err_text(err ? err : ERR_TRUNCATED));
        return KE_KAFKA_STORAGE_ERROR;
    }
    *out = (struct peer_piece){w->position, (int64_t)size, buf_bytes(data)};
    return KE_NONE;
}

void peers_give_piece(struct peers *p, struct bytes body, int32_t correlation, struct buf *response)
{
    struct arena a = {.limit = 1 << 20};
    struct peer_names names;
    struct peer_piece_wanted wanted;
    struct peer_piece piece;
    struct buf data = {0};
    struct errmsg em = {{0}};
    int16_t code = KE_INVALID_REQUEST;
    if (peer_take_wanted(body, &a, &names, &wanted, &em) == 0) {
        code = peers_admit(p, &names, true, &em);
        code = code ? code : read_piece(p, &wanted, &piece, &data, &em);
    }
    if (code) {
        peer_put_answer(response, correlation, code, em.text);
    } else {
        peer_put_piece(response, correlation, &piece);
    }
    buf_free(&data);
    arena_free(&a);
}
