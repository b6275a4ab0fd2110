/* What shards and the controller's shard say to each other. The numbers share one space with
 * broker/messages.h: the controller's are 0x4000 and above.
 *
 * kind                  direction                      memory
 * CONTROLLER_MSG_CALL   any shard -> controller        one struct controller_msg for both ways: the
 *                       controller -> the same shard   caller's side (channel_local.c) makes and
 *                                                      frees it; request and response bytes are
 *                                                      freed by whoever has the message last, so
 *                                                      both by the caller's side
 *
 * The on_msg of every shard of the node hands a kind for which controller_msg_is() is true to
 * controller_dispatch, which knows both ends.
 */
#ifndef CONTROLLER_MESSAGES_H
#define CONTROLLER_MESSAGES_H

#include "base/buf.h"
#include "runtime/shard.h"

enum controller_msg_kind {
    CONTROLLER_MSG_CALL = 0x4000,
    CONTROLLER_MSG_END,
};

struct channel_call;

struct controller_msg {
    struct msg msg;
    bool reply;                /* on its way back */
    int err;                   /* reply: 0 or ERR_x (then there is no response) */
    struct channel_call *call; /* the caller's; NULL once the call was given up */
    struct buf request;        /* frame without its length: header and body */
    struct buf response;       /* the same */
};

static inline bool controller_msg_is(const struct msg *m)
{
    return m->kind >= CONTROLLER_MSG_CALL && m->kind < CONTROLLER_MSG_END;
}

struct controller;
/* For on_msg of every shard of a node; c is NULL where the controller does not live. */
void controller_dispatch(struct controller *c, struct shard *sh, struct msg *m);

#endif
