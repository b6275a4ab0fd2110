/* Brokers come and go: registration, heartbeats, fencing, controlled shutdown, unregistration, and
 * the registrations of controllers.
 *
 *            registration           heartbeat, caught up
 *   absent ---------------> fenced ----------------------> active
 *                             ^  ^                            |  wants to stop
 *                             |  +------ session over --------+----------------> leaving
 *                             |                                                    |
 *                             +------- leads nothing, others know it --------------+
 *
 * A broker that registers under the epoch that it had when it stopped in order kept all it
 * acknowledged; any other one may have lost records that were not flushed, and leaves ISR and ELR
 * (KIP-966).
 *
 * A broker that stays may have full disks, or lose some: what that does to its replicas is done
 * with its heartbeats, too (decide_room.c, decide_elect.c).
 *
 * A broker may have very many partitions: they are taken from it DECISION_STEP at a time, between
 * which the controller does other things. Meanwhile no decision counts on it (sessions.h). */
#include <stdlib.h>

#include "controller/decide_registration.h"
#include "controller/partition_change.h"
#include "proto_errors.h"
#include "proto_features.h"

enum { LOG_DIRS_MAX = 1000 }; /* more than any broker has */
enum { CHANGED_TO_FENCED = 1, CHANGED_TO_UNFENCED = -1, CHANGED_TO_LEAVING = 1 };

/* ---- registration ---- */

/* Every finalized feature must be one that the broker knows at that level. */
static bool knows_features(const struct decision *d, const struct broker_registration_request *q)
{
    for (int32_t i = 0; i < d->img->features_n; i++) {
        const struct image_feature *f = &d->img->features[i];
        bool known = false;
        for (int32_t k = 0; k < q->features_n; k++) {
            const struct broker_registration_request_feature *b = &q->features[k];
            known = known || (bytes_eq(b->name, f->name) && b->min_supported_version <= f->level &&
                              f->level <= b->max_supported_version);
        }
        if (!known) {
            return false;
        }
    }
    return true;
}

static bool is_reserved(struct uuid id)
{
    return id.b[15] < 100 && uuid_eq(id, uuid_reserved(id.b[15]));
}

/* Directories: at least one, real ids, none twice, none of another broker. */
static bool directories_ok(const struct decision *d, const struct broker_registration_request *q)
{
    if (q->log_dirs_n > LOG_DIRS_MAX) {
        return false;
    }
    for (int32_t i = 0; i < q->log_dirs_n; i++) {
        if (is_reserved(q->log_dirs[i])) {
            return false;
        }
        for (int32_t k = 0; k < i; k++) {
            if (uuid_eq(q->log_dirs[i], q->log_dirs[k])) {
                return false;
            }
        }
    }
    for (int32_t b = 0; b < d->img->brokers_n; b++) {
        const struct image_broker *other = d->img->brokers[b];
        for (uint32_t k = 0; other->id != q->broker_id && k < other->log_dirs_n; k++) {
            for (int32_t i = 0; i < q->log_dirs_n; i++) {
                if (uuid_eq(other->log_dirs[k], q->log_dirs[i])) {
                    return false;
                }
            }
        }
    }
    return q->log_dirs_n > 0;
}

static int16_t check_registration(const struct decision *d,
                                  const struct broker_registration_request *q)
{
    const struct image_broker *old = image_broker(d->img, q->broker_id);
    uint32_t flags = decide_version(d)->flags;
    if (!bytes_eq_str(q->cluster_id, d->cfg->cluster_id)) {
        return KE_INCONSISTENT_CLUSTER_ID;
    }
    if (old && !uuid_eq(old->incarnation, q->incarnation_id) &&
        sessions_valid(d->sessions, old->id, old->epoch, d->now_ms)) {
        return KE_DUPLICATE_BROKER_REGISTRATION;
    }
    if (q->listeners_n == 0 ||
        ((flags & MV_DIRECTORY_ASSIGNMENT_SUPPORTED) && !directories_ok(d, q))) {
        return KE_INVALID_REGISTRATION;
    }
    return knows_features(d, q) && !q->is_migrating_zk_broker ? KE_NONE : KE_UNSUPPORTED_VERSION;
}

static void add_registration(struct decision *d, const struct broker_registration_request *q,
                             const struct image_broker *same, int64_t epoch)
{
    const struct proto_metadata_version *mv = decide_version(d);
    struct register_broker_record r;
    proto_msg_init(&register_broker_record_msg, &r);
    r.broker_id = q->broker_id;
    r.incarnation_id = q->incarnation_id;
    r.broker_epoch = epoch;
    r.rack = q->rack;
    r.fenced = same ? same->fenced : true;
    r.in_controlled_shutdown = same && same->in_controlled_shutdown;
    r.end_points =
        proto_array(d->arena, &register_broker_record_broker_endpoint_desc, (size_t)q->listeners_n);
    for (int32_t i = 0; i < q->listeners_n; i++) {
        r.end_points[i].name = q->listeners[i].name;
        r.end_points[i].host = q->listeners[i].host;
        r.end_points[i].port = q->listeners[i].port;
        r.end_points[i].security_protocol = q->listeners[i].security_protocol;
    }
    r.end_points_n = q->listeners_n;
    r.features =
        proto_array(d->arena, &register_broker_record_broker_feature_desc, (size_t)q->features_n);
    for (int32_t i = 0; i < q->features_n; i++) {
        r.features[i].name = q->features[i].name;
        r.features[i].min_supported_version = q->features[i].min_supported_version;
        r.features[i].max_supported_version = q->features[i].max_supported_version;
    }
    r.features_n = q->features_n;
    if (mv->flags & MV_DIRECTORY_ASSIGNMENT_SUPPORTED) {
        r.log_dirs = q->log_dirs;
        r.log_dirs_n = q->log_dirs_n;
    }
    decision_add(d, &register_broker_record_msg, mv->register_broker_record, &r);
}

/* One step of taking a broker's partitions away. False: there are more, which decide_more takes;
 * meanwhile no decision counts on the broker. */
static bool take_partitions(struct decision *d, const struct image_broker *b, bool unclean)
{
    struct broker_event ev = {unclean ? -1 : b->id, unclean ? b->id : -1, -1};
    struct session_of_broker *s = sessions_find(d->sessions, b->id);
    if (s == NULL || s->epoch != b->epoch) {
        s = sessions_touch(d->sessions, b->id, b->epoch, d->now_ms - d->sessions->timeout_ms - 1);
    }
    d->splittable = true;
    s->fencing = true;
    s->unclean = unclean;
    if (!decide_partitions_of(d, &ev, d->step)) {
        d->sessions->more = true;
        return false;
    }
    s->fencing = s->unclean = false;
    d->changed_broker = b->id;
    d->changed_active = false;
    return true;
}

/* The registration is the last record: its offset is the broker's epoch, and whoever sees it can
 * rely on the rest. While there are more partitions than one decision takes, the broker asks again.
 */
void decide_broker_registration(struct decision *d, const void *request, void *response)
{
    const struct broker_registration_request *q = request;
    struct broker_registration_response *resp = response;
    const struct image_broker *old = image_broker(d->img, q->broker_id);
    resp->error_code = check_registration(d, q);
    if (resp->error_code) {
        return;
    }
    bool same = old && uuid_eq(old->incarnation, q->incarnation_id);
    if (old && !same) {
        bool clean = q->previous_broker_epoch == old->epoch || !decide_elr_enabled(d);
        if (!take_partitions(d, old, !clean)) {
            resp->error_code = KE_REQUEST_TIMED_OUT;
            return;
        }
    }
    d->splittable = true;
    int64_t epoch = same ? old->epoch : d->next_offset + (int64_t)d->n;
    add_registration(d, q, same ? old : NULL, epoch);
    sessions_remove(d->sessions, same ? -1 : q->broker_id);
    sessions_touch(d->sessions, q->broker_id, epoch, d->now_ms);
    resp->broker_epoch = epoch;
}

/* ---- heartbeats ---- */

static void add_change(struct decision *d, const struct image_broker *b, int8_t fenced,
                       int8_t leaving)
{
    struct broker_registration_change_record r;
    proto_msg_init(&broker_registration_change_record_msg, &r);
    r.broker_id = b->id;
    r.broker_epoch = b->epoch;
    r.fenced = fenced;
    r.in_controlled_shutdown = leaving;
    decision_add(d, &broker_registration_change_record_msg, leaving ? 1 : 0, &r);
}

/* One step. The last one is the change of the registration: were this controller to end before it,
 * the next one would find the broker unfenced and without a session, and go on. */
static void fence(struct decision *d, const struct image_broker *b)
{
    const struct session_of_broker *s = sessions_find(d->sessions, b->id);
    bool unclean = s && s->epoch == b->epoch && s->unclean;
    if (take_partitions(d, b, unclean) && !b->fenced) {
        add_change(d, b, CHANGED_TO_FENCED, 0);
    }
}

static void unfence(struct decision *d, const struct image_broker *b)
{
    struct broker_event ev = {.gone = -1, .unclean = -1, .come = b->id};
    add_change(d, b, CHANGED_TO_UNFENCED, 0);
    d->changed_broker = b->id;
    d->changed_active = true;
    if (!decide_partitions_of(d, &ev, d->step)) {
        d->sessions->leaderless = d->sessions->more = true;
    }
}

static void begin_leaving(struct decision *d, const struct image_broker *b,
                          struct session_of_broker *s)
{
    struct broker_event ev = {.gone = b->id, .unclean = -1, .come = -1};
    if (!b->in_controlled_shutdown) {
        add_change(d, b, 0, CHANGED_TO_LEAVING);
    }
    d->changed_broker = b->id;
    d->changed_active = false;
    if (!decide_partitions_of(d, &ev, d->step)) {
        d->sessions->more = true;
    }
    if (d->n > 0 || s->leaving_offset < 0) {
        s->leaving_offset = d->next_offset + (int64_t)d->n - 1;
    }
}

/* Do all other active brokers know who leads instead? */
static bool others_know(const struct decision *d, const struct session_of_broker *leaving)
{
    for (int32_t i = 0; i < d->img->brokers_n; i++) {
        int32_t id = d->img->brokers[i]->id;
        const struct session_of_broker *s = sessions_find(d->sessions, id);
        if (id != leaving->broker && decide_is_active(d, id) && s &&
            s->metadata_offset < leaving->leaving_offset) {
            return false;
        }
    }
    return true;
}

/* It is to be unregistered, whoever wants that asks again in a moment, and it is not let back in
 * between. */
static bool is_doomed(const struct decision *d, const struct session_of_broker *s)
{
    return s->doomed_ms > 0 && d->now_ms - s->doomed_ms <= d->sessions->timeout_ms;
}

enum next { STAY_FENCED, UNFENCE, STAY_ACTIVE, FENCE, LEAVE, GO };

static enum next next_state(const struct decision *d, const struct image_broker *b,
                            const struct session_of_broker *s,
                            const struct broker_heartbeat_request *q)
{
    if (b->fenced || s->fencing) {
        if (q->want_shut_down) {
            return GO;
        }
        return !q->want_fence && !s->fencing && !is_doomed(d, s) &&
                       q->current_metadata_offset >= b->epoch
                   ? UNFENCE
                   : STAY_FENCED;
    }
    if (b->in_controlled_shutdown) {
        return !decide_leads_any(d, b->id) && others_know(d, s) ? GO : LEAVE;
    }
    if (q->want_shut_down) {
        return q->want_fence || !decide_leads_any(d, b->id) ? GO : LEAVE;
    }
    return q->want_fence ? FENCE : STAY_ACTIVE;
}

static bool has_dir(const struct uuid *dirs, int32_t n, struct uuid id)
{
    for (int32_t i = 0; i < n; i++) {
        if (uuid_eq(dirs[i], id)) {
            return true;
        }
    }
    return false;
}

/* One step of what directories cost that do not work any more: the broker's replicas in them leave
 * the ISRs, and at last the directories leave the registration. Were this controller to end before,
 * the next one would hear of them with the next heartbeat. */
static void lose_dirs(struct decision *d, const struct image_broker *b, struct session_of_broker *s)
{
    struct broker_registration_change_record r;
    if (!decide_directories_lost(d, b->id, s->lost, s->lost_n, d->step)) {
        d->sessions->more = true;
        return;
    }
    proto_msg_init(&broker_registration_change_record_msg, &r);
    r.broker_id = b->id;
    r.broker_epoch = b->epoch;
    r.log_dirs = ARENA_ARRAY(d->arena, struct uuid, b->log_dirs_n + 1);
    r.log_dirs_n = 0;
    for (uint32_t i = 0; i < b->log_dirs_n; i++) {
        if (!has_dir(s->lost, s->lost_n, b->log_dirs[i])) {
            r.log_dirs[r.log_dirs_n++] = b->log_dirs[i];
        }
    }
    decision_add(d, &broker_registration_change_record_msg, 2, &r);
    s->lost_n = 0;
}

/* Does the broker say that a registered directory is offline? Without any directory left it stops
 * by itself. */
static bool note_offline_dirs(const struct image_broker *b, struct session_of_broker *s,
                              const struct broker_heartbeat_request *q)
{
    uint32_t offline = 0;
    for (uint32_t i = 0; i < b->log_dirs_n; i++) {
        if (has_dir(q->offline_log_dirs, q->offline_log_dirs_n, b->log_dirs[i])) {
            offline++;
            if (s->lost_n < SESSION_DIRS_MAX && !has_dir(s->lost, s->lost_n, b->log_dirs[i])) {
                s->lost[s->lost_n++] = b->log_dirs[i];
            }
        }
    }
    s->lost_n = offline < b->log_dirs_n ? s->lost_n : 0;
    return s->lost_n > 0;
}

/* Directories whose disks are full, as the broker says now. */
static void note_full_dirs(struct session_of_broker *s, const struct broker_heartbeat_request *q)
{
    s->full_n = q->full_log_dirs_n < SESSION_FULL_MAX ? q->full_log_dirs_n : SESSION_FULL_MAX;
    if (s->full_n > 0) {
        memcpy(s->full, q->full_log_dirs, (size_t)s->full_n * sizeof *s->full);
    }
}

/* One step. With every heartbeat from the beginning: who could not be spared may be now. */
static void leave_full_dirs(struct decision *d, const struct image_broker *b,
                            struct session_of_broker *s)
{
    s->full_more = s->full_n > 0 && !decide_leave_full(d, b->id, d->step);
    d->sessions->more = d->sessions->more || s->full_more;
}

static void take_cordoned(struct decision *d, const struct image_broker *b,
                          const struct broker_heartbeat_request *q)
{
    struct broker_registration_change_record r;
    if (q->cordoned_log_dirs_n < 0 ||
        (!b->cordoned_null && b->cordoned_n == (uint32_t)q->cordoned_log_dirs_n &&
         (b->cordoned_n == 0 ||
          memcmp(b->cordoned, q->cordoned_log_dirs, b->cordoned_n * sizeof *b->cordoned) == 0))) {
        return;
    }
    proto_msg_init(&broker_registration_change_record_msg, &r);
    r.broker_id = b->id;
    r.broker_epoch = b->epoch;
    r.cordoned_log_dirs = q->cordoned_log_dirs;
    r.cordoned_log_dirs_n = q->cordoned_log_dirs_n;
    decision_add(d, &broker_registration_change_record_msg, 3, &r);
}

static void act(struct decision *d, const struct image_broker *b, struct session_of_broker *s,
                enum next next)
{
    switch (next) {
    case UNFENCE:
        unfence(d, b);
        break;
    case FENCE:
        fence(d, b);
        break;
    case LEAVE:
        begin_leaving(d, b, s);
        break;
    case GO:
        if (!b->fenced && !s->fencing) {
            fence(d, b);
        }
        s->let_go = true; /* its next process need not wait for the session's end */
        break;
    case STAY_FENCED:
    case STAY_ACTIVE:
        break;
    }
}

void decide_broker_heartbeat(struct decision *d, const void *request, void *response)
{
    const struct broker_heartbeat_request *q = request;
    struct broker_heartbeat_response *resp = response;
    const struct image_broker *b = image_broker(d->img, q->broker_id);
    uint32_t flags = decide_version(d)->flags;
    resp->error_code = decide_broker_epoch(d, q->broker_id, q->broker_epoch);
    if (resp->error_code) {
        return;
    }
    d->splittable = true;
    struct session_of_broker *s = sessions_touch(d->sessions, b->id, b->epoch, d->now_ms);
    s->metadata_offset = q->current_metadata_offset;
    enum next next = next_state(d, b, s, q);
    note_full_dirs(s, q);
    if ((flags & MV_DIRECTORY_ASSIGNMENT_SUPPORTED) && !s->fencing && note_offline_dirs(b, s, q)) {
        /* nothing else that changes partitions: it would not see what this does to them */
        next = b->fenced ? STAY_FENCED : STAY_ACTIVE;
        lose_dirs(d, b, s);
    } else {
        act(d, b, s, next);
        if (next == STAY_ACTIVE) {
            leave_full_dirs(d, b, s);
        }
    }
    if (flags & MV_CORDONED_LOG_DIRS_SUPPORTED) {
        take_cordoned(d, b, q);
    }
    resp->is_caught_up = q->current_metadata_offset >= b->epoch;
    resp->is_fenced = next == STAY_FENCED || next == FENCE || next == GO;
    resp->should_shut_down = next == GO;
}

bool decide_fence_expired(struct decision *d)
{
    for (int32_t i = 0; i < d->img->brokers_n; i++) {
        const struct image_broker *b = d->img->brokers[i];
        const struct session_of_broker *s = sessions_find(d->sessions, b->id);
        if (!b->fenced && !(s && s->epoch == b->epoch && s->fencing) &&
            !sessions_valid(d->sessions, b->id, b->epoch, d->now_ms)) {
            fence(d, b);
            return true;
        }
    }
    return false;
}

bool decide_fence_dead(struct decision *d, int32_t broker, int64_t epoch)
{
    const struct image_broker *b = image_broker(d->img, broker);
    const struct session_of_broker *s = sessions_find(d->sessions, broker);
    if (b == NULL || b->epoch != epoch || b->fenced || (s && s->fencing)) {
        return false;
    }
    sessions_remove(d->sessions, broker); /* its next process may register at once */
    fence(d, b);
    return true;
}

void decide_more(struct decision *d)
{
    d->sessions->more = false;
    for (int32_t i = 0; i < d->img->brokers_n; i++) {
        const struct image_broker *b = d->img->brokers[i];
        struct session_of_broker *s = sessions_find(d->sessions, b->id);
        if (s == NULL || s->epoch != b->epoch) {
            continue;
        }
        if (s->fencing) {
            fence(d, b);
        } else if (s->lost_n > 0) {
            lose_dirs(d, b, s);
        } else if (b->in_controlled_shutdown && !b->fenced) {
            begin_leaving(d, b, s);
        } else if (s->full_more && !b->fenced) {
            leave_full_dirs(d, b, s);
        }
        if (d->n > 0) { /* one broker a step: the next one must see what became of it */
            d->sessions->more = true;
            return;
        }
    }
    if (d->sessions->leaderless) {
        d->sessions->leaderless = decide_leaderless(d, d->step);
        d->sessions->more = d->sessions->leaderless;
    }
}

/* ---- unregistration ---- */

void decide_unregister_broker(struct decision *d, const void *request, void *response)
{
    const struct unregister_broker_request *q = request;
    struct unregister_broker_response *resp = response;
    const struct image_broker *b = image_broker(d->img, q->broker_id);
    struct unregister_broker_record r;
    if (b == NULL) {
        resp->error_code = KE_BROKER_ID_NOT_REGISTERED;
        resp->error_message = decision_text(d, "broker %d is not registered", (int)q->broker_id);
        return;
    }
    if (!take_partitions(d, b, false)) {
        sessions_find(d->sessions, b->id)->doomed_ms = d->now_ms;
        resp->error_code = KE_REQUEST_TIMED_OUT; /* clients try again */
        resp->error_message = decision_text(
            d, "the partitions of broker %d are being taken away first", (int)q->broker_id);
        return;
    }
    proto_msg_init(&unregister_broker_record_msg, &r);
    r.broker_id = b->id;
    r.broker_epoch = b->epoch;
    decision_add(d, &unregister_broker_record_msg, 0, &r);
    sessions_remove(d->sessions, b->id);
}

/* ---- controllers ---- */

/* Is another process under this id alive? Kafka takes every incarnation: two such processes then
 * replace each other's registration for ever. A voter's id is guarded by its directory (peers.h).
 */
static bool has_twin(const struct decision *d, const struct controller_registration_request *q)
{
    const struct image_controller *old = image_controller(d->img, q->controller_id);
    return d->observers && old && !uuid_eq(old->incarnation, q->incarnation_id) &&
           !observers_may_replace(d->observers, q->controller_id, old->incarnation,
                                  q->incarnation_id, d->now_ms, d->sessions->timeout_ms);
}

void decide_controller_registration(struct decision *d, const void *request, void *response)
{
    const struct controller_registration_request *q = request;
    struct controller_registration_response *resp = response;
    struct register_controller_record r;
    resp->error_message = bytes_str("");
    if (!(decide_version(d)->flags & MV_CONTROLLER_REGISTRATION_SUPPORTED)) {
        resp->error_code = KE_UNSUPPORTED_VERSION;
        resp->error_message =
            bytes_str("the cluster's metadata.version does not know registrations of controllers");
        return;
    }
    if (has_twin(d, q)) {
        resp->error_code = KE_DUPLICATE_BROKER_REGISTRATION;
        resp->error_message = decision_text(
            d,
            "node.id=%d is that of another controller too, which lives or was heard of less than "
            "broker.session.timeout.ms ago; one of the two needs another node.id",
            (int)q->controller_id);
        return;
    }
    proto_msg_init(&register_controller_record_msg, &r);
    r.controller_id = q->controller_id;
    r.incarnation_id = q->incarnation_id;
    r.zk_migration_ready = q->zk_migration_ready;
    r.end_points = proto_array(d->arena, &register_controller_record_controller_endpoint_desc,
                               (size_t)q->listeners_n);
    for (int32_t i = 0; i < q->listeners_n; i++) {
        r.end_points[i].name = q->listeners[i].name;
        r.end_points[i].host = q->listeners[i].host;
        r.end_points[i].port = q->listeners[i].port;
        r.end_points[i].security_protocol = q->listeners[i].security_protocol;
    }
    r.end_points_n = q->listeners_n;
    r.features = proto_array(d->arena, &register_controller_record_controller_feature_desc,
                             (size_t)q->features_n);
    for (int32_t i = 0; i < q->features_n; i++) {
        r.features[i].name = q->features[i].name;
        r.features[i].min_supported_version = q->features[i].min_supported_version;
        r.features[i].max_supported_version = q->features[i].max_supported_version;
    }
    r.features_n = q->features_n;
    decision_add(d, &register_controller_record_msg, 0, &r);
}

void decide_fill_registration(const struct controller_config *cfg, struct uuid incarnation,
                              struct arena *a, struct controller_registration_request *q)
{
    proto_msg_init(&controller_registration_request_msg, q);
    q->controller_id = cfg->node_id;
    q->incarnation_id = incarnation;
    q->listeners = proto_array(a, &controller_registration_request_listener_desc, cfg->endpoints_n);
    for (size_t i = 0; i < cfg->endpoints_n; i++) {
        const struct controller_endpoint *e = &cfg->endpoints[i];
        q->listeners[i].name = bytes_str(e->name);
        q->listeners[i].host = bytes_str(e->host);
        q->listeners[i].port = e->port;
        q->listeners[i].security_protocol = e->security_protocol;
    }
    q->listeners_n = (int32_t)cfg->endpoints_n;
    q->features = proto_array(a, &controller_registration_request_feature_desc, proto_features_n);
    for (size_t i = 0; i < proto_features_n; i++) {
        q->features[i].name = bytes_str(proto_features[i].name);
        q->features[i].min_supported_version = proto_features[i].supported_min;
        q->features[i].max_supported_version = proto_features[i].supported_max;
    }
    q->features_n = (int32_t)proto_features_n;
}

void decide_own_registration(struct decision *d, struct uuid incarnation)
{
    const struct image_controller *old = image_controller(d->img, d->cfg->node_id);
    struct controller_registration_request q;
    struct controller_registration_response resp;
    if (old && uuid_eq(old->incarnation, incarnation)) {
        return;
    }
    proto_msg_init(&controller_registration_response_msg, &resp);
    decide_fill_registration(d->cfg, incarnation, d->arena, &q);
    decide_controller_registration(d, &q, &resp);
}
