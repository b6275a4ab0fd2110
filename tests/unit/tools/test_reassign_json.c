/* Kafka's JSON files of moves and elections, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/reassign_json.h"

static int parse(struct arena *a, const char *text, enum reassign_kind kind, struct replica_sets *s,
                 struct errmsg *em)
{
    return reassign_json_parse(a, bytes_str(text), kind, s, em);
}

static void check_dump(const struct replica_sets *s, const char *want)
{
    json_t *o = reassign_json_of(s);
    char *text = json_dumps(o, JSON_COMPACT);
    assert_string_equal(text, want);
    free(text);
    json_decref(o);
}

static void files_that_are_right(void **state)
{
    (void)state;
    struct arena a = {0};
    struct errmsg em;
    struct replica_sets s;
    assert_int_equal(0, parse(&a,
                              "{\"partitions\": [{\"topic\":\"b\", \"partition\":3, "
                              "\"replicas\":[2,1], \"log_dirs\":[\"any\",\"/x\"], \"more\":{}},"
                              "{\"topic\":\"a\",\"partition\":0,\"replicas\":[1]}]}",
                              REASSIGN_MOVES, &s, &em));
    assert_int_equal(s.n, 2);
    assert_true(bytes_eq_str(s.v[0].topic, "b"));
    assert_true(bytes_is_null(s.v[0].dirs[0]) && bytes_eq_str(s.v[0].dirs[1], "/x"));
    assert_null(s.v[1].dirs);
    assert_int_equal(0, reassign_json_check(&s, &em)); /* sorts */
    check_dump(&s,
               "{\"version\":1,\"partitions\":[{\"topic\":\"a\",\"partition\":0,\"replicas\":[1],"
               "\"log_dirs\":[\"any\"]},{\"topic\":\"b\",\"partition\":3,\"replicas\":[2,1],"
               "\"log_dirs\":[\"any\",\"/x\"]}]}");
    assert_int_equal(0, parse(&a, "{\"version\":1}", REASSIGN_MOVES, &s, &em));
    assert_int_equal(s.n, 0);
    check_dump(&s, "{\"version\":1,\"partitions\":[]}");

    assert_int_equal(
        0, parse(&a, "{\"version\":1,\"topics\":[{\"topic\":\"t\"}]}", REASSIGN_TOPICS, &s, &em));
    assert_true(s.n == 1 && s.v[0].partition == -1 && bytes_eq_str(s.v[0].topic, "t"));
    assert_int_equal(0,
                     parse(&a, "{\"version\":7,\"partitions\":[{\"topic\":\"t\",\"partition\":2}]}",
                           REASSIGN_NAMES, &s, &em)); /* an election's file has no version */
    assert_true(s.n == 1 && s.v[0].partition == 2);
    arena_free(&a);
}

#define MOVE(fields) "{\"version\":1,\"partitions\":[" fields "]}"
#define GOOD         "{\"topic\":\"a\",\"partition\":0,\"replicas\":[1,2]}"

/* Wherever a file is cut, it is its end that is wrong, and not a line behind it. */
static void files_that_are_cut(void **state)
{
    (void)state;
    static const char whole[] = MOVE(GOOD) "\n";
    struct arena a = {0};
    struct replica_sets s;
    for (size_t n = 0; n < sizeof whole - 2; n++) {
        struct errmsg em = {0};
        for (int newlines = 0; newlines < 2; newlines++) {
            char text[sizeof whole + 1];
            snprintf(text, sizeof text, "%.*s%s", (int)n, whole, newlines ? "\n" : "");
            assert_int_equal(parse(&a, text, REASSIGN_MOVES, &s, &em), ERR_INVALID);
            bool in_text = strstr(em.text, "newline") != NULL; /* which no text may have in it */
            if (strstr(em.text, "it ends too early (line 1): ") == NULL && !in_text) {
                fail_msg("%s: %s", text, em.text);
            }
            assert_true(newlines || !in_text);
            assert_null(strstr(em.text, "near end of file"));
        }
    }
    assert_int_equal(parse(&a, whole, REASSIGN_MOVES, &s, &(struct errmsg){0}), 0);
    arena_free(&a);
}

static void files_that_are_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"", "Not valid JSON: it ends too early (line 1): '[' or '{' expected"},
        {"{\"version\":1,\n\"partitions\":[\n\n  \n",
         "Not valid JSON: it ends too early (line 2): ']' expected"},
        {"{\"version\":", "it ends too early (line 1): a value expected"},
        {"{\n\"part", "it ends too early (line 2): near '\"part'"},
        {"{\"version\":1,\n\"partitions\":[\n  {\"topic\":\"a\",,", "line 3, column 16"},
        {MOVE(GOOD) "}", "line 1, column"},
        {"{\"version\":1,\"version\":1}", "duplicate object key"},
        {"[]", "no JSON object"},
        {"7", "line 1"},
        {"{\"version\":2}", "Not supported version field value 2"},
        {"{\"version\":\"1\"}", "version is not a number"},
        {"{\"partitions\":7}", "partitions is not a list"},
        {MOVE("7"), "partitions[0] is not an object"},
        {MOVE(GOOD ",{\"topic\":7}"), "partitions[1].topic is not"},
        {MOVE("{\"topic\":\"\",\"partition\":0}"), "partitions[0].topic is not"},
        {MOVE("{\"topic\":\"a\",\"replicas\":[1]}"), "partitions[0].partition is not"},
        {MOVE("{\"topic\":\"a\",\"partition\":1.5,\"replicas\":[1]}"), "partition is not"},
        {MOVE("{\"topic\":\"a\",\"partition\":-1,\"replicas\":[1]}"), "partition is not"},
        {MOVE("{\"topic\":\"a\",\"partition\":2147483648,\"replicas\":[1]}"), "partition is not"},
        {MOVE("{\"topic\":\"a\",\"partition\":0}"), "replicas is not"},
        {MOVE("{\"topic\":\"a\",\"partition\":0,\"replicas\":[1,null]}"), "replicas is not"},
        {MOVE("{\"topic\":\"a\",\"partition\":0,\"replicas\":[2147483648]}"), "replicas is not"},
        {MOVE("{\"topic\":\"a\",\"partition\":0,\"replicas\":[1],\"log_dirs\":\"any\"}"),
         "log_dirs is not"},
        {MOVE("{\"topic\":\"a\",\"partition\":0,\"replicas\":[1],\"log_dirs\":[7]}"),
         "log_dirs is not"},
        {MOVE("{\"topic\":\"a\",\"partition\":4,\"replicas\":[1,2],\"log_dirs\":[\"/x\"]}"),
         "Size of replicas list [1, 2] is different from size of log dirs list [/x] for partition "
         "a-4"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct arena a = {0};
        struct replica_sets s;
        struct errmsg em = {0};
        assert_int_equal(parse(&a, bad[i].text, REASSIGN_MOVES, &s, &em), ERR_INVALID);
        if (strstr(em.text, bad[i].said) == NULL) {
            fail_msg("%s: %s", bad[i].text, em.text);
        }
        arena_free(&a);
    }
    struct arena a = {0};
    struct replica_sets s;
    struct errmsg em;
    assert_int_equal(parse(&a, "{}", REASSIGN_NAMES, &s, &em), ERR_INVALID);
    assert_int_equal(parse(&a, "{\"topics\":[\"t\"]}", REASSIGN_TOPICS, &s, &em), ERR_INVALID);
    assert_string_equal(em.text, "topics[0] is not an object, as {\"topic\":\"orders\", ...}");
    assert_int_equal(reassign_json_read(&a, "/nowhere/at/all", REASSIGN_MOVES, &s, &em),
                     ERR_NOTFOUND);
    assert_int_equal(s.n, 0);
    arena_free(&a);
}

static void lists_that_cannot_be_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } bad[] = {
        {MOVE(""), "Partition reassignment list cannot be empty"},
        {MOVE(GOOD ",{\"topic\":\"b\",\"partition\":0,\"replicas\":[]}"),
         "Partition replica list cannot be empty"},
        {MOVE(GOOD ",{\"topic\":\"b\",\"partition\":0,\"replicas\":[1]}," GOOD),
         "Partition reassignment contains duplicate topic partitions: a-0"},
        {MOVE("{\"topic\":\"b\",\"partition\":1,\"replicas\":[3,1,2,1]}," GOOD),
         "Partition replica lists may not contain duplicate entries: b-1 contains multiple entries "
         "for 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct arena a = {0};
        struct replica_sets s;
        struct errmsg em = {0};
        assert_int_equal(parse(&a, bad[i].text, REASSIGN_MOVES, &s, &em), 0);
        assert_int_equal(reassign_json_check(&s, &em), ERR_INVALID);
        assert_string_equal(em.text, bad[i].said);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_are_right),
        cmocka_unit_test(files_that_are_cut),
        cmocka_unit_test(files_that_are_wrong),
        cmocka_unit_test(lists_that_cannot_be_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
