/* How actors reach brokers. With one node there is one connection. In a cluster an actor asks any
 * broker for Metadata, follows it to the leaders, and asks again when it was sent away or not
 * answered. */
#include "sim/node_run.h"

enum { CALL_US = 3000000 };

struct actor_link *actor_at(struct actor *a, unsigned machine)
{
    struct node_run *nr = a->nr;
    struct actor_link *l = &a->links[machine];
    if (!sim_client_is_open(&l->c)) {
        l->stream = ++nr->streams;
        sim_client_open(&l->c, nr->w.machines[machine].host->ip, WORLD_PORT);
    }
    a->c = &l->c;
    return l;
}

void actor_open(struct actor *a)
{
    struct node_run *nr = a->nr;
    unsigned at = (unsigned)(CONTAINER_OF(a->c, struct actor_link, c) - a->links);
    if (nr->many && (!sim_client_is_open(a->c) || run_chance(nr->r, 10))) {
        at = nr->brokers[run_below(nr->r, nr->brokers_n)]->index;
    }
    actor_at(a, at);
}

struct actor_link *actor_leader(struct actor *a, uint32_t part)
{
    if (!a->nr->many) {
        return actor_at(a, 0);
    }
    return a->leader[part] < 0 ? NULL : actor_at(a, (unsigned)a->leader[part]);
}

void actor_forget(struct actor *a, uint32_t part)
{
    a->leader[part] = -1;
}

void actor_hang_up(struct actor *a)
{
    for (unsigned i = 0; i < a->nr->w.machines_n; i++) {
        sim_client_close(&a->links[i].c);
    }
}

/* ---- Metadata ---- */

static struct machine *broker_of(struct node_run *nr, int32_t id)
{
    for (unsigned i = 0; i < nr->brokers_n; i++) {
        if (nr->brokers[i]->node_id == id) {
            return nr->brokers[i];
        }
    }
    run_fail(nr->r, "Metadata speaks of broker %d, which there is not", id);
}

static void check_addresses(struct node_run *nr, const struct metadata_response *resp)
{
    for (int32_t i = 0; i < resp->brokers_n; i++) {
        struct machine *m = broker_of(nr, resp->brokers[i].node_id);
        if (!bytes_eq_str(resp->brokers[i].host, m->host->ip) ||
            resp->brokers[i].port != WORLD_PORT) {
            run_fail(nr->r, "Metadata says that broker %d is at %.*s:%d", m->node_id,
                     BYTES_FMT(resp->brokers[i].host), resp->brokers[i].port);
        }
    }
}

static void learn_topic(struct actor *a, const struct topic *t,
                        const struct metadata_response_metadata_response_topic *m)
{
    for (int32_t i = 0; i < m->partitions_n; i++) {
        const struct metadata_response_metadata_response_partition *p = &m->partitions[i];
        if (p->partition_index >= t->parts_asked) {
            continue;
        }
        uint32_t part = t->part[p->partition_index];
        bool known = p->error_code == 0 && p->leader_id >= 0;
        a->leader[part] = known ? (int8_t)broker_of(a->nr, p->leader_id)->index : -1;
        a->epoch[part] = p->leader_epoch;
    }
}

static void on_metadata(struct sim_call *call, int err, struct bytes body)
{
    struct actor *a = call->user;
    struct node_run *nr = a->nr;
    if (err == 0) {
        struct arena arena = {0};
        struct metadata_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        check_addresses(nr, &resp);
        for (unsigned i = 0; i < nr->topics_n; i++) {
            for (int32_t k = 0; k < resp.topics_n; k++) {
                if (bytes_eq_str(resp.topics[k].name, nr->topics[i].name)) {
                    learn_topic(a, &nr->topics[i], &resp.topics[k]);
                }
            }
        }
        arena_free(&arena);
    }
    a->learned(a);
}

void actor_learn(struct actor *a)
{
    struct metadata_request req;
    proto_msg_init(&metadata_request_msg, &req);
    req.topics = NULL;
    req.topics_n = -1;
    actor_open(a);
    sim_client_call(a->c, API_METADATA, (int16_t)(9 + run_below(a->nr->r, 4)), &req, CALL_US,
                    on_metadata, a);
}
