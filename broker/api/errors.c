#include "broker/api/errors.h"

#include "base/err.h"

int16_t wire_error(int err)
{
    if (err >= 0) {
        return KE_NONE;
    }
    switch ((enum err)err) {
    case ERR_RANGE:
        return KE_OFFSET_OUT_OF_RANGE;
    case ERR_TIMEOUT:
        return KE_REQUEST_TIMED_OUT;
    case ERR_TOOBIG:
        return KE_MESSAGE_TOO_LARGE;
    case ERR_NOTLEADER:
        return KE_NOT_LEADER_OR_FOLLOWER;
    case ERR_UNSUPPORTED:
        return KE_UNSUPPORTED_VERSION;
    case ERR_NOSPACE:
    case ERR_IO:
    case ERR_PERM:
    case ERR_MFILE:
    case ERR_OFFLINE:
        return KE_KAFKA_STORAGE_ERROR;
    case ERR_CORRUPT:
    case ERR_TRUNCATED:
        return KE_CORRUPT_MESSAGE;
    case ERR_INVALID:
        return KE_INVALID_REQUEST;
    case ERR_NOMEM:
    case ERR_AGAIN:
    case ERR_CLOSED:
    case ERR_CANCELED:
    case ERR_NOTFOUND:
    case ERR_EXISTS:
    case ERR_LOCKED:
    case ERR_INUSE:
    case ERR_REFUSED:
    case ERR_CONFLICT:
        break;
    }
    return KE_UNKNOWN_SERVER_ERROR;
}
