/* Memory. Inside an invariant (a small struct, a table that grows) running out of memory ends the
 * process: mem_*. At a boundary, where a peer decides how much (a request body, a decompressed
 * batch), use mem_try_alloc and refuse. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t n) /* n bytes, not zeroed; never NULL */
    __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t n) /* n bytes, zeroed; never NULL */
    __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull));
void *mem_try_alloc(size_t n) /* NULL when there is none */
    __attribute__((malloc));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
void mem_free(void *p);

#define MEM_NEW(type) ((type *)mem_zalloc(sizeof(type)))

#endif
