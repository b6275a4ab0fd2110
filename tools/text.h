/* Small things that several tools share: reading a file whole, topic patterns, printing lists. */
#ifndef TOOLS_TEXT_H
#define TOOLS_TEXT_H

#include <regex.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

int tool_read_file(const char *path, struct buf *out,
                   struct errmsg *em); /* "-" is standard input */

/* A topic pattern as Kafka's tools take it: a regular expression for the whole name, commas meaning
 * "or". NULL matches all. Returns 0, or ERR_INVALID with a sentence. */
struct topic_pattern {
    bool all;
    regex_t re;
};
int topic_pattern_init(struct topic_pattern *p, const char *text, struct errmsg *em);
bool topic_pattern_matches(const struct topic_pattern *p, struct bytes topic);
void topic_pattern_free(struct topic_pattern *p);

bool list_has(const char *list, struct bytes word); /* is it one of "a,b,c"? */
void print_ids(const int32_t *ids, int32_t n);      /* 1,2,3 */
/* Splits "a=1,b=[x,y],c=" at the commas outside of brackets (which are taken off); each(ctx, name,
 * value or NULL when there is no
 * `=`). Stops at the first non-zero result and returns it. */
int each_pair(const char *text, int (*each)(void *ctx, const char *name, const char *value),
              void *ctx);

/* A properties file as a list of "key=value" that ends with NULL; pairs_free takes it back. 0, or
 * an ERR_ with a sentence and *out NULL. */
int pairs_read(const char *path, char ***out, struct errmsg *em);
void pairs_free(char **pairs);

#endif
