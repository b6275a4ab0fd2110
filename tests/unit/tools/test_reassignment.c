/* What tools that move replicas work out for themselves: throttles, directories, progress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/reassignment.h"

#define IDS(...) .replicas = (int32_t[]){__VA_ARGS__}, .replicas_n = N(((int32_t[]){__VA_ARGS__}))
#define N(v)     (sizeof(v) / sizeof((v)[0]))
#define SETS(v)  ((struct replica_sets){(v), N(v)})

static struct bytes b(const char *s)
{
    return bytes_str(s);
}

static void check_topic(const struct throttled_topic *t, const char *name, const char *leader,
                        const char *follower)
{
    assert_true(bytes_eq_str(t->topic, name));
    assert_string_equal(t->leader, leader);
    assert_string_equal(t->follower, follower);
}

static void a_move_is_throttled_where_it_is_read_and_written(void **state)
{
    (void)state;
    struct arena a = {0};
    struct replica_set now[] = {{.topic = b("a"), .partition = 0, IDS(1, 2)},
                                {.topic = b("a"), .partition = 2, IDS(2, 3)},
                                {.topic = b("a"), .partition = 10, IDS(3, 1)},
                                {.topic = b("b"), .partition = 0, IDS(1)}};
    struct replica_set to[] = {{.topic = b("a"), .partition = 2, IDS(3, 2)},
                               {.topic = b("a"), .partition = 10, IDS(4, 1)},
                               {.topic = b("b"), .partition = 0, IDS(2)}};
    struct throttle_plan p;
    throttle_plan(&a, &(struct replica_sets){0}, &SETS(to), &SETS(now), &p);
    assert_int_equal(p.topics_n, 2);
    check_topic(&p.topics[0], "a", "10:1,10:3,2:2,2:3", "10:4"); /* in order of the text */
    check_topic(&p.topics[1], "b", "0:1", "0:2");
    assert_int_equal(p.brokers_n, 4);
    for (int32_t i = 0; i < 4; i++) {
        assert_int_equal(p.brokers[i], i + 1);
    }
    arena_free(&a);
}

static void what_moves_already_stays_throttled(void **state)
{
    (void)state;
    struct arena a = {0};
    struct replica_set now[] = {{.topic = b("a"), .partition = 0, IDS(1, 2, 3)},
                                {.topic = b("a"), .partition = 1, IDS(1)}};
    struct replica_set ongoing[] = {
        {.topic = b("a"), .partition = 0, IDS(1, 2, 3), .adding = (int32_t[]){3}, .adding_n = 1},
        {.topic = b("c"), .partition = 0, IDS(5, 6), .adding = (int32_t[]){6}, .adding_n = 1}};
    struct replica_set other[] = {{.topic = b("a"), .partition = 1, IDS(4)}};
    struct throttle_plan p;
    throttle_plan(&a, &SETS(ongoing), &SETS(other), &SETS(now), &p);
    assert_int_equal(p.topics_n, 2);
    check_topic(&p.topics[0], "a", "0:1,0:2,1:1", "0:3,1:4");
    check_topic(&p.topics[1], "c", "0:5", "0:6");

    /* the same partition somewhere else: 3 is still one that has to receive */
    struct replica_set anew[] = {{.topic = b("a"), .partition = 0, IDS(2, 3, 4)}};
    throttle_plan(&a, &SETS(ongoing), &SETS(anew), &SETS(now), &p);
    check_topic(&p.topics[0], "a", "0:1,0:2", "0:3,0:4");

    /* nothing has to be copied: the list is there, and empty */
    struct replica_set fewer[] = {{.topic = b("a"), .partition = 1, IDS(1)}};
    throttle_plan(&a, &(struct replica_sets){0}, &SETS(fewer), &SETS(now), &p);
    check_topic(&p.topics[0], "a", "1:1", "");
    throttle_plan(&a, &(struct replica_sets){0}, &(struct replica_sets){0}, &SETS(now), &p);
    assert_int_equal(p.topics_n + p.brokers_n, 0);
    arena_free(&a);
}

static bool reads(struct arena *a, const char *list, size_t n)
{
    struct throttle_marks m;
    return throttle_marks_read(a, b(list), &m) && m.n == n;
}

static void a_list_that_a_move_has_set_is_told_from_others(void **state)
{
    (void)state;
    struct arena a = {0};
    struct throttle_marks m;
    assert_true(throttle_marks_read(&a, b("0:11,12:3"), &m));
    assert_int_equal(m.n, 2);
    assert_int_equal(m.v[0].partition, 0);
    assert_int_equal(m.v[0].broker, 11);
    assert_int_equal(m.v[1].partition, 12);
    assert_int_equal(m.v[1].broker, 3);
    assert_true(reads(&a, "", 0));
    assert_true(reads(&a, "2147483647:2147483647", 1));
    const char *const others[] = {
        "*", "none", "0", "0:", ":1", "0:1:", "-1:2", "0:1 0:2", ",0:1", "2147483648:1", "0:1,*"};
    for (size_t i = 0; i < N(others); i++) {
        assert_false(throttle_marks_read(&a, b(others[i]), &m));
    }
    assert_true(throttle_marks_read(&a, BYTES_NULL, &m) && m.n == 0);
    arena_free(&a);
}

static void directories_of_targets(void **state)
{
    (void)state;
    struct arena a = {0};
    struct bytes dirs[] = {b("/one"), BYTES_NULL}, both[] = {b("/two"), b("/one")};
    struct replica_set to[] = {{.topic = b("a"), .partition = 0, IDS(1, 2)},
                               {.topic = b("b"), .partition = 0, IDS(2, 1), .dirs = dirs},
                               {.topic = b("b"), .partition = 1, IDS(1, 2), .dirs = both}};
    size_t n;
    struct replica_dir *v = replica_dirs_of(&a, &SETS(to), &n);
    assert_int_equal(n, 3);
    assert_int_equal(v[0].broker, 1);
    assert_true(bytes_eq_str(v[0].target, "/two") && v[0].partition == 1);
    assert_int_equal(v[1].broker, 2);
    assert_true(bytes_eq_str(v[1].target, "/one") && v[1].partition == 0);
    assert_ptr_equal(replica_dir_find(v, n, 2, b("b"), 1), &v[2]);
    assert_null(replica_dir_find(v, n, 3, b("b"), 1));
    arena_free(&a);
}

static void check_text(const struct reassign_watch *w, int64_t ms, const char *text)
{
    char got[200];
    reassign_watch_text(w, ms, got, sizeof got);
    assert_string_equal(got, text);
}

static void progress_in_words(void **state)
{
    (void)state;
    struct replica_set to[] = {{.topic = b("a"), .partition = 0},
                               {.topic = b("a"), .partition = 1}};
    struct replica_sets targets = SETS(to);
    struct copy copies[] = {{.size_whole = 3 << 20, .size = 1 << 20},
                            {.size_whole = 1 << 20, .size = 1 << 20, .done = true}};
    struct reassign_watch w = {.targets = &targets,
                               .copies = copies,
                               .copies_n = 2,
                               .partitions_left = 1,
                               .begin_ms = 500};
    check_text(&w, 500, "1 of 2 partitions left, 2.0 MiB of 4.0 MiB, 0 B/s");
    check_text(&w, 2500, "1 of 2 partitions left, 2.0 MiB of 4.0 MiB, 1.0 MiB/s");
    check_text(&w, 4500, "1 of 2 partitions left, 2.0 MiB of 4.0 MiB, 512.0 KiB/s, 4 s left");
    w.begin_bytes = (2 << 20) - 20480; /* there before the first look */
    check_text(&w, 4500, "1 of 2 partitions left, 2.0 MiB of 4.0 MiB, 5.0 KiB/s, 6 min left");
    w.begin_bytes = 2 << 20;
    check_text(&w, 60500, "1 of 2 partitions left, 2.0 MiB of 4.0 MiB, 0 B/s");
    struct replica_dir dirs[] = {
        {.target = b("/x"), .future = b("/x"), .size = 100, .future_size = 50},
        {.target = b("/x"), .size = 100, .future_size = -1}};
    w = (struct reassign_watch){.targets = &targets, .dirs = dirs, .dirs_n = 2, .dirs_left = 1};
    check_text(&w, 3000,
               "0 of 2 partitions, 1 of 2 directory moves left, 150 B of 200 B, 50 B/s, 1 s left");
    w.dirs_throttle = 3;
    check_text(&w, 0,
               "0 of 2 partitions, 1 of 2 directory moves left, 150 B of 200 B, 0 B/s, "
               "at least 17 s left");
}

/* It lets nothing through for seconds, then much: what it allows is the bound. */
static void a_throttle_bounds_the_time_that_is_told(void **state)
{
    (void)state;
    struct replica_set to[] = {{.topic = b("a"), .partition = 0}};
    struct replica_sets targets = SETS(to);
    struct copy copies[] = {{.broker = 2, .size_whole = 300, .size = 0},
                            {.broker = 1, .size_whole = 500, .size = 0},
                            {.broker = 2, .size_whole = 400, .size = 0}};
    struct reassign_watch w = {.targets = &targets,
                               .copies = copies,
                               .copies_n = N(copies),
                               .partitions_left = 1,
                               .throttle = 10};
    check_text(&w, 0, "1 of 1 partitions left, 0 B of 1.2 KiB, 0 B/s, at least 70 s left");
    copies[0].size = 100;
    check_text(&w, 1000, "1 of 1 partitions left, 100 B of 1.2 KiB, 100 B/s, at least 60 s left");
    check_text(&w, 11000, "1 of 1 partitions left, 100 B of 1.2 KiB, 9 B/s, at least 60 s left");
    check_text(&w, 20000, "1 of 1 partitions left, 100 B of 1.2 KiB, 5 B/s, 3 min left");
    copies[2].size = 400; /* faster than it may be in the long run */
    check_text(&w, 20000, "1 of 1 partitions left, 500 B of 1.2 KiB, 25 B/s, at least 50 s left");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_is_throttled_where_it_is_read_and_written),
        cmocka_unit_test(what_moves_already_stays_throttled),
        cmocka_unit_test(a_list_that_a_move_has_set_is_told_from_others),
        cmocka_unit_test(directories_of_targets),
        cmocka_unit_test(progress_in_words),
        cmocka_unit_test(a_throttle_bounds_the_time_that_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
