/* What the actions of `millrace topics` share (tool_topics.c, topics_describe.c). */
#ifndef TOOLS_TOPICS_H
#define TOOLS_TOPICS_H

#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"

#define topic_meta struct metadata_response_metadata_response_topic

/* Prints the sentence as Kafka's tool does; the exit status. */
int topics_fail(const char *text);
/* The topics that the pattern selects, sorted by name, in c's arena; *n of them. NULL: c->error. */
topic_meta **topics_select(struct client *c, const struct args *a, const char *pattern, size_t *n);
/* None was found: the exit status, which --if-exists makes 0. */
int topics_missing(const struct args *a, const char *topic);

int topics_describe(struct client *c, const struct args *a);

#endif
