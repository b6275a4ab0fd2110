/* ListGroups (16), versions 0 to 5: the groups of every coordinator of this broker, of all kinds;
 * filtered by state (4 and up) and type (5 and up). While one coordinator loads the whole is
 * answered with its error, as in Kafka: a list with holes would be believed. */
#include "broker/api/handlers.h"
#include "broker/group_route.h"
#include "proto_errors.h"
#include "proto_messages.h"

#define LISTED struct list_groups_response_listed_group

struct state {
    struct list_groups_response *resp;
    struct group_filter filter;
};

struct part {
    LISTED *groups;
    uint32_t n;
};

static void *read_all(const struct group_coordinator *c, void *user, struct arena *a)
{
    const struct state *s = user;
    struct part *p = ARENA_NEW(a, struct part);
    uint32_t n = group_list(c, &s->filter, a, NULL, 0);
    p->groups = proto_array(a, &list_groups_response_listed_group_desc, n);
    p->n = group_list(c, &s->filter, a, p->groups, n);
    return p;
}

static void done(struct request *r, void *user, int16_t code, struct group_all_part *parts,
                 uint32_t n)
{
    struct state *s = user;
    struct list_groups_response *resp = s->resp;
    size_t total = 0;
    resp->error_code = code;
    for (uint32_t i = 0; i < n && code == 0; i++) {
        total += ((const struct part *)parts[i].answer)->n;
    }
    resp->groups = proto_array(&r->arena, &list_groups_response_listed_group_desc, total);
    for (uint32_t i = 0; i < n && code == 0; i++) {
        const struct part *p = parts[i].answer;
        if (p->n) {
            memcpy(resp->groups + resp->groups_n, p->groups, sizeof *p->groups * p->n);
        }
        resp->groups_n += (int32_t)p->n;
    }
    request_reply(r, resp);
}

void api_list_groups(struct request *r)
{
    const struct list_groups_request *q = r->body;
    struct state *s = ARENA_NEW(&r->arena, struct state);
    s->resp = request_response(r);
    s->filter =
        group_filter_of(q->states_filter, q->states_filter_n, q->types_filter, q->types_filter_n);
    group_all_start(r, read_all, done, s);
}
