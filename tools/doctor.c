#include "tools/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tools/features.h"

#define KRAFT_VERSION "kraft.version"

enum {
    VOTER_SILENT_MS = 5000, /* voters are heard several times a second */
    VOTER_BEHIND_MS = 10000,
    DISK_FULL_PERCENT = 90,
    DISK_FILLING_PERCENT = 80,
    USUAL_FACTOR = 3,
};

const char *const doctor_broker_settings[] = {
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
    "default.replication.factor",
    NULL,
};

/* ---- what findings are made of ---- */

struct doctor_finding *doctor_add(struct doctor_report *r, enum doctor_severity severity,
                                  const char *check)
{
    if (r->n == r->max) {
        int32_t max = r->max ? r->max * 2 : 32;
        struct doctor_finding *more = ARENA_ARRAY(r->arena, struct doctor_finding, max);
        if (r->n) {
            memcpy(more, r->v, (size_t)r->n * sizeof *more);
        }
        r->v = more;
        r->max = max;
    }
    r->v[r->n] = (struct doctor_finding){.severity = severity, .check = check};
    return &r->v[r->n++];
}

void doctor_step(struct doctor_finding *f, const char *say, const char *command)
{
    ASSERT(f->steps_n < DOCTOR_STEPS_MAX);
    f->steps[f->steps_n++] = (struct doctor_step){say, command};
}

void doctor_place(struct doctor_report *r, struct doctor_finding *f, struct bytes topic,
                  int32_t partition)
{
    if (f->places_n == f->places_max) {
        f->places_max = f->places_max ? f->places_max * 2 : 8;
        struct doctor_place *more = ARENA_ARRAY(r->arena, struct doctor_place, f->places_max);
        if (f->places_n) {
            memcpy(more, f->places, (size_t)f->places_n * sizeof *more);
        }
        f->places = more;
    }
    f->places[f->places_n++] = (struct doctor_place){topic, partition};
}

const char *doctor_count(struct arena *a, int64_t n, const char *one, const char *many)
{
    return arena_printf(a, "%lld %s", (long long)n, n == 1 ? one : many);
}

const char *doctor_names(struct arena *a, const char *one, struct view_ids ids)
{
    const char *text = arena_printf(a, "%s%s ", one, ids.n == 1 ? "" : "s");
    for (int32_t i = 0; i < ids.n; i++) {
        const char *between = i == 0 ? "" : i + 1 == ids.n ? " and " : ", ";
        text = arena_printf(a, "%s%s%d", text, between, ids.v[i]);
    }
    return text;
}

const char *doctor_state(const struct view *v, int32_t broker)
{
    const struct view_broker *b = view_broker(v, broker);
    return b == NULL   ? "is not registered"
           : b->fenced ? "is down"
           : b->silent ? "does not answer"
                       : NULL;
}

static struct view_ids one_id(struct arena *a, int32_t id)
{
    int32_t *v = ARENA_NEW(a, int32_t);
    *v = id;
    return (struct view_ids){v, 1};
}

/* ---- brokers ---- */

static int32_t replicas_on(const struct view *v, int32_t broker)
{
    int32_t n = 0;
    for (int32_t t = 0; t < v->topics_n; t++) {
        for (int32_t k = 0; k < v->topics[t].partitions_n; k++) {
            n += view_ids_has(v->topics[t].partitions[k].replicas, broker);
        }
    }
    return n;
}

/* A drain needs, for each replica that the broker has, another broker that runs and lacks it. */
static bool can_drain(const struct view *v, int32_t broker)
{
    int32_t others = 0, most = 0;
    for (int32_t i = 0; i < v->brokers_n; i++) {
        others += v->brokers[i].id != broker && !v->brokers[i].fenced;
    }
    for (int32_t t = 0; t < v->topics_n; t++) {
        for (int32_t k = 0; k < v->topics[t].partitions_n; k++) {
            const struct view_partition *p = &v->topics[t].partitions[k];
            if (view_ids_has(p->replicas, broker) && view_factor(p) > most) {
                most = view_factor(p);
            }
        }
    }
    return most <= others;
}

static void broker_down(const struct doctor_picture *pic, struct doctor_report *r,
                        const struct view_broker *b)
{
    struct arena *a = r->arena;
    int32_t n = replicas_on(pic->view, b->id);
    struct doctor_finding *f = doctor_add(r, n ? DOCTOR_WRONG : DOCTOR_NOTE, "broker-down");
    f->nodes = one_id(a, b->id);
    f->what = arena_printf(a, "Broker %d is down.", b->id);
    f->why = arena_printf(a,
                          "The controllers have fenced it: it has stopped, cannot reach them, or "
                          "is still starting. It was at %.*s:%d and has %s.",
                          BYTES_FMT(b->host), b->port,
                          n ? doctor_count(a, n, "replica", "replicas") : "no replica");
    doctor_step(f, arena_printf(a, "On %.*s start it again:", BYTES_FMT(b->host)),
                "millrace server FILE.properties");
    if (n) {
        doctor_step(
            f,
            can_drain(pic->view, b->id)
                ? "Or, if it does not come back, move its replicas to the others:"
                : "Or, if it does not come back, add a broker (too few are left for the replicas "
                  "that topics have), and move its replicas there:",
            arena_printf(a, "millrace broker drain %d --bootstrap-server %s", b->id, pic->servers));
    }
    doctor_step(f, n ? "and then forget it:" : "Or, if it does not come back, forget it:",
                arena_printf(a, "millrace cluster unregister --bootstrap-server %s --id %d",
                             pic->servers, b->id));
}

static void broker_silent(const struct doctor_picture *pic, struct doctor_report *r,
                          const struct view_broker *b)
{
    struct arena *a = r->arena;
    struct doctor_finding *f = doctor_add(r, DOCTOR_BROKEN, "broker-silent");
    f->nodes = one_id(a, b->id);
    f->what = arena_printf(
        a, "Broker %d does not answer, though the controllers count it as alive.", b->id);
    f->why = arena_printf(
        a,
        "%s. If it has just died it will be fenced within broker.session.timeout.ms, and others "
        "lead in its place. If it stays so, it hangs, or this machine cannot reach it.",
        b->silent);
    doctor_step(f, arena_printf(a, "On %.*s see what it says of itself:", BYTES_FMT(b->host)),
                "millrace health");
    doctor_step(
        f, "If it hangs, stop it and start it again; does it answer now?",
        arena_printf(a, "millrace broker-api-versions --bootstrap-server %s", pic->servers));
}

static void brokers(const struct doctor_picture *pic, struct doctor_report *r)
{
    for (int32_t i = 0; i < pic->view->brokers_n; i++) {
        const struct view_broker *b = &pic->view->brokers[i];
        if (b->fenced) {
            broker_down(pic, r, b);
        } else if (b->silent) {
            broker_silent(pic, r, b);
        }
    }
}

static void racks(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct arena *a = r->arena;
    struct view_ids without = {ARENA_ARRAY(a, int32_t, pic->view->brokers_n + 1), 0};
    for (int32_t i = 0; i < pic->view->brokers_n; i++) {
        if (bytes_is_null(pic->view->brokers[i].rack)) {
            without.v[without.n++] = pic->view->brokers[i].id;
        }
    }
    if (without.n == 0 || without.n == pic->view->brokers_n) {
        return;
    }
    struct doctor_finding *f = doctor_add(r, DOCTOR_NOTE, "rack-missing");
    f->nodes = without;
    f->what = arena_printf(a, "%s no rack, while others have one.",
                           arena_printf(a, "%s %s", doctor_names(a, "Broker", without),
                                        without.n == 1 ? "has" : "have"));
    f->why = "Brokers without broker.rack count as one rack when replicas are spread.";
    doctor_step(f,
                "Set broker.rack in the file of properties that each is started with to the rack "
                "that it is in, and restart them one by one:",
                "millrace server FILE.properties");
}

/* ---- the quorum ---- */

static bool is_gone(const struct doctor_picture *pic, const struct doctor_voter *v)
{
    return v->id != pic->quorum_leader &&
           (v->disk || v->silent_ms < 0 || v->silent_ms > VOTER_SILENT_MS);
}

static const char *quorum_command(const struct doctor_picture *pic, struct doctor_report *r)
{
    return arena_printf(
        r->arena,
        "millrace metadata-quorum --bootstrap-%s %s describe --replication --human-readable",
        pic->controllers ? "controller" : "server", pic->servers);
}

/* " Controller 1 answers. Controllers 2 and 3 do not." Nothing where none knows the others. */
static const char *who_answers(const struct doctor_picture *pic, struct arena *a)
{
    const char *yes =
        pic->answering.n ? arena_printf(a, " %s %s.", doctor_names(a, "Controller", pic->answering),
                                        pic->answering.n == 1 ? "answers" : "answer")
                         : "";
    return pic->unanswering.n ? arena_printf(a, "%s %s %s not.", yes,
                                             doctor_names(a, "Controller", pic->unanswering),
                                             pic->unanswering.n == 1 ? "does" : "do")
                              : yes;
}

static void quorum_lost(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct doctor_finding *f = doctor_add(r, DOCTOR_BROKEN, "no-quorum");
    f->nodes = pic->unanswering;
    f->what = "The controllers decide nothing: they have no leader, or it cannot be reached.";
    f->why = arena_printf(
        r->arena,
        "Asked for the quorum, a %s says: %s.%s Leaders stay where they are, but no failure is "
        "answered, and no topic, setting or group of a new coordinator can change. More than half "
        "of the voters must run and reach each other.",
        pic->controllers ? "controller" : "broker", pic->quorum_error, who_answers(pic, r->arena));
    doctor_step(f, "Start the controllers that are down, each on its machine:",
                "millrace server FILE.properties");
    if (pic->controllers) {
        doctor_step(f, "On the machine of each see what it says of itself:", "millrace health");
    } else {
        doctor_step(f, "Ask the controllers themselves:",
                    "millrace cluster doctor --bootstrap-controller HOST:PORT");
    }
}

/* The loss of how many voters more the quorum stands. */
static int32_t voters_spare(const struct doctor_picture *pic)
{
    int32_t n = (pic->voters_n - 1) / 2;
    for (int32_t i = 0; i < pic->voters_n; i++) {
        n -= is_gone(pic, &pic->voters[i]);
    }
    return n;
}

static void voter_gone(const struct doctor_picture *pic, struct doctor_report *r,
                       struct view_ids gone)
{
    struct arena *a = r->arena;
    int32_t spare = voters_spare(pic);
    struct doctor_finding *f = doctor_add(r, DOCTOR_WRONG, "voter-down");
    f->nodes = gone;
    f->what =
        arena_printf(a, "%s of the quorum's %d voters %s down%s.",
                     doctor_names(a, "Controller", gone), pic->voters_n, gone.n == 1 ? "is" : "are",
                     spare > 0 ? "" : ", and the quorum is one failure from being lost");
    f->why = arena_printf(a, "Controller %d leads and has not heard %s for more than %d s.",
                          pic->quorum_leader, gone.n == 1 ? "it" : "them", VOTER_SILENT_MS / 1000);
    doctor_step(f, gone.n == 1 ? "Start it on its machine:" : "Start them on their machines:",
                "millrace server FILE.properties");
    doctor_step(f, "See how far each has come:", quorum_command(pic, r));
}

static void voter_on_other_disk(const struct doctor_picture *pic, struct doctor_report *r,
                                const struct doctor_voter *v)
{
    struct arena *a = r->arena;
    struct doctor_finding *f = doctor_add(r, DOCTOR_WRONG, "voter-on-other-disk");
    f->nodes = one_id(a, v->id);
    f->what = arena_printf(
        a, "Controller %d of the quorum's %d voters runs on another disk, and is not heard%s.",
        v->id, pic->voters_n,
        voters_spare(pic) > 0 ? "" : "; the quorum is one failure from being lost");
    f->why = arena_printf(
        a,
        "It comes with directory id %s, and controller %d, which leads, knows it with another one. "
        "An empty disk under an old id has forgotten its votes and what it acknowledged.",
        v->disk, pic->quorum_leader);
    doctor_step(f, "If its disk was replaced, admit the new one, while all other voters run:",
                arena_printf(a,
                             "millrace storage admit-voter --bootstrap-controller %s --voter %d "
                             "--directory %s",
                             pic->leader_at ? pic->leader_at : "HOST:PORT", v->id, v->disk));
    doctor_step(f,
                "If it was not, the node was started with another metadata.log.dir or log.dirs "
                "than before, or its disk is not mounted: mend that and start it again.",
                NULL);
    doctor_step(f, "See how far each has come:", quorum_command(pic, r));
}

static void voter_behind(const struct doctor_picture *pic, struct doctor_report *r,
                         const struct doctor_voter *v)
{
    struct arena *a = r->arena;
    struct doctor_finding *f = doctor_add(r, DOCTOR_WRONG, "voter-behind");
    f->nodes = one_id(a, v->id);
    f->what = arena_printf(a, "Controller %d lags: it lacks %s of the metadata.", v->id,
                           doctor_count(a, v->lag, "record", "records"));
    f->why =
        v->behind_ms < 0
            ? "It has not had all since the present leader leads."
            : arena_printf(
                  a, "It had all %lld s ago last; a slow disk or network, or it has just started.",
                  (long long)(v->behind_ms / 1000));
    doctor_step(f, "See whether it comes closer:", quorum_command(pic, r));
}

static void quorum(const struct doctor_picture *pic, struct doctor_report *r)
{
    if (pic->quorum_error) {
        quorum_lost(pic, r);
        return;
    }
    struct view_ids gone = {ARENA_ARRAY(r->arena, int32_t, pic->voters_n + 1), 0};
    for (int32_t i = 0; i < pic->voters_n; i++) {
        const struct doctor_voter *v = &pic->voters[i];
        if (is_gone(pic, v) && v->disk) {
            voter_on_other_disk(pic, r, v);
        } else if (is_gone(pic, v)) {
            gone.v[gone.n++] = v->id;
        } else if (v->lag > 0 && (v->behind_ms < 0 || v->behind_ms > VOTER_BEHIND_MS)) {
            voter_behind(pic, r, v);
        }
    }
    if (gone.n) {
        voter_gone(pic, r, gone);
    }
}

static void one_voter(const struct doctor_picture *pic, struct doctor_report *r)
{
    if (pic->voters_n != 1 || pic->view->brokers_n < 2) {
        return;
    }
    struct doctor_finding *f = doctor_add(r, DOCTOR_NOTE, "one-voter");
    f->nodes = one_id(r->arena, pic->voters[0].id);
    f->what = "One controller decides alone: if it fails, nobody does.";
    f->why = arena_printf(r->arena,
                          "The cluster has %d brokers; three controllers stand the loss of one.",
                          pic->view->brokers_n);
    doctor_step(f,
                "No controller can be added: how many there are is fixed when a cluster is first "
                "started, and one that is to stand this starts with three in "
                "controller.quorum.voters. Meanwhile keep a copy of __cluster_metadata-0 in its "
                "metadata.log.dir on another machine: without it the metadata is lost with the "
                "disk.",
                NULL);
}

/* ---- disks ---- */

static void dir_offline(const struct doctor_picture *pic, struct doctor_report *r,
                        const struct view_broker *b, const struct view_dir *d)
{
    struct arena *a = r->arena;
    struct doctor_finding *f = doctor_add(r, DOCTOR_WRONG, "log-dir-offline");
    f->nodes = one_id(a, b->id);
    f->what =
        arena_printf(a, "Broker %d has lost its log directory %.*s.", b->id, BYTES_FMT(d->path));
    f->why = "Its disk failed, or it could not be read: the replicas in it are offline until the "
             "broker is restarted with a directory that works.";
    doctor_step(f,
                arena_printf(a,
                             "On %.*s mend the disk, or mount an empty one there (it is filled "
                             "from the other replicas), and restart the broker:",
                             BYTES_FMT(b->host)),
                "millrace server FILE.properties");
    doctor_step(
        f, "Or move what it had to others for good:",
        arena_printf(a, "millrace broker drain %d --bootstrap-server %s", b->id, pic->servers));
}

static int64_t bytes_on(const struct view_partition *p, int32_t broker)
{
    for (int32_t i = 0; i < p->replicas.n; i++) {
        if (p->replicas.v[i] == broker && p->bytes[i] > 0) {
            return p->bytes[i];
        }
    }
    return 0;
}

/* The topic of which a broker has most, and which retention makes smaller; NULL: there is none. */
static const struct view_topic *largest_topic(const struct view *v, int32_t broker, int64_t *sum,
                                              int64_t *partition)
{
    const struct view_topic *largest = NULL;
    *sum = 0;
    for (int32_t i = 0; i < v->topics_n; i++) {
        const struct view_topic *t = &v->topics[i];
        struct bytes policy = view_value(t->settings, t->settings_n, "cleanup.policy");
        int64_t all = 0, most = 0;
        for (int32_t k = 0; k < t->partitions_n; k++) {
            int64_t bytes = bytes_on(&t->partitions[k], broker);
            all += bytes;
            most = bytes > most ? bytes : most;
        }
        if (all > *sum && !t->internal && !bytes_eq_str(policy, "compact")) {
            largest = t;
            *sum = all;
            *partition = most;
        }
    }
    return largest;
}

static void keep_less(const struct doctor_picture *pic, struct arena *a, struct doctor_finding *f,
                      int32_t broker)
{
    int64_t sum = 0, partition = 0;
    const struct view_topic *t = largest_topic(pic->view, broker, &sum, &partition);
    if (t == NULL || partition < 2) {
        return;
    }
    doctor_step(f,
                arena_printf(a,
                             "Or keep less of its largest topic, %.*s with %lld MiB there: this "
                             "deletes old records until no partition has much more than half of "
                             "what the largest has now:",
                             BYTES_FMT(t->name), (long long)(sum >> 20)),
                arena_printf(a,
                             "millrace configs --bootstrap-server %s --alter --topic %.*s "
                             "--add-config retention.bytes=%lld",
                             pic->servers, BYTES_FMT(t->name), (long long)(partition / 2)));
}

static void dir_full(const struct doctor_picture *pic, struct doctor_report *r,
                     const struct view_broker *b, const struct view_dir *d)
{
    struct arena *a = r->arena;
    double used = 100.0 * (double)(d->total - d->usable) / (double)d->total;
    if (used < DISK_FILLING_PERCENT) {
        return;
    }
    struct doctor_finding *f =
        doctor_add(r, used < DISK_FULL_PERCENT ? DOCTOR_NOTE : DOCTOR_WRONG, "disk-full");
    f->nodes = one_id(a, b->id);
    f->what = arena_printf(a, "Broker %d: the disk of %.*s is %d %% full.", b->id,
                           BYTES_FMT(d->path), (int)used);
    f->why = arena_printf(a,
                          "%lld MiB of %lld MiB are free. On a full disk appends are refused until "
                          "there is room; replicas on other brokers that are in sync lead "
                          "meanwhile.",
                          (long long)(d->usable >> 20), (long long)(d->total >> 20));
    doctor_step(f, "Move data to brokers with more room (this shows the plan):",
                arena_printf(a, "millrace balance --bootstrap-server %s --dry-run", pic->servers));
    keep_less(pic, a, f, b->id);
    doctor_step(f, "What else is large:",
                arena_printf(a,
                             "millrace log-dirs --bootstrap-server %s --describe --broker-list %d",
                             pic->servers, b->id));
}

static void disks(const struct doctor_picture *pic, struct doctor_report *r)
{
    for (int32_t i = 0; i < pic->view->brokers_n; i++) {
        const struct view_broker *b = &pic->view->brokers[i];
        for (int32_t k = 0; k < b->dirs_n; k++) {
            if (b->dirs[k].error) {
                dir_offline(pic, r, b, &b->dirs[k]);
            } else if (b->dirs[k].total > 0 && b->dirs[k].usable >= 0) {
                dir_full(pic, r, b, &b->dirs[k]);
            }
        }
    }
}

/* ---- settings, features and versions ---- */

static int64_t setting_number(const struct view_broker *b, const char *name)
{
    struct bytes v = view_value(b->settings, b->settings_n, name);
    char text[24];
    if (v.len == 0 || v.len >= sizeof text) {
        return -1;
    }
    memcpy(text, v.data, v.len);
    text[v.len] = 0;
    return atoll(text);
}

/* What topics will be made with from now on. */
static void default_factor(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct arena *a = r->arena;
    struct view_ids ids = {ARENA_ARRAY(a, int32_t, pic->view->brokers_n + 1), 0};
    for (int32_t i = 0; i < pic->view->brokers_n; i++) {
        const struct view_broker *b = &pic->view->brokers[i];
        if (setting_number(b, "default.replication.factor") == 1) {
            ids.v[ids.n++] = b->id;
        }
    }
    if (ids.n == 0 || pic->view->brokers_n < 2) {
        return;
    }
    struct doctor_finding *f = doctor_add(r, DOCTOR_NOTE, "default-factor-1");
    f->nodes = ids;
    f->what = arena_printf(a, "Topics that are created without a replication factor get one copy.");
    f->why =
        arena_printf(a, "default.replication.factor is 1 on %s.", doctor_names(a, "broker", ids));
    doctor_step(
        f,
        arena_printf(a,
                     "Set default.replication.factor=%d in the file of properties that "
                     "each is started with, and restart them one by one:",
                     pic->view->brokers_n < USUAL_FACTOR ? pic->view->brokers_n : USUAL_FACTOR),
        "millrace server FILE.properties");
}

/* kraft.version is left out: it says how voters are kept, and stays 0 with static ones. */
static void features(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct arena *a = r->arena;
    const char *behind = "", *wanted = "";
    int16_t release = 0;
    for (int32_t i = 0; i < pic->features_n; i++) {
        release = bytes_eq_str(pic->features[i].name, METADATA_VERSION) ? pic->features[i].nodes_max
                                                                        : release;
    }
    for (int32_t i = 0; i < pic->features_n; i++) {
        const struct doctor_feature *v = &pic->features[i];
        const char *name = arena_printf(a, "%.*s", BYTES_FMT(v->name));
        bool metadata = strcmp(name, METADATA_VERSION) == 0;
        int16_t level = metadata ? release : feature_default(name, release);
        level = level < v->nodes_max ? level : v->nodes_max;
        if (v->level < level && strcmp(name, KRAFT_VERSION) != 0) {
            behind = arena_printf(a, "%s%s%s is %d and could be %d", behind, *behind ? "; " : "",
                                  name, v->level, level);
            wanted = arena_printf(a, "%s --feature %s=%d", wanted, name, level);
        }
    }
    if (*behind == 0) {
        return;
    }
    struct doctor_finding *f = doctor_add(r, DOCTOR_NOTE, "features-behind");
    f->what = "The cluster does not use what all of its brokers can.";
    f->why = arena_printf(a, "%s.", behind);
    doctor_step(
        f, "Once no older release is to be gone back to (--dry-run only asks):",
        arena_printf(a, "millrace features --bootstrap-server %s upgrade%s", pic->servers, wanted));
}

static void versions(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct arena *a = r->arena;
    struct view_ids other = {ARENA_ARRAY(a, int32_t, pic->versions_n + 1), 0};
    for (int32_t i = 1; i < pic->versions_n; i++) {
        if (pic->versions[i].fingerprint != pic->versions[0].fingerprint) {
            other.v[other.n++] = pic->versions[i].broker;
        }
    }
    if (other.n == 0) {
        return;
    }
    struct doctor_finding *f = doctor_add(r, DOCTOR_NOTE, "versions-differ");
    f->nodes = other;
    f->what = arena_printf(
        a, "The brokers are not of one version: %s %s another one than broker %d.",
        doctor_names(a, "broker", other), other.n == 1 ? "is" : "are", pic->versions[0].broker);
    f->why = "They serve different requests. That is so during an upgrade, and should end with it.";
    doctor_step(
        f, "See how they differ:",
        arena_printf(a, "millrace broker-api-versions --bootstrap-server %s", pic->servers));
}

/* ---- all of it ---- */

static void sort(struct doctor_report *r)
{
    struct doctor_finding *v = ARENA_ARRAY(r->arena, struct doctor_finding, r->n + 1);
    int32_t n = 0;
    for (int s = DOCTOR_BROKEN; s <= DOCTOR_NOTE; s++) {
        for (int32_t i = 0; i < r->n; i++) {
            if ((int)r->v[i].severity == s) {
                v[n++] = r->v[i];
            }
        }
    }
    r->v = v;
}

/* What only controllers tell: which brokers follow them. */
static void followers(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct arena *a = r->arena;
    struct view_ids here = {ARENA_ARRAY(a, int32_t, pic->observers_n + 1), 0};
    struct view_ids gone = {ARENA_ARRAY(a, int32_t, pic->observers_n + 1), 0};
    for (int32_t i = 0; i < pic->observers_n; i++) {
        struct view_ids *to = pic->observers[i].silent_ms > VOTER_SILENT_MS ? &gone : &here;
        to->v[to->n++] = pic->observers[i].id;
    }
    if (gone.n) {
        struct doctor_finding *f = doctor_add(r, DOCTOR_WRONG, "broker-unheard");
        f->nodes = gone;
        f->what = arena_printf(a, "The controllers do not hear %s any more.",
                               doctor_names(a, "broker", gone));
        f->why = arena_printf(a,
                              "%s not asked for metadata for more than %d s: it is down, or "
                              "cannot reach the controllers.",
                              gone.n == 1 ? "It has" : "Each has", VOTER_SILENT_MS / 1000);
        doctor_step(f, gone.n == 1 ? "Start it on its machine:" : "Start each on its machine:",
                    "millrace server FILE.properties");
    }
    if (pic->quorum_error) {
        return; /* the leader hears them, and there is none */
    }
    struct doctor_finding *f = doctor_add(r, DOCTOR_NOTE, "brokers-not-asked");
    f->nodes = here;
    f->what = "Only the controllers were asked, which tell nothing of partitions and disks.";
    f->why = here.n
                 ? arena_printf(a, "%s %s them.", doctor_names(a, "Broker", here),
                                here.n == 1 ? "follows" : "follow")
                 : "No broker follows them: none runs or reaches them, or each is in one process "
                   "with a controller.";
    doctor_step(f, here.n ? "Ask a broker for the rest:" : "Once one runs, ask it for the rest:",
                "millrace cluster doctor --bootstrap-server HOST:PORT");
}

/* In the order of how bad it is among equals. */
void doctor_examine(const struct doctor_picture *pic, struct doctor_report *out)
{
    quorum(pic, out);
    if (pic->controllers) {
        followers(pic, out);
        sort(out);
        return;
    }
    doctor_partitions(pic, out);
    brokers(pic, out);
    disks(pic, out);
    doctor_topics(pic, out);
    doctor_throttles(pic, out);
    default_factor(pic, out);
    one_voter(pic, out);
    racks(pic, out);
    versions(pic, out);
    features(pic, out);
    sort(out);
}

bool doctor_is_healthy(const struct doctor_report *r)
{
    for (int32_t i = 0; i < r->n; i++) {
        if (r->v[i].severity != DOCTOR_NOTE) {
            return false;
        }
    }
    return true;
}
