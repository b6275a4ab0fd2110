/* Assertions that stay on in release builds. They state what must hold by construction: a failure
 * is a programmer's error and ends the process at once, before wrong bytes reach a disk or a peer.
 * They have no side effects. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <assert.h>

_Noreturn void assert_fail(const char *expr, const char *file, int line);

#define ASSERT(expr)  ((expr) ? (void)0 : assert_fail(#expr, __FILE__, __LINE__))
#define UNREACHABLE() assert_fail("unreachable", __FILE__, __LINE__)
#define UNUSED(x)     ((void)(x))

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))

#endif
