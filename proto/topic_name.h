/* Which names topics may have, and which names are Kafka's own. */
#ifndef PROTO_TOPIC_NAME_H
#define PROTO_TOPIC_NAME_H

#include "base/bytes.h"
#include "base/err.h"

enum { TOPIC_NAME_MAX = 249 }; /* a directory's name has 255, and a partition number behind it */

/* 1 to 249 of a-z A-Z 0-9 . _ -, and neither . nor .. ; em (may be NULL) gets the reason. */
bool topic_name_is_valid(struct bytes name, struct errmsg *em);
/* Topics that the coordinators keep their state in. */
bool topic_name_is_internal(struct bytes name);
/* Would two topics have the same name in a metric, where . and _ are one? */
bool topic_names_collide(struct bytes a, struct bytes b);

#endif
