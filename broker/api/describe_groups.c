/* DescribeGroups (15), versions 0 to 6: classic groups with their members. A group that is not
 * there is Dead, from version 6 on with GROUP_ID_NOT_FOUND. With our tag in the request each
 * group's answer also tells why it is as it is (proto/explain.h). */
#include "broker/api/handlers.h"
#include "broker/group_route.h"
#include "proto/explain.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum {
    /* Kafka's bit set of all operations on a group, as it answers them without an authorizer: read,
     * delete, describe, describe and alter configurations. */
    GROUP_OPERATIONS = 3400,
    OPERATIONS_SINCE = 3,
};

#define GROUP struct describe_groups_response_described_group

struct item {
    struct group_item it;
    GROUP *out;
};

struct state {
    struct describe_groups_response *resp;
    struct item *items;
    int16_t version;
    bool operations;
    bool explain;
};

static void explain(const struct group_coordinator *c, struct item *item, int64_t now_ms,
                    int64_t wall_ms, struct arena *a)
{
    struct group_story_line *story;
    uint32_t n;
    if (group_explain(c, item->it.group_id, now_ms, wall_ms, a, &story, &n)) {
        return; /* no such group */
    }
    struct explain_line *lines = ARENA_ARRAY(a, struct explain_line, (size_t)n + 1);
    for (uint32_t i = 0; i < n; i++) {
        lines[i].wall_ms = story[i].wall_ms;
        lines[i].text = bytes_str(story[i].text);
    }
    struct proto_tag *tag = ARENA_NEW(a, struct proto_tag);
    tag->tag = EXPLAIN_TAG;
    tag->value = explain_encode(lines, n, a);
    item->out->unknown.tags = tag;
    item->out->unknown.n = 1;
}

static bool read_group(const struct group_coordinator *c, struct group_item *it, void *user,
                       int64_t now_ms, int64_t wall_ms, struct arena *a)
{
    const struct state *s = user;
    struct item *item = CONTAINER_OF(it, struct item, it);
    group_describe(c, it->group_id, s->version, a, item->out);
    if (s->explain) {
        explain(c, item, now_ms, wall_ms, a);
    }
    return true;
}

static void done(struct request *r, void *user)
{
    struct state *s = user;
    for (int32_t i = 0; i < s->resp->groups_n; i++) {
        GROUP *g = &s->resp->groups[i];
        if (s->items[i].it.at.error) {
            g->error_code = s->items[i].it.at.error;
        } else if (s->operations && g->error_code == 0) {
            g->authorized_operations = GROUP_OPERATIONS;
        }
    }
    request_reply(r, s->resp);
}

void api_describe_groups(struct request *r)
{
    const struct describe_groups_request *q = r->body;
    struct state *s = ARENA_NEW(&r->arena, struct state);
    s->version = r->hdr.version;
    s->operations = q->include_authorized_operations && r->hdr.version >= OPERATIONS_SINCE;
    s->explain = explain_find(&q->unknown, NULL);
    s->resp = request_response(r);
    s->resp->groups =
        proto_array(&r->arena, &describe_groups_response_described_group_desc, (size_t)q->groups_n);
    s->resp->groups_n = q->groups_n;
    s->items = ARENA_ARRAY(&r->arena, struct item, q->groups_n + 1);
    for (int32_t i = 0; i < q->groups_n; i++) {
        s->items[i].it.group_id = q->groups[i];
        s->items[i].out = &s->resp->groups[i];
        s->resp->groups[i].group_id = q->groups[i];
    }
    group_read_start(r, s->items, sizeof s->items[0], (uint32_t)q->groups_n, read_group, done, s);
}
