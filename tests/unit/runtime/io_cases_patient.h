/* The contract of patient sockets (IO_PATIENT), on every backend; io_cases.h tells how. */
#ifndef TESTS_IO_CASES_PATIENT_H
#define TESTS_IO_CASES_PATIENT_H

#include "io_cases.h"

enum { PATIENT = IO_READ | IO_PATIENT };

/* A patience that no case lives to see the end of: what is late then does not come at all. */
#define FOR_EVER_US (INT64_C(1000) * 1000000)

static void turn_some(struct cases *c)
{
    for (int i = 0; i < 5; i++) {
        io_turn(c->io, 1000);
    }
}

static void read_one(struct watched *w)
{
    char got[2];
    assert_int_equal(io_recv(w->s, got, sizeof got), 1);
}

static void patient_sockets_wait_and_others_do_not(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c), q = pair_open(c), r = pair_open(c);
    int64_t before;
    c->io->patience_us = FOR_EVER_US;
    arm(&p.b, PATIENT);
    arm(&q.b, PATIENT);
    arm(&r.b, IO_READ);
    turn_some(c);
    assert_int_equal(send_str(p.a.s, "1"), 1);
    until(c->io, p.b.calls == 1); /* the first after a rest comes at once */
    assert_true(p.b.events & IO_READ);
    read_one(&p.b);
    arm(&p.b, PATIENT);
    assert_int_equal(send_str(p.a.s, "2"), 1);
    assert_int_equal(send_str(q.a.s, "3"), 1);
    assert_int_equal(send_str(r.a.s, "4"), 1);
    until(c->io, r.b.calls == 1);
    turn_some(c);
    assert_int_equal(p.b.calls, 1);
    assert_int_equal(q.b.calls, 0);
    before = io_now_us(c->io);
    io_wake(c->io);
    io_turn(c->io, 60 * 1000000);
    assert_true(io_now_us(c->io) - before < 30 * 1000000);
    arm(&q.b, IO_READ); /* it is in a hurry after all */
    until(c->io, q.b.calls == 1);
    read_one(&q.b);
    c->io->patience_us = 0;
    arm(&p.b, PATIENT); /* means nothing then */
    until(c->io, p.b.calls == 2);
    pair_close(&p);
    pair_close(&q);
    pair_close(&r);
}

static void what_patient_sockets_bring_comes_in_time(void **state)
{
    enum { PAIRS = 6, ROUNDS = 20 };
    struct cases *c = *state;
    struct pair p[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        p[i] = pair_open(c);
    }
    c->io->patience_us = 2000;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PAIRS; i++) {
            arm(&p[i].b, PATIENT);
            assert_int_equal(send_str(p[i].a.s, "x"), 1);
        }
        for (int i = 0; i < PAIRS; i++) {
            until(c->io, p[i].b.calls == 2 * round + 1);
            io_turn(c->io, 3000);
            assert_int_equal(p[i].b.calls, 2 * round + 1); /* the byte is there, but no arm */
            arm(&p[i].b, PATIENT);
            until(c->io, p[i].b.calls == 2 * round + 2);
            read_one(&p[i].b);
        }
    }
    arm(&p[0].b, PATIENT);
    arm(&p[0].b, 0);
    assert_int_equal(send_str(p[0].a.s, "x"), 1);
    arm(&p[1].b, PATIENT);
    io_sock_close(p[1].a.s); /* the end is seen as well */
    p[1].a.s = NULL;
    until(c->io, p[1].b.calls == 2 * ROUNDS + 1);
    assert_int_equal(io_recv(p[1].b.s, (char[1]){0}, 1), 0);
    assert_int_equal(p[0].b.calls, 2 * ROUNDS);
    for (int i = 0; i < PAIRS; i++) {
        pair_close(&p[i]);
    }
}

struct killer {
    struct watched *victim[2];
    unsigned calls;
};

static void kill_other(struct io_sock *s, unsigned events, void *user)
{
    struct killer *k = user;
    struct watched *other = k->victim[s == k->victim[0]->s];
    UNUSED(events);
    k->calls++;
    io_sock_close(other->s);
    other->s = NULL;
}

/* Both are ready in the same look; the first that is called closes the other. */
static void a_patient_callback_may_close_another_socket(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c), q = pair_open(c);
    struct killer k = {.victim = {&p.b, &q.b}};
    c->io->patience_us = 1000;
    assert_int_equal(send_str(p.a.s, "x"), 1);
    assert_int_equal(send_str(q.a.s, "x"), 1);
    io_sock_arm(p.b.s, PATIENT, kill_other, &k);
    io_sock_arm(q.b.s, PATIENT, kill_other, &k);
    until(c->io, k.calls > 0);
    turn_some(c);
    assert_int_equal(k.calls, 1);
    pair_close(&p);
    pair_close(&q);
}

static int io_patient_cases_run(struct io_factory *f)
{
    struct CMUnitTest tests[] = {
        IO_CASE(patient_sockets_wait_and_others_do_not),
        IO_CASE(what_patient_sockets_bring_comes_in_time),
        IO_CASE(a_patient_callback_may_close_another_socket),
    };
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        tests[i].initial_state = f;
    }
    return cmocka_run_group_tests_name(f->name, tests, NULL, NULL);
}

#endif
