/* What io_probe.c knows of the two real backends. */
#ifndef RUNTIME_IO_BACKENDS_H
#define RUNTIME_IO_BACKENDS_H

#include "runtime/io.h"

int uring_create(struct io **out, struct errmsg *em);
/* Tries on a ring of its own what the backend stands on. 0, or ERR_UNSUPPORTED with the reason; how
 * gets a few words about the kind of ring. */
int uring_probe(struct errmsg *why, const char **how);

int uv_create(struct io **out, struct errmsg *em);

#endif
