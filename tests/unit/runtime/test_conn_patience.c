/* Connections that bring heartbeats alone: what may be late there, and that nothing else is. */
#include "conn_rig.h"

/* ---- what is read late ---- */

static void say_and_expect(struct client *c, const char *text)
{
    client_say(c, text);
    client_expect(c, text);
}

/* Heartbeats until the connection is watched patiently and the one that came at once after the rest
 * has been served: with a patience without end, the next one is not looked at. */
static void beat_until_patient(struct client *c)
{
    for (int i = 0; i < CONN_PATIENT_AFTER + 1; i++) {
        say_and_expect(c, "Heart");
    }
}

static void only_what_is_patient_waits(void **state)
{
    struct rig *r = *state;
    struct client beats = client_open(r), other = client_open(r);
    r->serve = rig_echo;
    r->sh->io->patience_us = INT64_C(1000) * 1000000;
    beat_until_patient(&beats);
    assert_int_equal(r->unhurried, 1);
    client_say(&beats, "Heart");
    for (int i = 0; i < 20; i++) { /* mixed with others it stays in a hurry */
        say_and_expect(&other, i % 5 == 0 ? "now" : "Heart");
    }
    assert_int_equal(r->started, CONN_PATIENT_AFTER + 1 + 20);
    assert_int_equal(r->unhurried, 1);
    client_close(&beats);
    client_close(&other);
}

static void another_request_ends_the_patience(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    unsigned late;
    r->serve = rig_echo;
    r->sh->io->patience_us = 2000;
    beat_until_patient(&c);
    say_and_expect(&c, "Heart");
    say_and_expect(&c, "now"); /* late itself, but it comes */
    late = r->unhurried;
    assert_int_equal(late, 2);
    r->sh->io->patience_us = INT64_C(1000) * 1000000;
    for (int i = 0; i < CONN_PATIENT_AFTER; i++) {
        say_and_expect(&c, "Heart");
    }
    assert_int_equal(r->unhurried, late);
    client_close(&c);
}

static void without_patience_nothing_waits(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    r->serve = rig_echo;
    for (int i = 0; i < 3 * CONN_PATIENT_AFTER; i++) {
        say_and_expect(&c, "Heart");
    }
    assert_int_equal(r->unhurried, 0);
    client_close(&c);
}

/* ---- answers that are held ---- */

/* Two heartbeats in one reading, on a connection that heartbeats have made patient; they are
 * parked. The next look is far away: whatever comes on the connection after them is not read. */
static struct client two_heartbeats(struct rig *r)
{
    struct client c = client_open(r);
    struct buf b = {0};
    r->serve = rig_echo;
    r->sh->io->patience_us = INT64_C(1000) * 1000000;
    for (int i = 0; i < CONN_PATIENT_AFTER; i++) {
        say_and_expect(&c, "Heart");
    }
    r->serve = NULL;
    frame_put(&b, "Heart 1", 7);
    frame_put(&b, "Heart 2", 7);
    client_send(&c, b.data, b.len);
    buf_free(&b);
    rig_until(r, r->started == CONN_PATIENT_AFTER + 2);
    assert_int_equal(r->unhurried, 2);
    return c;
}

static void expect_nothing(struct client *c)
{
    struct bytes frame;
    rig_settle(c->rig);
    assert_false(client_frame(c, &frame));
}

static void answers_on_a_shared_connection_are_held(void **state)
{
    struct rig *r = *state;
    struct client c = two_heartbeats(r);
    rig_answer_all(r);
    expect_nothing(&c);
    conn_drain(r->conns[0]); /* what is held goes before the end */
    client_expect(&c, "Heart 1");
    client_expect(&c, "Heart 2");
    client_expect_end(&c);
    client_close(&c);
}

static void what_is_acted_upon_takes_along_what_is_held(void **state)
{
    struct rig *r = *state;
    struct client c = two_heartbeats(r);
    rig_answer(rig_first(r));
    expect_nothing(&c);
    conn_req_hurry(rig_first(r)->req);
    rig_answer(rig_first(r));
    client_expect(&c, "Heart 1");
    client_expect(&c, "Heart 2");
    r->serve = rig_echo;
    say_and_expect(&c, "now"); /* and what comes next is looked for closely */
    client_close(&c);
}

static void nothing_is_held_for_long(void **state)
{
    struct rig *r = *state;
    struct client c = two_heartbeats(r);
    r->sh->io->patience_us = 2000;
    rig_answer_all(r);
    client_expect(&c, "Heart 1"); /* though nothing more is read */
    client_expect(&c, "Heart 2");
    client_close(&c);
}

static void what_is_held_goes_with_its_connection(void **state)
{
    struct rig *r = *state;
    struct client c = two_heartbeats(r);
    rig_answer_all(r);
    expect_nothing(&c);
    rig_close(r, 0);
    client_expect_end(&c);
    assert_int_equal(c.in.len, c.at);
    client_close(&c);
}

/* Who waits for each answer before he sends again is not kept from that: here, by answers held for
 * longer than the case may take. */
static void who_waits_for_an_answer_gets_it(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    r->serve = rig_echo;
    r->sh->io->patience_us = 2000;
    beat_until_patient(&c);
    r->sh->io->patience_us = INT64_C(1000) * 1000000;
    say_and_expect(&c, "Heart"); /* read by the look that was planned before */
    client_close(&c);
}

static void a_beat(char *out, size_t n, int i)
{
    /* some longer than what is kept in blocks */
    snprintf(out, n, "Heart %d %.*s", i, i % 9 == 0 ? 100 : i % 7,
             "............................."
             "............................."
             "............................."
             "............................");
}

/* Heartbeats that follow each other without waiting for answers. In the simulator, where nothing is
 * late by itself: two readings share a send. */
static void held_answers_come_whole_and_in_order(void **state)
{
    enum { BEATS = 300 };
    struct rig *r = *state;
    struct client c = client_open(r);
    char text[160];
    unsigned reads, sends;
    r->serve = rig_echo;
    r->sh->io->patience_us = 4000;
    beat_until_patient(&c);
    rig_watch_sockets(r);
    for (int i = 0; i < BEATS; i++) {
        a_beat(text, sizeof text, i);
        client_say(&c, text);
        shard_turn(r->sh, 1000);
    }
    reads = r->reads;
    sends = r->sends - BEATS;
    for (int i = 0; i < BEATS; i++) {
        a_beat(text, sizeof text, i);
        client_expect(&c, text);
    }
    if (r->backend->kind == RIG_SIM) {
        assert_in_range(reads, BEATS / 8, BEATS / 2);
        assert_in_range(sends, 1, reads / 2 + 1);
    }
    client_close(&c);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        RIG_CASE(only_what_is_patient_waits),
        RIG_CASE(another_request_ends_the_patience),
        RIG_CASE(without_patience_nothing_waits),
        RIG_CASE(answers_on_a_shared_connection_are_held),
        RIG_CASE(what_is_acted_upon_takes_along_what_is_held),
        RIG_CASE(nothing_is_held_for_long),
        RIG_CASE(what_is_held_goes_with_its_connection),
        RIG_CASE(who_waits_for_an_answer_gets_it),
        RIG_CASE(held_answers_come_whole_and_in_order),
    };
    return rig_run("patient connections", tests, ARRAY_LEN(tests));
}
