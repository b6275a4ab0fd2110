/* A voter of three whose process stood still: what was said to it meanwhile is heard before it
 * stands for election; the other two are the test. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "controller/quorum.h"
#include "sim/io_sim.h"

enum { OURS = 1, LEADER = 2, TERM = 5, STANDS_US = 2000000, HEARS_US = 20000 };

struct voter {
    struct sim *sim;
    struct shard *shard;
    struct quorum *q;
    unsigned votes_asked;
};

static void on_number(void *user, int32_t number)
{
    UNUSED(user);
    UNUSED(number);
}

static void on_committed(void *user, int64_t offset)
{
    UNUSED(user);
    UNUSED(offset);
}

static void on_lost(void *user)
{
    UNUSED(user);
}

static void on_leader(void *user, int32_t leader, int32_t epoch)
{
    UNUSED(user);
    UNUSED(leader);
    UNUSED(epoch);
}

static void on_fatal(void *user, const char *sentence)
{
    UNUSED(user);
    fail_msg("%s", sentence);
}

static void on_send(void *user, const struct quorum_message *m)
{
    struct voter *v = user;
    v->votes_asked += m->type == QUORUM_VOTE;
}

static bool may_send(void *user, int32_t to)
{
    UNUSED(user);
    UNUSED(to);
    return true;
}

static void hear_leader(struct voter *v)
{
    struct quorum_message m = {.type = QUORUM_APPEND,
                               .version = 1,
                               .from = LEADER,
                               .to = OURS,
                               .term = TERM,
                               .index = 1,
                               .index_term = 1};
    assert_int_equal(quorum_receive(v->q, &m, NULL), 0);
}

static void turn(struct voter *v)
{
    shard_turn(v->shard, 0);
}

static void stand_still(struct voter *v)
{
    sim_clock_advance(&v->sim->clock, STANDS_US);
    v->votes_asked = 0;
}

static void run(struct voter *v)
{
    hear_leader(v);
    turn(v);
    stand_still(v);
    turn(v);
    hear_leader(v); /* as the sockets do at a turn's end */
    turn(v);
    turn(v);
    assert_int_equal(v->votes_asked, 0);
    assert_int_equal(quorum_leader_id(v->q), LEADER);
    assert_int_equal(quorum_epoch(v->q), TERM);

    stand_still(v);
    turn(v);
    assert_int_equal(v->votes_asked, 0);
    sim_clock_advance(&v->sim->clock, HEARS_US);
    turn(v); /* nobody has spoken: not later than that */
    assert_int_equal(v->votes_asked, 2);
}

static void who_stood_still_listens_first(void **state)
{
    UNUSED(state);
    static const int32_t ids[] = {OURS, LEADER, 3};
    static const struct shard_hooks hooks = {0};
    static const struct quorum_callbacks callbacks = {.committed = on_committed,
                                                      .leading = on_number,
                                                      .lost = on_lost,
                                                      .leader = on_leader,
                                                      .fatal = on_fatal,
                                                      .send = on_send,
                                                      .may_send = may_send};
    static const struct metadata_log_config cfg = {.log_dir = "/d",
                                                   .segment_bytes = 1 << 30,
                                                   .segment_ms = INT64_MAX,
                                                   .retention_bytes = -1,
                                                   .retention_ms = -1};
    struct errmsg em = {""};
    struct metadata_log *log;
    struct voter v = {.sim = sim_new(1)};
    v.sim->self_advance = true;
    struct sim_host *host = sim_host_new(v.sim, 1 << 28);
    struct sim_proc *proc = sim_proc_new(host);
    assert_int_equal(sim_disk_mkdir(host->disk, "/d"), 0);
    struct shard_group *group = shard_group_new(1, NULL, io_sim_make, proc, &hooks);
    assert_int_equal(shard_group_start_inline(group, &em), 0);
    v.shard = shard_group_get(group, 0);
    struct quorum_config qc = {.node_id = OURS,
                               .voters = ids,
                               .voters_n = ARRAY_LEN(ids),
                               .election_timeout_ms = 300,
                               .heartbeat_ms = 50,
                               .cb = &callbacks,
                               .user = &v};
    if (metadata_log_open(v.shard->io, NULL, &cfg, &log, &em) ||
        quorum_start(v.shard, log, &qc, &v.q, &em)) {
        fail_msg("%s", em.text);
    }
    run(&v);
    quorum_close(v.q);
    metadata_log_close(log);
    shard_group_stop(group);
    shard_group_join(group);
    shard_group_free(group);
    assert_true(sim_proc_end(proc, &em));
    sim_free(v.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_stood_still_listens_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
