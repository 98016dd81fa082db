/* user.h: giving up privileges. */
#ifndef SOCKEYE_SERVE_USER_H
#define SOCKEYE_SERVE_USER_H

#include <stdbool.h>
#include <sys/types.h>

struct sockeye__user {
	const char *name;
	uid_t uid;
	gid_t gid;
	bool stays; /* keep uid and gid; give up only the capabilities */
};

/* Looks up a user by name. Returns 0, SOCKEYE_E_NONAME or -errno. *out refers to `name`.
 * The user nobody needs no entry in the user database: without one, it is user 65534. */
int sockeye__user_find(const char *name, struct sockeye__user *out);

/* Switches this process permanently to the user and its groups, and verifies the switch.
 * Unless the user is root, gives up all capabilities, including those that programs executed
 * by this process could gain, and prevents processes of the same user from reading its
 * memory. With user->stays, changes neither user nor groups. A process that already runs as
 * this user, and may not change its groups, keeps its groups. Returns 0 or -errno. */
int sockeye__user_become(const struct sockeye__user *user);

/* Whether this process may stop processes of other users (CAP_KILL). */
bool sockeye__user_may_kill(void);

#endif
