/* What the perf tools send: letters of a given size, the parts of a file in random order, or the
 * numbers 0, 1, 2, ... The same bytes in every run: the generator starts from one seed.
 *
 * Random letters are made once and sent from there without a copy, consecutive records from
 * consecutive places, so that making them costs nothing beside sending them and a batch repeats
 * itself no more than random letters do. */
#ifndef TOOLS_PERF_PAYLOAD_H
#define TOOLS_PERF_PAYLOAD_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/prng.h"

struct perf_payload {
    struct buf text;     /* the letters, or the file */
    struct bytes *parts; /* of the file; NULL: none */
    size_t parts_n;
    size_t size, at; /* of letters: a record's, and where the next one is; size 0: numbers */
    char number[24]; /* the present one */
    struct prng random;
};

void perf_payload_letters(struct perf_payload *p, size_t size);
void perf_payload_numbers(struct perf_payload *p);
/* Cut at each delimiter; empty parts at the end are dropped, as Kafka's tool does. ERR_INVALID for
 * a file that is empty or cannot be read. */
int perf_payload_file(struct perf_payload *p, const char *path, const char *delimiter,
                      struct errmsg *em);
/* The n-th record's value. It stays until perf_payload_free; a number only until the next call. */
struct bytes perf_payload_next(struct perf_payload *p, int64_t n);
void perf_payload_free(struct perf_payload *p);

#endif
