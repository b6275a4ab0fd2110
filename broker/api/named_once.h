/* The partitions of a request, each once: Kafka keeps them in maps by topic and partition, so one
 * that is named twice, be it in two rows of the same topic, is one, and its topic has one row in
 * the answer. The bytes of topics (a name, or an id) must live as long as the struct. */
#ifndef BROKER_API_NAMED_ONCE_H
#define BROKER_API_NAMED_ONCE_H

#include "base/map.h"
#include "broker/request.h"

struct named_once {
    struct arena *arena;
    struct map topics;
    struct map partitions;
};

static inline struct named_once named_once_of(struct request *r)
{
    return (struct named_once){.arena = &r->arena,
                               .topics.secret = &r->ns->map_secret,
                               .partitions.secret = &r->ns->map_secret};
}

/* What was given for this topic before, or NULL: then value is noted for it. */
void *named_topic(struct named_once *n, struct bytes topic, void *value);
/* The same for a partition; topic is what named_topic found or noted. */
void *named_partition(struct named_once *n, const void *topic, int32_t index, void *value);
void named_once_free(struct named_once *n);

#endif
