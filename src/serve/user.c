/* user.c: giving up privileges. */
#include "serve/user.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sockeye/error.h>

/* The kernel's overflowuid, for a container without /etc/passwd. */
#define NOBODY      65534
#define NOBODY_NAME "nobody"

/* The size of a user's entry, which may be long in a directory service. */
#define ENTRY_BYTES_MIN 4096
#define ENTRY_BYTES_MAX (1 << 20)

int sockeye__user_find(const char *name, struct sockeye__user *out)
{
	struct passwd pw, *found = NULL;
	int err = ERANGE;

	for (size_t cap = ENTRY_BYTES_MIN; err == ERANGE && cap <= ENTRY_BYTES_MAX; cap *= 2) {
		char *texts = malloc(cap);

		if (texts == NULL)
			return -ENOMEM;
		err = getpwnam_r(name, &pw, texts, cap, &found);
		free(texts); /* the numbers are in pw */
	}
	if (found != NULL)
		*out = (struct sockeye__user){.name = name, .uid = pw.pw_uid, .gid = pw.pw_gid};
	else if (strcmp(name, NOBODY_NAME) == 0)
		*out = (struct sockeye__user){.name = name, .uid = NOBODY, .gid = NOBODY};
	else
		return err != 0 ? -err : SOCKEYE_E_NONAME;
	return 0;
}

static bool is_user(const struct sockeye__user *user)
{
	uid_t real, effective, saved;

	return getresuid(&real, &effective, &saved) == 0 && real == user->uid &&
	       effective == user->uid && saved == user->uid;
}

/* Takes the groups of the user, and no others. */
static int groups_set(const struct sockeye__user *user)
{
	if (initgroups(user->name, user->gid) < 0 || setresgid(user->gid, user->gid, user->gid) < 0)
		return -errno;
	return 0;
}

/* Limits the capabilities that programs executed by this process could gain. Needs
 * CAP_SETPCAP; for a process without this capability, no_new_privs is enough. */
static void bounding_set_clear(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

static int capabilities_clear(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	bounding_set_clear();
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int sockeye__user_become(const struct sockeye__user *user)
{
	const bool already = is_user(user);
	int err;

	if (user->stays)
		return capabilities_clear();
	err = groups_set(user);
	if (err < 0 && !(already && err == -EPERM))
		return err;
	if (user->uid == 0)
		return already || setresuid(0, 0, 0) == 0 ? 0 : -errno;
	bounding_set_clear(); /* while it is allowed */
	if (!already && setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	err = capabilities_clear();
	/* Verify the switch: several servers had a security hole because setuid(2) succeeded
	 * but left a way back to root. */
	if (err == 0 && (!is_user(user) || setuid(0) == 0))
		err = -EPERM;
	return err;
}

bool sockeye__user_may_kill(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	return syscall(SYS_capget, &header, data) == 0 &&
	       (data[CAP_TO_INDEX(CAP_KILL)].effective & CAP_TO_MASK(CAP_KILL)) != 0;
}
