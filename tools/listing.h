/* `--json`: what a tool lists as one JSON object on one line, in one shape for all tools, so that a
 * program needs no table of columns (docs/TOOLS.md says what is in the items):
 *
 *     {"version":1,"list":"topics","items":[{"topic":"orders",...},...]}
 *
 * Names stay and keep their meaning while version is 1; new ones may come. What is not known is
 * null. Errors are sentences and an exit status, as without --json: then nothing is printed here.
 */
#ifndef TOOLS_LISTING_H
#define TOOLS_LISTING_H

#include <jansson.h>
#include <stdbool.h>

#include "base/bytes.h"
#include "base/uuid.h"

/* The option, for a tool's table. */
#define ARG_JSON                                                                \
    {                                                                           \
        "json", ARG_FLAG, NULL, "Print one line of JSON instead, for programs." \
    }

json_t *listing_new(const char *list);
json_t *listing_item(json_t *listing); /* a new object at the end of the items */
void listing_print(json_t *listing);   /* and frees it */

/* Why text is no JSON: "line 3, column 16: ...", or "it ends too early (line 3): ...". */
const char *json_complaint(const json_error_t *je, struct bytes text, char *out, size_t n);

/* Fields of an object. Text that is null becomes null, bytes that are no UTF-8 become "?". */
void json_put_text(json_t *o, const char *name, struct bytes v);
void json_put_int(json_t *o, const char *name, int64_t v);
void json_put_known(json_t *o, const char *name, int64_t v); /* below 0: null */
void json_put_bool(json_t *o, const char *name, bool v);
void json_put_null(json_t *o, const char *name);
void json_put_uuid(json_t *o, const char *name, struct uuid v); /* the zero one: null */
void json_put_ids(json_t *o, const char *name, const int32_t *ids, int32_t n);
void json_put_texts(json_t *o, const char *name, const struct bytes *v, size_t n);
json_t *json_put_array(json_t *o, const char *name); /* an empty one, to be filled */
json_t *json_add_object(json_t *array);              /* a new one at its end */

#endif
