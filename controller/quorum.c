/* The driver of libraft: events in, updates out, guards and checks around it. quorum.h and
 * docs/quorum.md tell the story; the rules that the calls obey come from decisions/0002-libraft.md.
 *
 * One step: raft_step, then in this order: term and vote durable; entries written; messages handed
 * over; timer; then the owner is told (from quorum_deliver, when no step is under way). */
#include <stdio.h>

#include "base/mem.h"
#include "controller/quorum_private.h"

_Static_assert(RAFT_VERSION_NUMBER == 2201, "memory rules of another release: see the decision");
_Static_assert(sizeof(struct raft) == 992, "built with another layout than the packaged library");

enum {
    SNAPSHOT_AGAIN_MS = 5000, /* it is offered again; a transfer under way goes on */
    TERM_LEAP_MAX = 1 << 24,  /* as many elections need two months in which none succeeds */
};

static void step(struct quorum *q, struct raft_event *e);

/* ---- small things ---- */

static int voter_slot(const struct quorum *q, int32_t id)
{
    for (size_t i = 0; i < q->voters_n; i++) {
        if (q->voters[i] == id) {
            return (int)i;
        }
    }
    return -1;
}

/* libraft's ids begin at 1, Kafka's at 0. */
static raft_id to_raft(int32_t id)
{
    return (raft_id)id + 1;
}

static int32_t from_raft(raft_id id)
{
    return id == 0 ? -1 : (int32_t)(id - 1);
}

static bool make_configuration(const struct quorum *q, struct raft_configuration *c)
{
    raft_configuration_init(c);
    for (size_t i = 0; i < q->voters_n; i++) {
        char address[16];
        snprintf(address, sizeof address, "%d", q->voters[i]);
        if (raft_configuration_add(c, to_raft(q->voters[i]), address, RAFT_VOTER) != 0) {
            raft_configuration_close(c);
            return false;
        }
    }
    return true;
}

int32_t quorum_epoch(const struct quorum *q)
{
    return (int32_t)raft_current_term(&q->raft);
}

static int64_t now(struct quorum *q)
{
    int64_t t = io_now_ms(q->io);
    q->last_time_ms = t > q->last_time_ms ? t : q->last_time_ms;
    return q->last_time_ms;
}

/* ---- term and vote ---- */

static bool write_state(struct quorum *q)
{
    struct errmsg em;
    int64_t from = io_now_ms(q->io);
    int err = quorum_state_write(q->io, metadata_log_path(q->log), &q->state, q->voters,
                                 q->voters_n, &em);
    quorum_timer_blocked(q, io_now_ms(q->io) - from);
    if (err) {
        quorum_fail(q, "%s", em.text);
    }
    return err == 0;
}

static bool persist_vote(struct quorum *q)
{
    int32_t term = (int32_t)raft_current_term(&q->raft);
    if (term < 0) {
        quorum_fail(q, "the quorum has used up its terms, of which there are %d", INT32_MAX);
        return false;
    }
    if (term != q->state.epoch) {
        q->state.leader_id = -1;
        q->votes = 0;
    }
    q->state.epoch = term;
    q->state.voted_id = from_raft(raft_voted_for(&q->raft));
    return write_state(q);
}

/* ---- entries ---- */

static void start_flush(struct quorum *q);

static void remember(struct quorum *q)
{
    uint64_t index = metadata_log_last_index(q->log);
    q->recent[index % QUORUM_RECENT] =
        (struct quorum_recent){index, metadata_log_end_offset(q->log)};
}

static void append_batch(struct quorum *q, struct bytes batch)
{
    struct errmsg em;
    if (metadata_log_append(q->log, batch, &em) != 0) {
        quorum_fail(q, "%s", em.text);
        return;
    }
    remember(q);
}

/* Entries of an update: cut what they replace, write them. */
static void write_entries(struct quorum *q, const struct raft_update *u)
{
    uint64_t first = u->entries.index;
    struct errmsg em;
    CHECK(q, first >= 2 && u->entries.n > 0);
    CHECK(q, first <= metadata_log_last_index(q->log) + 1); /* no gap */
    CHECK(q, first > q->commit);                            /* nothing committed is cut */
    if (first <= metadata_log_last_index(q->log) &&
        metadata_log_truncate(q->log, first, &em) != 0) {
        quorum_fail(q, "%s", em.text);
        return;
    }
    for (unsigned i = 0; i < u->entries.n && !q->failed; i++) {
        const struct raft_entry *e = &u->entries.batch[i];
        if (e->type == RAFT_BARRIER && !q->step_is_append) { /* our own: it has no payload */
            struct buf b = {0};
            quorum_put_leader_change(q, quorum_epoch(q), &b);
            append_batch(q, buf_bytes(&b));
            q->own_index = metadata_log_last_index(q->log);
            buf_free(&b);
        } else {
            append_batch(q, bytes_of(e->buf.base, e->buf.len));
        }
    }
    if (!q->failed) {
        CHECK(q, metadata_log_last_index(q->log) == first + u->entries.n - 1);
        CHECK(q, raft_last_index(&q->raft) == metadata_log_last_index(q->log));
        start_flush(q);
    }
}

static void flushed(void *user, int err, uint64_t index)
{
    struct quorum *q = user;
    if (q->closed || q->failed) {
        return;
    }
    if (err) {
        quorum_fail(q, "the metadata log in %s cannot be made durable: %s",
                    metadata_log_path(q->log), err_text(err));
        return;
    }
    if (index > q->raft.last_stored) {
        struct raft_event e = {.type = RAFT_PERSISTED_ENTRIES};
        e.persisted_entries.index = index;
        CHECK(q, index <= raft_last_index(&q->raft));
        step(q, &e);
    }
    if (!q->failed && metadata_log_last_index(q->log) > index) {
        start_flush(q);
    }
}

static void start_flush(struct quorum *q)
{
    if (!metadata_log_flushing(q->log)) {
        metadata_log_flush(q->log, flushed, q);
    }
}

/* ---- commit and state ---- */

static void advance_commit(struct quorum *q)
{
    uint64_t index = raft_commit_index(&q->raft);
    int64_t offset = -1;
    if (index <= q->commit || q->raft.snapshot.installing) {
        return; /* may go back (defect C): ours does not */
    }
    CHECK(q, index <= metadata_log_last_index(q->log));
    const struct quorum_recent *r = &q->recent[index % QUORUM_RECENT];
    if (r->index == index) {
        offset = r->next_offset;
    } else if (index >= metadata_log_first_index(q->log) &&
               metadata_log_end_of(q->log, index, &offset) != 0) {
        quorum_fail(q, "the metadata log in %s cannot be read at entry %llu",
                    metadata_log_path(q->log), (unsigned long long)index);
        return;
    }
    q->commit = index;
    if (offset > q->high_watermark) {
        CHECK(q, offset <= metadata_log_end_offset(q->log));
        q->high_watermark = offset;
        q->tell_commit = true;
    }
}

static void submit_leader_change(struct quorum *q)
{
    struct buf b = {0};
    struct raft_entry entry = {.term = raft_current_term(&q->raft), .type = RAFT_COMMAND};
    struct raft_event e = {.type = RAFT_SUBMIT};
    quorum_put_leader_change(q, quorum_epoch(q), &b);
    entry.buf.base = b.data;
    entry.buf.len = b.len;
    entry.batch = b.data; /* only looked at during the step */
    e.submit.entries = &entry;
    e.submit.n = 1;
    q->own_index = metadata_log_last_index(q->log) + 1;
    step(q, &e);
    buf_free(&b);
}

static void note_leader(struct quorum *q)
{
    raft_id id = 0;
    const char *address = NULL;
    raft_leader(&q->raft, &id, &address);
    int32_t leader = from_raft(id);
    if (leader != q->leader_id) {
        q->leader_id = leader;
        q->tell_leader = true;
    }
}

/* quorum-state as it would be with the leader in it, if there is a new one: a hint for Kafka, for
 * which a full disk has no block to spare. Our vote is implied by it, if it was for this leader:
 * one for another candidate of the term is kept beside it. */
static bool leader_to_note(const struct quorum *q, struct quorum_state *out)
{
    *out = q->state;
    if (q->leader_id < 0 || q->state.epoch != quorum_epoch(q)) {
        return false;
    }
    bool implied = q->leader_id == q->node_id || q->state.voted_id == q->leader_id;
    out->leader_id = q->leader_id;
    out->voted_id = implied ? -1 : q->state.voted_id;
    return out->leader_id != q->state.leader_id || out->voted_id != q->state.voted_id;
}

void quorum_note_leader(struct quorum *q)
{
    struct quorum_state with;
    if (!q->failed && !q->closed && !metadata_log_is_full(q->log) && leader_to_note(q, &with)) {
        q->state = with;
        write_state(q);
    }
}

static void state_changed(struct quorum *q)
{
    bool leads = raft_state(&q->raft) == RAFT_LEADER;
    if (leads && q->own_index == 0) {
        memset(q->progress, 0, sizeof q->progress);
        submit_leader_change(q);
    } else if (!leads && (q->own_index != 0 || q->serving)) {
        q->own_index = 0;
        q->serving = false;
        q->tell_lost = true;
    }
}

/* ---- the step ---- */

static uint64_t request_term_of(const struct quorum *q, const struct raft_event *e)
{
    if (e->type == RAFT_PERSISTED_ENTRIES || e->type == RAFT_PERSISTED_SNAPSHOT) {
        return raft_current_term(&q->raft); /* libraft answers what matches the present leader's */
    }
    if (e->type != RAFT_RECEIVE) {
        return 0;
    }
    switch (e->receive.message->type) {
    case RAFT_APPEND_ENTRIES:
        return e->receive.message->append_entries.term;
    case RAFT_REQUEST_VOTE:
        return e->receive.message->request_vote.term;
    case RAFT_INSTALL_SNAPSHOT:
        return e->receive.message->install_snapshot.term;
    default:
        return 0;
    }
}

static void on_timer(struct timer *t)
{
    struct quorum *q = t->user;
    struct raft_event e = {.type = RAFT_TIMEOUT};
    if (!quorum_timer_late(q, raft_state(&q->raft) == RAFT_LEADER)) {
        step(q, &e);
    }
}

/* The snapshot of an update, whose file is here already, takes the place of the log. */
static void install(struct quorum *q, const struct raft_update *u)
{
    struct metadata_incoming *in = q->incoming;
    struct raft_event e = {.type = RAFT_PERSISTED_SNAPSHOT};
    struct errmsg em;
    q->incoming = NULL;
    raft_free(u->snapshot.chunk.base);
    CHECK(q, in != NULL && u->snapshot.last && u->snapshot.metadata.index > q->commit);
    struct metadata_snapshot_id id = metadata_incoming_id(in);
    if (metadata_log_install(in, &em) != 0) {
        quorum_fail(q, "%s", em.text);
        return;
    }
    log_info(q->shard->log, "controller", "the leader's snapshot is installed offset=%lld epoch=%d",
             (long long)id.offset, (int)id.epoch);
    q->commit = u->snapshot.metadata.index;
    q->high_watermark = id.offset;
    q->cb->installed(q->user, id);
    e.persisted_snapshot.metadata = u->snapshot.metadata; /* libraft takes the configuration */
    e.persisted_snapshot.last = true;
    step(q, &e);
}

/* A result that is no success of an event other than SUBMIT leaves libraft half-changed. */
static void handle_update(struct quorum *q, const struct raft_event *e, const struct raft_update *u)
{
    uint64_t request_term = request_term_of(q, e);
    q->step_is_append = e->type == RAFT_RECEIVE && e->receive.message->type == RAFT_APPEND_ENTRIES;
    if ((u->flags & (RAFT_UPDATE_CURRENT_TERM)) || (u->flags & (RAFT_UPDATE_VOTED_FOR))) {
        if (!persist_vote(q)) {
            return;
        }
    }
    if (u->flags & (RAFT_UPDATE_ENTRIES)) {
        void *batch = u->entries.batch[0].batch;
        bool ours = e->type == RAFT_SUBMIT; /* else libraft gives the memory to us */
        write_entries(q, u);
        if (!ours) {
            raft_free(batch);
        }
    }
    if (!q->failed && (u->flags & (RAFT_UPDATE_MESSAGES))) {
        for (unsigned i = 0; i < u->messages.n && !q->failed; i++) {
            quorum_send(q, &u->messages.batch[i], raft_current_term(&q->raft), request_term);
        }
    }
    quorum_timer_arm(q, (int64_t)raft_timeout(&q->raft), raft_state(&q->raft) == RAFT_LEADER);
    if (!q->failed && (u->flags & (RAFT_UPDATE_STATE))) {
        state_changed(q);
    }
    if (!q->failed && (u->flags & (RAFT_UPDATE_SNAPSHOT))) {
        install(q, u);
    }
    if (!q->failed) {
        note_leader(q);
        advance_commit(q);
    }
    if (q->started) {
        shard_defer(q->shard, &q->task);
    }
}

static int try_step(struct quorum *q, struct raft_event *e)
{
    struct raft_update u;
    e->time = (raft_time)now(q);
    int rc = raft_step(&q->raft, e, &u);
    if (rc == 0) {
        handle_update(q, e, &u);
    }
    return rc;
}

static void step(struct quorum *q, struct raft_event *e)
{
    if (q->failed || q->closed) {
        return;
    }
    int rc = try_step(q, e);
    if (rc != 0) {
        quorum_fail(q, "libraft refuses an event of type %d: %s", (int)e->type, raft_strerror(rc));
    }
}

/* ---- starting ---- */

/* RAFT_START: the newest snapshot, or entry 1, and what the log has behind it. */
static void start_event(struct quorum *q)
{
    uint64_t snapshot = metadata_log_snapshot_index(q->log);
    uint64_t last = metadata_log_last_index(q->log);
    bool has_snapshot = snapshot > 1; /* one at offset 0 holds no entry but the configuration */
    uint64_t first = has_snapshot ? snapshot + 1 : 1;
    struct raft_event e = {.type = RAFT_START};
    struct raft_snapshot_metadata meta = {.index = snapshot, .term = quorum_term_of(q, snapshot)};
    struct raft_configuration c;
    struct raft_buffer conf = {NULL, 0};
    size_t n = (size_t)(last + 1 - first);
    struct raft_entry *entries = mem_zalloc((n ? n : 1) * sizeof *entries);
    CHECK(q, make_configuration(q, &c) && raft_configuration_encode(&c, &conf) == 0);
    buf_put(&q->configuration, conf.base, conf.len);
    for (size_t i = 0; i < n; i++) {
        entries[i].term = quorum_term_of(q, first + i);
        entries[i].type = first + i == 1 ? RAFT_CHANGE : RAFT_COMMAND;
        entries[i].buf = conf; /* read of entry 1 only */
        entries[i].batch = conf.base;
    }
    e.start.term = (raft_term)q->state.epoch;
    int32_t vote = q->state.voted_id >= 0 ? q->state.voted_id : q->state.leader_id;
    e.start.voted_for = vote < 0 ? 0 : to_raft(vote);
    e.start.start_index = first;
    e.start.entries = n ? entries : NULL;
    e.start.n_entries = (unsigned)n;
    if (has_snapshot) {
        meta.configuration = c; /* libraft takes it */
        meta.configuration_index = 1;
        e.start.metadata = &meta;
    } else {
        raft_configuration_close(&c);
    }
    q->high_watermark = has_snapshot ? metadata_log_newest_snapshot(q->log).offset : 0;
    q->commit = has_snapshot ? snapshot : 1;
    int rc = try_step(q, &e);
    if (rc != 0) { /* entries and their batch are libraft's then, and freed */
        quorum_fail(q, "libraft does not start: %s", raft_strerror(rc));
        return;
    }
    raft_free(conf.base);
    mem_free(entries);
}

int quorum_start(struct shard *sh, struct metadata_log *log, const struct quorum_config *cfg,
                 struct quorum **out, struct errmsg *em)
{
    ASSERT(cfg->voters_n >= 1 && cfg->voters_n <= QUORUM_VOTERS_MAX);
    struct quorum *q = MEM_NEW(struct quorum);
    q->shard = sh;
    q->io = sh->io;
    q->log = log;
    q->cb = cfg->cb;
    q->user = cfg->user;
    q->node_id = cfg->node_id;
    q->voters_n = cfg->voters_n;
    q->election_timeout_ms = cfg->election_timeout_ms;
    memcpy(q->voters, cfg->voters, cfg->voters_n * sizeof *cfg->voters);
    q->leader_id = -1;
    q->timer.cb = on_timer;
    q->timer.user = q;
    task_init(&q->task, quorum_deliver, q);
    ASSERT(voter_slot(q, q->node_id) >= 0);
    int err = quorum_state_prepare(q->io, log, q->voters, q->voters_n, q->node_id, &q->state, em);
    if (err) {
        goto err_after_alloc;
    }
    char address[16];
    uint32_t seed;
    snprintf(address, sizeof address, "%d", q->node_id);
    if (raft_init(&q->raft, NULL, NULL, to_raft(q->node_id), address) != 0) {
        err = errmsg_set(em, ERR_NOMEM, "libraft cannot be initialised: out of memory");
        goto err_after_alloc;
    }
    io_random(q->io, &seed, sizeof seed);
    q->raft.tracer = NULL; /* the default one writes into a static buffer */
    raft_seed(&q->raft, seed);
    raft_set_election_timeout(&q->raft, (unsigned)cfg->election_timeout_ms);
    raft_set_heartbeat_timeout(&q->raft, (unsigned)cfg->heartbeat_ms);
    raft_set_install_snapshot_timeout(&q->raft, SNAPSHOT_AGAIN_MS);
    raft_set_pre_vote(&q->raft, true);
    raft_set_max_inflight_entries(&q->raft, QUORUM_INFLIGHT_MAX);
    start_event(q);
    if (q->failed) {
        err = errmsg_set(em, ERR_CORRUPT, "%s", q->why);
        goto err_after_init;
    }
    q->started = true;
    shard_defer(sh, &q->task);
    *out = q;
    return 0;
err_after_init:
    timer_cancel(sh, &q->timer);
    raft_close(&q->raft, NULL);
err_after_alloc:
    buf_free(&q->configuration);
    mem_free(q);
    return err;
}

void quorum_close(struct quorum *q)
{
    if (q == NULL) {
        return;
    }
    q->closed = true;
    timer_cancel(q->shard, &q->timer);
    list_remove(&q->task.node);
    raft_close(&q->raft, NULL);
    buf_free(&q->configuration);
    mem_free(q);
}

/* ---- appending ---- */

int quorum_append(struct quorum *q, const struct bytes *records, size_t n, int64_t time_ms,
                  int64_t *end, struct errmsg *em)
{
    struct buf b = {0};
    ASSERT(n > 0);
    if (!quorum_may_serve(q)) {
        return errmsg_set(em, ERR_NOTLEADER, "this node is not the active controller");
    }
    int err = quorum_build_batch(q, quorum_epoch(q), records, n, time_ms, &b, em);
    if (err) {
        buf_free(&b);
        return err;
    }
    struct raft_entry entry = {.term = raft_current_term(&q->raft), .type = RAFT_COMMAND};
    struct raft_event e = {.type = RAFT_SUBMIT};
    entry.buf.base = b.data;
    entry.buf.len = b.len;
    entry.batch = b.data;
    e.submit.entries = &entry;
    e.submit.n = 1;
    int rc = try_step(q, &e);
    buf_free(&b);
    if (rc == RAFT_NOTLEADER) {
        return errmsg_set(em, ERR_NOTLEADER, "this node is not the active controller");
    }
    if (rc != 0) {
        quorum_fail(q, "libraft refuses an entry: %s", raft_strerror(rc));
    }
    if (q->failed) {
        return errmsg_set(em, ERR_IO, "%s", q->why);
    }
    *end = metadata_log_end_offset(q->log);
    return 0;
}

void quorum_hand_over(struct quorum *q, int32_t to)
{
    struct raft_event e = {.type = RAFT_TRANSFER};
    if (q->failed || q->closed || q->voters_n == 1 || raft_state(&q->raft) != RAFT_LEADER) {
        return;
    }
    /* 0: libraft chooses; nobody may be there to take over */
    e.transfer.server_id = to < 0 ? 0 : to_raft(to);
    (void)try_step(q, &e);
}

/* ---- snapshots ---- */

void quorum_committed_at(const struct quorum *q, struct metadata_snapshot_id *id, uint64_t *index)
{
    /* a majority may have what is not durable here yet: not to be relied on */
    *index = q->commit <= q->raft.last_stored ? q->commit : 0;
    id->offset = q->high_watermark;
    id->epoch = (int32_t)quorum_term_of(q, q->commit);
}

void quorum_snapshot_taken(struct quorum *q, struct metadata_snapshot_id id, uint64_t index)
{
    struct raft_event e = {.type = RAFT_SNAPSHOT};
    struct raft_configuration c;
    CHECK(q, index <= q->commit && index > 1);
    CHECK(q, make_configuration(q, &c));
    e.snapshot.metadata.index = index;
    e.snapshot.metadata.term = id.epoch < 1 ? 1 : (raft_term)id.epoch;
    e.snapshot.metadata.configuration = c; /* libraft takes it */
    e.snapshot.metadata.configuration_index = 1;
    uint64_t there = index + 1 - metadata_log_first_index(q->log); /* retention may have cut */
    e.snapshot.trailing = q->voters_n == 1          ? 0
                          : there < QUORUM_TRAILING ? (unsigned)there
                                                    : QUORUM_TRAILING;
    step(q, &e);
}

/* ---- receiving ---- */

/* Its sender hears why, if somebody waits for an answer (em). */
static int drop(struct quorum *q, const struct quorum_message *m, const char *why,
                struct errmsg *em)
{
    log_limited(q->shard->log, &q->limit, LOG_WARN, "controller",
                "a message of voter %d is dropped: %s type=%d term=%llu", m->from, why,
                (int)m->type, (unsigned long long)m->term);
    return errmsg_set(em, ERR_INVALID,
                      "voter %d drops a message of voter %d: %s (type %d, term %llu)", q->node_id,
                      m->from, why, (int)m->type, (unsigned long long)m->term);
}

/* One block for all payloads, as libraft wants it; it frees the block or hands it back. */
static bool copy_entries(const struct quorum_message *m, uint32_t skip, struct raft_entry *out)
{
    size_t bytes = 0;
    for (uint32_t i = skip; i < m->entries_n; i++) {
        bytes += (m->entries[i].batch.len + 7) & ~(size_t)7;
    }
    uint8_t *block = raft_malloc(bytes);
    size_t at = 0;
    for (uint32_t i = skip; block && i < m->entries_n; i++) {
        struct raft_entry *e = &out[i - skip];
        struct bytes b = m->entries[i].batch;
        memcpy(block + at, b.data, b.len);
        e->term = m->entries[i].term;
        e->type = (enum raft_entry_type)m->entries[i].type;
        e->buf.base = block + at;
        e->buf.len = b.len;
        e->batch = block;
        at += (b.len + 7) & ~(size_t)7;
    }
    return block != NULL;
}

static void feed(struct quorum *q, struct raft_message *r)
{
    struct raft_event e = {.type = RAFT_RECEIVE};
    e.receive.message = r;
    step(q, &e);
}

static int receive_append(struct quorum *q, const struct quorum_message *m, struct raft_message *r,
                          struct errmsg *em)
{
    uint64_t prev;
    uint64_t prev_term;
    uint32_t skip = quorum_skip_committed(q, m, &prev, &prev_term);
    q->leader_commit = m->commit;
    uint32_t n = m->entries_n - skip;
    struct raft_entry *entries = NULL;
    if (!quorum_entries_sound(m, skip, prev_term) || !quorum_offsets_follow(q, m, skip, prev)) {
        return drop(q, m, "its entries are no batches that can follow here", em);
    }
    if (n) {
        entries = mem_zalloc(n * sizeof *entries);
        if (!copy_entries(m, skip, entries)) {
            mem_free(entries);
            return 0; /* no memory now: it will be sent again */
        }
    }
    r->type = RAFT_APPEND_ENTRIES;
    r->append_entries = (struct raft_append_entries){
        .version = m->version,
        .term = m->term,
        .prev_log_index = prev,
        .prev_log_term = prev_term,
        .leader_commit = m->commit,
        .entries = entries,
        .n_entries = n,
    };
    feed(q, r);
    mem_free(entries);
    return 0;
}

static int receive_append_result(struct quorum *q, const struct quorum_message *m,
                                 struct raft_message *r, struct errmsg *em)
{
    raft_index match;
    if (raft_state(&q->raft) == RAFT_LEADER) {
        if (m->term == raft_current_term(&q->raft) && m->request_term != m->term) {
            return 0; /* guard A: an answer to what an earlier term of ours sent */
        }
        if (m->term == raft_current_term(&q->raft) && m->rejected &&
            raft_match_index(&q->raft, to_raft(m->from), &match) == 0 && m->rejected <= match) {
            return 0; /* guard J: late, the follower has it by now. A higher term is to be heard. */
        }
        if (m->index > metadata_log_last_index(q->log)) {
            return drop(q, m, "it acknowledges entries that this leader does not have", em);
        }
    }
    quorum_fill(m, r);
    feed(q, r);
    if (raft_state(&q->raft) == RAFT_LEADER && m->term == raft_current_term(&q->raft) &&
        raft_match_index(&q->raft, to_raft(m->from), &match) == 0) {
        struct quorum_progress *p = &q->progress[voter_slot(q, m->from)];
        p->match = match;
        p->heard_ms = io_wall_ms(q->io);
        p->caught_up_ms = match == metadata_log_last_index(q->log) ? p->heard_ms : p->caught_up_ms;
    }
    return 0;
}

static void receive_vote_result(struct quorum *q, const struct quorum_message *m,
                                struct raft_message *r)
{
    uint64_t own = raft_current_term(&q->raft);
    if (raft_state(&q->raft) != RAFT_CANDIDATE) {
        return; /* guard K: late; libraft would look at a candidate's state that is not there */
    }
    if (m->pre_vote && !m->granted && m->sender_term > own) {
        /* Guard I: take the higher term without granting anybody a vote; the answer is not used. */
        r->type = RAFT_REQUEST_VOTE;
        r->request_vote = (struct raft_request_vote){
            .version = m->version,
            .term = m->sender_term,
            .candidate_id = to_raft(m->from),
        };
        feed(q, r);
        return;
    }
    if (m->granted && !m->pre_vote && m->term == own) {
        q->votes |= UINT64_C(1) << voter_slot(q, m->from);
    }
    quorum_fill(m, r);
    feed(q, r);
}

bool quorum_wants_snapshot(const struct quorum *q, const struct quorum_message *m)
{
    uint64_t term = quorum_term_of(q, m->index);
    return !q->failed && !q->closed && m->term >= raft_current_term(&q->raft) &&
           m->index > q->commit && term != m->index_term && /* libraft's own condition */
           quorum_contradiction(q, m) == NULL;
}

/* libraft installs, or answers that it has it all or that the term is over. */
static int receive_snapshot(struct quorum *q, const struct quorum_message *m,
                            struct raft_message *r, struct errmsg *em)
{
    struct raft_install_snapshot *p = &r->install_snapshot;
    if (q->incoming == NULL && quorum_wants_snapshot(q, m)) {
        return drop(q, m, "its snapshot is not here", em);
    }
    r->type = RAFT_INSTALL_SNAPSHOT;
    *p = (struct raft_install_snapshot){
        .version = m->version,
        .term = m->term,
        .last_index = m->index,
        .last_term = m->index_term,
        .conf_index = 1,
        .data = {.base = raft_malloc(1), .len = 1},
    };
    if (p->data.base == NULL || !make_configuration(q, &p->conf)) {
        raft_free(p->data.base);
        return 0; /* no memory now: it will be sent again */
    }
    feed(q, r);
    return 0;
}

void quorum_receive_snapshot(struct quorum *q, const struct quorum_message *m,
                             struct metadata_incoming *in)
{
    struct metadata_snapshot_id id = metadata_incoming_id(in);
    ASSERT(m->type == QUORUM_SNAPSHOT && m->snapshot.offset == id.offset);
    if (quorum_wants_snapshot(q, m)) {
        q->incoming = in;
        in = NULL;
    }
    (void)quorum_receive(q, m, NULL); /* its sender had its answer when the file was asked for */
    metadata_incoming_abandon(in);
    metadata_incoming_abandon(q->incoming); /* it was not used */
    q->incoming = NULL;
}

int quorum_receive(struct quorum *q, const struct quorum_message *m, struct errmsg *em)
{
    char address[16];
    struct raft_message r = {.server_id = to_raft(m->from)};
    if (q->failed || q->closed) {
        return 0;
    }
    if (voter_slot(q, m->from) < 0 || m->from == q->node_id || m->to != q->node_id) {
        return drop(q, m, "it is not from another voter to this one", em);
    }
    uint64_t term = m->sender_term > m->term ? m->sender_term : m->term;
    if (term > INT32_MAX || term > raft_current_term(&q->raft) + TERM_LEAP_MAX) {
        return drop(q, m, "its term is too far from the present one", em);
    }
    const char *why = quorum_contradiction(q, m);
    if (why) {
        return drop(q, m, why, em);
    }
    snprintf(address, sizeof address, "%d", m->from);
    r.server_address = address;
    switch (m->type) {
    case QUORUM_APPEND:
        return receive_append(q, m, &r, em);
    case QUORUM_APPEND_RESULT:
        return receive_append_result(q, m, &r, em);
    case QUORUM_VOTE:
    case QUORUM_TIMEOUT_NOW:
        quorum_fill(m, &r);
        feed(q, &r);
        return 0;
    case QUORUM_VOTE_RESULT:
        receive_vote_result(q, m, &r);
        return 0;
    case QUORUM_SNAPSHOT:
        return receive_snapshot(q, m, &r, em);
    default:
        return drop(q, m, "its type is not served", em);
    }
}
