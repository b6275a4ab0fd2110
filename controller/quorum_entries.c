/* The batches of a voter: what it writes when its term begins, what its owner appends, and whether
 * what another voter sends can be placed in the log. */
#include "base/mem.h"
#include "controller/quorum_private.h"
#include "proto_messages.h"

uint64_t quorum_term_of(const struct quorum *q, uint64_t index)
{
    uint64_t snapshot = metadata_log_snapshot_index(q->log);
    if (index == snapshot && snapshot > 0) {
        struct metadata_snapshot_id id = metadata_log_newest_snapshot(q->log);
        return id.epoch < 1 ? 1 : (uint64_t)id.epoch;
    }
    if (index == 1) {
        return 1;
    }
    return index < metadata_log_first_index(q->log) || index > metadata_log_last_index(q->log)
               ? 0
               : (uint64_t)metadata_log_epoch_at(q->log, index);
}

static void put_control(struct batch_builder *b, int64_t time_ms, enum control_type type,
                        const struct proto_message *m, int16_t version, const void *body)
{
    struct buf value = {0};
    int err = proto_encode(m, version, body, &value, NULL);
    ASSERT(err == 0);
    batch_builder_add_control(b, time_ms, type, buf_bytes(&value));
    buf_free(&value);
}

/* The control batch that begins this node's term. Under kraft.version 1 the first one of the log
 * also carries KRAFT_VERSION and KRAFT_VOTERS, as Kafka's does. */
void quorum_put_leader_change(struct quorum *q, int32_t epoch, struct buf *out)
{
    struct arena a = {0};
    struct batch_builder b = {0};
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct leader_change_message m;
    struct bytes voters;
    int16_t kraft = metadata_log_kraft_version(q->log, &voters);
    int64_t time_ms = io_wall_ms(q->io);
    opt.base_offset = metadata_log_end_offset(q->log);
    opt.leader_epoch = epoch;
    opt.control = true;
    batch_builder_init(&b, &opt);
    proto_msg_init(&leader_change_message_msg, &m);
    m.leader_id = q->node_id;
    m.voters = proto_array(&a, &leader_change_message_voter_desc, q->voters_n);
    m.granting_voters = proto_array(&a, &leader_change_message_voter_desc, q->voters_n);
    for (size_t i = 0; i < q->voters_n; i++) {
        m.voters[m.voters_n++].voter_id = q->voters[i];
        if (q->voters[i] == q->node_id || (q->votes >> i & 1)) {
            m.granting_voters[m.granting_voters_n++].voter_id = q->voters[i];
        }
    }
    put_control(&b, time_ms, CONTROL_LEADER_CHANGE, &leader_change_message_msg, 0, &m);
    if (kraft > 0 && opt.base_offset == 0 && !bytes_is_null(voters)) {
        struct kraft_version_record v;
        proto_msg_init(&kraft_version_record_msg, &v);
        v.kraft_version = kraft;
        put_control(&b, time_ms, CONTROL_KRAFT_VERSION, &kraft_version_record_msg, 0, &v);
        batch_builder_add_control(&b, time_ms, CONTROL_KRAFT_VOTERS, voters);
    }
    int err = batch_builder_finish(&b, out);
    ASSERT(err == 0); /* no codec */
    batch_builder_free(&b);
    arena_free(&a);
}

int quorum_build_batch(struct quorum *q, int32_t epoch, const struct bytes *records, size_t n,
                       int64_t time_ms, struct buf *out, struct errmsg *em)
{
    struct batch_builder b = {0};
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    opt.base_offset = metadata_log_end_offset(q->log);
    opt.leader_epoch = epoch;
    batch_builder_init(&b, &opt);
    int err = 0;
    for (size_t i = 0; i < n && err == 0; i++) {
        batch_builder_add(&b, time_ms, BYTES_NULL, records[i], NULL, 0);
        if (batch_builder_size(&b) > QUORUM_BATCH_MAX) {
            err = errmsg_set(em, ERR_TOOBIG,
                             "the change needs more than %d bytes of metadata records, the most "
                             "that one batch may have",
                             QUORUM_BATCH_MAX);
        }
    }
    err = err ? err : batch_builder_finish(&b, out);
    batch_builder_free(&b);
    return err;
}

/* Entries must be batches that can follow each other, one entry each; terms never descend. */
bool quorum_entries_sound(const struct quorum_message *m, uint32_t skip, uint64_t prev_term)
{
    uint64_t term = prev_term;
    for (uint32_t i = skip; i < m->entries_n; i++) {
        struct batch_header h;
        struct bytes b = m->entries[i].batch;
        if (m->entries[i].type != RAFT_COMMAND && m->entries[i].type != RAFT_BARRIER) {
            return false;
        }
        if (batch_header_read(b, &h) != 0 || batch_size(&h) != b.len || !batch_crc_check(b) ||
            h.last_offset_delta < 0 || h.leader_epoch < 0 ||
            (uint64_t)h.leader_epoch != m->entries[i].term || m->entries[i].term < term ||
            m->entries[i].term > m->term) {
            return false;
        }
        term = m->entries[i].term;
    }
    return true;
}

uint32_t quorum_skip_committed(const struct quorum *q, const struct quorum_message *m,
                               uint64_t *prev, uint64_t *prev_term)
{
    *prev = m->index;
    *prev_term = m->index_term;
    if (m->term < (uint64_t)quorum_epoch(q) || q->raft.snapshot.installing ||
        m->index >= q->commit) {
        return 0;
    }
    uint64_t behind = q->commit - m->index;
    *prev = q->commit;
    *prev_term = quorum_term_of(q, q->commit);
    return behind < m->entries_n ? (uint32_t)behind : m->entries_n;
}

const char *quorum_contradiction(const struct quorum *q, const struct quorum_message *m)
{
    static const char of_committed[] = "it contradicts what is committed here";
    uint64_t own = (uint64_t)quorum_epoch(q);
    uint64_t known = quorum_term_of(q, m->index);
    if ((m->type != QUORUM_APPEND && m->type != QUORUM_SNAPSHOT) || m->term < own) {
        return NULL; /* nobody's word as leader, or refused for its term */
    }
    if (m->term == 0) {
        return "nobody leads in term 0";
    }
    if (m->term == own && quorum_is_leader(q)) {
        return "it is a leader's, in the term in which this voter leads";
    }
    if (m->index_term == 0 && m->index > 0) {
        return "it is of an entry of term 0, which there is none of";
    }
    if (m->type == QUORUM_APPEND) { /* what lies below is not looked at (guards B and C) */
        return m->index == q->commit && known != 0 && known != m->index_term ? of_committed : NULL;
    }
    if (m->index < 2) {
        return "its snapshot has no entry";
    }
    if (m->index_term != (m->snapshot.epoch < 1 ? 1 : (uint64_t)m->snapshot.epoch)) {
        return "its snapshot is of another term than it says";
    }
    if (m->index > q->commit) {
        return m->snapshot.offset <= q->high_watermark ? of_committed : NULL;
    }
    uint64_t newest = metadata_log_snapshot_index(q->log); /* 1: of the configuration alone */
    bool compacted = m->index <= (newest > 1 ? newest : 0);
    return !compacted && known != m->index_term ? of_committed : NULL;
}

/* Where entry index ends, which the log has. False: it cannot be read. */
static bool end_of(struct quorum *q, uint64_t index, int64_t *offset)
{
    const struct quorum_recent *r = &q->recent[index % QUORUM_RECENT];
    if (r->index == index) {
        *offset = r->next_offset;
        return true;
    }
    return metadata_log_end_of(q->log, index, offset) == 0;
}

/* Whether the entries begin where our log would have them begin, and those that it has already
 * (libraft knows them by their terms) end where they do here: what follows them stays. */
bool quorum_offsets_follow(struct quorum *q, const struct quorum_message *m, uint32_t skip,
                           uint64_t prev)
{
    int64_t next;
    if (skip == m->entries_n || prev > metadata_log_last_index(q->log)) {
        return true; /* nothing to place, or libraft will reject it */
    }
    if (prev == m->index && quorum_term_of(q, prev) != m->index_term) {
        return true; /* ours is another entry, of other length perhaps: libraft will reject it */
    }
    if (prev == metadata_log_last_index(q->log)) {
        next = metadata_log_end_offset(q->log);
    } else if (prev == metadata_log_snapshot_index(q->log)) {
        next = metadata_log_newest_snapshot(q->log).offset;
    } else if (prev <= 1) {
        next = 0;
    } else if (metadata_log_end_of(q->log, prev, &next) != 0) {
        return false;
    }
    bool same = true; /* up to here, as in our log */
    for (uint32_t i = skip; i < m->entries_n; i++) {
        struct batch_header h;
        uint64_t index = prev + 1 + i - skip;
        int64_t here;
        if (batch_header_read(m->entries[i].batch, &h) != 0 || h.base_offset != next) {
            return false;
        }
        next = batch_next_offset(&h);
        same = same && quorum_term_of(q, index) == m->entries[i].term;
        if (same && (!end_of(q, index, &here) || here != next)) {
            return false;
        }
    }
    return true;
}
