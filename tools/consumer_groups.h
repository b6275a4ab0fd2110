/* What the actions of `millrace consumer-groups` share. An action prints, and returns 0 or an ERR_
 * with a sentence in x->g.c.error that ends the tool; what failed for one group or partition is
 * said in the output and kept in x->failed. */
#ifndef TOOLS_CONSUMER_GROUPS_H
#define TOOLS_CONSUMER_GROUPS_H

#include "tools/args.h"
#include "tools/group_client.h"

struct cg {
    struct args a;
    struct group_client g;
    bool failed; /* something went wrong: the exit status is 1 */
};

/* A line "Error: ..." on standard output, an empty one before it, as Kafka's tool has it. */
void cg_error(struct cg *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The groups of --group, or all with --all-groups: sorted, each once, coordinators looked for. */
int cg_selected(struct cg *x, struct group_ref **out, size_t *n);
/* The partitions of "topic" or "topic:0,1,2" behind those of *v, which grows in the arena; a topic
 * that is not there is an error of its own: *missing then, nothing is added. */
int cg_parse_topic(struct cg *x, const char *arg, struct part_offset **v, size_t *n, bool *missing);
/* What Kafka prints of an exception of that code: its class and text; message may be null. */
const char *cg_exception(int16_t code, struct bytes message, char *out, size_t n);

int cg_describe(struct cg *x);
int cg_reset_offsets(struct cg *x);
int cg_explain(struct cg *x);

#endif
