/* user.c: giving up privileges. */
#include "serve/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <sockeye/error.h>

int sockeye__user_find(const char *name, struct sockeye__user *out)
{
	struct passwd pw, *found = NULL;
	char buf[4096];
	int err = getpwnam_r(name, &pw, buf, sizeof buf, &found);

	if (err != 0 || found == NULL)
		return err != 0 ? -err : SOCKEYE_E_NONAME;
	*out = (struct sockeye__user){.name = name, .uid = pw.pw_uid, .gid = pw.pw_gid};
	return 0;
}

static bool is_user(const struct sockeye__user *user)
{
	uid_t real, effective, saved;

	return getresuid(&real, &effective, &saved) == 0 && real == user->uid &&
	       effective == user->uid && saved == user->uid;
}

int sockeye__user_become(const struct sockeye__user *user)
{
	if (is_user(user))
		return 0;
	if (initgroups(user->name, user->gid) < 0 ||
	    setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	/* setuid(2) that kept a way back without an error has been a security hole in several
	 * servers. */
	if (!is_user(user) || (user->uid != 0 && setuid(0) == 0))
		return -EPERM;
	return 0;
}
