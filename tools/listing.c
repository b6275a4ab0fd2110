#include "tools/listing.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

json_t *listing_new(const char *list)
{
    json_t *o = json_pack("{s:i, s:s, s:[]}", "version", 1, "list", list, "items");
    ASSERT(o);
    return o;
}

json_t *listing_item(json_t *listing)
{
    return json_add_object(json_object_get(listing, "items"));
}

void listing_print(json_t *listing)
{
    json_dumpf(listing, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(listing);
}

/* The line of the last that is not blank: a file may have many that are, behind what is missing. */
static int last_line(struct bytes text)
{
    int line = 1, last = 1;
    for (size_t i = 0; i < text.len; i++) {
        line += text.data[i] == '\n';
        last = strchr(" \t\r\n", text.data[i]) ? last : line;
    }
    return last;
}

const char *json_complaint(const json_error_t *je, struct bytes text, char *out, size_t n)
{
    static const char inside[] = "premature end of input ", at_end[] = " near end of file",
                      unsaid[] = "unexpected token near end of file";
    const char *what = je->text, *end = strstr(what, at_end);
    if (json_error_code(je) != json_error_premature_end_of_input) {
        snprintf(out, n, "line %d, column %d: %s", je->line, je->column, what);
    } else if (strcmp(what, unsaid) == 0) {
        snprintf(out, n, "it ends too early (line %d): a value expected", last_line(text));
    } else {
        what += strncmp(what, inside, strlen(inside)) == 0 ? strlen(inside) : 0;
        snprintf(out, n, "it ends too early (line %d): %.*s", last_line(text),
                 end && end > what ? (int)(end - what) : (int)strlen(what), what);
    }
    return out;
}

static json_t *text_of(struct bytes v)
{
    json_t *s =
        bytes_is_null(v) ? json_null() : json_stringn(v.len ? (const char *)v.data : "", v.len);
    if (s == NULL) {
        char *ascii = mem_alloc(v.len);
        for (size_t i = 0; i < v.len; i++) {
            ascii[i] = v.data[i] < 0x80 ? (char)v.data[i] : '?';
        }
        s = json_stringn(ascii, v.len);
        mem_free(ascii);
    }
    return s;
}

void json_put_text(json_t *o, const char *name, struct bytes v)
{
    json_object_set_new(o, name, text_of(v));
}

void json_put_int(json_t *o, const char *name, int64_t v)
{
    json_object_set_new(o, name, json_integer(v));
}

void json_put_known(json_t *o, const char *name, int64_t v)
{
    json_object_set_new(o, name, v < 0 ? json_null() : json_integer(v));
}

void json_put_bool(json_t *o, const char *name, bool v)
{
    json_object_set_new(o, name, json_boolean(v));
}

void json_put_null(json_t *o, const char *name)
{
    json_object_set_new(o, name, json_null());
}

void json_put_uuid(json_t *o, const char *name, struct uuid v)
{
    char text[UUID_TEXT];
    json_object_set_new(o, name, uuid_is_zero(v) ? json_null() : json_string(uuid_text(v, text)));
}

void json_put_ids(json_t *o, const char *name, const int32_t *ids, int32_t n)
{
    json_t *v = json_put_array(o, name);
    for (int32_t i = 0; i < n; i++) {
        json_array_append_new(v, json_integer(ids[i]));
    }
}

void json_put_texts(json_t *o, const char *name, const struct bytes *v, size_t n)
{
    json_t *all = json_put_array(o, name);
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(all, text_of(v[i]));
    }
}

json_t *json_put_array(json_t *o, const char *name)
{
    json_t *v = json_array();
    json_object_set_new(o, name, v);
    return v;
}

json_t *json_add_object(json_t *array)
{
    json_t *v = json_object();
    json_array_append_new(array, v);
    return v;
}
