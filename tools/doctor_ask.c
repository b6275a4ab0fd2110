/* Gathers what the doctor looks at (doctor.h), from whichever broker answers, or from controllers,
 * which know nothing of brokers' disks and tell nobody of partitions. What cannot be told is part
 * of the picture: brokers that are silent, a quorum that nobody describes. Only if nobody of the
 * list answers there is no picture.
 *
 * Where partitions move, it looks at the sizes of replicas again, to see which moves stand still: a
 * throttle is kept over some ten seconds, and nothing comes for a part of them though all is well.
 * Where a throttle is set and nothing moves, it looks again for a while too: a tool may be about to
 * begin, or to take it off. */
#include <time.h>

#include "base/siphash.h"
#include "base/uuid.h"
#include "proto_apis.h"
#include "proto_messages.h"
#include "tools/client.h"
#include "tools/clock.h"
#include "tools/doctor.h"

#define quorum_data  struct describe_quorum_response_partition_data
#define replica_data struct describe_quorum_response_replica_state

enum { APART_MS = 2000, APART_MAX_MS = 12000 };
/* A tool looks every second whether its moves have ended, and then asks each broker. */
enum { IDLE_MS = 5000, IDLE_AGAIN_MS = 500 };

/* ---- the quorum ---- */

static int64_t since(int64_t leader_ms, int64_t ms)
{
    return ms <= 0 ? -1 : leader_ms > ms ? leader_ms - ms : 0;
}

static const char *address_of(struct arena *a, const struct describe_quorum_response *r, int32_t id)
{
    for (int32_t i = 0; i < r->nodes_n; i++) {
        if (r->nodes[i].node_id == id && r->nodes[i].listeners_n) {
            const struct describe_quorum_response_listener *l = &r->nodes[i].listeners[0];
            return arena_printf(a, "%.*s:%d", BYTES_FMT(l->host), (int)l->port);
        }
    }
    return NULL;
}

/* A voter's id among the observers is one whose directory is not the voter's. */
static const char *other_disk(struct arena *a, const quorum_data *log, int32_t voter)
{
    for (int32_t i = 0; i < log->observers_n; i++) {
        const replica_data *o = &log->observers[i];
        if (o->replica_id == voter && !uuid_is_zero(o->replica_directory_id)) {
            char text[UUID_TEXT];
            return arena_printf(a, "%s", uuid_text(o->replica_directory_id, text));
        }
    }
    return NULL;
}

static void put_observers(struct client *c, struct doctor_picture *pic, const quorum_data *log)
{
    int64_t now = 0;
    for (int32_t i = 0; i < log->current_voters_n; i++) {
        const replica_data *v = &log->current_voters[i];
        now = v->replica_id == log->leader_id ? v->last_fetch_timestamp : now;
    }
    pic->observers = ARENA_ARRAY(&c->arena, struct doctor_observer, log->observers_n + 1);
    for (int32_t i = 0; i < log->observers_n; i++) {
        const replica_data *o = &log->observers[i];
        if (o->last_fetch_timestamp > 0) { /* else a voter's new disk */
            pic->observers[pic->observers_n++] =
                (struct doctor_observer){o->replica_id, since(now, o->last_fetch_timestamp)};
        }
    }
}

static void ask_quorum(struct client *c, struct doctor_picture *pic)
{
    struct describe_quorum_response *whole;
    quorum_data *log;
    if (view_ask_quorum(c, &log, &whole)) {
        pic->quorum_error = arena_printf(&c->arena, "%s", c->error.text);
        return;
    }
    const replica_data *leader = NULL;
    pic->quorum_leader = log->leader_id;
    pic->leader_at = address_of(&c->arena, whole, log->leader_id);
    pic->voters = ARENA_ARRAY(&c->arena, struct doctor_voter, log->current_voters_n);
    for (int32_t i = 0; i < log->current_voters_n; i++) {
        leader =
            log->current_voters[i].replica_id == log->leader_id ? &log->current_voters[i] : leader;
    }
    for (int32_t i = 0; i < log->current_voters_n; i++) {
        const replica_data *v = &log->current_voters[i];
        pic->voters[pic->voters_n++] = (struct doctor_voter){
            .id = v->replica_id,
            .lag = leader->log_end_offset - v->log_end_offset,
            .silent_ms = since(leader->last_fetch_timestamp, v->last_fetch_timestamp),
            .behind_ms = since(leader->last_fetch_timestamp, v->last_caught_up_timestamp),
            .disk = other_disk(&c->arena, log, v->replica_id),
        };
    }
    put_observers(c, pic, log);
}

/* ---- the controllers alone ---- */

/* They answer also without a leader. */
static void ask_each(struct client *c, struct doctor_picture *pic)
{
    const struct describe_cluster_response *all = c->cluster;
    pic->answering.v = ARENA_ARRAY(&c->arena, int32_t, all->brokers_n + 1);
    pic->unanswering.v = ARENA_ARRAY(&c->arena, int32_t, all->brokers_n + 1);
    for (int32_t i = 0; i < all->brokers_n; i++) {
        struct api_versions_response *r;
        int32_t id = all->brokers[i].broker_id;
        struct view_ids *to = client_api_versions(c, id, &r) ? &pic->unanswering : &pic->answering;
        to->v[to->n++] = id;
    }
}

int doctor_ask_controllers(struct client *c, const char *servers, struct doctor_picture *out)
{
    struct view *v = ARENA_NEW(&c->arena, struct view);
    *out = (struct doctor_picture){.servers = servers, .controllers = true, .view = v};
    int rv = client_cluster_refresh(c, false);
    if (rv) {
        return rv;
    }
    v->cluster_id = c->cluster->cluster_id;
    ask_each(c, out);
    ask_quorum(c, out);
    return 0;
}

/* ---- versions and features ---- */

static const struct siphash_key no_key;

static uint64_t fingerprint(const struct api_versions_response *r)
{
    uint64_t sum = 0; /* whatever the order */
    for (int32_t i = 0; i < r->api_keys_n; i++) {
        uint16_t v[3] = {(uint16_t)r->api_keys[i].api_key, (uint16_t)r->api_keys[i].min_version,
                         (uint16_t)r->api_keys[i].max_version};
        sum += siphash(&no_key, bytes_of(v, sizeof v));
    }
    return sum;
}

static int16_t level_of(const struct api_versions_response *r, struct bytes name)
{
    for (int32_t i = 0; i < r->finalized_features_n; i++) {
        if (bytes_eq(r->finalized_features[i].name, name)) {
            return r->finalized_features[i].max_version_level;
        }
    }
    return 0;
}

/* The features that all brokers so far and this one know. */
static void meet_features(struct client *c, struct doctor_picture *pic, bool first,
                          const struct api_versions_response *r)
{
    if (first) {
        pic->features = ARENA_ARRAY(&c->arena, struct doctor_feature, r->supported_features_n + 1);
        for (int32_t i = 0; i < r->supported_features_n; i++) {
            struct bytes name = r->supported_features[i].name;
            pic->features[pic->features_n++] = (struct doctor_feature){
                name, level_of(r, name), r->supported_features[i].max_version};
        }
        return;
    }
    for (int32_t i = 0; i < pic->features_n; i++) {
        int16_t max = 0;
        for (int32_t k = 0; k < r->supported_features_n; k++) {
            max = bytes_eq(r->supported_features[k].name, pic->features[i].name)
                      ? r->supported_features[k].max_version
                      : max;
        }
        pic->features[i].nodes_max =
            max < pic->features[i].nodes_max ? max : pic->features[i].nodes_max;
    }
}

static void ask_versions(struct client *c, struct view *v, struct doctor_picture *pic)
{
    pic->versions = ARENA_ARRAY(&c->arena, struct doctor_version, v->brokers_n + 1);
    for (int32_t i = 0; i < v->brokers_n; i++) {
        struct api_versions_response *r;
        if (v->brokers[i].fenced || v->brokers[i].silent) {
            continue;
        }
        if (client_api_versions(c, v->brokers[i].id, &r)) {
            v->brokers[i].silent = arena_printf(&c->arena, "%s", c->error.text);
            continue;
        }
        meet_features(c, pic, pic->versions_n == 0, r);
        pic->versions[pic->versions_n++] =
            (struct doctor_version){v->brokers[i].id, fingerprint(r)};
    }
}

/* ---- all of it ---- */

static int ask_settings(struct client *c, struct view *v)
{
    int rv = view_ask_topic_settings(c, v, doctor_topic_settings);
    view_ask_broker_settings(c, v, doctor_broker_settings);
    return rv;
}

static void pause_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static int look(struct client *c, struct view **out)
{
    *out = ARENA_NEW(&c->arena, struct view);
    int rv = view_ask(c, *out);
    if (rv == 0) {
        view_ask_dirs(c, *out);
    }
    return rv;
}

int doctor_ask(struct client *c, const char *servers, struct doctor_picture *out)
{
    struct view *v, *before = NULL;
    *out = (struct doctor_picture){.servers = servers};
    int rv = look(c, &v);
    if (rv == 0 && v->moves) {
        before = v;
        do {
            pause_ms(APART_MS);
            out->apart_ms += APART_MS;
            rv = look(c, &v);
        } while (rv == 0 && out->apart_ms < APART_MAX_MS && doctor_move_stands_still(before, v));
    }
    rv = rv ? rv : ask_settings(c, v);
    for (int64_t end = steady_ms() + IDLE_MS; rv == 0 && doctor_throttle_is_idle(v);) {
        if (steady_ms() >= end) {
            break;
        }
        pause_ms(IDLE_AGAIN_MS);
        before = NULL;
        rv = look(c, &v);
        rv = rv ? rv : ask_settings(c, v);
    }
    if (rv) {
        return rv;
    }
    ask_versions(c, v, out);
    ask_quorum(c, out);
    out->view = v;
    out->before = before;
    return rv;
}
