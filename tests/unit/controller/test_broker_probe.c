/* broker_probe.h over the simulated network: brokers are machines with a listener, or without one,
 * or without power. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "controller/broker_probe.h"
#include "sim/io_sim.h"

enum { BROKERS = 20, PORT = 9092, GRACE_MS = 300 };

struct machine {
    struct sim_host *host;
    struct sim_proc *proc; /* NULL: nothing runs */
    struct io *io;
    struct io_sock *listener;
    uint32_t accepted;
    bool fenced;
};

struct rig {
    struct sim *sim;
    struct sim_proc *proc;
    struct shard_group *group;
    struct shard *shard;
    struct broker_probe *probe;
    struct machine m[BROKERS + 1]; /* by id, from 1 */
    int32_t n;
    int32_t dead[64];
    uint32_t dead_n;
    uint32_t targets; /* asked for: as many as dials or more */
};

static bool target(void *user, int32_t broker, struct probe_target *out)
{
    struct rig *r = user;
    if (broker < 1 || broker > r->n || r->m[broker].fenced) {
        return false;
    }
    r->targets++;
    out->epoch = 100 + broker;
    out->port = PORT;
    snprintf(out->host, sizeof out->host, "%s", r->m[broker].host->ip);
    return true;
}

static int32_t next(void *user, int32_t after)
{
    struct rig *r = user;
    for (int32_t i = after < 0 ? 1 : after + 1; i <= r->n; i++) {
        if (!r->m[i].fenced) {
            return i;
        }
    }
    return -1;
}

static void dead(void *user, int32_t broker, int64_t epoch)
{
    struct rig *r = user;
    assert_int_equal(100 + broker, epoch);
    assert_false(r->m[broker].fenced);
    r->m[broker].fenced = true;
    r->dead[r->dead_n++] = broker;
}

static const struct broker_probe_ops ops = {.target = target, .next = next, .dead = dead};

static void on_accept(struct io_sock *s, unsigned events, void *user)
{
    struct machine *m = user;
    int handle;
    UNUSED(events);
    while (io_accept(s, &handle) == 0) {
        m->accepted++;
        io_handle_close(m->io, handle);
    }
    io_sock_arm(s, IO_READ, on_accept, m);
}

static void power_up(struct rig *r, int32_t id)
{
    struct machine *m = &r->m[id];
    struct errmsg em = {{0}};
    m->host = sim_host_new(r->sim, 1 << 20);
    m->proc = sim_proc_new(m->host);
    assert_int_equal(0, io_sim_make(m->proc, 0, &m->io, &em));
    assert_int_equal(0, io_listen(m->io, "", PORT, &m->listener));
    io_sock_arm(m->listener, IO_READ, on_accept, m);
}

static void kill_broker(struct rig *r, int32_t id)
{
    sim_proc_kill(r->m[id].proc);
    r->m[id].proc = NULL;
}

static void rig_init(struct rig *r, int32_t brokers)
{
    static const struct shard_hooks hooks = {0};
    struct errmsg em = {{0}};
    *r = (struct rig){.n = brokers};
    r->sim = sim_new(7);
    r->sim->self_advance = true;
    r->proc = sim_proc_new(sim_host_new(r->sim, 1 << 20));
    r->group = shard_group_new(1, NULL, io_sim_make, r->proc, &hooks);
    assert_int_equal(0, shard_group_start_inline(r->group, &em));
    r->shard = shard_group_get(r->group, 0);
    for (int32_t i = 1; i <= brokers; i++) {
        power_up(r, i);
    }
    r->probe = broker_probe_new(r->shard, &ops, r);
}

/* Lets time pass. */
static void pass(struct rig *r, int64_t ms)
{
    int64_t end = shard_now_ms(r->shard) + ms;
    while (shard_now_ms(r->shard) < end) {
        shard_turn(r->shard, 1000);
        for (int32_t i = 1; i <= r->n; i++) {
            if (r->m[i].proc) {
                io_turn(r->m[i].io, 0);
            }
        }
    }
}

static void rig_free(struct rig *r)
{
    struct errmsg em = {{0}};
    broker_probe_free(r->probe);
    for (int32_t i = 1; i <= r->n; i++) {
        if (r->m[i].proc) {
            io_sock_close(r->m[i].listener);
            io_destroy(r->m[i].io);
            assert_true(sim_proc_end(r->m[i].proc, &em));
        }
    }
    shard_group_stop(r->group);
    shard_turn(r->shard, 1000);
    shard_group_join(r->group);
    shard_group_free(r->group);
    if (!sim_proc_end(r->proc, &em)) {
        fail_msg("left open: %s", em.text);
    }
    sim_free(r->sim);
}

static void a_refused_dial_is_a_death(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r, 3);
    kill_broker(&r, 2);
    broker_probe_hint(r.probe, 2);
    assert_int_equal(0, r.dead_n); /* never inside the call */
    pass(&r, GRACE_MS);
    assert_int_equal(1, r.dead_n);
    assert_int_equal(2, r.dead[0]);
    assert_true(r.m[1].accepted + r.m[3].accepted > 0); /* somebody was asked for a witness */
    rig_free(&r);
}

static void a_known_life_is_witness_enough(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r, 3);
    kill_broker(&r, 2);
    broker_probe_hint(r.probe, 2);
    broker_probe_heard(r.probe, 3);
    pass(&r, GRACE_MS);
    assert_int_equal(1, r.dead_n);
    assert_int_equal(0, r.m[1].accepted + r.m[3].accepted);
    rig_free(&r);
}

static void an_accepted_dial_is_a_life(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r, 3);
    broker_probe_hint(r.probe, 2);
    pass(&r, GRACE_MS);
    assert_int_equal(0, r.dead_n);
    assert_int_equal(PROBE_ALIKE, r.m[2].accepted);
    assert_int_equal(0, r.m[1].accepted + r.m[3].accepted);
    rig_free(&r);
}

/* The first dial is accepted while the process dies. */
static void a_dying_process_is_asked_again(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r, 3);
    broker_probe_hint(r.probe, 2);
    while (r.m[2].accepted == 0) {
        pass(&r, 1);
    }
    kill_broker(&r, 2);
    pass(&r, GRACE_MS);
    assert_int_equal(1, r.dead_n);
    rig_free(&r);
}

/* A machine without power does not answer at all. */
static void silence_is_left_to_the_session(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r, 3);
    sim_host_power_loss(r.m[2].host);
    r.m[2].proc = NULL;
    broker_probe_hint(r.probe, 2);
    pass(&r, 3 * PROBE_CONNECT_MS);
    assert_int_equal(0, r.dead_n);
    rig_free(&r);
}

static void one_that_speaks_meanwhile_lives(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r, 3);
    kill_broker(&r, 2);
    broker_probe_hint(r.probe, 2);
    broker_probe_heard(r.probe, 2);
    broker_probe_heard(r.probe, 3);
    pass(&r, GRACE_MS);
    assert_int_equal(0, r.dead_n);
    rig_free(&r);
}

/* Nobody answers: it may be us. The last one that may lead is left to its session. */
static void without_a_witness_nobody_is_dead(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r, 3);
    for (int32_t i = 1; i <= 3; i++) {
        kill_broker(&r, i);
    }
    broker_probe_hint(r.probe, 1);
    broker_probe_hint(r.probe, 2);
    broker_probe_hint(r.probe, 3);
    pass(&r, 5000);
    assert_int_equal(0, r.dead_n);
    broker_probe_hint(r.probe, 2);
    pass(&r, 5000);
    assert_int_equal(0, r.dead_n);
    rig_free(&r);
}

/* All connections break at once, and all brokers live: few dials at a time, none twice. */
static void no_storm_when_all_connections_break(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r, BROKERS);
    for (int k = 0; k < 50; k++) {
        for (int32_t i = 1; i <= BROKERS; i++) {
            broker_probe_hint(r.probe, i);
        }
    }
    pass(&r, PROBE_REST_MS - 100);
    assert_int_equal(0, r.dead_n);
    for (int32_t i = 1; i <= BROKERS; i++) {
        assert_in_range(r.m[i].accepted, 1, PROBE_ALIKE);
    }
    rig_free(&r);
}

/* Some of many died. */
static void the_dead_among_many_are_found(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r, BROKERS);
    for (int32_t i = 2; i <= BROKERS; i += 3) {
        kill_broker(&r, i);
    }
    for (int32_t i = 1; i <= BROKERS; i++) {
        broker_probe_hint(r.probe, i);
    }
    pass(&r, PROBE_REST_MS);
    assert_int_equal((BROKERS + 1) / 3, r.dead_n);
    for (uint32_t i = 0; i < r.dead_n; i++) {
        assert_int_equal(2, r.dead[i] % 3);
    }
    rig_free(&r);
}

/* A peer that breaks its connection again and again does not make us dial again and again. */
static void hints_are_limited(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r, 3);
    for (int i = 0; i < 100; i++) {
        broker_probe_hint(r.probe, 2);
        pass(&r, 10);
    }
    assert_in_range(r.m[2].accepted, 1, 3 * PROBE_ALIKE);
    rig_free(&r);
}

static void a_controller_that_leads_no_more_forgets(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r, 3);
    kill_broker(&r, 2);
    broker_probe_hint(r.probe, 2);
    broker_probe_clear(r.probe);
    pass(&r, GRACE_MS);
    assert_int_equal(0, r.dead_n);
    r.m[2].fenced = true;
    broker_probe_hint(r.probe, 2); /* not one to be dialled */
    pass(&r, GRACE_MS);
    assert_int_equal(0, r.dead_n);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_dial_is_a_death),
        cmocka_unit_test(a_known_life_is_witness_enough),
        cmocka_unit_test(an_accepted_dial_is_a_life),
        cmocka_unit_test(a_dying_process_is_asked_again),
        cmocka_unit_test(silence_is_left_to_the_session),
        cmocka_unit_test(one_that_speaks_meanwhile_lives),
        cmocka_unit_test(without_a_witness_nobody_is_dead),
        cmocka_unit_test(no_storm_when_all_connections_break),
        cmocka_unit_test(the_dead_among_many_are_found),
        cmocka_unit_test(hints_are_limited),
        cmocka_unit_test(a_controller_that_leads_no_more_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
