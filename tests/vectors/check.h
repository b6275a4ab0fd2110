/* What the parts of vectors_check share: the outcome of a run, and the checks by kind of vector. */
#ifndef TESTS_VECTORS_CHECK_H
#define TESTS_VECTORS_CHECK_H

#include <jansson.h>

#include "table.h"

struct check {
    size_t passed;
    size_t failed;
    size_t shown; /* failures printed; at most CHECK_SHOWN_MAX of them */
    const struct table *table;
    const struct table_row *row;
};

enum { CHECK_SHOWN_MAX = 50 };

/* Counts the present row as failed and says why. */
void check_fail(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Are these the same JSON? Integers are compared exactly. Says what differs when not. */
bool check_json(struct check *c, struct bytes ours, const char *expected);
/* Are these the same bytes? */
bool check_bytes(struct check *c, const char *what, struct bytes ours, struct bytes expected);

bool check_message_row(struct check *c); /* name, key, version, hex, JSON, case */
bool check_batch_row(struct check *c);   /* id, hex, JSON, outcome, answer to a Produce */

/* Every prefix and every lying length of a message vector: clean errors, bounded memory. */
bool check_hostile_row(struct check *c);

#endif
