/* The mover between log directories, over real logs on the simulator's disk: each step, and what
 * may come between two of them. The metadata is the test's: it names a directory when the test says
 * so. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/checkpoints.h"
#include "broker/dir_move.h"
#include "broker/dir_move_private.h"
#include "data_rig.h"

enum { FROM, TO, WAIT_MS = 60000 };

struct world {
    struct rig r;
    struct partition *p; /* topic1-0 */
    struct checkpoints *checkpoints;
};

/* ---- appends ---- */

struct ask {
    struct append_msg m;
    struct append_item it;
    struct buf batch;
    unsigned done;
};

static void ask_done(struct node_shard *ns, struct append_msg *m)
{
    UNUSED(ns);
    ((struct ask *)m->user)->done++;
}

static void ask(struct world *w, struct ask *a, int n)
{
    memset(a, 0, sizeof *a);
    rig_batch(&a->batch, 0, n, NULL);
    a->it.topic_id = w->p->topic->id;
    a->it.index = 0;
    a->it.batch.data = a->batch.data;
    a->it.batch.len = (uint32_t)a->batch.len;
    a->m = (struct append_msg){
        .items = &a->it, .n = 1, .acks = -1, .origin = PLOG_CLIENT, .timeout_ms = WAIT_MS};
    a->m.done = ask_done;
    a->m.user = a;
    append_send(&w->r.ns[0], 0, &a->m);
}

#define until(w_, condition)                                \
    do {                                                    \
        int64_t end_ = rig_now(&(w_)->r) + WAIT_MS;         \
        while (!(condition)) {                              \
            rig_turn(&(w_)->r);                             \
            if (rig_now(&(w_)->r) > end_) {                 \
                fail_msg("waited in vain for " #condition); \
            }                                               \
        }                                                   \
    } while (0)

static int16_t answered(struct world *w, struct ask *a)
{
    until(w, a->done > 0);
    buf_free(&a->batch);
    return a->it.error;
}

static void append(struct world *w, int n)
{
    struct ask a;
    ask(w, &a, n);
    assert_int_equal(answered(w, &a), KE_NONE);
}

/* ---- the world ---- */

static void open_world(struct world *w)
{
    static const char *const overrides[] = {"log.dirs=/data,/other", NULL};
    rig_open(&w->r, 1, overrides);
    w->checkpoints = checkpoints_new(&w->r.node);
    rig_topic(&w->r, 1, 1, "file.delete.delay.ms", "1000");
    w->p = rig_partition(&w->r, 1, 0);
    assert_int_equal(plog_dir_index(w->p->log), FROM);
    append(w, 3);
    append(w, 4);
}

static void shut_world(struct world *w)
{
    rig_run(&w->r, 100);
    checkpoints_free(w->checkpoints);
    rig_shut(&w->r);
}

/* The metadata says that the replica lies there. */
static void metadata_names(struct world *w, unsigned dir)
{
    struct partition_change_record c;
    struct uuid id = rig_dir_id(&w->r, dir);
    proto_msg_init(&partition_change_record_msg, &c);
    c.topic_id = rig_topic_id(1);
    c.partition_id = 0;
    c.directories = &id;
    c.directories_n = 1;
    rig_record(&w->r, &partition_change_record_msg, 1, &c);
    rig_publish(&w->r);
}

struct count {
    const char *suffix;
    unsigned n;
};

static void count_folder(void *ctx, const struct io_dirent *e)
{
    struct count *c = ctx;
    size_t n = strlen(e->name);
    size_t k = strlen(c->suffix);
    c->n += e->is_dir && n >= k && strcmp(e->name + n - k, c->suffix) == 0;
}

/* Folders of log directory dir whose name ends so. */
static unsigned folders(struct world *w, unsigned dir, const char *suffix)
{
    struct count c = {suffix, 0};
    assert_int_equal(
        io_list_dir(w->r.ns[0].shard->io, w->r.config->log_dirs[dir], count_folder, &c), 0);
    return c.n;
}

/* One folder has the partition, and nothing of a move is left. */
static void only_in(struct world *w, unsigned dir)
{
    until(w, folders(w, FROM, "-future") + folders(w, TO, "-future") == 0);
    until(w, folders(w, FROM, "-delete") + folders(w, TO, "-delete") == 0);
    assert_int_equal(folders(w, dir, "topic1-0"), 1);
    assert_int_equal(folders(w, !dir, "topic1-0"), 0);
    assert_int_equal(w->p->pm->per_dir[dir], 1);
    assert_int_equal(w->p->pm->per_dir[!dir], 0);
}

/* A move that has copied everything and waits for the metadata. */
static void begin(struct world *w)
{
    assert_int_equal(dir_move_ask(w->p, TO), KE_NONE);
    until(w, w->r.reports > 0 && w->r.reported_dir == TO);
    assert_int_equal(plog_end_offset(dir_move_log(w->p)), plog_end_offset(w->p->log));
}

/* ---- the way of a move ---- */

static void a_move_copies_waits_for_the_metadata_and_swaps(void **state)
{
    UNUSED(state);
    struct world w;
    open_world(&w);
    begin(&w);
    rig_run(&w.r, 5000);
    assert_int_equal(plog_dir_index(w.p->log), FROM); /* the metadata does not have it */
    append(&w, 5);                                    /* and nobody is held up meanwhile */
    until(&w, plog_end_offset(dir_move_log(w.p)) == 12);
    metadata_names(&w, TO);
    until(&w, w.p->move == NULL);
    assert_int_equal(plog_dir_index(w.p->log), TO);
    assert_int_equal(plog_end_offset(w.p->log), 12);
    assert_int_equal(plog_high_watermark(w.p->log), 12);
    assert_int_equal(plog_flushed_offset(w.p->log), 12);
    assert_false(w.p->held);
    append(&w, 1);
    only_in(&w, TO);
    shut_world(&w);
}

static void who_appends_at_the_swap_is_answered(void **state)
{
    UNUSED(state);
    struct world w;
    struct ask a;
    open_world(&w);
    begin(&w);
    metadata_names(&w, TO);
    until(&w, w.p->held);
    ask(&w, &a, 2);
    assert_int_equal(answered(&w, &a), KE_NONE);
    assert_int_equal(plog_dir_index(w.p->log), TO);
    assert_int_equal(plog_end_offset(w.p->log), 9);
    shut_world(&w);
}

static void a_log_that_begins_later_is_followed(void **state)
{
    UNUSED(state);
    struct world w;
    open_world(&w);
    begin(&w);
    assert_int_equal(plog_set_start_offset(w.p->log, 5), 0);
    partition_advance(w.p);
    until(&w, plog_start_offset(dir_move_log(w.p)) == 5);
    metadata_names(&w, TO);
    until(&w, w.p->move == NULL);
    assert_int_equal(plog_start_offset(w.p->log), 5);
    shut_world(&w);
}

/* ---- asked again, and otherwise ---- */

static void the_same_again_is_nothing_and_back_gives_it_up(void **state)
{
    UNUSED(state);
    struct world w;
    open_world(&w);
    assert_int_equal(dir_move_ask(w.p, FROM), KE_NONE); /* there it is */
    assert_null(w.p->move);
    begin(&w);
    const struct dir_move *m = w.p->move;
    assert_int_equal(dir_move_ask(w.p, TO), KE_NONE);
    assert_ptr_equal(w.p->move, m);
    assert_int_equal(dir_move_ask(w.p, FROM), KE_NONE);
    assert_null(w.p->move);
    assert_int_equal(w.r.reported_dir, FROM); /* the controller was told of the other */
    append(&w, 1);
    only_in(&w, FROM);
    shut_world(&w);
}

static void what_is_asked_during_the_rename_comes_next(void **state)
{
    UNUSED(state);
    struct world w;
    open_world(&w);
    begin(&w);
    metadata_names(&w, TO);
    until(&w, w.p->move->promoting);
    assert_int_equal(dir_move_ask(w.p, FROM), KE_NONE);
    until(&w, plog_dir_index(w.p->log) == TO);
    until(&w, w.r.reported_dir == FROM && w.p->move != NULL);
    metadata_names(&w, FROM);
    until(&w, plog_dir_index(w.p->log) == FROM);
    only_in(&w, FROM);
    shut_world(&w);
}

static void a_replica_to_come_goes_where_it_is_wanted(void **state)
{
    UNUSED(state);
    struct world w;
    open_world(&w);
    dir_wanted_set(&w.p->pm->dirs, bytes_str("topic2"), 1, FROM); /* the other has fewer */
    rig_topic(&w.r, 2, 2, NULL, NULL);
    assert_int_equal(plog_dir_index(rig_partition(&w.r, 2, 0)->log), TO);
    assert_int_equal(plog_dir_index(rig_partition(&w.r, 2, 1)->log), FROM);
    assert_int_equal(dir_wanted_take(&w.p->pm->dirs, bytes_str("topic2"), 1), -1);
    shut_world(&w);
}

/* ---- a start in between ---- */

/* The node ends in order, but for the mark, and starts again on the same disk, with these bytes
 * free and an index of the partition lost, which takes space. What the metadata had is told anew.
 */
static void restart(struct world *w, uint64_t room)
{
    struct rig *r = &w->r;
    struct node_shard *ns = &r->ns[0];
    struct errmsg em = {{0}};
    uint64_t failed;
    checkpoints_free(w->checkpoints);
    partition_manager_stop(ns->partitions);
    while (partition_manager_busy(ns->partitions)) {
        rig_turn(r);
    }
    partition_manager_close_clean(ns->partitions, &failed);
    partition_manager_free(ns->partitions);
    image_put(ns->image);
    ns->image = NULL;
    loader_free(r->loader);
    r->loader = loader_new();
    assert_int_equal(io_unlink(ns->shard->io, "/data/topic1-0/00000000000000000000.timeindex"), 0);
    for (unsigned d = 0; d < r->node.log_dirs_n; d++) {
        log_dir_close(r->dirs[d], false, -1);
        if (log_dir_open(ns->shard->io, NULL, d, r->config->log_dirs[d], true, &r->dirs[d], &em)) {
            fail_msg("%s", em.text);
        }
        r->dirs[d]->meta.directory_id = rig_dir_id(r, d);
    }
    ns->partitions = partition_manager_new(ns);
    w->checkpoints = checkpoints_new(&r->node);
    r->reports = 0;
    uint64_t capacity = r->host->disk->capacity;
    r->host->disk->capacity = r->host->disk->used + room;
    rig_topic(r, 1, 1, "file.delete.delay.ms", "1000");
    r->host->disk->capacity = capacity;
    for (unsigned d = 0; d < r->node.log_dirs_n; d++) {
        log_dir_all_open(r->dirs[d]);
    }
    w->p = rig_partition(r, 1, 0);
}

static void goes_on(struct world *w)
{
    until(w, w->p->move != NULL);
    until(w, w->r.reports > 0 && w->r.reported_dir == TO);
    metadata_names(w, TO);
    until(w, w->p->move == NULL);
    assert_int_equal(plog_dir_index(w->p->log), TO);
    assert_int_equal(plog_end_offset(w->p->log), 7);
    only_in(w, TO);
}

static void a_start_goes_on_with_the_move(void **state)
{
    UNUSED(state);
    struct world w;
    open_world(&w);
    assert_int_equal(plog_roll(w.p->log), 0);
    begin(&w);
    restart(&w, 1 << 20);
    assert_non_null(w.p->move);
    goes_on(&w);
    shut_world(&w);
}

/* As after a power loss that kept both, or with a copied disk. */
static void of_two_that_nobody_names_one_is_set_aside(void **state)
{
    UNUSED(state);
    struct world w;
    open_world(&w);
    struct plog *second;
    struct plog_open_args a = {.dir_index = TO,
                               .dir_path = w.r.config->log_dirs[TO],
                               .name = "topic1-0",
                               .config = &w.p->topic->config.log,
                               .clean = true};
    struct errmsg em = {{0}};
    assert_int_equal(plog_create(&w.p->pm->store, &a, w.p->topic->id, &second, &em), 0);
    assert_int_equal(plog_close_clean(second), 0);
    plog_close(second);
    restart(&w, 1 << 20);
    assert_int_equal(plog_dir_index(w.p->log), FROM);
    assert_int_equal(plog_end_offset(w.p->log), 7);
    assert_int_equal(folders(&w, TO, "-stray"), 1);
    only_in(&w, FROM);
    restart(&w, 1 << 20); /* for good */
    only_in(&w, FROM);
    shut_world(&w);
}

static void so_does_a_partition_that_opens_late(void **state)
{
    UNUSED(state);
    struct world w;
    open_world(&w);
    assert_int_equal(plog_roll(w.p->log), 0);
    begin(&w);
    restart(&w, 0);
    assert_true(w.p->offline && w.p->unopened && w.p->unopened->again);
    goes_on(&w);
    shut_world(&w);
}

/* ---- what fails ---- */

static void a_full_disk_is_waited_for(void **state)
{
    UNUSED(state);
    struct world w;
    open_world(&w);
    assert_int_equal(dir_move_ask(w.p, TO), KE_NONE);
    uint64_t space = w.r.host->disk->capacity;
    w.r.host->disk->capacity = w.r.host->disk->used;
    rig_run(&w.r, 3000);
    assert_true(plog_end_offset(dir_move_log(w.p)) < 7);
    w.r.host->disk->capacity = space;
    until(&w, plog_end_offset(dir_move_log(w.p)) == 7);
    metadata_names(&w, TO);
    until(&w, w.p->move == NULL);
    assert_int_equal(plog_dir_index(w.p->log), TO);
    shut_world(&w);
}

static void a_target_that_fails_ends_the_move(void **state)
{
    UNUSED(state);
    struct world w;
    open_world(&w);
    begin(&w);
    node_dir_failed(&w.r.ns[0], TO);
    assert_null(w.p->move);
    assert_int_equal(w.r.reported_dir, FROM);
    assert_false(w.p->offline);
    append(&w, 1);
    shut_world(&w);
}

/* Its rename may be there at the next start: until the metadata names the old directory, nothing is
 * acknowledged that only the old log has. */
static void a_target_that_fails_in_the_rename_holds_the_partition(void **state)
{
    UNUSED(state);
    struct world w;
    struct ask a;
    open_world(&w);
    begin(&w);
    metadata_names(&w, TO);
    until(&w, w.p->move->promoting);
    node_dir_failed(&w.r.ns[0], TO);
    assert_int_equal(w.r.reported_dir, FROM);
    ask(&w, &a, 1);
    rig_run(&w.r, 5000);
    assert_int_equal(a.done, 0);
    assert_int_equal(dir_move_ask(w.p, TO), KE_KAFKA_STORAGE_ERROR);
    metadata_names(&w, FROM);
    assert_int_equal(answered(&w, &a), KE_NONE);
    assert_null(w.p->move);
    assert_int_equal(plog_dir_index(w.p->log), FROM);
    shut_world(&w);
}

static void a_source_that_fails_takes_the_partition_offline(void **state)
{
    UNUSED(state);
    struct world w;
    open_world(&w);
    begin(&w);
    node_dir_failed(&w.r.ns[0], FROM);
    assert_true(w.p->offline);
    metadata_names(&w, TO);
    rig_run(&w.r, 5000);
    assert_int_equal(plog_dir_index(w.p->log), FROM); /* the next start takes the copy */
    assert_int_equal(folders(&w, TO, "-future"), 1);
    assert_int_equal(dir_move_ask(w.p, TO), KE_KAFKA_STORAGE_ERROR);
    shut_world(&w);
}

/* ---- the topic goes ---- */

/* So many turns after the metadata has named the other directory, the topic goes and comes anew, in
 * the directory dir. False: the move was over by then. */
static bool anew_after(unsigned turns, unsigned dir)
{
    struct world w;
    open_world(&w);
    begin(&w);
    metadata_names(&w, TO);
    for (unsigned i = 0; i < turns && w.p->move != NULL; i++) {
        rig_turn(&w.r);
    }
    bool moved = w.p->move == NULL;
    rig_remove_topic(&w.r, 1);
    dir_wanted_set(&w.r.ns[0].partitions->dirs, bytes_str("topic1"), 0, dir);
    rig_topic_named(&w.r, 2, "topic1", 1, "file.delete.delay.ms", "1000");
    w.p = rig_partition(&w.r, 2, 0);
    until(&w, !w.p->offline);
    assert_int_equal(plog_dir_index(w.p->log), dir);
    assert_int_equal(plog_end_offset(w.p->log), 0);
    until(&w, list_empty(&w.p->uncertain)); /* the checkpoints have the old one's numbers */
    append(&w, 2);
    only_in(&w, dir);
    assert_int_equal(w.r.dirs_failed, 0);
    shut_world(&w);
    return !moved;
}

static void a_topic_may_go_and_come_anew_at_any_step(void **state)
{
    UNUSED(state);
    for (unsigned dir = FROM; dir <= TO; dir++) {
        unsigned turns = 0;
        while (anew_after(turns, dir)) {
            turns++;
        }
        assert_in_range(turns, 3, 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_copies_waits_for_the_metadata_and_swaps),
        cmocka_unit_test(who_appends_at_the_swap_is_answered),
        cmocka_unit_test(a_log_that_begins_later_is_followed),
        cmocka_unit_test(the_same_again_is_nothing_and_back_gives_it_up),
        cmocka_unit_test(what_is_asked_during_the_rename_comes_next),
        cmocka_unit_test(a_replica_to_come_goes_where_it_is_wanted),
        cmocka_unit_test(a_start_goes_on_with_the_move),
        cmocka_unit_test(of_two_that_nobody_names_one_is_set_aside),
        cmocka_unit_test(so_does_a_partition_that_opens_late),
        cmocka_unit_test(a_full_disk_is_waited_for),
        cmocka_unit_test(a_target_that_fails_ends_the_move),
        cmocka_unit_test(a_target_that_fails_in_the_rename_holds_the_partition),
        cmocka_unit_test(a_source_that_fails_takes_the_partition_offline),
        cmocka_unit_test(a_topic_may_go_and_come_anew_at_any_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
