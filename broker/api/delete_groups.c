/* DeleteGroups (42), versions 0 to 2. A group that is named twice is one. Each group is a question
 * of its own to its coordinator, and one is out at a time: the request's arena is lent with it, and
 * a request with a hundred thousand names does not fill the rings between the shards. */
#include "base/map.h"
#include "broker/api/handlers.h"
#include "broker/group_route.h"
#include "proto_errors.h"
#include "proto_messages.h"

#define RESULT      struct delete_groups_response_deletable_group_result
#define RESULT_DESC delete_groups_response_deletable_group_result_desc

struct deletion {
    struct group_request g;
    struct state *state;
    RESULT *out; /* in the answer */
};

struct state {
    struct delete_groups_response *resp;
    struct deletion *deletions; /* one for each result */
    int32_t next;
    bool waiting; /* for the answer about the one before next */
    bool looping; /* in go_on: an answer that comes inside does not call it again */
};

static void go_on(struct request *r, struct state *s);

static void done(struct request *r, struct group_request *g, int16_t code)
{
    struct deletion *d = CONTAINER_OF(g, struct deletion, g);
    const struct delete_groups_response *answer = g->ask.response;
    d->out->error_code = code ? code : answer->results[0].error_code;
    d->state->waiting = false;
    if (!d->state->looping) {
        go_on(r, d->state);
    }
}

/* The coordinator's question and answer are about one group each. */
static void start(struct request *r, struct deletion *d)
{
    struct delete_groups_request *q = proto_array(&r->arena, &delete_groups_request_desc, 1);
    struct delete_groups_response *answer = request_response(r);
    q->groups_names = &d->out->group_id;
    q->groups_names_n = 1;
    answer->results = proto_array(&r->arena, &RESULT_DESC, 1);
    answer->results_n = 1;
    answer->results[0].group_id = d->out->group_id;
    group_request_start(&d->g, r, GROUP_DELETE, d->out->group_id, q, answer, done, NULL);
}

static void go_on(struct request *r, struct state *s)
{
    s->looping = true;
    while (s->next < s->resp->results_n && !s->waiting) {
        s->waiting = true;
        start(r, &s->deletions[s->next++]);
    }
    s->looping = false;
    if (!s->waiting) {
        request_reply(r, s->resp);
    }
}

void api_delete_groups(struct request *r)
{
    const struct delete_groups_request *q = r->body;
    struct state *s = ARENA_NEW(&r->arena, struct state);
    struct map seen = {.secret = &r->ns->map_secret};
    s->resp = request_response(r);
    s->resp->results = proto_array(&r->arena, &RESULT_DESC, (size_t)q->groups_names_n);
    s->deletions = ARENA_ARRAY(&r->arena, struct deletion, q->groups_names_n + 1);
    for (int32_t i = 0; i < q->groups_names_n; i++) {
        if (map_put(&seen, q->groups_names[i], s) == NULL) {
            RESULT *out = &s->resp->results[s->resp->results_n];
            out->group_id = q->groups_names[i];
            s->deletions[s->resp->results_n].state = s;
            s->deletions[s->resp->results_n].out = out;
            s->resp->results_n++;
        }
    }
    map_free(&seen);
    go_on(r, s);
}
