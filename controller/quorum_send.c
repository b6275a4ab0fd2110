/* Messages that libraft wants sent, as the owner's transport carries them. Entries get their
 * payload from the log here: libraft keeps none. */
#include "base/mem.h"
#include "controller/quorum_private.h"

static bool fill_entries(struct quorum *q, const struct raft_append_entries *p,
                         struct quorum_entry *out, struct buf *bytes)
{
    size_t *sizes = mem_alloc(p->n_entries * sizeof *sizes);
    uint64_t first = p->prev_log_index + 1;
    unsigned skip = first == 1; /* the configuration is not in the log */
    int err = 0;
    for (unsigned i = 0; i < p->n_entries; i++) {
        out[i].term = quorum_term_of(q, first + i);
        out[i].type = first + i == 1 ? RAFT_CHANGE : RAFT_COMMAND;
    }
    if (skip) {
        out[0].batch = buf_bytes(&q->configuration);
    }
    if (err == 0 && p->n_entries > skip) {
        err = metadata_log_read_entries(q->log, first + skip, p->n_entries - skip, bytes, sizes);
    }
    const uint8_t *at = bytes->data;
    for (unsigned i = skip; err == 0 && i < p->n_entries; i++) {
        out[i].batch = bytes_of(at, sizes[i - skip]);
        at += sizes[i - skip];
    }
    mem_free(sizes);
    return err == 0;
}

static void send_append(struct quorum *q, const struct raft_append_entries *p,
                        struct quorum_message *m)
{
    struct quorum_entry *entries = mem_zalloc(p->n_entries * sizeof *entries);
    struct buf bytes = {0};
    m->type = QUORUM_APPEND;
    m->version = p->version;
    m->term = p->term;
    m->index = p->prev_log_index;
    m->index_term = p->prev_log_term;
    m->commit = p->leader_commit;
    m->entries_n = p->n_entries;
    m->entries = entries;
    if (p->n_entries == 0 || fill_entries(q, p, entries, &bytes)) {
        q->cb->send(q->user, m);
    } else {
        quorum_fail(q, "the metadata log in %s cannot be read from entry %llu on",
                    metadata_log_path(q->log), (unsigned long long)p->prev_log_index + 1);
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
