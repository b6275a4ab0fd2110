/* OffsetCommit, OffsetDelete and DeleteGroups, in Kafka's order of checks.
 *
 * A commit is checked against the group as it stands now and applied when its records are
 * committed, in the order of the log, whatever became of the group in between. Who is in no group
 * commits with a negative generation: to a group that is Empty or not there, which then exists by
 * its offsets alone ("simple").
 *
 * A deletion covers what is committed, what open transactions hold, and what is under way.
 *
 * Failure modes. Memory is full: COORDINATOR_NOT_AVAILABLE for what would grow it; offsets that
 * stand already can still be moved. */
#include "broker/group/offset_ops.h"

enum { STRING_V1_MAX = 32767 };

/* ---- OffsetCommit ---- */

/* Length in UTF-16 units, by which Kafka measures. */
static size_t java_length(struct bytes s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += (s.data[i] & 0xc0) != 0x80;
        n += s.data[i] >= 0xf0;
    }
    return n;
}

static bool metadata_too_large(const struct group_coordinator *c, struct bytes metadata)
{
    int64_t max = c->config->offset_metadata_max;
    return (int64_t)metadata.len > max &&
           ((int64_t)java_length(metadata) > max || metadata.len > STRING_V1_MAX);
}

static int16_t commit_check(struct group *g, const struct offset_commit_request *q,
                            const struct group_event *ev, struct group_effects *fx)
{
    if (g && g->kind != GROUP_KIND_CLASSIC) {
        return foreign_check_commit(g, q->member_id, q->generation_id_or_member_epoch,
                                    ev->ask->version);
    }
    return classic_check_commit(g, q->member_id, q->group_instance_id,
                                q->generation_id_or_member_epoch, ev->ask->version, ev, fx);
}

static struct bytes dup(struct arena *a, struct bytes b)
{
    return b.data ? bytes_of(arena_strndup(a, b.data, b.len), b.len) : b;
}

/* The response as it will be unless the write fails. *n: partitions that may be committed. */
static void commit_respond(const struct group_coordinator *c, struct group_ask *ask, uint32_t *n)
{
    const struct offset_commit_request *q = ask->request;
    struct offset_commit_response *out = ask->response;
    *n = 0;
    out->topics_n = q->topics_n;
    out->topics = ARENA_ARRAY(
        ask->arena, struct offset_commit_response_offset_commit_response_topic, q->topics_n);
    for (int32_t i = 0; i < q->topics_n; i++) {
        const struct offset_commit_request_offset_commit_request_topic *t = &q->topics[i];
        struct offset_commit_response_offset_commit_response_topic *to = &out->topics[i];
        to->name = dup(ask->arena, t->name);
        to->topic_id = t->topic_id;
        to->partitions_n = t->partitions_n;
        to->partitions =
            ARENA_ARRAY(ask->arena, struct offset_commit_response_offset_commit_response_partition,
                        t->partitions_n);
        for (int32_t k = 0; k < t->partitions_n; k++) {
            to->partitions[k].partition_index = t->partitions[k].partition_index;
            if (metadata_too_large(c, t->partitions[k].committed_metadata)) {
                to->partitions[k].error_code = KE_OFFSET_METADATA_TOO_LARGE;
            } else {
                (*n)++;
            }
        }
    }
}

static int64_t commit_expiry(const struct offset_commit_request *q, int64_t wall_ms)
{
    int64_t at;
    if (q->retention_time_ms == -1) {
        return -1;
    }
    return __builtin_add_overflow(wall_ms, q->retention_time_ms, &at) ? INT64_MAX : at;
}

static bool commit_is_known(const struct group *g, const struct offset_commit_request *q)
{
    for (int32_t i = 0; i < q->topics_n; i++) {
        const struct group_topic *t = offset_topic(g, q->topics[i].name);
        for (int32_t k = 0; k < q->topics[i].partitions_n; k++) {
            if (t == NULL || offset_find(t, q->topics[i].partitions[k].partition_index) == NULL) {
                return false;
            }
        }
    }
    return true;
}

static bool commit_fits(struct group_coordinator *c, const struct group *g,
                        const struct offset_commit_request *q, struct group_effects *fx)
{
    size_t more = g ? 0 : sizeof *g + q->group_id.len + (size_t)2 * GROUP_ALLOC_MORE;
    for (int32_t i = 0; i < q->topics_n; i++) {
        const struct offset_commit_request_offset_commit_request_topic *t = &q->topics[i];
        more += offset_store_need(t->name.len, (size_t)t->partitions_n);
        for (int32_t k = 0; k < t->partitions_n; k++) {
            more += t->partitions[k].committed_metadata.len;
        }
    }
    if (c->bytes + more <= c->config->memory_max) {
        return true;
    }
    return (g && commit_is_known(g, q)) || group_room(c, more, fx);
}

/* Records and what they mean, of every partition that the response has without an error. */
static void commit_write(struct group *g, const struct group_event *ev, uint32_t n,
                         struct group_effects *fx)
{
    struct group_ask *ask = ev->ask;
    const struct offset_commit_request *q = ask->request;
    const struct offset_commit_response *out = ask->response;
    int64_t expire = commit_expiry(q, ev->wall_ms);
    int16_t version = expire != -1 ? 1 : 4;
    struct commit_op *o = commit_op_new(g, ask, n);
    struct group_write *w = group_fx_write(fx, &o->op, n);
    for (int32_t i = 0; i < q->topics_n; i++) {
        const struct offset_commit_request_offset_commit_request_topic *t = &q->topics[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            const struct offset_commit_request_offset_commit_request_partition *p =
                &t->partitions[k];
            if (out->topics[i].partitions[k].error_code != 0) {
                continue;
            }
            struct commit_item *it = &o->items[o->n];
            it->topic = out->topics[i].name;
            it->partition = p->partition_index;
            it->v.offset = p->committed_offset;
            /* version 1 has no place for an epoch or an id */
            it->v.leader_epoch = version == 1 ? -1 : p->committed_leader_epoch;
            it->v.metadata = p->committed_metadata.len ? dup(ask->arena, p->committed_metadata)
                                                       : bytes_of("", 0);
            it->v.commit_timestamp = ev->wall_ms;
            it->v.expire_timestamp = expire;
            it->v.topic_id = version == 1 ? UUID_ZERO : t->topic_id;
            w->records[o->n] =
                group_record_offset(fx, g->id, it->topic, it->partition, &it->v, version);
            o->n++;
        }
    }
    ASSERT(o->n == n);
}

void offsets_commit(struct group_coordinator *c, const struct group_event *ev,
                    struct group_effects *fx)
{
    struct group_ask *ask = ev->ask;
    const struct offset_commit_request *q = ask->request;
    struct group *g = group_find(c, q->group_id);
    uint32_t n;
    commit_respond(c, ask, &n);
    int16_t code = commit_check(g && group_doomed(g) ? NULL : g, q, ev, fx);
    if (code == 0 && !commit_fits(c, g, q, fx)) {
        code = KE_COORDINATOR_NOT_AVAILABLE;
    }
    if (code != 0) {
        commit_fail(ask, code);
        group_fx_reply(fx, ask);
        return;
    }
    if (g == NULL) {
        g = group_make(c, q->group_id, GROUP_KIND_CLASSIC);
    }
    if (n == 0) { /* nothing of it is taken, but the group is there now */
        g->kept = true;
        group_fx_reply(fx, ask);
        return;
    }
    commit_write(g, ev, n, fx);
}

/* ---- OffsetDelete ---- */

bool group_subscribes(const struct group *g, struct bytes topic)
{
    if (g->kind != GROUP_KIND_CLASSIC) {
        return foreign_subscribes(g, topic);
    }
    return g->classic != NULL && classic_subscribes(g, topic);
}

static int16_t delete_check(const struct group *g)
{
    if (g == NULL || g->kind == GROUP_KIND_SHARE || group_doomed(g)) {
        return KE_GROUP_ID_NOT_FOUND;
    }
    if (g->kind == GROUP_KIND_CLASSIC && g->classic != NULL && !classic_is_empty(g) &&
        !classic_uses_consumer_protocol(g)) {
        return KE_NON_EMPTY_GROUP;
    }
    return 0;
}

static void delete_topic(struct gone *b, struct arena *a,
                         const struct offset_delete_request_offset_delete_request_topic *q,
                         struct offset_delete_response_offset_delete_response_topic *out)
{
    const struct group_topic *t = offset_topic(b->g, q->name);
    bool subscribed = group_subscribes(b->g, q->name);
    bool under_way = !list_empty(&b->g->pending);
    out->name = dup(a, q->name);
    out->partitions_n = q->partitions_n;
    out->partitions = ARENA_ARRAY(a, struct offset_delete_response_offset_delete_response_partition,
                                  q->partitions_n);
    for (int32_t k = 0; k < q->partitions_n; k++) {
        int32_t partition = q->partitions[k].partition_index;
        out->partitions[k].partition_index = partition;
        if (subscribed) {
            out->partitions[k].error_code = KE_GROUP_SUBSCRIBED_TO_TOPIC;
        } else if (under_way ||
                   (t && (offset_find(t, partition) || open_offset_has(t, partition)))) {
            gone_offset(b, q->name, partition);
        }
    }
}

void offsets_delete(struct group_coordinator *c, const struct group_event *ev,
                    struct group_effects *fx)
{
    struct group_ask *ask = ev->ask;
    const struct offset_delete_request *q = ask->request;
    struct offset_delete_response *out = ask->response;
    struct group *g = group_find(c, q->group_id);
    out->error_code = q->group_id.len == 0 ? KE_INVALID_GROUP_ID : delete_check(g);
    if (out->error_code != 0) {
        group_fx_reply(fx, ask);
        return;
    }
    out->topics_n = q->topics_n;
    out->topics = ARENA_ARRAY(
        ask->arena, struct offset_delete_response_offset_delete_response_topic, q->topics_n);
    struct gone b;
    gone_begin(&b, g, fx, GONE_OFFSETS_ASKED, ask);
    for (int32_t i = 0; i < q->topics_n; i++) {
        delete_topic(&b, ask->arena, &q->topics[i], &out->topics[i]);
    }
    if (b.total) {
        story_add(g, ev->wall_ms, "%u committed offsets are deleted by a request", b.total);
    }
    gone_end(&b, false);
}

/* ---- DeleteGroups ---- */

static void group_delete_offsets(struct gone *b)
{
    const struct group *g = b->g;
    for (uint32_t i = 0; i < g->topic_n; i++) {
        const struct group_topic *t = g->topic_v[i];
        for (uint32_t k = 0; k < t->n; k++) {
            gone_offset(b, t->name->text, t->v[k].partition);
        }
        map_for_each (slot, &t->open) {
            const struct open_offset *o = slot->value;
            if (offset_find(t, o->e.partition) == NULL) {
                gone_offset(b, t->name->text, o->e.partition);
            }
        }
    }
    struct offset_flight *v;
    uint32_t n = offset_flights(g, &b->fx->arena, &v);
    for (uint32_t i = 0; i < n; i++) {
        const struct group_topic *t = offset_topic(g, v[i].topic);
        bool named = t && (offset_find(t, v[i].partition) || open_offset_has(t, v[i].partition));
        if (!named && !v[i].gone) {
            gone_offset(b, v[i].topic, v[i].partition);
        }
    }
}

void group_delete(struct group_coordinator *c, const struct group_event *ev,
                  struct group_effects *fx)
{
    struct group_ask *ask = ev->ask;
    const struct delete_groups_request *q = ask->request;
    struct delete_groups_response *out = ask->response;
    ASSERT(q->groups_names_n == 1 && out->results_n == 1);
    struct group *g = group_find(c, q->groups_names[0]);
    int16_t code = 0;
    if (g == NULL || group_doomed(g)) {
        code = KE_GROUP_ID_NOT_FOUND;
    } else if (g->kind != GROUP_KIND_CLASSIC ? !foreign_is_empty(g)
                                             : g->classic != NULL && !classic_is_empty(g)) {
        code = KE_NON_EMPTY_GROUP;
    }
    if (code != 0) {
        out->results[0].error_code = code;
        group_fx_reply(fx, ask);
        return;
    }
    struct gone b;
    gone_begin(&b, g, fx, GONE_GROUP_ASKED, ask);
    group_delete_offsets(&b);
    group_fx_line(fx, GROUP_LINE_EVENT, "a group was deleted group=\"%s\" offsets=%u", SHOW(g->id),
                  b.total);
    gone_end(&b, true);
}
