/* Is a text a regular expression as RE2 reads it? Groups of KIP-848 subscribe with such; the broker
 * is the one that matches them. */
#ifndef TOOLS_RE2_CHECK_H
#define TOOLS_RE2_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* false: why says what is wrong, in the words of RE2. Names in \p{...} are not looked up. */
bool re2_check(const char *regex, char *why, size_t n);

#endif
