#include "tools/clock.h"
#include "tools/group_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"
#include "proto_apis.h"
#include "proto_enums.h"
#include "proto_errors.h"

enum { BACKOFF_MS = 100, FIND_BATCH = 500, KEY_GROUP = 0 };

static void back_off(void)
{
    nanosleep(&(struct timespec){.tv_nsec = BACKOFF_MS * 1000000L}, NULL);
}

int group_client_open(struct group_client *g, const char *servers, const char *config_file,
                      int64_t timeout_ms)
{
    g->timeout_ms = timeout_ms;
    int rv = client_init(&g->c, servers, config_file);
    g->c.timeout_ms = timeout_ms < g->c.timeout_ms ? timeout_ms : g->c.timeout_ms;
    return rv ? rv : client_metadata(&g->c);
}

void group_client_close(struct group_client *g)
{
    client_close(&g->c);
}

/* ---- coordinators ---- */

static bool tries_again(int16_t code)
{
    return code == KE_COORDINATOR_LOAD_IN_PROGRESS || code == KE_COORDINATOR_NOT_AVAILABLE ||
           code == KE_NOT_COORDINATOR;
}

static bool connection_lost(int rv)
{
    return rv == ERR_CLOSED || rv == ERR_TIMEOUT || rv == ERR_REFUSED || rv == ERR_NOTFOUND;
}

/* One group, with a broker that knows no batches. */
static int find_one(struct group_client *g, struct group_ref *ref, int16_t *code)
{
    struct find_coordinator_request req;
    struct find_coordinator_response *resp;
    proto_msg_init(&find_coordinator_request_msg, &req);
    req.key = ref->id;
    req.key_type = KEY_GROUP;
    int rv =
        client_call_max(&g->c, CLIENT_ANY, API_FIND_COORDINATOR, 3, &req, (void **)&resp, NULL);
    if (rv == 0) {
        *code = resp->error_code;
        ref->coordinator = *code ? CLIENT_ANY : resp->node_id;
    }
    return rv;
}

static int find_batch(struct group_client *g, struct group_ref *v, size_t n, int16_t *codes)
{
    struct find_coordinator_request req;
    struct find_coordinator_response *resp;
    proto_msg_init(&find_coordinator_request_msg, &req);
    req.key_type = KEY_GROUP;
    req.coordinator_keys = ARENA_ARRAY(&g->c.arena, struct bytes, n);
    req.coordinator_keys_n = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        req.coordinator_keys[i] = v[i].id;
        codes[i] = KE_COORDINATOR_NOT_AVAILABLE;
    }
    int rv = client_call(&g->c, CLIENT_ANY, API_FIND_COORDINATOR, &req, (void **)&resp, NULL);
    for (int32_t k = 0; rv == 0 && k < resp->coordinators_n; k++) {
        const struct find_coordinator_response_coordinator *f = &resp->coordinators[k];
        /* brokers answer in the order of the question; look there first */
        for (size_t i = 0; i < n; i++) {
            size_t at = ((size_t)k + i) % n;
            if (bytes_eq(v[at].id, f->key)) {
                codes[at] = f->error_code;
                v[at].coordinator = f->error_code ? CLIENT_ANY : f->node_id;
                break;
            }
        }
    }
    return rv;
}

static int find(struct group_client *g, struct group_ref *v, size_t n, int16_t *codes)
{
    int16_t version;
    int rv = client_version(&g->c, CLIENT_ANY, API_FIND_COORDINATOR, &version);
    if (rv == 0 && version >= 4) {
        return find_batch(g, v, n, codes);
    }
    for (size_t i = 0; rv == 0 && i < n; i++) {
        rv = find_one(g, &v[i], &codes[i]);
    }
    return rv;
}

int group_client_find(struct group_client *g, struct group_ref *v, size_t n)
{
    int16_t codes[FIND_BATCH];
    int rv = 0;
    for (size_t at = 0; rv == 0 && at < n; at += FIND_BATCH) {
        rv = find(g, v + at, n - at < FIND_BATCH ? n - at : FIND_BATCH, codes);
    }
    return rv;
}

/* ---- one question about one group ---- */

static int gave_up(struct group_client *g, const struct group_ref *ref, int rv, int16_t code)
{
    char why[sizeof g->c.error.text];
    snprintf(why, sizeof why, "%s", rv ? g->c.error.text : group_client_error_text(code));
    return errmsg_set(&g->c.error, ERR_TIMEOUT,
                      "The coordinator of group '%.*s' did not answer within %lld ms: %.300s",
                      BYTES_FMT(ref->id), (long long)g->timeout_ms, why);
}

int group_client_call(struct group_client *g, struct group_ref *ref, int16_t api_key,
                      int16_t version_max, const void *req, void **resp, group_code_fn *code_of)
{
    int64_t deadline = steady_ms() + g->timeout_ms;
    for (;;) {
        int16_t code = KE_NONE;
        int rv = ref->coordinator == CLIENT_ANY ? find(g, ref, 1, &code) : 0;
        if (rv == 0 && code && !tries_again(code)) {
            return errmsg_set(&g->c.error, ERR_INVALID,
                              "FindCoordinator request for key `%.*s` failed: %s",
                              BYTES_FMT(ref->id), group_client_error_text(code));
        }
        if (rv == 0 && code == KE_NONE) {
            rv = client_call_max(&g->c, ref->coordinator, api_key, version_max, req, resp, NULL);
            code = rv ? KE_NONE : code_of(*resp);
            if (rv == 0 && !tries_again(code)) {
                return 0;
            }
        }
        if (rv && !connection_lost(rv)) {
            return rv;
        }
        if (steady_ms() + BACKOFF_MS >= deadline) {
            return gave_up(g, ref, rv, code);
        }
        ref->coordinator = code == KE_COORDINATOR_LOAD_IN_PROGRESS ? ref->coordinator : CLIENT_ANY;
        back_off();
        if (rv) {
            client_metadata_refresh(&g->c); /* its failure shows in the next round */
        }
    }
}

/* ---- ListGroups ---- */

static int by_id(const void *a, const void *b)
{
    const struct group_listing *x = a, *y = b;
    return bytes_cmp(x->id, y->id);
}

/* A broker that knows no types has classic groups only. */
static int drop_types(struct group_client *g, int32_t broker, struct list_groups_request *req,
                      bool *none)
{
    int16_t version = 0;
    int rv = client_version(&g->c, broker, API_LIST_GROUPS, &version);
    *none = rv == 0 && version < 5 && req->types_filter_n > 0;
    for (int32_t i = 0; version < 5 && i < req->types_filter_n; i++) {
        *none = *none && !bytes_eq_str(req->types_filter[i], "Classic");
    }
    req->types_filter_n = version < 5 ? 0 : req->types_filter_n;
    return rv;
}

static int list_one(struct group_client *g, int32_t broker, struct list_groups_request req,
                    struct list_groups_response **resp)
{
    int64_t deadline = steady_ms() + g->timeout_ms;
    bool none;
    int rv = drop_types(g, broker, &req, &none);
    if (rv || none) {
        *resp = ARENA_NEW(&g->c.arena, struct list_groups_response);
        return rv;
    }
    for (;;) {
        rv = client_call(&g->c, broker, API_LIST_GROUPS, &req, (void **)resp, NULL);
        if (rv) {
            return rv;
        }
        int16_t code = (*resp)->error_code;
        if (!tries_again(code) || steady_ms() + BACKOFF_MS >= deadline) {
            return code ? errmsg_set(&g->c.error, ERR_CONFLICT,
                                     "Broker %d does not list its groups: %s", broker,
                                     group_client_error_text(code))
                        : 0;
        }
        back_off();
    }
}

/* Brokers write "classic", Kafka's tools "Classic". */
static struct bytes type_name(struct bytes type)
{
    static const char *const names[] = {"Classic", "Consumer", "Share", "Streams"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strlen(names[i]) == type.len &&
            strncasecmp(names[i], (const char *)type.data, type.len) == 0) {
            return bytes_str(names[i]);
        }
    }
    return type;
}

int group_client_list(struct group_client *g, struct bytes *states, int32_t states_n,
                      struct bytes *types, int32_t types_n, struct group_listing **out, size_t *n)
{
    struct list_groups_request req;
    struct list_groups_response *resp;
    proto_msg_init(&list_groups_request_msg, &req);
    req.states_filter = states;
    req.states_filter_n = states_n;
    req.types_filter = types;
    req.types_filter_n = types_n;
    struct group_listing *v = NULL;
    size_t found = 0;
    for (int32_t i = 0; i < g->c.metadata->brokers_n; i++) {
        int rv = list_one(g, g->c.metadata->brokers[i].node_id, req, &resp);
        if (rv) {
            return rv;
        }
        struct group_listing *more =
            ARENA_ARRAY(&g->c.arena, struct group_listing, found + (size_t)resp->groups_n + 1);
        memcpy(more, v ? v : more, found * sizeof *v);
        v = more;
        for (int32_t k = 0; k < resp->groups_n; k++) {
            const struct list_groups_response_listed_group *q = &resp->groups[k];
            v[found++] = (struct group_listing){.id = q->group_id,
                                                .protocol_type = q->protocol_type,
                                                .state = q->group_state,
                                                .type = type_name(q->group_type)};
        }
    }
    if (found) {
        qsort(v, found, sizeof *v, by_id);
    }
    *n = 0;
    for (size_t i = 0; i < found; i++) { /* a group that moved meanwhile may be in two answers */
        if (*n == 0 || !bytes_eq(v[*n - 1].id, v[i].id)) {
            v[(*n)++] = v[i];
        }
    }
    *out = v;
    return 0;
}

/* ---- deletion of groups ---- */

static int16_t delete_code(const void *resp)
{
    const struct delete_groups_response *r = resp;
    return r->results_n == 1 ? r->results[0].error_code : KE_UNKNOWN_SERVER_ERROR;
}

int group_client_delete(struct group_client *g, struct group_ref *ref, int16_t *code)
{
    struct delete_groups_request req;
    void *resp;
    proto_msg_init(&delete_groups_request_msg, &req);
    req.groups_names = &ref->id;
    req.groups_names_n = 1;
    int rv = group_client_call(g, ref, API_DELETE_GROUPS, INT16_MAX, &req, &resp, delete_code);
    *code = rv ? KE_NONE : delete_code(resp);
    return rv;
}

/* ---- offsets in the log ---- */

static bool leader_moved(int16_t code)
{
    return code && (kafka_error_retriable(code) || kafka_error_invalidates_metadata(code));
}

int group_client_log_offsets(struct group_client *g, int64_t time, struct part_offset *v, size_t n)
{
    int64_t deadline = steady_ms() + g->timeout_ms;
    for (;;) {
        const struct part_offset *bad = NULL;
        part_offsets_leaders(&g->c, v, n);
        int rv = part_offsets_ask(&g->c, time, v, n);
        for (size_t i = 0; rv == 0 && i < n && bad == NULL; i++) {
            bad = v[i].error ? &v[i] : NULL;
        }
        if (rv == 0 && bad == NULL) {
            return 0;
        }
        bool again = bad ? leader_moved(bad->error) : connection_lost(rv);
        if (!again || steady_ms() + BACKOFF_MS >= deadline) {
            return bad ? errmsg_set(&g->c.error, ERR_CONFLICT, "The offset of %.*s-%d: %s",
                                    BYTES_FMT(bad->topic), bad->partition,
                                    group_client_error_text(bad->error))
                       : rv;
        }
        back_off();
        client_metadata_refresh(&g->c);
    }
}

/* ---- texts ---- */

const char *group_client_error_text(int16_t code)
{
    switch (code) {
    case KE_UNKNOWN_TOPIC_OR_PARTITION:
        return "This server does not host this topic-partition.";
    case KE_LEADER_NOT_AVAILABLE:
        return "There is no leader for this topic-partition as we are in the middle of a "
               "leadership election.";
    case KE_OFFSET_METADATA_TOO_LARGE:
        return "The metadata field of the offset request was too large.";
    case KE_COORDINATOR_LOAD_IN_PROGRESS:
        return "The coordinator is loading and hence can't process requests.";
    case KE_COORDINATOR_NOT_AVAILABLE:
        return "The coordinator is not available.";
    case KE_NOT_COORDINATOR:
        return "This is not the correct coordinator.";
    case KE_INVALID_GROUP_ID:
        return "The configured groupId is invalid.";
    case KE_UNKNOWN_MEMBER_ID:
        return "The coordinator is not aware of this member.";
    case KE_REBALANCE_IN_PROGRESS:
        return "The group is rebalancing, so a rejoin is needed.";
    case KE_GROUP_AUTHORIZATION_FAILED:
        return "Group authorization failed.";
    case KE_NON_EMPTY_GROUP:
        return "The group is not empty.";
    case KE_GROUP_ID_NOT_FOUND:
        return "The group id does not exist.";
    case KE_GROUP_SUBSCRIBED_TO_TOPIC:
        return "Deleting offsets of a topic is forbidden while the consumer group is actively "
               "subscribed to it.";
    default:
        return kafka_error_name(code);
    }
}

static void json_word(json_t *o, const char *name, struct bytes v)
{
    json_put_text(o, name, v.len ? v : BYTES_NULL); /* an old broker does not say */
}

void json_group(json_t *o, const struct group_listing *v)
{
    json_put_text(o, "group", v->id);
    json_word(o, "type", v->type);
    json_put_text(o, "protocol", v->protocol_type);
    json_word(o, "state", v->state);
}
