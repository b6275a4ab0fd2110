/* The broker's standing with the controller, against a controller that the test plays. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "broker/dir_assign.h"
#include "broker/disk_room.h"
#include "broker/lifecycle.h"
#include "broker/listener.h"
#include "broker/metadata_loader.h"
#include "broker/run_before.h"
#include "controller/image.h"
#include "fake_channel.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_features.h"
#include "proto_messages.h"
#include "storage/log_dir.h"

/* What the lifecycle asks and tells; static to the program, which runs one case at a time. */
static struct {
    int64_t applied;
    unsigned unfenced;
    unsigned released;
    unsigned failed;
    unsigned dirs_started;
    bool opening; /* the shards are at the first metadata */
    char why[256];
    struct listener listener;
} seen;

int64_t metadata_loader_applied(const struct metadata_loader *l)
{
    UNUSED(l);
    return seen.applied;
}

bool metadata_loader_busy(const struct metadata_loader *l)
{
    UNUSED(l);
    return seen.opening;
}

void dir_assign_start(struct dir_assign *a)
{
    UNUSED(a);
    seen.dirs_started++;
}

const struct listener *listeners_find(const struct listener_set *ls, const char *name)
{
    UNUSED(ls);
    UNUSED(name);
    return &seen.listener;
}

void node_on_unfenced(struct node *n)
{
    UNUSED(n);
    seen.unfenced++;
}

void node_on_fenced_for_stop(struct node *n)
{
    UNUSED(n);
    seen.released++;
}

void node_fail(struct node *n, const char *fmt, ...)
{
    va_list ap;
    UNUSED(n);
    va_start(ap, fmt);
    vsnprintf(seen.why, sizeof seen.why, fmt, ap);
    va_end(ap);
    seen.failed++;
}

static void fake_on_msg(struct shard *sh, struct msg *m)
{
    UNUSED(sh);
    UNUSED(m);
    fail();
}

struct world {
    struct fake f;
    struct config *config;
    struct lifecycle *l;
    struct log_dir dir;
    struct log_dir *dirs[1];
    struct image image; /* what the metadata says of us */
    struct image_broker broker;
    struct image_broker *brokers[1];
};

static void open_world(struct world *w, const char *const *overrides)
{
    memset(&seen, 0, sizeof seen);
    seen.applied = -1;
    seen.listener.port = 19092;
    w->config = fake_config(overrides);
    fake_open(&w->f, w->config);
    w->dir = (struct log_dir){.previous_broker_epoch = 7, .io = w->f.shard->io, .path = "/data"};
    w->dir.meta.directory_id = uuid_reserved(99);
    w->dirs[0] = &w->dir;
    w->f.node.log_dirs = w->dirs;
    w->f.node.log_dirs_n = 1;
    w->l = lifecycle_new(&w->f.node);
    w->f.node.lifecycle = w->l;
}

static void show_broker(struct world *w, int64_t epoch, bool fenced)
{
    w->broker = (struct image_broker){.id = w->f.node.id, .epoch = epoch, .fenced = fenced};
    w->brokers[0] = &w->broker;
    w->image = (struct image){.brokers_n = 1, .brokers = w->brokers};
    w->f.ns.image = &w->image;
}

static void shut_world(struct world *w)
{
    lifecycle_free(w->l);
    assert_true(list_empty(&w->f.calls));
    fake_shut(&w->f);
    config_free(w->config);
}

static void answer_registration(struct world *w, int16_t error, int64_t epoch)
{
    struct broker_registration_response r;
    proto_msg_init(&broker_registration_response_msg, &r);
    r.error_code = error;
    r.broker_epoch = epoch;
    fake_answer(&w->f, fake_next(&w->f, API_BROKER_REGISTRATION), &r);
}

static const struct broker_heartbeat_request *heartbeat(struct world *w)
{
    return fake_request(&w->f, fake_next(&w->f, API_BROKER_HEARTBEAT));
}

static void answer_heartbeat(struct world *w, int16_t error, bool fenced, bool shut_down)
{
    struct broker_heartbeat_response r;
    proto_msg_init(&broker_heartbeat_response_msg, &r);
    r.error_code = error;
    r.is_fenced = fenced;
    r.should_shut_down = shut_down;
    fake_answer(&w->f, fake_next(&w->f, API_BROKER_HEARTBEAT), &r);
}

/* Up to the state in which the broker serves. */
static void bring_up(struct world *w)
{
    lifecycle_start(w->l);
    answer_registration(w, 0, 50);
    answer_heartbeat(w, 0, true, false);
    seen.applied = 50;
    lifecycle_ready(w->l);
    show_broker(w, 50, false);
    answer_heartbeat(w, 0, false, false);
    assert_int_equal(seen.unfenced, 1);
}

static void test_registration_says_who_we_are(void **state)
{
    const char *over[] = {"listeners=PLAINTEXT://localhost:0,CONTROLLER://localhost:0",
                          "broker.rack=r1", NULL};
    struct world w;
    (void)state;
    open_world(&w, over);
    lifecycle_start(w.l);
    const struct broker_registration_request *q =
        fake_request(&w.f, fake_next(&w.f, API_BROKER_REGISTRATION));
    assert_int_equal(q->broker_id, 1);
    assert_true(bytes_eq_str(q->cluster_id, "test-cluster"));
    assert_true(bytes_eq_str(q->rack, "r1"));
    assert_false(uuid_is_zero(q->incarnation_id));
    assert_int_equal(q->listeners_n, 1); /* not the controller's */
    assert_true(bytes_eq_str(q->listeners[0].name, "PLAINTEXT"));
    assert_true(bytes_eq_str(q->listeners[0].host, "localhost"));
    assert_int_equal(q->listeners[0].port, 19092); /* the one that the system gave */
    assert_int_equal(q->features_n, proto_features_n);
    assert_int_equal(q->log_dirs_n, 1);
    assert_true(uuid_eq(q->log_dirs[0], uuid_reserved(99)));
    assert_int_equal(q->previous_broker_epoch, 7);
    shut_world(&w);
}

static struct uuid run_before(void)
{
    return uuid_reserved(77);
}

/* A process of this machine was killed in our directory: it had noted itself, and before it the
 * broker had been registered at this epoch. */
static void leave_run(struct world *w, int64_t epoch_before)
{
    struct log_dir *d = &w->dir;
    d->previous_broker_epoch = -1;
    assert_int_equal(io_mkdir(d->io, d->path), 0);
    assert_int_equal(io_kernel_id(d->io, d->path, d->kernel), 0);
    assert_int_equal(log_dir_note_run(d, epoch_before, run_before()), 0);
    assert_int_equal(last_run_read(d->io, d->path, &d->last_run), 0);
    d->kept = true;
}

/* What the metadata say of the broker when the logs are open. */
static void show_run(struct world *w, int64_t epoch, struct uuid incarnation)
{
    show_broker(w, epoch, true);
    w->broker.incarnation = incarnation;
    w->broker.log_dirs = &w->dir.meta.directory_id;
    w->broker.log_dirs_n = 1;
}

static int64_t named_epoch(struct world *w)
{
    const struct broker_registration_request *q =
        fake_request(&w->f, fake_next(&w->f, API_BROKER_REGISTRATION));
    return q->previous_broker_epoch;
}

static void test_killed_run_is_named_when_logs_are_open(void **state)
{
    struct world w;
    struct last_run now;
    (void)state;
    open_world(&w, NULL);
    leave_run(&w, 7);
    lifecycle_start(w.l);
    fake_run(&w.f, 100);
    assert_true(list_empty(&w.f.calls));
    show_run(&w, 50, run_before());
    lifecycle_ready(w.l);
    assert_int_equal(named_epoch(&w), 50);
    assert_int_equal(last_run_read(w.dir.io, w.dir.path, &now), 0); /* before anybody hears of it */
    assert_int_equal(now.broker_epoch, 50);
    assert_true(uuid_eq(now.incarnation, w.f.node.incarnation));
    shut_world(&w);
}

/* The limit counts until the metadata is here, and not while the logs are opened. */
static void test_registration_after_a_kill_has_a_limit(void **state)
{
    const char *over[] = {"initial.broker.registration.timeout.ms=5000", NULL};
    struct world w;
    (void)state;
    open_world(&w, over);
    leave_run(&w, 7);
    lifecycle_start(w.l);
    fake_run(&w.f, 4900);
    seen.opening = true;
    fake_run(&w.f, 60000);
    assert_int_equal(seen.failed, 0);
    show_run(&w, 50, run_before());
    seen.opening = false;
    lifecycle_ready(w.l);
    assert_int_equal(named_epoch(&w), 50);
    shut_world(&w);

    open_world(&w, over);
    leave_run(&w, 7);
    lifecycle_start(w.l);
    fake_run(&w.f, 4900);
    assert_int_equal(seen.failed, 0);
    fake_run(&w.f, 200);
    assert_int_equal(seen.failed, 1);
    assert_non_null(strstr(seen.why, "could not register within 5000 ms"));
    shut_world(&w);
}

static int64_t epoch_named_after(int64_t epoch, struct uuid incarnation,
                                 void (*then)(struct world *))
{
    struct world w;
    open_world(&w, NULL);
    leave_run(&w, 7);
    lifecycle_start(w.l);
    show_run(&w, epoch, incarnation);
    if (then) {
        then(&w);
    }
    lifecycle_ready(w.l);
    int64_t named = named_epoch(&w);
    shut_world(&w);
    return named;
}

static void cut_a_log(struct world *w)
{
    assert_int_equal(last_run_remove(w->dir.io, w->dir.path), 0);
}

static void lose_the_disk(struct world *w)
{
    w->f.node.failed_dirs = 1;
}

/* Main has not heard of it yet. */
static void lose_the_disk_on_a_shard(struct world *w)
{
    run_before_disk_failed(&w->f.ns, 0);
}

static void have_another_disk(struct world *w)
{
    static const struct uuid two[] = {{{1}}, {{2}}};
    w->broker.log_dirs = two;
    w->broker.log_dirs_n = 2;
}

static void not_know_us(struct world *w)
{
    w->image.brokers_n = 0;
}

static void test_which_runs_are_named(void **state)
{
    struct uuid other = uuid_reserved(78);
    (void)state;
    assert_int_equal(epoch_named_after(7, other, NULL), 7); /* it had not been heard */
    assert_int_equal(epoch_named_after(8, other, NULL), -1);
    assert_int_equal(epoch_named_after(50, run_before(), NULL), 50);
    assert_int_equal(epoch_named_after(50, run_before(), cut_a_log), -1);
    assert_int_equal(epoch_named_after(50, run_before(), lose_the_disk), -1);
    assert_int_equal(epoch_named_after(50, run_before(), lose_the_disk_on_a_shard), -1);
    assert_int_equal(epoch_named_after(50, run_before(), have_another_disk), -1);
    assert_int_equal(epoch_named_after(50, run_before(), not_know_us), -1);
}

/* Whatever the run before had lost: this one keeps what it writes. */
static void test_run_is_noted_though_logs_were_cut(void **state)
{
    struct world w;
    struct last_run now;
    (void)state;
    open_world(&w, NULL);
    leave_run(&w, 7);
    w.dir.kept = false;
    lifecycle_start(w.l);
    assert_int_equal(named_epoch(&w), -1);
    cut_a_log(&w);
    lifecycle_ready(w.l);
    assert_int_equal(last_run_read(w.dir.io, w.dir.path, &now), 0);
    assert_true(uuid_eq(now.incarnation, w.f.node.incarnation));
    shut_world(&w);
}

/* Also if main has not heard of it: what the disk has lost is of this run. */
static void test_run_is_not_noted_once_a_disk_failed(void **state)
{
    struct world w;
    struct last_run now;
    (void)state;
    open_world(&w, NULL);
    leave_run(&w, 7);
    w.dir.kept = false;
    lifecycle_start(w.l);
    assert_int_equal(named_epoch(&w), -1);
    assert_int_equal(last_run_read(w.dir.io, w.dir.path, &now), 0);
    run_before_disk_failed(&w.f.ns, 0);
    lifecycle_ready(w.l);
    assert_int_equal(last_run_read(w.dir.io, w.dir.path, &now), ERR_NOTFOUND);
    shut_world(&w);
}

/* A full disk has room for what is there already. */
static void test_run_is_noted_on_a_full_disk(void **state)
{
    struct world w;
    struct last_run now;
    (void)state;
    open_world(&w, NULL);
    leave_run(&w, 7);
    struct sim_disk *disk = w.f.proc->host->disk;
    disk->capacity = disk->used;
    assert_int_equal(log_dir_note_run(&w.dir, 123456, uuid_reserved(78)), 0);
    assert_int_equal(last_run_read(w.dir.io, w.dir.path, &now), 0);
    assert_int_equal(now.broker_epoch, 123456);
    assert_int_equal(log_dir_note_run(&w.dir, 1, uuid_reserved(78)), 0); /* a shorter one */
    assert_int_equal(last_run_read(w.dir.io, w.dir.path, &now), 0);
    assert_int_equal(now.broker_epoch, 1);
    shut_world(&w);
}

/* A stop in order before anybody has answered does not say less than a crash. */
static void test_stop_without_an_answer_keeps_the_run(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, NULL);
    leave_run(&w, 7);
    lifecycle_start(w.l);
    run_before_keep(&w.f.node);
    assert_int_equal(w.dir.previous_broker_epoch, -1); /* nothing is known of it */
    show_run(&w, 50, run_before());
    run_before_keep(&w.f.node);
    assert_int_equal(w.dir.previous_broker_epoch, 50);
    shut_world(&w);
}

static void test_way_to_unfenced(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, NULL);
    lifecycle_start(w.l);
    assert_int_equal(lifecycle_broker_epoch(w.l), -1);
    answer_registration(&w, 0, 50);
    assert_int_equal(lifecycle_broker_epoch(w.l), 50);
    assert_int_equal(seen.dirs_started, 1);
    assert_true(heartbeat(&w)->want_fence);
    assert_int_equal(heartbeat(&w)->broker_epoch, 50);
    answer_heartbeat(&w, 0, true, false);
    assert_true(list_empty(&w.f.calls));

    lifecycle_ready(w.l); /* but the registration is not in the metadata that we have */
    assert_true(list_empty(&w.f.calls));
    seen.applied = 49;
    lifecycle_on_metadata(w.l);
    assert_true(list_empty(&w.f.calls));
    seen.applied = 50;
    lifecycle_on_metadata(w.l);
    assert_false(heartbeat(&w)->want_fence);
    assert_int_equal(heartbeat(&w)->current_metadata_offset, 50);

    answer_heartbeat(&w, 0, true, false); /* not yet: it is asked again soon */
    assert_int_equal(seen.unfenced, 0);
    fake_run(&w.f, 30);
    show_broker(&w, 50, true);
    answer_heartbeat(&w, 0, false, false);
    assert_int_equal(seen.unfenced, 0); /* the metadata does not say so yet */
    lifecycle_on_metadata(w.l);
    assert_int_equal(seen.unfenced, 0);
    show_broker(&w, 49, false); /* an earlier registration */
    lifecycle_on_metadata(w.l);
    assert_int_equal(seen.unfenced, 0);
    show_broker(&w, 50, false);
    lifecycle_on_metadata(w.l);
    assert_int_equal(seen.unfenced, 1);
    assert_true(lifecycle_is_unfenced(w.l));

    fake_run(&w.f, 1900);
    assert_true(list_empty(&w.f.calls));
    fake_run(&w.f, 200); /* broker.heartbeat.interval.ms */
    answer_heartbeat(&w, 0, false, false);
    assert_int_equal(seen.unfenced, 1);
    shut_world(&w);
}

static void test_registration_is_tried_again(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, NULL);
    lifecycle_start(w.l);
    fake_end(fake_next(&w.f, API_BROKER_REGISTRATION), ERR_TIMEOUT, BYTES_NULL);
    fake_run(&w.f, 60);
    answer_registration(&w, KE_NOT_CONTROLLER, -1);
    assert_int_equal(w.f.not_controller, 1);
    fake_run(&w.f, 110);
    answer_registration(&w, KE_DUPLICATE_BROKER_REGISTRATION, -1);
    assert_int_equal(seen.failed, 0);
    fake_run(&w.f, 210);
    answer_registration(&w, 0, 5);
    assert_int_equal(lifecycle_broker_epoch(w.l), 5);
    shut_world(&w);
}

static void test_registration_that_never_comes_stops_the_node(void **state)
{
    const char *over[] = {"initial.broker.registration.timeout.ms=3000", NULL};
    struct world w;
    (void)state;
    open_world(&w, over);
    lifecycle_start(w.l);
    for (int i = 0; i < 100 && seen.failed == 0; i++) {
        answer_registration(&w, KE_DUPLICATE_BROKER_REGISTRATION, -1);
        fake_run(&w.f, 2010);
    }
    assert_int_equal(seen.failed, 1);
    assert_non_null(strstr(seen.why, "DUPLICATE_BROKER_REGISTRATION"));
    assert_non_null(strstr(seen.why, "3000 ms"));
    shut_world(&w);
}

static void test_another_cluster_is_final(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, NULL);
    lifecycle_start(w.l);
    answer_registration(&w, KE_INCONSISTENT_CLUSTER_ID, -1);
    assert_int_equal(seen.failed, 1);
    assert_non_null(strstr(seen.why, "test-cluster"));
    fake_run(&w.f, 5000);
    assert_true(list_empty(&w.f.calls));
    shut_world(&w);
}

static void test_forgotten_epoch_registers_again(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, NULL);
    bring_up(&w);
    struct uuid incarnation;
    fake_run(&w.f, 2010);
    answer_heartbeat(&w, KE_STALE_BROKER_EPOCH, true, false);
    fake_run(&w.f, 60);
    const struct broker_registration_request *q =
        fake_request(&w.f, fake_next(&w.f, API_BROKER_REGISTRATION));
    incarnation = q->incarnation_id;
    assert_false(uuid_is_zero(incarnation));
    answer_registration(&w, 0, 80);
    assert_int_equal(heartbeat(&w)->broker_epoch, 80);
    assert_true(heartbeat(&w)->want_fence); /* until the new registration is applied */
    answer_heartbeat(&w, 0, true, false);
    seen.applied = 80;
    lifecycle_on_metadata(w.l);
    assert_false(heartbeat(&w)->want_fence);
    answer_heartbeat(&w, 0, false, false);
    assert_true(lifecycle_is_unfenced(w.l));
    shut_world(&w);
}

static void test_failed_heartbeats_are_tried_again(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, NULL);
    bring_up(&w);
    fake_run(&w.f, 2010);
    fake_end(fake_next(&w.f, API_BROKER_HEARTBEAT), ERR_CLOSED, BYTES_NULL);
    fake_run(&w.f, 60);
    fake_end(fake_next(&w.f, API_BROKER_HEARTBEAT), 0, bytes_of("\xff\xff", 2)); /* no answer */
    fake_run(&w.f, 110);
    answer_heartbeat(&w, 0, false, false);
    assert_true(lifecycle_is_unfenced(w.l));
    shut_world(&w);
}

static void test_offline_directory_is_told_at_once(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, NULL);
    bring_up(&w);
    w.f.node.failed_dirs = 1;
    lifecycle_dirs_changed(w.l);
    assert_int_equal(heartbeat(&w)->offline_log_dirs_n, 1);
    assert_true(uuid_eq(heartbeat(&w)->offline_log_dirs[0], uuid_reserved(99)));
    answer_heartbeat(&w, 0, false, false);
    shut_world(&w);
}

static void tell(struct node *n)
{
    lifecycle_dirs_changed(n->lifecycle);
}

/* The only one: then a replica may lie where it will. */
static void test_full_directory_is_told_at_once(void **state)
{
    struct world w;
    struct disk_room_news news = {0};
    (void)state;
    open_world(&w, NULL);
    w.f.node.room = disk_room_new(&w.f.node, tell);
    w.f.shard->on_msg = call_on_msg;
    bring_up(&w);
    disk_room_report(&w.f.ns, &news, 1);
    fake_run(&w.f, 1);
    assert_int_equal(heartbeat(&w)->offline_log_dirs_n, 0);
    assert_int_equal(heartbeat(&w)->full_log_dirs_n, 2);
    assert_true(uuid_eq(heartbeat(&w)->full_log_dirs[0], uuid_reserved(99)));
    assert_true(uuid_eq(heartbeat(&w)->full_log_dirs[1], uuid_reserved(1)));
    answer_heartbeat(&w, 0, false, false);
    w.f.node.failed_dirs = 1; /* it is worse */
    lifecycle_dirs_changed(w.l);
    assert_int_equal(heartbeat(&w)->offline_log_dirs_n, 1);
    assert_int_equal(heartbeat(&w)->full_log_dirs_n, 0);
    answer_heartbeat(&w, 0, false, false);
    disk_room_free(w.f.node.room);
    w.f.node.room = NULL;
    shut_world(&w);
}

static void test_change_while_a_heartbeat_is_under_way(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, NULL);
    bring_up(&w);
    fake_run(&w.f, 2010);
    assert_int_equal(heartbeat(&w)->offline_log_dirs_n, 0);
    w.f.node.failed_dirs = 1;
    lifecycle_dirs_changed(w.l);
    answer_heartbeat(&w, 0, false, false);
    fake_run(&w.f, 1);
    assert_int_equal(heartbeat(&w)->offline_log_dirs_n, 1);
    answer_heartbeat(&w, 0, false, false);
    shut_world(&w);
}

static void test_controlled_shutdown(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, NULL);
    bring_up(&w);
    lifecycle_begin_stop(w.l);
    assert_true(heartbeat(&w)->want_shut_down);
    answer_heartbeat(&w, 0, false, false);
    assert_int_equal(seen.released, 0);
    fake_run(&w.f, 30);
    assert_true(heartbeat(&w)->want_shut_down);
    answer_heartbeat(&w, 0, true, true);
    assert_int_equal(seen.released, 1);
    fake_run(&w.f, 60000);
    assert_int_equal(seen.released, 1);
    assert_true(list_empty(&w.f.calls));
    shut_world(&w);
}

static void test_shutdown_is_bounded(void **state)
{
    const char *over[] = {"shutdown.timeout.ms=1000", NULL};
    struct world w;
    (void)state;
    open_world(&w, over);
    bring_up(&w);
    lifecycle_begin_stop(w.l); /* and the controller is silent */
    fake_run(&w.f, 900);
    assert_int_equal(seen.released, 0);
    fake_run(&w.f, 200);
    assert_int_equal(seen.released, 1);
    shut_world(&w);
}

/* Nobody leads who could agree: after a session nobody would count on this broker any more. */
static void test_shutdown_without_a_quorum(void **state)
{
    const char *over[] = {"broker.session.timeout.ms=2000", "broker.heartbeat.interval.ms=500",
                          NULL};
    struct world w;
    int waited = 0;
    (void)state;
    open_world(&w, over);
    bring_up(&w);
    lifecycle_begin_stop(w.l);
    while (seen.released == 0 && waited < 10000) {
        if (!list_empty(&w.f.calls)) {
            answer_heartbeat(&w, KE_NOT_CONTROLLER, false, false);
        }
        fake_run(&w.f, 10);
        waited += 10;
    }
    assert_int_equal(seen.released, 1);
    assert_true(waited >= 1900 && waited < 2200);
    assert_true(list_empty(&w.f.calls));
    shut_world(&w);
}

static void test_shutdown_without_asking(void **state)
{
    const char *over[] = {"controlled.shutdown.enable=false", NULL};
    struct world w;
    (void)state;
    open_world(&w, over);
    bring_up(&w);
    lifecycle_begin_stop(w.l);
    assert_int_equal(seen.released, 0); /* never inside the call */
    fake_run(&w.f, 1);
    assert_int_equal(seen.released, 1);
    shut_world(&w);

    open_world(&w, NULL); /* not registered yet */
    lifecycle_start(w.l);
    lifecycle_begin_stop(w.l);
    fake_run(&w.f, 1);
    assert_int_equal(seen.released, 1);
    assert_true(list_empty(&w.f.calls));
    shut_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registration_says_who_we_are),
        cmocka_unit_test(test_killed_run_is_named_when_logs_are_open),
        cmocka_unit_test(test_registration_after_a_kill_has_a_limit),
        cmocka_unit_test(test_which_runs_are_named),
        cmocka_unit_test(test_run_is_not_noted_once_a_disk_failed),
        cmocka_unit_test(test_run_is_noted_though_logs_were_cut),
        cmocka_unit_test(test_run_is_noted_on_a_full_disk),
        cmocka_unit_test(test_stop_without_an_answer_keeps_the_run),
        cmocka_unit_test(test_way_to_unfenced),
        cmocka_unit_test(test_registration_is_tried_again),
        cmocka_unit_test(test_registration_that_never_comes_stops_the_node),
        cmocka_unit_test(test_another_cluster_is_final),
        cmocka_unit_test(test_forgotten_epoch_registers_again),
        cmocka_unit_test(test_failed_heartbeats_are_tried_again),
        cmocka_unit_test(test_offline_directory_is_told_at_once),
        cmocka_unit_test(test_full_directory_is_told_at_once),
        cmocka_unit_test(test_change_while_a_heartbeat_is_under_way),
        cmocka_unit_test(test_controlled_shutdown),
        cmocka_unit_test(test_shutdown_is_bounded),
        cmocka_unit_test(test_shutdown_without_a_quorum),
        cmocka_unit_test(test_shutdown_without_asking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
