#include "proto/topic_name.h"

static bool is_legal(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool topic_name_is_valid(struct bytes name, struct errmsg *em)
{
    if (name.len == 0) {
        errmsg_set(em, 0, "a topic's name cannot be empty");
        return false;
    }
    if (bytes_eq_str(name, ".") || bytes_eq_str(name, "..")) {
        errmsg_set(em, 0, "a topic cannot be named . or ..");
        return false;
    }
    if (name.len > TOPIC_NAME_MAX) {
        errmsg_set(em, 0, "a topic's name has at most %d characters, this one has %zu",
                   TOPIC_NAME_MAX, name.len);
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_legal(name.data[i])) {
            errmsg_set(em, 0, "topic name `%.*s` has a character that is none of a-z A-Z 0-9 . _ -",
                       BYTES_FMT(name));
            return false;
        }
    }
    return true;
}

bool topic_name_is_internal(struct bytes name)
{
    return bytes_eq_str(name, "__consumer_offsets") || bytes_eq_str(name, "__transaction_state") ||
           bytes_eq_str(name, "__share_group_state");
}

bool topic_names_collide(struct bytes a, struct bytes b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        uint8_t x = a.data[i] == '.' ? '_' : a.data[i];
        uint8_t y = b.data[i] == '.' ? '_' : b.data[i];
        if (x != y) {
            return false;
        }
    }
    return true;
}
