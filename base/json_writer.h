/* JSON text written in order, commas put where they belong:
 *
 *     struct json_writer w = {.out = &text};
 *     json_open(&w, NULL, '{');
 *     json_int(&w, "partition", 3);
 *     json_open(&w, "isr", '[');
 *     json_int(&w, NULL, 1);
 *     json_close(&w, ']');
 *     json_close(&w, '}');
 *
 * A name belongs in an object, NULL in an array and at the top. Strings as in json.h. */
#ifndef BASE_JSON_WRITER_H
#define BASE_JSON_WRITER_H

#include "base/json.h"

struct json_writer {
    struct buf *out;
    bool more; /* something stands before in this object or array */
};

void json_open(struct json_writer *w, const char *name, char bracket);
void json_close(struct json_writer *w, char bracket);
void json_text(struct json_writer *w, const char *name, struct bytes v); /* null: null */
void json_str(struct json_writer *w, const char *name, const char *v);   /* the same */
void json_int(struct json_writer *w, const char *name, int64_t v);
/* Numbers below 0 that mean "not known": null. */
void json_known(struct json_writer *w, const char *name, int64_t v);
void json_bool(struct json_writer *w, const char *name, bool v);
/* A finite number, to three digits behind the point. */
void json_rate(struct json_writer *w, const char *name, double v);
/* Not json_null: jansson has that name, and what links both would call either. */
void json_none(struct json_writer *w, const char *name);

#endif
