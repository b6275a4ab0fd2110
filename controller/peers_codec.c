#include "controller/peers_codec.h"

#include "base/assert.h"
#include "proto/cursor.h"

enum {
    FLAG_DISRUPT = 1,
    FLAG_PRE_VOTE = 2,
    FLAG_GRANTED = 4,
    FLAGS_ALL = 7,
    HEADER_BYTES = 10, /* key, version, correlation id, a null client id */
};

/* Every request of a voter begins with the names; its struct is the generated one of its message.
 */
#define PUT_NAMES(w, names)                                 \
    do {                                                    \
        (w).cluster_id = (names)->cluster_id;               \
        (w).from_id = (names)->from;                        \
        (w).from_directory_id = (names)->from_directory;    \
        (w).to_id = (names)->to;                            \
        (w).voters = (int32_t *)(uintptr_t)(names)->voters; \
        (w).voters_n = (int32_t)(names)->voters_n;          \
    } while (0)
#define NAMES_OF(w)                                                                     \
    ((struct peer_names){(w).cluster_id, (w).from_id, (w).from_directory_id, (w).to_id, \
                         (w).voters, (size_t)(w).voters_n})

void peer_put_header(struct buf *out, int16_t api_key, int32_t correlation_id)
{
    buf_put_be16(out, (uint16_t)api_key);
    buf_put_be16(out, PEER_VERSION);
    buf_put_be32(out, (uint32_t)correlation_id);
    buf_put_be16(out, 0xffff); /* no client id */
}

int peer_take_header(struct bytes frame, int32_t *correlation_id, struct bytes *body)
{
    struct cursor c = cursor_of(frame);
    cursor_be16(&c);
    int16_t version = (int16_t)cursor_be16(&c);
    *correlation_id = (int32_t)cursor_be32(&c);
    if (c.err) {
        return c.err;
    }
    if (version != PEER_VERSION) {
        return ERR_UNSUPPORTED;
    }
    int16_t client = (int16_t)cursor_be16(&c);
    if (client > 0) {
        cursor_take(&c, (size_t)client);
    }
    *body = bytes_of(frame.data + frame.len - cursor_left(&c), cursor_left(&c));
    return c.err;
}

/* ---- messages ---- */

void peer_put_message(struct buf *out, const struct peer_names *names,
                      const struct quorum_message *m)
{
    static const struct quorum_message greeting = {.snapshot = {-1, -1}};
    struct arena a = {0};
    m = m ? m : &greeting;
    struct voter_message w;
    proto_msg_init(&voter_message_msg, &w);
    PUT_NAMES(w, names);
    w.type = (int8_t)m->type;
    w.raft_version = (int8_t)m->version;
    w.flags = (int8_t)((m->disrupt_leader ? FLAG_DISRUPT : 0) | (m->pre_vote ? FLAG_PRE_VOTE : 0) |
                       (m->granted ? FLAG_GRANTED : 0));
    w.term = (int64_t)m->term;
    w.sender_term = (int64_t)m->sender_term;
    w.request_term = (int64_t)m->request_term;
    w.index = (int64_t)m->index;
    w.index_term = (int64_t)m->index_term;
    w.commit = (int64_t)m->commit;
    w.rejected = (int64_t)m->rejected;
    w.features = m->features;
    w.capacity = m->capacity;
    w.snapshot_end_offset = m->snapshot.offset;
    w.snapshot_epoch = m->snapshot.epoch;
    w.entries = proto_array(&a, &voter_message_voter_entry_desc, m->entries_n);
    w.entries_n = (int32_t)m->entries_n;
    for (uint32_t i = 0; i < m->entries_n; i++) {
        w.entries[i].term = (int64_t)m->entries[i].term;
        w.entries[i].type = (int8_t)m->entries[i].type;
        w.entries[i].batch = m->entries[i].batch;
    }
    int err = proto_encode(&voter_message_msg, PEER_VERSION, &w, out, NULL);
    ASSERT(err == 0);
    arena_free(&a);
}

static int odd(struct errmsg *em, const char *what)
{
    return errmsg_set(em, ERR_INVALID, "a voter's message has %s", what);
}

static int check_numbers(const struct voter_message *w, struct errmsg *em)
{
    const int64_t numbers[] = {w->term,       w->sender_term, w->request_term, w->index,
                               w->index_term, w->commit,      w->rejected};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (numbers[i] < 0 || numbers[i] >= INT64_MAX / 4) {
            return odd(em, "a number that is negative or beyond what can be");
        }
    }
    if (w->type < 0 || w->type > QUORUM_TIMEOUT_NOW) {
        return odd(em, "an unknown type");
    }
    if (w->raft_version < 0 || w->flags & ~FLAGS_ALL) {
        return odd(em, "an unknown version or flag");
    }
    if (w->entries_n > 0 && w->type != QUORUM_APPEND) {
        return odd(em, "entries, which only an append may have");
    }
    if (w->entries_n > PEER_ENTRIES_MAX) {
        return odd(em, "more entries than one may have");
    }
    if (w->type == QUORUM_SNAPSHOT && (w->snapshot_end_offset < 1 || w->snapshot_epoch < 0)) {
        return odd(em, "no snapshot that could be asked for");
    }
    return 0;
}

static void copy_numbers(const struct voter_message *w, struct quorum_message *out)
{
    *out = (struct quorum_message){
        .type = (enum quorum_message_type)w->type,
        .version = (uint8_t)w->raft_version,
        .from = w->from_id,
        .to = w->to_id,
        .term = (uint64_t)w->term,
        .sender_term = (uint64_t)w->sender_term,
        .request_term = (uint64_t)w->request_term,
        .index = (uint64_t)w->index,
        .index_term = (uint64_t)w->index_term,
        .commit = (uint64_t)w->commit,
        .rejected = (uint64_t)w->rejected,
        .disrupt_leader = w->flags & FLAG_DISRUPT,
        .pre_vote = w->flags & FLAG_PRE_VOTE,
        .granted = w->flags & FLAG_GRANTED,
        .features = w->features,
        .capacity = w->capacity,
        .snapshot = {w->snapshot_end_offset, w->snapshot_epoch},
    };
}

/* A message and nothing behind it. */
static int decode_whole(const struct proto_message *m, struct bytes body, struct arena *a,
                        void *out)
{
    size_t used = 0;
    int err = proto_decode(m, PEER_VERSION, body, &used, a, out);
    return err == 0 && used != body.len ? ERR_CORRUPT : err;
}

int peer_take_message(struct bytes body, struct arena *a, struct peer_names *names,
                      struct quorum_message *out, struct errmsg *em)
{
    struct voter_message w;
    int err = decode_whole(&voter_message_msg, body, a, &w);
    if (err) {
        return errmsg_set(em, err, "a voter's message does not decode: %s", err_text(err));
    }
    *names = NAMES_OF(w);
    err = check_numbers(&w, em);
    if (err) {
        return err;
    }
    copy_numbers(&w, out);
    struct quorum_entry *entries = ARENA_ARRAY(a, struct quorum_entry, (size_t)w.entries_n + 1);
    for (int32_t i = 0; i < w.entries_n; i++) {
        if (w.entries[i].term < 0 || w.entries[i].type < 0) {
            return odd(em, "an entry of a negative term or type");
        }
        entries[i] = (struct quorum_entry){(uint64_t)w.entries[i].term, (uint8_t)w.entries[i].type,
                                           w.entries[i].batch};
    }
    out->entries = entries;
    out->entries_n = (uint32_t)w.entries_n;
    return 0;
}

/* ---- pieces of snapshots ---- */

void peer_put_wanted(struct buf *out, const struct peer_names *names,
                     const struct peer_piece_wanted *wanted)
{
    struct voter_snapshot_fetch w;
    proto_msg_init(&voter_snapshot_fetch_msg, &w);
    PUT_NAMES(w, names);
    w.end_offset = wanted->id.offset;
    w.epoch = wanted->id.epoch;
    w.position = wanted->position;
    w.max_bytes = wanted->max_bytes;
    int err = proto_encode(&voter_snapshot_fetch_msg, PEER_VERSION, &w, out, NULL);
    ASSERT(err == 0);
}

int peer_take_wanted(struct bytes body, struct arena *a, struct peer_names *names,
                     struct peer_piece_wanted *out, struct errmsg *em)
{
    struct voter_snapshot_fetch w;
    int err = decode_whole(&voter_snapshot_fetch_msg, body, a, &w);
    if (err) {
        return errmsg_set(em, err, "a voter's message does not decode: %s", err_text(err));
    }
    if (w.end_offset < 0 || w.epoch < 0 || w.position < 0 || w.max_bytes < 1) {
        return odd(em, "a number that is negative or beyond what can be");
    }
    *names = NAMES_OF(w);
    *out = (struct peer_piece_wanted){
        .id = {w.end_offset, w.epoch}, .position = w.position, .max_bytes = w.max_bytes};
    return 0;
}

void peer_put_piece(struct buf *out, int32_t correlation_id, const struct peer_piece *piece)
{
    struct voter_snapshot_piece w;
    proto_msg_init(&voter_snapshot_piece_msg, &w);
    w.size = piece->size;
    w.position = piece->position;
    w.data = piece->data;
    buf_put_be32(out, (uint32_t)correlation_id);
    int err = proto_encode(&voter_snapshot_piece_msg, PEER_VERSION, &w, out, NULL);
    ASSERT(err == 0);
}

int peer_take_piece(struct bytes frame, struct arena *a, struct peer_piece *out)
{
    struct voter_snapshot_piece w;
    if (frame.len < 4) {
        return ERR_TRUNCATED;
    }
    int err =
        decode_whole(&voter_snapshot_piece_msg, bytes_of(frame.data + 4, frame.len - 4), a, &w);
    if (err) {
        return err;
    }
    if (w.position < 0 || w.size < 1 || w.data.len == 0 || w.position > w.size ||
        (int64_t)w.data.len > w.size - w.position) {
        return ERR_CORRUPT;
    }
    *out = (struct peer_piece){w.position, w.size, w.data};
    return 0;
}

/* ---- admissions ---- */

void peer_put_admit(struct buf *out, const struct peer_admit *q)
{
    struct voter_admit w;
    proto_msg_init(&voter_admit_msg, &w);
    w.cluster_id = q->cluster_id;
    w.voter_id = q->voter;
    w.directory_id = q->directory;
    int err = proto_encode(&voter_admit_msg, PEER_VERSION, &w, out, NULL);
    ASSERT(err == 0);
}

int peer_take_admit(struct bytes body, struct arena *a, struct peer_admit *out, struct errmsg *em)
{
    struct voter_admit w;
    int err = decode_whole(&voter_admit_msg, body, a, &w);
    if (err) {
        return errmsg_set(em, err, "the request does not decode: %s", err_text(err));
    }
    if (w.voter_id < 0 || uuid_is_zero(w.directory_id)) {
        return errmsg_set(em, ERR_INVALID, "it names no voter or no directory");
    }
    *out = (struct peer_admit){w.cluster_id, w.voter_id, w.directory_id};
    return 0;
}

void peer_put_admit_answer(struct buf *out, int32_t correlation_id,
                           const struct peer_admit_answer *answer)
{
    struct voter_admit_answer w;
    proto_msg_init(&voter_admit_answer_msg, &w);
    w.error_code = answer->code;
    w.error_message = answer->sentence ? bytes_str(answer->sentence) : BYTES_NULL;
    w.done = answer->done;
    w.leader_id = answer->leader;
    w.leader_host = bytes_str(answer->host ? answer->host : "");
    w.leader_port = answer->port;
    buf_put_be32(out, (uint32_t)correlation_id);
    int err = proto_encode(&voter_admit_answer_msg, PEER_VERSION, &w, out, NULL);
    ASSERT(err == 0);
}

int peer_take_admit_answer(struct bytes frame, struct arena *a, struct peer_admit_answer *out)
{
    struct voter_admit_answer w;
    if (frame.len < 4) {
        return ERR_TRUNCATED;
    }
    int err = decode_whole(&voter_admit_answer_msg, bytes_of(frame.data + 4, frame.len - 4), a, &w);
    if (err) {
        return err;
    }
    *out = (struct peer_admit_answer){
        .code = w.error_code,
        .sentence = arena_strndup(a, w.error_message.data, w.error_message.len),
        .done = w.done,
        .leader = w.leader_id,
        .host = arena_strndup(a, w.leader_host.data, w.leader_host.len),
        .port = w.leader_port,
    };
    return 0;
}

void peer_put_admitted(struct buf *out, const struct peer_names *names,
                       const struct peer_admitted *told)
{
    struct voter_admitted w;
    proto_msg_init(&voter_admitted_msg, &w);
    PUT_NAMES(w, names);
    w.voter_id = told->voter;
    w.directory_id = told->directory;
    w.epoch = told->epoch;
    int err = proto_encode(&voter_admitted_msg, PEER_VERSION, &w, out, NULL);
    ASSERT(err == 0);
}

int peer_take_admitted(struct bytes body, struct arena *a, struct peer_names *names,
                       struct peer_admitted *out, struct errmsg *em)
{
    struct voter_admitted w;
    int err = decode_whole(&voter_admitted_msg, body, a, &w);
    if (err) {
        return errmsg_set(em, err, "a voter's message does not decode: %s", err_text(err));
    }
    *names = NAMES_OF(w);
    *out = (struct peer_admitted){w.voter_id, w.directory_id, w.epoch};
    return 0;
}

/* ---- answers ---- */

void peer_put_answer(struct buf *out, int32_t correlation_id, int16_t code, const char *sentence)
{
    struct voter_answer w;
    proto_msg_init(&voter_answer_msg, &w);
    w.error_code = code;
    w.error_message = sentence ? bytes_str(sentence) : BYTES_NULL;
    buf_put_be32(out, (uint32_t)correlation_id);
    int err = proto_encode(&voter_answer_msg, PEER_VERSION, &w, out, NULL);
    ASSERT(err == 0);
}

int peer_take_answer(struct bytes frame, int32_t *correlation_id, int16_t *code,
                     struct bytes *sentence)
{
    if (frame.len < 4) {
        return ERR_TRUNCATED;
    }
    *correlation_id = (int32_t)load_be32(frame.data);
    /* not more than these two fields: the other end may be of a newer release */
    struct cursor c = cursor_of(bytes_of(frame.data + 4, frame.len - 4));
    *code = (int16_t)cursor_be16(&c);
    uint32_t n = cursor_uvarint(&c);
    *sentence = BYTES_NULL;
    if (c.err == 0 && n > 0) {
        const uint8_t *p = cursor_take(&c, n - 1);
        *sentence = p ? bytes_of(p, n - 1) : BYTES_NULL;
    }
    return c.err;
}

int peer_take_result(struct bytes frame, struct bytes *body)
{
    struct voter_answer w;
    struct arena a = {.limit = 1 << 20};
    size_t used = 0;
    *body = BYTES_NULL;
    if (frame.len < 4) {
        return ERR_TRUNCATED;
    }
    struct bytes rest = bytes_of(frame.data + 4, frame.len - 4);
    int err = proto_decode(&voter_answer_msg, PEER_VERSION, rest, &used, &a, &w);
    if (err == 0) {
        *body = bytes_of(rest.data + used, rest.len - used);
    }
    arena_free(&a);
    return err;
}
