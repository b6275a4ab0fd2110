#include "base/json_writer.h"

#include <inttypes.h>

static void begin(struct json_writer *w, const char *name)
{
    if (w->more) {
        buf_put_u8(w->out, ',');
    }
    w->more = true;
    if (name) {
        json_put_string(w->out, bytes_str(name));
        buf_put_u8(w->out, ':');
    }
}

void json_open(struct json_writer *w, const char *name, char bracket)
{
    begin(w, name);
    buf_put_u8(w->out, (uint8_t)bracket);
    w->more = false;
}

void json_close(struct json_writer *w, char bracket)
{
    buf_put_u8(w->out, (uint8_t)bracket);
    w->more = true;
}

void json_text(struct json_writer *w, const char *name, struct bytes v)
{
    begin(w, name);
    json_put_string(w->out, v);
}

void json_str(struct json_writer *w, const char *name, const char *v)
{
    json_text(w, name, bytes_str(v));
}

void json_int(struct json_writer *w, const char *name, int64_t v)
{
    begin(w, name);
    buf_printf(w->out, "%" PRId64, v);
}

void json_known(struct json_writer *w, const char *name, int64_t v)
{
    if (v < 0) {
        json_none(w, name);
    } else {
        json_int(w, name, v);
    }
}

void json_bool(struct json_writer *w, const char *name, bool v)
{
    begin(w, name);
    buf_put_str(w->out, v ? "true" : "false");
}

void json_rate(struct json_writer *w, const char *name, double v)
{
    begin(w, name);
    buf_printf(w->out, "%.3f", v);
}

void json_none(struct json_writer *w, const char *name)
{
    begin(w, name);
    buf_put_str(w->out, "null");
}
