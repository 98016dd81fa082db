/* user.h: giving up privileges. */
#ifndef SOCKEYE_SERVE_USER_H
#define SOCKEYE_SERVE_USER_H

#include <stdbool.h>
#include <sys/types.h>

struct sockeye__user {
	const char *name;
	uid_t uid;
	gid_t gid;
};

/* Looks up the name. Returns 0, SOCKEYE_E_NONAME or -errno. *out keeps the pointer
 * `name`. */
int sockeye__user_find(const char *name, struct sockeye__user *out);

/* Switches this process permanently to the user and its groups, and verifies it.
 * Does nothing if the process runs as that user. 0 or -errno. */
int sockeye__user_become(const struct sockeye__user *user);

#endif
