/* OffsetFetch (9), versions 1 to 10: committed offsets of one group (up to 7) or of several, of the
 * topics that are named or of all. Each form is turned into that of version 8.
 *
 * Version 10 gives topics by id: they are named here by the request's image, unknown ones get
 * UNKNOWN_TOPIC_ID behind the others; of all topics those are answered that are there. A name that
 * is not there is no error: it has no offset, or one that outlives its topic by a moment.
 *
 * What is wrong with the whole group stands with the group (8 and up), at the top (2 to 7), or at
 * each partition (1). */
#include "broker/api/handlers.h"
#include "broker/group_route.h"
#include "controller/image.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { TOP_ERROR_SINCE = 2, GROUPS_SINCE = 8, TOPIC_IDS_SINCE = 10, NO_OFFSET = -1 };

/* The generated names are long. */
#define ASKED          struct offset_fetch_request_offset_fetch_request_group
#define ASKED_TOPIC    struct offset_fetch_request_offset_fetch_request_topics
#define GROUP          struct offset_fetch_response_offset_fetch_response_group
#define TOPIC          struct offset_fetch_response_offset_fetch_response_topics
#define PARTITION      struct offset_fetch_response_offset_fetch_response_partitions
#define PARTITION_DESC offset_fetch_response_offset_fetch_response_partitions_desc
#define OLD_TOPIC      struct offset_fetch_response_offset_fetch_response_topic
#define OLD_PARTITION  struct offset_fetch_response_offset_fetch_response_partition

struct item {
    struct group_item it;
    ASKED asked;    /* what goes to the coordinator */
    TOPIC *unknown; /* ids without a topic */
    int32_t unknown_n;
    GROUP *out;
};

struct state {
    struct offset_fetch_response *resp;
    struct item *items;
    GROUP *groups; /* as many */
    int32_t n;
    bool require_stable;
};

/* ---- on the home shard ---- */

static bool read_group(const struct group_coordinator *c, struct group_item *it, void *user,
                       int64_t now_ms, int64_t wall_ms, struct arena *a)
{
    const struct state *s = user;
    struct item *item = CONTAINER_OF(it, struct item, it);
    UNUSED(now_ms);
    UNUSED(wall_ms);
    return group_fetch_offsets(c, &item->asked, s->require_stable, a, item->out);
}

/* ---- the answer ---- */

/* Every partition of a topic with the same error and no offset. */
static void fill_error(struct request *r, const ASKED_TOPIC *q, int16_t code, TOPIC *out)
{
    out->name = q->name;
    out->topic_id = q->topic_id;
    out->partitions = proto_array(&r->arena, &PARTITION_DESC, (size_t)q->partition_indexes_n);
    out->partitions_n = q->partition_indexes_n;
    for (int32_t i = 0; i < q->partition_indexes_n; i++) {
        out->partitions[i].partition_index = q->partition_indexes[i];
        out->partitions[i].committed_offset = NO_OFFSET;
        out->partitions[i].error_code = code;
    }
}

static TOPIC *new_topics(struct request *r, int32_t n)
{
    return proto_array(&r->arena, &offset_fetch_response_offset_fetch_response_topics_desc,
                       (size_t)n);
}

static void group_error(struct request *r, struct item *item, int16_t code)
{
    GROUP *out = item->out;
    out->topics = NULL;
    out->topics_n = 0;
    out->error_code = code;
    if (r->hdr.version < TOP_ERROR_SINCE) {
        out->error_code = 0;
        out->topics = new_topics(r, item->asked.topics_n);
        out->topics_n = item->asked.topics_n;
        for (int32_t i = 0; i < out->topics_n; i++) {
            fill_error(r, &item->asked.topics[i], code, &out->topics[i]);
        }
    }
}

/* All topics of a group, by id: of those that are there. */
static void identify(struct request *r, GROUP *out)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < out->topics_n; i++) {
        TOPIC *t = &out->topics[i];
        const struct image_topic *topic = image_topic_by_name(r->image, t->name);
        if (topic) {
            t->topic_id = topic->id;
            out->topics[kept++] = *t;
        }
    }
    out->topics_n = kept;
}

static void append_unknown(struct request *r, struct item *item)
{
    GROUP *out = item->out;
    TOPIC *all = new_topics(r, out->topics_n + item->unknown_n);
    if (out->topics_n) {
        memcpy(all, out->topics, sizeof *all * (size_t)out->topics_n);
    }
    memcpy(all + out->topics_n, item->unknown, sizeof *all * (size_t)item->unknown_n);
    out->topics = all;
    out->topics_n += item->unknown_n;
}

static void finish_group(struct request *r, struct item *item)
{
    int16_t code = item->it.at.error ? item->it.at.error : item->out->error_code;
    if (code) {
        group_error(r, item, code);
    } else if (item->unknown_n) {
        append_unknown(r, item);
    } else if (item->asked.topics_n < 0 && r->hdr.version >= TOPIC_IDS_SINCE) {
        identify(r, item->out);
    }
}

/* The one group in the form of version 7. */
static void flatten(struct request *r, const GROUP *group, struct offset_fetch_response *resp)
{
    resp->error_code = group->error_code;
    resp->topics = proto_array(&r->arena, &offset_fetch_response_offset_fetch_response_topic_desc,
                               (size_t)group->topics_n);
    resp->topics_n = group->topics_n;
    for (int32_t i = 0; i < group->topics_n; i++) {
        const TOPIC *in = &group->topics[i];
        OLD_TOPIC *out = &resp->topics[i];
        out->name = in->name;
        out->partitions =
            proto_array(&r->arena, &offset_fetch_response_offset_fetch_response_partition_desc,
                        (size_t)in->partitions_n);
        out->partitions_n = in->partitions_n;
        for (int32_t k = 0; k < in->partitions_n; k++) {
            OLD_PARTITION *p = &out->partitions[k];
            p->partition_index = in->partitions[k].partition_index;
            p->committed_offset = in->partitions[k].committed_offset;
            p->committed_leader_epoch = in->partitions[k].committed_leader_epoch;
            p->metadata = in->partitions[k].metadata;
            p->error_code = in->partitions[k].error_code;
        }
    }
}

static void done(struct request *r, void *user)
{
    struct state *s = user;
    for (int32_t i = 0; i < s->n; i++) {
        finish_group(r, &s->items[i]);
    }
    if (r->hdr.version < GROUPS_SINCE) {
        flatten(r, &s->groups[0], s->resp);
    } else {
        s->resp->groups = s->groups;
        s->resp->groups_n = s->n;
    }
    request_reply(r, s->resp);
}

/* ---- the question ---- */

/* Names the topics that are given by id; what has no name is set aside. */
static void name_topics(struct request *r, struct item *item)
{
    ASKED *q = &item->asked;
    int32_t kept = 0;
    for (int32_t i = 0; i < q->topics_n; i++) {
        ASKED_TOPIC *t = &q->topics[i];
        const struct image_topic *topic = image_topic_by_id(r->image, t->topic_id);
        if (topic) {
            t->name = topic->name;
            q->topics[kept++] = *t;
            continue;
        }
        if (item->unknown == NULL) {
            item->unknown = new_topics(r, q->topics_n - i);
        }
        fill_error(r, t, KE_UNKNOWN_TOPIC_ID, &item->unknown[item->unknown_n++]);
    }
    q->topics_n = q->topics_n < 0 ? -1 : kept;
}

/* Versions below 8 ask for one group, at the top. */
static void take_old(struct request *r, const struct offset_fetch_request *q, ASKED *out)
{
    proto_init(&offset_fetch_request_offset_fetch_request_group_desc, out);
    out->group_id = q->group_id;
    out->topics = NULL;
    out->topics_n = q->topics_n;
    if (q->topics_n < 0) {
        return;
    }
    out->topics = proto_array(&r->arena, &offset_fetch_request_offset_fetch_request_topics_desc,
                              (size_t)q->topics_n);
    for (int32_t i = 0; i < q->topics_n; i++) {
        out->topics[i].name = q->topics[i].name;
        out->topics[i].partition_indexes = q->topics[i].partition_indexes;
        out->topics[i].partition_indexes_n = q->topics[i].partition_indexes_n;
    }
}

void api_offset_fetch(struct request *r)
{
    const struct offset_fetch_request *q = r->body;
    bool old = r->hdr.version < GROUPS_SINCE;
    struct state *s = ARENA_NEW(&r->arena, struct state);
    s->resp = request_response(r);
    s->require_stable = q->require_stable;
    s->n = old ? 1 : q->groups_n;
    s->items = ARENA_ARRAY(&r->arena, struct item, s->n + 1);
    s->groups = proto_array(&r->arena, &offset_fetch_response_offset_fetch_response_group_desc,
                            (size_t)s->n);
    for (int32_t i = 0; i < s->n; i++) {
        struct item *item = &s->items[i];
        if (old) {
            take_old(r, q, &item->asked);
        } else {
            item->asked = q->groups[i];
        }
        if (r->hdr.version >= TOPIC_IDS_SINCE) {
            name_topics(r, item);
        }
        item->it.group_id = item->asked.group_id;
        item->out = &s->groups[i];
        item->out->group_id = item->asked.group_id;
    }
    group_read_start(r, s->items, sizeof s->items[0], (uint32_t)s->n, read_group, done, s);
}
