/* Messages between libraft's form and the one that the owner's transport carries. Those that
 * libraft wants sent get the payload of their entries from the log here: libraft keeps none. */
#include "base/mem.h"
#include "controller/quorum_private.h"

enum { CHUNK_BYTES = 1 << 20 }; /* of payload in one message, but at least one entry */

/* The entries from first on, at most n and so many that they fit into one message. Returns how
 * many; 0: the log cannot be read. */
static uint32_t gather(struct quorum *q, uint64_t first, uint32_t n, struct quorum_entry *out,
                       struct buf *bytes)
{
    uint32_t count = 0;
    size_t at = 0;
    buf_clear(bytes);
    while (count < n && (count == 0 || bytes->len < CHUNK_BYTES)) {
        uint64_t index = first + count;
        out[count].term = quorum_term_of(q, index);
        out[count].type = index == 1 ? RAFT_CHANGE : RAFT_COMMAND;
        size_t size = q->configuration.len;
        if (index == 1) { /* the configuration is not in the log */
            buf_put(bytes, q->configuration.data, q->configuration.len);
        } else if (metadata_log_read_entries(q->log, index, 1, bytes, &size) != 0) {
            return 0;
        }
        out[count++].batch.len = size;
    }
    for (uint32_t i = 0; i < count; i++) {
        out[i].batch.data = bytes->data + at;
        at += out[i].batch.len;
    }
    return count;
}

/* What libraft wants sent at once may be several messages, one behind the other. */
static void send_append(struct quorum *q, const struct raft_append_entries *p,
                        struct quorum_message *m)
{
    /* nobody who is not there costs a reading of the log: without entries it is a heartbeat */
    bool all = p->n_entries > 0 && q->cb->may_send(q->user, m->to);
    uint32_t left = all ? p->n_entries : 0;
    struct quorum_entry *entries = mem_zalloc((left ? left : 1) * sizeof *entries);
    struct buf bytes = {0};
    m->type = QUORUM_APPEND;
    m->version = p->version;
    m->term = p->term;
    m->index = p->prev_log_index;
    m->index_term = p->prev_log_term;
    m->commit = p->leader_commit;
    m->entries = entries;
    if (left == 0) {
        q->cb->send(q->user, m);
    }
    while (left > 0) {
        uint32_t n = gather(q, m->index + 1, left, entries, &bytes);
        if (n == 0) {
            quorum_fail(q, "the metadata log in %s cannot be read from entry %llu on",
                        metadata_log_path(q->log), (unsigned long long)m->index + 1);
            break;
        }
        m->entries_n = n;
        q->cb->send(q->user, m);
        left -= n;
        m->index += n;
        m->index_term = entries[n - 1].term;
    }
    buf_free(&bytes);
    mem_free(entries);
}

static void send_result(struct quorum *q, const struct raft_append_entries_result *p,
                        struct quorum_message *m)
{
    m->type = QUORUM_APPEND_RESULT;
    m->version = p->version;
    m->term = p->term;
    m->rejected = p->rejected;
    m->index = p->last_log_index;
    m->features = p->features;
    m->capacity = p->capacity;
    if (m->request_term < m->sender_term) {
        /* Guard A: libraft leaves this uninitialised in answers to requests of an older term. */
        m->index = p->rejected ? p->rejected - 1 : 0;
    }
    q->cb->send(q->user, m);
}

void quorum_send(struct quorum *q, const struct raft_message *r, uint64_t term,
                 uint64_t request_term)
{
    struct quorum_message m = {
        .from = q->node_id,
        .to = (int32_t)(r->server_id - 1),
        .sender_term = term,
        .request_term = request_term,
        .snapshot = {-1, -1},
    };
    switch (r->type) {
    case RAFT_APPEND_ENTRIES:
        send_append(q, &r->append_entries, &m);
        return;
    case RAFT_APPEND_ENTRIES_RESULT:
        send_result(q, &r->append_entries_result, &m);
        return;
    case RAFT_REQUEST_VOTE:
        m.type = QUORUM_VOTE;
        m.version = r->request_vote.version;
        m.term = r->request_vote.term;
        m.index = r->request_vote.last_log_index;
        m.index_term = r->request_vote.last_log_term;
        m.disrupt_leader = r->request_vote.disrupt_leader;
        m.pre_vote = r->request_vote.pre_vote;
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        m.type = QUORUM_VOTE_RESULT;
        m.version = r->request_vote_result.version;
        m.term = r->request_vote_result.term;
        m.granted = r->request_vote_result.vote_granted;
        m.pre_vote = r->request_vote_result.pre_vote;
        m.features = r->request_vote_result.features;
        m.capacity = r->request_vote_result.capacity;
        break;
    case RAFT_INSTALL_SNAPSHOT:
        m.type = QUORUM_SNAPSHOT;
        m.version = r->install_snapshot.version;
        m.term = r->install_snapshot.term;
        m.index = r->install_snapshot.last_index;
        m.index_term = r->install_snapshot.last_term;
        m.snapshot = metadata_log_newest_snapshot(q->log);
        if (m.index != metadata_log_snapshot_index(q->log)) {
            return; /* another one is the newest by now, and will be sent */
        }
        break;
    case RAFT_TIMEOUT_NOW:
        m.type = QUORUM_TIMEOUT_NOW;
        m.version = r->timeout_now.version;
        m.term = r->timeout_now.term;
        m.index = r->timeout_now.last_log_index;
        m.index_term = r->timeout_now.last_log_term;
        break;
    default:
        return;
    }
    q->cb->send(q->user, &m);
}

void quorum_fill(const struct quorum_message *m, struct raft_message *r)
{
    switch (m->type) {
    case QUORUM_APPEND_RESULT:
        r->type = RAFT_APPEND_ENTRIES_RESULT;
        r->append_entries_result = (struct raft_append_entries_result){
            .version = m->version,
            .term = m->term,
            .rejected = m->rejected,
            .last_log_index = m->index,
            .features = m->features,
            .capacity = m->capacity,
        };
        return;
    case QUORUM_VOTE:
        r->type = RAFT_REQUEST_VOTE;
        r->request_vote = (struct raft_request_vote){
            .version = m->version,
            .term = m->term,
            .candidate_id = (raft_id)m->from + 1,
            .last_log_index = m->index,
            .last_log_term = m->index_term,
            .disrupt_leader = m->disrupt_leader,
            .pre_vote = m->pre_vote,
        };
        return;
    case QUORUM_VOTE_RESULT:
        r->type = RAFT_REQUEST_VOTE_RESULT;
        r->request_vote_result = (struct raft_request_vote_result){
            .version = m->version,
            .term = m->term,
            .vote_granted = m->granted,
            .pre_vote = m->pre_vote,
            .features = m->features,
            .capacity = m->capacity,
        };
        return;
    case QUORUM_TIMEOUT_NOW:
        r->type = RAFT_TIMEOUT_NOW;
        r->timeout_now = (struct raft_timeout_now){
            .version = m->version,
            .term = m->term,
            .last_log_index = m->index,
            .last_log_term = m->index_term,
        };
        return;
    case QUORUM_APPEND: /* with their payload and conditions: quorum.c */
    case QUORUM_SNAPSHOT:
        break;
    }
    UNREACHABLE();
}
