/* Every message between the shards of a node, with its direction and who frees it. What controller
 * and broker say to each other is the controller's catalogue (controller/messages.h): its kinds
 * start at MSG_BROKER_END, and node.c tells them apart by that.
 *
 * Rules. A message belongs to whoever it was sent to. Most go out and come home: the shard that
 * made it gets the same message back, filled in, and frees it. Memory inside a message (a slice of
 * a request buffer, an arena) belongs to the maker and stays in place until the message is home; so
 * a request is never freed while one of its messages is away. "data" is any data shard, "main" is
 * data shard 0 (it accepts connections and runs the lifecycle), "home" is the shard of the
 * partition. */
#ifndef BROKER_MESSAGES_H
#define BROKER_MESSAGES_H

#include "runtime/shard.h"

/* clang-format off */
enum broker_msg_kind {
    /* kind               direction              freed by      struct, file that owns it */
    MSG_CONN_OPEN = 1, /* main -> data           data          listener_handoff, listener.c */
    MSG_CONN_CLOSED,   /* data -> main           main          listener_handoff, listener.c */
    MSG_APPEND,        /* data -> home -> back   data (maker)  append_msg, append.c */
    MSG_FETCH_LEG,     /* data -> home -> back   data (maker)  fetch_leg, fetch_wait.c */
    MSG_FETCH_RECALL,  /* data -> home -> back   data (maker)  inside a fetch_leg, fetch_wait.c */
    MSG_LEASE,         /* data -> home           home          lease of a file range, fetch_read.c */
    MSG_STANDING,      /* home -> data           data          standing_notice, replica/standing.c */
    MSG_CALL,          /* any -> any -> back     maker         call, call.h: rare work of every kind */
    MSG_IMAGE,         /* main -> data -> back   main          image_msg, metadata loader */
    MSG_GROUP,         /* data -> home -> back   data (maker)  group_request, group_route.c */
    MSG_GROUP_SEEN,    /* home -> data           data          inside a group_request, group_route.c */
    MSG_DIR_ASSIGN,    /* data -> main           main          dir_assign_msg, dir_assign.c */
    MSG_BROKER_END = 256,
};
/* clang-format on */

#endif
