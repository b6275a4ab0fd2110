/* What the doctor makes of a picture: each rule alone, and nothing of a healthy cluster. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto_errors.h"
#include "view_rig.h"
#include "tools/doctor.h"

struct rig {
    struct arena arena;
    struct view view;
    struct doctor_picture pic;
    struct doctor_report report;
    struct doctor_voter voters[5];
};

static int open_rig(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct arena *a = &r->arena;
    rig_brokers(a, &r->view, 4);
    struct view_topic *t = rig_topic(a, &r->view, "orders", 2);
    rig_partition(a, t, IDS(1, 2, 3), 10);
    rig_partition(a, t, IDS(2, 3, 4), 10);
    rig_partition(a, t, IDS(3, 4, 1), 10);
    for (int32_t i = 0; i < 3; i++) {
        r->voters[i] = (struct doctor_voter){.id = 101 + i};
    }
    r->pic = (struct doctor_picture){.view = &r->view,
                                     .servers = "localhost:9092",
                                     .quorum_leader = 101,
                                     .voters = r->voters,
                                     .voters_n = 3};
    *state = r;
    return 0;
}

static int close_rig(void **state)
{
    struct rig *r = *state;
    arena_free(&r->arena);
    free(r);
    return 0;
}

static void examine(struct rig *r)
{
    r->report = (struct doctor_report){.arena = &r->arena};
    doctor_examine(&r->pic, &r->report);
    for (int32_t i = 0; i < r->report.n; i++) {
        const struct doctor_finding *f = &r->report.v[i];
        assert_non_null(f->what);
        assert_true(f->steps_n > 0);
        assert_true(i == 0 || f->severity >= f[-1].severity);
    }
}

/* The only finding, which must be this one. */
static const struct doctor_finding *only(struct rig *r, const char *check,
                                         enum doctor_severity severity)
{
    examine(r);
    assert_int_equal(r->report.n, 1);
    assert_string_equal(r->report.v[0].check, check);
    assert_int_equal(r->report.v[0].severity, severity);
    assert_int_equal(doctor_is_healthy(&r->report), severity == DOCTOR_NOTE);
    return &r->report.v[0];
}

static const struct doctor_finding *find(const struct rig *r, const char *check)
{
    for (int32_t i = 0; i < r->report.n; i++) {
        if (strcmp(r->report.v[i].check, check) == 0) {
            return &r->report.v[i];
        }
    }
    return NULL;
}

static bool says(const char *text, const char *part)
{
    return text && strstr(text, part) != NULL;
}

static struct view_partition *part(struct rig *r, int32_t index)
{
    return &r->view.topics[0].partitions[index];
}

static void nothing_of_a_healthy_cluster(void **state)
{
    struct rig *r = *state;
    examine(r);
    assert_int_equal(r->report.n, 0);
    assert_true(doctor_is_healthy(&r->report));
}

static void a_broker_that_is_down_is_told_with_what_it_does_to_partitions(void **state)
{
    struct rig *r = *state;
    struct arena *a = &r->arena;
    r->view.brokers[3].fenced = true; /* 4, which leads nothing */
    part(r, 1)->isr = IDS(2, 3);
    part(r, 2)->isr = IDS(3, 1);
    examine(r);
    assert_int_equal(r->report.n, 2);
    const struct doctor_finding *f = find(r, "at-min-isr");
    assert_int_equal(f->places_n, 2);
    assert_int_equal(f->nodes.n, 1);
    assert_true(says(f->why, "broker 4. Broker 4 is down."));
    f = find(r, "broker-down");
    assert_int_equal(f->severity, DOCTOR_WRONG);
    assert_true(says(f->why, "2 replicas"));
    assert_true(says(f->steps[1].say, "move its replicas to the others"));
    assert_true(says(f->steps[1].command, "broker drain 4 --bootstrap-server localhost:9092"));

    r->view.brokers[0].fenced = true; /* two are left, for topics of three replicas */
    examine(r);
    f = find(r, "broker-down");
    assert_non_null(f);
    assert_true(says(f->steps[1].say, "add a broker"));
    assert_true(says(f->steps[1].command, "broker drain"));
    r->view.brokers[0].fenced = false;

    r->view.topics[0].min_isr = 1;
    examine(r);
    assert_int_equal(find(r, "under-replicated")->places_n, 2);
    assert_null(find(r, "at-min-isr"));
}

static void a_broker_without_replicas_that_is_down_is_a_note(void **state)
{
    struct rig *r = *state;
    struct arena *a = &r->arena;
    part(r, 1)->replicas = part(r, 1)->isr = IDS(2, 3, 1);
    part(r, 2)->replicas = part(r, 2)->isr = IDS(3, 2, 1);
    r->view.brokers[3].fenced = true;
    assert_true(says(only(r, "broker-down", DOCTOR_NOTE)->steps[1].command, "unregister"));
}

static void a_broker_that_does_not_answer(void **state)
{
    struct rig *r = *state;
    r->view.brokers[0].silent = "Timed out";
    const struct doctor_finding *f = only(r, "broker-silent", DOCTOR_BROKEN);
    assert_true(says(f->why, "Timed out"));
}

/* Who may lead: the in-sync set, else the eligible replicas, else whoever led last. */
static void without_a_leader_it_says_who_must_come_back(void **state)
{
    struct rig *r = *state;
    struct arena *a = &r->arena;
    r->view.brokers[3].fenced = true;
    part(r, 1)->leader = -1;
    part(r, 1)->isr = IDS(4);
    part(r, 2)->leader = -1;
    part(r, 2)->isr = (struct view_ids){NULL, 0};
    part(r, 2)->elr = IDS(4);
    examine(r);
    const struct doctor_finding *f = find(r, "no-leader");
    assert_ptr_equal(f, &r->report.v[0]); /* the worst */
    assert_int_equal(f->severity, DOCTOR_BROKEN);
    assert_int_equal(f->places_n, 2); /* one finding for both */
    assert_true(says(f->why, "Only broker 4 may lead them"));
    assert_string_equal(
        f->steps[1].command,
        "echo '{\"partitions\":[{\"topic\":\"orders\",\"partition\":1},"
        "{\"topic\":\"orders\",\"partition\":2}]}' | millrace leader-election --bootstrap-server "
        "localhost:9092 --election-type unclean --path-to-json-file -");
    assert_int_equal(f->steps_n, 2);
    part(r, 1)->replicas = IDS(4); /* no other broker has any of it */
    examine(r);
    f = find(r, "no-leader");
    assert_true(says(f->steps[1].command, "--election-type unclean --topic orders --partition 2"));
    assert_true(says(f->steps[2].say, "has a copy of 1 of them: if"));
    part(r, 1)->replicas = IDS(2, 3, 4);
    part(r, 2)->elr = (struct view_ids){NULL, 0};
    part(r, 2)->last_elr = IDS(3);
    examine(r);
    assert_int_equal(find(r, "no-leader")->places_n, 1);
}

static void under_min_isr_is_worse_than_under_replicated(void **state)
{
    struct rig *r = *state;
    struct arena *a = &r->arena;
    part(r, 0)->isr = IDS(1);
    const struct doctor_finding *f = only(r, "under-min-isr", DOCTOR_BROKEN);
    assert_int_equal(f->nodes.n, 2);
    assert_true(says(f->steps[0].say, "come closer")); /* both are up */
}

static void replicas_that_are_being_added_are_not_missing(void **state)
{
    struct rig *r = *state;
    struct arena *a = &r->arena;
    struct view_partition *p = part(r, 0);
    p->replicas = IDS(1, 2, 3, 4);
    p->bytes[3] = 5;
    p->adding = IDS(4);
    p->removing = IDS(3);
    r->view.moves = 1;
    p->isr = IDS(1, 2, 3);
    examine(r);
    assert_int_equal(r->report.n, 0);
    p->replicas = IDS(2, 4, 1, 3); /* and who is to lead in the end does not have to yet */
    examine(r);
    assert_int_equal(r->report.n, 0);
}

static void a_move_that_stands_still(void **state)
{
    struct rig *r = *state;
    struct arena *a = &r->arena;
    struct view before;
    struct view_partition *p = part(r, 0);
    p->replicas = IDS(1, 2, 3, 4);
    p->bytes[3] = 5;
    p->adding = IDS(4);
    r->view.moves = 1;
    rig_brokers(a, &before, 4);
    *rig_partition(a, rig_topic(a, &before, "orders", 2), IDS(1), 0) = *p;
    before.topics[0].partitions[0].bytes = ARENA_ARRAY(a, int64_t, RIG_IDS);
    memcpy(before.topics[0].partitions[0].bytes, p->bytes, 4 * sizeof(int64_t));
    r->pic.before = &before;
    const struct doctor_finding *f = only(r, "move-stands-still", DOCTOR_WRONG);
    assert_int_equal(f->nodes.v[0], 4);
    assert_true(doctor_move_stands_still(&before, &r->view));
    p->bytes[3] = 6;
    assert_false(doctor_move_stands_still(&before, &r->view));
    examine(r);
    assert_int_equal(r->report.n, 0);
}

static void voters(void **state)
{
    struct rig *r = *state;
    r->voters[1].silent_ms = 6000;
    assert_true(says(only(r, "voter-down", DOCTOR_WRONG)->what, "one failure from being lost"));
    r->voters[3] = (struct doctor_voter){.id = 104};
    r->voters[4] = (struct doctor_voter){.id = 105};
    r->pic.voters_n = 5;
    assert_false(says(only(r, "voter-down", DOCTOR_WRONG)->what, "one failure"));
    r->voters[1] = (struct doctor_voter){.id = 102, .lag = 7, .behind_ms = 20000};
    assert_true(says(only(r, "voter-behind", DOCTOR_WRONG)->what, "7 records"));
    r->voters[1].behind_ms = 100; /* it is on its way */
    examine(r);
    assert_int_equal(r->report.n, 0);
    r->pic.voters_n = 1;
    assert_true(says(only(r, "one-voter", DOCTOR_NOTE)->what, "alone"));
    assert_true(says(r->report.v[0].steps[0].say, "No controller can be added"));
    r->pic.quorum_error = "no answer";
    r->pic.voters_n = 0;
    assert_true(says(only(r, "no-quorum", DOCTOR_BROKEN)->why, "no answer"));
}

/* No broker runs: the quorum, and who follows it, is all that is told. */
static void what_controllers_tell(void **state)
{
    struct rig *r = *state;
    struct arena *a = &r->arena;
    struct doctor_observer observers[] = {{11, 200}, {12, 6000}};
    struct view nothing = {.cluster_id = bytes_str("rig")};
    r->pic.view = &nothing;
    r->pic.controllers = true;
    r->pic.servers = "controller1:9093";
    const struct doctor_finding *f = only(r, "brokers-not-asked", DOCTOR_NOTE);
    assert_true(says(f->why, "No broker follows them"));
    r->pic.observers = observers;
    r->pic.observers_n = 1;
    assert_true(says(only(r, "brokers-not-asked", DOCTOR_NOTE)->why, "Broker 11 follows them."));
    r->pic.observers_n = 2;
    examine(r);
    assert_int_equal(r->report.n, 2);
    assert_true(says(find(r, "broker-unheard")->what, "do not hear broker 12"));
    assert_int_equal(find(r, "broker-unheard")->severity, DOCTOR_WRONG);
    r->voters[1].silent_ms = 6000;
    examine(r);
    assert_true(says(find(r, "voter-down")->steps[1].command,
                     "metadata-quorum --bootstrap-controller controller1:9093 describe"));
    r->pic = (struct doctor_picture){.view = &nothing,
                                     .servers = "controller1:9093",
                                     .controllers = true,
                                     .quorum_error = "none was elected",
                                     .answering = IDS(1),
                                     .unanswering = IDS(2, 3)};
    f = only(r, "no-quorum", DOCTOR_BROKEN);
    assert_true(says(f->why, "a controller says: none was elected. Controller 1 answers. "
                             "Controllers 2 and 3 do not. Leaders stay"));
    assert_int_equal(f->nodes.n, 2);
}

/* It is not down: the others do not hear it, and it can be let in. */
static void a_voter_on_another_disk(void **state)
{
    struct rig *r = *state;
    r->voters[1].silent_ms = 10; /* its old disk was heard just now */
    r->voters[1].disk = "Mlead9rfQmCsJ2fcFC8-BA";
    r->pic.leader_at = "controller1:9093";
    const struct doctor_finding *f = only(r, "voter-on-other-disk", DOCTOR_WRONG);
    assert_int_equal(f->nodes.v[0], 102);
    assert_true(says(f->what, "Controller 102 of the quorum's 3 voters runs on another disk"));
    assert_true(says(f->what, "one failure from being lost"));
    assert_true(says(f->why, "directory id Mlead9rfQmCsJ2fcFC8-BA, and controller 101"));
    assert_string_equal(f->steps[0].command,
                        "millrace storage admit-voter --bootstrap-controller controller1:9093 "
                        "--voter 102 --directory Mlead9rfQmCsJ2fcFC8-BA");
    r->pic.leader_at = NULL;
    assert_true(says(only(r, "voter-on-other-disk", DOCTOR_WRONG)->steps[0].command, "HOST:PORT"));
    r->voters[3] = (struct doctor_voter){.id = 104};
    r->voters[4] = (struct doctor_voter){.id = 105};
    r->pic.voters_n = 5;
    assert_false(says(only(r, "voter-on-other-disk", DOCTOR_WRONG)->what, "one failure"));
    r->voters[2].silent_ms = 6000;
    examine(r);
    assert_int_equal(r->report.n, 2);
    assert_true(says(find(r, "voter-on-other-disk")->what, "one failure"));
    assert_true(says(find(r, "voter-down")->what, "Controller 103 of"));
    assert_true(says(find(r, "voter-down")->what, "one failure"));
}

static void set(struct arena *a, struct view_setting **v, int32_t *n, const char *name,
                const char *value, int8_t source)
{
    struct view_setting *more = ARENA_ARRAY(a, struct view_setting, *n + 1);
    if (*n) {
        memcpy(more, *v, (size_t)*n * sizeof *more);
    }
    more[*n] = (struct view_setting){bytes_str(name), bytes_str(value), source};
    *v = more;
    *n += 1;
}

static void disks(void **state)
{
    struct rig *r = *state;
    struct view_dir *d = r->view.brokers[1].dirs;
    d->usable = d->total / 100 * 15;
    only(r, "disk-full", DOCTOR_NOTE);
    d->usable = d->total / 100 * 5;
    assert_true(says(only(r, "disk-full", DOCTOR_WRONG)->what, "95 % full"));
    assert_true(says(r->report.v[0].why, "appends are refused"));
    assert_int_equal(r->report.v[0].steps_n, 3);
    assert_true(says(r->report.v[0].steps[1].say, "its largest topic, orders with 0 MiB there"));
    assert_string_equal(r->report.v[0].steps[1].command,
                        "millrace configs --bootstrap-server localhost:9092 --alter --topic orders "
                        "--add-config retention.bytes=5"); /* half of a partition */
    struct view_topic *t = &r->view.topics[0];
    set(&r->arena, &t->settings, &t->settings_n, "cleanup.policy", "compact", 1);
    assert_int_equal(only(r, "disk-full", DOCTOR_WRONG)->steps_n, 2); /* retention does nothing */
    *d = (struct view_dir){bytes_str("/data"), KE_KAFKA_STORAGE_ERROR, -1, -1, false};
    const struct doctor_finding *f = only(r, "log-dir-offline", DOCTOR_WRONG);
    assert_true(says(f->what, "Broker 2 has lost"));
    assert_string_equal(f->steps[0].command, "millrace server FILE.properties");
}

/* Two partitions move to broker 4 at a rate; one of them had its turn, the other waits for it. */
static void a_move_that_waits_for_its_turn(void **state)
{
    struct rig *r = *state;
    struct arena *a = &r->arena;
    struct view before;
    rig_brokers(a, &before, 4);
    struct view_topic *was = rig_topic(a, &before, "orders", 2);
    r->view.moves = 2;
    r->pic.before = &before;
    for (int32_t i = 0; i < 2; i++) {
        struct view_partition *p = part(r, i);
        p->replicas = i == 0 ? IDS(1, 2, 3, 4) : IDS(2, 3, 1, 4);
        p->isr = IDS(1, 2, 3);
        p->bytes[3] = 5;
        p->adding = IDS(4);
        *rig_partition(a, was, IDS(1), 0) = *p;
        was->partitions[i].bytes = ARENA_ARRAY(a, int64_t, RIG_IDS);
        memcpy(was->partitions[i].bytes, p->bytes, 4 * sizeof(int64_t));
    }
    assert_int_equal(only(r, "move-stands-still", DOCTOR_WRONG)->places_n, 2);
    part(r, 1)->bytes[3] = 6;
    assert_int_equal(only(r, "move-stands-still", DOCTOR_WRONG)->places_n, 1); /* no throttle */
    struct view_broker *b = view_broker(&r->view, 4);
    set(a, &b->settings, &b->settings_n, "follower.replication.throttled.rate", "100", 2);
    examine(r);
    const struct doctor_finding *f = find(r, "move-stands-still");
    assert_non_null(f);
    assert_int_equal(f->severity, DOCTOR_NOTE);
    assert_int_equal(f->places_n, 1);
    assert_true(says(f->what, "1 partition waits under a throttle for its turn"));
    part(r, 1)->bytes[3] = 5; /* nothing comes at all */
    examine(r);
    assert_int_equal(find(r, "move-stands-still")->severity, DOCTOR_WRONG);
}

static void throttles(void **state)
{
    struct rig *r = *state;
    struct view_broker *b = r->view.brokers;
    struct view_topic *t = &r->view.topics[0];
    const char *rate = "follower.replication.throttled.rate";
    set(&r->arena, &b[0].settings, &b[0].settings_n, rate, "100", 5); /* the release's default */
    set(&r->arena, &t->settings, &t->settings_n, "leader.replication.throttled.replicas", "", 5);
    examine(r);
    assert_int_equal(r->report.n, 0);
    set(&r->arena, &t->settings, &t->settings_n, "follower.replication.throttled.replicas", "0:1",
        1);
    only(r, "throttle-left", DOCTOR_NOTE);
    b[0].settings[0].source = 2;
    set(&r->arena, &b[1].settings, &b[1].settings_n, rate, "100", 2);
    const struct doctor_finding *f = only(r, "throttle-left", DOCTOR_WRONG);
    assert_true(says(f->steps[0].command, "for e in 1 2; do "));
    assert_true(says(f->steps[1].command, "--topic orders --delete-config"));
    b[0].settings[0].source = 3;
    assert_true(says(only(r, "throttle-left", DOCTOR_WRONG)->steps[1].command, "broker-defaults"));
    assert_true(doctor_throttle_is_idle(&r->view));
    r->view.moves = 2; /* then they belong to the moves */
    f = only(r, "throttle-in-use", DOCTOR_NOTE);
    assert_true(says(f->what, "belongs to moves under way, 2 partitions."));
    assert_true(says(f->why, "on broker 2 and as the default of all brokers"));
    assert_false(doctor_throttle_is_idle(&r->view));
    r->view.moves = 0;
    r->view.dir_moves = 1;
    assert_true(says(only(r, "throttle-in-use", DOCTOR_NOTE)->what, "1 replica between"));
    b[0].settings_n = b[1].settings_n = 0; /* lists alone */
    examine(r);
    assert_int_equal(r->report.n, 0);
}

static void throttles_of_directories(void **state)
{
    struct rig *r = *state;
    struct view_broker *b = r->view.brokers;
    const char *rate = "replica.alter.log.dirs.io.max.bytes.per.second";
    assert_false(doctor_throttle_is_idle(&r->view));
    set(&r->arena, &b[2].settings, &b[2].settings_n, rate, "100", 2);
    assert_true(doctor_throttle_is_idle(&r->view));
    const struct doctor_finding *f = only(r, "dirs-throttle-left", DOCTOR_NOTE);
    assert_int_equal(f->nodes.v[0], 3);
    assert_true(says(f->steps[0].command, "--broker 3 --delete-config replica.alter.log.dirs."));
    b[2].settings[0].source = 3;
    assert_true(says(only(r, "dirs-throttle-left", DOCTOR_NOTE)->steps[0].command, "-defaults "));
    r->view.dir_moves = 1;
    examine(r);
    assert_int_equal(r->report.n, 0);
}

static void topics(void **state)
{
    struct rig *r = *state;
    struct arena *a = &r->arena;
    struct view_topic *t = &r->view.topics[0];
    t->min_isr = 3;
    assert_true(says(only(r, "min-isr-is-factor", DOCTOR_WRONG)->steps[0].command, "replicas=2"));
    t->min_isr = 5; /* brokers take the factor then */
    only(r, "min-isr-is-factor", DOCTOR_WRONG);
    t->min_isr = 1;
    only(r, "min-isr-1", DOCTOR_NOTE);
    t->min_isr = 2;
    set(a, &t->settings, &t->settings_n, "unclean.leader.election.enable", "true", 1);
    only(r, "unclean-election", DOCTOR_NOTE);
    t->settings_n = 0;
    rig_partition(a, rig_topic(a, &r->view, "single", 1), IDS(1), 1);
    only(r, "factor-1", DOCTOR_NOTE);
    r->view.topics[1].internal = true;
    only(r, "internal-factor-1", DOCTOR_WRONG);
}

/* Where copies are to come is in the command: brokers that run, in other racks, with the fewest
 * replicas; the one that has it now stays the first. */
static void copies_are_added_by_one_command(void **state)
{
    struct rig *r = *state;
    struct arena *a = &r->arena;
    for (int32_t i = 0; i < 4; i++) {
        r->view.brokers[i].rack = bytes_str(i < 2 ? "a" : i < 3 ? "b" : "c");
    }
    r->view.topics_n = 0;
    struct view_topic *t = rig_topic(a, &r->view, "single", 1);
    rig_partition(a, t, IDS(1), 1);
    rig_partition(a, t, IDS(4), 1);
    rig_partition(a, rig_topic(a, &r->view, "third", 1), IDS(3), 1);
    const struct doctor_finding *f = only(r, "factor-1", DOCTOR_NOTE);
    assert_string_equal(
        f->steps[0].command,
        "echo '{\"version\":1,\"partitions\":["
        "{\"topic\":\"single\",\"partition\":0,\"replicas\":[1,3,4]},"
        "{\"topic\":\"single\",\"partition\":1,\"replicas\":[4,2,3]},"
        "{\"topic\":\"third\",\"partition\":0,\"replicas\":[3,1,4]}]}' | millrace "
        "reassign-partitions --bootstrap-server localhost:9092 --reassignment-json-file - "
        "--execute");
    r->view.brokers[1].fenced = true;
    r->view.brokers[2].dirs[0].usable = 0; /* it keeps a twentieth free */
    r->view.brokers[3].dirs[0].cordoned = true;
    examine(r);
    assert_true(says(find(r, "factor-1")->steps[0].command, "\"replicas\":[4,1]},"));
    r->view.brokers[0].dirs[0].cordoned = true;
    examine(r);
    assert_true(says(find(r, "factor-1")->steps[0].say, "No copy can be added now"));
    assert_null(find(r, "factor-1")->steps[0].command);
}

static void so_many_copies_at_once(void **state)
{
    struct rig *r = *state;
    struct arena *a = &r->arena;
    r->view.topics_n = 0;
    struct view_topic *t = rig_topic(a, &r->view, "single", 1);
    for (int32_t i = 0; i < 100; i++) {
        rig_partition(a, t, IDS(1 + i % 4), 1);
    }
    const struct doctor_finding *f = only(r, "factor-1", DOCTOR_NOTE);
    assert_string_equal(f->steps[0].say, "Add copies on other brokers:");
    assert_true(says(f->steps[0].command, "\"partition\":99,"));
    rig_partition(a, t, IDS(1), 1);
    f = only(r, "factor-1", DOCTOR_NOTE);
    assert_true(says(f->steps[0].say, "of the first 100 partitions"));
    assert_true(says(f->steps[0].command, "\"partition\":99,"));
    assert_false(says(f->steps[0].command, "\"partition\":100,"));
}

/* What it says is typed once for all topics; those of another factor need another value. */
static void one_command_for_all_topics(void **state)
{
    struct rig *r = *state;
    struct arena *a = &r->arena;
    const char *names[] = {"pairs", "returns", "stock"};
    for (int32_t i = 0; i < 3; i++) {
        rig_partition(a, rig_topic(a, &r->view, names[i], 2), i ? IDS(1, 2, 3) : IDS(1, 2), 1);
    }
    r->view.topics[0].min_isr = r->view.topics[3].min_isr = 3;
    examine(r);
    assert_int_equal(r->report.n, 2);
    assert_string_equal(r->report.v[0].steps[0].command,
                        "for e in orders stock; do millrace configs --bootstrap-server "
                        "localhost:9092 --alter --topic $e --add-config min.insync.replicas=2; "
                        "done");
    assert_string_equal(r->report.v[1].steps[0].command,
                        "millrace configs --bootstrap-server localhost:9092 --alter --topic pairs "
                        "--add-config min.insync.replicas=1");
    r->view.topics_n = 0;
    rig_partition(a, rig_topic(a, &r->view, "a", 1), IDS(1, 2, 3), 1);
    rig_partition(a, rig_topic(a, &r->view, "b", 1), IDS(1, 2, 3), 1);
    assert_true(says(only(r, "min-isr-1", DOCTOR_NOTE)->steps[0].command, "for e in a b; do "));
    for (int32_t i = 0; i < 2; i++) {
        struct view_topic *t = &r->view.topics[i];
        t->min_isr = 2;
        set(a, &t->settings, &t->settings_n, "unclean.leader.election.enable", "true", 1);
    }
    assert_true(
        says(only(r, "unclean-election", DOCTOR_NOTE)->steps[0].command, "for e in a b; do "));
}

static void racks(void **state)
{
    struct rig *r = *state;
    for (int32_t i = 0; i < 4; i++) {
        r->view.brokers[i].rack = bytes_str(i < 3 ? "a" : "b");
    }
    const struct doctor_finding *f = only(r, "one-rack", DOCTOR_WRONG);
    assert_int_equal(f->places_n, 1); /* orders-0 on 1, 2, 3 */
    r->view.brokers[0].rack = BYTES_NULL;
    assert_int_equal(only(r, "rack-missing", DOCTOR_NOTE)->nodes.v[0], 1);
    assert_true(says(r->report.v[0].steps[0].say, "Set broker.rack in the file"));
    for (int32_t i = 0; i < 4; i++) {
        r->view.brokers[i].rack = bytes_str("a"); /* no other rack */
    }
    examine(r);
    assert_int_equal(r->report.n, 0);
}

static void leaders_elsewhere(void **state)
{
    struct rig *r = *state;
    part(r, 0)->leader = 2;
    const struct doctor_finding *f = only(r, "leaders-elsewhere", DOCTOR_WRONG);
    assert_true(says(f->why, "Broker 1 leads less than its share: others do the work."));
    assert_int_equal(f->nodes.n, 1);
    part(r, 2)->leader = 1; /* 1 has as many as it should, and 3 has none */
    f = only(r, "leaders-elsewhere", DOCTOR_WRONG);
    assert_int_equal(f->places_n, 2);
    assert_true(says(f->why, "Broker 3 leads less than its share"));
    assert_int_equal(f->nodes.n, 1);
    assert_int_equal(f->nodes.v[0], 3);
    part(r, 1)->leader = 3; /* each leads another one's */
    f = only(r, "leaders-elsewhere", DOCTOR_WRONG);
    assert_true(says(f->why, "but some in the place of brokers 1, 2 and 3."));
    assert_int_equal(f->nodes.n, 3);
    part(r, 1)->leader = 2;
    part(r, 2)->leader = 3;
    for (int32_t i = 0; i < 20; i++) { /* one of 21: below the tenth */
        struct arena *a = &r->arena;
        rig_partition(a, &r->view.topics[0], IDS(1, 2, 3), 1);
    }
    only(r, "leaders-elsewhere", DOCTOR_NOTE);
}

static void versions_and_features(void **state)
{
    struct rig *r = *state;
    struct doctor_version v[] = {{1, 5}, {2, 5}, {3, 6}};
    struct doctor_feature f[] = {{bytes_str("metadata.version"), 29, 30},
                                 {bytes_str("transaction.version"), 2, 2},
                                 {bytes_str("kraft.version"), 0, 1}};
    r->pic.versions = v;
    r->pic.versions_n = 3;
    assert_true(says(only(r, "versions-differ", DOCTOR_NOTE)->what, "broker 3 is another one"));
    r->pic.versions_n = 2;
    r->pic.features = f;
    r->pic.features_n = 3;
    const struct doctor_finding *found = only(r, "features-behind", DOCTOR_NOTE);
    assert_true(says(found->steps[0].command, "upgrade --feature metadata.version=30"));
    assert_false(says(found->why, "kraft"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(nothing_of_a_healthy_cluster),
        TEST(a_broker_that_is_down_is_told_with_what_it_does_to_partitions),
        TEST(a_broker_without_replicas_that_is_down_is_a_note),
        TEST(a_broker_that_does_not_answer),
        TEST(without_a_leader_it_says_who_must_come_back),
        TEST(under_min_isr_is_worse_than_under_replicated),
        TEST(replicas_that_are_being_added_are_not_missing),
        TEST(a_move_that_stands_still),
        TEST(voters),
        TEST(what_controllers_tell),
        TEST(a_voter_on_another_disk),
        TEST(disks),
        TEST(throttles),
        TEST(a_move_that_waits_for_its_turn),
        TEST(throttles_of_directories),
        TEST(topics),
        TEST(copies_are_added_by_one_command),
        TEST(so_many_copies_at_once),
        TEST(one_command_for_all_topics),
        TEST(racks),
        TEST(leaders_elsewhere),
        TEST(versions_and_features),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
