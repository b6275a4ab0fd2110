/* See node_run.h: actors and what they share. */
#include "sim/node_run.h"

#include <string.h>

#include "base/mem.h"

enum { CALL_US = 10000000 };

bool node_run_retriable(int16_t code)
{
    switch (code) {
    case KE_UNKNOWN_TOPIC_OR_PARTITION: /* not here yet */
    case KE_UNKNOWN_TOPIC_ID:
    case KE_INCONSISTENT_TOPIC_ID:
    case KE_LEADER_NOT_AVAILABLE:
    case KE_NOT_LEADER_OR_FOLLOWER:
    case KE_REQUEST_TIMED_OUT:
    case KE_COORDINATOR_LOAD_IN_PROGRESS:
    case KE_COORDINATOR_NOT_AVAILABLE:
    case KE_NOT_ENOUGH_REPLICAS:
    case KE_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case KE_NOT_CONTROLLER:
    case KE_KAFKA_STORAGE_ERROR:
    case KE_BROKER_NOT_AVAILABLE:
    case KE_REPLICA_NOT_AVAILABLE:
    case KE_NETWORK_EXCEPTION:
    case KE_UNKNOWN_LEADER_EPOCH:
    case KE_OFFSET_NOT_AVAILABLE:
    case KE_FENCED_LEADER_EPOCH:
    case KE_NOT_COORDINATOR:
        return true;
    default:
        return false;
    }
}

/* ---- actors ---- */

static void actor_wake(struct sim_event *ev)
{
    struct actor *a = ev->user;
    if (!a->nr->working) {
        return; /* actors_resume sets it again */
    }
    ASSERT(!a->busy);
    a->busy = true;
    a->step(a);
}

static void actor_later(struct actor *a, int64_t us_max)
{
    sim_clock_after(&a->nr->w.sim->clock, &a->wake, 1 + (int64_t)run_below(a->nr->r, us_max));
}

void actor_init(struct node_run *nr, struct actor *a, const char *id, int64_t pause_us_max)
{
    ASSERT(nr->actors_n < ACTORS_MAX);
    a->nr = nr;
    a->pause_us_max = pause_us_max;
    struct io *io = world_client(&nr->w);
    for (unsigned i = 0; i < nr->w.machines_n; i++) {
        sim_client_init(&a->links[i].c, io, id);
    }
    a->c = &a->links[0].c;
    memset(a->leader, -1, sizeof(a->leader));
    sim_event_init(&a->wake, actor_wake, a);
    nr->actors[nr->actors_n++] = a;
}

void actor_done(struct actor *a)
{
    ASSERT(a->busy);
    a->busy = false;
    actor_later(a, a->pause_us_max);
}

void actor_free(struct actor *a)
{
    sim_clock_cancel(&a->nr->w.sim->clock, &a->wake);
    actor_hang_up(a);
    if (a->stop != NULL) {
        a->stop(a);
    }
    mem_free(a);
}

bool actors_idle(void *ctx)
{
    const struct node_run *nr = ctx;
    for (unsigned i = 0; i < nr->actors_n; i++) {
        if (nr->actors[i]->busy) {
            return false;
        }
    }
    return true;
}

/* ---- topics ---- */

struct topic *node_run_topic(struct node_run *nr)
{
    for (int tries = 0; tries < 8 && nr->topics_n > 0; tries++) {
        struct topic *t = &nr->topics[run_below(nr->r, nr->topics_n)];
        if (t->state == TOPIC_EXISTS || (t->state == TOPIC_ASKED && tries == 7)) {
            return t;
        }
    }
    return NULL;
}

void topic_unclean(struct node_run *nr, struct topic *t)
{
    t->unclean = true;
    nr->losses++;
    for (int32_t k = 0; k < t->parts_asked; k++) {
        history_part_unclean(&nr->h, t->part[k], topic_may_lose(t));
    }
}

bool topic_has_id(const struct topic *t)
{
    return !uuid_is_zero(t->id);
}

void node_run_decode(struct node_run *nr, const struct sim_call *call, struct bytes body,
                     struct arena *a, void *out)
{
    const struct proto_message *m = proto_response(call->api_key);
    size_t used;
    proto_msg_init(m, out);
    int err = proto_decode(m, call->version, body, &used, a, out);
    if (err != 0 || used != body.len) {
        run_fail(nr->r, "the answer to %s version %d does not decode: %s, %zu of %zu bytes",
                 proto_request(call->api_key)->name, call->version, err_text(err), used, body.len);
    }
}

/* ---- settings ---- */

void actor_set(struct actor *a, const struct topic *t, const char *name, const char *value,
               sim_call_cb *cb, void *user)
{
    struct incremental_alter_configs_request req;
    struct incremental_alter_configs_request_alter_configs_resource res;
    struct incremental_alter_configs_request_alterable_config config;
    proto_msg_init(&incremental_alter_configs_request_msg, &req);
    proto_init(&incremental_alter_configs_request_alter_configs_resource_desc, &res);
    proto_init(&incremental_alter_configs_request_alterable_config_desc, &config);
    config.name = bytes_str(name);
    config.value = bytes_str(value);
    res.resource_type = 2; /* TOPIC */
    res.resource_name = bytes_str(t->name);
    res.configs = &config;
    res.configs_n = 1;
    req.resources = &res;
    req.resources_n = 1;
    sim_client_call(a->c, API_INCREMENTAL_ALTER_CONFIGS, (int16_t)run_below(a->nr->r, 2), &req,
                    CALL_US, cb, user);
}

int16_t actor_set_code(struct node_run *nr, const struct topic *t, const struct sim_call *call,
                       int err, struct bytes body)
{
    struct arena arena = {0};
    struct incremental_alter_configs_response resp;
    if (err != 0) {
        return -1;
    }
    node_run_decode(nr, call, body, &arena, &resp);
    RUN_CHECK(nr->r, resp.responses_n == 1);
    int16_t code = resp.responses[0].error_code;
    arena_free(&arena);
    if (code != 0 && !node_run_retriable(code)) {
        run_fail(nr->r, "%s: IncrementalAlterConfigs is answered %d", t->name, code);
    }
    return code;
}
