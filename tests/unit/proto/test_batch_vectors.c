/* The golden batches: each line's JSON and outcome of reading, and what a real broker answered when
 * the buffer was produced to it (version 11, acks 1, no transactional id). Deep validation must
 * give that answer for every line; the lines where the shallow one is kinder are listed here, as in
 * docs/record-batches.md. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/batch_json.h"
#include "proto/record_validate.h"
#include "proto_errors.h"

enum { COLUMNS = 5 };
#define VECTORS_NOW INT64_C(1795330124789) /* when the vectors were made */

struct line {
    char *column[COLUMNS]; /* id, hex, JSON, outcome, answer */
    struct buf bytes;
};

static uint8_t nibble(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void parse_line(char *text, struct line *l)
{
    char *rest = text;
    for (int i = 0; i < COLUMNS; i++) {
        l->column[i] = strsep(&rest, "\t\n");
        assert_non_null(l->column[i]);
    }
    buf_clear(&l->bytes);
    for (const char *hex = l->column[1]; hex[0] && hex[1]; hex += 2) {
        buf_put_u8(&l->bytes, (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1])));
    }
}

static void for_each_line(void (*check)(struct line *l))
{
    FILE *f = fopen(TEST_DATA "/vectors/batches.tsv", "r");
    assert_non_null(f);
    char *text = NULL;
    size_t cap = 0;
    int n = 0;
    struct line l = {0};
    while (getline(&text, &cap, f) > 0) {
        if (text[0] != '#') {
            parse_line(text, &l);
            check(&l);
            n++;
        }
    }
    assert_int_equal(n, 227);
    buf_free(&l.bytes);
    free(text);
    fclose(f);
}

static void check_json(struct line *l)
{
    struct buf out = {0};
    char outcome[BATCH_JSON_OUTCOME];
    batch_json(buf_bytes(&l->bytes), 0, &out, outcome);
    if (strcmp(buf_cstr(&out), l->column[2]) != 0 || strcmp(outcome, l->column[3]) != 0) {
        fail_msg("%s:\n%s\n%s\nexpected:\n%s\n%s", l->column[0], buf_cstr(&out), outcome,
                 l->column[2], l->column[3]);
    }
    buf_free(&out);
}

static void reads_as_kafka(void **state)
{
    (void)state;
    for_each_line(check_json);
}

/* Kafka's order: transactional batches first, which need a transactional id. */
static int16_t answer(struct buf *bytes, bool deep)
{
    int tx = batch_first_is_transactional(buf_bytes(bytes));
    if (tx) {
        return tx == 1           ? KE_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
               : tx == ERR_RANGE ? KE_UNKNOWN_SERVER_ERROR
                                 : KE_CORRUPT_MESSAGE;
    }
    struct batch_rules rules;
    struct batch_verdict v;
    struct arena arena = {0};
    batch_rules_init(&rules, VECTORS_NOW);
    rules.deep = deep;
    int16_t error = batch_validate(bytes->data, bytes->len, &rules, &arena, &v);
    assert_int_equal(error, v.error);
    if (error == KE_NONE) {
        assert_true(batch_crc_check((struct bytes){v.data, v.size}));
    } else {
        assert_true(v.message[0] != 0);
    }
    batch_verdict_free(&v);
    arena_free(&arena);
    return error;
}

static void check_deep(struct line *l)
{
    int16_t error = answer(&l->bytes, true);
    if (error != atoi(l->column[4])) {
        fail_msg("%s: %d, Kafka answers %s", l->column[0], error, l->column[4]);
    }
}

static void deep_answers_as_kafka(void **state)
{
    (void)state;
    for_each_line(check_deep);
}

/* What the default takes although Kafka refuses it: compressed batches that are broken inside. */
static const char *const kinder[] = {
    "bad-codec-gzip-on-plain",
    "bad-codec-snappy-on-plain",
    "bad-codec-lz4-on-plain",
    "bad-codec-zstd-on-plain",
    "bad-gzip-cut",
    "bad-gzip-middle-byte",
    "bad-gzip-count-21-of-20",
    "bad-gzip-count-19-of-20",
    "bad-snappy-cut",
    "bad-snappy-middle-byte",
    "bad-snappy-count-21-of-20",
    "bad-snappy-count-19-of-20",
    "bad-lz4-cut",
    "bad-lz4-count-21-of-20",
    "bad-lz4-count-19-of-20",
    "bad-zstd-cut",
    "bad-zstd-middle-byte",
    "bad-zstd-count-21-of-20",
    "bad-zstd-count-19-of-20",
    "odd-zstd-trailing-bytes",
};

static bool is_kinder(const char *id)
{
    for (size_t i = 0; i < sizeof kinder / sizeof *kinder; i++) {
        if (strcmp(kinder[i], id) == 0) {
            return true;
        }
    }
    return false;
}

static void check_shallow(struct line *l)
{
    int16_t error = answer(&l->bytes, false);
    int expected = is_kinder(l->column[0]) ? 0 : atoi(l->column[4]);
    if (error != expected) {
        fail_msg("%s: %d shallow, Kafka answers %s", l->column[0], error, l->column[4]);
    }
}

static void shallow_is_kinder_only_where_listed(void **state)
{
    (void)state;
    for_each_line(check_shallow);
}

/* Every prefix of every buffer, and every header byte turned over, must be judged without harm (the
 * sanitizers watch) and never be taken where bytes of the batch are missing. */
static void check_damage(struct line *l)
{
    size_t n = l->bytes.len < 320 ? l->bytes.len : 320;
    for (size_t cut = 0; cut < n; cut++) {
        struct buf part = {0};
        buf_put(&part, l->bytes.data, cut);
        struct buf out = {0};
        char outcome[BATCH_JSON_OUTCOME];
        batch_json(buf_bytes(&part), 1 << 20, &out, outcome);
        answer(&part, true);
        buf_free(&out);
        buf_free(&part);
    }
    for (size_t at = 0; at < l->bytes.len && at < BATCH_HEADER_SIZE; at++) {
        struct buf out = {0};
        char outcome[BATCH_JSON_OUTCOME];
        l->bytes.data[at] ^= 0xff;
        batch_json(buf_bytes(&l->bytes), 1 << 20, &out, outcome);
        struct buf copy = {0};
        buf_put(&copy, l->bytes.data, l->bytes.len);
        answer(&copy, true);
        l->bytes.data[at] ^= 0xff;
        buf_free(&out);
        buf_free(&copy);
    }
}

static void damage_does_no_harm(void **state)
{
    (void)state;
    for_each_line(check_damage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_as_kafka),
        cmocka_unit_test(deep_answers_as_kafka),
        cmocka_unit_test(shallow_is_kinder_only_where_listed),
        cmocka_unit_test(damage_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
