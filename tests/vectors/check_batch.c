/* One vector of record batches: the same JSON, the same outcome of reading, and the code that a
 * real broker answered to a Produce with these bytes (version 11, acks 1, no transactional id, a
 * topic of defaults but without a limit on times ahead). */
#include <stdlib.h>

#include "base/mem.h"
#include "check.h"
#include "proto/batch_json.h"
#include "proto/record_validate.h"
#include "proto_errors.h"

/* 2026-11-22, when the broker gave its answers: a timestamp near the smallest int64 is out of any
 * range only then. */
static const int64_t now_ms = INT64_C(1795330124789);

static int16_t produce_code(struct bytes wire)
{
    int transactional = batch_first_is_transactional(wire);
    if (transactional == 1) {
        return KE_TRANSACTIONAL_ID_AUTHORIZATION_FAILED; /* the request names none */
    }
    struct batch_rules rules;
    struct batch_verdict verdict;
    struct arena a = {0};
    batch_rules_init(&rules, now_ms);
    rules.produce_version = 11;
    rules.deep = true;
    uint8_t *copy = mem_alloc(wire.len);
    memcpy(copy, wire.data, wire.len);
    int16_t code = batch_validate(copy, wire.len, &rules, &a, &verdict);
    batch_verdict_free(&verdict);
    mem_free(copy);
    arena_free(&a);
    return code;
}

bool check_batch_row(struct check *c)
{
    struct buf wire = {0};
    struct buf json = {0};
    char outcome[BATCH_JSON_OUTCOME];
    bool ok = false;
    if (table_hex(&wire, c->row->col[1]) != 0) {
        check_fail(c, "the bytes are not hex");
    } else {
        int16_t expected = (int16_t)strtol(c->row->col[4], NULL, 10);
        int16_t code = produce_code(buf_bytes(&wire));
        batch_json(buf_bytes(&wire), 0, &json, outcome);
        ok = check_json(c, buf_bytes(&json), c->row->col[2]);
        if (strcmp(outcome, c->row->col[3]) != 0) {
            check_fail(c, "outcome of reading: %s", outcome);
            ok = false;
        }
        if (code != expected) {
            check_fail(c, "our answer to a Produce: %d", code);
            ok = false;
        }
    }
    buf_free(&wire);
    buf_free(&json);
    return ok;
}
