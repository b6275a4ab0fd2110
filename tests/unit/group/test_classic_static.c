/* Static members (KIP-345, KIP-814): coming back without a rebalance, fencing, writes that fail. */
#include "rig.h"

struct pair { /* static members "one" (leads) and "two", stable in generation 1 */
    struct rig r;
    struct call *one, *two;
};

static void open_pair(struct pair *t)
{
    rig_open(&t->r);
    t->one = rig_join(&t->r, (struct join){.instance = "one", .protocols = {"range:1", "sticky"}});
    t->two = rig_join(&t->r, (struct join){.instance = "two", .protocols = {"range:2", "sticky"}});
    assert_false(t->one->done || t->two->done);
    rig_advance(&t->r, 6000);
    rig_member(t->one);
    rig_member(t->two);
    assert_memory_equal(t->one->member, "one-", 4);
    rig_sync(&t->r, (struct sync){.member = t->one->member,
                                  .instance = "one",
                                  .generation = 1,
                                  .parts = {t->one->member, "A", t->two->member, "B"}});
    rig_sync(&t->r, (struct sync){.member = t->two->member, .instance = "two", .generation = 1});
    assert_string_equal(rig_state(&t->r), "Stable");
}

static struct join back(const char *instance, int16_t version)
{
    return (struct join){
        .instance = instance, .version = version, .protocols = {"range:new", "sticky"}};
}

static void a_static_member_needs_no_second_join(void **state)
{
    UNUSED(state);
    struct pair t;
    open_pair(&t);
    assert_int_equal(t.one->r.join.error_code, KE_NONE);
    assert_int_equal(t.one->r.join.members_n, 2);
    assert_true(bytes_eq_str(t.one->r.join.members[1].group_instance_id, "two"));
    rig_close(&t.r);
}

static void one_that_comes_back_starts_no_rebalance(void **state)
{
    UNUSED(state);
    struct pair t;
    open_pair(&t);
    t.r.hold = true;
    struct call *k = rig_join(&t.r, back("two", 9));
    assert_false(k->done);
    assert_int_equal(t.r.writes_n, 1);
    struct arena a = {0};
    struct group_metadata_value *v = rig_metadata(&t.r, &a);
    assert_int_equal(v->members_n, 2);
    assert_int_equal(v->generation, 1);
    assert_true(bytes_eq_str(v->members[1].group_instance_id, "two"));
    assert_false(bytes_eq_str(v->members[1].member_id, t.two->member));
    assert_true(bytes_eq_str(v->members[1].subscription, "new"));
    assert_true(bytes_eq_str(v->members[1].assignment, "B"));
    arena_free(&a);
    rig_written(&t.r, KE_NONE);
    assert_true(k->done);
    assert_int_equal(k->r.join.error_code, KE_NONE);
    assert_int_equal(k->r.join.generation_id, 1);
    assert_int_equal(k->r.join.members_n, 0);
    assert_false(k->r.join.skip_assignment);
    assert_string_equal((rig_member(k), k->leader), t.one->member);
    assert_string_equal(rig_state(&t.r), "Stable");
    struct call *s =
        rig_sync(&t.r, (struct sync){.member = k->member, .instance = "two", .generation = 1});
    assert_true(bytes_eq_str(s->r.sync.assignment, "B"));
    rig_explains(&t.r, "g", "static member 'two' came back");
    rig_close(&t.r);
}

static void the_older_one_is_fenced_everywhere(void **state)
{
    UNUSED(state);
    struct pair t;
    open_pair(&t);
    rig_join(&t.r, back("two", 9));
    assert_int_equal(rig_beat_as(&t.r, "g", t.two->member, "two", 1), KE_FENCED_INSTANCE_ID);
    assert_int_equal(rig_beat_as(&t.r, "g", t.two->member, NULL, 1), KE_UNKNOWN_MEMBER_ID);
    struct call *s =
        rig_sync(&t.r, (struct sync){.member = t.two->member, .instance = "two", .generation = 1});
    assert_int_equal(s->r.sync.error_code, KE_FENCED_INSTANCE_ID);
    struct call *j = rig_join(&t.r, (struct join){.member = t.two->member, .instance = "two"});
    assert_int_equal(j->r.join.error_code, KE_FENCED_INSTANCE_ID);
    assert_string_equal(rig_member(j), t.two->member);
    struct call *l = rig_leave(&t.r, (struct leave){.who = {{t.two->member, "two", NULL}}});
    assert_int_equal(l->r.leave.members[0].error_code, KE_FENCED_INSTANCE_ID);
    const char *line = rig_line(&t.r, "a static member was fenced");
    assert_non_null(line);
    assert_non_null(strstr(line, "instance=\"two\""));
    rig_close(&t.r);
}

static void a_leader_that_comes_back_leads_and_need_not_assign(void **state)
{
    UNUSED(state);
    struct pair t;
    open_pair(&t);
    struct call *k = rig_join(&t.r, back("one", 9));
    assert_true(k->done);
    assert_true(k->r.join.skip_assignment);
    assert_int_equal(k->r.join.members_n, 2);
    assert_string_equal((rig_member(k), k->leader), k->member);
    assert_string_equal(rig_state(&t.r), "Stable");
    rig_close(&t.r);
}

static void before_version_9_it_is_told_that_its_former_self_leads(void **state)
{
    UNUSED(state);
    struct pair t;
    open_pair(&t);
    struct call *k = rig_join(&t.r, back("one", 8));
    assert_true(k->done);
    assert_false(k->r.join.skip_assignment);
    assert_int_equal(k->r.join.members_n, 0);
    assert_string_equal((rig_member(k), k->leader), t.one->member);
    rig_close(&t.r);
}

static void a_new_id_that_cannot_be_written_gives_the_old_one_back(void **state)
{
    UNUSED(state);
    struct pair t;
    open_pair(&t);
    t.r.hold = true;
    struct call *k = rig_join(&t.r, back("one", 9));
    rig_written(&t.r, KE_NOT_LEADER_OR_FOLLOWER);
    assert_true(k->done);
    assert_int_equal(k->r.join.error_code, KE_NOT_COORDINATOR);
    assert_int_equal(k->r.join.generation_id, 1);
    assert_true(bytes_eq_str(k->r.join.member_id, ""));
    assert_string_equal((rig_member(k), k->leader), t.one->member);
    assert_int_equal(rig_beat_as(&t.r, "g", t.one->member, "one", 1), KE_NONE);
    assert_non_null(rig_line(&t.r, "the old one is back"));
    /* also its subscription is the old one: the same JoinGroup changes nothing */
    struct call *j = rig_join(&t.r, (struct join){.member = t.two->member,
                                                  .instance = "two",
                                                  .protocols = {"range:2", "sticky"}});
    assert_true(j->done);
    assert_string_equal(rig_state(&t.r), "Stable");
    rig_close(&t.r);
}

static void another_protocol_makes_them_rebalance(void **state)
{
    UNUSED(state);
    struct pair t;
    open_pair(&t);
    struct call *k = rig_join(&t.r, (struct join){.instance = "two", .protocols = {"sticky"}});
    assert_false(k->done);
    assert_string_equal(rig_state(&t.r), "PreparingRebalance");
    struct call *j = rig_join(&t.r, (struct join){.member = t.one->member,
                                                  .instance = "one",
                                                  .protocols = {"range:1", "sticky"}});
    assert_true(j->done && k->done);
    assert_true(bytes_eq_str(j->r.join.protocol_name, "sticky"));
    rig_close(&t.r);
}

static void one_that_comes_back_while_the_assignment_is_awaited(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *one = rig_join(&r, (struct join){.instance = "one"});
    struct call *two = rig_join(&r, (struct join){.instance = "two"});
    rig_advance(&r, 6000);
    struct call *s =
        rig_sync(&r, (struct sync){.member = rig_member(two), .instance = "two", .generation = 1});
    struct call *k = rig_join(&r, (struct join){.instance = "two"});
    assert_int_equal(s->r.sync.error_code, KE_FENCED_INSTANCE_ID);
    assert_false(k->done);
    assert_string_equal(rig_state(&r), "PreparingRebalance");
    struct call *j = rig_join(&r, (struct join){.member = rig_member(one), .instance = "one"});
    assert_true(j->done && k->done);
    assert_int_equal(k->r.join.generation_id, 2);
    rig_close(&r);
}

static void one_that_comes_back_while_its_older_self_joins(void **state)
{
    UNUSED(state);
    struct pair t;
    open_pair(&t);
    struct call *a = rig_join(&t.r, (struct join){.member = t.one->member, .instance = "one"});
    struct call *old = rig_join(&t.r, (struct join){.instance = "one"});
    assert_true(a->done);
    assert_int_equal(a->r.join.error_code, KE_FENCED_INSTANCE_ID);
    assert_string_equal(rig_member(a), t.one->member);
    struct call *b = rig_join(&t.r, (struct join){.member = t.two->member, .instance = "two"});
    assert_true(b->done && old->done);
    assert_int_equal(old->r.join.members_n, 2); /* it leads in its turn */
    rig_close(&t.r);
}

static void a_rebalance_overtakes_the_new_id(void **state)
{
    UNUSED(state);
    for (int fails = 0; fails < 2; fails++) {
        struct pair t;
        open_pair(&t);
        t.r.hold = true;
        struct call *k = rig_join(&t.r, back("two", 9));
        struct call *j = rig_join(
            &t.r, (struct join){.member = t.one->member, .instance = "one"}); /* leads: rebalance */
        assert_true(k->done && j->done);
        assert_int_equal(k->r.join.error_code, KE_NONE);
        assert_int_equal(k->r.join.generation_id, 2);
        rig_written(&t.r, fails ? KE_NOT_ENOUGH_REPLICAS : KE_NONE);
        assert_int_equal(rig_beat_as(&t.r, "g", rig_member(k), "two", 2), KE_NONE);
        assert_string_equal(rig_state(&t.r), "CompletingRebalance");
        rig_close(&t.r);
    }
}

static void one_whose_new_id_is_not_written_during_a_rebalance(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *d = rig_join_twice(&r, (struct join){0});
    struct call *one = rig_join(&r, (struct join){.instance = "one"});
    rig_advance(&r, 6000);
    rig_sync(&r, (struct sync){.member = rig_member(d), .generation = 1});
    rig_sync(&r, (struct sync){.member = rig_member(one), .instance = "one", .generation = 1});
    r.hold = true;
    struct call *k = rig_join(&r, (struct join){.instance = "one"});
    struct call *n = rig_join_twice(&r, (struct join){0}); /* waits for d */
    rig_written(&r, KE_NOT_ENOUGH_REPLICAS);
    assert_true(k->done);
    assert_int_equal(k->r.join.error_code, KE_COORDINATOR_NOT_AVAILABLE);
    assert_false(n->done);
    assert_int_equal(rig_beat_as(&r, "g", one->member, "one", 1), KE_REBALANCE_IN_PROGRESS);
    struct call *j = rig_join(&r, (struct join){.member = one->member, .instance = "one"});
    struct call *e = rig_join(&r, (struct join){.member = d->member});
    assert_true(n->done && j->done && e->done);
    assert_int_equal(e->r.join.members_n, 3);
    rig_close(&r);
}

static void two_restarts_in_a_row(void **state)
{
    UNUSED(state);
    struct pair t;
    open_pair(&t);
    t.r.hold = true;
    struct call *first = rig_join(&t.r, back("two", 9));
    struct call *second = rig_join(&t.r, back("two", 9));
    assert_true(first->done);
    assert_int_equal(first->r.join.error_code, KE_FENCED_INSTANCE_ID);
    rig_written(&t.r, KE_NONE);
    assert_false(second->done);
    rig_written(&t.r, KE_NONE);
    assert_int_equal(second->r.join.error_code, KE_NONE);
    assert_int_equal(rig_beat_as(&t.r, "g", rig_member(second), "two", 1), KE_NONE);
    assert_int_equal(rig_beat_as(&t.r, "g", rig_member(first), "two", 1), KE_FENCED_INSTANCE_ID);
    rig_close(&t.r);
}

static void a_static_member_that_does_not_rejoin_stays_until_its_session_ends(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct join slow = {.instance = "one", .session_ms = 45000, .rebalance_ms = 10000};
    struct call *one = rig_join(&r, slow);
    struct call *d = rig_join_twice(&r, (struct join){.rebalance_ms = 10000});
    rig_advance(&r, 6000);
    rig_sync(&r, (struct sync){.member = rig_member(one), .instance = "one", .generation = 1});
    rig_sync(&r, (struct sync){.member = rig_member(d), .generation = 1});
    struct call *k = rig_join(
        &r, (struct join){.member = d->member, .rebalance_ms = 10000, .protocols = {"range:x"}});
    rig_advance(&r, 10000);
    assert_true(k->done);
    assert_int_equal(k->r.join.generation_id, 2);
    assert_int_equal(k->r.join.members_n, 2);
    assert_string_equal((rig_member(k), k->leader), d->member);
    rig_close(&r);
}

static void an_administrator_removes_it_by_its_instance(void **state)
{
    UNUSED(state);
    struct pair t;
    open_pair(&t);
    struct call *l =
        rig_leave(&t.r, (struct leave){.who = {{"", "two", "scaled down"}, {"", "nobody", NULL}}});
    assert_int_equal(l->r.leave.error_code, KE_NONE);
    assert_int_equal(l->r.leave.members_n, 2);
    assert_int_equal(l->r.leave.members[0].error_code, KE_NONE);
    assert_true(bytes_eq_str(l->r.leave.members[0].member_id, ""));
    assert_true(bytes_eq_str(l->r.leave.members[0].group_instance_id, "two"));
    assert_int_equal(l->r.leave.members[1].error_code, KE_UNKNOWN_MEMBER_ID);
    assert_string_equal(rig_state(&t.r), "PreparingRebalance");
    rig_explains(&t.r, "g", "left, its reason: 'scaled down'");
    rig_close(&t.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_static_member_needs_no_second_join),
        cmocka_unit_test(one_that_comes_back_starts_no_rebalance),
        cmocka_unit_test(the_older_one_is_fenced_everywhere),
        cmocka_unit_test(a_leader_that_comes_back_leads_and_need_not_assign),
        cmocka_unit_test(before_version_9_it_is_told_that_its_former_self_leads),
        cmocka_unit_test(a_new_id_that_cannot_be_written_gives_the_old_one_back),
        cmocka_unit_test(another_protocol_makes_them_rebalance),
        cmocka_unit_test(one_that_comes_back_while_the_assignment_is_awaited),
        cmocka_unit_test(one_that_comes_back_while_its_older_self_joins),
        cmocka_unit_test(a_rebalance_overtakes_the_new_id),
        cmocka_unit_test(one_whose_new_id_is_not_written_during_a_rebalance),
        cmocka_unit_test(two_restarts_in_a_row),
        cmocka_unit_test(a_static_member_that_does_not_rejoin_stays_until_its_session_ends),
        cmocka_unit_test(an_administrator_removes_it_by_its_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
